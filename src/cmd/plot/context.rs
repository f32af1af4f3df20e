use super::compare::unit;
use super::{Context, Target, check_number, nothing, series};
use crate::cmd::compare::StoredRun;
use crate::model::{Run, Test};
use crate::stats::Metric;
use crate::store::{Store, select};
use base::Result;
use picture::{LinePoint, Lines, LinesPanel};

/// Draw speed against the length of the context
///
/// Prompt processing and the time to first token against the tokens of the prompt; generation
/// against the tokens of prompt and answer together, for that is the context when it ends. A run
/// is a line; where several tests share a number of tokens, it goes through their median.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore plot context --out context.svg
  localstore plot context before after > context.svg")]
pub(crate) struct Args {
    /// Ids, 'last', 'last~N' or tags
    #[arg(value_name = "RUN", default_value = "last")]
    runs: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    check_number(args.runs.len())?;
    let store = Store::open_readonly(&context.location)?;
    let read = |name: &String| StoredRun::read(&store, store.read(|db| select::resolve(db, name))?);
    let runs = args.runs.iter().map(read).collect::<Result<Vec<_>>>()?;
    let picture = lines(&runs)
        .draw()
        .ok_or_else(|| nothing("no test of these runs has a value"))?;
    args.target.write(&picture, context)
}

fn lines(runs: &[StoredRun]) -> Lines {
    let panel = |metric: Metric, tokens: &str, count: fn(&Test) -> i64| LinesPanel {
        unit: unit(metric).to_owned(),
        higher_is_better: metric.higher_is_better(),
        tokens: tokens.to_owned(),
        // It grows with the prompt, which has a logarithmic axis itself.
        is_log: metric == Metric::TtftMs,
        series: runs
            .iter()
            .map(|stored| points(&stored.run, metric, count))
            .collect(),
    };
    let of_prompt = "tokens of the prompt";
    let of_both = "tokens of the prompt and the answer";
    let context = |test: &Test| test.n_prompt.saturating_add(test.n_gen);
    Lines {
        title: "Speed against the length of the context".to_owned(),
        runs: runs.iter().map(series).collect(),
        panels: vec![
            panel(Metric::PromptTps, of_prompt, |test| test.n_prompt),
            panel(Metric::GenTps, of_both, context),
            panel(Metric::TtftMs, of_prompt, |test| test.n_prompt),
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
