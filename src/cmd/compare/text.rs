//! A comparison for people: a table for a terminal, Markdown for a pull request.

use std::io::Write;

use super::words::{difference, gate_lines, interval, method, remarks, title, what};
use super::{Column, Compared, Report, Stored, change, value};
use crate::stats::{Metric, Score, Verdict};
use base::Column::{Number, Whole};
use base::{Result, Stdout, Table, color_wanted, printable, time};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

pub(crate) fn table(report: &Report, out: &mut Stdout) -> Result<()> {
    let color = out.is_terminal() && color_wanted();
    let mut text = head(report, "");
    text.push('\n');
    text += &body(report, out.width(), color);
    text += &foot(report, "");
    out.styled(text.as_bytes())
}

pub(crate) fn markdown(report: &Report, out: &mut Stdout) -> Result<()> {
    let mut text = head(report, "- ");
    text.push('\n');
    let (_, table) = rows(report, true);
    text += &table.markdown();
    let foot = foot(report, "- ");
    if !foot.is_empty() {
        text.push('\n');
        text += &foot;
    }
    Ok(out.write_all(text.as_bytes())?)
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
        let ids = report.base.iter().map(|run| run.listed.id.to_string());
        let ids = ids.collect::<Vec<_>>().join(", ");
        text += &[bullet, "base median of runs ", &ids, "\n"].concat();
    }
    let mut line = |role: &str, stored: &Stored| {
        let run = &stored.listed;
        let measured = time::utc(run.measured_at).unwrap_or_default();
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
    let heads = heads(report);
    let mut heads: Vec<_> = heads.iter().map(|(name, kind)| (&**name, *kind)).collect();
    if markdown {
        heads.insert(0, ("metric", Whole));
    }
    let mut table = Table::new(&heads);
    let mut verdicts = Vec::new();
    for &metric in &report.options.metrics {
        let compared = report.compared(metric);
        if !markdown && !compared.is_empty() {
            table.row(&[title(metric)]);
            verdicts.push(None);
        }
        for one in compared {
            let (mut cells, verdict) = match one.rows.as_slice() {
                [Some(row)] => (pair(&one, row), Some(row.verdict)),
                _ => (columns(&one, metric), None),
            };
            if markdown {
                cells.insert(0, title(metric).to_owned());
            } else {
                cells[0].insert(0, ' ');
            }
            table.row(&cells);
            verdicts.push(verdict);
        }
    }
    if let Some(mut cells) = score(report) {
        if markdown {
            cells.insert(1, String::new());
        }
        table.row(&cells);
        verdicts.push(None);
    }
    (verdicts, table)
}

/// The columns behind the metric: of one new run all that is known, of several a column each.
fn heads(report: &Report) -> Vec<(String, base::Column)> {
    let mut heads = vec![("test".to_owned(), Whole)];
    if report.new.len() == 1 {
        let percent = 100.0 * (1.0 - report.options.alpha);
        // 0.05 is not a binary fraction.
        let percent = (percent * 1e9).round() / 1e9;
        heads.extend(["base", "new", "change"].map(|name| (name.to_owned(), Number)));
        heads.push((format!("{percent}% interval"), Number));
        heads.extend(["verdict", "method"].map(|name| (name.to_owned(), Whole)));
        return heads;
    }
    let base = match report.base.as_slice() {
        [base] => format!("run {}", base.listed.id),
        _ => "base".to_owned(),
    };
    heads.push((base, Number));
    for column in &report.new {
        heads.push((format!("run {}", column.run.listed.id), Number));
        heads.push((String::new(), Whole));
    }
    heads
}

fn pair(compared: &Compared, row: &crate::stats::Row) -> Vec<String> {
    vec![
        compared.name.clone(),
        value(row.base),
        value(row.new),
        change(row.change_percent),
        interval(row),
        row.verdict.name().to_owned(),
        method(row.method),
    ]
}

/// Of each run the value, the change, the verdict, and `*` beside the best value.
fn columns(compared: &Compared, metric: Metric) -> Vec<String> {
    let values = compared.rows.iter().flatten().map(|row| row.new);
    let better = if metric.higher_is_better() {
        f64::max
    } else {
        f64::min
    };
    let best = values.fold(compared.base, better);
    let mut cells = vec![compared.name.clone(), marked(compared.base, best)];
    for row in &compared.rows {
        match row {
            Some(row) => cells.extend([
                marked(row.new, best),
                format!("{} {}", change(row.change_percent), row.verdict.name()),
            ]),
            None => cells.extend(["-".to_owned(), String::new()]),
        }
    }
    cells
}

/// The scores, if they are comparable.
fn score(report: &Report) -> Option<Vec<String>> {
    let is_same = report.have_same_tests();
    let score = |column: &Column| column.comparison.score.filter(|_| is_same);
    let scores: Vec<Option<Score>> = report.new.iter().map(score).collect();
    let first = scores.iter().flatten().next()?;
    let values = scores.iter().flatten().map(|score| score.new);
    let best = values.fold(first.base, f64::max);
    let shown = |score: f64| match report.new.len() {
        1 => value(score),
        _ => marked(score, best),
    };
    let mut cells = vec!["score".to_owned(), shown(first.base)];
    for score in &scores {
        match score {
            Some(score) => cells.extend([shown(score.new), change(score.change_percent)]),
            None => cells.extend(["-".to_owned(), String::new()]),
        }
    }
    Some(cells)
}

/// A value, with `*` if it is the best.
fn marked(number: f64, best: f64) -> String {
    value(number) + if number == best { "*" } else { " " }
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
    if several && !report.have_same_tests() {
        lines.push("no means over all: the runs have different tests".to_owned());
    }
    if let Some(gate) = report.verdict()
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
