//! The answer of a comparison in a sentence.

use super::NewRun;
use super::words::{not_comparable, test_name};
use crate::stats::{Comparison, Metric, Options, Outcome, Row, Verdict};
use base::number::percent;

/// The most tests that it names.
const MAX_NAMED: usize = 3;

/// The short name of a metric in a sentence.
pub(crate) fn short(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "pp",
        Metric::GenTps => "tg",
        Metric::TtftMs => "ttft",
        Metric::AvgTimeMs => "total",
    }
}

/// The changes of the geometric means: `pp −0.6%, tg −0.4%, ttft +0.5%`.
pub(crate) fn changes(comparison: &Comparison) -> String {
    let means: Vec<String> = speeds(comparison).into_iter().map(mean).collect();
    means.join(", ")
}

/// The answer: `run 16 is slower: pp −11.2%, tg −11.0%, ttft +12.5% (certain in 40 of 40 rows)`.
pub(crate) fn headline(new: &NewRun, options: &Options) -> String {
    let (comparison, run) = (&new.comparison, new.name());
    let rows = comparison.all_rows().count();
    let certain = format!("{} of {rows} rows", comparison.certain_rows());
    match comparison.outcome {
        Outcome::Slower => one_way(comparison, &format!("{run} is slower"), Verdict::Worse),
        Outcome::Faster => one_way(comparison, &format!("{run} is faster"), Verdict::Better),
        Outcome::Mixed => {
            let means: Vec<String> = speeds(comparison)
                .into_iter()
                .filter(|row| is_changed(row))
                .map(|row| format!("{} {}", mean(row), row.verdict.name()))
                .collect();
            let changed = if means.is_empty() {
                named(comparison, is_changed, |row| {
                    format!("{} {}", test(row), row.verdict.name())
                })
            } else {
                means.join(", ")
            };
            format!("{run} is mixed: {changed} (certain in {certain})")
        }
        Outcome::Same => format!(
            "no difference larger than {}%: {} ({certain})",
            options.min_change,
            changes(comparison)
        ),
        Outcome::Undecided => {
            format!("not decided: {}; certain in {certain}", changes(comparison))
        }
        Outcome::NotComparable => {
            not_comparable(comparison).unwrap_or_else(|| "cannot be compared".to_owned())
        }
    }
}

/// Slower or faster: by the means that are, or else by single tests.
fn one_way(comparison: &Comparison, answer: &str, verdict: Verdict) -> String {
    let is_certain = |row: &Row| row.verdict == verdict;
    let certain: Vec<String> = speeds(comparison)
        .into_iter()
        .filter(|row| is_certain(row))
        .map(mean)
        .collect();
    if !certain.is_empty() {
        return format!(
            "{answer}: {} (certain in {} of {} rows)",
            certain.join(", "),
            comparison.certain_rows(),
            comparison.all_rows().count()
        );
    }
    let tests = |is_counted: &dyn Fn(&Row) -> bool| {
        let rows = comparison.rows.iter().filter(|row| is_counted(row));
        super::unique(rows.map(|row| row.test)).len()
    };
    format!(
        "{answer} in {} of {} tests: {}",
        tests(&is_certain),
        tests(&|_| true),
        named(comparison, is_certain, test)
    )
}

/// The means of the speeds, or those of the total times if nothing else was compared or if only they
/// changed for certain.
fn speeds(comparison: &Comparison) -> Vec<&Row> {
    let speeds: Vec<&Row> = Metric::SPEEDS
        .into_iter()
        .filter_map(|metric| comparison.mean(metric))
        .collect();
    let has_changed = |rows: &[&Row]| rows.iter().any(|row| is_changed(row));
    let total = comparison.mean(Metric::AvgTimeMs);
    match total {
        Some(total) if speeds.is_empty() || (is_changed(total) && !has_changed(&speeds)) => {
            vec![total]
        }
        _ => speeds,
    }
}

fn is_changed(row: &Row) -> bool {
    matches!(row.verdict, Verdict::Better | Verdict::Worse)
}

fn mean(row: &Row) -> String {
    format!("{} {}", short(row.metric), percent(row.change_percent))
}

fn test(row: &Row) -> String {
    format!("{} {}", test_name(row), mean(row))
}

/// The rows of single tests that are meant, the first few by name.
fn named(
    comparison: &Comparison,
    is_meant: impl Fn(&Row) -> bool,
    name: impl Fn(&Row) -> String,
) -> String {
    let meant: Vec<&Row> = comparison.rows.iter().filter(|row| is_meant(row)).collect();
    let mut names: Vec<String> = meant.iter().take(MAX_NAMED).map(|row| name(row)).collect();
    if meant.len() > MAX_NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}
