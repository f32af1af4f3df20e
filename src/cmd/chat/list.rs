use std::io::Write;

use super::super::Context;
use super::{Output, TITLE};
use crate::formats::chat_json;
use crate::formats::llamafile_json::Json;
use crate::model::{ChatActivity, Text};
use crate::store::{Store, chats};
use base::{Column, Table, note, shortened};
use base::{Error, Result};

/// List chats, the one begun last first
///
/// The last activity is the time of the newest message. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore chat list
  localstore chat list -o json | jq '.[].title'")]
pub struct Args {
    /// How it is printed
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// At most so many chats; 0: all [default: 1000 as text, all as json]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The most chats that are shown to people who did not say how many.
const LIMIT: usize = 1000;

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let out = &mut context.out;
    if args.output == Output::Json {
        let mut chats = store.read(chats::all)?;
        if let Some(limit) = args.limit.filter(|&limit| limit > 0) {
            chats.truncate(limit);
        }
        return Json::Array(chats.iter().map(chat_json::chat).collect())
            .write_answer(out)
            .map_err(|error| Error::stdout(&error));
    }
    let chats = store.read(chats::activity)?;
    let shown = match args.limit.unwrap_or(LIMIT) {
        0 => chats.len(),
        limit => limit.min(chats.len()),
    };
    if chats.is_empty() {
        note(&format!("{}: no chats", store.path().display()));
        return Ok(());
    }
    let text = table(&chats[..shown]).render(out.width());
    out.write_all(text.as_bytes())
        .map_err(|error| Error::stdout(&error))?;
    if shown < chats.len() {
        let count = chats.len();
        note(&format!(
            "the first {shown} of {count} chats; '--limit 0' lists all"
        ));
    }
    Ok(())
}

fn table(chats: &[ChatActivity]) -> Table {
    let text = |text: Option<&Text>| {
        let text = text.map(Text::display).unwrap_or_default();
        shortened(&text, TITLE).into_owned()
    };
    let mut table = Table::new(&[
        ("id", Column::Number),
        ("title", Column::Text),
        ("model", Column::Text),
        ("messages", Column::Number),
        ("last activity", Column::Whole),
    ]);
    for listed in chats {
        table.row(&[
            listed.chat.id.to_string(),
            text(listed.chat.title.as_ref()),
            text(listed.chat.model.as_ref()),
            listed.messages.to_string(),
            text(listed.last_at.as_ref()),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Chat;
    use unicode_width::UnicodeWidthStr;

    fn listed(id: i64, title: &str, model: &str) -> ChatActivity {
        ChatActivity {
            chat: Chat {
                id,
                title: Some(title.into()),
                model: Some(model.into()),
                ..Chat::default()
            },
            messages: 2,
            last_at: Some("2025-04-02 11:03:00".into()),
        }
    }

    /// Whatever the titles are made of, the time begins in the same column of the terminal.
    #[test]
    fn wide_and_combining_characters_keep_the_table_aligned() {
        let chats = [
            listed(1, "plain", "m.gguf"),
            listed(2, "\u{4e2d}\u{6587} \u{1f600}", "m.gguf"),
            listed(3, "cafe\u{301} \u{1f469}\u{200d}\u{1f4bb}", "m.gguf"),
            listed(
                4,
                "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
                "\u{645}\u{631}\u{62d}\u{628}\u{627}",
            ),
            listed(5, "a\u{1b}[31mred\u{7}\nb", "m.gguf"),
            ChatActivity {
                last_at: Some("2025-04-02 11:03:00".into()),
                ..ChatActivity::default()
            },
        ];
        let text = table(&chats).render(Some(80));
        let columns: Vec<usize> = text
            .lines()
            .skip(1)
            .map(|line| line[..line.find("2025-").unwrap()].width())
            .collect();
        assert_eq!(columns, [columns[0]; 6], "{text}");
        assert!(text.contains("a\\x1b[31mred\\x07\\nb"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }

    #[test]
    fn a_list_fits_80_columns() {
        let title = "How can it be that the sky is blue at noon and red in the evening?";
        let chats = [
            listed(128, title, "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"),
            listed(
                7,
                "\u{5929}\u{7a7a}\u{4e3a}\u{4ec0}\u{4e48}\u{662f}\u{84dd}\u{8272}\u{7684}",
                "Qwen2.5-14B-Instruct-Q4_K_M.gguf",
            ),
        ];
        insta::assert_snapshot!(table(&chats).render(Some(80)), @r"
         id  title                 model                 messages  last activity
        128  How can it be that…   Meta-Llama-3.1-8B-I…         2  2025-04-02 11:03:00
          7  天空为什么是蓝色的    Qwen2.5-14B-Instruc…         2  2025-04-02 11:03:00
        ");
    }
}
