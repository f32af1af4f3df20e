//! Taking over the chats of another file, none twice.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::runs::Stored;
use super::{Store, rows};
use crate::model::Text;
use base::Result;
use db::refused;

/// A value as SQLite stores it, which may be text that is not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Cell {
    Null,
    Integer(i64),
    /// The bits of a real number.
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value.to_bits()),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_vec()),
        }
    }
}

impl Cell {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(bits) => ValueRef::Real(f64::from_bits(*bits)),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// The rows of a chat and of its messages.
#[derive(Debug)]
pub(crate) struct ChatRows {
    id: i64,
    created_at: Cell,
    model: Cell,
    title: Cell,
    /// In the order in which they were written.
    messages: Vec<Vec<Cell>>,
}

/// What became of a chat of the other file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MergedChat {
    /// Its id here; 0 for one that would be new.
    pub(crate) id: i64,
    /// Whether it was here.
    pub(crate) stored: Stored,
    /// How many messages were, or would be, taken over.
    pub(crate) messages: usize,
}

impl ChatRows {
    pub(crate) fn title(&self) -> Text {
        rows::text(self.title.value()).unwrap_or_default()
    }

    /// What becomes of it where there are no chats.
    pub(crate) fn as_new(&self) -> MergedChat {
        MergedChat {
            id: 0,
            stored: Stored::New,
            messages: self.messages.len(),
        }
    }
}

/// The columns of a message that are taken over.
const MESSAGE: &str = "created_at, role, content, temperature, top_p, presence_penalty,
    frequency_penalty";
const COLUMNS: usize = 7;

/// The most bytes of chats that are taken over: all are in memory.
const MOST_BYTES: usize = 1 << 30;

/// The chats of another file in the order of their ids; none where it has no such tables.
pub(crate) fn foreign_chats(db: &Connection) -> rusqlite::Result<Vec<ChatRows>> {
    if !db.table_exists(None, "chats")? || !db.table_exists(None, "messages")? {
        return Ok(Vec::new());
    }
    read_chats(db, MOST_BYTES)
}

fn read_chats(db: &Connection, most_bytes: usize) -> rusqlite::Result<Vec<ChatRows>> {
    let mut left = most_bytes;
    let mut cell = |value: ValueRef<'_>| {
        let bytes = size_of::<Cell>() + value.as_bytes().map_or(0, <[u8]>::len);
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| refused("its chats are larger than 1 GiB"))?;
        Ok::<_, rusqlite::Error>(Cell::from(value))
    };
    let mut chats = BTreeMap::new();
    let mut query = db.prepare("SELECT id, created_at, model, title FROM chats ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let chat = ChatRows {
            id: row.get(0)?,
            created_at: cell(row.get_ref(1)?)?,
            model: cell(row.get_ref(2)?)?,
            title: cell(row.get_ref(3)?)?,
            messages: Vec::new(),
        };
        chats.insert(chat.id, chat);
    }
    // All messages in one pass: there is no index on the chat of a message.
    let mut query = db.prepare(&format!(
        "SELECT chat_id, {MESSAGE} FROM messages WHERE typeof(chat_id) = 'integer'
         ORDER BY created_at, id"
    ))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(chat) = chats.get_mut(&row.get(0)?) {
            let values = (1..=COLUMNS).map(|column| cell(row.get_ref(column)?));
            chat.messages.push(values.collect::<rusqlite::Result<_>>()?);
        }
    }
    Ok(chats.into_values().collect())
}

impl Store {
    /// Takes over chats in one transaction.
    pub(crate) fn merge_chats(&mut self, foreign: &[ChatRows]) -> Result<Vec<MergedChat>> {
        self.write(|db| Ok(merge(db, foreign)?))
    }

    /// What merging them would do.
    pub(crate) fn lookup_chats(&self, foreign: &[ChatRows]) -> Result<Vec<MergedChat>> {
        self.read(|db| Ok(lookup(db, foreign)?))
    }
}

/// The chats that are here, by time and model.
type Known = HashMap<(Cell, Cell), Vec<ChatRows>>;

fn known(db: &Connection) -> rusqlite::Result<Known> {
    let mut known = Known::new();
    for chat in read_chats(db, usize::MAX)? {
        let key = (chat.created_at.clone(), chat.model.clone());
        known.entry(key).or_default().push(chat);
    }
    Ok(known)
}

/// The chat here that is the same: it was begun at the same time with the same model, and the
/// messages of one are the first of the other or, if either has none, the titles are the same.
fn find<'k>(known: &'k mut Known, chat: &ChatRows) -> Option<&'k mut ChatRows> {
    let key = (chat.created_at.clone(), chat.model.clone());
    known.get_mut(&key)?.iter_mut().find(|known| {
        let common = known.messages.len().min(chat.messages.len());
        known.messages[..common] == chat.messages[..common]
            && (common > 0 || known.title == chat.title)
    })
}

/// What becomes of a chat of which this one, if any, is here.
fn compare(known: Option<&ChatRows>, chat: &ChatRows) -> MergedChat {
    let Some(known) = known else {
        return chat.as_new();
    };
    let messages = chat.messages.len().saturating_sub(known.messages.len());
    MergedChat {
        id: known.id,
        stored: match messages {
            0 => Stored::Already,
            _ => Stored::Completed,
        },
        messages,
    }
}

pub(crate) fn lookup(db: &Connection, foreign: &[ChatRows]) -> rusqlite::Result<Vec<MergedChat>> {
    let mut known = known(db)?;
    let merged = foreign
        .iter()
        .map(|chat| compare(find(&mut known, chat).as_deref(), chat));
    Ok(merged.collect())
}

pub(crate) fn merge(db: &Connection, foreign: &[ChatRows]) -> rusqlite::Result<Vec<MergedChat>> {
    let mut all = known(db)?;
    let mut merged_chats = Vec::with_capacity(foreign.len());
    for chat in foreign {
        let known = find(&mut all, chat);
        let mut merged = compare(known.as_deref(), chat);
        if merged.stored == Stored::New {
            db.prepare_cached("INSERT INTO chats (created_at, model, title) VALUES (?1, ?2, ?3)")?
                .execute((&chat.created_at, &chat.model, &chat.title))?;
            merged.id = db.last_insert_rowid();
        }
        let new = &chat.messages[chat.messages.len() - merged.messages..];
        let mut insert = db.prepare_cached(&format!(
            "INSERT INTO messages (chat_id, {MESSAGE}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        ))?;
        for values in new {
            let chat_id = Cell::Integer(merged.id);
            insert.execute(params_from_iter(std::iter::once(&chat_id).chain(values)))?;
        }
        // The next chat finds them; one that is new here cannot be another one of its own file.
        if let Some(known) = known {
            known.messages.extend_from_slice(new);
        }
        merged_chats.push(merged);
    }
    Ok(merged_chats)
}
