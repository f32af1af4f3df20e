//! llamafile's chats and messages.
//!
//! They are there in any store, also in one that only llamafile has written to. Any column may
//! hold anything, since SQLite lets it: values are read as the C code reads them.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::{Store, rows};
use crate::model::{Chat, ChatActivity, Hit, Message, Needle, NewMessage, Sampling, Text};
use base::{Error, Result};

/// The casts give what the C code gets when it asks SQLite for a text or a number.
const CHAT: &str = "SELECT id, CAST(created_at AS TEXT), CAST(model AS TEXT), CAST(title AS TEXT)
    FROM chats";

const MESSAGE: &str = "SELECT id, CAST(created_at AS TEXT), CAST(chat_id AS INTEGER),
    CAST(role AS TEXT), CAST(content AS TEXT), CAST(temperature AS REAL), CAST(top_p AS REAL),
    CAST(presence_penalty AS REAL), CAST(frequency_penalty AS REAL) FROM messages";

impl Store {
    /// All chats, the one begun last first. Of those of one second SQLite chooses the order, as it
    /// does for the C code, which asks in the same words.
    pub fn chats(&self) -> Result<Vec<Chat>> {
        self.read_chats(|db| {
            db.prepare(&format!("{CHAT} ORDER BY created_at DESC"))?
                .query_map([], chat)?
                .collect()
        })
    }

    /// All chats in the same order, with what became of them.
    pub fn chat_activity(&self) -> Result<Vec<ChatActivity>> {
        let chats = self.chats()?;
        let mut activity = self.read_chats(activity)?;
        let mut listed = Vec::with_capacity(chats.len());
        for chat in chats {
            let (messages, last_at) = activity.remove(&chat.id).unwrap_or_default();
            let last_at = last_at.map(Text::from).or_else(|| chat.created_at.clone());
            listed.push(ChatActivity {
                chat,
                messages,
                last_at,
            });
        }
        Ok(listed)
    }

    /// The chat of that id.
    pub fn chat(&self, id: i64) -> Result<Option<Chat>> {
        let chats = self.read_chats(|db| {
            db.prepare_cached(&format!("{CHAT} WHERE id = ?1"))?
                .query_map([id], chat)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(chats.into_iter().next())
    }

    /// The messages of a chat, the one written last first, in the order in which the C code gets
    /// them. A chat that is gone may have left some.
    pub fn messages(&self, chat_id: i64) -> Result<Vec<Message>> {
        self.messages_by(chat_id, "created_at DESC")
    }

    /// The messages of a chat as they were written.
    pub fn conversation(&self, chat_id: i64) -> Result<Vec<Message>> {
        self.messages_by(chat_id, "created_at, id")
    }

    fn messages_by(&self, chat_id: i64, order: &str) -> Result<Vec<Message>> {
        self.read_chats(|db| {
            db.prepare_cached(&format!("{MESSAGE} WHERE chat_id = ?1 ORDER BY {order}"))?
                .query_map([chat_id], message)?
                .collect()
        })
    }

    /// How many messages a chat has.
    pub fn count_messages(&self, chat_id: i64) -> Result<u64> {
        self.read_chats(|db| {
            db.prepare_cached("SELECT count(*) FROM messages WHERE chat_id = ?1")?
                .query_row([chat_id], |row| row.get(0))
        })
    }

    /// The message of that id.
    pub fn message(&self, id: i64) -> Result<Option<Message>> {
        let messages = self.read_chats(|db| {
            db.prepare_cached(&format!("{MESSAGE} WHERE id = ?1"))?
                .query_map([id], message)?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(messages.into_iter().next())
    }

    /// Where the text stands in titles and contents: titles first, each in the order of the list,
    /// then messages, the one added last first; at most `limit` of them.
    pub fn search(&self, needle: &Needle, limit: Option<usize>) -> Result<Vec<Hit>> {
        let limit = limit.unwrap_or(usize::MAX);
        self.read_chats(|db| {
            let mut hits = Vec::new();
            for (sql, is_message) in [
                (
                    "SELECT id, NULL, NULL, title FROM chats ORDER BY created_at DESC",
                    false,
                ),
                (
                    "SELECT chat_id, id, role, content FROM messages ORDER BY id DESC",
                    true,
                ),
            ] {
                let mut statement = db.prepare(sql)?;
                let mut rows = statement.query([])?;
                while hits.len() < limit
                    && let Some(row) = rows.next()?
                {
                    let (ValueRef::Text(text) | ValueRef::Blob(text)) = row.get_ref(3)? else {
                        continue;
                    };
                    let Some(line) = needle.line(text) else {
                        continue;
                    };
                    hits.push(Hit {
                        chat_id: integer(row, 0)?.unwrap_or_default(),
                        message_id: integer(row, 1)?.filter(|_| is_message),
                        role: rows::text(row.get_ref(2)?),
                        line,
                    });
                }
            }
            Ok(hits)
        })
    }

    /// Adds a chat; gives its id.
    pub fn add_chat(&mut self, model: &str, title: &str) -> Result<i64> {
        self.write(|db| {
            db.execute(
                "INSERT INTO chats (model, title) VALUES (?1, ?2)",
                (model, title),
            )?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Adds a message to a chat, which must be there; gives its id.
    pub fn add_message(&mut self, chat_id: i64, message: &NewMessage<'_>) -> Result<i64> {
        let added = self.write(|db| {
            let is_there = db
                .prepare("SELECT 1 FROM chats WHERE id = ?1")?
                .exists([chat_id])?;
            if !is_there {
                return Ok(None);
            }
            db.execute(
                "INSERT INTO messages (chat_id, role, content, temperature, top_p,
                     presence_penalty, frequency_penalty)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    chat_id,
                    message.role.name(),
                    message.content,
                    message.sampling.temperature,
                    message.sampling.top_p,
                    message.sampling.presence_penalty,
                    message.sampling.frequency_penalty,
                ),
            )?;
            Ok(Some(db.last_insert_rowid()))
        })?;
        added.ok_or_else(|| self.no_chat(chat_id))
    }

    /// Gives a chat, which must be there, another title.
    pub fn rename_chat(&mut self, id: i64, title: &str) -> Result<()> {
        let renamed =
            self.write(|db| db.execute("UPDATE chats SET title = ?2 WHERE id = ?1", (id, title)))?;
        match renamed {
            0 => Err(self.no_chat(id)),
            _ => Ok(()),
        }
    }

    /// Removes chats and their messages in one transaction; gives how many chats there were.
    pub fn remove_chats(&mut self, ids: &[i64]) -> Result<usize> {
        let list = list(ids);
        // llamafile does not wait for a store that is busy, so it is kept short: all messages are
        // gone over once, whatever the number of chats, and not again to enforce the keys.
        self.enforce_foreign_keys(false)?;
        let removed = self.write(|db| {
            db.execute(
                "DELETE FROM messages WHERE chat_id IN (SELECT value FROM json_each(?1))",
                [&list],
            )?;
            db.execute(
                "DELETE FROM chats WHERE id IN (SELECT value FROM json_each(?1))",
                [&list],
            )
        });
        self.enforce_foreign_keys(true)?;
        removed
    }

    /// Removes messages in one transaction; gives how many there were.
    pub fn remove_messages(&mut self, ids: &[i64]) -> Result<usize> {
        let list = list(ids);
        self.write(|db| {
            db.execute(
                "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?1))",
                [&list],
            )
        })
    }

    /// The error for a chat that is not there.
    #[must_use]
    pub fn no_chat(&self, id: i64) -> Error {
        Error::new(self.path.display(), format_args!("no chat {id}"))
            .hint("'localstore chat list' shows the chats")
    }

    /// The error for a message that is not there.
    #[must_use]
    pub fn no_message(&self, id: i64) -> Error {
        Error::new(self.path.display(), format_args!("no message {id}"))
            .hint("'localstore message list CHAT' shows the messages of a chat")
    }

    /// Reads from llamafile's tables, which an empty file does not have.
    fn read_chats<T: Default>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let result = match self.db.table_exists(None, "chats") {
            Ok(true) => read(&self.db),
            Ok(false) => Ok(T::default()),
            Err(error) => Err(error),
        };
        result.map_err(|error| self.failure(&error))
    }
}

/// How many messages a chat has, and when the newest was written.
type Activity = (u64, Option<Vec<u8>>);

/// By chat, how many messages there are and when the newest was written.
///
/// No index tells, and SQLite would sort all messages to group them, so they are counted here.
fn activity(db: &Connection) -> rusqlite::Result<HashMap<i64, Activity>> {
    let mut chats: HashMap<i64, Activity> = HashMap::new();
    let mut statement = db.prepare("SELECT chat_id, created_at FROM messages")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(chat_id) = integer(row, 0)? else {
            continue;
        };
        let (messages, last_at) = chats.entry(chat_id).or_default();
        *messages += 1;
        if let ValueRef::Text(time) = row.get_ref(1)? {
            match last_at {
                Some(last) if last.as_slice() >= time => {}
                Some(last) => {
                    last.clear();
                    last.extend_from_slice(time);
                }
                None => *last_at = Some(time.to_vec()),
            }
        }
    }
    Ok(chats)
}

fn chat(row: &Row<'_>) -> rusqlite::Result<Chat> {
    Ok(Chat {
        id: row.get(0)?,
        created_at: rows::text(row.get_ref(1)?),
        model: rows::text(row.get_ref(2)?),
        title: rows::text(row.get_ref(3)?),
    })
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let number = |index| {
        let value: Option<f64> = row.get(index)?;
        Ok::<_, rusqlite::Error>(value.unwrap_or_default())
    };
    Ok(Message {
        id: row.get(0)?,
        created_at: rows::text(row.get_ref(1)?),
        chat_id: integer(row, 2)?.unwrap_or_default(),
        role: rows::text(row.get_ref(3)?),
        content: rows::text(row.get_ref(4)?),
        sampling: Sampling {
            temperature: number(5)?,
            top_p: number(6)?,
            presence_penalty: number(7)?,
            frequency_penalty: number(8)?,
        },
    })
}

fn integer(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(value) => Some(value),
        _ => None,
    })
}

/// The numbers as a JSON array, for a statement takes no list.
fn list(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("[{}]", ids.join(","))
}
