//! The score table: for each model on each accelerator the means over its runs, zeros left out.
//!
//! The site computes the whole table again with each run. Here `localstore_scores` keeps the count and
//! the sum behind each mean, so that an add or rm costs the same however many runs there are.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::site::INSERTED;
use crate::model::Summary;

/// The row of the table that a run counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScoreKey {
    /// `accelerators.id`.
    pub(crate) accelerator_id: i64,
    /// `model_variants.id`.
    pub(crate) model_variant_id: i64,
}

impl ScoreKey {
    fn ids(self) -> (i64, i64) {
        (self.accelerator_id, self.model_variant_id)
    }
}

/// The runs `b` that count: those whose accelerator and model are there, as in the site's own
/// statement.
const SCORED: &str = "benchmark_runs b JOIN accelerators a ON a.id = b.accelerator_id
    JOIN model_variants v ON v.id = b.model_variant_id JOIN models m ON m.id = v.model_id";

/// The columns that [`key_and_summary`] reads of such a run.
const KEY_AND_SUMMARY: &str = "a.id AS accelerator_id, v.id AS model_variant_id,
    CAST(b.avg_prompt_tps AS REAL) AS prompt_tps, CAST(b.avg_gen_tps AS REAL) AS gen_tps,
    CAST(b.avg_ttft_ms AS REAL) AS ttft_ms, CAST(b.performance_score AS REAL) AS score";

fn key_and_summary(row: &Row<'_>) -> rusqlite::Result<(ScoreKey, Summary)> {
    let number = |column| row.get(column).map(Option::unwrap_or_default);
    let key = ScoreKey {
        accelerator_id: row.get("accelerator_id")?,
        model_variant_id: row.get("model_variant_id")?,
    };
    let summary = Summary {
        avg_prompt_tps: number("prompt_tps")?,
        avg_gen_tps: number("gen_tps")?,
        avg_ttft_ms: number("ttft_ms")?,
        performance_score: number("score")?,
    };
    Ok((key, summary))
}

/// The score rows that one transaction changes, each read once and written once.
#[derive(Default)]
pub(crate) struct Scores {
    rows: BTreeMap<ScoreKey, Sums>,
    /// Set where the sums of a row cannot be kept up: all rows are then computed from the runs.
    rebuild: bool,
}

impl Scores {
    /// Counts a run that is added.
    pub(crate) fn add(
        &mut self,
        db: &Connection,
        key: ScoreKey,
        summary: &Summary,
    ) -> rusqlite::Result<()> {
        if let Some(sums) = self.row(db, key)? {
            sums.add(summary);
        }
        Ok(())
    }

    /// Counts a run whose public rows are there.
    pub(crate) fn add_stored(&mut self, db: &Connection, run_id: i64) -> rusqlite::Result<()> {
        match scored(db, run_id)? {
            Some((key, summary)) => self.add(db, key, &summary),
            None => Ok(()),
        }
    }

    /// Takes out a run whose public rows are still there.
    pub(crate) fn remove_stored(&mut self, db: &Connection, run_id: i64) -> rusqlite::Result<()> {
        if let Some((key, summary)) = scored(db, run_id)?
            && let Some(sums) = self.row(db, key)?
        {
            self.rebuild |= !sums.remove(&summary);
        }
        Ok(())
    }

    /// The sums of a row; none if they cannot be read.
    fn row(&mut self, db: &Connection, key: ScoreKey) -> rusqlite::Result<Option<&mut Sums>> {
        Ok(match self.rows.entry(key) {
            Entry::Occupied(entry) => Some(entry.into_mut()),
            Entry::Vacant(entry) => {
                let stored = stored(db, key)?;
                self.rebuild |= stored.is_none();
                stored.map(|sums| entry.insert(sums))
            }
        })
    }

    /// Writes the rows. The rows of the runs themselves have been written.
    pub(crate) fn write(self, db: &Connection) -> rusqlite::Result<()> {
        if self.rebuild {
            return rebuild(db);
        }
        let mut rows = self.rows.iter();
        rows.try_for_each(|(key, sums)| write(db, *key, sums))
    }
}

/// The row that a run counts in, and its averages as the public table has them; none for a run
/// that counts nowhere.
fn scored(db: &Connection, run_id: i64) -> rusqlite::Result<Option<(ScoreKey, Summary)>> {
    db.prepare_cached(&format!(
        "SELECT {KEY_AND_SUMMARY} FROM {SCORED} WHERE b.id = ?1"
    ))?
    .query_row([run_id], key_and_summary)
    .optional()
}

/// The stored sums of a row, all zero where there is none; `None` if they cannot be read.
pub(crate) fn stored(db: &Connection, key: ScoreKey) -> rusqlite::Result<Option<Sums>> {
    let sums = db
        .prepare_cached(
            "SELECT runs, sums FROM localstore_scores
             WHERE accelerator_id = ?1 AND model_variant_id = ?2",
        )?
        .query_row(key.ids(), |row| {
            Ok(match (row.get_ref(0)?, row.get_ref(1)?) {
                (ValueRef::Integer(runs), ValueRef::Text(json)) => {
                    let columns = serde_json::from_slice(json).ok();
                    columns.map(|columns| Sums { runs, columns })
                }
                _ => None,
            })
        })
        .optional()?;
    Ok(sums.unwrap_or_else(|| Some(Sums::default())))
}

/// Makes the row, or removes it if no run counts in it.
fn write(db: &Connection, key: ScoreKey, sums: &Sums) -> rusqlite::Result<()> {
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

    let json = serde_json::to_string(&sums.columns).unwrap_or_default();
    db.prepare_cached(
        "INSERT INTO localstore_scores (accelerator_id, model_variant_id, runs, sums)
         VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET runs = excluded.runs, sums = excluded.sums",
    )?
    .execute((ids.0, ids.1, sums.runs, json))?;
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

/// Computes the whole table from the runs.
pub(crate) fn rebuild(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "DELETE FROM localstore_scores; DELETE FROM accelerator_model_performance_scores",
    )?;
    let rows = compute(db)?;
    rows.iter()
        .try_for_each(|(key, row)| write(db, *key, &row.ours))
}

/// A row of the table, computed from the runs.
#[derive(Default)]
pub(crate) struct Computed {
    /// Over the runs of our tables; there may be none.
    pub(crate) ours: Sums,
    /// Over these and those that the site has inserted since our last write.
    pub(crate) with_inserted: Sums,
}

/// Computes every row from the runs.
pub(crate) fn compute(db: &Connection) -> rusqlite::Result<BTreeMap<ScoreKey, Computed>> {
    let mut query = db.prepare(&format!(
        "SELECT {KEY_AND_SUMMARY}, r.run_id IS NOT NULL AS is_ours
         FROM {SCORED} LEFT JOIN localstore_runs r ON r.run_id = b.id
         WHERE is_ours OR ({INSERTED})"
    ))?;
    let mut rows = query.query([])?;
    let mut computed: BTreeMap<ScoreKey, Computed> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (key, summary) = key_and_summary(row)?;
        let sums = computed.entry(key).or_default();
        sums.with_inserted.add(&summary);
        if row.get("is_ours")? {
            sums.ours.add(&summary);
        }
    }
    Ok(computed)
}

/// What a row of the table is computed from.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sums {
    /// How many runs count in the row.
    pub(crate) runs: i64,
    /// `avg_prompt_tps`, `avg_gen_tps`, `avg_ttft`, `performance_score`.
    columns: [Total; 4],
}

impl Sums {
    fn add(&mut self, summary: &Summary) {
        self.runs += 1;
        for (sum, value) in self.columns.iter_mut().zip(values(summary)) {
            sum.add(value);
        }
    }

    /// Whether what is left is as exact as if the run had never been added.
    fn remove(&mut self, summary: &Summary) -> bool {
        self.runs -= 1;
        let columns = self.columns.iter_mut().zip(values(summary));
        columns.fold(true, |exact, (sum, value)| sum.remove(value) && exact)
    }

    pub(crate) fn means(&self) -> [Option<f64>; 4] {
        self.columns.map(Total::mean)
    }

    /// Whether the counts are the same, and the sums but for rounding.
    pub(crate) fn is_near(&self, other: &Self) -> bool {
        self.runs == other.runs
            && self.columns.iter().zip(&other.columns).all(|(one, other)| {
                one.count == other.count && is_near(one.value(), other.value(), 1e-12)
            })
    }
}

fn values(summary: &Summary) -> [f64; 4] {
    [
        summary.avg_prompt_tps,
        summary.avg_gen_tps,
        summary.avg_ttft_ms,
        summary.performance_score,
    ]
    .map(storable)
}

/// An average as the public tables take it. They want a number: one that is not finite (a time to
/// first token of zero makes an infinite score) is 0 there, which means not measured.
pub(crate) fn storable(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Whether two numbers are the same, but for a part of their size that rounding may take.
pub(crate) fn is_near(one: f64, other: f64, tolerance: f64) -> bool {
    (one - other).abs() <= tolerance * other.abs()
}

/// A sum of values that are not zero, and how many there are.
///
/// `rest` holds what rounding takes from `sum` at each step (Neumaier's summation), so the order of
/// adding does not matter to the last digit that a mean has, and a removed value leaves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Total {
    count: i64,
    sum: f64,
    rest: f64,
}

impl Total {
    fn add(&mut self, value: f64) {
        if value != 0.0 {
            self.count += 1;
            self.accumulate(value);
        }
    }

    /// Gives whether the sum is exact still. Where it was made of one value that is many times
    /// larger than the others, what is left of them has too few digits.
    fn remove(&mut self, value: f64) -> bool {
        const MOST_TIMES: f64 = 1e12;
        if value == 0.0 {
            return true;
        }
        self.count -= 1;
        if self.count <= 0 {
            *self = Self::default();
            return true;
        }
        self.accumulate(-value);
        self.value().abs() * MOST_TIMES >= value.abs()
    }

    fn accumulate(&mut self, value: f64) {
        let finite = |value: f64| value.clamp(f64::MIN, f64::MAX);
        let sum = finite(self.sum + value);
        let rest = if self.sum.abs() >= value.abs() {
            (self.sum - sum) + value
        } else {
            (value - sum) + self.sum
        };
        self.rest = finite(self.rest + rest);
        self.sum = sum;
    }

    fn value(self) -> f64 {
        (self.sum + self.rest).clamp(f64::MIN, f64::MAX)
    }

    fn mean(self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "2^53 runs fit no disk")]
        (self.count > 0).then(|| self.value() / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> Total {
        let mut sum = Total::default();
        for &value in values {
            sum.add(value);
        }
        sum
    }

    #[test]
    fn small_values_survive_huge_ones() {
        assert_eq!(sum(&[1e300, 3.0, -1e300]).mean(), Some(1.0));
        assert_eq!(sum(&[0.1; 10]).mean(), Some(0.1));
        assert_eq!(sum(&[]).mean(), None);
        assert_eq!(sum(&[f64::MAX]).mean(), Some(f64::MAX));
        assert_eq!(sum(&[5e-324]).mean(), Some(5e-324));
        assert!(sum(&[f64::MAX; 3]).mean().is_some_and(f64::is_finite));
    }

    #[test]
    fn a_value_that_hides_the_others_is_noticed_when_it_is_removed() {
        let mut hidden = sum(&[3.0, 1e250]);
        assert!(!hidden.remove(1e250));
        let mut seen = sum(&[3.0, 1e9]);
        assert!(seen.remove(1e9));
        assert_eq!(seen.mean(), Some(3.0));
    }

    proptest! {
        #[test]
        fn one_value_is_its_own_mean(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(sum(&[value]).mean(), Some(value));
        }

        #[test]
        fn the_order_does_not_matter_and_removed_values_leave_no_trace(
            kept in proptest::collection::vec(1e-3..1e9f64, 1..40),
            removed in proptest::collection::vec(1e-3..1e9f64, 0..40),
        ) {
            let mut all = sum(&[removed.clone(), kept.clone()].concat());
            for &value in removed.iter().rev() {
                prop_assert!(all.remove(value));
            }
            let reversed: Vec<f64> = kept.iter().rev().copied().collect();
            prop_assert_eq!(all.mean(), sum(&kept).mean());
            prop_assert_eq!(sum(&reversed).mean(), sum(&kept).mean());
            let json = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(serde_json::from_str::<Total>(&json).unwrap(), all);
        }
    }
}
