use super::compare::unit;
use super::{Context, OutFile, check_count, nothing, series};
use crate::cmd::named::{Finder, NamedRun};
use crate::model::{Run, Test};
use crate::stats::Metric;
use base::Result;
use picture::{Caption, LinePoint, Lines, LinesPanel};

/// Draw speed against the length of the context
///
/// Prompt processing and the time to first token are drawn against the tokens of the prompt,
/// generation against the tokens of prompt and answer together, the context at its end. Each run is
/// a line, which goes through the median of tests with the same number of tokens.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore plot context --out context.svg
  localstore plot context before after > context.svg")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7), lists (3,5) or files
    #[arg(value_name = "RUN", default_value = "last")]
    pub(super) runs: Vec<String>,
    #[command(flatten)]
    pub(super) out: OutFile,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    args.out.check_svg()?;
    let finder = Finder::open(&context.location)?;
    let runs = args.runs.iter().map(|name| finder.runs(name));
    let runs = runs.collect::<Result<Vec<_>>>()?.concat();
    check_count(runs.len())?;
    let picture = lines(&runs)
        .draw()
        .ok_or_else(|| nothing("no test of these runs has a value"))?;
    args.out.write(picture.document(), context)
}

fn lines(runs: &[NamedRun]) -> Lines {
    let panel = |metric: Metric, tokens: &str, count: fn(&Test) -> i64| LinesPanel {
        unit: unit(metric).to_owned(),
        higher_is_better: metric.higher_is_better(),
        tokens: tokens.to_owned(),
        // It grows with the prompt, whose axis is logarithmic too.
        is_log: metric == Metric::TtftMs,
        series: runs
            .iter()
            .map(|stored| points(&stored.run, metric, count))
            .collect(),
    };
    let (series, title) = series(&runs.iter().collect::<Vec<_>>());
    let prompt = "tokens of the prompt";
    let prompt_and_answer = "tokens of the prompt and the answer";
    let context = |test: &Test| test.n_prompt.saturating_add(test.n_gen);
    Lines {
        caption: Caption {
            title,
            sentence: "Speed against the length of the context".to_owned(),
            note: String::new(),
        },
        runs: series,
        panels: vec![
            panel(Metric::PromptTps, prompt, |test| test.n_prompt),
            panel(Metric::GenTps, prompt_and_answer, context),
            panel(Metric::TtftMs, prompt, |test| test.n_prompt),
        ],
    }
}

fn points(run: &Run, metric: Metric, count: fn(&Test) -> i64) -> Vec<LinePoint> {
    let point = |test: &Test| {
        #[allow(clippy::cast_precision_loss, reason = "a place on an axis")]
        let tokens = count(test) as f64;
        Some(LinePoint {
            tokens,
            value: metric.value(test)?,
            test: test.name.to_string(),
        })
    };
    run.tests.iter().filter_map(point).collect()
}
