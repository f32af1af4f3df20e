//! What of a record applies to the prompt as the code has it: what the library would say.

use std::collections::{BTreeMap, HashMap, HashSet};

use base::Result;

use crate::document::Document;
use crate::example;
use crate::hash::Hash;
use crate::json::{Json, Member, Object};
use crate::name::section_path;
use crate::problem::{Entry, Kind, Problem};
use crate::record::{EXAMPLES, Format, Record, path_value};
use crate::render;

/// What an entry is judged against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against<'a> {
    /// The prompt as the code has it.
    Document(&'a Document),
    /// No prompt is known: each entry must be one that could apply.
    Nothing,
    /// No prompt is known, and the library would pass over each entry as unknown.
    Unknown,
}

/// What became of the entries of a record.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// All problems, in the order in which the library would find them; last what fails only when the
    /// prompt is rendered.
    pub(crate) problems: Vec<Problem>,
    /// The overrides of sections that apply, by their paths.
    pub(crate) sections: BTreeMap<Vec<String>, Json>,
    /// The overrides of tools that apply, by their names.
    pub(crate) tools: BTreeMap<String, Json>,
    examples: Vec<Json>,
}

/// Judges the record. Its header is held against the document too.
#[must_use]
pub(crate) fn judge(record: &Record, against: Against<'_>) -> Judged {
    let mut judge = Judge {
        record,
        against,
        judged: Judged::default(),
    };
    let header = match against {
        Against::Document(document) => [
            record.format_of_document(document),
            record.header_of_document(document),
        ],
        Against::Nothing | Against::Unknown => [record.header_of_file(), None],
    };
    judge.judged.problems.extend(header.into_iter().flatten());
    judge.entries("sections", Judge::section);
    judge.entries("tools", Judge::tool);
    if record.format == Format::Two {
        judge.examples();
    }
    if let Against::Document(document) = against {
        let rendered = render::problems(&judge.judged, document);
        judge.judged.problems.extend(rendered);
    }
    judge.judged
}

/// What the record says to use instead of what the document has, in the shape of a record; `None` if
/// nothing of it applies. `tag` is the tag as it was asked for.
pub(crate) fn applicable(record: &Record, document: &Document, tag: &str) -> Result<Option<Json>> {
    let judged = judge(record, Against::Document(document));
    if let Some(problem) = judged.problems.iter().find(|problem| problem.is_fatal()) {
        return Err(record.error(problem));
    }
    judged.trace(record);
    if judged.applies_to_nothing() {
        return Ok(None);
    }
    let sections = judged.sections.into_iter();
    let sections: BTreeMap<String, Json> = sections
        .map(|(path, entry)| (path.join("/"), entry))
        .collect();
    let mut resolved = Object::default();
    resolved.set("version", record.format.to_json());
    resolved.set("ns", document.ns.as_str());
    resolved.set("prompt_key", document.key.as_str());
    resolved.set("tag", tag);
    resolved.set("sections", Object::from(sections));
    resolved.set("tools", Object::from(judged.tools));
    if record.format == Format::Two {
        resolved.set(EXAMPLES, Json::Array(judged.examples));
    }
    Ok(Some(resolved.into()))
}

impl<'a> From<Option<&'a Document>> for Against<'a> {
    fn from(document: Option<&'a Document>) -> Self {
        document.map_or(Self::Nothing, Self::Document)
    }
}

impl Judged {
    /// Whether nothing is left that applies.
    #[must_use]
    pub(crate) fn applies_to_nothing(&self) -> bool {
        self.sections.is_empty() && self.tools.is_empty() && self.examples.is_empty()
    }

    /// Tells those who want to know which entries do not apply, and why.
    pub(crate) fn trace(&self, record: &Record) {
        for problem in &self.problems {
            tracing::info!("{}: {problem}", record.file.display());
        }
    }

    /// The first problem of each entry that has one.
    #[must_use]
    pub(crate) fn of_entries(&self) -> HashMap<&Entry, &Problem> {
        let problems = self.problems.iter().rev();
        problems
            .filter_map(|problem| Some((problem.entry.as_ref()?, problem)))
            .collect()
    }
}

struct Judge<'a> {
    record: &'a Record,
    against: Against<'a>,
    judged: Judged,
}

/// What ends the look at an entry: that it does not apply, and why, if that is a problem.
type Skipped = Option<Problem>;

impl Judge<'_> {
    /// Judges each member of an object of entries.
    fn entries(&mut self, key: &str, one: impl Fn(&mut Self, &Member) -> Result<(), Skipped>) {
        let record = self.record;
        let Some(member) = record.object.member(key) else {
            return;
        };
        match &member.value {
            Json::Null => {}
            Json::Object(entries) => {
                for entry in entries.iter() {
                    if let Err(Some(problem)) = one(self, entry) {
                        self.judged.problems.push(problem);
                    }
                }
            }
            other => {
                let why = format!("{key}: not an object, but {}", other.kind());
                let problem = self.malformed(None, &why, member.at);
                self.judged.problems.push(problem);
            }
        }
    }

    fn section(&mut self, member: &Member) -> Result<(), Skipped> {
        let path = section_path(&member.key);
        let entry = Entry::Section(path.join("/"));
        let object = self.object(&entry, member)?;
        let is_two = self.record.format == Format::Two;
        if is_two {
            self.optional_string(&entry, member, object, "summary")?;
            let visibility = object.get("visibility");
            let is_one = |text: &Json| matches!(text.as_str(), Some("full" | "summary"));
            if let Some(other) = visibility.filter(|&text| !is_one(text)) {
                let why = format!("visibility: not full or summary, but {}", other.compact());
                return Err(Some(self.malformed(
                    Some(&entry),
                    &why,
                    at(object, "visibility", member),
                )));
            }
        }
        let known = match self.against {
            Against::Document(document) => {
                document.section(&path).map(|section| Some(&section.hash))
            }
            Against::Nothing => Some(None),
            Against::Unknown => None,
        };
        let hash = self.hash(&entry, member, object, known)?;
        let Some(body) = object.get("body").and_then(Json::as_str) else {
            let why = missing_or(object, "body", "a string");
            return Err(Some(self.malformed(
                Some(&entry),
                &why,
                at(object, "body", member),
            )));
        };
        let mut applied = Object::default();
        applied.set("expected_hash", &hash);
        applied.set("body", body);
        if is_two {
            applied.set("path", path_value(&path));
            for key in ["summary", "visibility"] {
                if let Some(value) = object.get(key) {
                    applied.set(key, value.clone());
                }
            }
        }
        self.judged.sections.insert(path, applied.into());
        Ok(())
    }

    fn tool(&mut self, member: &Member) -> Result<(), Skipped> {
        let entry = Entry::Tool(member.key.clone());
        let object = self.object(&entry, member)?;
        let known = match self.against {
            Against::Document(document) => document.tool(&member.key).map(|tool| Some(&tool.hash)),
            Against::Nothing => Some(None),
            Against::Unknown => None,
        };
        let hash = self.hash(&entry, member, object, known)?;
        self.optional_string(&entry, member, object, "description")?;
        let params = object.get("param_descriptions");
        let is_text = |param: &Member| param.value.as_str().is_some();
        let params = match params {
            None => Object::default(),
            Some(Json::Object(params)) if params.iter().all(is_text) => params.clone(),
            Some(_) => {
                let why = "param_descriptions: not an object of strings";
                return Err(Some(self.malformed(
                    Some(&entry),
                    why,
                    at(object, "param_descriptions", member),
                )));
            }
        };
        let mut applied = Object::default();
        applied.set("expected_contract_hash", &hash);
        applied.set(
            "description",
            object.get("description").cloned().unwrap_or(Json::Null),
        );
        applied.set("param_descriptions", params);
        self.judged.tools.insert(member.key.clone(), applied.into());
        Ok(())
    }

    fn object<'m>(&self, entry: &Entry, member: &'m Member) -> Result<&'m Object, Skipped> {
        member.value.as_object().ok_or_else(|| {
            let why = format!("not an object, but {}", member.value.kind());
            Some(self.malformed(Some(entry), &why, member.at))
        })
    }

    /// The hash of an entry. `known` is the hash in the document; `None` if it has no such entry, and
    /// `Some(None)` if there is no document.
    #[allow(clippy::option_option, reason = "both are told above")]
    fn hash(
        &self,
        entry: &Entry,
        member: &Member,
        object: &Object,
        known: Option<Option<&Hash>>,
    ) -> Result<Hash, Skipped> {
        let Some(known) = known else {
            return Err(match self.against {
                Against::Document(_) => Some(Problem::new(
                    Some(entry.clone()),
                    Kind::Unknown,
                    "not in the prompts document".to_owned(),
                )),
                Against::Nothing | Against::Unknown => None,
            });
        };
        let key = entry.hash_key();
        let text = object.get(key).and_then(Json::as_str);
        let Some(hash) = text.and_then(|text| text.parse::<Hash>().ok()) else {
            let why = missing_or(object, key, "64 lower-case hexadecimal digits");
            return Err(Some(self.malformed(
                Some(entry),
                &why,
                at(object, key, member),
            )));
        };
        match known {
            Some(known) if *known != hash => {
                let why = format!("it replaces {hash}, and the document has {known}");
                Err(Some(Problem::new(Some(entry.clone()), Kind::Stale, why)))
            }
            _ => Ok(hash),
        }
    }

    fn examples(&mut self) {
        let record = self.record;
        let Some(member) = record.object.member(EXAMPLES) else {
            return;
        };
        let found = match &member.value {
            Json::Null => return,
            Json::Array(examples) => examples
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    example::read(value).map_err(|why| (Some(Entry::Example(index)), why))
                })
                .collect(),
            other => {
                let why = format!("{EXAMPLES}: not an array, but {}", other.kind());
                Err((None, why))
            }
        };
        match found {
            Ok(examples) => self.judged.examples = examples,
            Err((entry, why)) => {
                let problem = self.malformed(entry.as_ref(), &why, member.at);
                self.judged.problems.push(problem);
            }
        }
    }

    fn optional_string(
        &self,
        entry: &Entry,
        member: &Member,
        object: &Object,
        key: &str,
    ) -> Result<(), Skipped> {
        match object.get(key) {
            None | Some(Json::String(_)) => Ok(()),
            Some(_) => {
                let why = missing_or(object, key, "a string");
                Err(Some(self.malformed(
                    Some(entry),
                    &why,
                    at(object, key, member),
                )))
            }
        }
    }

    fn malformed(&self, entry: Option<&Entry>, why: &str, at: usize) -> Problem {
        let message = format!("{why}, {}", self.record.position(at));
        Problem::new(entry.cloned(), Kind::Malformed, message)
    }
}

/// Where a value of an entry begins, or else the entry.
fn at(object: &Object, key: &str, entry: &Member) -> usize {
    object.member(key).map_or(entry.at, |member| member.at)
}

fn missing_or(object: &Object, key: &str, wanted: &str) -> String {
    match object.member(key) {
        None => format!("no {key}"),
        Some(member) if wanted.starts_with("64") && member.value.as_str().is_some() => {
            format!("{key}: not {wanted}")
        }
        Some(member) => format!("{key}: not {wanted}, but {}", member.value.kind()),
    }
}

/// How many sections and tools a record has.
#[must_use]
pub(crate) fn counts(record: &Record) -> [usize; 2] {
    let paths: HashSet<Vec<String>> = record
        .sections()
        .into_iter()
        .flat_map(Object::iter)
        .map(|member| section_path(&member.key))
        .collect();
    [paths.len(), record.tools().map_or(0, Object::len)]
}
