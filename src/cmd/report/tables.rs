//! The tables of the page.

use super::{known, model};
use crate::cmd::compare::{self, Report};
use crate::cmd::plot::{date, tone};
use crate::cmd::words::score;
use crate::page::{Cell, Table};
use crate::stats::Row;
use crate::store::Listed;
use base::Column;

/// The best runs, ranked.
pub(crate) fn best(runs: &[Listed]) -> Table {
    let mut heads = vec![
        ("rank", Column::Number),
        ("model", Column::Text),
        ("accelerator", Column::Text),
        ("runtime", Column::Text),
    ];
    heads.extend(MEASURED);
    let rows = runs.iter().enumerate().map(|(index, run)| {
        let mut cells: Vec<Cell> = vec![
            (index + 1).to_string().into(),
            model(&run.model, &run.quant, "?").into(),
            known(&run.accelerator, "?").into(),
            runtime(run).into(),
        ];
        cells.extend(measured(run));
        cells
    });
    Table {
        caption: "Best runs by score".to_owned(),
        heads,
        groups: vec![(String::new(), rows.collect())],
    }
}

/// The last runs of a configuration.
pub(crate) fn recent<'a>(runs: impl Iterator<Item = &'a Listed>) -> Table {
    let mut heads = MEASURED.to_vec();
    heads.insert(2, ("version", Column::Whole));
    heads.push(("tags", Column::Text));
    let rows = runs.map(|run| {
        let mut cells = measured(run).to_vec();
        cells.insert(2, known(&run.runtime_version, "?").into());
        cells.push(run.tags.join(" ").into());
        cells
    });
    Table {
        caption: "Last runs, the newest first".to_owned(),
        heads,
        groups: vec![(String::new(), rows.collect())],
    }
}

/// The columns of [`measured`].
const MEASURED: [(&str, Column); 6] = [
    ("run", Column::Number),
    ("measured", Column::Whole),
    ("score", Column::Number),
    ("pp t/s", Column::Number),
    ("tg t/s", Column::Number),
    ("ttft ms", Column::Number),
];

fn measured(run: &Listed) -> [Cell; 6] {
    let summary = &run.summary;
    [
        run.id.to_string().into(),
        date(run).into(),
        score(run).into(),
        format!("{:.2}", summary.avg_prompt_tps).into(),
        format!("{:.2}", summary.avg_gen_tps).into(),
        format!("{:.2}", summary.avg_ttft_ms).into(),
    ]
}

fn runtime(run: &Listed) -> String {
    let name = known(&run.runtime, "?");
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
        format!(", score {}", compare::change(score.change_percent))
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
        compare::value(row.base).into(),
        compare::value(row.new).into(),
        compare::change(row.change_percent).into(),
        compare::interval(row).into(),
        verdict,
        compare::method(row.method).into(),
    ]
}
