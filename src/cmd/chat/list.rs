use super::super::Context;
use super::{Format, cell};
use crate::formats::chat_json;
use crate::model::ChatActivity;
use crate::store::{Store, chats};
use base::rows::Limit;
use base::{Column, ColumnOf, Result};

/// List chats, most recently started first
///
/// The last activity is the time of the newest message. Times are in UTC.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore chat list
  localstore chat list -o json | jq '.[].title'")]
pub(crate) struct Args {
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Print at most this many chats; 0 for all [default: 1000 as text, all as json]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let is_text = args.output == Format::Text;
    let limit = Limit(args.limit.unwrap_or(if is_text { 1000 } else { 0 }));
    let chats = if is_text {
        store.read(chats::activity)?
    } else {
        let plain = |chat| ChatActivity {
            chat,
            ..ChatActivity::default()
        };
        store.read(chats::all)?.into_iter().map(plain).collect()
    };
    let count = chats.len();
    let (chats, more) = limit.cut(chats);
    let json = |listed: &ChatActivity| chat_json::chat(&listed.chat);
    args.output
        .print_list(&chats, &COLUMNS, json, &mut context.out)?;
    if is_text && chats.is_empty() {
        context.note(&format!("{}: no chats", store.path().display()));
    }
    if is_text && more {
        let shown = chats.len();
        context.note(&format!(
            "the first {shown} of {count} chats; '--limit 0' lists all"
        ));
    }
    Ok(())
}

const COLUMNS: [ColumnOf<ChatActivity>; 5] = [
    ("id", Column::Number, |listed| listed.chat.id.to_string()),
    ("title", Column::Text, |listed| {
        cell(listed.chat.title.as_ref())
    }),
    ("model", Column::Text, |listed| {
        cell(listed.chat.model.as_ref())
    }),
    ("messages", Column::Number, |listed| {
        listed.messages.to_string()
    }),
    ("last activity", Column::Whole, |listed| {
        cell(listed.last_at.as_ref())
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Chat;
    use base::{Screen, Table};
    use unicode_width::UnicodeWidthStr;

    const NARROW: Screen = Screen {
        width: Some(80),
        color: false,
    };

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

    /// The time begins in the same column of the terminal, however wide the titles' characters are.
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
        let text = Table::of(&chats, &COLUMNS).render(NARROW);
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
        insta::assert_snapshot!(Table::of(&chats, &COLUMNS).render(NARROW), @r"
         id  title                model               messages  last activity
        128  How can it be that…  Meta-Llama-3.1-8B…         2  2025-04-02 11:03:00
          7  天空为什么是蓝色的   Qwen2.5-14B…               2  2025-04-02 11:03:00
        ");
    }
}
