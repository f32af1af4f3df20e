//! A comparison for people: text for a terminal, Markdown for a pull request.

use std::collections::{HashMap, HashSet};

use super::headline::in_short;
use super::words::{difference, interval, method, remarks, short, shown, test_name, title};
use super::{Compared, NewRun, Report, amount, percent};
use crate::model::{Names, listed_score};
use crate::stats::{Metric, Outcome, Row, Score, TestKey, Verdict};
use base::Column::{Number, Text, Whole};
use base::{Markup, Result, Screen, Stdout, Style, Table, cut, printable};
use unicode_width::UnicodeWidthStr;

/// The most rows of single tests that are shown because they differ from their mean.
const MAX_TESTS: usize = 12;

/// The screen that has room for the method.
const WIDE: usize = 120;

/// Screens below this have no room for intervals.
const NARROW: usize = 80;

/// The width of a name in a head.
const WIDEST_NAME: usize = 24;

pub(crate) fn print(
    report: &Report,
    markup: Markup,
    with_tests: bool,
    out: &mut Stdout,
) -> Result<()> {
    let text = match (report.new.as_slice(), markup) {
        ([], Markup::Text(screen)) => {
            let line = format!("not decided: {}", report.no_base);
            sentences(&[(line, None)], screen)
        }
        ([], Markup::Markdown) => {
            format!("not decided: {}\n", base::markdown(&report.no_base))
        }
        ([new], Markup::Text(screen)) => pair(report, new, screen, with_tests),
        ([new], Markup::Markdown) => pair_markdown(report, new),
        (_, Markup::Text(screen)) => several(report, screen, with_tests),
        (_, Markup::Markdown) => several_markdown(report),
    };
    out.styled(text.as_bytes())
}

/// The sentences, folded and painted.
fn sentences(lines: &[(String, Option<Style>)], screen: Screen) -> String {
    let line = |(text, style): &(String, Option<Style>)| {
        let folded = screen.fold(&printable(text));
        let lines = folded.split('\n').map(|line| match style {
            Some(style) => screen.paint(*style, line) + "\n",
            None => line.to_owned() + "\n",
        });
        lines.collect::<String>()
    };
    lines.iter().map(line).collect()
}

fn dim(lines: Vec<String>) -> impl Iterator<Item = (String, Option<Style>)> {
    lines.into_iter().map(|line| (line, Some(Style::Dim)))
}

/// A comparison with one new run.
fn pair(report: &Report, new: &NewRun, screen: Screen, with_tests: bool) -> String {
    let style = match new.comparison.outcome {
        Outcome::Slower => Some(Style::Worse),
        Outcome::Faster => Some(Style::Better),
        Outcome::Mixed | Outcome::Undecided | Outcome::NotComparable => Some(Style::Undecided),
        Outcome::Same => None,
    };
    let mut lines = vec![(report.headline(new), style)];
    lines.extend(dim(report.explanation(new)));
    let names = report.names();
    lines.push((String::new(), None));
    lines.push((names.title.clone(), None));
    let mut text = sentences(&lines, screen);
    if !report.differences.is_empty() {
        let has_room = |table: &Table| fits(table, screen);
        let named = Some(differences(report, &names)).filter(has_room);
        let table = named.unwrap_or_else(|| differences(report, &Names::default()));
        text += &table.render(screen);
    }
    let remarks = remarks(&new.comparison);
    text += &sentences(&dim(remarks).collect::<Vec<_>>(), screen);
    let chosen = chosen_rows(report, new, with_tests);
    if chosen.rows.is_empty() {
        return text;
    }
    text.push('\n');
    let columns = PairColumns::fitting(report, new, &chosen.rows, screen, with_tests);
    text += &columns.table(report, new, &chosen.rows).render(screen);
    text += &sentences(&dim(chosen.remarks).collect::<Vec<_>>(), screen);
    text
}

/// Whether the rows fit on the screen, with the cuts that they take.
fn fits(table: &Table, screen: Screen) -> bool {
    let text = table.render(screen);
    let widest = text.lines().map(UnicodeWidthStr::width).max();
    screen
        .width
        .is_none_or(|width| widest.unwrap_or(0) <= width)
}

/// The properties in which the runs differ: a row each, a column for each side.
fn differences(report: &Report, names: &Names) -> Table {
    // Wider gaps than in a table of numbers.
    let spaced = |text: &str| format!("{text} ");
    let count = report.base.len();
    let mut heads = vec![(" ".to_owned(), Whole)];
    let side = |run: &str, name: Option<&String>| {
        let name = name.map(String::as_str).unwrap_or_default();
        (
            spaced(&cut(format!("{run} {name}").trim(), WIDEST_NAME)),
            Text,
        )
    };
    heads.push(side(
        &report.base_name(),
        names.each.first().filter(|_| count == 1),
    ));
    for (at, new) in report.new.iter().enumerate() {
        // What tells it from each of several base runs does not tell it from their median.
        let name = names.each.get(count + at).filter(|_| count == 1);
        heads.push(side(&new.run.name(), name));
    }
    let mut table = Table::new(&heads);
    for difference in &report.differences {
        let mut values = shown(difference);
        let new = values.split_off(count.min(values.len()));
        let base = super::unique(values).join(", ");
        let cells = [difference.name.to_owned(), base].into_iter().chain(new);
        table.row(&cells.map(|cell| spaced(&cell)).collect::<Vec<_>>());
    }
    table
}

/// The rows that are shown.
struct Chosen<'a> {
    /// The label of each.
    rows: Vec<(String, &'a Row)>,
    /// What is said of the others.
    remarks: Vec<String>,
}

/// The means; with each, all its tests or those with another verdict.
fn chosen_rows<'a>(report: &Report, new: &'a NewRun, with_tests: bool) -> Chosen<'a> {
    let comparison = &new.comparison;
    let mut rows = Vec::new();
    let (mut differ, mut hidden) = (0, 0);
    for &metric in &report.options.metrics {
        let Some(mean) = comparison.mean(metric) else {
            continue;
        };
        rows.push((title(metric).to_owned(), mean));
        for row in comparison.rows.iter().filter(|row| row.metric == metric) {
            let is_other = row.verdict != mean.verdict;
            differ += usize::from(is_other);
            if with_tests || (is_other && differ <= MAX_TESTS) {
                rows.push((format!(" {}", test_name(row)), row));
            } else {
                hidden += 1;
            }
        }
    }
    let mut remarks = Vec::new();
    if !with_tests {
        let more = differ.saturating_sub(MAX_TESTS);
        if more > 0 {
            remarks.push(format!("and {more} more"));
        }
        let agree = hidden - more;
        let (the, tests) = match (differ, agree) {
            (_, 1) => ("the other", "1 row of single tests agrees".to_owned()),
            (0, n) => ("the", format!("{n} rows of single tests agree")),
            (_, n) => ("the other", format!("{n} rows of single tests agree")),
        };
        if comparison.outcome == Outcome::NotComparable && agree > 0 {
            remarks.push(format!("'--tests' shows the {agree} rows of single tests"));
        } else if agree > 0 {
            remarks.push(format!(
                "{the} {tests}; '--tests' shows {}",
                if agree == 1 { "it" } else { "them" }
            ));
        } else if more > 0 {
            remarks.push("'--tests' shows them".to_owned());
        }
    }
    Chosen { rows, remarks }
}

/// The columns of a comparison with one new run that the screen has room for.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a column")]
struct PairColumns {
    /// The own value of the base, beside the level.
    base: bool,
    reference: bool,
    new: bool,
    interval: bool,
    method: bool,
}

impl PairColumns {
    /// The most that fit: what tells least is left out first.
    fn fitting(
        report: &Report,
        new: &NewRun,
        rows: &[(String, &Row)],
        screen: Screen,
        with_tests: bool,
    ) -> Self {
        let is_wide = screen.width.is_none_or(|width| width >= WIDE);
        let is_narrow = screen.width.is_some_and(|width| width < NARROW);
        let all = Self {
            base: !is_narrow,
            reference: true,
            new: true,
            interval: !is_narrow,
            method: with_tests || is_wide,
        };
        let without_base = Self { base: false, ..all };
        let plain = Self {
            interval: false,
            ..without_base
        };
        let short = Self {
            method: false,
            ..plain
        };
        let value = Self {
            reference: false,
            ..short
        };
        let change = Self {
            new: false,
            ..value
        };
        let fits = |columns: &&Self| {
            let table = columns.table(report, new, rows).render(Screen::default());
            let widest = table.lines().map(UnicodeWidthStr::width).max();
            screen
                .width
                .is_none_or(|width| widest.is_none_or(|widest| widest <= width))
        };
        let candidates = [all, without_base, plain, short, value];
        candidates.iter().find(fits).copied().unwrap_or(change)
    }

    /// A row for each of these, and one for the score.
    fn table(self, report: &Report, new: &NewRun, rows: &[(String, &Row)]) -> Table {
        self.rows("geo. mean", report, new, rows, new.comparison.score)
    }

    /// A row for each of these under that head.
    fn rows(
        self,
        head: &str,
        report: &Report,
        new: &NewRun,
        rows: &[(String, &Row)],
        score: Option<Score>,
    ) -> Table {
        // Numbers of different columns keep a distance.
        let number = |head: &str| (format!("{head:>7}"), Number);
        let is_comparable = new.comparison.outcome != Outcome::NotComparable;
        let is_from_level = new.is_from_level();
        let interval_head = report.interval_head();
        let intervals: Vec<String> = rows.iter().map(|(_, row)| interval(row)).collect();
        let widest = intervals.iter().map(|text| text.width()).max().unwrap_or(0);
        let left = interval_head.width().saturating_sub(widest) / 2;
        let has_base = if is_from_level {
            self.base
        } else {
            self.reference
        };
        let columns = [
            has_base.then(|| number(&report.base_head())),
            (is_from_level && self.reference).then(|| number("level")),
            self.new.then(|| number(&new.run.name())),
            Some(number("change")),
            (is_comparable && self.interval).then(|| (interval_head.clone(), Whole)),
            is_comparable.then(|| ("verdict".to_owned(), Whole)),
            (is_comparable && self.method).then(|| ("method".to_owned(), Whole)),
        ];
        let mut heads = vec![(head.to_owned(), Whole)];
        heads.extend(columns.iter().flatten().cloned());
        let mut table = Table::new(&heads);
        let mut add = |label: &str, cells: [String; 7]| {
            let cells = columns.iter().zip(cells);
            let cells = cells.filter_map(|(column, cell)| column.is_some().then_some(cell));
            table.row(
                &std::iter::once(label.to_owned())
                    .chain(cells)
                    .collect::<Vec<_>>(),
            );
        };
        for ((label, row), interval) in rows.iter().zip(&intervals) {
            let pad = " ".repeat(left + widest - interval.width());
            add(
                label,
                [
                    amount(row.base),
                    amount(row.reference),
                    amount(row.new),
                    percent(row.change_percent),
                    pad + interval,
                    row.verdict.name().to_owned(),
                    method(row.method),
                ],
            );
        }
        if let Some(score) = score {
            let number = |score| listed_score(score).to_string();
            let change = percent(score.change_percent);
            let [base, reference, new] = [score.base, score.reference, score.new].map(number);
            add(
                "score",
                [
                    base,
                    reference,
                    new,
                    change,
                    String::new(),
                    String::new(),
                    String::new(),
                ],
            );
        }
        table.paint("verdict", verdict_style);
        table
    }
}

fn verdict_style(verdict: &str) -> Option<Style> {
    let is = |one: Verdict| one.name() == verdict;
    if is(Verdict::Worse) || verdict == "slower" {
        Some(Style::Worse)
    } else if is(Verdict::Better) || verdict == "faster" {
        Some(Style::Better)
    } else if is(Verdict::Same) || verdict == "no difference" {
        None
    } else {
        Some(Style::Undecided)
    }
}

/// The rows of single tests as Markdown, folded.
fn details(rows: usize, table: &Table) -> String {
    let table = table.markdown();
    format!("\n<details><summary>{rows} rows of single tests</summary>\n\n{table}\n</details>\n")
}

fn pair_markdown(report: &Report, new: &NewRun) -> String {
    let comparison = &new.comparison;
    let escaped = base::markdown;
    let mut text = format!("**{}**\n", escaped(&report.headline(new)));
    for line in report.explanation(new) {
        text.extend(["\n", &escaped(&line), "\n"]);
    }
    let names = report.names();
    let mut items = vec![names.title];
    let count = report.base.len();
    items.extend(report.differences.iter().map(|one| difference(one, count)));
    items.extend(remarks(comparison));
    items.retain(|item| !item.is_empty());
    text.push('\n');
    text.extend(items.iter().map(|item| Markup::Markdown.item(item)));
    let columns = PairColumns {
        base: true,
        reference: true,
        new: true,
        interval: true,
        method: true,
    };
    let means: Vec<(String, &Row)> = comparison
        .means
        .iter()
        .map(|row| (title(row.metric).to_owned(), row))
        .collect();
    if means.is_empty() {
        return text;
    }
    text.push('\n');
    text += &columns.table(report, new, &means).markdown();
    let mut tests = Vec::new();
    for &metric in &report.options.metrics {
        let rows = comparison.rows.iter().filter(|row| row.metric == metric);
        tests.extend(rows.map(|row| (format!("{} {}", title(metric), test_name(row)), row)));
    }
    text + &details(
        tests.len(),
        &columns.rows("test", report, new, &tests, None),
    )
}

/// A comparison of several new runs, which are rows.
fn several(report: &Report, screen: Screen, with_tests: bool) -> String {
    let mut lines: Vec<(String, Option<Style>)> = report
        .ranking()
        .into_iter()
        .map(|line| (line, None))
        .collect();
    if let Some((_, style)) = lines.first_mut() {
        *style = Some(Style::Bold);
    }
    let names = report.names();
    lines.push((String::new(), None));
    lines.push((names.title.clone(), None));
    let mut text = sentences(&lines, screen);
    let lines = Lines::of(report);
    if report.have_same_tests() {
        text += &fitting(report, &names, &lines, None, screen);
    } else {
        let line = if lines.tests.is_empty() {
            "no test in common".to_owned()
        } else {
            "no means over all: the runs have different tests".to_owned()
        };
        text += &sentences(&[(line, Some(Style::Dim))], screen);
    }
    let shown = match (with_tests, report.have_same_tests()) {
        (true, _) => lines.tests.len(),
        (false, true) => 0,
        (false, false) => MAX_TESTS,
    };
    for (test, name) in lines.tests.iter().take(shown) {
        text.extend(["\n", &printable(name), "\n"]);
        text += &fitting(report, &names, &lines, Some(*test), screen);
    }
    if shown > 0 && lines.tests.len() > shown {
        let line = format!(
            "and {} more tests; '--tests' shows them",
            lines.tests.len() - shown
        );
        text += &sentences(&[(line, Some(Style::Dim))], screen);
    }
    text
}

/// The lines of each metric, and the tests of them all with their names.
struct Lines<'a> {
    metrics: Vec<(Metric, HashMap<Option<TestKey>, Compared<'a>>)>,
    tests: Vec<(TestKey, String)>,
}

impl<'a> Lines<'a> {
    fn of(report: &'a Report) -> Self {
        let mut lines = Self {
            metrics: Vec::new(),
            tests: Vec::new(),
        };
        let mut seen = HashSet::new();
        for metric in report.speeds() {
            let compared = report.compared(metric);
            for one in &compared {
                if let Some(test) = one.test.filter(|test| seen.insert(*test)) {
                    lines.tests.push((test, one.name.clone()));
                }
            }
            let by_test = compared.into_iter().map(|one| (one.test, one));
            lines.metrics.push((metric, by_test.collect()));
        }
        lines
    }
}

/// The table of several runs with as many metrics as the screen has room for; if there is none for a
/// value, with the change of the first one alone.
fn fitting(
    report: &Report,
    names: &Names,
    lines: &Lines,
    test: Option<TestKey>,
    screen: Screen,
) -> String {
    let all = lines.metrics.len();
    let mut tables = (1..=all)
        .rev()
        .map(|count| ranked(report, names, (lines, count), test, true));
    let fits_uncut = |table: &Table| {
        let text = table.render(Screen::default());
        let widest = text.lines().map(UnicodeWidthStr::width).max();
        screen
            .width
            .is_none_or(|width| widest.unwrap_or(0) <= width)
    };
    let table = tables.find(fits_uncut).unwrap_or_else(|| {
        let table = ranked(report, names, (lines, 1), test, true);
        if fits(&table, screen) {
            table
        } else {
            ranked(report, names, (lines, 1), test, false)
        }
    });
    table.render(screen)
}

/// A row for each run: its values, scores and changes, the best of each marked, or its changes alone, of
/// so many metrics.
fn ranked(
    report: &Report,
    names: &Names,
    (lines, count): (&Lines, usize),
    test: Option<TestKey>,
    with_values: bool,
) -> Table {
    let mut table = Table::new::<&str>(&[]);
    if names.each.iter().any(|name| !name.is_empty()) {
        let head = match names.by.as_slice() {
            [one] => one,
            _ => "name",
        };
        // Of several base runs the first speaks for all.
        let new = names.each.iter().skip(report.base.len());
        table.column(head, Text, names.each.iter().take(1).chain(new).cloned());
    }
    let ids = report.new.iter().map(|new| new.run.label());
    let ids = std::iter::once(report.base_label()).chain(ids);
    table.column("run", Number, ids);
    for (metric, compared) in lines.metrics.iter().take(count) {
        let metric = *metric;
        let Some(one) = compared.get(&test) else {
            continue;
        };
        let (values, changes) = columns(one, metric);
        if with_values {
            table.column(title(metric), Number, values.into_iter());
            table.column("", Number, changes.into_iter());
        } else {
            table.column(short(metric), Number, changes.into_iter());
        }
    }
    if test.is_some() {
        return table;
    }
    let scores = scores(report);
    if with_values && scores.iter().any(|score| !score.is_empty()) {
        table.column("score", Number, scores.into_iter());
    }
    let verdicts = report.new.iter().map(|new| match new.comparison.outcome {
        Outcome::NotComparable => "",
        _ => in_short(&new.comparison),
    });
    let verdicts: Vec<&str> = std::iter::once("").chain(verdicts).collect();
    if verdicts.iter().any(|verdict| !verdict.is_empty()) {
        table.column("verdict", Whole, verdicts.into_iter().map(str::to_owned));
        table.paint("verdict", verdict_style);
    }
    table
}

/// The score of each run, the base first, the best marked.
fn scores(report: &Report) -> Vec<String> {
    let found: Vec<_> = report.new.iter().map(|new| new.comparison.score).collect();
    let base = found.iter().flatten().next().map(|score| score.base);
    let new = found.iter().map(|score| score.map(|score| score.new));
    let scores: Vec<Option<f64>> = std::iter::once(base).chain(new).collect();
    let known = scores.iter().flatten().copied();
    let best = known.fold(f64::NEG_INFINITY, f64::max);
    let cell = |score: &Option<f64>| {
        score.map_or_else(String::new, |score| {
            let mark = if score >= best { "*" } else { "" };
            format!("{}{mark}", listed_score(score))
        })
    };
    scores.iter().map(cell).collect()
}

/// The values of a line and their changes, the base first.
fn columns(compared: &Compared, metric: Metric) -> (Vec<String>, Vec<String>) {
    let better = if metric.higher_is_better() {
        f64::max
    } else {
        f64::min
    };
    let news = compared.rows.iter().flatten().map(|row| row.new);
    let best = news.fold(compared.base, better);
    let marked = |value: f64| {
        let mark = if value == best { "*" } else { "" };
        format!("{}{mark}", amount(value))
    };
    let mut values = vec![marked(compared.base)];
    let mut changes = vec![String::new()];
    for row in &compared.rows {
        values.push(row.map_or_else(String::new, |row| marked(row.new)));
        changes.push(row.map_or_else(String::new, |row| percent(row.change_percent)));
    }
    (values, changes)
}

fn several_markdown(report: &Report) -> String {
    let escaped = base::markdown;
    let mut text = String::new();
    for (index, line) in report.ranking().iter().enumerate() {
        match index {
            0 => text.extend(["**", &escaped(line), "**\n"]),
            _ => text.extend(["\n", &escaped(line), "\n"]),
        }
    }
    let names = report.names();
    text.extend(["\n", &Markup::Markdown.item(&names.title), "\n"]);
    let lines = Lines::of(report);
    let all = (&lines, lines.metrics.len());
    if report.have_same_tests() {
        text += &ranked(report, &names, all, None, true).markdown();
    } else {
        text += "no means over all: the runs have different tests\n";
    }
    let tests = &lines.tests;
    let tables = tests.iter().map(|(test, name)| {
        let table = ranked(report, &names, all, Some(*test), true).markdown();
        format!("{}\n\n{table}\n", escaped(name))
    });
    let tables: String = tables.collect();
    text + &format!(
        "\n<details><summary>{} tests</summary>\n\n{tables}</details>\n",
        tests.len()
    )
}
