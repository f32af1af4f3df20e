use std::io::Write;

use super::super::Context;
use super::{Output, TITLE};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::model::{Hit, Needle, Text};
use crate::store::{Store, chats};
use base::{Column, Table, note, shortened};
use base::{Error, Result};

/// Search titles and contents
///
/// Text matches anywhere, whatever the case. Titles come first, then messages, the one added last
/// first, each with the first line that matches.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat search 'rayleigh scattering'")]
pub struct Args {
    /// What is looked for
    text: String,
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// At most so many lines; 0: all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    // One more than is shown tells whether there are more.
    let asked = (args.limit > 0).then(|| args.limit.saturating_add(1));
    let mut hits = store.read(|db| chats::search(db, &Needle::new(&args.text), asked))?;
    let more = args.limit > 0 && hits.len() > args.limit;
    if more {
        hits.truncate(args.limit);
    }
    let out = &mut context.out;
    match args.output {
        Output::Text if hits.is_empty() => Ok(()),
        Output::Text => out.write_all(table(&hits).render(out.width()).as_bytes()),
        Output::Json => Json::Array(hits.iter().map(chat_json::hit).collect()).write_answer(out),
    }
    .map_err(|error| Error::stdout(&error))?;
    if more {
        note(&format!(
            "the first {} lines; '--limit 0' shows all",
            args.limit
        ));
    }
    if hits.is_empty() && args.output == Output::Text {
        let path = store.path().display();
        note(&format!("{path}: nothing has '{}' in it", args.text));
    }
    Ok(())
}

fn table(hits: &[Hit]) -> Table {
    let mut table = Table::new(&[
        ("chat", Column::Number),
        ("message", Column::Number),
        ("role", Column::Whole),
        ("line", Column::Text),
    ]);
    for hit in hits {
        let role = match hit.message_id {
            None => "title".into(),
            Some(_) => hit.role.as_ref().map(Text::display).unwrap_or_default(),
        };
        table.row(&[
            hit.chat_id.to_string(),
            hit.message_id.map_or_else(String::new, |id| id.to_string()),
            shortened(&role, TITLE).into_owned(),
            hit.line.clone(),
        ]);
    }
    table
}
