//! How `show` prints a run of llama-bench: each test with the settings in which the tests differ.

use std::cell::RefCell;
use std::sync::Arc;

use rusqlite::Connection;
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

use super::{DEVIATIONS, Pair, joined, machine, measured, or, pairs};
use crate::cmd::list::{self, ABOUT};
use crate::cmd::{Context, words};
use crate::formats::jsonl;
use crate::model::bench::{
    IDENTITY, Identity, Kind, RESULTS, Row, Settings, short_name, shown_params, shown_size, speeds,
};
use crate::model::{Environment, HeaderField, Text};
use crate::store::bench::{self, Reader, StoredDocument, StoredRow};
use crate::store::{Listed, Store};
use base::number::two_decimals;
use base::rows;
use base::{Column, Result, Screen, Table, counted, printable};

/// The most tests that are shown to people.
const MOST_TESTS: u32 = 1000;

/// A run of llama-bench as it is shown.
struct Shown<'a> {
    listed: &'a Listed,
    environment: Environment,
    identity: Identity,
    settings: SettingsOf,
}

/// The settings of a run's tests, by the names of their fields, in the order of these.
struct SettingsOf {
    /// Those that all tests have in common.
    common: Vec<(String, Text)>,
    /// Those in which tests differ.
    own: Vec<String>,
}

/// Prints the run for people.
pub(super) fn print(
    store: &Store,
    listed: &Listed,
    is_detailed: bool,
    context: &mut Context,
) -> Result<()> {
    let (environment, identity) = store.read(|db| bench::head(db, listed.id))?;
    let settings = SettingsOf::of(&store.read(|db| bench::settings(db, listed.id))?);
    let shown = Shown {
        listed,
        environment,
        identity,
        settings,
    };
    let limit = (!is_detailed).then_some(MOST_TESTS);
    let rows = store.read(|db| bench::first_rows(db, listed.id, limit))?;
    let out = &mut context.out;
    let screen = out.screen();
    let mut text = screen.fold(&printable(&shown.first_line(&rows))) + "\n";
    let mut hidden = Vec::new();
    if is_detailed {
        text += "\n";
        text += &pairs(&shown.details(&rows), screen);
    } else {
        text += &screen.fold(&printable(&words::full_names(listed)));
        text += "\n\n";
        text += &pairs(&shown.facts(&rows), screen);
        text += "\n";
        let (table, left_out) = shown.tests(&rows, screen);
        hidden = left_out;
        text += &table.render(screen);
    }
    out.styled(text.as_bytes())?;
    if listed.source.is_rounded() || listed.measured_guessed {
        context.note(ABOUT);
    }
    if !hidden.is_empty() {
        let hidden = hidden.join(", ");
        context.note(&format!("hidden: {hidden}; '--details' shows them"));
    }
    if rows.len() < usize::try_from(listed.tests).unwrap_or_default() {
        let (shown, all) = (rows.len(), listed.tests);
        context.note(&format!("{shown} of {all} tests; '-o json' has all"));
    }
    Ok(())
}

/// Prints the run as an object.
pub(super) fn json(store: &Store, listed: &Listed, context: &mut Context) -> Result<()> {
    store.read(|db| {
        let (environment, identity) = bench::head(db, listed.id)?;
        let document = Document {
            row: list::with_tool(listed),
            headers: jsonl::Headers(&environment),
            identity: Fields(&identity),
            results: Results {
                db,
                run: listed.id,
                reader: RefCell::default(),
            },
        };
        Ok(rows::json(&document, &mut context.out)?)
    })
}

impl SettingsOf {
    fn of(all: &[Arc<Settings>]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for settings in all {
            let new = settings.known().map(|(column, _)| column.name.to_string());
            for name in new {
                // The test's own name stands in front of its row.
                if name != "test" && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let (mut common, mut own) = (Vec::new(), Vec::new());
        for name in names {
            let mut values = all.iter().map(|settings| settings.get(&name));
            let first = values.next().flatten();
            match first {
                Some(value) if values.all(|other| other == first) => {
                    common.push((name, value.clone()));
                }
                _ => own.push(name),
            }
        }
        Self { common, own }
    }
}

impl Shown<'_> {
    /// The speeds that lists show, with the names of their tests.
    fn first_line(&self, rows: &[StoredRow]) -> String {
        let first = |is_meant: fn(&Row) -> bool| {
            let rows = rows.iter().filter(|row| is_meant(&row.row));
            rows.min_by_key(|row| row.row.depth())
        };
        let [prompt, generation] = [first(|row| row.n_gen == 0), first(|row| row.n_prompt == 0)];
        let mixed = rows.first().filter(|_| prompt.or(generation).is_none());
        let speeds = [prompt, generation, mixed].into_iter().flatten();
        let speeds = speeds.map(|row| {
            let name = row.row.name(&row.settings);
            let speed = self.speed(&row.row);
            format!("{name} {speed} t/s")
        });
        let tests = counted(self.listed.tests.unsigned_abs(), "test");
        let parts: Vec<String> = speeds.chain([tests]).collect();
        format!("run {}: {}", self.listed.id, parts.join(", "))
    }

    fn speed(&self, row: &Row) -> String {
        let about = if self.listed.source.is_rounded() {
            "~"
        } else {
            ""
        };
        let speed = row.number("avg_ts").map(two_decimals);
        speed.map_or_else(|| "?".to_owned(), |speed| format!("{about}{speed}"))
    }

    fn facts(&self, rows: &[StoredRow]) -> Vec<Pair> {
        let listed = self.listed;
        let rounded = if listed.source.is_rounded() {
            ", rounded values"
        } else {
            ""
        };
        let mut machine = machine(&self.environment);
        let gpu = self.identity.get("gpu_info").map(Text::to_string);
        machine.splice(1..1, gpu.filter(|gpu| !gpu.is_empty()));
        let settings = self.settings.common.iter();
        let settings: Vec<String> = settings.map(|(name, value)| set(name, value)).collect();
        let none = match self.settings.own.as_slice() {
            [] => "unknown",
            _ => "none in common",
        };
        let facts = [
            ("measured", vec![measured(listed)]),
            ("machine", machine),
            ("backend", vec![or(self.text("backend"), "unknown")]),
            ("runtime", vec![self.runtime(rows)]),
            ("model", vec![self.model()]),
            ("settings", vec![or(settings.join(", "), none)]),
            ("tags", vec![or(listed.tags.join(", "), "none")]),
            ("source", vec![format!("{}{rounded}", listed.source.name())]),
        ];
        let facts = facts.into_iter();
        facts
            .map(|(name, lines)| (name.to_owned(), lines))
            .collect()
    }

    /// The value of a field of the identity, or the backend.
    fn text(&self, name: &str) -> String {
        let value = match name {
            "backend" => self.identity.backend(),
            _ => self.identity.get(name).cloned(),
        };
        value.map(|value| value.to_string()).unwrap_or_default()
    }

    /// `llama.cpp b6700 (3df2244d), 5 repetitions`.
    fn runtime(&self, rows: &[StoredRow]) -> String {
        let known = |name| Some(self.text(name)).filter(|text| !text.is_empty());
        let build = joined(
            [
                Some("llama.cpp".to_owned()),
                known("build_number").map(|number| format!("b{number}")),
                known("build_commit").map(|commit| format!("({commit})")),
            ],
            " ",
        );
        let counts = rows
            .iter()
            .map(|row| row.row.samples.ns.as_ref().map(Vec::len));
        let counts: Option<Vec<usize>> = counts.collect();
        joined(
            [
                Some(build),
                counts.and_then(|counts| super::repetitions(&counts)),
            ],
            ", ",
        )
    }

    /// `models/8b.gguf, 4.58 GiB, 8.03 B parameters`.
    fn model(&self) -> String {
        let filename = Some(self.text("model_filename")).filter(|name| !name.is_empty());
        let size = self.identity.get("model_size").map(shown_size);
        let params = self.identity.get("model_n_params").map(shown_params);
        let parts = [
            filename,
            size.map(|size| size.to_string()),
            params.map(|params| format!("{params} parameters")),
        ];
        or(joined(parts, ", "), "unknown")
    }

    /// The table of the tests, and the settings that the screen has no room for.
    fn tests(&self, rows: &[StoredRow], screen: Screen) -> (Table, Vec<String>) {
        let mut table = Table::new::<&str>(&[]);
        let names = rows
            .iter()
            .map(|row| row.row.name(&row.settings).to_string());
        table.column("test", Column::Whole, names);
        let own = self.settings.own.iter();
        let heads: Vec<String> = own
            .map(|name| printable(short_name(name)).into_owned())
            .collect();
        for (name, head) in self.settings.own.iter().zip(&heads) {
            let cells = rows.iter().map(|row| {
                let value = row.settings.get(name);
                value.map(Text::to_string).unwrap_or_default()
            });
            let cells: Vec<String> = cells.collect();
            let is_number = |cell: &String| cell.parse::<f64>().is_ok() || cell.is_empty();
            let layout = if cells.iter().all(is_number) {
                Column::Number
            } else {
                Column::Text
            };
            table.column(head, layout, cells.into_iter());
        }
        let speeds: Vec<String> = rows.iter().map(|row| self.speed(&row.row)).collect();
        let widest = speeds.iter().map(String::len).max().unwrap_or(0);
        let has_deviations = screen.width.is_none_or(|width| width >= DEVIATIONS);
        let cells: Vec<String> = rows
            .iter()
            .zip(&speeds)
            .map(|(row, speed)| {
                let percent = deviation(&row.row).filter(|_| has_deviations);
                let percent = percent.map(|percent| format!(" ± {percent:.1}%"));
                format!("{speed:>widest$}{}", percent.unwrap_or_default())
            })
            .collect();
        table.column("t/s", Column::Whole, cells.into_iter());
        let can_go: Vec<&str> = heads.iter().rev().map(String::as_str).collect();
        let left_out = table.leave_out(screen, &can_go);
        let left_out = left_out.into_iter().rev().map(str::to_owned).collect();
        (table, left_out)
    }

    /// Every stored field.
    fn details(&self, rows: &[StoredRow]) -> Vec<Pair> {
        let pair = |name: String, value: String| (name, vec![value]);
        let row = list::with_tool(self.listed);
        let mut details: Vec<Pair> = rows::fields(&row)
            .map(|(name, value)| pair(name.to_owned(), value))
            .collect();
        for (object, fields) in HeaderField::OBJECTS {
            for field in fields {
                let value = super::field_text(field.get(&self.environment));
                details.push(pair(format!("{object}.{}", field.name()), value));
            }
        }
        for (name, value) in IDENTITY.iter().zip(&self.identity.values) {
            if let Some(value) = value {
                details.push(pair((*name).to_owned(), value.to_string()));
            }
        }
        for (name, value) in &self.settings.common {
            details.push(pair(name.clone(), value.to_string()));
        }
        for row in rows {
            let own = self.settings.own.iter().filter_map(|name| {
                let value = row.settings.get(name)?;
                Some(format!(" {}", set(name, value)))
            });
            let test = row.row.name(&row.settings).to_string() + &own.collect::<String>();
            let printed = |name| {
                let place = RESULTS.iter().position(|result| *result == name)?;
                row.row.results[place].as_ref().map(Text::to_string)
            };
            for (name, value) in results(row) {
                let value = printed(name).unwrap_or_else(|| match value {
                    Value::Array(samples) => {
                        let samples: Vec<String> = samples.iter().map(Value::to_string).collect();
                        samples.join(" ")
                    }
                    Value::Null => String::new(),
                    value => value.to_string(),
                });
                details.push(pair(format!("{test}.{name}"), value));
            }
        }
        details
    }
}

/// A setting in words, which does not break at the end of a line: `n_batch=2048`.
fn set(name: &str, value: &Text) -> String {
    format!("{name}={value}")
}

/// The deviation of the speed in percent of it, where there is one.
fn deviation(row: &Row) -> Option<f64> {
    if row
        .samples
        .ns
        .as_ref()
        .is_some_and(|samples| samples.len() == 1)
    {
        return None;
    }
    let percent = 100.0 * row.number("stddev_ts")? / row.number("avg_ts")?;
    Some(percent).filter(|percent| percent.is_finite())
}

/// What was measured in a test: its sizes, results and repetitions.
fn results(StoredRow { row, .. }: &StoredRow) -> Vec<(&'static str, Value)> {
    let mut results = vec![
        ("n_prompt", row.n_prompt.into()),
        ("n_gen", row.n_gen.into()),
    ];
    results.extend(row.n_depth.map(|depth| ("n_depth", depth.into())));
    for (name, result) in RESULTS.into_iter().zip(&row.results) {
        let kind = match name {
            "test_time" => Kind::Text,
            _ => Kind::Other,
        };
        results.extend(result.as_ref().map(|result| (name, value(kind, result))));
    }
    let ns = row.samples.ns.as_ref();
    results.push((
        "samples_ns",
        ns.map_or(Value::Null, |ns| ns.as_slice().into()),
    ));
    let ts = row.samples.ts.clone().or_else(|| speeds(row));
    let ts = ts.map(|ts| {
        let samples = ts.to_string();
        let samples = samples.split(", ");
        samples
            .map(|speed| value(Kind::Real, &speed.into()))
            .collect()
    });
    results.push(("samples_ts", ts.unwrap_or(Value::Null)));
    results
}

/// A token as valid JSON; null for what is not a number, such as `nan`.
fn value(kind: Kind, token: &Text) -> Value {
    match kind {
        Kind::Text => token.to_utf8().into(),
        Kind::Bool => (token.as_bytes() == b"1").into(),
        Kind::Integer | Kind::Real | Kind::Other => {
            serde_json::from_slice(token.as_bytes()).unwrap_or(Value::Null)
        }
    }
}

/// Everything about a run.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    row: list::WithTool,
    #[serde(flatten)]
    headers: jsonl::Headers<'a>,
    #[serde(flatten)]
    identity: Fields<'a>,
    results: Results<'a>,
}

/// The fields that all tests have.
struct Fields<'a>(&'a Identity);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let fields = IDENTITY.iter().zip(&self.0.values);
        serializer.collect_map(fields.filter_map(|(name, field)| {
            let field = field.as_ref()?;
            // The number that a field of no version has is that of all.
            let kind = Kind::of(name, 0).unwrap_or(Kind::Text);
            let number = value(kind, field);
            let is_shown = number.is_null() && kind != Kind::Text;
            Some((
                name,
                if is_shown {
                    value(Kind::Text, field)
                } else {
                    number
                },
            ))
        }))
    }
}

/// The tests, which are read as they are printed.
struct Results<'a> {
    db: &'a Connection,
    run: i64,
    reader: RefCell<Reader>,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        let mut failed = None;
        let document = StoredDocument {
            runs: vec![self.run],
        };
        let read = self
            .reader
            .borrow_mut()
            .each_row(self.db, &document, |row| {
                all.serialize_element(&Members(row)).map_err(|error| {
                    failed = Some(error);
                    rusqlite::Error::InvalidQuery
                })
            });
        match (failed, read) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(S::Error::custom(db::reason(&error))),
            (None, Ok(())) => all.end(),
        }
    }
}

/// A test with its settings.
struct Members<'a>(&'a StoredRow);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self(row) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &row.row.name(&row.settings).to_utf8())?;
        let is_table = row.settings.schema.is_table();
        for (column, setting) in row.settings.known() {
            let kind = match column.kind {
                // A table does not tell kinds, and what it calls the test is the name.
                _ if is_table && column.name.as_bytes() == b"test" => continue,
                Kind::Text if is_table && !value(Kind::Other, setting).is_null() => Kind::Other,
                kind => kind,
            };
            map.serialize_entry(&column.name.to_utf8(), &value(kind, setting))?;
        }
        for (name, result) in results(row) {
            map.serialize_entry(name, &result)?;
        }
        map.end()
    }
}
