//! A comparison for people: a table for a terminal, Markdown for a pull request.

use std::io::Write;

use super::words::{
    change, difference, gate_lines, interval, method, remarks, test_name, title, value, what,
};
use super::{Column, Report, Stored};
use crate::stats::{Comparison, Metric, Row, TestKey, Verdict};
use base::{Error, Result};
use base::{Stdout, Table, color_wanted, printable};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

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

/// A line for a terminal, or behind a bullet in Markdown, of which a name may hold signs.
fn shown(text: &str, bullet: &str) -> String {
    if bullet.is_empty() {
        printable(text).into_owned()
    } else {
        [bullet, &base::markdown(text)].concat()
    }
}

/// The runs, and in what they differ.
fn head(report: &Report, bullet: &str) -> String {
    let shown = |text: &str| shown(text, bullet);
    let mut text = what(report).map_or_else(String::new, |what| shown(&what) + "\n");
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
            "{role} run {}, measured {measured}, score {score}{partial}",
            run.id
        );
        if !run.tags.is_empty() {
            line += &[", tagged ", &run.tags.join(" ")].concat();
        }
        text += &shown(&line);
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
        .map(|d| shown(&difference(d, report.base.len())) + "\n")
        .collect();
    text + "\n"
        + &if differences.is_empty() {
            format!("{bullet}No difference between the runs is known but the measurements.\n")
        } else {
            differences.concat()
        }
}

/// The table, a line for each element of the first list, which tells how to colour it.
fn rows(report: &Report, markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    match report.new.as_slice() {
        [one] => pair(report, one, markdown),
        several => columns(report, several, markdown),
    }
}

fn pair(report: &Report, column: &Column, markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    use base::Column::{Number, Whole};
    let percent = 100.0 * (1.0 - report.options.alpha);
    // 0.05 is no binary fraction.
    let percent = (percent * 1e9).round() / 1e9;
    let interval_title = format!("{percent}% interval");
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
    use base::Column::{Number, Whole};
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
    let same_tests = have_same_tests(new);
    let score = |column: &Column| column.comparison.score.filter(|_| same_tests);
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
    if !have_same_tests(new) {
        keys.retain(Option::is_some);
    }
    keys
}

/// Whether each column compares the same tests: else their means are of different things.
fn have_same_tests(new: &[Column]) -> bool {
    let tests = |column: &Column| -> Vec<Option<TestKey>> {
        column.comparison.rows.iter().map(|row| row.test).collect()
    };
    new.iter()
        .skip(1)
        .all(|column| tests(column) == tests(&new[0]))
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
    if several && !have_same_tests(&report.new) {
        lines.push("no means over all: the runs have different tests".to_owned());
    }
    if let Some(gate) = report.gate_in_a_word()
        && several
    {
        lines.push(format!("gate over all: {gate}"));
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines
        .iter()
        .map(|line| shown(line, bullet) + "\n")
        .collect();
    if bullet.is_empty() {
        "\n".to_owned() + &lines
    } else {
        lines
    }
}
