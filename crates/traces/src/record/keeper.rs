//! What is kept of an agent's work: makes parts of its lines, and has them written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Error, note};

use super::bundles::Bundles;
use super::journal::Journal;
use super::lock::Lock;
use super::queue::{Next, Queue, Waiting};
use super::rows::Rows;
use crate::model::{Reason, Time};
use crate::place::Folder;
use crate::repo::{Private, write_bundle};
use crate::s3::Storage;
use crate::stream::{Event, Reader};

/// All that is written while the agent works.
pub(super) struct Keeper {
    folder: Folder,
    lock: Lock,
    journal: Journal<Private>,
    rows: Rows,
    bundles: Bundles,
    storage: Option<Arc<Storage>>,
}

impl Keeper {
    /// The first bundle is written at once.
    pub(super) fn new(
        folder: Folder,
        lock: Lock,
        journal: Journal<Private>,
        rows: Rows,
        storage: Option<Storage>,
    ) -> Self {
        let git = journal.code.git();
        let storage = storage.map(Arc::new);
        let bundles = Bundles::start(git, folder.clone(), storage.clone());
        if journal.code.head().is_some() {
            bundles.renew();
        }
        Self {
            folder,
            lock,
            journal,
            rows,
            bundles,
            storage,
        }
    }

    /// Whether the limit of parts is reached.
    pub(super) fn is_full(&self) -> bool {
        self.journal.is_full()
    }

    /// Handles all lines of the queue, in order. `is_full` is set when the limit of parts is reached.
    pub(super) fn follow(&mut self, queue: &Queue, mut reader: Reader, is_full: &AtomicBool) {
        loop {
            match queue.next(self.journal.wait()) {
                Next::Waiting(Waiting::Line(line, arrived)) => {
                    self.line(&mut reader, &line, arrived);
                }
                Next::Waiting(Waiting::Place { from, to, arrived }) => {
                    if let Err(error) = self.lines_at(&mut reader, from, to, arrived) {
                        note(&Error::file(&self.folder.events(), &error).to_string());
                    }
                }
                Next::Nothing => {
                    let _ = self.journal.save(false);
                }
                Next::End => break,
            }
            if self.is_full() {
                is_full.store(true, Ordering::Release);
            }
        }
        for event in reader.end() {
            self.event(event, Time::now());
        }
    }

    /// Handles lines that did not wait in memory.
    fn lines_at(
        &mut self,
        reader: &mut Reader,
        from: u64,
        to: u64,
        arrived: Time,
    ) -> io::Result<()> {
        let mut file = File::open(self.folder.events())?;
        file.seek(SeekFrom::Start(from))?;
        let mut lines = BufReader::new(file.take(to.saturating_sub(from)));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            line.pop();
            self.line(reader, &line, arrived);
            line.clear();
        }
        Ok(())
    }

    fn line(&mut self, reader: &mut Reader, line: &[u8], arrived: Time) {
        let events = reader.line(line);
        if let Some(agent) = reader.agent() {
            self.journal.set_agent(agent);
        }
        for event in events {
            self.event(event, arrived);
        }
    }

    fn event(&mut self, event: Event, arrived: Time) {
        let Some(part) = self.journal.event(event, arrived) else {
            return;
        };
        self.journal.save_part(&part);
        let checkpoint = part.repo_checkpoint.as_ref();
        if checkpoint.is_some_and(|checkpoint| checkpoint.committed) {
            self.bundles.renew();
        }
        self.rows.write(self.journal.row(), Some(part));
    }

    /// Writes the last version of everything; whether all is there. `stopped` says why the agent was
    /// stopped, if it was.
    pub(super) fn finish(self, stopped: Option<Reason>, has_failed: bool) -> bool {
        let Self {
            folder,
            lock,
            mut journal,
            rows,
            bundles,
            storage,
        } = self;
        journal.end(stopped, has_failed);
        let is_saved = journal.save(true).is_ok();
        rows.write(journal.row(), None);
        bundles.finish();
        let bundle = folder.bundle();
        let has_checkpoints = !journal.has_checkpoint_failed();
        let code = journal.code;
        let written = match code.head() {
            Some(_) => write_bundle(&code.git(), &folder.id, &bundle),
            None => Ok(()),
        };
        let sealed = written.and_then(|()| code.finish(&bundle));
        if let Err(error) = &sealed {
            note(&format!("{}: {error}", bundle.display()));
        }
        rows.finish();
        if let Some(storage) = storage {
            let path = folder.trace();
            let trace = File::open(&path).map_err(|error| Error::file(&path, &error));
            if let Err(error) = trace.and_then(|trace| storage.push(&folder, &trace)) {
                note(&error.to_string());
            }
        }
        let is_whole = is_saved && sealed.is_ok();
        if is_whole {
            lock.release();
        } else {
            note(&format!(
                "'localstore trace repair {}' completes it",
                folder.id
            ));
        }
        is_whole && has_checkpoints
    }
}
