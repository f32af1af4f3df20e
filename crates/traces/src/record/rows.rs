//! The index, written while the agent works. A store that cannot be written never stops or delays that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Duration;

use base::{Result, note};
use db::Location;

use super::lock::is_recorded;
use crate::index::{Index, Row, Version};
use crate::model::{Part, Trace};
use crate::place::{Folder, Root};

/// The number of parts that wait for the store.
const WAITING: usize = 1000;

/// How long the end of a recording waits for the store.
const LONGEST: Duration = Duration::from_secs(2);

/// Writes rows in a thread.
pub(super) struct Rows {
    sender: SyncSender<(Row, Option<Part>)>,
    /// Whether rows were passed over.
    has_gaps: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Rows {
    /// Begins with the first row of a trajectory; of one that is continued, with all rows of its parts, for
    /// some may be missing. Rows of other trajectories that are missing are written too.
    pub(super) fn start(
        root: &Root,
        location: &Location,
        folder: &Folder,
        first: Row,
        is_new: bool,
    ) -> Self {
        let (sender, rows) = sync_channel(WAITING);
        let _ = sender.try_send((first, None));
        let (end, ended) = channel();
        let has_gaps = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            root: root.clone(),
            location: location.clone(),
            folder: folder.clone(),
            index: None,
            is_new,
            has_gaps: Arc::clone(&has_gaps),
            was_told: false,
        };
        std::thread::spawn(move || {
            writer.follow(&rows);
            let _ = end.send(());
        });
        Self {
            sender,
            has_gaps,
            ended,
        }
    }

    /// Writes the row of the trajectory, and that of a part.
    pub(super) fn write(&self, row: Row, part: Option<Part>) {
        if self.sender.try_send((row, part)).is_err() {
            self.has_gaps.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for the store, but not for long.
    pub(super) fn finish(self) {
        drop(self.sender);
        if self.ended.recv_timeout(LONGEST).is_err() {
            note("the store is busy; the next recording writes the rows of this one");
        }
    }
}

struct Writer {
    root: Root,
    location: Location,
    folder: Folder,
    index: Option<Index>,
    is_new: bool,
    has_gaps: Arc<AtomicBool>,
    was_told: bool,
}

impl Writer {
    fn follow(mut self, rows: &Receiver<(Row, Option<Part>)>) {
        if !self.is_new {
            let written = self.replace(&self.folder.clone());
            self.tell(written);
        }
        let mut is_first = true;
        while let Ok((mut row, part)) = rows.recv() {
            let mut parts: Vec<Part> = part.into_iter().collect();
            for (next, part) in rows.try_iter().take(WAITING) {
                row = next;
                parts.extend(part);
            }
            let written = self.write(&row, &parts);
            self.tell(written);
            if std::mem::take(&mut is_first) {
                self.write_missing();
            }
        }
        if self.has_gaps.load(Ordering::Relaxed) {
            let written = self.replace(&self.folder.clone());
            self.tell(written);
        }
    }

    fn tell(&mut self, written: Result<()>) {
        let Err(error) = written else {
            return;
        };
        self.has_gaps.store(true, Ordering::Relaxed);
        self.index = None;
        if !std::mem::replace(&mut self.was_told, true) {
            note(&format!("{error}; the recording goes on without the index"));
        }
    }

    fn write(&mut self, row: &Row, parts: &[Part]) -> Result<()> {
        self.index()?.write(row, parts)
    }

    /// Writes all rows of a trajectory from its file.
    fn replace(&mut self, folder: &Folder) -> Result<()> {
        let trace = Trace::read(&folder.trace())?;
        self.index()?.replace(folder, &trace)
    }

    fn index(&mut self) -> Result<&mut Index> {
        let index = match self.index.take() {
            Some(index) => index,
            None => Index::open(&self.location)?,
        };
        Ok(self.index.insert(index))
    }

    /// Writes the rows of other trajectories whose files have changed, such as those that came from
    /// another machine.
    fn write_missing(&mut self) {
        let (Ok(folders), Ok(rows)) = (self.root.all(), Index::rows(&self.location)) else {
            return;
        };
        for folder in folders {
            let row = rows.iter().find(|row| row.trajectory_id == folder.id);
            let is_known = row.is_some_and(|row| row.file == Version::of(&folder.trace()));
            if folder == self.folder || is_known || is_recorded(&folder) {
                continue;
            }
            if let Err(error) = self.replace(&folder) {
                tracing::info!("{}: not in the index: {error}", folder.id);
            }
        }
    }
}
