//! llamafile's chats and messages.
//!
//! They are there in any store, also in one that only llamafile has written to. Any column may
//! hold anything, since SQLite lets it: values are read as the C code reads them.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params};

use super::Store;
use super::rows::{self, Cells, Columns};
use crate::model::{Chat, ChatActivity, Hit, Message, Needle, NewMessage, Sampling, Text};
use db::{Error, Result};

/// The casts give what the C code gets when it asks SQLite for a text or a number.
const CHAT: &str = "SELECT id, CAST(created_at AS TEXT) AS created, CAST(model AS TEXT) AS model,
    CAST(title AS TEXT) AS title FROM chats";

const MESSAGE: &str = "SELECT id, CAST(created_at AS TEXT) AS created,
    CAST(chat_id AS INTEGER) AS chat, CAST(role AS TEXT) AS role, CAST(content AS TEXT) AS content,
    CAST(temperature AS REAL) AS temperature, CAST(top_p AS REAL) AS top_p,
    CAST(presence_penalty AS REAL) AS presence_penalty,
    CAST(frequency_penalty AS REAL) AS frequency_penalty FROM messages";

/// All chats, the one begun last first. Of those of one second SQLite chooses the order, as it does
/// for the C code, which asks in the same words.
pub(crate) fn all(db: &Connection) -> Result<Vec<Chat>> {
    let mut statement = db.prepare(&format!("{CHAT} ORDER BY created_at DESC"))?;
    Ok(rows::query(&mut statement, [], read_chat)?)
}

/// All chats in the same order, with what became of them.
pub(crate) fn activity(db: &Connection) -> Result<Vec<ChatActivity>> {
    let mut counted = count_all(db)?;
    let listed = all(db)?.into_iter().map(|chat| {
        let (messages, last_at) = counted.remove(&chat.id).unwrap_or_default();
        let last_at = last_at.map(Text::from).or_else(|| chat.created_at.clone());
        ChatActivity {
            chat,
            messages,
            last_at,
        }
    });
    Ok(listed.collect())
}

/// The chat of that id; an error if it is not there.
pub(crate) fn chat(db: &Connection, id: i64) -> Result<Chat> {
    find(db, id)?.ok_or_else(|| no_chat(id))
}

/// The chat of that id.
pub(crate) fn find(db: &Connection, id: i64) -> Result<Option<Chat>> {
    let mut statement = db.prepare_cached(&format!("{CHAT} WHERE id = ?1"))?;
    Ok(rows::query(&mut statement, [id], read_chat)?.pop())
}

/// The messages of a chat, the one written last first, in the order in which the C code gets them.
/// A chat that was removed may have left some.
pub(crate) fn messages(db: &Connection, chat_id: i64) -> Result<Vec<Message>> {
    read_messages(db, "chat_id = ?1 ORDER BY created_at DESC", [chat_id])
}

/// The messages of a chat as they were written.
pub(crate) fn conversation(db: &Connection, chat_id: i64) -> Result<Vec<Message>> {
    read_messages(db, "chat_id = ?1 ORDER BY created_at, id", [chat_id])
}

/// The message of that id; an error if it is not there.
pub(crate) fn message(db: &Connection, id: i64) -> Result<Message> {
    find_message(db, id)?.ok_or_else(|| Error::InFile {
        why: format!("no message {id}"),
        hint: "'localstore message list CHAT' shows the messages of a chat",
    })
}

/// The message of that id.
pub(crate) fn find_message(db: &Connection, id: i64) -> Result<Option<Message>> {
    Ok(read_messages(db, "id = ?1", [id])?.pop())
}

fn read_messages(db: &Connection, which: &str, params: impl Params) -> Result<Vec<Message>> {
    let mut statement = db.prepare_cached(&format!("{MESSAGE} WHERE {which}"))?;
    Ok(rows::query(&mut statement, params, read_message)?)
}

/// How many messages a chat has.
pub(crate) fn count_messages(db: &Connection, chat_id: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM messages WHERE chat_id = ?1";
    Ok(db.query_row(sql, [chat_id], |row| row.get(0))?)
}

/// Where the text stands in titles and contents: titles first, each in the order of the list, then
/// messages, the one added last first; at most `limit` of them.
pub(crate) fn search(db: &Connection, needle: &Needle, limit: Option<usize>) -> Result<Vec<Hit>> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut hits = Vec::new();
    for sql in [
        "SELECT id AS chat, NULL AS message, NULL AS role, title AS text
         FROM chats ORDER BY created_at DESC",
        "SELECT chat_id AS chat, id AS message, role, content AS text
         FROM messages ORDER BY id DESC",
    ] {
        let mut statement = db.prepare(sql)?;
        let columns = Columns::of(&statement);
        let mut rows = statement.query([])?;
        while hits.len() < limit
            && let Some(row) = rows.next()?
        {
            let cells = Cells::new(&columns, row);
            let (ValueRef::Text(text) | ValueRef::Blob(text)) = cells.raw("text")? else {
                continue;
            };
            let Some(line) = needle.line(text) else {
                continue;
            };
            hits.push(Hit {
                chat_id: cells.raw("chat")?.as_i64().unwrap_or_default(),
                message_id: cells.get("message")?,
                role: cells.text("role")?,
                line,
            });
        }
    }
    Ok(hits)
}

/// Adds a chat; gives its id.
pub(crate) fn add(db: &Connection, model: &str, title: &str) -> Result<i64> {
    let sql = "INSERT INTO chats (model, title) VALUES (?1, ?2)";
    Ok(db.prepare(sql)?.insert((model, title))?)
}

/// Adds a message to a chat, which must be there; gives its id.
pub(crate) fn add_message(db: &Connection, chat_id: i64, message: &NewMessage<'_>) -> Result<i64> {
    chat(db, chat_id)?;
    let sql = "INSERT INTO messages (chat_id, role, content, temperature, top_p,
             presence_penalty, frequency_penalty)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    Ok(db.prepare(sql)?.insert((
        chat_id,
        message.role.name(),
        message.content,
        message.sampling.temperature,
        message.sampling.top_p,
        message.sampling.presence_penalty,
        message.sampling.frequency_penalty,
    ))?)
}

/// Gives a chat, which must be there, another title.
pub(crate) fn rename(db: &Connection, id: i64, title: &str) -> Result<()> {
    match db.execute("UPDATE chats SET title = ?2 WHERE id = ?1", (id, title))? {
        0 => Err(no_chat(id)),
        _ => Ok(()),
    }
}

/// Removes chats and their messages in one transaction; gives how many chats there were.
pub(crate) fn remove(store: &mut Store, ids: &[i64]) -> base::Result<usize> {
    // llamafile does not wait for a store that is busy, so it is kept short: all messages are gone
    // over once, whatever the number of chats, and not again to enforce the keys.
    store.write_without_foreign_keys(|db| {
        delete(db, "messages WHERE chat_id", ids)?;
        delete(db, "chats WHERE id", ids)
    })
}

/// Removes messages; gives how many there were.
pub(crate) fn remove_messages(db: &Connection, ids: &[i64]) -> Result<usize> {
    delete(db, "messages WHERE id", ids)
}

/// Deletes rows. A statement takes no list, so the numbers are a JSON array.
fn delete(db: &Connection, which: &str, ids: &[i64]) -> Result<usize> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let sql = format!("DELETE FROM {which} IN (SELECT value FROM json_each(?1))");
    Ok(db.execute(&sql, [ids])?)
}

fn no_chat(id: i64) -> Error {
    Error::InFile {
        why: format!("no chat {id}"),
        hint: "'localstore chat list' shows the chats",
    }
}

/// How many messages a chat has, and when the newest was written.
type Activity = (u64, Option<Vec<u8>>);

/// By chat, how many messages there are and when the newest was written.
///
/// No index tells, and SQLite would sort all messages to group them, so they are counted here.
fn count_all(db: &Connection) -> rusqlite::Result<HashMap<i64, Activity>> {
    let mut chats: HashMap<i64, Activity> = HashMap::new();
    let mut statement = db.prepare("SELECT chat_id, created_at FROM messages")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(chat_id) = row.get_ref(0)?.as_i64() else {
            continue;
        };
        let (messages, last_at) = chats.entry(chat_id).or_default();
        *messages += 1;
        if let ValueRef::Text(time) = row.get_ref(1)?
            && last_at.as_deref().is_none_or(|last| last < time)
        {
            *last_at = Some(time.to_vec());
        }
    }
    Ok(chats)
}

fn read_chat(cells: Cells<'_>) -> rusqlite::Result<Chat> {
    Ok(Chat {
        id: cells.get("id")?,
        created_at: cells.text("created")?,
        model: cells.text("model")?,
        title: cells.text("title")?,
    })
}

fn read_message(cells: Cells<'_>) -> rusqlite::Result<Message> {
    let number = |column| {
        let value: Option<f64> = cells.get(column)?;
        Ok::<_, rusqlite::Error>(value.unwrap_or_default())
    };
    Ok(Message {
        id: cells.get("id")?,
        created_at: cells.text("created")?,
        chat_id: cells.raw("chat")?.as_i64().unwrap_or_default(),
        role: cells.text("role")?,
        content: cells.text("content")?,
        sampling: Sampling {
            temperature: number("temperature")?,
            top_p: number("top_p")?,
            presence_penalty: number("presence_penalty")?,
            frequency_penalty: number("frequency_penalty")?,
        },
    })
}
