//! The answer of a comparison in sentences.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::words::{in_words, outcome, short, test_name};
use super::{NewRun, Report, unique};
use crate::model::Tool;
use crate::stats::{Comparison, GateOutcome, Metric, Outcome, Row, Verdict};
use base::Error;
use base::number::{percent, percents};

/// The most tests that a sentence names.
const MAX_NAMED: usize = 3;

/// The number of runs that make a level.
const LEVEL: usize = 3;

/// The changes of the geometric means: `pp −0.6%, tg −0.4%, ttft +0.5%`.
pub(crate) fn changes(comparison: &Comparison) -> String {
    let means: Vec<String> = speeds(comparison).into_iter().map(mean).collect();
    means.join(", ")
}

/// The runs of these ids: `2, 4–15`.
pub(crate) fn ids(ids: &[i64]) -> String {
    let mut text = String::new();
    let mut rest = ids;
    while let Some(&first) = rest.first() {
        let next = |(at, id): &(usize, &i64)| **id == first.saturating_add_unsigned(*at as u64);
        let length = rest.iter().enumerate().take_while(next).count().max(1);
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = match length {
            1 => write!(text, "{separator}{first}"),
            2 => write!(text, "{separator}{first}, {}", rest[1]),
            _ => write!(text, "{separator}{first}–{}", rest[length - 1]),
        };
        rest = &rest[length..];
    }
    text
}

impl Report {
    /// The answer: `run 16 is slower: pp −11.2%, tg −11.0%, ttft +12.5% (certain in 40 of 40 rows)`.
    pub(crate) fn headline(&self, new: &NewRun) -> String {
        let (comparison, run) = (&new.comparison, new.run.name());
        let rows = comparison.all_rows().count();
        let certain = format!("{} of {rows} rows", comparison.certain_rows());
        match comparison.outcome {
            Outcome::Slower => one_way(comparison, &format!("{run} is slower"), Verdict::Worse),
            Outcome::Faster => one_way(comparison, &format!("{run} is faster"), Verdict::Better),
            Outcome::Mixed => {
                let changed = |row: &Row, name: String| format!("{name} {}", row.verdict.name());
                let means: Vec<String> = speeds(comparison)
                    .into_iter()
                    .filter(|row| is_changed(row))
                    .map(|row| changed(row, mean(row)))
                    .collect();
                let changed = if means.is_empty() {
                    named(comparison, is_changed, |row| changed(row, test(row)))
                } else {
                    means.join(", ")
                };
                format!("{run} is mixed: {changed} (certain in {certain})")
            }
            Outcome::Same => format!(
                "no difference larger than {}%: {} ({certain})",
                self.options.min_change,
                changes(comparison)
            ),
            Outcome::Undecided => {
                format!("not decided: {}; certain in {certain}", changes(comparison))
            }
            Outcome::NotComparable => format!("cannot be compared: {}", reasons(comparison)),
        }
    }

    /// The lines after the answer: why it is undecided and what helps, what the change is measured
    /// from, and whether the base is off its level.
    pub(crate) fn explanation(&self, new: &NewRun) -> Vec<String> {
        let mut lines = Vec::new();
        match new.comparison.outcome {
            Outcome::NotComparable => {
                let changes = changes(&new.comparison);
                if !changes.is_empty() {
                    lines.push(format!("side by side: {changes}"));
                }
                lines.extend(assumed(&[new]));
                return lines;
            }
            Outcome::Undecided => {
                lines.push(format!("why: {}", new.why_undecided()));
                lines.push(format!(
                    "what helps: {}",
                    new.what_helps(", or more runs", "more runs")
                ));
            }
            _ => {}
        }
        lines.push(format!(
            "change: from {} to {}",
            self.reference(new),
            new.run.name()
        ));
        lines.extend(self.base_off(new));
        lines.extend(first_sample(new, ""));
        lines.extend(assumed(&[new]));
        lines
    }

    /// What changes are measured from: `the level of 13 runs (2, 4–15; run 15 is one)`, `run 15`.
    pub(crate) fn reference(&self, new: &NewRun) -> String {
        let base = self.base_name();
        let level = new.comparison.level.as_ref();
        let Some(level) = level.filter(|level| level.is_reference) else {
            return base;
        };
        let is_one = level.base_off.is_empty() && self.base.len() == 1;
        let one = if is_one {
            format!("; {base} is one")
        } else {
            String::new()
        };
        let count = level.runs.len();
        format!("the level of {count} runs ({}{one})", ids(&new.level))
    }

    /// That the base is off its level, if it is.
    fn base_off(&self, new: &NewRun) -> Option<String> {
        let level = new.comparison.level.as_ref()?;
        let &(metric, off) = level.base_off.first()?;
        let (base, metric_name) = (self.base_name(), short(metric));
        let off = format!("({metric_name} {})", percent(off));
        Some(if level.is_reference {
            let from_base = new.comparison.mean(metric).map_or_else(String::new, |row| {
                format!(
                    "; from {base}: {metric_name} {}",
                    percent(row.percent_from_base())
                )
            });
            format!("warning: {base} is itself off this level {off}{from_base}")
        } else {
            let runs = ids(&new.level);
            format!("note: {base} is off the level of runs {runs} {off}: changes are from {base}")
        })
    }

    /// The first line of a comparison of several runs: `fastest: run 1 (Q2_K); the others pp −24.5% to
    /// −70.1%`; and what the changes are measured from.
    pub(crate) fn ranking(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let names = self.names();
        let means: Vec<(&NewRun, Option<&Row>)> = self
            .options
            .metrics
            .first()
            .map(|&metric| {
                self.new
                    .iter()
                    .map(|new| (new, new.comparison.mean(metric)))
                    .collect()
            })
            .unwrap_or_default();
        let base = means.iter().find_map(|(_, row)| *row);
        if let (Some(first), true) = (base, self.have_same_tests()) {
            let name = |at: usize| names.each.get(at).map_or("", String::as_str);
            let values: Vec<(String, &str, f64)> =
                std::iter::once((self.base_name(), name(0), first.base))
                    .chain(means.iter().enumerate().filter_map(|(at, (new, row))| {
                        let name = name(self.base.len() + at);
                        Some((new.run.name(), name, (*row)?.new))
                    }))
                    .collect();
            let is_better = |one: f64, other: f64| {
                if first.metric.higher_is_better() {
                    one > other
                } else {
                    one < other
                }
            };
            let mut best = 0;
            for (index, &(_, _, value)) in values.iter().enumerate() {
                if is_better(value, values[best].2) {
                    best = index;
                }
            }
            let (run, name, value) = &values[best];
            let others = values
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != best);
            let mut others: Vec<f64> = others
                .map(|(_, other)| 100.0 * (other.2 / value - 1.0))
                .collect();
            others.sort_by(|one, two| one.abs().total_cmp(&two.abs()));
            let name = if name.is_empty() {
                String::new()
            } else {
                format!(" ({name})")
            };
            let mut ends: Vec<String> = [others.first(), others.last()]
                .into_iter()
                .flatten()
                .map(|&p| percent(p))
                .collect();
            ends.dedup();
            lines.push(format!(
                "fastest: {run}{name}; the others {} {}",
                short(first.metric),
                ends.join(" to ")
            ));
        }
        lines.push(self.measured_from());
        let mut off: Vec<String> = self
            .new
            .iter()
            .filter_map(|new| self.base_off(new))
            .collect();
        off.dedup();
        lines.extend(off);
        for new in &self.new {
            lines.extend(first_sample(new, &format!("{}: ", new.run.name())));
        }
        lines.extend(assumed(&self.new.iter().collect::<Vec<_>>()));
        lines
    }

    /// What the changes of several runs are measured from, and which runs cannot be compared.
    fn measured_from(&self) -> String {
        let found: Vec<&NewRun> = self
            .new
            .iter()
            .filter(|new| new.comparison.outcome == Outcome::NotComparable)
            .collect();
        let all = found.iter().flat_map(|new| &new.comparison.reasons);
        let all: Vec<String> = unique(all.map(in_words));
        let reference = self.new.iter().find(|new| new.is_from_level());
        let reference = reference.map_or_else(|| self.base_name(), |new| self.reference(new));
        let from = format!("changes are from {reference}");
        if found.is_empty() {
            return from;
        }
        let runs = if found.len() < self.new.len() {
            let numbers: Option<Vec<i64>> = found.iter().map(|new| new.run.id()).collect();
            let names = found.iter().map(|new| new.run.name());
            let runs = match numbers {
                Some(mut numbers) if numbers.len() > 1 => {
                    numbers.sort_unstable();
                    format!("runs {}", ids(&numbers))
                }
                _ => names.collect::<Vec<_>>().join(", "),
            };
            format!(" ({runs})")
        } else {
            String::new()
        };
        let side_by_side =
            if found.len() < self.new.len() && self.new.iter().any(NewRun::is_from_level) {
                format!("; side by side with {}", self.base_name())
            } else {
                String::new()
            };
        format!(
            "cannot be compared: {}{runs}{side_by_side}; {from}",
            all.join(", ")
        )
    }
}

impl NewRun {
    /// Whether changes are measured from the level, not from the base.
    pub(crate) fn is_from_level(&self) -> bool {
        let level = self.comparison.level.as_ref();
        level.is_some_and(|level| level.is_reference)
    }

    /// Why nothing is certain.
    fn why_undecided(&self) -> String {
        let comparison = &self.comparison;
        let open = comparison
            .means
            .iter()
            .find(|row| matches!(row.verdict, Verdict::Noise | Verdict::Unclear));
        let Some((row, interval)) = open.and_then(|row| Some((row, row.interval?))) else {
            let unknown = comparison.means.iter();
            let unknown = unknown.filter(|row| row.verdict == Verdict::Unverified);
            let metrics: Vec<&str> = unknown.map(|row| short(row.metric)).collect();
            return if comparison.is_noise_known() {
                format!(
                    "{}: noise of {} unknown",
                    self.what_is_known(),
                    metrics.join(", ")
                )
            } else {
                self.noise_unknown()
            };
        };
        let interval = percents(interval.low, interval.high);
        let of = match &comparison.level {
            Some(level) => format!(
                "the {} runs at this level ({})",
                level.runs.len(),
                ids(&self.level)
            ),
            None => "the repetitions".to_owned(),
        };
        format!("{of} vary too much: {} {interval}%", short(row.metric))
    }

    /// What would make it certain; `few` is said of more runs beside repetitions, `alone` without.
    fn what_helps(&self, few: &str, alone: &str) -> String {
        let needs_repetitions = self.repetitions == Some(1);
        if needs_repetitions || self.comparison.level.is_some() {
            let repeat = match self.run.run.tool {
                Tool::LocalScore => "localscore --reps 4",
                Tool::LlamaBench => "llama-bench -r 5",
            };
            format!("'{repeat}'{few}")
        } else {
            alone.to_owned()
        }
    }

    /// `one repetition, 1 earlier run`.
    fn what_is_known(&self) -> String {
        let repetitions = match self.repetitions {
            Some(1) => "one repetition".to_owned(),
            Some(n) => format!("{n} repetitions"),
            None => "repetitions not known".to_owned(),
        };
        let runs = match self.earlier {
            1 => "1 earlier run".to_owned(),
            n => format!("{n} earlier runs"),
        };
        format!("{repetitions}, {runs}")
    }

    fn noise_unknown(&self) -> String {
        format!("{}: noise unknown", self.what_is_known())
    }
}

impl Report {
    /// The reasons of the gate for a run: why it is undecided or cannot be compared.
    pub(crate) fn gate_reasons(&self, new: &NewRun) -> Vec<String> {
        match new.comparison.gate.outcome {
            GateOutcome::Ok | GateOutcome::Regression => Vec::new(),
            GateOutcome::NotComparable => new.comparison.reasons.iter().map(in_words).collect(),
            GateOutcome::Undecided if new.comparison.gate.asked == 0 => vec![new.noise_unknown()],
            GateOutcome::Undecided => vec![format!(
                "too noisy, a loss of {}% could pass unseen",
                self.options.fail_above
            )],
        }
    }

    /// The run whose outcome is that of the gate, if one was requested.
    pub(crate) fn worst(&self) -> Option<&NewRun> {
        let outcome = self.gate?;
        let mut new = self.new.iter();
        new.find(|new| new.comparison.gate.outcome == outcome)
    }

    /// The line of the gate with its hint, which is about the worst run. `accepts` says that an undecided gate
    /// passes.
    pub(crate) fn answer(&self, accepts: bool) -> Option<Error> {
        let outcome = self.gate?;
        let Some(worst) = self.worst() else {
            let accepted = if accepts { ", accepted" } else { "" };
            let answer = Error::plain(format_args!("undecided{accepted}: {}", self.no_base));
            let hint = "'--undecided pass' accepts this";
            return Some(if accepts { answer } else { answer.hint(hint) });
        };
        let gate = &worst.comparison.gate;
        let run = match self.new.as_slice() {
            [_] => String::new(),
            _ => format!("{}: ", worst.run.name()),
        };
        let reasons = self.gate_reasons(worst).join(", ");
        let mut hint = None;
        let line = match outcome {
            GateOutcome::Ok => {
                let judged: usize = self.new.iter().map(|new| new.comparison.gate.asked).sum();
                let least = self.options.min_change;
                format!("no regression of {least}% or more ({judged} rows judged)")
            }
            GateOutcome::Undecided if accepts => {
                let reasons = match gate.asked {
                    0 => worst.what_is_known(),
                    _ => reasons,
                };
                format!("undecided, accepted: {run}{reasons}")
            }
            GateOutcome::Undecided => {
                let more = LEVEL.saturating_sub(worst.earlier).max(1);
                let more = match more {
                    _ if gate.asked > 0 => "more runs".to_owned(),
                    1 => "1 more run".to_owned(),
                    n => format!("{n} more runs"),
                };
                let helps = worst.what_helps(&format!(" or {more}"), &more);
                hint = Some(format!("{helps}; '--undecided pass' accepts this"));
                format!("undecided: {run}{reasons}")
            }
            GateOutcome::Regression if gate.significant == 0 => {
                let means = speeds(&worst.comparison).into_iter();
                let mut means = means
                    .chain(&worst.comparison.means)
                    .filter(|row| row.regression);
                let limit = self.options.fail_above;
                let over = means.next().map(mean).unwrap_or_default();
                let noise = if worst.comparison.is_noise_known() {
                    "not certain"
                } else {
                    "noise unknown"
                };
                format!("regression: {run}{over} is over {limit}% ('--fail-above'); {noise}")
            }
            GateOutcome::Regression => {
                let regression = |row: &Row| row.regression;
                let means = speeds(&worst.comparison).into_iter();
                let means: Vec<String> = means.filter(|row| row.regression).map(mean).collect();
                let total = worst.comparison.means.iter().find(|row| row.regression);
                let what = match total {
                    _ if !means.is_empty() => means.join(", "),
                    Some(total) => mean(total),
                    None => named(&worst.comparison, regression, test),
                };
                format!(
                    "regression: {run}{what} ({} of {} rows)",
                    gate.significant, gate.asked
                )
            }
            GateOutcome::NotComparable => format!("cannot be compared: {run}{reasons}"),
        };
        let answer = Error::plain(line);
        Some(match hint {
            Some(hint) => answer.hint(hint),
            None => answer,
        })
    }
}

/// The answer in a word or two, of one run among several.
pub(crate) fn in_short(comparison: &Comparison) -> &'static str {
    if comparison.outcome == Outcome::Undecided && !comparison.is_noise_known() {
        return Verdict::Unverified.name();
    }
    outcome(comparison.outcome)
}

fn reasons(comparison: &Comparison) -> String {
    let reasons: Vec<String> = comparison.reasons.iter().map(in_words).collect();
    reasons.join(", ")
}

/// That the first sample alone makes verdicts. Of several runs, `run` names this one.
fn first_sample(new: &NewRun, run: &str) -> Vec<String> {
    let all = &new.comparison.first_sample;
    let mut lines: Vec<String> = Vec::new();
    let (tests, means): (Vec<_>, Vec<_>) =
        all.iter().partition(|one| !one.name.as_bytes().is_empty());
    for one in means.into_iter().chain(tests).take(MAX_NAMED) {
        let metric = short(one.metric);
        let name = match one.name.display() {
            name if name.is_empty() => format!("the mean {metric}"),
            name => format!("{name} {metric}"),
        };
        lines.push(format!(
            "first sample: {run}it alone makes {name} {}; without it {}, {}",
            one.verdict.name(),
            percent(one.change_percent),
            one.without.name()
        ));
    }
    if all.len() > MAX_NAMED {
        let more = all.len() - MAX_NAMED;
        let rows = if more == 1 { "row" } else { "rows" };
        lines.push(format!(
            "first sample: {run}so it does in {more} more {rows}"
        ));
    }
    lines
}

/// What is assumed of settings that a version does not print.
fn assumed(all: &[&NewRun]) -> Option<String> {
    let all = all.iter().flat_map(|new| &new.comparison.assumed);
    let all: Vec<String> = unique(all.map(|(name, value)| format!("{name} {value}")));
    (!all.is_empty()).then(|| {
        format!(
            "assumed where a version does not print it: {}",
            all.join(", ")
        )
    })
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
        rows.map(|row| row.test).collect::<HashSet<_>>().len()
    };
    format!(
        "{answer} in {} of {} tests: {}",
        tests(&is_certain),
        tests(&|_| true),
        named(comparison, is_certain, test)
    )
}

/// The means of the speeds; that of the total times if nothing else was compared, or if only they
/// changed for certain.
fn speeds(comparison: &Comparison) -> Vec<&Row> {
    let speeds: Vec<&Row> = Metric::SPEEDS
        .into_iter()
        .chain([Metric::Tps])
        .filter_map(|metric| comparison.mean(metric))
        .collect();
    let has_changed = |rows: &[&Row]| rows.iter().any(|row| is_changed(row));
    match comparison.mean(Metric::AvgTimeMs) {
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

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_that_follow_one_another_are_a_range() {
        assert_eq!(ids(&[2, 4, 5, 6, 9, 10]), "2, 4–6, 9, 10");
        assert_eq!(ids(&[22, 23, 24]), "22–24");
        assert_eq!(ids(&[i64::MAX]), i64::MAX.to_string());
        assert_eq!(ids(&[]), "");
    }
}
