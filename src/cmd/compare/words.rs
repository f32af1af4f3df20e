//! A comparison in words, for the table, Markdown, pictures and the report.

use super::{Report, change, unique};
use crate::model::{Difference, Mismatch, Text};
use crate::stats::{Comparison, GateOutcome, Method, Metric, Reason, Row, TestKey, Unit, Why};
use base::number;

/// The most rows that the gate names; the table has them all.
const MAX_NAMED: usize = 6;

/// The name of a metric with its unit, for people.
pub(crate) fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "pp t/s",
        Metric::GenTps => "tg t/s",
        Metric::TtftMs => "ttft ms",
        Metric::AvgTimeMs => "total ms",
    }
}

/// The interval of a change in percent; empty if none is known.
pub(crate) fn interval(row: &Row) -> String {
    row.interval.map_or_else(String::new, |interval| {
        number::interval(interval.low, interval.high)
    })
}

/// The method and the number of values it used; empty if there is no method.
pub(crate) fn method(method: Method) -> String {
    let name = method.name();
    match method {
        Method::Rank(counts) | Method::Welch(counts) => {
            let unit = match counts.unit {
                Unit::Repetitions => "",
                Unit::Runs => " runs",
            };
            format!("{name} {},{}{unit}", counts.base, counts.new)
        }
        Method::Prediction { earlier } => format!("{name} {earlier}"),
        Method::Unverified(_) => String::new(),
    }
}

/// The name of the test; `geo. mean` for the mean over the tests.
pub(crate) fn test_name(row: &Row) -> String {
    match row.test {
        None => "geo. mean".to_owned(),
        Some(key) if row.name.as_bytes().is_empty() => name_by_tokens(&key),
        Some(_) => printed(&row.name),
    }
}

/// Model, accelerator and runtime, as far as they are the same for all.
pub(crate) fn common_subject(report: &Report) -> Option<String> {
    let mut all = report
        .base
        .iter()
        .chain(report.new.iter().map(|column| &column.run))
        .map(|stored| {
            let run = &stored.listed;
            [&run.model, &run.quant, &run.accelerator, &run.runtime]
        });
    let first = all.next()?;
    let others: Vec<_> = all.collect();
    let same: Vec<String> = (0..first.len())
        .filter(|&index| others.iter().all(|other| other[index] == first[index]))
        .filter_map(|index| first[index].as_ref().map(printed))
        .collect();
    (!same.is_empty()).then(|| same.join(", "))
}

/// `name: base → new`, with several new runs `name: base | new | new`. Each value of several base
/// runs is given once.
pub(crate) fn difference(difference: &Difference, base: usize) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
    let mut values: Vec<String> = difference.values.iter().map(shown).collect();
    let new = values.split_off(base.min(values.len()));
    let base = unique(values);
    let arrow = if new.len() > 1 { " | " } else { " → " };
    let values = [base.join(", "), new.join(" | ")].join(arrow);
    format!("{}: {values}", difference.name)
}

/// Remarks on the rows: tests of one side, why rows are unverified or the runs not comparable.
pub(crate) fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for (side, tests) in [
        ("base", &comparison.only_base),
        ("new run", &comparison.only_new),
    ] {
        if !tests.is_empty() {
            lines.push(format!(
                "only the {side} has {}",
                test_names(tests).join(", ")
            ));
        }
    }
    if let Some(why) = why_unverified(comparison) {
        lines.push(format!("unverified: {why}"));
    }
    if let Some(earlier) = earlier_runs(comparison) {
        lines.push(format!(
            "history: intervals are from the level of {earlier} earlier runs, base included"
        ));
    }
    lines.extend(not_comparable(comparison));
    lines
}

/// Why the runs are not comparable; `None` if they are.
pub(crate) fn not_comparable(comparison: &Comparison) -> Option<String> {
    let reasons: Vec<String> = comparison.reasons.iter().map(in_words).collect();
    (!reasons.is_empty()).then(|| format!("cannot be compared: {}", reasons.join(", ")))
}

/// Why runs cannot be compared, in words.
pub(crate) fn in_words(reason: &Reason) -> String {
    match reason {
        Reason::NothingInCommon => "no test in common".to_owned(),
        Reason::Mismatch(mismatch) => match mismatch {
            Mismatch::Model => "another model",
            Mismatch::Quant => "another quantisation",
            Mismatch::TestSet => "other tests",
            Mismatch::Accelerator => "another kind of accelerator",
            Mismatch::Partial => "a partial run",
        }
        .to_owned(),
        Reason::MissingValue { test, metric } => {
            format!("{} of {} on one side only", metric.name(), printed(test))
        }
    }
}

fn printed(name: &Text) -> String {
    name.display().into_owned()
}

/// Tests by their tokens, as the C tool names them.
pub(crate) fn test_names(tests: &[TestKey]) -> Vec<String> {
    tests.iter().map(name_by_tokens).collect()
}

fn name_by_tokens(test: &TestKey) -> String {
    let name = match (test.n_prompt, test.n_gen) {
        (prompt, 0) => format!("pp{prompt}"),
        (0, generated) => format!("tg{generated}"),
        (prompt, generated) => format!("pp{prompt}+tg{generated}"),
    };
    match test.repeated {
        0 => name,
        before => format!("{name} (time {})", before + 1),
    }
}

pub(crate) fn gate_lines(report: &Report, comparison: &Comparison) -> Vec<String> {
    let gate = &comparison.gate;
    // The means are the summary, so they come first.
    let rows = comparison.means.iter().chain(&comparison.rows);
    let mut worse: Vec<String> = rows
        .filter(|row| row.regression)
        .map(|row| {
            let (metric, change) = (title(row.metric), change(row.change_percent));
            match row.test {
                None => format!("  geo. mean of {metric} {change}"),
                Some(_) => format!("  {metric} of {} {change}", test_name(row)),
            }
        })
        .collect();
    if worse.len() > MAX_NAMED {
        let more = worse.len() - MAX_NAMED;
        worse.truncate(MAX_NAMED);
        worse.push(format!("  and {more} more"));
    }
    let options = &report.options;
    let rule = format!(
        "{}% or more, p <= {} over {} rows",
        options.min_change,
        (options.gate_alpha * 1e6).round() / 1e6,
        gate.asked
    );
    let verdict = if gate.asked == 0 {
        "gate: nothing tells a change from noise, so no row could decide".to_owned()
    } else if gate.outcome == GateOutcome::Undecided {
        "gate: undecided".to_owned()
    } else if worse.is_empty() {
        format!("gate: no regression ({rule})")
    } else {
        format!("gate: regression ({rule})")
    };
    worse.insert(0, verdict);
    worse
}

/// The most frequent reason for rows to be unverified.
fn why_unverified(comparison: &Comparison) -> Option<&'static str> {
    let why: Vec<Why> = comparison
        .rows
        .iter()
        .filter_map(|row| match row.method {
            Method::Unverified(why) => Some(why),
            _ => None,
        })
        .collect();
    let most = why
        .iter()
        .copied()
        .max_by_key(|&one| why.iter().filter(|&&w| w == one).count())?;
    Some(match most {
        Why::SingleRepetition => {
            "one repetition a test, and too few earlier runs to tell the noise"
        }
        Why::UnknownRepetitions => {
            "repetitions are not known, and too few earlier runs to tell the noise"
        }
        Why::NoDeviation => "no deviation is known (of ttft never), and too few earlier runs",
        Why::FewRuns => "too few runs to tell the noise between runs",
        Why::NotComparable => return None,
    })
}

/// The largest number of earlier runs behind a prediction interval.
fn earlier_runs(comparison: &Comparison) -> Option<usize> {
    let earlier = comparison.rows.iter().filter_map(|row| match row.method {
        Method::Prediction { earlier } => Some(earlier),
        _ => None,
    });
    earlier.max()
}
