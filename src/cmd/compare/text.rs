//! A comparison for people: a table for a terminal, Markdown for a pull request.

use super::words::{common_subject, difference, gate_lines, interval, method, remarks, title};
use super::{Compared, NewRun, Report, StoredRun, change, headline, value};
use crate::stats::{Metric, Verdict};
use base::Column::{Number, Whole};
use base::{Markup, Result, Stdout, Table, color_wanted, time};

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

pub(crate) fn print(report: &Report, markup: Markup, out: &mut Stdout) -> Result<()> {
    let (verdicts, table) = rows(report, markup == Markup::Markdown);
    let mut table = markup.table(&table);
    if out.is_terminal() && color_wanted() && markup != Markup::Markdown {
        table = colored(&table, &verdicts);
    }
    let mut text = String::new();
    for column in &report.new {
        let line = headline(column, &report.options);
        text += &markup.item(&line);
    }
    text += "\n";
    text += &(head(report, markup) + "\n" + &table);
    let foot = foot(report);
    if !foot.is_empty() {
        text.push('\n');
    }
    for line in foot {
        text += &markup.item(&line);
    }
    out.styled(text.as_bytes())
}

/// The runs, and the properties in which they differ.
fn head(report: &Report, markup: Markup) -> String {
    let mut lines: Vec<String> = common_subject(report).into_iter().collect();
    if let [base] = report.base.as_slice() {
        lines.push(run_line("base", base));
    } else {
        lines.push(format!("base median of runs {}", report.base_ids()));
    }
    let new = report.new.iter();
    lines.extend(new.map(|column| run_line("new", &column.run)));
    let differences = report.differences.iter();
    let mut differences: Vec<String> = differences
        .map(|one| difference(one, report.base.len()))
        .collect();
    if differences.is_empty() {
        differences
            .push("No difference between the runs is known but the measurements.".to_owned());
    }
    let items =
        |lines: &[String]| -> String { lines.iter().map(|line| markup.item(line)).collect() };
    items(&lines) + "\n" + &items(&differences)
}

fn run_line(role: &str, stored: &StoredRun) -> String {
    let run = &stored.listed;
    let measured = time::utc(run.measured_at).unwrap_or_default();
    let score = run.summary.listed_score();
    let partial = if run.partial { " partial" } else { "" };
    let tags = match run.tags.as_slice() {
        [] => String::new(),
        tags => format!(", tagged {}", tags.join(" ")),
    };
    let id = run.id;
    format!("{role} run {id}, measured {measured}, score {score}{partial}{tags}")
}

/// The table, and the verdict of each of its lines, for its colour.
fn rows(report: &Report, markdown: bool) -> (Vec<Option<Verdict>>, Table) {
    let mut heads = heads(report);
    if markdown {
        heads.insert(0, ("metric".to_owned(), Whole));
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

/// The columns after the metric: every detail of one new run, or a column for each of several.
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

/// For each run the value, the change and the verdict, with `*` beside the best value.
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
    let score = |column: &NewRun| column.comparison.score.filter(|_| is_same);
    let scores: Vec<_> = report.new.iter().map(score).collect();
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

/// The table with its verdicts in colour.
fn colored(table: &str, verdicts: &[Option<Verdict>]) -> String {
    // The first line is the header.
    let verdicts = std::iter::once(&None).chain(verdicts);
    let lines = table.lines().zip(verdicts);
    let colored = lines.map(|(line, verdict)| match verdict {
        Some(Verdict::Better) => format!("{GREEN}{line}{RESET}\n"),
        Some(Verdict::Worse) => format!("{RED}{line}{RESET}\n"),
        _ => format!("{line}\n"),
    });
    colored.collect()
}

/// The lines below the table: tests of one side, why rows are unverified, the gate.
fn foot(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let several = report.new.len() > 1;
    for column in &report.new {
        let run = if several {
            format!("run {}: ", column.run.listed.id)
        } else {
            String::new()
        };
        let mut remarks = remarks(&column.comparison);
        if report.gate.is_some() {
            remarks.extend(gate_lines(report, &column.comparison));
        }
        lines.extend(remarks.into_iter().map(|line| run.clone() + &line));
    }
    if several && !report.have_same_tests() {
        lines.push("no means over all: the runs have different tests".to_owned());
    }
    if let Some(gate) = report.verdict()
        && several
    {
        lines.push(format!("gate over all: {gate}"));
    }
    lines
}
