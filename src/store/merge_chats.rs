//! Taking over the chats of another file, none twice.

use std::collections::HashMap;
use std::ops::Range;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};
use xxhash_rust::xxh3::xxh3_128;

use super::runs::Stored;
use super::{Store, rows};
use crate::model::Text;
use base::Result;
use db::refused;

/// A value as it lies there: SQLite keeps a text that is not UTF-8 too.
#[derive(Debug, PartialEq)]
enum Cell {
    Text(Vec<u8>),
    Other(Value),
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            other => Self::Other(other.into()),
        }
    }

    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::Text(text),
            Self::Other(value) => value.into(),
        }
    }

    /// How many bytes it takes in memory, about.
    fn bytes(&self) -> usize {
        let content = self.value();
        size_of::<Self>() + content.as_bytes().map_or(0, <[u8]>::len)
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// A chat of the other file with its messages, value by value.
#[derive(Debug)]
pub struct ForeignChat {
    created_at: Cell,
    model: Cell,
    title: Cell,
    messages: Vec<Vec<Cell>>,
}

/// A chat as it is compared: its title, and what tells each message from others.
struct Outline {
    id: i64,
    title: Cell,
    messages: Vec<u128>,
}

/// What became of a chat, and how many of its messages are new here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergedChat {
    /// Its id here; 0 for one that would be new.
    pub id: i64,
    /// Whether it was here.
    pub stored: Stored,
    /// How many messages were, or would be, taken over.
    pub messages: usize,
}

/// The columns of a message that are taken over.
const MESSAGE: &str = "created_at, role, content, temperature, top_p, presence_penalty,
    frequency_penalty";
const COLUMNS: usize = 7;

impl ForeignChat {
    /// The title.
    #[must_use]
    pub fn title(&self) -> Text {
        rows::text(self.title.value()).unwrap_or_default()
    }

    /// What becomes of it where there are no chats.
    #[must_use]
    pub fn as_new(&self) -> MergedChat {
        MergedChat {
            id: 0,
            stored: Stored::New,
            messages: self.messages.len(),
        }
    }
}

/// The most bytes of chats that are taken over: all are in memory.
const MOST_BYTES: usize = 1 << 30;

/// The chats of a file in the order of their ids; none where it has no such tables.
pub fn foreign_chats(db: &Connection) -> rusqlite::Result<Vec<ForeignChat>> {
    if !db.table_exists(None, "chats")? || !db.table_exists(None, "messages")? {
        return Ok(Vec::new());
    }
    let mut left = MOST_BYTES;
    let mut cells = |row: &Row<'_>, columns: Range<usize>| {
        let cells = columns.map(|column| row.get_ref(column).map(Cell::of));
        let cells: Vec<Cell> = cells.collect::<rusqlite::Result<_>>()?;
        let bytes = cells.iter().map(Cell::bytes).sum();
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| refused("its chats are larger than 1 GiB"))?;
        Ok::<_, rusqlite::Error>(cells)
    };
    let mut places = HashMap::new();
    let mut chats = Vec::new();
    let mut query = db.prepare("SELECT created_at, model, title, id FROM chats ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        if let Ok([created_at, model, title]) = <[Cell; 3]>::try_from(cells(row, 0..3)?) {
            places.insert(row.get::<_, i64>(3)?, chats.len());
            chats.push(ForeignChat {
                created_at,
                model,
                title,
                messages: Vec::new(),
            });
        }
    }
    // There is no index on the chat of a message: all are gone over once.
    each_message(db, |chat, row| {
        if let Some(&place) = places.get(&chat) {
            chats[place].messages.push(cells(row, 1..COLUMNS + 1)?);
        }
        Ok(())
    })?;
    Ok(chats)
}

/// Hands over each message that says which chat it is of, in the order in which they were written.
fn each_message(
    db: &Connection,
    mut take: impl FnMut(i64, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut query = db.prepare(&format!(
        "SELECT chat_id, {MESSAGE} FROM messages WHERE typeof(chat_id) = 'integer'
         ORDER BY created_at, id"
    ))?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        take(row.get(0)?, row)?;
    }
    Ok(())
}

impl Store {
    /// Takes over chats in one transaction. A chat is the same if it was begun at the same time with
    /// the same model and the messages of one are the first of the other, or, if either has none,
    /// if the titles are the same too.
    pub fn merge_chats(&mut self, foreign: &[ForeignChat]) -> Result<Vec<MergedChat>> {
        self.write(|db| {
            let mut known = outlines(db)?;
            let merged = foreign.iter().map(|chat| merge(db, &mut known, chat));
            Ok(merged.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What merging them would do.
    pub fn lookup_chats(&self, foreign: &[ForeignChat]) -> Result<Vec<MergedChat>> {
        let known = self.read(|db| Ok(outlines(db)?))?;
        Ok(foreign.iter().map(|chat| compare(&known, chat)).collect())
    }
}

type Outlines = HashMap<u128, Vec<Outline>>;

/// The chats that are here, by time and model.
fn outlines(db: &Connection) -> rusqlite::Result<Outlines> {
    let mut messages: HashMap<i64, Vec<u128>> = HashMap::new();
    each_message(db, |chat, row| {
        let values = (1..=COLUMNS).map(|index| row.get_ref(index));
        let key = key(values.collect::<rusqlite::Result<Vec<_>>>()?);
        messages.entry(chat).or_default().push(key);
        Ok(())
    })?;
    let mut known = Outlines::new();
    let mut query = db.prepare("SELECT id, created_at, model, title FROM chats ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let key = key([row.get_ref(1)?, row.get_ref(2)?]);
        known.entry(key).or_default().push(Outline {
            id,
            title: Cell::of(row.get_ref(3)?),
            messages: messages.remove(&id).unwrap_or_default(),
        });
    }
    Ok(known)
}

/// 16 bytes over values, each with its type and its end.
fn key<'v>(values: impl IntoIterator<Item = ValueRef<'v>>) -> u128 {
    let mut bytes = Vec::new();
    for value in values {
        let (kind, content) = match value {
            ValueRef::Null => (0, Vec::new()),
            ValueRef::Integer(value) => (1, value.to_le_bytes().to_vec()),
            ValueRef::Real(value) => (2, value.to_bits().to_le_bytes().to_vec()),
            ValueRef::Text(text) => (3, text.to_vec()),
            ValueRef::Blob(blob) => (4, blob.to_vec()),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&content.len().to_le_bytes());
        bytes.extend_from_slice(&content);
    }
    xxh3_128(&bytes)
}

fn messages_of(chat: &ForeignChat) -> Vec<u128> {
    let values = chat
        .messages
        .iter()
        .map(|values| values.iter().map(Cell::value));
    values.map(key).collect()
}

/// The chat here that is the same, and how many messages it lacks.
fn compare(known: &Outlines, chat: &ForeignChat) -> MergedChat {
    let key = key([chat.created_at.value(), chat.model.value()]);
    let messages = messages_of(chat);
    let same = |outline: &&Outline| {
        let common = outline.messages.len().min(messages.len());
        outline.messages[..common] == messages[..common]
            && (common > 0 || outline.title == chat.title)
    };
    let Some(outline) = known.get(&key).and_then(|chats| chats.iter().find(same)) else {
        return chat.as_new();
    };
    let missing = messages.len().saturating_sub(outline.messages.len());
    MergedChat {
        id: outline.id,
        stored: match missing {
            0 => Stored::Already,
            _ => Stored::Completed,
        },
        messages: missing,
    }
}

fn merge(
    db: &Connection,
    known: &mut Outlines,
    chat: &ForeignChat,
) -> rusqlite::Result<MergedChat> {
    let mut merged = compare(known, chat);
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
        let chat_id = Cell::Other(Value::Integer(merged.id));
        insert.execute(params_from_iter(std::iter::once(&chat_id).chain(values)))?;
    }
    // What was appended is there for the next chat; a new one cannot be the same as another of
    // its own file.
    if merged.stored == Stored::Completed {
        let outlines = known.values_mut().flatten();
        for outline in outlines.filter(|outline| outline.id == merged.id) {
            outline.messages = messages_of(chat);
        }
    }
    Ok(merged)
}
