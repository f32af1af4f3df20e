//! The score table: each row against all the runs that count in it.

use rusqlite::{Connection, OptionalExtension};

use super::mend::Fix;
use super::{Finding, Watch};
use crate::store::scores::{ScoreKey, Stored, Sums, compute_all, stored};

/// Gives how many rows there should be.
pub fn check(db: &Connection, watch: &mut dyn Watch) -> rusqlite::Result<u64> {
    let mut count = 0;
    compute_all(db, |key, sums| {
        count += 1;
        for what in flaws(db, key, sums)? {
            watch.found(Finding::new(place(key), what).fix(Fix::Scores));
        }
        Ok(())
    })?;
    for table in ["localstore_scores", "accelerator_model_performance_scores"] {
        let rows: u64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })?;
        if rows > count {
            let what = format!("has {rows} rows, by the runs there are {count}");
            watch.found(Finding::new(format!("table {table}"), what).fix(Fix::Scores));
        }
    }
    Ok(count)
}

fn place(key: ScoreKey) -> String {
    format!(
        "score of accelerator {}, model variant {}",
        key.accelerator_id, key.model_variant_id
    )
}

fn flaws(db: &Connection, key: ScoreKey, sums: &Sums) -> rusqlite::Result<Vec<String>> {
    let mut flaws = Vec::new();
    match stored(db, key)? {
        Stored::Sums(stored) if *stored == *sums => {}
        Stored::Sums(stored) if stored.runs != sums.runs => flaws.push(format!(
            "of {} runs in localstore_scores, there are {}",
            stored.runs, sums.runs
        )),
        Stored::Sums(_) => flaws.push("the sums are not those of the runs".to_owned()),
        Stored::Nothing => flaws.push("has no row in localstore_scores".to_owned()),
        Stored::Damaged => flaws.push("the sums are damaged".to_owned()),
    }
    let is_right: Option<bool> = db
        .prepare_cached(
            "SELECT p.avg_prompt_tps IS ?3 AND p.avg_gen_tps IS ?4 AND p.avg_ttft IS ?5
                 AND p.performance_score IS ?6 AND p.accelerator_name = a.name
                 AND p.accelerator_type = a.type AND p.accelerator_memory_gb = a.memory_gb
                 AND p.model_name = m.name AND p.model_variant_quant = v.quantization
             FROM accelerator_model_performance_scores p
             JOIN accelerators a ON a.id = p.accelerator_id
             JOIN models m ON m.id = p.model_id
             JOIN model_variants v ON v.id = p.model_variant_id AND v.model_id = m.id
             WHERE p.accelerator_id = ?1 AND p.model_variant_id = ?2",
        )?
        .query_row(
            {
                let [pp, tg, ttft, score] = sums.means();
                (
                    key.accelerator_id,
                    key.model_variant_id,
                    pp,
                    tg,
                    ttft,
                    score,
                )
            },
            |row| row.get(0),
        )
        .optional()?;
    match is_right {
        Some(true) => {}
        Some(false) => flaws.push("is not the mean of its runs".to_owned()),
        None => flaws.push("has no row in accelerator_model_performance_scores".to_owned()),
    }
    Ok(flaws)
}
