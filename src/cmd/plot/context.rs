use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::compare::unit;
use super::{Context, OutFile, check_count, nothing, series};
use crate::cmd::named::{Finder, NamedRun};
use crate::model::bench::test_name;
use crate::model::{Run, Test, Text, Tool};
use crate::stats::Metric;
use base::{Error, Result};
use picture::{Caption, LinePoint, Lines, LinesPanel, Series};

/// Draw speed against the length of the context
///
/// Prompt processing and the time to first token are drawn against the tokens of the prompt,
/// generation against the tokens of prompt and answer together, the context at its end. Each run is
/// a line, which goes through the median of tests with the same number of tokens.
///
/// Tests of llama-bench are drawn against the tokens before them, where some have a depth, else
/// against the tokens of the prompt, or of the answer for generation alone. A run has a line for each
/// of its settings.
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
    let of = |tool| runs.iter().find(|stored| stored.run.tool == tool);
    let lines = match (of(Tool::LocalScore), of(Tool::LlamaBench)) {
        (Some(one), Some(other)) => {
            let names = format!("{} and {}", one.name(), other.name());
            let why = "LocalScore and llama-bench measure different things";
            return Err(Error::new(names, why));
        }
        (None, Some(_)) => bench_lines(&runs),
        _ => lines(&runs),
    };
    check_count(lines.runs.len())?;
    let picture = lines
        .draw()
        .ok_or_else(|| nothing("no test of these runs has a value"))?;
    args.out.write(picture.document(), context)
}

fn lines(runs: &[NamedRun]) -> Lines {
    let panel = |metric: Metric, tokens: &str, count: fn(&Test) -> i64| LinesPanel {
        unit: unit(metric).to_owned(),
        higher_is_better: metric.higher_is_better(),
        tokens: tokens.to_owned(),
        is_from_zero: false,
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
        caption: caption(title),
        runs: series,
        panels: vec![
            panel(Metric::PromptTps, prompt, |test| test.n_prompt),
            panel(Metric::GenTps, prompt_and_answer, context),
            panel(Metric::TtftMs, prompt, |test| test.n_prompt),
        ],
    }
}

fn caption(title: String) -> Caption {
    Caption {
        title,
        sentence: "Speed against the length of the context".to_owned(),
        note: String::new(),
    }
}

/// A panel for the tests of a prompt alone, one for those of generation alone, one for the others; a
/// line for each run and settings.
fn bench_lines(runs: &[NamedRun]) -> Lines {
    let (of_runs, title) = series(&runs.iter().collect::<Vec<_>>());
    let mut legend = Vec::new();
    let mut tests: Vec<Vec<&Test>> = Vec::new();
    for (stored, of_run) in runs.iter().zip(of_runs) {
        let settings = by_settings(&stored.run);
        for (words, of_settings) in settings {
            let with = |name: &str| match (name, words.as_str()) {
                (name, "") => name.to_owned(),
                ("", words) => words.to_owned(),
                (name, words) => format!("{name}, {words}"),
            };
            legend.push(Series {
                key: of_run.key.clone(),
                name: with(&of_run.name),
            });
            tests.push(of_settings);
        }
    }
    let panel = |name: &str, tokens: &str, is_meant: fn(&Test) -> bool, count: fn(&Test) -> i64| {
        let meant = || tests.iter().flatten().filter(|test| is_meant(test));
        let has_depth = meant().any(|test| test.n_depth > 0);
        let size = has_depth.then(|| deepest(meant().copied())).flatten();
        let points = |tests: &Vec<&Test>| {
            let tests = tests.iter().filter(|test| {
                is_meant(test) && size.is_none_or(|size| size == (test.n_prompt, test.n_gen))
            });
            let place = if has_depth {
                |test: &Test| test.n_depth
            } else {
                count
            };
            tests
                .filter_map(|test| point(test, Metric::Tps, place))
                .collect()
        };
        LinesPanel {
            unit: match size {
                Some((n_prompt, n_gen)) => {
                    format!("{}, tokens/s", test_name(n_prompt, n_gen, 0))
                }
                None => format!("{name}, tokens/s"),
            },
            higher_is_better: true,
            tokens: if has_depth {
                "tokens before the test".to_owned()
            } else {
                tokens.to_owned()
            },
            is_from_zero: has_depth,
            is_log: false,
            series: tests.iter().map(points).collect(),
        }
    };
    let prompt = "tokens of the prompt";
    Lines {
        caption: caption(title),
        panels: vec![
            panel(
                "prompt processing",
                prompt,
                |test| test.n_gen == 0,
                |test| test.n_prompt,
            ),
            panel(
                "generation",
                "tokens of the answer",
                |test| test.n_prompt == 0,
                |test| test.n_gen,
            ),
            panel(
                "prompt and generation",
                prompt,
                |test| test.n_prompt > 0 && test.n_gen > 0,
                |test| test.n_prompt,
            ),
        ],
        runs: legend,
    }
}

/// The tests of a run by their settings, with those in which they differ in words: `flash_attn 1`;
/// empty if all are equal.
fn by_settings(run: &Run) -> Vec<(String, Vec<&Test>)> {
    let mut groups: Vec<(BTreeMap<&Text, &Text>, Vec<&Test>)> = Vec::new();
    let mut places: HashMap<BTreeMap<&Text, &Text>, usize> = HashMap::new();
    for test in &run.tests {
        let known = test.settings.iter().flat_map(|settings| settings.known());
        // What ik_llama.cpp calls the test is no setting here.
        let known = known.filter(|(column, _)| column.name.as_bytes() != b"test");
        let values: BTreeMap<&Text, &Text> =
            known.map(|(column, value)| (&column.name, value)).collect();
        let place = *places.entry(values).or_insert_with_key(|values| {
            groups.push((values.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(test);
    }
    let names: BTreeSet<&Text> = groups
        .iter()
        .flat_map(|(values, _)| values.keys().copied())
        .filter(|name| {
            let mut values = groups.iter().map(|(values, _)| values.get(name));
            let first = values.next();
            values.any(|other| Some(other) != first)
        })
        .collect();
    let words = |values: &BTreeMap<&Text, &Text>| {
        let words = names.iter().map(|name| match values.get(name) {
            Some(value) => format!("{name} {value}"),
            None => format!("no {name}"),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let groups = groups
        .iter()
        .map(|(values, tests)| (words(values), tests.clone()));
    groups.collect()
}

/// The numbers of tokens that were measured at most depths.
fn deepest<'a>(tests: impl Iterator<Item = &'a Test>) -> Option<(i64, i64)> {
    let mut depths: Vec<((i64, i64), BTreeSet<i64>)> = Vec::new();
    let mut places: HashMap<(i64, i64), usize> = HashMap::new();
    for test in tests {
        let size = (test.n_prompt, test.n_gen);
        let place = *places.entry(size).or_insert_with(|| {
            depths.push((size, BTreeSet::new()));
            depths.len() - 1
        });
        depths[place].1.insert(test.n_depth);
    }
    // Of several the first one.
    let most = depths.iter().rev().max_by_key(|(_, depths)| depths.len());
    most.map(|(size, _)| *size)
}

fn points(run: &Run, metric: Metric, count: fn(&Test) -> i64) -> Vec<LinePoint> {
    let points = run.tests.iter();
    points
        .filter_map(|test| point(test, metric, count))
        .collect()
}

fn point(test: &Test, metric: Metric, count: fn(&Test) -> i64) -> Option<LinePoint> {
    #[allow(clippy::cast_precision_loss, reason = "a place on an axis")]
    let tokens = count(test) as f64;
    Some(LinePoint {
        tokens,
        value: metric.value(test)?,
        test: test.name.to_string(),
    })
}
