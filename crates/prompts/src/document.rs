//! Prompts documents: what the code has now.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use base::{Error, Result};

use crate::hash::Hash;
use crate::input::{input_name, read_input_text};
use crate::json::{Json, Object, position};
use crate::name::{PromptName, section_path};
use crate::problem::Entry;
use crate::record::Format;

/// A prompt as the code has it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// Which prompt it is.
    pub(crate) prompt: PromptName,
    /// The namespace as the code spells it.
    pub(crate) ns: String,
    /// The key as the code spells it.
    pub(crate) key: String,
    /// The format that the library in use reads, if that is told.
    pub(crate) format: Option<Format>,
    /// Its sections, in their order.
    pub(crate) sections: Vec<Section>,
    /// Its tools, in their order.
    pub(crate) tools: Vec<Tool>,
    /// Where the sections are, by their paths.
    section_places: HashMap<Vec<String>, usize>,
    /// Where the tools are, by their names.
    tool_places: HashMap<String, usize>,
}

/// A section of a prompt.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// Its path.
    pub(crate) path: Vec<String>,
    /// The hash of its template.
    pub(crate) hash: Hash,
    /// Its template.
    pub(crate) body: Option<String>,
    /// The names that placeholders may use; `None`: a `$` means nothing.
    pub(crate) params: Option<Vec<String>>,
}

/// A tool of a prompt.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: String,
    /// The hash of its contract.
    pub(crate) hash: Hash,
    /// Its description.
    pub(crate) description: Option<String>,
    /// What describes its parameters, by their names.
    pub(crate) param_descriptions: BTreeMap<String, String>,
}

/// The documents of a command.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    all: Vec<Document>,
    places: HashMap<PromptName, usize>,
    /// Whether they were named, so that a prompt without one is an error.
    are_named: bool,
}

impl Documents {
    /// The documents of these files, `-` being standard input. Two of one prompt are an error.
    pub(crate) fn of_files(files: &[PathBuf]) -> Result<Self> {
        let mut documents = Self {
            are_named: true,
            ..Self::default()
        };
        for file in files {
            documents.read(file)?;
        }
        Ok(documents)
    }

    /// The documents of a file that need not have all prompts; none if it is not there.
    pub(crate) fn of_default(file: &Path) -> Result<Self> {
        let mut documents = Self::default();
        if file.exists() {
            documents.read(file)?;
        }
        Ok(documents)
    }

    /// This document.
    #[must_use]
    pub(crate) fn of_one(document: Document) -> Self {
        let mut documents = Self {
            are_named: true,
            ..Self::default()
        };
        documents.places.insert(document.prompt.clone(), 0);
        documents.all.push(document);
        documents
    }

    fn read(&mut self, file: &Path) -> Result<()> {
        let text = read_input_text(file)?;
        let named = input_name(file);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if self.are_named && text.trim_ascii().is_empty() {
            // The program that prints them has failed, and a gate would be open.
            return Err(Error::new(&named, "empty: no prompts document")
                .hint("where there are no prompts, it holds []"));
        }
        let failed =
            |why: &str, at: usize| Error::new(&named, format!("{why}, {}", position(text, at)));
        let values =
            Json::parse_all(text).map_err(|malformed| failed(&malformed.why, malformed.at))?;
        for (index, (at, value)) in values.iter().enumerate() {
            let document = Document::of(value)
                .map_err(|error| failed(&format!("document {}: {error}", index + 1), *at))?;
            let place = self.all.len();
            if self.places.insert(document.prompt.clone(), place).is_some() {
                let why = format!("a second document of {}", document.prompt);
                return Err(failed(&why, *at));
            }
            self.all.push(document);
        }
        tracing::info!("{named}: prompts documents: {}", values.len());
        Ok(())
    }

    /// All of them.
    #[must_use]
    pub(crate) fn all(&self) -> &[Document] {
        &self.all
    }

    /// The document of a prompt, if there is one.
    #[must_use]
    pub(crate) fn find(&self, prompt: &PromptName) -> Option<&Document> {
        Some(&self.all[*self.places.get(prompt)?])
    }

    /// The document of a prompt for a command that uses it if there is one. It is an error if documents
    /// were named and none is of this prompt.
    pub(crate) fn try_find(&self, prompt: &PromptName) -> Result<Option<&Document>> {
        let document = self.find(prompt);
        if document.is_none() && self.are_named {
            let error = Error::new(prompt, "not in the prompts documents");
            return Err(match self.all.as_slice() {
                [] => error,
                [one] => error.hint(format!("there is {}", one.prompt)),
                all => error.hint(format!(
                    "there are {} and {} more",
                    all[0].prompt,
                    all.len() - 1
                )),
            });
        }
        Ok(document)
    }

    /// The document of a prompt for a command that cannot do without.
    pub(crate) fn required(&self, prompt: &PromptName) -> Result<&Document> {
        self.try_find(prompt)?.ok_or_else(|| {
            Error::new(prompt, "no prompts document")
                .hint("--prompts FILE names one, --templates DIR a folder of the templates")
        })
    }

    /// The one document, for a command that was given no name.
    pub(crate) fn one(&self) -> Result<&Document> {
        match self.all.as_slice() {
            [document] => Ok(document),
            [] => Err(Error::plain("no NAME and no prompts document")
                .hint("give a NAME, or --prompts FILE")),
            all => Err(
                Error::plain(format!("no NAME and {} prompts documents", all.len()))
                    .hint("give a NAME, or '--all' where a command has it"),
            ),
        }
    }
}

impl Document {
    /// The document of this value.
    pub(crate) fn of(value: &Json) -> Result<Self> {
        let object = value.as_object().ok_or_else(|| not_a("an object", value))?;
        let (ns, key) = (string(object, "ns")?, string(object, "prompt_key")?);
        let format = match object.get("format") {
            None => None,
            Some(format) => Some(Format::of(format).ok_or_else(|| {
                Error::plain(format!("format: not 1 or 2, but {}", format.compact()))
            })?),
        };
        if object.get("sections").is_none() {
            return Err(Error::new("sections", "missing"));
        }
        let mut document = Self::new(PromptName::new(&ns, &key)?);
        for value in list(object, "sections")? {
            document.add_section(Section::of(value)?)?;
        }
        for value in list(object, "tools")? {
            document.add_tool(Tool::of(value)?)?;
        }
        Ok(Self {
            ns,
            key,
            format,
            ..document
        })
    }

    /// A document without sections and tools, which spells the prompt as its name does.
    #[must_use]
    pub(crate) fn new(prompt: PromptName) -> Self {
        Self {
            ns: prompt.namespace(),
            key: prompt.key.clone(),
            prompt,
            format: None,
            sections: Vec::new(),
            tools: Vec::new(),
            section_places: HashMap::new(),
            tool_places: HashMap::new(),
        }
    }

    /// Adds a section; an error if there is one of its path.
    pub(crate) fn add_section(&mut self, section: Section) -> Result<()> {
        let place = self.sections.len();
        let other = self.section_places.insert(section.path.clone(), place);
        if other.is_some() {
            return Err(section.failed("a second section of this path"));
        }
        self.sections.push(section);
        Ok(())
    }

    fn add_tool(&mut self, tool: Tool) -> Result<()> {
        let place = self.tools.len();
        if self.tool_places.insert(tool.name.clone(), place).is_some() {
            let what = format!("tool {}", tool.name);
            return Err(Error::new(what, "a second one of this name"));
        }
        self.tools.push(tool);
        Ok(())
    }

    /// The section of this path.
    #[must_use]
    pub(crate) fn section(&self, path: &[String]) -> Option<&Section> {
        Some(&self.sections[*self.section_places.get(path)?])
    }

    /// The section of this path, which must be there.
    pub(crate) fn required_section(&self, path: &[String]) -> Result<&Section> {
        let names = || self.sections.iter().map(Section::name).collect::<Vec<_>>();
        self.section(path)
            .ok_or_else(|| self.unknown("section", &path.join("/"), &names()))
    }

    /// The tool of this name.
    #[must_use]
    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        Some(&self.tools[*self.tool_places.get(name)?])
    }

    /// The tool of this name, which must be there.
    pub(crate) fn required_tool(&self, name: &str) -> Result<&Tool> {
        let names = || {
            self.tools
                .iter()
                .map(|tool| tool.name.clone())
                .collect::<Vec<_>>()
        };
        self.tool(name)
            .ok_or_else(|| self.unknown("tool", name, &names()))
    }

    /// The hash of what an override replaces, if the prompt has that.
    #[must_use]
    pub(crate) fn hash(&self, entry: &Entry) -> Option<&Hash> {
        match entry {
            Entry::Section(path) => Some(&self.section(&section_path(path))?.hash),
            Entry::Tool(name) => Some(&self.tool(name)?.hash),
            Entry::Example(_) => None,
        }
    }

    fn unknown(&self, kind: &str, name: &str, known: &[String]) -> Error {
        let error = Error::new(
            format!("{}: {kind} {name}", self.prompt),
            "not in the prompts document",
        );
        match known {
            [] => error.hint(format!("it has no {kind}s")),
            known => error.hint(format!("{kind}s: {}", known.join(", "))),
        }
    }
}

impl Section {
    fn of(value: &Json) -> Result<Self> {
        let object = value
            .as_object()
            .ok_or_else(|| Error::new("a section", not_a("an object", value)))?;
        let path = object.get("path").and_then(Json::as_array);
        let path = path.ok_or_else(|| Error::new("a section", "path: not an array of keys"))?;
        let path: Option<Vec<String>> = path
            .iter()
            .map(|key| key.as_str().map(str::to_owned))
            .collect();
        let path = path.ok_or_else(|| Error::new("a section", "path: a key is not a string"))?;
        if path.is_empty() {
            return Err(Error::new("a section", "path: no key"));
        }
        let failed = |why: &str| Error::new(format!("section {}", path.join("/")), why);
        if path.iter().any(|key| key.is_empty() || key.contains('/')) {
            return Err(failed("path: a key is empty or has a '/'"));
        }
        let body = optional_string(object, "body").map_err(|error| failed(&error.to_string()))?;
        let told = hash(object, "content_hash").map_err(|error| failed(&error.to_string()))?;
        let hash = match (told, body.as_deref().map(Hash::of_text)) {
            (Some(told), Some(hash)) if told != hash => {
                return Err(failed("content_hash: not the hash of the body"));
            }
            (Some(hash), _) | (None, Some(hash)) => hash,
            (None, None) => return Err(failed("neither body nor content_hash")),
        };
        let params = match object.get("params") {
            None => None,
            Some(params) => {
                let names = params.as_array().unwrap_or(&[Json::Null]).iter();
                let names: Option<Vec<String>> =
                    names.map(|name| name.as_str().map(str::to_owned)).collect();
                Some(names.ok_or_else(|| failed("params: not an array of names"))?)
            }
        };
        Ok(Self {
            path,
            hash,
            body,
            params,
        })
    }

    /// Its path as it is typed.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.path.join("/")
    }

    /// The template, for a command that needs it.
    pub(crate) fn template(&self) -> Result<&str> {
        let template = self.body.as_deref();
        template.ok_or_else(|| self.failed("no body in the prompts document"))
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(format!("section {}", self.name()), why)
    }
}

impl Tool {
    /// The description, for a command that needs it.
    pub(crate) fn required_description(&self) -> Result<&str> {
        self.description.as_deref().ok_or_else(|| {
            let what = format!("tool {}", self.name);
            Error::new(what, "no description in the prompts document")
        })
    }

    fn of(value: &Json) -> Result<Self> {
        let object = value
            .as_object()
            .ok_or_else(|| Error::new("a tool", not_a("an object", value)))?;
        let name = string(object, "name").map_err(|error| Error::new("a tool", error))?;
        let failed = |why: &dyn std::fmt::Display| Error::new(format!("tool {name}"), why);
        let description = optional_string(object, "description").map_err(|error| failed(&error))?;
        let told = hash(object, "contract_hash").map_err(|error| failed(&error))?;
        let computed = contract_hash(object);
        let hash = match (told, computed) {
            (Some(told), Some(hash)) if told != hash => {
                return Err(failed(
                    &"contract_hash: not the hash of description and schemas",
                ));
            }
            (Some(hash), _) | (None, Some(hash)) => hash,
            (None, None) => {
                return Err(failed(
                    &"neither contract_hash nor description, params_schema and result_schema",
                ));
            }
        };
        let mut param_descriptions = BTreeMap::new();
        match object.get("param_descriptions") {
            None => {}
            Some(Json::Object(params)) => {
                for param in params.iter() {
                    let why = &"param_descriptions: not an object of strings";
                    let text = param.value.as_str().ok_or_else(|| failed(why))?;
                    param_descriptions.insert(param.key.clone(), text.to_owned());
                }
            }
            Some(_) => return Err(failed(&"param_descriptions: not an object")),
        }
        Ok(Self {
            name,
            hash,
            description,
            param_descriptions,
        })
    }
}

/// The hash of a contract, of which the object must have the description and both schemas.
#[must_use]
pub(crate) fn contract_hash(object: &Object) -> Option<Hash> {
    // Of a schema `null` is a value like any other.
    let schema = |key| object.member(key).map(|member| &member.value);
    let description = object.get("description")?.as_str()?;
    let (params, result) = (schema("params_schema")?, schema("result_schema")?);
    Some(Hash::of_tool(description, params, result))
}

fn not_a(kind: &str, value: &Json) -> Error {
    Error::plain(format!("not {kind}, but {}", value.kind()))
}

fn string(object: &Object, key: &str) -> Result<String> {
    optional_string(object, key)?.ok_or_else(|| Error::new(key, "missing"))
}

fn optional_string(object: &Object, key: &str) -> Result<Option<String>> {
    let value = object.get(key);
    let text = value.map(|value| {
        value
            .as_str()
            .ok_or_else(|| Error::new(key, not_a("a string", value)))
    });
    Ok(text.transpose()?.map(str::to_owned))
}

fn hash(object: &Object, key: &str) -> Result<Option<Hash>> {
    let hash = optional_string(object, key)?.map(|text| text.parse::<Hash>());
    hash.transpose().map_err(|error| Error::new(key, error))
}

fn list<'a>(object: &'a Object, key: &str) -> Result<&'a [Json]> {
    match object.get(key) {
        None => Ok(&[]),
        Some(value) => value
            .as_array()
            .ok_or_else(|| Error::new(key, not_a("an array", value))),
    }
}
