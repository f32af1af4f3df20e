//! Sixteen processes that open a new store at the same moment, and one that writes chats beside them.

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode};

use super::{assert_right, documents, ids, rounds, stored};
use crate::sandbox::Sandbox;

const WRITERS: usize = 16;
const RUNS: usize = 50;

#[test]
fn many_writers_lose_nothing_and_store_nothing_twice() {
    let rounds = rounds(1);
    let mut chats = 0;
    for round in 0..rounds {
        let sandbox = Sandbox::new();
        // In every second round, llamafile has made the file and goes on using it.
        let llamafile = (round % 2 == 0).then(|| Llamafile::start(&sandbox));
        let documents = documents(0..WRITERS * RUNS);
        let writers: Vec<(Child, JoinHandle<()>)> = documents
            .chunks(RUNS)
            .map(|documents| start_writer(&sandbox, documents.to_vec()))
            .collect();
        let mut said = 0;
        for (child, feeder) in writers {
            let output = child.wait_with_output().unwrap();
            feeder.join().unwrap();
            // Whether one is slower than those before it depends on what the others have written.
            let text = String::from_utf8_lossy(&output.stderr);
            let (sum, slower) = text
                .trim_end()
                .split_once("; slower: ")
                .unwrap_or((&text, "1"));
            assert_eq!(sum.trim_end(), format!("{RUNS} runs: {RUNS} new"), "{text}");
            assert!(
                slower.split(", ").all(|id| id.parse::<u32>().is_ok()),
                "{text}"
            );
            assert!(output.status.success());
            let lines = String::from_utf8(output.stdout).unwrap();
            said += lines
                .lines()
                .filter(|line| line.starts_with("run "))
                .count();
        }
        assert_eq!(said, WRITERS * RUNS);
        if let Some(llamafile) = llamafile {
            let written = llamafile.stop();
            let there: u64 = sandbox
                .db()
                .query_row("SELECT count(*) FROM chats", [], |row| row.get(0))
                .unwrap();
            assert_eq!(there, written);
            chats += written;
        }
        let store = sandbox.store();
        let db = store.to_str().unwrap();
        assert_eq!(ids(&sandbox, db).len(), WRITERS * RUNS);
        assert!(stored(&sandbox, db) == documents.into_iter().collect());
        assert_right(&sandbox, db);
    }
    crate::report(&format!(
        "| {WRITERS} writers at once | {rounds} rounds, {} runs, {chats} chats | none missing, none \
         twice, no error |",
        rounds * WRITERS * RUNS
    ));
}

/// Adds run after run, each in a transaction of its own where it comes in time.
fn start_writer(sandbox: &Sandbox, documents: Vec<String>) -> (Child, JoinHandle<()>) {
    let mut child = sandbox
        .command(["add"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for document in documents {
            input.write_all(document.as_bytes()).unwrap();
            input.write_all(b"\n\n").unwrap();
            std::thread::yield_now();
        }
    });
    (child, feeder)
}

/// Writes chats as llamafile does: a connection a request, its pragmas, and no patience.
struct Llamafile {
    thread: JoinHandle<u64>,
    stop: std::sync::Arc<AtomicBool>,
}

impl Llamafile {
    fn start(sandbox: &Sandbox) -> Self {
        let path = sandbox.store();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(crate::sandbox::fixture("stores/llamafile.sqlite3"), &path).unwrap();
        let db = Connection::open(&path).unwrap();
        db.execute_batch("DELETE FROM messages; DELETE FROM chats")
            .unwrap();
        drop(db);
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let write = move || -> rusqlite::Result<()> {
            let db = Connection::open(&path)?;
            db.busy_timeout(std::time::Duration::ZERO)?;
            db.execute_batch("PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;")?;
            db.execute_batch(
                "BEGIN;
                 INSERT INTO chats (model, title) VALUES ('m', 't');
                 INSERT INTO messages (chat_id, role, content)
                     VALUES (last_insert_rowid(), 'user', 'hi');
                 COMMIT;",
            )
        };
        let thread = std::thread::spawn(move || {
            let mut written = 0;
            while !stopped.load(Ordering::Relaxed) {
                match write() {
                    Ok(()) => written += 1,
                    Err(error) => {
                        let code = error.sqlite_error_code();
                        assert_eq!(code, Some(ErrorCode::DatabaseBusy), "{error}");
                    }
                }
            }
            written
        });
        Self { thread, stop }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
