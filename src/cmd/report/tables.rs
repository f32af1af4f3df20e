//! The tables of the page.

use crate::cmd::compare::{self, Report};
use crate::cmd::plot::tone;
use crate::cmd::words;
use crate::page::{Cell, Table};
use crate::stats::Row;
use crate::store::Listed;
use base::{Column, ColumnOf};

/// The best runs, ranked.
pub(crate) fn best(runs: &[Listed]) -> Table {
    let mut columns: Vec<ColumnOf<Listed>> = vec![
        ("model", Column::Text, |run| {
            words::with_quant(&words::cell(&run.model), run.quant.as_ref())
        }),
        ("accelerator", Column::Text, |run| {
            words::cell(&run.accelerator)
        }),
        ("runtime", Column::Text, runtime),
    ];
    columns.extend(MEASURED);
    let mut table = table("Best runs by score", runs, &columns);
    table.heads.insert(0, ("rank", Column::Number));
    for (index, row) in table
        .groups
        .iter_mut()
        .flat_map(|(_, rows)| rows)
        .enumerate()
    {
        row.insert(0, (index + 1).to_string().into());
    }
    table
}

/// The most recent runs of a configuration.
pub(crate) fn recent<'a>(runs: impl IntoIterator<Item = &'a Listed>) -> Table {
    let mut columns = MEASURED.to_vec();
    columns.insert(
        2,
        ("version", Column::Whole, |run| {
            words::cell(&run.runtime_version)
        }),
    );
    columns.push(("tags", Column::Text, |run| run.tags.join(" ")));
    table("Last runs, the newest first", runs, &columns)
}

const MEASURED: [ColumnOf<Listed>; 6] = [
    ("run", Column::Number, |run| run.id.to_string()),
    words::MEASURED,
    words::SCORE,
    words::PROMPT_TPS,
    words::GEN_TPS,
    words::TTFT_MS,
];

/// A table with a row for each run.
fn table<'a>(
    caption: &str,
    runs: impl IntoIterator<Item = &'a Listed>,
    columns: &[ColumnOf<Listed>],
) -> Table {
    let row = |run| {
        columns
            .iter()
            .map(|(_, _, cell)| cell(run).into())
            .collect()
    };
    Table {
        caption: caption.to_owned(),
        heads: columns
            .iter()
            .map(|&(name, kind, _)| (name, kind))
            .collect(),
        groups: vec![(String::new(), runs.into_iter().map(row).collect())],
    }
}

fn runtime(run: &Listed) -> String {
    let name = words::cell(&run.runtime);
    match &run.runtime_version {
        Some(version) => format!("{name} {version}"),
        None => name,
    }
}

/// The comparison of two runs; none if they have no test in common.
pub(crate) fn comparison(report: &Report) -> Option<Table> {
    let (base, column) = (report.base.first()?, report.new.first()?);
    let comparison = &column.comparison;
    let groups: Vec<_> = report
        .options
        .metrics
        .iter()
        .map(|&metric| {
            let rows = comparison.rows.iter().chain(&comparison.means);
            let rows = rows.filter(|row| row.metric == metric).map(row);
            (compare::title(metric).to_owned(), rows.collect::<Vec<_>>())
        })
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    if groups.is_empty() {
        return None;
    }
    let score = comparison.score.map_or_else(String::new, |score| {
        format!(", score {}", compare::percent(score.change_percent))
    });
    let runs = format!(
        "The last two whole runs: run {} against run {}{score}",
        column.run.listed.id, base.listed.id
    );
    let differences = report.differences.iter();
    let differences = differences.map(|one| compare::difference(one, report.base.len()));
    let remarks = differences.chain(compare::remarks(comparison));
    let caption: Vec<String> = std::iter::once(runs).chain(remarks).collect();
    Some(Table {
        caption: caption.join("; "),
        heads: vec![
            ("test", Column::Whole),
            ("base", Column::Number),
            ("new", Column::Number),
            ("change", Column::Number),
            ("interval, %", Column::Number),
            ("verdict", Column::Whole),
            ("method", Column::Whole),
        ],
        groups,
    })
}

fn row(row: &Row) -> Vec<Cell> {
    let verdict = Cell {
        text: row.verdict.name().to_owned(),
        tone: tone(row),
    };
    vec![
        compare::test_name(row).into(),
        compare::amount(row.base).into(),
        compare::amount(row.new).into(),
        compare::percent(row.change_percent).into(),
        compare::interval(row).into(),
        verdict,
        compare::method(row.method).into(),
    ]
}
