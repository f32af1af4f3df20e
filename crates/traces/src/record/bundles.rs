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

/// Writes the bundle in a thread.
pub(super) struct Bundles {
    wanted: Sender<()>,
    thread: JoinHandle<()>,
}

impl Bundles {
    /// Of the commits of `git`, to the bundle of the folder; each is sent to `storage` with the trace.
    pub(super) fn start(git: Git, folder: Folder, storage: Option<Arc<Storage>>) -> Self {
        let (wanted, receiver) = channel();
        let thread = std::thread::spawn(move || {
            renew(&git, &folder, storage.as_deref(), &receiver);
        });
        Self { wanted, thread }
    }

    /// There is a new commit.
    pub(super) fn renew(&self) {
        let _ = self.wanted.send(());
    }

    /// Waits until the thread has ended. What is not written yet is left to the final bundle.
    pub(super) fn finish(self) {
        drop(self.wanted);
        let _ = self.thread.join();
    }
}

/// Writes the bundle. What is sent has the trace as it was before, whose commits it has.
fn write(git: &Git, folder: &Folder, storage: Option<&Storage>) -> Result<()> {
    let path = folder.trace();
    let trace = File::open(&path).map_err(|error| Error::file(&path, &error));
    let bundle = folder.bundle();
    write_bundle(git, &folder.id, &bundle).map_err(|error| Error::new(bundle.display(), error))?;
    match storage {
        Some(storage) => storage.push(folder, &trace?),
        None => Ok(()),
    }
}

fn renew(git: &Git, folder: &Folder, storage: Option<&Storage>, wanted: &Receiver<()>) {
    let mut told = None;
    let mut due = Instant::now();
    while wanted.recv().is_ok() {
        // More commits may come until then.
        loop {
            match wanted.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let start = Instant::now();
        if let Err(error) = write(git, folder, storage) {
            let error = error.to_string();
            if told.as_ref() != Some(&error) {
                note(&error);
                told = Some(error);
            }
        }
        let cost = start.elapsed();
        tracing::debug!("bundle written in {} ms", cost.as_millis());
        if cost > FAST {
            due = Instant::now() + cost.saturating_mul(REST);
        }
    }
}
