//! The tables of the page.

use crate::cmd::compare::{self, NewRun, Report};
use crate::cmd::list;
use crate::cmd::plot::tone;
use crate::cmd::words;
use crate::model::{Submission, SubmissionState, Text, Tool, short_device, short_quant};
use crate::page::{Cell, Table};
use crate::stats::Row;
use crate::store::Listed;
use base::number::{amount, percent};
use base::{Column, ColumnOf};

/// The most rows of single tests beside the means.
const MAX_CHANGED: usize = 12;

/// The best runs, each with a link to its configuration.
pub(crate) fn best(
    tool: Tool,
    caption: String,
    runs: &[Listed],
    link: impl Fn(&Listed) -> Option<String>,
) -> Table {
    let mut columns = figures(tool);
    if tool == Tool::LlamaBench {
        // What they are sorted by comes first.
        columns.reverse();
    }
    let model = columns.len() + 1;
    columns.extend::<[ColumnOf<Listed>; 4]>([
        ("quant", Column::Whole, |run| {
            let quant = run.quant.as_ref().map(Text::to_string);
            quant.as_deref().map_or_else(String::new, short_quant)
        }),
        ("model", Column::Text, |run| {
            let name = words::model_name(run.tool, &run.model, &run.quant);
            name.unwrap_or_else(|| "?".to_owned())
        }),
        ("accelerator", Column::Text, |run| {
            short_device(&words::cell(&run.accelerator))
        }),
        ("date", Column::Whole, words::MEASURED.2),
    ]);
    let row = |run| {
        let mut cells = cells(run, &columns);
        if let Some(link) = link(run) {
            cells[model] = std::mem::take(&mut cells[model]).link(link);
        }
        cells
    };
    Table {
        caption: with_marks(caption, runs),
        heads: heads(&columns),
        groups: vec![(String::new(), runs.iter().map(row).collect())],
    }
}

/// The columns of what the tool measures.
fn figures(tool: Tool) -> Vec<ColumnOf<Listed>> {
    match tool {
        Tool::LocalScore => vec![
            words::SCORE,
            words::PROMPT_TPS,
            words::GEN_TPS,
            words::TTFT_MS,
        ],
        Tool::LlamaBench => vec![words::PROMPT_TPS, words::GEN_TPS],
    }
}

/// The caption of a table of these runs, with what the marks mean that are there.
fn with_marks(caption: String, runs: &[Listed]) -> String {
    let any = |has: fn(&Listed) -> bool| runs.iter().any(has);
    let is_about = any(|run| run.source.is_rounded() || run.measured_guessed);
    let marks = list::marks(is_about, any(|run| run.partial));
    let parts = [caption, marks].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("; ")
}

/// The runs of a configuration; without the columns in which they have nothing.
pub(crate) fn runs(tool: Tool, caption: String, runs: &[Listed]) -> Table {
    let mut columns: Vec<ColumnOf<Listed>> = vec![
        words::ID,
        ("date", Column::Whole, words::MEASURED.2),
        ("version", Column::Whole, |run| {
            words::cell(&run.runtime_version)
        }),
    ];
    columns.extend(figures(tool));
    if runs.iter().any(|run| !run.tags.is_empty()) {
        columns.push(("tags", Column::Text, |run| run.tags.join(" ")));
    }
    let has_submission = runs.iter().any(|run| run.submission.is_some());
    let mut heads = heads(&columns);
    if has_submission {
        heads.push(("submitted".to_owned(), Column::Whole));
    }
    let row = |run: &Listed| {
        let mut cells = cells(run, &columns);
        if has_submission {
            cells.push(run.submission.as_ref().map(submission).unwrap_or_default());
        }
        cells
    };
    Table {
        caption: with_marks(caption, runs),
        heads,
        groups: vec![(String::new(), runs.iter().map(row).collect())],
    }
}

fn heads(columns: &[ColumnOf<Listed>]) -> Vec<(String, Column)> {
    let heads = columns.iter();
    heads
        .map(|&(name, kind, _)| (name.to_owned(), kind))
        .collect()
}

fn cells(run: &Listed, columns: &[ColumnOf<Listed>]) -> Vec<Cell> {
    let cells = columns.iter();
    cells.map(|(_, _, cell)| cell(run).into()).collect()
}

/// The link of a submitted run, without the words that all have; else its state.
fn submission(submission: &Submission) -> Cell {
    match (submission.state, &submission.link) {
        (SubmissionState::Submitted, Some(link)) => {
            let short = link
                .split_once("://")
                .map_or(link.as_str(), |(_, rest)| rest);
            Cell::from(short).link(link)
        }
        (SubmissionState::Submitted, None) => "yes".into(),
        (SubmissionState::Pending, _) => "queued".into(),
        (SubmissionState::Failed, _) => "refused".into(),
        (SubmissionState::Unknown, _) => "unknown".into(),
    }
}

/// The geometric means of a comparison, and the tests with another verdict than their mean; none if
/// the runs have no test in common.
pub(crate) fn means(report: &Report, new: &NewRun) -> Option<Table> {
    let comparison = &new.comparison;
    if comparison.means.is_empty() {
        return None;
    }
    let is_other = |row: &&Row| {
        let mean = comparison.mean(row.metric);
        mean.is_none_or(|mean| mean.verdict != row.verdict)
    };
    let others: Vec<&Row> = comparison.rows.iter().filter(is_other).collect();
    let means = comparison.means.iter();
    let mut rows: Vec<Vec<Cell>> = means
        .map(|row| cells_of(compare::title(row.metric).to_owned(), row))
        .collect();
    if let Some(score) = comparison.score {
        rows.push(
            [
                "score".to_owned(),
                format!("{:.0}", score.reference.trunc()),
                format!("{:.0}", score.new.trunc()),
                percent(score.change_percent),
                String::new(),
                String::new(),
            ]
            .map(Cell::from)
            .into(),
        );
    }
    let named = |row: &&Row| {
        let name = format!("{} {}", compare::test_name(row), compare::title(row.metric));
        cells_of(name, row)
    };
    let mut tests: Vec<Vec<Cell>> = others.iter().take(MAX_CHANGED).map(named).collect();
    if others.len() > MAX_CHANGED {
        let more = format!("and {} more", others.len() - MAX_CHANGED);
        tests.push(vec![Cell::from(more)]);
    }
    let mut groups = vec![(String::new(), rows)];
    if !tests.is_empty() {
        groups.push(("tests that differ from their mean".to_owned(), tests));
    }
    Some(Table {
        caption: format!(
            "change: from {} to {}",
            report.reference(new),
            new.run.name()
        ),
        heads: heads_of(report, new, "geo. mean"),
        groups,
    })
}

/// All tests of a comparison; none if the runs have no test in common.
pub(crate) fn tests(report: &Report, new: &NewRun) -> Option<Table> {
    let metrics = report.options.metrics.iter();
    let groups: Vec<_> = metrics
        .map(|&metric| {
            let rows = new.comparison.rows.iter();
            let rows = rows.filter(|row| row.metric == metric).map(|row| {
                let mut cells = cells_of(compare::test_name(row), row);
                cells.push(compare::method(row.method).into());
                cells
            });
            (compare::title(metric).to_owned(), rows.collect::<Vec<_>>())
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let mut heads = heads_of(report, new, "test");
    heads.push(("method".to_owned(), Column::Whole));
    let remarks = compare::remarks(&new.comparison);
    (!groups.is_empty()).then(|| Table {
        caption: remarks.join("; "),
        heads,
        groups,
    })
}

fn heads_of(report: &Report, new: &NewRun, first: &str) -> Vec<(String, Column)> {
    let reference = if new.is_from_level() {
        "level".to_owned()
    } else {
        report.base_name()
    };
    vec![
        (first.to_owned(), Column::Whole),
        (reference, Column::Number),
        (new.run.name(), Column::Number),
        ("change".to_owned(), Column::Number),
        ("95% interval".to_owned(), Column::Number),
        ("verdict".to_owned(), Column::Whole),
    ]
}

fn cells_of(name: String, row: &Row) -> Vec<Cell> {
    vec![
        name.into(),
        amount(row.reference).into(),
        amount(row.new).into(),
        percent(row.change_percent).into(),
        compare::interval(row).into(),
        Cell::from(row.verdict.name()).tone(tone(row)),
    ]
}
