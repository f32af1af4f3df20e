//! The score table: for each model on each accelerator the mean over its runs, zeros left out.
//!
//! The site computes it anew from all runs; here it is kept by exact sums, so that an add or rm
//! costs the same however many runs there are.

use rusqlite::{Connection, OptionalExtension};

use super::exact_sum::ExactSum;
use crate::model::Summary;

/// The row that a run counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

/// Whether a run comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was added.
    Add,
    /// It is being removed.
    Remove,
}

/// The sums of the four columns of a row.
struct Sums {
    runs: i64,
    columns: [ExactSum; 4],
}

/// Counts a run in, or out again.
pub fn count(
    db: &Connection,
    key: ScoreKey,
    summary: &Summary,
    change: Change,
) -> rusqlite::Result<()> {
    let ids = (key.accelerator_id, key.model_variant_id);
    let stored: Option<(i64, Vec<u8>)> = db
        .prepare_cached(
            "SELECT runs, sums FROM localstore_scores
             WHERE accelerator_id = ?1 AND model_variant_id = ?2",
        )?
        .query_row(ids, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let mut sums = Sums::read(stored);
    sums.count(summary, change);

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
    let [pp, tg, ttft, score] = sums.columns.each_ref().map(ExactSum::mean);
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

impl Sums {
    fn read(stored: Option<(i64, Vec<u8>)>) -> Self {
        let (runs, bytes) = stored.unwrap_or_default();
        let mut chunks = bytes.chunks(ExactSum::BYTES);
        let columns = [(); 4].map(|()| {
            chunks
                .next()
                .and_then(ExactSum::read_from)
                .unwrap_or(ExactSum::ZERO)
        });
        Self { runs, columns }
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
