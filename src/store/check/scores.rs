//! The score table: each row against all the runs that count in it.

use rusqlite::{Connection, OptionalExtension};

use super::mend::Fix;
use super::{Finding, Watch};
use crate::store::rows;
use crate::store::scores::{Computed, ScoreKey, Stored, Sums, compute_all, stored};

/// Gives how many rows there should be.
pub fn check(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<u64> {
    let mut ours = 0;
    let mut all = 0;
    compute_all(db, |row| {
        ours += u64::from(row.sums.runs > 0);
        all += 1;
        for what in flaws(db, row)? {
            watch.found(Finding::new(place(row.key), what).fix(Fix::Scores));
        }
        Ok(())
    })?;
    for (table, count) in [
        ("localstore_scores", ours),
        ("accelerator_model_performance_scores", all),
    ] {
        let rows: u64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })?;
        if rows > count {
            let what = format!("has {rows} rows, by the runs there are {count}");
            watch.found(Finding::new(format!("table {table}"), what).fix(Fix::Scores));
        }
    }
    Ok(ours)
}

fn place(key: ScoreKey) -> String {
    format!(
        "score of accelerator {}, model variant {}",
        key.accelerator_id, key.model_variant_id
    )
}

fn flaws(db: &Connection, row: &Computed) -> rusqlite::Result<Vec<String>> {
    let Computed {
        key,
        sums,
        with_inserted,
    } = row;
    let mut flaws = Vec::new();
    match stored(db, *key)? {
        Stored::Sums(stored) if *stored == *sums => {}
        Stored::Sums(stored) if stored.runs != sums.runs => flaws.push(format!(
            "of {} runs in localstore_scores, there are {}",
            stored.runs, sums.runs
        )),
        Stored::Sums(_) => flaws.push("the sums are not those of the runs".to_owned()),
        Stored::Nothing if sums.runs == 0 => {}
        Stored::Nothing => flaws.push("has no row in localstore_scores".to_owned()),
        Stored::Damaged => flaws.push("the sums are damaged".to_owned()),
    }
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
    match published {
        Some((true, means)) if means == sums.means() => {}
        // The site computes the row anew with each run that it inserts.
        Some((true, means))
            if with_inserted
                .as_ref()
                .is_some_and(|all| is_near(means, all)) => {}
        Some(_) => flaws.push("is not the mean of its runs".to_owned()),
        None if sums.runs == 0 => {}
        None => flaws.push("has no row in accelerator_model_performance_scores".to_owned()),
    }
    Ok(flaws)
}

/// Whether these are the means, as another program adds.
fn is_near(means: [Option<f64>; 4], sums: &Sums) -> bool {
    means
        .iter()
        .zip(sums.means())
        .all(|(&mean, computed)| match (mean, computed) {
            (Some(mean), Some(computed)) => (mean - computed).abs() <= 1e-9 * computed.abs(),
            (mean, computed) => mean == computed,
        })
}
