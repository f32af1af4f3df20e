//! A comparison for people: a table for a terminal, Markdown for a pull request.

use std::io::Write;

use super::document::names;
use super::{Column, Report, Stored, in_words, printed};
use crate::error::{Error, Result};
use crate::model::Difference;
use crate::output::{self, Stdout, Table, color_wanted, printable};
use crate::stats::{Comparison, Method, Metric, Outcome, Row, TestKey, Unit, Verdict, Why};

/// Rows that the line of the gate names; the table has them all.
const MOST_NAMED: usize = 6;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// The name of a metric with its unit, for people.
pub fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::PromptTps => "pp t/s",
        Metric::GenTps => "tg t/s",
        Metric::TtftMs => "ttft ms",
        Metric::AvgTimeMs => "total ms",
    }
}

/// A value in as many digits as people compare.
pub fn value(value: f64) -> String {
    match value.abs() {
        large if large >= 10_000.0 => format!("{value:.0}"),
        large if large >= 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A change in percent with its sign.
pub fn change(percent: f64) -> String {
    if percent.is_finite() {
        // No sign where there is nothing but zeros.
        let percent = if percent.abs() < 0.05 { 0.0 } else { percent };
        format!("{percent:+.1}%")
    } else {
        "?".to_owned()
    }
}

/// The interval of a change in percent; empty if none is known.
pub fn interval(row: &Row) -> String {
    let end = |value: f64| {
        if value.is_finite() {
            format!("{value:+.1}")
        } else if value > 0.0 {
            "+inf".to_owned()
        } else {
            "-inf".to_owned()
        }
    };
    row.estimate
        .map(|estimate| format!("{}…{}", end(estimate.low), end(estimate.high)))
        .unwrap_or_default()
}

/// The method and how many values it saw; empty if there is none.
pub fn method(method: Method) -> String {
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

/// The rows of tests, then the geometric means, grouped by metric: each group with its title.
fn groups<'a>(report: &Report, comparison: &'a Comparison) -> Vec<(Metric, Vec<&'a Row>)> {
    let of = |metric: Metric| {
        let rows = comparison.rows.iter().chain(&comparison.means);
        let rows: Vec<&Row> = rows.filter(|row| row.metric == metric).collect();
        (!rows.is_empty()).then_some((metric, rows))
    };
    report
        .options
        .metrics
        .iter()
        .filter_map(|&m| of(m))
        .collect()
}

/// The name of the test, or that it is the mean.
pub fn test_name(row: &Row) -> String {
    match row.test {
        None => "geo. mean".to_owned(),
        Some(key) if row.name.as_bytes().is_empty() => names(&[key]).concat(),
        Some(_) => printed(&row.name),
    }
}

pub fn table(report: &Report, out: &mut Stdout) -> Result<()> {
    let color = out.is_terminal() && color_wanted();
    let mut text = head(report, "");
    text.push('\n');
    text += &body(report, out.width(), color);
    text += &foot(report, "");
    out.styled(text.as_bytes())
}

pub fn markdown(report: &Report, out: &mut Stdout) -> Result<()> {
    let mut text = head(report, "- ");
    text.push('\n');
    let (_, table) = rows(report, true);
    text += &table.markdown();
    let foot = foot(report, "- ");
    if !foot.is_empty() {
        text.push('\n');
        text += &foot;
    }
    out.write_all(text.as_bytes())
        .map_err(|error| Error::stdout(&error))
}

/// The runs, and in what they differ.
fn head(report: &Report, bullet: &str) -> String {
    let mut text = what(report).map_or_else(String::new, |what| {
        [bullet, &printable(&what), "\n"].concat()
    });
    if report.base.len() > 1 {
        let ids: Vec<String> = report
            .base
            .iter()
            .map(|run| run.listed.id.to_string())
            .collect();
        text += &[bullet, "base median of runs ", &ids.join(", "), "\n"].concat();
    }
    let mut line = |role: &str, stored: &Stored| {
        let run = &stored.listed;
        let measured = super::super::time(run.measured_at).unwrap_or_default();
        let score = run.summary.listed_score();
        let partial = if run.partial { " partial" } else { "" };
        let mut line = format!(
            "{bullet}{role} run {}, measured {measured}, score {score}{partial}",
            run.id
        );
        if !run.tags.is_empty() {
            line += &[", tagged ", &run.tags.join(" ")].concat();
        }
        text += &printable(&line);
        text.push('\n');
    };
    if let [base] = report.base.as_slice() {
        line("base", base);
    }
    for column in &report.new {
        line("new", &column.run);
    }
    let differences: Vec<String> = report
        .differences
        .iter()
        .map(|d| format!("{bullet}{}\n", printable(&difference(d))))
        .collect();
    text + "\n"
        + &if differences.is_empty() {
            format!("{bullet}No difference between the runs is known but the measurements.\n")
        } else {
            differences.concat()
        }
}

/// Model, accelerator and runtime, as far as they are the same for all.
pub fn what(report: &Report) -> Option<String> {
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

/// `name: base → new`; values that follow one another and are equal are named once.
pub fn difference(difference: &Difference) -> String {
    let unknown = "?".to_owned();
    let mut values: Vec<&str> = difference
        .values
        .iter()
        .map(|value| value.as_ref().unwrap_or(&unknown).as_str())
        .collect();
    if values.len() > 2 {
        // With several runs each keeps its place.
        return format!("{}: {}", difference.name, values.join(" | "));
    }
    values.dedup();
    format!("{}: {}", difference.name, values.join(" → "))
}

/// The table, a line for each element of the first list, which tells how to colour it.
fn rows(report: &Report, markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    match report.new.as_slice() {
        [one] => pair(report, one, markdown),
        several => columns(report, several, markdown),
    }
}

fn pair(report: &Report, column: &Column, markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    use output::Column::{Number, Whole};
    let percent = 100.0 * (1.0 - report.options.alpha);
    let interval_title = format!("{percent:.4}")
        .trim_end_matches(['0', '.'])
        .to_owned()
        + "% interval";
    let mut heads = vec![
        ("test", Whole),
        ("base", Number),
        ("new", Number),
        ("change", Number),
        (interval_title.as_str(), Number),
        ("verdict", Whole),
        ("method", Whole),
    ];
    if markdown {
        heads.insert(0, ("metric", Whole));
    }
    let mut table = Table::new(&heads);
    let mut verdicts = Vec::new();
    for (metric, rows) in groups(report, &column.comparison) {
        if !markdown {
            table.row(&[title(metric)]);
            verdicts.push(None);
        }
        for row in rows {
            let mut cells = vec![
                test_name(row),
                value(row.base),
                value(row.new),
                change(row.change_percent),
                interval(row),
                row.verdict.name().to_owned(),
                method(row.method),
            ];
            if markdown {
                cells.insert(0, title(metric).to_owned());
            } else {
                cells[0].insert(0, ' ');
            }
            table.row(&cells);
            verdicts.push(Some(row.verdict));
        }
    }
    if let Some(score) = column.comparison.score {
        let cells = [
            "score",
            "",
            &value(score.base),
            &value(score.new),
            &change(score.change_percent),
        ];
        let skip = usize::from(!markdown);
        let cells: Vec<&str> = if skip == 1 {
            vec![cells[0], cells[2], cells[3], cells[4]]
        } else {
            cells.to_vec()
        };
        table.row(&cells);
        verdicts.push(None);
    }
    (verdicts, table)
}

/// A column a run: of each row the value, the change, the verdict, and `*` beside the best value.
fn columns(report: &Report, new: &[Column], markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    use output::Column::{Number, Whole};
    let base = report.base.last().map_or(0, |base| base.listed.id);
    let base = if report.base.len() > 1 {
        "base".to_owned()
    } else {
        format!("run {base}")
    };
    let runs: Vec<String> = new
        .iter()
        .map(|column| format!("run {}", column.run.listed.id))
        .collect();
    let mut heads = vec![("test", Whole), (base.as_str(), Number)];
    for run in &runs {
        heads.push((run.as_str(), Number));
        heads.push(("", Whole));
    }
    if markdown {
        heads.insert(0, ("metric", Whole));
    }
    let mut table = Table::new(&heads);
    let mut lines = Vec::new();
    for &metric in &report.options.metrics {
        let keys = keys(new, metric);
        if keys.is_empty() {
            continue;
        }
        if !markdown {
            table.row(&[title(metric)]);
            lines.push(None);
        }
        for key in keys {
            let of = |column: &'_ Column| {
                let comparison = &column.comparison;
                let mut rows = comparison.rows.iter().chain(&comparison.means);
                rows.find(|row| row.metric == metric && row.test == key)
                    .cloned()
            };
            let found: Vec<Option<Row>> = new.iter().map(of).collect();
            let Some(first) = found.iter().flatten().next() else {
                continue;
            };
            let values = found.iter().flatten().map(|row| row.new);
            let best = values.fold(first.base, |best, value| {
                if metric.higher_is_better() {
                    best.max(value)
                } else {
                    best.min(value)
                }
            });
            let mark = |number: f64| if number == best { "*" } else { " " };
            let shown = |number: f64| value(number) + mark(number);
            let mut cells = vec![test_name(first), shown(first.base)];
            for row in &found {
                match row {
                    Some(row) => cells.extend([
                        shown(row.new),
                        format!("{} {}", change(row.change_percent), row.verdict.name()),
                    ]),
                    None => cells.extend(["-".to_owned(), String::new()]),
                }
            }
            if markdown {
                cells.insert(0, title(metric).to_owned());
            } else {
                cells[0].insert(0, ' ');
            }
            table.row(&cells);
            lines.push(None);
        }
    }
    let score = |column: &Column| column.comparison.score;
    if let Some(first) = new.iter().find_map(score) {
        let scores = new.iter().filter_map(score).map(|score| score.new);
        let best = scores.fold(first.base, f64::max);
        let shown = |score: f64| value(score) + if score == best { "*" } else { " " };
        let mut cells = vec!["score".to_owned(), shown(first.base)];
        if markdown {
            cells.insert(1, String::new());
        }
        for column in new {
            match score(column) {
                Some(score) => cells.extend([shown(score.new), change(score.change_percent)]),
                None => cells.extend(["-".to_owned(), String::new()]),
            }
        }
        table.row(&cells);
        lines.push(None);
    }
    (lines, table)
}

/// The tests that any of the columns has of the metric, and its geometric mean.
pub fn keys(new: &[Column], metric: Metric) -> Vec<Option<TestKey>> {
    let mut keys = Vec::new();
    for column in new {
        for row in column
            .comparison
            .rows
            .iter()
            .chain(&column.comparison.means)
        {
            if row.metric == metric && !keys.contains(&row.test) {
                keys.push(row.test);
            }
        }
    }
    keys.sort_by_key(Option::is_none);
    keys
}

fn body(report: &Report, width: Option<u16>, color: bool) -> String {
    let (verdicts, table) = rows(report, false);
    let text = table.render(width);
    if !color {
        return text;
    }
    let mut colored = String::with_capacity(text.len() * 2);
    // The first line is the header.
    let verdicts = std::iter::once(&None).chain(&verdicts);
    for (line, verdict) in text.lines().zip(verdicts.chain(std::iter::repeat(&None))) {
        let start = match verdict {
            Some(Verdict::Better) => GREEN,
            Some(Verdict::Worse) => RED,
            _ => "",
        };
        let end = if start.is_empty() { "" } else { RESET };
        colored += &[start, line, end, "\n"].concat();
    }
    colored
}

/// What the table does not tell: tests of one side, why rows are unverified, the gate.
fn foot(report: &Report, bullet: &str) -> String {
    let mut lines = Vec::new();
    let several = report.new.len() > 1;
    for column in &report.new {
        let comparison = &column.comparison;
        let of = if several {
            format!("run {}: ", column.run.listed.id)
        } else {
            String::new()
        };
        let remarks = remarks(comparison).into_iter();
        lines.extend(remarks.map(|remark| of.clone() + &remark));
        if report.gate.is_some() {
            for line in gate_lines(report, comparison) {
                lines.push(format!("{of}{line}"));
            }
        }
    }
    if let Some(outcome) = report.gate
        && several
    {
        let outcome = match outcome {
            Outcome::Ok => "ok",
            Outcome::Regression => "regression",
            Outcome::NotComparable => "not comparable",
        };
        lines.push(format!("gate over all: {outcome}"));
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines
        .iter()
        .map(|line| [bullet, &printable(line), "\n"].concat())
        .collect();
    if bullet.is_empty() {
        "\n".to_owned() + &lines
    } else {
        lines
    }
}

/// What the rows do not tell: tests of one side, why rows are unverified or the runs not comparable.
pub fn remarks(comparison: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for (side, tests) in [
        ("base", &comparison.only_base),
        ("new run", &comparison.only_new),
    ] {
        if !tests.is_empty() {
            lines.push(format!("only the {side} has {}", names(tests).join(", ")));
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
    let reasons = &comparison.gate.reasons;
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons.iter().map(in_words).collect();
        lines.push(format!("not comparable: {}", reasons.join(", ")));
    }
    lines
}

fn gate_lines(report: &Report, comparison: &Comparison) -> Vec<String> {
    let gate = &comparison.gate;
    // The means sum up, so they come first.
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
    if worse.len() > MOST_NAMED {
        let more = worse.len() - MOST_NAMED;
        worse.truncate(MOST_NAMED);
        worse.push(format!("  and {more} more"));
    }
    let options = &report.options;
    let rule = format!(
        "{}% or more, p <= {} over {} rows",
        options.min_change, options.gate_alpha, gate.asked
    );
    let verdict = if gate.asked == 0 {
        "gate: nothing tells a change from noise, so no row could decide".to_owned()
    } else if worse.is_empty() {
        format!("gate: nothing got worse ({rule})")
    } else {
        format!("gate: regression ({rule})")
    };
    worse.insert(0, verdict);
    worse
}

/// Why rows are unverified, the most frequent reason.
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
    })
}

/// The most earlier runs that a prediction interval was made of.
fn earlier_runs(comparison: &Comparison) -> Option<usize> {
    let earlier = comparison.rows.iter().filter_map(|row| match row.method {
        Method::Prediction { earlier } => Some(earlier),
        _ => None,
    });
    earlier.max()
}
