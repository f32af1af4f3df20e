//! The score table: for each model on each accelerator the mean over its runs, zeros left out.
//!
//! The site computes it anew from all runs; here it is kept by exact sums, so that an add or rm
//! costs the same however many runs there are.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::exact_sum::ExactSum;
use super::rows;
use super::site::INSERTED;
use crate::model::Summary;

/// The row that a run counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScoreKey {
    /// `accelerators.id`.
    pub accelerator_id: i64,
    /// `model_variants.id`.
    pub model_variant_id: i64,
}

impl ScoreKey {
    /// The row of these two; a run that lacks one counts nowhere.
    pub fn new(accelerator_id: Option<i64>, model_variant_id: Option<i64>) -> Option<Self> {
        Some(Self {
            accelerator_id: accelerator_id?,
            model_variant_id: model_variant_id?,
        })
    }

    fn ids(self) -> (i64, i64) {
        (self.accelerator_id, self.model_variant_id)
    }
}

/// Whether a run comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was added.
    Add,
    /// It is being removed.
    Remove,
}

/// What a row is made of: how many runs, and the sums of its four columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// How many runs count in the row.
    pub runs: i64,
    columns: [ExactSum; 4],
}

/// The runs `b` that count: those whose accelerator and model are there, as in the site's own
/// statement.
pub const SCORED: &str = "benchmark_runs b JOIN accelerators a ON a.id = b.accelerator_id
    JOIN model_variants v ON v.id = b.model_variant_id JOIN models m ON m.id = v.model_id";

/// What is read of a run that counts.
const COLUMNS: &str = "a.id, v.id, CAST(b.avg_prompt_tps AS REAL), CAST(b.avg_gen_tps AS REAL),
    CAST(b.avg_ttft_ms AS REAL), CAST(b.performance_score AS REAL)";

/// The rows that the runs of one transaction count in, each read once and written once.
#[derive(Default)]
pub struct Ledger {
    /// In the order in which they came up.
    rows: Vec<(ScoreKey, Sums)>,
    places: HashMap<ScoreKey, usize>,
}

impl Ledger {
    /// Counts a run in, or out again. Its rows are there: it has been added, or is not yet removed.
    pub fn count(
        &mut self,
        db: &Connection,
        key: ScoreKey,
        summary: &Summary,
        change: Change,
    ) -> rusqlite::Result<()> {
        if let Some(&place) = self.places.get(&key) {
            self.rows[place].1.count(summary, change);
            return Ok(());
        }
        let (mut sums, has_it) = match stored(db, key)? {
            Stored::Sums(sums) => (*sums, false),
            Stored::Nothing => (Sums::ZERO, false),
            // What is computed from the runs has the one that was added already.
            Stored::Damaged => (compute(db, key)?, change == Change::Add),
        };
        if !has_it {
            sums.count(summary, change);
        }
        self.places.insert(key, self.rows.len());
        self.rows.push((key, sums));
        Ok(())
    }

    /// Writes all rows.
    pub fn write(self, db: &Connection) -> rusqlite::Result<()> {
        self.rows
            .iter()
            .try_for_each(|(key, sums)| write(db, *key, sums))
    }
}

/// What the store keeps for a row.
pub enum Stored {
    /// The sums.
    Sums(Box<Sums>),
    /// No run counts in it.
    Nothing,
    /// Something that is no sum.
    Damaged,
}

/// What the store keeps for a row.
pub fn stored(db: &Connection, key: ScoreKey) -> rusqlite::Result<Stored> {
    let mut query = db.prepare_cached(
        "SELECT runs, sums FROM localstore_scores
         WHERE accelerator_id = ?1 AND model_variant_id = ?2",
    )?;
    let mut rows = query.query(key.ids())?;
    let Some(row) = rows.next()? else {
        return Ok(Stored::Nothing);
    };
    let sums = match (row.get_ref(0)?, row.get_ref(1)?) {
        (ValueRef::Integer(runs), ValueRef::Blob(bytes)) => Sums::read(runs, bytes),
        _ => None,
    };
    Ok(sums.map_or(Stored::Damaged, |sums| Stored::Sums(Box::new(sums))))
}

/// Makes the row, or removes it if no run counts in it.
pub fn write(db: &Connection, key: ScoreKey, sums: &Sums) -> rusqlite::Result<()> {
    let ids = key.ids();
    if sums.runs <= 0 {
        db.prepare_cached(
            "DELETE FROM localstore_scores WHERE accelerator_id = ?1 AND model_variant_id = ?2",
        )?
        .execute(ids)?;
        db.prepare_cached(
            "DELETE FROM accelerator_model_performance_scores
             WHERE accelerator_id = ?1
               AND model_id = (SELECT model_id FROM model_variants WHERE id = ?2)
               AND model_variant_id = ?2",
        )?
        .execute(ids)?;
        return Ok(());
    }

    db.prepare_cached(
        "INSERT INTO localstore_scores (accelerator_id, model_variant_id, runs, sums)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET runs = excluded.runs, sums = excluded.sums",
    )?
    .execute((ids.0, ids.1, sums.runs, sums.bytes()))?;
    let [pp, tg, ttft, score] = sums.means();
    db.prepare_cached(
        "INSERT INTO accelerator_model_performance_scores
         SELECT a.id, a.name, a.type, a.memory_gb, m.id, m.name, v.id, v.quantization,
                ?3, ?4, ?5, ?6
         FROM accelerators a, model_variants v JOIN models m ON m.id = v.model_id
         WHERE a.id = ?1 AND v.id = ?2
         ON CONFLICT DO UPDATE SET
             avg_prompt_tps = excluded.avg_prompt_tps,
             avg_gen_tps = excluded.avg_gen_tps,
             avg_ttft = excluded.avg_ttft,
             performance_score = excluded.performance_score",
    )?
    .execute((ids.0, ids.1, pp, tg, ttft, score))?;
    Ok(())
}

/// The sums of a row, computed from all its runs.
fn compute(db: &Connection, key: ScoreKey) -> rusqlite::Result<Sums> {
    let mut query = db.prepare(&format!(
        "SELECT {COLUMNS} FROM {SCORED} JOIN localstore_runs r ON r.run_id = b.id
         WHERE a.id = ?1 AND v.id = ?2"
    ))?;
    let mut rows = query.query(key.ids())?;
    let mut sums = Sums::ZERO;
    while let Some(row) = rows.next()? {
        sums.count(&averages(row)?, Change::Add);
    }
    Ok(sums)
}

/// What a row is made of, computed from the runs.
pub struct Computed {
    pub key: ScoreKey,
    /// The runs that count in it; there may be none.
    pub sums: Sums,
    /// The same with those that the site has inserted, if there are any.
    pub with_inserted: Option<Sums>,
}

/// Computes every row from the runs, and hands them over in the order of their keys; one at a time
/// is in memory.
pub fn compute_all(
    db: &Connection,
    mut row_of: impl FnMut(&Computed) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut query = db.prepare(&format!(
        "SELECT {COLUMNS}, r.run_id IS NOT NULL AS counts
         FROM {SCORED} LEFT JOIN localstore_runs r ON r.run_id = b.id
         WHERE counts OR ({INSERTED})
         ORDER BY a.id, v.id, counts DESC"
    ))?;
    let mut rows = query.query([])?;
    let mut group: Option<Computed> = None;
    while let Some(row) = rows.next()? {
        let Some(key) = ScoreKey::new(row.get(0)?, row.get(1)?) else {
            continue;
        };
        if let Some(done) = group.take_if(|group| group.key != key) {
            row_of(&done)?;
        }
        let group = group.get_or_insert(Computed {
            key,
            sums: Sums::ZERO,
            with_inserted: None,
        });
        let sums = if row.get(6)? {
            &mut group.sums
        } else {
            group
                .with_inserted
                .get_or_insert_with(|| group.sums.clone())
        };
        sums.count(&averages(row)?, Change::Add);
    }
    group.map_or(Ok(()), |group| row_of(&group))
}

fn averages(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let number = |index| {
        row.get_ref(index)
            .map(|value| rows::number(value).unwrap_or_default())
    };
    Ok(Summary {
        avg_prompt_tps: number(2)?,
        avg_gen_tps: number(3)?,
        avg_ttft_ms: number(4)?,
        performance_score: number(5)?,
    })
}

impl Sums {
    const ZERO: Self = Self {
        runs: 0,
        columns: [ExactSum::ZERO; 4],
    };

    fn read(runs: i64, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 4 * ExactSum::BYTES {
            return None;
        }
        let mut columns = [ExactSum::ZERO; 4];
        for (column, chunk) in columns.iter_mut().zip(bytes.chunks(ExactSum::BYTES)) {
            *column = ExactSum::read_from(chunk)?;
        }
        Some(Self { runs, columns })
    }

    /// The four means: `avg_prompt_tps`, `avg_gen_tps`, `avg_ttft`, `performance_score`.
    pub fn means(&self) -> [Option<f64>; 4] {
        self.columns.each_ref().map(ExactSum::mean)
    }

    fn count(&mut self, summary: &Summary, change: Change) {
        let values = [
            summary.avg_prompt_tps,
            summary.avg_gen_tps,
            summary.avg_ttft_ms,
            summary.performance_score,
        ];
        self.runs += if change == Change::Add { 1 } else { -1 };
        for (sum, value) in self.columns.iter_mut().zip(values) {
            let value = storable(value);
            if value == 0.0 {
                continue;
            }
            match change {
                Change::Add => sum.add(value),
                Change::Remove => sum.remove(value),
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * ExactSum::BYTES);
        for sum in &self.columns {
            sum.write_to(&mut bytes);
        }
        bytes
    }
}

/// An average as the public tables take it: they want a number, so what is none (a time to first
/// token of zero makes an infinite score) is 0 there, which means not measured.
pub fn storable(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
