//! A comparison in words, for the table, Markdown, pictures and the report.

use super::unique;
use crate::model::bench::Unequal;
use crate::model::{Difference, Mismatch, Text, short_quant};
use crate::stats::{Comparison, Method, Metric, Outcome, Reason, Row, Unit};
use base::number;

/// The most tests or settings that a line names.
const MAX_NAMED: usize = 12;

/// The short name of a metric in a sentence.
pub(crate) fn short(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "pp",
        Metric::GenTps => "tg",
        Metric::TtftMs => "ttft",
        Metric::AvgTimeMs => "total",
        Metric::Tps => "t/s",
    }
}

/// An outcome in a word or two.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Slower => "slower",
        Outcome::Faster => "faster",
        Outcome::Mixed => "mixed",
        Outcome::Same => "no difference",
        Outcome::Undecided => "not decided",
        Outcome::NotComparable => "cannot be compared",
    }
}

/// The name of a metric with its unit, for people.
pub(crate) fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "pp t/s",
        Metric::GenTps => "tg t/s",
        Metric::TtftMs => "ttft ms",
        Metric::AvgTimeMs => "total ms",
        Metric::Tps => "t/s",
    }
}

/// The interval of a change in percent; empty if none is known.
pub(crate) fn interval(row: &Row) -> String {
    row.interval.map_or_else(String::new, |interval| {
        number::percents(interval.low, interval.high)
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
        Some(key) if row.name.as_bytes().is_empty() => key.name(),
        Some(_) => printed(&row.name),
    }
}

/// `name: base → new`, with several new runs `name: base | new | new`. Each value of several base
/// runs is given once.
pub(crate) fn difference(difference: &Difference, base: usize) -> String {
    let mut values = shown(difference);
    let new = values.split_off(base.min(values.len()));
    let base = unique(values);
    let arrow = if new.len() > 1 { " | " } else { " → " };
    let values = [base.join(", "), new.join(" | ")].join(arrow);
    format!("{}: {values}", difference.name)
}

/// The values of a property in each run, for people.
pub(crate) fn shown(difference: &Difference) -> Vec<String> {
    let shown = |value: &Option<String>| match (value, difference.name) {
        (None, _) => "?".to_owned(),
        (Some(quant), "quant") => short_quant(quant),
        (Some(value), _) => value.clone(),
    };
    difference.values.iter().map(shown).collect()
}

/// The tests that one side lacks.
pub(crate) fn remarks(comparison: &Comparison) -> Vec<String> {
    // Each tool has its own.
    if comparison
        .reasons
        .contains(&Reason::Mismatch(Mismatch::Tool))
    {
        return Vec::new();
    }
    [
        ("base", &comparison.only_base),
        ("new run", &comparison.only_new),
    ]
    .into_iter()
    .filter(|(_, tests)| !tests.is_empty())
    .map(|(side, tests)| format!("only the {side} has {}", some_of(tests)))
    .collect()
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
        Reason::Settings(unequal) => {
            let unequal: Vec<String> = unequal.iter().map(self::unequal).collect();
            some_of(&unequal)
        }
        Reason::Mismatch(mismatch) => match mismatch {
            Mismatch::Tool => "another tool",
            Mismatch::Model => "another model",
            Mismatch::Quant => "another quantisation",
            Mismatch::TestSet => "other tests",
            Mismatch::Accelerator => "another kind of accelerator",
            Mismatch::Machine => "another machine",
            Mismatch::Partial => "a partial run",
        }
        .to_owned(),
        Reason::MissingValue { test, metric } => {
            format!("{} of {} on one side only", metric.name(), printed(test))
        }
    }
}

/// `n_batch 512 against 2048`.
pub(crate) fn unequal(setting: &Unequal) -> String {
    let field = &setting.field;
    match &setting.values {
        [Some(base), Some(new)] => {
            format!("{field} {} against {}", printed(base), printed(new))
        }
        [Some(base), None] => format!("{field} {} in the base alone", printed(base)),
        [None, Some(new)] => format!("{field} {} in the new run alone", printed(new)),
        [None, None] => field.clone(),
    }
}

fn printed(name: &Text) -> String {
    name.display().into_owned()
}

/// The first few of many.
fn some_of(all: &[String]) -> String {
    let shown = &all[..all.len().min(MAX_NAMED)];
    let more = match all.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}
