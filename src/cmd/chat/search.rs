use super::super::Context;
use super::{Format, cell};
use crate::formats::chat_json;
use crate::model::{Hit, Needle};
use crate::store::{Store, chats};
use base::rows::Limit;
use base::{Column, ColumnOf, Result};

/// Search titles and contents
///
/// Text matches anywhere, in upper or lower case. Titles come first, then messages, the one added
/// last first, each with the first line that matches.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore chat search 'rayleigh scattering'")]
pub(crate) struct Args {
    /// The text to look for
    text: String,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Print at most this many lines; 0 for all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u32,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let limit = Limit(args.limit);
    let asked = limit.asked().map(|asked| asked as usize);
    let (hits, more) =
        limit.cut(store.read(|db| chats::search(db, &Needle::new(&args.text), asked))?);
    args.output
        .print_list(&hits, &COLUMNS, chat_json::hit, &mut context.out)?;
    if more {
        context.note(&format!(
            "the first {} lines; '--limit 0' shows all",
            args.limit
        ));
    }
    if hits.is_empty() && args.output == Format::Text {
        let path = store.path().display();
        context.note(&format!("{path}: nothing has '{}' in it", args.text));
    }
    Ok(())
}

const COLUMNS: [ColumnOf<Hit>; 4] = [
    ("chat", Column::Number, |hit| hit.chat_id.to_string()),
    ("message", Column::Number, |hit| {
        hit.message_id.map_or_else(String::new, |id| id.to_string())
    }),
    ("role", Column::Whole, |hit| match hit.message_id {
        None => "title".to_owned(),
        Some(_) => cell(hit.role.as_ref()),
    }),
    ("line", Column::Text, |hit| hit.line.clone()),
];
