//! The score table: each row against all the runs that count in it.

use rusqlite::{Connection, OptionalExtension};

use super::{Finding, Fix, Watch};
use crate::store::rows;
use crate::store::scores::{Computed, ScoreKey, Sums, compute, is_near, stored};

/// Gives how many rows there should be.
pub(super) fn check(db: &Connection, watch: &mut Watch<'_>) -> rusqlite::Result<u64> {
    let computed = compute(db)?;
    let ours = computed.values().filter(|row| row.ours.runs > 0).count() as u64;
    for (key, row) in &computed {
        let place = format!(
            "score of accelerator {}, model variant {}",
            key.accelerator_id, key.model_variant_id
        );
        let flaws = [sums(db, *key, &row.ours)?, published(db, *key, row)?];
        for what in flaws.into_iter().flatten() {
            (watch.found)(Finding::new(&*place, what).fix(Fix::Scores));
        }
    }
    for (table, count) in [
        ("localstore_scores", ours),
        (
            "accelerator_model_performance_scores",
            computed.len() as u64,
        ),
    ] {
        let rows: u64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })?;
        if rows > count {
            let what = format!("has {rows} rows, but the runs give {count}");
            (watch.found)(Finding::new(format!("table {table}"), what).fix(Fix::Scores));
        }
    }
    Ok(ours)
}

/// What is wrong with the row in `localstore_scores`.
fn sums(db: &Connection, key: ScoreKey, ours: &Sums) -> rusqlite::Result<Option<String>> {
    Ok(match stored(db, key)? {
        None => Some("the sums are damaged".to_owned()),
        Some(stored) if stored.is_near(ours) => None,
        Some(stored) if stored.runs == 0 => Some("has no row in localstore_scores".to_owned()),
        Some(stored) if stored.runs != ours.runs => Some(format!(
            "localstore_scores counts {} runs, but there are {}",
            stored.runs, ours.runs
        )),
        Some(_) => Some("the sums do not match the runs".to_owned()),
    })
}

/// What is wrong with the row of the public table.
fn published(db: &Connection, key: ScoreKey, row: &Computed) -> rusqlite::Result<Option<String>> {
    let published: Option<(bool, [Option<f64>; 4])> = db
        .prepare_cached(
            "SELECT p.accelerator_name = a.name AND p.accelerator_type = a.type
                 AND p.accelerator_memory_gb = a.memory_gb AND p.model_name = m.name
                 AND p.model_variant_quant = v.quantization,
                 p.avg_prompt_tps, p.avg_gen_tps, p.avg_ttft, p.performance_score
             FROM accelerator_model_performance_scores p
             JOIN accelerators a ON a.id = p.accelerator_id
             JOIN models m ON m.id = p.model_id
             JOIN model_variants v ON v.id = p.model_variant_id AND v.model_id = m.id
             WHERE p.accelerator_id = ?1 AND p.model_variant_id = ?2",
        )?
        .query_row((key.accelerator_id, key.model_variant_id), |row| {
            let mean = |index| row.get_ref(index).map(rows::number);
            Ok((row.get(0)?, [mean(1)?, mean(2)?, mean(3)?, mean(4)?]))
        })
        .optional()?;
    Ok(match published {
        Some((true, means))
            if are_near(means, row.ours.means(), 1e-12)
                // The site computes the row again with each run that it inserts, and adds otherwise.
                || (row.with_inserted.runs > row.ours.runs
                    && are_near(means, row.with_inserted.means(), 1e-9)) =>
        {
            None
        }
        Some(_) => Some("is not the mean of its runs".to_owned()),
        None if row.ours.runs == 0 => None,
        None => Some("has no row in accelerator_model_performance_scores".to_owned()),
    })
}

fn are_near(means: [Option<f64>; 4], computed: [Option<f64>; 4], tolerance: f64) -> bool {
    means
        .iter()
        .zip(computed)
        .all(|(&mean, computed)| match (mean, computed) {
            (Some(mean), Some(computed)) => is_near(mean, computed, tolerance),
            (mean, computed) => mean == computed,
        })
}
