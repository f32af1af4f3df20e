//! The agent's own lines of a part, found again in `events.jsonl`.

use std::io::{self, BufRead, BufReader, Read};

use base::{Error, Result};
use serde_json::Value;

use crate::model::Trace;
use crate::place::{self, Folder};
use crate::stream::{Agent, Event, Part, Reader, value};

/// The longest line that is read, in bytes; what goes beyond is no line of a part.
const LONGEST: u64 = 64 << 20;

/// The lines of the part; `None` if no lines were kept, none if they do not have it.
pub(crate) fn lines_of(folder: &Folder, trace: &Trace, number: u64) -> Result<Option<Vec<Value>>> {
    let path = folder.events();
    let failed = |error: io::Error| Error::file(&path, &error);
    let file = match place::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut replay = Replay::of(trace, number);
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    while lines
        .by_ref()
        .take(LONGEST)
        .read_until(b'\n', &mut line)
        .map_err(failed)?
        > 0
    {
        if let Some(found) = replay.line(&line) {
            return Ok(Some(values(&found)));
        }
        line.clear();
    }
    Ok(Some(values(&replay.end())))
}

fn values(lines: &[Vec<u8>]) -> Vec<Value> {
    let texts = lines.iter().map(|line| std::str::from_utf8(line).ok());
    texts.filter_map(|text| value(text?)).collect()
}

/// Reads the lines again until the part comes.
struct Replay<'a> {
    trace: &'a Trace,
    wanted: u64,
    /// The number of the part that comes next.
    next: u64,
    reader: Reader,
    /// The lines of the wanted part, of which more may come.
    held: Vec<Vec<u8>>,
    is_held: bool,
}

impl<'a> Replay<'a> {
    fn of(trace: &'a Trace, wanted: u64) -> Self {
        Self {
            trace,
            wanted,
            next: 1,
            reader: Reader::new(None),
            held: Vec::new(),
            is_held: false,
        }
    }

    /// The lines of the wanted part, once it is complete.
    fn line(&mut self, line: &[u8]) -> Option<Vec<Vec<u8>>> {
        // Another agent may have gone on with it.
        let agent = self.trace.part(self.next).and_then(|part| {
            let agents = <Agent as clap::ValueEnum>::value_variants();
            agents
                .iter()
                .find(|agent| agent.name() == part.origin.agent)
        });
        if agent.is_some() && self.reader.agent() != agent.copied() {
            self.reader = Reader::new(agent.copied());
        }
        let was_held = self.is_held;
        let events = self.reader.line(line);
        self.is_held = self.reader.is_holding();
        let mut parts = events.into_iter().filter_map(|event| match event {
            Event::Part(part) => Some(part),
            _ => None,
        });
        if was_held && let Some(part) = parts.next() {
            let held = std::mem::take(&mut self.held);
            if self.is_wanted(&part) {
                return Some(held);
            }
        }
        for part in parts {
            if self.is_wanted(&part) {
                return Some(vec![line.to_owned()]);
            }
        }
        if self.is_held && self.next == self.wanted {
            self.held.push(line.to_owned());
        }
        None
    }

    /// The lines of the wanted part if it is the last one.
    fn end(mut self) -> Vec<Vec<u8>> {
        let is_last = self.is_held && self.next == self.wanted;
        if is_last && !self.reader.end().is_empty() {
            return self.held;
        }
        Vec::new()
    }

    /// Counts a part. One that was not recorded, since a limit was reached before, is passed over.
    fn is_wanted(&mut self, part: &Part) -> bool {
        let Some(recorded) = self.trace.part(self.next) else {
            return false;
        };
        let is_same = recorded.part_type == Some(part.kind)
            && recorded.item_type.as_ref() == Some(&part.item_type);
        if !is_same {
            return false;
        }
        self.next += 1;
        self.next - 1 == self.wanted
    }
}
