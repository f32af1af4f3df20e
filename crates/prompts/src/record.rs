//! Records: the overrides of one name, as a file has them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base::{Error, Result};

use crate::document::Document;
use crate::hash::Hash;
use crate::input::text;
use crate::json::{Json, Member, Object, position};
use crate::name::{Name, PromptName, section_path};
use crate::problem::{Entry, Kind, Problem};

/// The name of the overrides of examples in a file of format 2.
pub(crate) const EXAMPLES: &str = "task_example_overrides";

/// The version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// Of weakincentives 0.5.0 to 0.18.1.
    One,
    /// Of weakincentives 0.19.0 and later.
    Two,
}

impl Format {
    /// The format that a value tells, as Python compares: `1.0` and `true` are 1 too.
    #[must_use]
    pub(crate) fn of(value: &Json) -> Option<Self> {
        let number = match value {
            Json::Bool(true) => 1.0,
            Json::Number(text) => text.parse::<f64>().ok()?,
            _ => return None,
        };
        if number == 1.0 {
            Some(Self::One)
        } else if number == 2.0 {
            Some(Self::Two)
        } else {
            None
        }
    }

    /// Its number.
    #[must_use]
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The value in a file.
    #[must_use]
    pub(crate) fn to_json(self) -> Json {
        Json::Number(self.to_string())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(formatter)
    }
}

/// What to do with the byte order mark of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bom {
    /// It is malformed, as for the library.
    Refuse,
    /// It is passed over with a warning.
    Warn,
    /// It is passed over.
    Ignore,
}

/// A record.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Its file.
    pub(crate) file: PathBuf,
    /// Its name, by its file.
    pub(crate) name: Name,
    /// What is in it.
    pub(crate) object: Object,
    /// Its format.
    pub(crate) format: Format,
    /// The text that was read, for places.
    text: String,
}

impl Record {
    /// A record without overrides. The prompt is spelled as the document does, if there is one.
    #[must_use]
    pub(crate) fn new(
        file: PathBuf,
        name: &Name,
        document: Option<&Document>,
        format: Format,
    ) -> Self {
        let (ns, key) = match document {
            Some(document) => (document.ns.clone(), document.key.clone()),
            None => (name.prompt.namespace(), name.prompt.key.clone()),
        };
        let mut object: Object = [
            ("version", format.to_json()),
            ("ns", Json::String(ns)),
            ("prompt_key", Json::String(key)),
            ("tag", Json::String(name.tag.clone())),
            ("sections", Object::default().into()),
            ("tools", Object::default().into()),
        ]
        .into_iter()
        .collect();
        if format == Format::Two {
            object.set(EXAMPLES, Json::Array(Vec::new()));
        }
        Self {
            file,
            name: name.clone(),
            object,
            format,
            text: String::new(),
        }
    }

    /// Reads the bytes of a file. The problem is that they are not JSON, not an object, or of another
    /// version than 1 and 2.
    pub(crate) fn read(file: &Path, name: &Name, bytes: &[u8], bom: Bom) -> Result<Self, Problem> {
        let problem = |message: String| Problem::new(None, Kind::Malformed, message);
        let mut text = text(bytes).map_err(|error| problem(error.to_string()))?;
        if let Some(rest) = text.strip_prefix('\u{feff}') {
            if bom == Bom::Refuse {
                let why = "a byte order mark, which weakincentives does not read, line 1 column 1";
                return Err(problem(why.to_owned()));
            }
            if bom == Bom::Warn {
                base::note(&format!(
                    "{}: a byte order mark was passed over",
                    file.display()
                ));
            }
            text = rest;
        }
        let json = Json::parse(text).map_err(|malformed| {
            problem(format!(
                "{}, {}",
                malformed.why,
                position(text, malformed.at)
            ))
        })?;
        let Json::Object(object) = json else {
            return Err(problem(format!(
                "not an object, but {}, line 1 column 1",
                json.kind()
            )));
        };
        let Some(version) = object.member("version") else {
            return Err(problem("no version, line 1 column 1".to_owned()));
        };
        let Some(format) = Format::of(&version.value) else {
            let why = format!("version: not 1 or 2, but {}", version.value.compact());
            return Err(problem(format!("{why}, {}", position(text, version.at))));
        };
        Ok(Self {
            file: file.to_owned(),
            name: name.clone(),
            object,
            format,
            text: text.to_owned(),
        })
    }

    /// The place of a byte of the file.
    #[must_use]
    pub(crate) fn position(&self, at: usize) -> String {
        position(&self.text, at)
    }

    /// An error for a problem of this record.
    #[must_use]
    pub(crate) fn error(&self, problem: &Problem) -> Error {
        let error = problem.error(&self.file);
        match (problem.kind, self.format) {
            (Kind::Format, Format::One) => error.hint("localstore prompt convert --to 2"),
            (Kind::Format, Format::Two) => error.hint("localstore prompt convert --to 1"),
            _ => error,
        }
    }

    /// The overrides of sections, each with the key it has in the file.
    #[must_use]
    pub(crate) fn sections(&self) -> Option<&Object> {
        self.object.get("sections")?.as_object()
    }

    /// The overrides of tools.
    #[must_use]
    pub(crate) fn tools(&self) -> Option<&Object> {
        self.object.get("tools")?.as_object()
    }

    /// The override of a section: of two for one path the last.
    #[must_use]
    pub(crate) fn section(&self, path: &[String]) -> Option<&Object> {
        let mut sections = self.sections()?.iter().rev();
        sections
            .find(|member| section_path(&member.key) == path)?
            .value
            .as_object()
    }

    /// The override of a tool.
    #[must_use]
    pub(crate) fn tool(&self, name: &str) -> Option<&Object> {
        self.tools()?.get(name)?.as_object()
    }

    /// The override of a section to be changed, a new one if there is none. Others of the same path go.
    pub(crate) fn section_mut(&mut self, path: &[String]) -> &mut Object {
        let last = self.section(path).cloned();
        let is_two = self.format == Format::Two;
        let sections = self.object.object_mut("sections");
        let is_it = |key: &str| section_path(key) == path;
        let keys = sections.iter().filter(|member| is_it(&member.key));
        let keys: Vec<String> = keys.map(|member| member.key.clone()).collect();
        let key = match keys.as_slice() {
            [key] => key.clone(),
            _ => path.join("/"),
        };
        for other in keys.iter().filter(|&other| *other != key) {
            sections.remove(other);
        }
        if keys.len() != 1 {
            sections.set(&key, last.unwrap_or_default());
        }
        let section = sections.object_mut(&key);
        if is_two {
            section.set("path", path_value(path));
        }
        section
    }

    /// The override of a tool to be changed, a new one if there is none.
    pub(crate) fn tool_mut(&mut self, name: &str) -> &mut Object {
        let tools = self.object.object_mut("tools");
        if tools.get(name).is_none() {
            let none: [(&str, Json); 2] = [
                ("description", Json::Null),
                ("param_descriptions", Object::default().into()),
            ];
            tools.set(name, none.into_iter().collect::<Object>());
        }
        tools.object_mut(name)
    }

    /// Sets overrides that say what all sections and tools of the document are now.
    pub(crate) fn seed(&mut self, document: &Document) -> Result<()> {
        let mut sections = BTreeMap::new();
        for section in &document.sections {
            let mut entry = Object::default();
            entry.set("expected_hash", &section.hash);
            entry.set("body", section.template()?);
            if self.format == Format::Two {
                entry.set("path", path_value(&section.path));
            }
            sections.insert(section.name(), entry.into());
        }
        let mut tools = BTreeMap::new();
        for tool in &document.tools {
            let mut entry = Object::default();
            entry.set("expected_contract_hash", &tool.hash);
            entry.set("description", tool.required_description()?);
            entry.set("param_descriptions", texts(&tool.param_descriptions));
            tools.insert(tool.name.clone(), entry.into());
        }
        self.object.set("sections", Object::from(sections));
        self.object.set("tools", Object::from(tools));
        Ok(())
    }

    /// An override that is there; none of an example.
    #[must_use]
    pub(crate) fn entry(&self, entry: &Entry) -> Option<&Object> {
        match entry {
            Entry::Section(path) => self.section(&section_path(path)),
            Entry::Tool(name) => self.tool(name),
            Entry::Example(_) => None,
        }
    }

    /// Tells that an override replaces what has this hash.
    pub(crate) fn set_hash(&mut self, entry: &Entry, hash: &Hash) {
        let object = match entry {
            Entry::Section(path) => self.section_mut(&section_path(path)),
            Entry::Tool(name) => self.tool_mut(name),
            Entry::Example(_) => return,
        };
        object.set(entry.hash_key(), hash);
    }

    /// Tells of each override that it replaces what has this hash, if one is given. Gives those that
    /// replaced something else.
    pub(crate) fn accept<'a>(
        &mut self,
        hash_of: impl Fn(&Entry) -> Option<&'a Hash>,
    ) -> Vec<Entry> {
        let mut accepted = Vec::new();
        let members = self.object.iter_mut();
        for Member {
            key: kind, value, ..
        } in members
        {
            let Json::Object(entries) = value else {
                continue;
            };
            for Member { key, value, .. } in entries.iter_mut() {
                let entry = match kind.as_str() {
                    "sections" => Entry::Section(section_path(key).join("/")),
                    "tools" => Entry::Tool(key.clone()),
                    _ => continue,
                };
                if let (Some(hash), Json::Object(object)) = (hash_of(&entry), value)
                    && Self::told_hash(&entry, object).as_ref() != Some(hash)
                {
                    object.set(entry.hash_key(), hash);
                    accepted.push(entry);
                }
            }
        }
        // Two keys of one path are one override.
        accepted.sort_unstable();
        accepted.dedup();
        accepted
    }

    /// Removes an override. Tells whether it was there, be it not even an object.
    pub(crate) fn remove(&mut self, entry: &Entry) -> bool {
        let (entries, keys) = match entry {
            Entry::Section(path) => {
                let path = section_path(path);
                let keys = self.sections().into_iter().flat_map(Object::iter);
                let keys = keys.map(|member| member.key.clone());
                let keys = keys.filter(|key| section_path(key) == path);
                ("sections", keys.collect())
            }
            Entry::Tool(name) => ("tools", vec![name.clone()]),
            Entry::Example(_) => return false,
        };
        let is_there = |key: &String| {
            let entries = self.object.get(entries).and_then(Json::as_object);
            entries.is_some_and(|entries| entries.member(key).is_some())
        };
        let keys: Vec<String> = keys.into_iter().filter(is_there).collect();
        for key in &keys {
            self.object.object_mut(entries).remove(key);
        }
        !keys.is_empty()
    }

    /// The same overrides in another format; the problems are what it cannot hold.
    pub(crate) fn converted(&self, to: Format) -> Result<Self, Vec<Problem>> {
        let mut record = self.clone();
        if to == self.format {
            return Ok(record);
        }
        record.format = to;
        record.object.set("version", to.to_json());
        let mut problems = Vec::new();
        if self.sections().is_some() {
            for member in record.object.object_mut("sections").iter_mut() {
                let path = section_path(&member.key);
                let Json::Object(section) = &mut member.value else {
                    continue;
                };
                if to == Format::Two {
                    section.set("path", path_value(&path));
                    continue;
                }
                section.remove("path");
                for key in ["summary", "visibility"] {
                    let is_empty = |value: &Json| value.as_str() == Some("");
                    if section.get(key).is_some_and(|value| !is_empty(value)) {
                        let entry = Entry::Section(path.join("/"));
                        let why = format!("format 1 has no {key}");
                        problems.push(Problem::new(Some(entry), Kind::Format, why));
                    }
                    section.remove(key);
                }
            }
        }
        let examples = self.object.get(EXAMPLES);
        if to == Format::Two {
            if examples.is_none() {
                record.object.set(EXAMPLES, Json::Array(Vec::new()));
            }
        } else {
            let examples = examples.and_then(Json::as_array).unwrap_or_default();
            let why = "format 1 has no overrides of examples";
            let examples = (0..examples.len()).map(Entry::Example);
            problems.extend(
                examples.map(|entry| Problem::new(Some(entry), Kind::Format, why.to_owned())),
            );
            record.object.remove(EXAMPLES);
        }
        if problems.is_empty() {
            Ok(record)
        } else {
            Err(problems)
        }
    }

    /// The same overrides under another name. The prompt is spelled as it was, unless it is another one.
    pub(crate) fn renamed(&self, file: PathBuf, name: &Name, document: Option<&Document>) -> Self {
        let mut record = Self {
            file,
            name: name.clone(),
            ..self.clone()
        };
        record.object.set("tag", name.tag.as_str());
        if name.prompt != self.name.prompt {
            let named = Self::new(PathBuf::new(), name, document, self.format);
            for key in ["ns", "prompt_key"] {
                let value = named.object.get(key).cloned().unwrap_or(Json::Null);
                record.object.set(key, value);
            }
        }
        record
    }

    /// The bytes of its file.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut object = self.object.clone();
        if let Some(Json::Object(_)) = object.get("sections") {
            keep_order_of_same_paths(object.object_mut("sections"));
        }
        Json::Object(object).pretty().into_bytes()
    }

    /// The problem that the header is not that of its file.
    #[must_use]
    pub(crate) fn header_of_file(&self) -> Option<Problem> {
        let told = |key| self.object.get(key).and_then(Json::as_str);
        let (ns, key, tag) = (told("ns"), told("prompt_key"), told("tag"));
        let prompt = ns
            .zip(key)
            .and_then(|(ns, key)| PromptName::new(ns, key).ok());
        let wrong = match prompt {
            Some(prompt) if prompt == self.name.prompt => {
                (tag != Some(&self.name.tag)).then_some("tag")
            }
            Some(prompt) if prompt.ns == self.name.prompt.ns => Some("prompt_key"),
            _ => Some("ns"),
        };
        wrong.map(|wrong| self.header_problem(wrong, &format!("its file is that of {}", self.name)))
    }

    /// The problem that the header is not what the document and the tag make it.
    #[must_use]
    pub(crate) fn header_of_document(&self, document: &Document) -> Option<Problem> {
        let wanted = [
            ("ns", &document.ns),
            ("prompt_key", &document.key),
            ("tag", &self.name.tag),
        ];
        let told = |key| self.object.get(key).and_then(Json::as_str);
        let mut wrong = wanted.iter().filter(|(key, text)| told(key) != Some(text));
        let (wrong, _) = wrong.next()?;
        let wanted = wanted.map(|(_, text)| Json::from(text.as_str()).compact());
        Some(self.header_problem(wrong, &format!("the document has {}", wanted.join(", "))))
    }

    /// `wrong` is the first name whose value is not as it is wanted.
    fn header_problem(&self, wrong: &str, wanted: &str) -> Problem {
        let told = ["ns", "prompt_key", "tag"].map(|key| {
            let value = self.object.member(key);
            value.map_or("nothing".to_owned(), |member| member.value.compact())
        });
        let at = self.object.member(wrong).map_or(0, |member| member.at);
        let why = format!("ns, prompt_key, tag are {}; {wanted}", told.join(", "));
        Problem::new(None, Kind::Header, format!("{why}, {}", self.position(at)))
    }

    /// The problem that the document's library reads another format.
    #[must_use]
    pub(crate) fn format_of_document(&self, document: &Document) -> Option<Problem> {
        let wanted = document.format.filter(|&format| format != self.format)?;
        Some(self.format_problem(&format!("and the library of the document reads {wanted}")))
    }

    /// The problem that it is of another format than `wanted` says.
    #[must_use]
    pub(crate) fn format_problem(&self, wanted: &str) -> Problem {
        let at = self.object.member("version").map_or(0, |member| member.at);
        let why = format!("format {}, {wanted}, {}", self.format, self.position(at));
        Problem::new(None, Kind::Format, why)
    }

    /// The hash that an entry tells, if it tells one.
    #[must_use]
    pub(crate) fn told_hash(entry: &Entry, object: &Object) -> Option<Hash> {
        object.get(entry.hash_key())?.as_str()?.parse().ok()
    }
}

/// The value of `path` in an entry of format 2.
#[must_use]
pub(crate) fn path_value(path: &[String]) -> Json {
    Json::Array(path.iter().map(|key| Json::from(key.as_str())).collect())
}

/// An object of these texts.
#[must_use]
pub(crate) fn texts(texts: &BTreeMap<String, String>) -> Object {
    let texts = texts.iter();
    texts
        .map(|(key, text)| (key, Json::from(text.as_str())))
        .collect()
}

/// Of two keys for one path the last applies, and the file's keys are sorted: so the values of such keys
/// change their places if need be.
fn keep_order_of_same_paths(sections: &mut Object) {
    let mut groups: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for member in sections.iter() {
        groups
            .entry(section_path(&member.key))
            .or_default()
            .push(member.key.clone());
    }
    for keys in groups.into_values().filter(|keys| keys.len() > 1) {
        let values = keys
            .iter()
            .map(|key| sections.member(key).map(|member| member.value.clone()));
        let values: Vec<Json> = values.flatten().collect();
        let mut sorted = keys.clone();
        sorted.sort();
        for (key, value) in sorted.iter().zip(values) {
            sections.set(key, value);
        }
    }
}
