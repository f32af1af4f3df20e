//! What a newer program has told of a run and this one has no place for: members of JSON objects, which
//! travel on with the run.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use serde::de::IgnoredAny;

use crate::formats::Flaw;
use crate::formats::lexer::Lexer;

/// The members that this program does not know, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct More {
    /// By object, such as `results[3]`: names, without their quotes, and values.
    objects: BTreeMap<String, Vec<(String, String)>>,
}

impl More {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The members of an object, in the order in which they came: names as they stand between their
    /// quotes, and values.
    #[cfg(feature = "network")]
    pub(crate) fn of(&self, object: &str) -> &[(String, String)] {
        self.objects.get(object).map_or(&[], Vec::as_slice)
    }

    /// As JSON; `None` if there are none.
    pub(crate) fn to_text(&self) -> Option<String> {
        let objects = self.objects.iter().map(|(object, members)| {
            let name = serde_json::Value::from(object.as_str());
            let members = members.iter();
            let members: Vec<String> = members
                .map(|(name, value)| format!("\"{name}\":{value}"))
                .collect();
            format!("{name}:{{{}}}", members.join(","))
        });
        let objects: Vec<String> = objects.collect();
        (!objects.is_empty()).then(|| format!("{{{}}}", objects.join(",")))
    }

    /// What [`Self::to_text`] has given; an error in words for any other text.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        check_json(text)?;
        let mut more = Self::default();
        let mut lexer = Lexer::new(text.as_bytes());
        let read = lexer.object(|lexer, object| {
            let object = String::from_utf8_lossy(&object.value).into_owned();
            lexer.object(|lexer, key| more.keep(text, lexer, &object, key.raw))
        });
        read.map_err(|flaw| flaw.why)?;
        Ok(more)
    }

    /// Takes the members that it has not; gives whether there are any.
    pub(crate) fn complete(&mut self, other: &Self) -> bool {
        let mut is_more = false;
        for (object, members) in &other.objects {
            let ours = self.objects.entry(object.clone()).or_default();
            let before = ours.len();
            for (name, value) in members {
                if ours[..before].iter().all(|(known, _)| known != name) {
                    ours.push((name.clone(), value.clone()));
                    is_more = true;
                }
            }
        }
        is_more
    }

    /// Keeps the member of an object whose value comes next.
    pub(crate) fn keep(
        &mut self,
        text: &str,
        lexer: &mut Lexer<'_>,
        object: &str,
        name: &[u8],
    ) -> Result<(), Flaw> {
        lexer.peek();
        let start = lexer.pos();
        lexer.skip()?;
        let value = text.get(start..lexer.pos()).unwrap_or_default();
        let members = self.objects.entry(object.to_owned()).or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        members.push((name, value.to_owned()));
        Ok(())
    }
}

/// An error in words for a text that is not JSON.
pub(crate) fn check_json(text: &str) -> Result<(), String> {
    serde_json::from_str::<IgnoredAny>(text)
        .map(drop)
        .map_err(|error| format!("not JSON: {error}"))
}

/// What is kept of a run; nothing where that cannot be read, as it is not worth losing the run for.
pub(super) fn read(db: &Connection, run: i64) -> rusqlite::Result<More> {
    let sql = "SELECT CAST(members AS BLOB) FROM localstore_unknown_members WHERE run_id = ?1";
    let text = db.prepare_cached(sql)?.query_row([run], |row| row.get(0));
    let text: Option<Vec<u8>> = text.optional()?;
    let text = text.and_then(|text| String::from_utf8(text).ok());
    let more = text.and_then(|text| More::from_text(&text).ok());
    Ok(more.unwrap_or_default())
}

/// Keeps of a run what is not known of it yet; gives whether there is any.
pub(super) fn complete(db: &Connection, run: i64, more: &More) -> rusqlite::Result<bool> {
    if more.is_empty() {
        return Ok(false);
    }
    let mut all = read(db, run)?;
    let is_more = all.complete(more);
    if is_more {
        db.prepare_cached(
            "INSERT INTO localstore_unknown_members (run_id, members) VALUES (?1, ?2)
             ON CONFLICT (run_id) DO UPDATE SET members = excluded.members",
        )?
        .execute((run, all.to_text()))?;
    }
    Ok(is_more)
}
