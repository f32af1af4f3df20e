//! Writes the rows of requests, in a thread of its own: no request waits for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::{Error, Result, counted, note};
use db::Database;

use super::lock;
use crate::store::requests::{self, Request};

/// The rows that may wait.
const QUEUE: usize = 10_000;

/// The rows of one transaction.
const BATCH: usize = 1_000;

/// How long a row waits for others. With the time that a transaction takes, it is written within 250 ms.
const WAIT: Duration = Duration::from_millis(200);

/// How often rows are looked for while some wait.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a locked store is waited for at once. Others lock it for less.
const LOCKED: Duration = Duration::from_secs(2);

/// The pages that the writer keeps in memory: 2 MiB, which SQLite wants in negative KiB. Rows are appended, so that little
/// is read again.
const CACHE_SIZE: i64 = -2 * 1024;

/// How often old rows are looked for.
const FOLDED_EVERY: Duration = Duration::from_mins(1);

/// The rows that are kept one by one at most, however young they are.
const MOST: i64 = 10_000_000;

/// The longest wait for the last rows.
const LAST: Duration = Duration::from_secs(5);

/// Where rows go.
pub(crate) struct Log {
    rows: SyncSender<Message>,
    shared: Arc<Shared>,
    /// Says that the last rows are written.
    finished: Mutex<Receiver<()>>,
}

/// Boxed, since the queue has its memory from the start.
enum Message {
    Row(Box<Request>),
    Finish,
}

#[derive(Default)]
struct Shared {
    dropped: AtomicU64,
    is_finishing: AtomicBool,
}

impl Log {
    /// Starts the thread. Rows that are older than `keep` go into the sums of their days.
    pub(crate) fn start(db: Database, keep: Duration) -> Result<Self> {
        db.read(|db| Ok(db.busy_timeout(LOCKED)?))?;
        db.read(|db| Ok(db.pragma_update(None, "cache_size", CACHE_SIZE)?))?;
        let (rows, received) = sync_channel(QUEUE);
        let (finish, finished) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            db,
            keep,
            batch: Vec::with_capacity(BATCH),
            shared: Arc::clone(&shared),
            dropped_before: None,
            fold_at: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("rows".to_owned());
        let started = thread.spawn(move || {
            writer.run(&received);
            // From here on a row finds no place, and is counted as lost.
            drop(received);
            // Nobody waits for it, unless the gateway ends.
            let _ = finish.send(());
        });
        started.map_err(|error| Error::new("cannot start", base::reason(&error)))?;
        Ok(Self {
            rows,
            shared,
            finished: Mutex::new(finished),
        })
    }

    /// Takes a row, or drops it if too many wait.
    pub(crate) fn put(&self, row: Request) {
        if self.rows.try_send(Message::Row(Box::new(row))).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes all rows that wait, for a bounded time. Rows that come later are dropped.
    pub(crate) fn finish(&self) {
        self.shared.is_finishing.store(true, Ordering::Relaxed);
        // If the queue is full, the thread does not wait.
        let _ = self.rows.try_send(Message::Finish);
        let finished = lock(&self.finished);
        if finished.recv_timeout(LAST) == Err(RecvTimeoutError::Timeout) {
            note("the last rows of requests are not written: the store is too slow");
        }
    }

    /// The rows that were lost.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// What the thread has.
struct Writer {
    db: Database,
    keep: Duration,
    /// The rows of the next transaction.
    batch: Vec<Request>,
    shared: Arc<Shared>,
    /// How many rows were lost before the trouble that was warned of began.
    dropped_before: Option<u64>,
    fold_at: Instant,
}

impl Writer {
    fn run(mut self, received: &Receiver<Message>) {
        let mut dropped = 0;
        loop {
            let is_last = !self.collect(received);
            if is_last || self.shared.is_finishing.load(Ordering::Relaxed) {
                break self.end(received);
            }
            let written = self.write();
            let dropped_now = self.shared.dropped.load(Ordering::Relaxed);
            match written {
                Err(error) => {
                    self.warn(dropped, &error.to_string());
                    std::thread::sleep(WAIT);
                }
                Ok(()) if dropped_now > dropped => {
                    self.warn(dropped, "more come than it can write");
                }

                Ok(()) => {
                    self.is_well(dropped_now);
                    self.fold();
                }
            }
            dropped = dropped_now;
        }
    }

    /// Takes rows until the batch is full or its first has waited long enough; false once there will be none.
    fn collect(&mut self, received: &Receiver<Message>) -> bool {
        let is_idle = self.batch.is_empty() && self.dropped_before.is_none();
        let mut until = Instant::now() + if is_idle { FOLDED_EVERY } else { WAIT };
        while self.batch.len() < BATCH {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.min(self.until_fold());
            let next = if self.batch.is_empty() {
                received.recv_timeout(left)
            } else {
                // It looks now and then: to be woken for each row would cost every request a system call.
                received.try_recv().or_else(|_| {
                    std::thread::sleep(left.min(LOOK_EVERY));
                    received.recv_timeout(Duration::ZERO)
                })
            };
            match next {
                Ok(Message::Row(row)) => {
                    if self.batch.is_empty() {
                        until = until.min(Instant::now() + WAIT);
                    }
                    self.batch.push(*row);
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return true,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        true
    }

    fn until_fold(&self) -> Duration {
        self.fold_at.saturating_duration_since(Instant::now())
    }

    /// Writes the batch, which stays if that fails.
    fn write(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if !self.db.is_in_place() {
            let why = "the file was removed or replaced";
            return Err(Error::new(self.db.path().display(), why));
        }
        let batch = &self.batch;
        self.db.write(|db| Ok(requests::insert(db, batch)?))?;
        self.batch.clear();
        Ok(())
    }

    /// Moves some of the old rows, if it is time to.
    fn fold(&mut self) {
        if !self.until_fold().is_zero() {
            return;
        }
        let before_ms = before_ms(self.keep);
        let folded = self.db.write(|db| Ok(requests::fold(db, before_ms, MOST)?));
        let moved = folded.unwrap_or_else(|error| {
            tracing::debug!("old rows cannot be moved: {error}");
            0
        });
        // Between two moves the rows that wait are written.
        let pause = if moved > 0 { WAIT } else { FOLDED_EVERY };
        self.fold_at = Instant::now() + pause;
    }

    /// Says once that rows are not written, until they are again.
    fn warn(&mut self, dropped: u64, why: &str) {
        if self.dropped_before.is_none() {
            self.dropped_before = Some(dropped);
            note(&format!(
                "the rows of requests are not written: {why}; requests go on, {QUEUE} rows wait at most"
            ));
        }
    }

    fn is_well(&mut self, dropped: u64) {
        if let Some(before) = self.dropped_before.take() {
            let lost = counted(dropped - before, "row");
            note(&format!(
                "the rows of requests are written again; {lost} lost"
            ));
        }
    }

    /// Writes what is left. What cannot be written now is lost.
    fn end(mut self, received: &Receiver<Message>) {
        loop {
            let rows = received.try_iter().filter_map(|message| match message {
                Message::Row(row) => Some(*row),
                Message::Finish => None,
            });
            self.batch.extend(rows.take(BATCH));
            if self.batch.is_empty() {
                return;
            }
            if let Err(error) = self.write() {
                let left = received.try_iter().count() + self.batch.len();
                self.shared
                    .dropped
                    .fetch_add(left as u64, Ordering::Relaxed);
                note(&format!(
                    "the last {} are lost: {error}",
                    counted(left as u64, "row")
                ));
                return;
            }
        }
    }
}

/// The time before which rows are old, in milliseconds since 1970.
fn before_ms(keep: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let before = now.saturating_sub(keep);
    i64::try_from(before.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ROOM;
    use crate::store::requests::By;
    use db::Location;

    const KEEP: Duration = Duration::from_hours(30 * 24);

    fn location(folder: &tempfile::TempDir) -> Location {
        Location {
            path: folder.path().join("store.db"),
            startup_sql: db::DEFAULT_STARTUP_SQL.to_owned(),
        }
    }

    fn start(location: &Location, keep: Duration) -> Log {
        Log::start(Database::open(location, &[&ROOM]).unwrap(), keep).unwrap()
    }

    fn requests(location: &Location) -> u64 {
        let db = Database::open_readonly(location, &[&ROOM]).unwrap();
        let used = db
            .read(|db| Ok(requests::used(db, By::Model, None, None)?))
            .unwrap();
        used.iter().map(|group| group.sums.requests).sum()
    }

    fn now() -> Request {
        Request {
            at_ms: before_ms(Duration::ZERO),
            ..Request::default()
        }
    }

    #[test]
    fn all_rows_are_written_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&location(&folder), KEEP);
        for _ in 0..2_500 {
            log.put(now());
        }
        log.finish();
        assert_eq!((requests(&location(&folder)), log.dropped()), (2_500, 0));
        log.put(now());
        assert_eq!(log.dropped(), 1);
    }

    #[test]
    fn a_locked_store_holds_nobody_and_what_finds_no_place_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let location = location(&folder);
        let log = start(&location, KEEP);
        let mut other = Database::open(&location, &[&ROOM]).unwrap();
        let all = u64::try_from(QUEUE + 2 * BATCH).unwrap();
        let locked = other.write(|_| {
            for _ in 0..all {
                log.put(now());
            }
            Ok(log.dropped())
        });
        assert!(locked.unwrap() > 0);
        log.finish();
        // On a slow machine the last rows are written after the time that an end waits for them.
        let deadline = Instant::now() + Duration::from_mins(1);
        let counted = || requests(&location) + log.dropped();
        while counted() < all && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(counted(), all);
    }

    /// Elsewhere a file that is open cannot be removed.
    #[cfg(unix)]
    #[test]
    fn a_store_that_is_gone_loses_rows_that_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = start(&location(&folder), KEEP);
        std::fs::remove_file(folder.path().join("store.db")).unwrap();
        for _ in 0..10 {
            log.put(now());
        }
        log.finish();
        assert_eq!(log.dropped(), 10);
    }
}
