//! Clean JSON, a run a line: valid whatever the values are, for jq and other programs.
//!
//! The keys are those of the C tool's document, after the run's id, tags, score and the time at
//! which it was added. What is missing or no number is null; text that is no UTF-8 has U+FFFD in
//! place of what is wrong, and a byte that the C tool lost reads U+FFFF and `f`, as it does in any
//! reader of its json. [`super::json`] reads it.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::{
    AcceleratorInfo, Field, Run, RuntimeInfo, Source, SystemInfo, Test, Text, Value,
};

/// What the store knows of a run besides what was measured.
#[derive(Debug, Clone)]
pub struct Label<'a> {
    /// The run's id.
    pub id: i64,
    /// Its tags, in order.
    pub tags: &'a [String],
    /// When it was added: RFC 3339, UTC.
    pub added_at: String,
    /// Where LocalScore shows it, if it was submitted.
    pub link: Option<&'a str>,
}

/// Writes the line of a run.
pub fn write(out: &mut dyn Write, label: &Label<'_>, run: &Run) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Line { label, run })?;
    out.write_all(b"\n")
}

struct Line<'a> {
    label: &'a Label<'a>,
    run: &'a Run,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let environment = &self.run.environment;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.label.id)?;
        map.serialize_entry("tags", self.label.tags)?;
        map.serialize_entry("score", &finite(self.run.summary().performance_score))?;
        map.serialize_entry("partial", &self.run.is_partial())?;
        let rounded = self.run.source == Source::Console;
        map.serialize_entry("rounded", &rounded)?;
        map.serialize_entry("link", &self.label.link)?;
        map.serialize_entry("added_at", &self.label.added_at)?;
        map.serialize_entry("runtime_info", &Info::Runtime(&environment.runtime))?;
        map.serialize_entry("system_info", &Info::System(&environment.system))?;
        map.serialize_entry(
            "accelerator_info",
            &Info::Accelerator(&environment.accelerator),
        )?;
        let results: Vec<TestLine<'_>> = self.run.tests.iter().map(TestLine).collect();
        map.serialize_entry("results", &results)?;
        map.end()
    }
}

enum Info<'a> {
    Runtime(&'a RuntimeInfo),
    System(&'a SystemInfo),
    Accelerator(&'a AcceleratorInfo),
}

impl Serialize for Info<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Runtime(info) => {
                map.serialize_entry("name", &text(info.name.as_ref()))?;
                map.serialize_entry("version", &text(info.version.as_ref()))?;
                map.serialize_entry("commit", &text(info.commit.as_ref()))?;
            }
            Self::System(info) => {
                map.serialize_entry("cpu_name", &text(info.cpu_name.as_ref()))?;
                map.serialize_entry("cpu_arch", &text(info.cpu_arch.as_ref()))?;
                map.serialize_entry("ram_gb", &info.ram_gb.and_then(finite))?;
                map.serialize_entry("kernel_type", &text(info.kernel_type.as_ref()))?;
                map.serialize_entry("kernel_release", &text(info.kernel_release.as_ref()))?;
                map.serialize_entry("version", &text(info.version.as_ref()))?;
            }
            Self::Accelerator(info) => {
                map.serialize_entry("name", &text(info.name.as_ref()))?;
                map.serialize_entry("manufacturer", &text(info.manufacturer.as_ref()))?;
                map.serialize_entry("memory_gb", &info.memory_gb.and_then(finite))?;
                map.serialize_entry("type", &text(info.kind.as_ref()))?;
            }
        }
        map.end()
    }
}

struct TestLine<'a>(&'a Test);

impl Serialize for TestLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in Field::ALL {
            let key = field.name();
            match field.get(self.0) {
                Value::Missing => map.serialize_entry(key, &())?,
                Value::Text(value) => map.serialize_entry(key, &value.to_utf8())?,
                Value::Integer(value) => map.serialize_entry(key, &value)?,
                Value::Unsigned(value) => map.serialize_entry(key, &value)?,
                Value::Number(value) => map.serialize_entry(key, &finite(value))?,
            }
        }
        map.serialize_entry("samples_ns", &self.0.samples_ns)?;
        map.end()
    }
}

fn text(value: Option<&Text>) -> Option<std::borrow::Cow<'_, str>> {
    value.map(Text::to_utf8)
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
