//! Clean JSON, one run per line: valid whatever the values are, for jq and other programs.
//!
//! The keys of the C tool's document come after the run's id, tags, score and the time at which it
//! was added. Missing values, nan and inf are null; invalid UTF-8 becomes U+FFFD; a byte that the C
//! tool lost is U+FFFF and `f`, as in any reader of its json. [`super::json`] reads it.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::{Environment, Field, HeaderField, Run, Test, Value};

/// What the store knows about a run besides the measurements.
#[derive(Debug, Clone)]
pub(crate) struct Label<'a> {
    /// The run's id.
    pub id: i64,
    /// Its tags, in order.
    pub tags: &'a [String],
    /// When it was added: RFC 3339, UTC.
    pub added_at: String,
    /// The address of the result on LocalScore, if it was submitted.
    pub link: Option<&'a str>,
}

/// Writes the line of a run.
pub(crate) fn write(out: &mut dyn Write, label: &Label<'_>, run: &Run) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { label, run })?;
    out.write_all(b"\n")
}

struct Line<'a> {
    label: &'a Label<'a>,
    run: &'a Run,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.label.id)?;
        map.serialize_entry("tags", self.label.tags)?;
        let score = self.run.suite().score(&self.run.tests);
        map.serialize_entry("score", &score.and_then(finite))?;
        map.serialize_entry("partial", &self.run.is_partial())?;
        map.serialize_entry("rounded", &self.run.source.is_rounded())?;
        map.serialize_entry("link", &self.label.link)?;
        map.serialize_entry("added_at", &self.label.added_at)?;
        measurements(&mut map, self.run)?;
        map.end()
    }
}

/// What was measured, with the keys of the C tool.
pub(crate) struct Measurements<'a>(pub(crate) &'a Run);

impl Serialize for Measurements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        measurements(&mut map, self.0)?;
        map.end()
    }
}

/// Program, computer and accelerator, an object each.
pub(crate) struct Headers<'a>(pub(crate) &'a Environment);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        headers(&mut map, self.0)?;
        map.end()
    }
}

fn headers<M: SerializeMap>(map: &mut M, environment: &Environment) -> Result<(), M::Error> {
    HeaderField::OBJECTS
        .into_iter()
        .try_for_each(|(name, fields)| map.serialize_entry(name, &Header(environment, fields)))
}

fn measurements<M: SerializeMap>(map: &mut M, run: &Run) -> Result<(), M::Error> {
    headers(map, &run.environment)?;
    let results: Vec<TestMembers<'_>> = run.tests.iter().map(TestMembers).collect();
    map.serialize_entry("results", &results)
}

/// An object of the header with these fields.
struct Header<'a>(&'a Environment, &'a [HeaderField]);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.1.iter();
        serializer.collect_map(members.map(|field| (field.name(), Clean(field.get(self.0)))))
    }
}

struct TestMembers<'a>(&'a Test);

impl Serialize for TestMembers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in Field::ALL {
            map.serialize_entry(field.name(), &Clean(field.get(self.0)))?;
        }
        map.serialize_entry("samples_ns", &self.0.samples_ns)?;
        map.end()
    }
}

/// A value as valid JSON.
struct Clean<'a>(Value<'a>);

impl Serialize for Clean<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Missing => serializer.serialize_none(),
            Value::Text(text) => serializer.serialize_str(&text.to_utf8()),
            Value::Integer(value) => serializer.serialize_i64(value),
            Value::Unsigned(value) => serializer.serialize_u64(value),
            Value::Number(value) => finite(value).serialize(serializer),
        }
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
