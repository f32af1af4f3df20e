//! Overrides of prompts: what the commands of `prompt` do with the files of a project.

#![allow(
    clippy::disallowed_methods,
    reason = "files are written as other programs write them"
)]

mod accept;
mod check;
mod convert;
mod copy;
mod diff;
mod docs;
mod documents;
mod edit;
mod goldens;
mod hash;
mod judge;
mod library;
mod list;
mod mistakes;
mod path;
mod resolve;
mod rm;
mod root;
mod seed;
mod set;
mod show;
mod torture;
mod written;

use std::path::{Path, PathBuf};

use crate::sandbox::{Ran, Sandbox, read_fixture, slashed};

/// A prompt with two sections and a tool.
pub(super) const DOCUMENT: &str = r#"{"ns": "demo", "prompt_key": "welcome",
  "sections": [{"path": ["system"], "body": "Hi ${name}\n", "params": ["name"]},
    {"path": ["system", "intro"], "body": "Introduce yourself.\n", "params": []}],
  "tools": [{"name": "search", "description": "Search the index.", "params_schema": {}, "result_schema": {},
    "param_descriptions": {"query": "Words to look for."}}]}"#;

/// The hash of its section `system/intro`.
pub(super) const HASH_OF_INTRO: &str =
    "3d11581b53a21e3c0a77f248e921a6d9e7b65687248cad00e45ffd172248b85d";

/// A path as JSON has it: with the separators of this system.
pub(super) fn with_separators(path: &Path) -> PathBuf {
    path.components().collect()
}

/// A project of its own: the folder of a sandbox, with an entry `.git`.
pub(super) struct Project(Sandbox);

impl Project {
    pub(super) fn new() -> Self {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path().join(".git")).unwrap();
        Self(sandbox)
    }

    /// Its root, with a prompts document at its default place.
    pub(super) fn with(document: &str) -> Self {
        let project = Self::new();
        project.write(".weakincentives/prompts/prompts.jsonl", document);
        project
    }

    /// One with the prompt `demo/welcome` of the golden cases of a format.
    pub(super) fn welcome(format: u8) -> Self {
        let case = read_fixture(&format!("prompt/f{format}-read-ok.json"));
        let case: serde_json::Value = serde_json::from_slice(&case).unwrap();
        Self::with(&case["prompt"].to_string())
    }

    /// Writes the file of a golden case as `demo/welcome@TAG`, with these texts replaced.
    pub(super) fn put(&self, case: &str, tag: &str, changes: &[(&str, &str)]) -> PathBuf {
        let text = String::from_utf8(read_fixture(&format!("prompt/{case}.file"))).unwrap();
        let mut text = text.replace("\"tag\": \"latest\"", &format!("\"tag\": \"{tag}\""));
        for (old, new) in changes {
            assert!(text.contains(old), "{case} has no {old}");
            text = text.replace(old, new);
        }
        let file = format!(".weakincentives/prompts/overrides/demo/welcome/{tag}.json");
        self.write(file, text)
    }

    /// Runs `localstore prompt` with the words of this line; code, output and messages in one text.
    pub(super) fn snapshot(&self, line: &str) -> String {
        let text = self.run(line).snapshot(self.sandbox());
        text.replace("~/.weakincentives/prompts/overrides", "…")
    }

    pub(super) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    /// The file of a record: `NS/KEY/TAG`.
    pub(super) fn record(&self, name: &str) -> PathBuf {
        self.at(format!(".weakincentives/prompts/overrides/{name}.json"))
    }

    /// A path below the root, as messages show it.
    pub(super) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        let path = self.root().join(name);
        match path.to_str() {
            Some(text) => slashed(text.to_owned()).into(),
            None => path,
        }
    }

    /// What is in the file of a record.
    pub(super) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.record(name)).unwrap()).unwrap()
    }

    /// Writes a file and the folders above it.
    pub(super) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs `localstore prompt` with the words of this line.
    pub(super) fn run(&self, line: &str) -> Ran {
        self.0
            .run(["prompt"].into_iter().chain(line.split_whitespace()))
    }

    /// Runs `localstore prompt` with the words of this line and this standard input.
    pub(super) fn run_with_input(&self, line: &str, input: &[u8]) -> Ran {
        let args = ["prompt"].into_iter().chain(line.split_whitespace());
        self.0.run_with_input(args, input)
    }
}
