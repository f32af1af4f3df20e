//! What a shell offers as the next word: names of runs and stored values.

use rusqlite::Connection;

use crate::model::{Tool, short_device, short_quant};
use base::time::date;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Names of runs.
    Runs,
    /// Names of runs, with one id for each configuration.
    Configurations,
    Tags,
    Models,
    Quants,
    Accelerators,
    Runtimes,
}

/// A word, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    pub(crate) word: String,
    pub(crate) about: String,
}

/// The most ids that are offered, and the most of other values.
const MOST_IDS: u32 = 30;
const MOST_VALUES: u32 = 500;

/// The words, the most likely first. Nothing but our tables is read, by index where they are large.
pub(crate) fn suggestions(db: &Connection, wanted: Wanted) -> rusqlite::Result<Vec<Suggestion>> {
    const TAGS: &str = "SELECT tag, 'tag of run ' || max(run_id) FROM localstore_tags
        GROUP BY tag ORDER BY max(run_id) DESC LIMIT ?1";
    let column = match wanted {
        Wanted::Runs | Wanted::Configurations => {
            let names = [
                ("last", "the run added last"),
                ("best", "the run with the highest score"),
            ];
            let mut words: Vec<Suggestion> = names
                .map(|(word, about)| Suggestion {
                    word: word.to_owned(),
                    about: about.to_owned(),
                })
                .into();
            words.extend(values(db, TAGS)?);
            words.extend(ids(db, wanted)?);
            return Ok(words);
        }
        Wanted::Tags => return values(db, TAGS),
        Wanted::Models => "model_name",
        Wanted::Quants => "model_quant_str",
        Wanted::Accelerators => "accelerator_name",
        Wanted::Runtimes => "runtime_name",
    };
    let sql = format!(
        "SELECT DISTINCT {column}, '' FROM localstore_configurations
         WHERE typeof({column}) = 'text' ORDER BY 1 LIMIT ?1"
    );
    values(db, &sql)
}

fn values(db: &Connection, sql: &str) -> rusqlite::Result<Vec<Suggestion>> {
    let mut query = db.prepare(sql)?;
    let words = query.query_map([MOST_VALUES], |row| {
        Ok(Suggestion {
            word: row.get(0)?,
            about: row.get(1)?,
        })
    })?;
    words.collect()
}

fn ids(db: &Connection, wanted: Wanted) -> rusqlite::Result<Vec<Suggestion>> {
    let (id, group) = match wanted {
        Wanted::Configurations => ("max(r.run_id)", "GROUP BY r.configuration_id"),
        _ => ("r.run_id", ""),
    };
    let mut query = db.prepare(&format!(
        "SELECT {id}, c.model_quant_str, c.model_name, c.accelerator_name, r.measured_at,
             r.measured_guessed, c.*
         FROM localstore_runs r LEFT JOIN localstore_configurations c ON c.id = r.configuration_id
         {group} ORDER BY 1 DESC LIMIT ?1"
    ))?;
    let words = query.query_map([MOST_IDS], |row| {
        let id: i64 = row.get(0)?;
        let text = |index| row.get::<_, Option<String>>(index).ok().flatten();
        // A store of an older version has no such column.
        let tool: Option<String> = row.get("tool").ok().flatten();
        let tool = tool
            .and_then(|name| Tool::from_name(&name))
            .unwrap_or_default();
        let model = match (text(1), text(2)) {
            (Some(quant), Some(model)) => {
                let model = tool.plain_model(&model, &quant);
                format!("{} {model}", short_quant(&quant))
            }
            (quant, model) => model.or(quant).unwrap_or_default(),
        };
        let accelerator = text(3).map(|name| short_device(&name));
        let is_guessed: bool = row.get(5).unwrap_or_default();
        let mark = if is_guessed { "~" } else { "" };
        let measured = row.get(4).map(date).unwrap_or_default();
        let measured = format!("{mark}{measured}");
        let parts = [model, accelerator.unwrap_or_default(), measured];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Ok(Suggestion {
            word: id.to_string(),
            about: parts.join(", "),
        })
    })?;
    words.collect()
}
