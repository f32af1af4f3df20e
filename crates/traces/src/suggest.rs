//! What shells offer while a command is typed: never an error, and no trace is read for it.

use std::cmp::Reverse;
use std::collections::HashMap;

use base::counted;
use db::Location;

use crate::index::Index;
use crate::place::Root;

/// The ids of the trajectories, newest first, each with what it is as far as it is indexed.
#[must_use]
pub fn suggestions(location: &Location) -> Vec<(String, String)> {
    let root = Root::of(location);
    let folders = root.and_then(|root| root.all()).unwrap_or_default();
    let rows = Index::peek(location).unwrap_or_default();
    let mut rows: HashMap<String, _> = rows
        .into_iter()
        .map(|row| (row.trajectory_id.clone(), row))
        .collect();
    let mut found: Vec<_> = folders
        .into_iter()
        .map(|folder| (rows.remove(&folder.id), folder.id))
        .collect();
    found.sort_by_cached_key(|(row, id)| {
        Reverse((row.as_ref().map(|row| row.started_at.clone()), id.clone()))
    });
    let last = found.first().map(|_| {
        let about = "the newest trajectory".to_owned();
        ("last".to_owned(), about)
    });
    let described = found.into_iter().map(|(row, id)| {
        let about = row.map(|row| {
            let date = row.started_at.get(..10).unwrap_or_default();
            format!("{}, {}, {date}", row.agent, counted(row.parts, "part"))
        });
        (id, about.unwrap_or_default())
    });
    last.into_iter().chain(described).collect()
}
