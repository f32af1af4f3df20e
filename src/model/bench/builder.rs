//! How rows become the runs of a document.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use base::{Records, Result};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::document::{Document, DocumentRun, Refusal, Row, Samples, Speeds, put, speeds};
use super::number::{integer, parsed, rounded, shown_params, shown_size};
use super::{Column, IDENTITY, Identity, Kind, Role, Schema, Settings};
use crate::model::{Piece, Source, Text};

/// The values of a row in the order of its fields, without quotes; `None` where the row has none.
pub(crate) type Values<'a> = [Option<&'a [u8]>];

/// Makes the document of the rows that are read one by one.
#[derive(Debug)]
pub(crate) struct Builder {
    runs: Vec<Open>,
    /// The last run of each identity.
    last: HashMap<Arc<Identity>, usize>,
    settings: Vec<Arc<Settings>>,
    /// What [`feed_settings`] makes of each.
    settings_hash: Vec<[u8; 16]>,
    settings_place: HashMap<Arc<Settings>, usize>,
    /// The identity and the settings of the row before, as bytes: nearly always those of the next.
    before: Option<Before>,
    rows: Records,
    source: Source,
    record: Vec<u8>,
    is_refused: bool,
}

#[derive(Debug, Default)]
struct Before {
    schema: Option<Arc<Schema>>,
    identity: Vec<u8>,
    settings: Vec<u8>,
    run: usize,
    settings_place: usize,
}

/// A run while rows are read. Its keys are hashes of the rows so far; those of the identity follow at
/// the end, when the build is told.
#[derive(Debug)]
struct Open {
    run: DocumentRun,
    /// What only a run that may have more rows needs: there may be very many that have ended.
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    keys: HashSet<u64>,
    prompt: Mean,
    generation: Mean,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
    /// The depth of the first test.
    depth: i64,
}

impl Builder {
    /// A document without rows.
    #[must_use]
    pub(crate) fn new(source: Source) -> Self {
        Self {
            runs: Vec::new(),
            last: HashMap::new(),
            settings: Vec::new(),
            settings_hash: Vec::new(),
            settings_place: HashMap::new(),
            before: None,
            rows: Records::default(),
            source,
            record: Vec::new(),
            is_refused: false,
        }
    }

    /// How many rows there are so far.
    #[must_use]
    pub(crate) fn rows(&self) -> u64 {
        self.rows.count()
    }

    /// Whether there is nothing in it, not even a refused row.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && !self.is_refused
    }

    /// Refuses all runs; returns whether they had been refused before.
    pub(crate) fn refuse(&mut self) -> bool {
        std::mem::replace(&mut self.is_refused, true)
    }

    /// Adds a row. An error if it is invalid; what it refuses is then refused in this document. The
    /// outer error is one of a temporary file.
    pub(crate) fn push(
        &mut self,
        schema: &Arc<Schema>,
        values: &Values<'_>,
        samples: Samples,
    ) -> Result<std::result::Result<(), Refusal>> {
        match self.parse(schema, values, samples) {
            Ok(mut row) => {
                let key = key(&row);
                if !self.runs[row.run].more().keys.insert(key) {
                    row.run = self.begin_again(row.run);
                    self.runs[row.run].more().keys.insert(key);
                }
                let open = &mut self.runs[row.run];
                open.count(
                    &row,
                    &self.settings[row.settings],
                    self.settings_hash[row.settings],
                );
                let mut record = std::mem::take(&mut self.record);
                row.encode(&mut record);
                let pushed = self.rows.push(&record);
                self.record = record;
                pushed.map(Ok)
            }
            Err(why) => Ok(Err(self.refuse_row(schema, values, why))),
        }
    }

    /// Refuses the run of this row, or all runs if the row does not tell which one.
    pub(crate) fn refuse_row(
        &mut self,
        schema: &Arc<Schema>,
        values: &Values<'_>,
        why: String,
    ) -> Refusal {
        let names = |names: [&str; 2]| {
            schema.fields().zip(values).any(|((_, role), value)| {
                let Role::Identity(place) = role else {
                    return false;
                };
                names.contains(&IDENTITY[place]) && value.is_some_and(|v| !v.is_empty())
            })
        };
        let mut identity = schema.fields().zip(values);
        let is_told = names(["build_commit", "build_number"])
            && names(["model_type", "model_filename"])
            && identity.all(|((column, role), value)| {
                !matches!(role, Role::Identity(_)) || value.is_none_or(|v| is_of_kind(column, v))
            });
        let is_refused = if is_told || schema.is_table() {
            let run = self.run_of(schema, values);
            &mut self.runs[run].run.is_refused
        } else {
            &mut self.is_refused
        };
        Refusal {
            why,
            is_known: std::mem::replace(is_refused, true),
        }
    }

    /// Gives the rows of a table the build that is told behind them.
    pub(crate) fn set_build(&mut self, commit: &[u8], number: &[u8]) {
        for open in &mut self.runs {
            let identity = Arc::make_mut(&mut open.run.identity);
            identity.values[0] = Some(commit.to_vec().into());
            identity.values[1] = Some(number.to_vec().into());
        }
    }

    /// The document; its length in the text is still to be set.
    #[must_use]
    pub(crate) fn end(self) -> Document {
        let is_refused = self.is_refused;
        let is_json = self.source == Source::Json;
        let runs = self.runs.into_iter().map(|open| {
            let mut run = open.end(is_refused);
            // Only names of the machine and of the model have such bytes.
            let mut values = run.identity.values.iter().flatten();
            let is_told = |piece| matches!(piece, Piece::Byte(0x80..));
            run.tells_bytes = is_json && values.any(|text| text.pieces().any(is_told));
            run
        });
        Document {
            runs: runs.collect(),
            settings: self.settings,
            source: self.source,
            length: 0,
            rows: self.rows,
        }
    }

    fn parse(
        &mut self,
        schema: &Arc<Schema>,
        values: &Values<'_>,
        samples: Samples,
    ) -> std::result::Result<Row, String> {
        let mut row = Row {
            run: 0,
            settings: 0,
            n_prompt: 0,
            n_gen: 0,
            n_depth: None,
            results: Default::default(),
            samples,
        };
        let mut sizes = [None; 2];
        for ((column, role), value) in schema.fields().zip(values) {
            let Some(value) = *value else {
                continue;
            };
            let wrong = || {
                let value = Text::from(value.to_vec()).to_string();
                format!(
                    "{} is not a number: '{}'",
                    column.name,
                    base::shortened(&value, 40)
                )
            };
            let size = || {
                let size = integer(value).and_then(|size| i64::try_from(size).ok());
                size.filter(|size| *size >= 0).ok_or_else(wrong)
            };
            match role {
                Role::Prompt => sizes[0] = Some(size()?),
                Role::Gen => sizes[1] = Some(size()?),
                Role::Depth => row.n_depth = Some(size()?),
                Role::Result(0) => row.results[0] = Some(value.to_vec().into()),
                Role::Result(place) if column.kind == Kind::Real => {
                    row.results[place] = Some(rounded(value).ok_or_else(wrong)?.into());
                }
                Role::Result(place) => {
                    parsed(value).ok_or_else(wrong)?;
                    row.results[place] = Some(token(value, column.kind).into());
                }
                Role::Speed => {
                    let speed = String::from_utf8_lossy(value).into_owned();
                    let (mean, deviation) = speed.split_once('±').unwrap_or((&speed, ""));
                    for (place, token) in [(3, mean), (4, deviation)] {
                        let token = token.trim().as_bytes();
                        if place == 3 || !token.is_empty() {
                            parsed(token).ok_or_else(wrong)?;
                            row.results[place] = Some(token.to_vec().into());
                        }
                    }
                }
                Role::Setting(_) if schema.is_table() && column.name.as_bytes() == b"test" => {
                    let (n_prompt, n_gen, depth) = sizes_of(value)
                        .ok_or_else(|| format!("unknown test '{}'", Text::from(value.to_vec())))?;
                    sizes = [Some(n_prompt), Some(n_gen)];
                    row.n_depth = Some(depth);
                }
                Role::Identity(_) | Role::Setting(_) => {
                    if !is_of_kind(column, value) {
                        return Err(wrong());
                    }
                    let is_flag = matches!(value, b"0" | b"1" | b"true" | b"false");
                    if column.kind == Kind::Bool && !is_flag {
                        let value = Text::from(value.to_vec());
                        return Err(format!("{} is neither 0 nor 1: {value}", column.name));
                    }
                }
            }
        }
        let [Some(n_prompt), Some(n_gen)] = sizes else {
            let missing = if sizes[0].is_none() {
                "n_prompt"
            } else {
                "n_gen"
            };
            return Err(format!("a row without {missing}"));
        };
        if n_prompt == 0 && n_gen == 0 {
            return Err("n_prompt and n_gen are both 0".to_owned());
        }
        if row.results[3].is_none() {
            return Err("a row without avg_ts".to_owned());
        }
        (row.n_prompt, row.n_gen) = (n_prompt, n_gen);
        if row.samples.ts == speeds(&row) {
            row.samples.ts = None;
        }
        row.run = self.run_of(schema, values);
        row.settings = self.settings_of(schema, values);
        Ok(row)
    }

    /// The run of a row; a new one where no run has its identity.
    fn run_of(&mut self, schema: &Arc<Schema>, values: &Values<'_>) -> usize {
        let before = self.before.get_or_insert_default();
        let mut bytes = Vec::with_capacity(before.identity.len());
        let fields = || schema.fields().zip(values);
        for ((_, role), value) in fields() {
            if let Role::Identity(place) = role {
                put(&mut bytes, *value);
                bytes.extend_from_slice(&(place as u64).to_le_bytes());
            }
        }
        if before.identity == bytes && !self.runs.is_empty() {
            return before.run;
        }
        let mut identity = Identity::default();
        for ((column, role), value) in fields() {
            if let Role::Identity(place) = role {
                identity.values[place] = value.map(|value| token(value, column.kind).into());
            }
        }
        let identity = Arc::new(identity);
        let runs = &mut self.runs;
        let run = *self.last.entry(identity).or_insert_with_key(|identity| {
            runs.push(Open::new(Arc::clone(identity)));
            runs.len() - 1
        });
        before.identity = bytes;
        before.run = run;
        run
    }

    /// Begins another run with the identity of this one.
    fn begin_again(&mut self, run: usize) -> usize {
        self.runs[run].close();
        let identity = Arc::clone(&self.runs[run].run.identity);
        self.runs.push(Open::new(Arc::clone(&identity)));
        let run = self.runs.len() - 1;
        self.last.insert(identity, run);
        self.before.get_or_insert_default().run = run;
        run
    }

    fn settings_of(&mut self, schema: &Arc<Schema>, values: &Values<'_>) -> usize {
        let before = self.before.get_or_insert_default();
        let mut bytes = Vec::with_capacity(before.settings.len());
        let settings = || {
            let fields = schema.fields().zip(values);
            fields.filter(|((_, role), _)| matches!(role, Role::Setting(_)))
        };
        for (_, value) in settings() {
            put(&mut bytes, *value);
        }
        let is_schema = |other: &Arc<Schema>| Arc::ptr_eq(other, schema) || other == schema;
        if before.settings == bytes && before.schema.as_ref().is_some_and(is_schema) {
            return before.settings_place;
        }
        let values = settings()
            .map(|((column, _), value)| value.map(|value| Text::from(token(value, column.kind))));
        let settings = Arc::new(Settings {
            schema: Arc::clone(schema),
            values: values.collect(),
        });
        let (all, hashes) = (&mut self.settings, &mut self.settings_hash);
        let place = *self
            .settings_place
            .entry(settings)
            .or_insert_with_key(|settings| {
                all.push(Arc::clone(settings));
                hashes.push(hash_settings(settings));
                all.len() - 1
            });
        before.schema = Some(Arc::clone(schema));
        before.settings = bytes;
        before.settings_place = place;
        place
    }
}

/// Whether a value is a number where one is expected. A cell of a table is a text.
fn is_of_kind(column: &Column, value: &[u8]) -> bool {
    let is_number = matches!(column.kind, Kind::Integer | Kind::Real | Kind::Bool);
    !is_number || column.width.is_some() || parsed(value).is_some()
}

/// The token as it is kept: real ones with six decimals, flags as `1` and `0`, whole numbers as
/// digits, which other programs write as `2048.0`.
fn token(value: &[u8], kind: Kind) -> Vec<u8> {
    match (kind, value) {
        (Kind::Bool, b"true") => b"1".to_vec(),
        (Kind::Bool, b"false") => b"0".to_vec(),
        (Kind::Real, _) => rounded(value).unwrap_or_else(|| value.to_vec()),
        (Kind::Integer, _) if !is_digits(value) => match integer(value) {
            Some(integer) => integer.to_string().into_bytes(),
            None => value.to_vec(),
        },
        _ => value.to_vec(),
    }
}

/// Whether the token is a whole number of digits alone.
fn is_digits(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    let is_plain = digits == b"0" || digits.first().is_some_and(|first| *first != b'0');
    is_plain && digits.iter().all(u8::is_ascii_digit)
}

/// Derives again what a run has of its rows.
#[derive(Debug)]
pub(crate) struct Recount {
    open: Open,
    /// The settings of the row before: nearly always those of the next.
    before: Option<(Arc<Settings>, [u8; 16])>,
}

impl Recount {
    /// A run without rows.
    #[must_use]
    pub(crate) fn new(identity: Arc<Identity>) -> Self {
        let open = Open::new(identity);
        Self { open, before: None }
    }

    /// Counts the next row.
    pub(crate) fn count(&mut self, row: &Row, settings: &Arc<Settings>) {
        let hash = match &self.before {
            Some((before, hash)) if Arc::ptr_eq(before, settings) => *hash,
            _ => hash_settings(settings),
        };
        self.before = Some((Arc::clone(settings), hash));
        self.open.count(row, settings, hash);
    }

    /// The run, as [`Builder::end`] gives it.
    #[must_use]
    pub(crate) fn end(self) -> DocumentRun {
        self.open.end(false)
    }
}

impl Open {
    fn new(identity: Arc<Identity>) -> Self {
        Self {
            run: DocumentRun {
                identity,
                tests: 0,
                is_refused: false,
                fingerprint: [0; 16],
                core: [0; 8],
                test_time: None,
                speeds: Speeds::default(),
                tells_bytes: false,
                sampled: 0,
            },
            more: None,
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Ends the counting: no row follows.
    fn close(&mut self) {
        if let Some(more) = self.more.take() {
            self.run.speeds.mean_prompt = more.prompt.mean();
            self.run.speeds.mean_generation = more.generation.mean();
        }
    }

    fn count(&mut self, row: &Row, settings: &Settings, hash: [u8; 16]) {
        if self.run.tests == 0 {
            self.run.test_time.clone_from(&row.results[0]);
        }
        self.run.tests += 1;
        self.run.sampled += u64::from(row.samples.ns.is_some());
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&self.run.fingerprint);
        bytes.extend_from_slice(&hash);
        for size in [row.n_prompt, row.n_gen, row.depth()] {
            bytes.extend_from_slice(&size.to_le_bytes());
        }
        for value in &row.results {
            feed(&mut bytes, value.as_ref());
        }
        self.run.fingerprint = xxh3_128(&bytes).to_le_bytes();
        bytes.clear();
        bytes.extend_from_slice(&self.run.core);
        // Old tables have a space in it, as in `pp 512`.
        let name = row.name(settings);
        bytes.extend(name.as_bytes().iter().filter(|byte| **byte != b' '));
        for value in &row.results[3..] {
            let number = value.as_ref().and_then(|value| parsed(value.as_bytes()));
            let two = number.map_or_else(String::new, |number| format!(" {number:.2}"));
            bytes.extend_from_slice(two.as_bytes());
        }
        self.run.core = xxh3_64(&bytes).to_le_bytes();
        let more = self.more.get_or_insert_default();
        let speed = row.number("avg_ts").filter(|speed| speed.is_finite());
        if row.n_gen == 0 {
            let first = &mut self.run.speeds.prompt;
            more.prompt.count(speed, row.depth(), first);
        }
        if row.n_prompt == 0 {
            let first = &mut self.run.speeds.generation;
            more.generation.count(speed, row.depth(), first);
        }
    }

    fn end(mut self, is_refused: bool) -> DocumentRun {
        self.close();
        let mut run = self.run;
        let identity = &run.identity;
        let mut bytes = run.fingerprint.to_vec();
        for (name, value) in IDENTITY.iter().zip(&identity.values) {
            if value.is_some() {
                bytes.extend_from_slice(name.as_bytes());
                feed(&mut bytes, value.as_ref());
            }
        }
        run.fingerprint = xxh3_128(&bytes).to_be_bytes();
        bytes.clear();
        bytes.extend_from_slice(&run.core);
        let shown = [
            identity.get("model_type").cloned(),
            identity.get("model_size").map(shown_size),
            identity.get("model_n_params").map(shown_params),
        ];
        for value in &shown {
            feed(&mut bytes, value.as_ref());
        }
        run.core = xxh3_64(&bytes).to_be_bytes();
        run.is_refused |= is_refused || run.tests == 0;
        run
    }
}

impl Mean {
    fn count(&mut self, speed: Option<f64>, depth: i64, first: &mut Option<f64>) {
        if let Some(speed) = speed {
            if first.is_none() || depth < self.depth {
                *first = Some(speed);
                self.depth = depth;
            }
            self.sum += speed;
            self.count += 1.0;
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

/// What tells the tests of a run apart.
fn key(row: &Row) -> u64 {
    let mut bytes = [0; 32];
    let sizes = [row.n_prompt, row.n_gen, row.depth()].map(i64::cast_unsigned);
    let all = sizes.into_iter().chain([row.settings as u64]);
    for (place, size) in bytes.chunks_exact_mut(8).zip(all) {
        place.copy_from_slice(&size.to_le_bytes());
    }
    xxh3_64(&bytes)
}

/// A hash of the names and values, in whatever order they stand.
fn hash_settings(settings: &Settings) -> [u8; 16] {
    let known = settings.known().map(|(column, value)| {
        let mut bytes = Vec::with_capacity(64);
        feed(&mut bytes, Some(&column.name));
        feed(&mut bytes, Some(value));
        bytes
    });
    // In the order of what is hashed: json may have lost bytes of the names.
    let mut known: Vec<Vec<u8>> = known.collect();
    known.sort_unstable();
    xxh3_128(&known.concat()).to_le_bytes()
}

/// Appends a text and its end to the bytes that are hashed.
fn feed(bytes: &mut Vec<u8>, text: Option<&Text>) {
    let Some(text) = text else {
        bytes.push(0xfd);
        return;
    };
    text.fold_into(bytes);
    bytes.push(0xfe);
}

/// The sizes in a table's name of a test: `pp512`, `tg 128`, `pp512+tg128 @ d4096`, `tg64@pp512`.
fn sizes_of(name: &[u8]) -> Option<(i64, i64, i64)> {
    let name = std::str::from_utf8(name).ok()?;
    let [mut n_prompt, mut n_gen, mut depth] = [0; 3];
    for part in name.split(['+', '@']) {
        let part = part.trim();
        let sizes = [("pp", &mut n_prompt), ("tg", &mut n_gen), ("d", &mut depth)];
        let mut sizes = sizes.into_iter();
        let (tokens, size) =
            sizes.find_map(|(kind, size)| Some((part.strip_prefix(kind)?, size)))?;
        *size = tokens.trim().parse().ok().filter(|tokens| *tokens >= 0)?;
    }
    Some((n_prompt, n_gen, depth))
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    #[test]
    fn names_of_which_json_lost_bytes_are_the_same_names() {
        let hash = |names: [&str; 2]| {
            let column = |name: &str| Column {
                name: name.into(),
                kind: Kind::Text,
                width: None,
            };
            let schema = Schema::new(names.map(column).into(), None);
            let values = vec![Some("1".into()), Some("2".into())];
            hash_settings(&Settings {
                schema: Arc::new(schema),
                values,
            })
        };
        // Both lose their two first bytes, and their order with them.
        let lost = "\u{ffff}f\u{ffff}f";
        let without = [format!("{lost}b"), format!("{lost}a")];
        assert_eq!(
            hash(["\u{e9}b", "\u{ea}a"]),
            hash([&without[0], &without[1]])
        );
        assert_ne!(hash(["\u{e9}b", "\u{ea}a"]), hash(["\u{ea}a", "\u{e9}b"]));
    }
}
