//! What the gateway asks of the stored results: how fast a model runs.

use std::fmt::Display;
use std::path::Path;

use base::{Result, printable};
use db::Room;
use gateway::{Filters, Measured, Newest, Speed, Speeds};
use rusqlite::Connection;

use crate::model::{Tool, short_quant};
use crate::store::speeds::{configurations, newest, version};
use crate::store::{Configuration, Filter, RESULTS};

/// The results in the store.
pub(crate) struct Stored;

/// The configurations that are named at most.
const NAMED: usize = 6;

impl Speeds for Stored {
    fn room(&self) -> &'static Room {
        &RESULTS
    }

    fn newest(&self, db: &Connection, filters: &Filters) -> Result<Newest> {
        let failed = |error: db::Error| error.of_file(Path::new(db.path().unwrap_or_default()));
        let filter = filter(filters);
        let measured = newest(db, &filter).map_err(failed)?;
        let configurations = configurations(db, &filter).map_err(failed)?;
        let mut ambiguous = Vec::new();
        if configurations.len() > 1 {
            let tool = configurations[0].tool;
            let has_both = configurations.iter().any(|other| other.tool != tool);
            let named = configurations.iter().take(NAMED);
            ambiguous.extend(named.map(|of| in_words(of, has_both)));
            if configurations.len() > NAMED {
                ambiguous.push(format!("… ({})", configurations.len()));
            }
        }
        Ok(Newest {
            measured: measured.map(|run| Measured {
                run: run.run,
                speed: Speed {
                    prompt_tps: run.prompt_tps,
                    gen_tps: run.gen_tps,
                },
            }),
            ambiguous,
        })
    }

    fn version(&self, db: &Connection) -> Result<i64> {
        version(db).map_err(|error| base::Error::plain(db::reason(&error)))
    }
}

fn filter(filters: &Filters) -> Filter {
    Filter {
        model: filters.model.clone(),
        quant: filters.quant.clone(),
        accelerator: filters.accelerator.clone(),
        runtime: filters.runtime.clone(),
        tool: filters.tool.as_deref().and_then(Tool::from_name),
        tag: filters.tag.clone(),
        ..Filter::default()
    }
}

/// `Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, llamafile`, and the tool if it is to be told.
fn in_words(of: &Configuration, has_tool: bool) -> String {
    let text = |part: &dyn Display| printable(&part.to_string()).into_owned();
    let quant = of
        .quant
        .as_ref()
        .map(|quant| short_quant(&quant.to_string()));
    let parts = [
        of.model.as_ref().map(|part| text(part)),
        quant.map(|part| text(&part)),
        of.accelerator.as_ref().map(|part| text(part)),
        of.runtime.as_ref().map(|part| text(part)),
        has_tool.then(|| of.tool.title().to_owned()),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(", ")
}
