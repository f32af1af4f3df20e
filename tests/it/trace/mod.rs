//! Records of coding agents: what the commands of `trace` keep and give back.

#![allow(
    clippy::disallowed_methods,
    reason = "files are written as agents write them"
)]

mod agents;
mod analyze;
mod bisect;
mod checkout;
mod checkpoints;
mod continued;
mod diff;
mod docs;
mod eval;
mod exchange;
mod kills;
mod limits;
mod list;
mod made;
mod parts;
mod record;
mod repositories;
mod rm;
#[cfg(feature = "s3")]
mod s3;
mod secrets;
mod show;
mod streams;
mod verify;
mod wrong;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Ran, Sandbox};

/// A sandbox with a git repository that an agent works in, and a folder for the traces.
pub(super) struct Work(Sandbox);

impl Work {
    /// With an empty repository.
    pub(super) fn new() -> Self {
        let mut sandbox = Sandbox::new();
        let traces = sandbox.path().join("traces");
        sandbox.set("LOCALSTORE_TRACES", traces);
        // For agents that run us.
        sandbox.set("LOCALSTORE", assert_cmd::cargo::cargo_bin!("localstore"));
        // Where git and the agents are.
        sandbox.set("PATH", std::env::var_os("PATH").unwrap_or_default());
        std::fs::create_dir(sandbox.path().join("repo")).unwrap();
        let work = Self(sandbox);
        work.git(&["init", "-q", "-b", "main"]);
        work
    }

    /// The repository.
    pub(super) fn repo(&self) -> PathBuf {
        self.0.path().join("repo")
    }

    /// The folder of a trajectory.
    pub(super) fn folder(&self, id: &str) -> PathBuf {
        self.0.path().join("traces/trajectories").join(id)
    }

    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    pub(super) fn sandbox_mut(&mut self) -> &mut Sandbox {
        &mut self.0
    }

    /// Writes a file of the repository, and the folders above it.
    pub(super) fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.repo().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs git in the repository, as its user; what it prints.
    pub(super) fn git<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        git(&self.repo(), args)
    }

    /// Runs `localstore trace` with these words, in the repository.
    pub(super) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        let words = [OsStr::new("trace")]
            .into_iter()
            .chain(args.iter().map(AsRef::as_ref));
        let output = self
            .0
            .command(words)
            .current_dir(self.repo())
            .output()
            .unwrap();
        Ran::from(output)
    }

    /// Records a shell script as the agent, with these options.
    pub(super) fn record(&self, id: &str, options: &[&str], script: &str) -> Ran {
        let words = [
            &["record", "--id", id],
            options,
            &["--", "sh", "-c", script],
        ];
        self.run(&words.concat())
    }

    /// Records a shell script as the agent that goes on with a trajectory.
    pub(super) fn resume(&self, id: &str, options: &[&str], script: &str) -> Ran {
        let words = [
            &["record", "--continue", id],
            options,
            &["--", "sh", "-c", script],
        ];
        self.run(&words.concat())
    }

    /// Asserts that the folder of the trajectory has these files and no others.
    #[track_caller]
    pub(super) fn has_files(&self, id: &str, names: &[&str]) {
        let entries = std::fs::read_dir(self.folder(id)).unwrap();
        let mut found: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
    }

    /// The trace of a trajectory, as it is on disk.
    pub(super) fn trace(&self, id: &str) -> serde_json::Value {
        let file = self.folder(id).join("agent_trace.json");
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }
}

/// Runs git in a folder with a configuration of its own; what it prints.
pub(super) fn git<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "commit.gpgSign=false",
    ]);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.args(args).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
