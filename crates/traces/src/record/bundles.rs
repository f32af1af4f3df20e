//! The bundle, renewed while the agent works.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::{Error, Result, note};

use crate::place::Folder;
use crate::repo::{Git, write_bundle};
use crate::s3::Storage;

/// A bundle that takes longer to write is renewed at most a twentieth of the time.
const FAST: Duration = Duration::from_millis(100);

/// How many times as long as a slow bundle took it is left alone.
const REST: u32 = 19;

/// Writes the bundle in a thread, and sends it in another: a slow server does not hold it up.
pub(super) struct Bundles {
    wanted: Sender<()>,
    threads: [Option<JoinHandle<()>>; 2],
}

impl Bundles {
    /// Of the commits of `git`, to the bundle of the folder; each is sent to `storage` with the trace.
    pub(super) fn start(git: Git, folder: Folder, storage: Option<Arc<Storage>>) -> Self {
        let (written, traces) = channel();
        let sending = storage.map(|storage| {
            let folder = folder.clone();
            let send = move |trace: File| storage.push(&folder, &trace);
            std::thread::spawn(move || repeat(&traces, Duration::ZERO, 1, send))
        });
        let (wanted, commits) = channel();
        let writing = std::thread::spawn(move || {
            repeat(&commits, FAST, REST, |()| {
                let trace = write(&git, &folder)?;
                // Without storage nobody takes it.
                let _ = written.send(trace);
                Ok(())
            });
        });
        Self {
            wanted,
            threads: [Some(writing), sending],
        }
    }

    /// There is a new commit.
    pub(super) fn renew(&self) {
        let _ = self.wanted.send(());
    }

    /// Waits until the threads have ended. What is not written or sent yet is left to the end of all.
    pub(super) fn finish(self) {
        drop(self.wanted);
        for thread in self.threads.into_iter().flatten() {
            let _ = thread.join();
        }
    }
}

/// Writes the bundle. Gives the trace as it was before: the bundle has its commits.
fn write(git: &Git, folder: &Folder) -> Result<File> {
    let path = folder.trace();
    let trace = File::open(&path).map_err(|error| Error::file(&path, &error));
    let bundle = folder.bundle();
    write_bundle(git, &folder.id, &bundle).map_err(|error| Error::new(bundle.display(), error))?;
    trace
}

/// Does the work with the newest of what comes. After work that took longer than `fast`, rests for `rest`
/// times as long. An error is told once.
fn repeat<T>(
    source: &Receiver<T>,
    fast: Duration,
    rest: u32,
    mut work: impl FnMut(T) -> Result<()>,
) {
    let mut told = None;
    let mut due = Instant::now();
    while let Ok(mut newest) = source.recv() {
        // More may come until then.
        loop {
            match source.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(newer) => newest = newer,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let start = Instant::now();
        if let Err(error) = work(newest) {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                note(&error);
                told = Some(error);
            }
        }
        let cost = start.elapsed();
        tracing::debug!("bundle written or sent in {} ms", cost.as_millis());
        if cost > fast {
            due = Instant::now() + cost.saturating_mul(rest);
        }
    }
}
