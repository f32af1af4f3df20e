//! llamafile's chats: its answers byte for byte, and what people see.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::sandbox::{Sandbox, fixture, read_fixture};

/// A sandbox with this store of the fixtures, which only llamafile has written to.
pub(crate) fn with_store(name: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.store().parent().unwrap()).unwrap();
    std::fs::copy(fixture(name), sandbox.store()).unwrap();
    sandbox
}

/// A sandbox with the golden chats.
pub(crate) fn golden() -> Sandbox {
    with_store("chats/llamafile.sqlite3")
}

fn count(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// What the C code runs on every open, in its own words.
const STARTUP: &str = "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;";

#[test]
fn the_answers_are_those_of_the_c_code() {
    let sandbox = golden();
    let before = std::fs::read(sandbox.store()).unwrap();
    let list = sandbox.run(["chat", "list", "-o", "json"]).ok();
    assert_eq!(list, read_fixture("chats/chats.json"));
    for id in 1..=4 {
        let chat = sandbox.run(["chat", "show", "-o", "json", &id.to_string()]);
        assert_eq!(chat.ok(), read_fixture(&format!("chats/chat-{id}.json")));
    }
    // Reading changes nothing in a store that is llamafile's alone, and leaves nothing beside it.
    assert_eq!(std::fs::read(sandbox.store()).unwrap(), before);
    let folder = std::fs::read_dir(sandbox.store().parent().unwrap()).unwrap();
    assert_eq!(folder.count(), 1);
}

#[test]
fn a_missing_chat_is_an_empty_answer_and_an_error() {
    let sandbox = golden();
    let ran = sandbox.run(["chat", "show", "99", "-o", "json"]);
    assert_eq!(ran.stdout, read_fixture("chats/chat-99.json"));
    assert!(ran.failed().ends_with(": no chat 99"));
    for args in [
        &["chat", "show", "99"][..],
        &["chat", "export", "1", "99"],
        &["chat", "rename", "99", "x"],
        &["chat", "rm", "1", "99"],
    ] {
        let ran = sandbox.run(args);
        assert!(ran.failed().ends_with(": no chat 99"), "{args:?}");
        assert_eq!(ran.text(), "", "{args:?}");
    }
    assert_eq!(count(&sandbox.db(), "SELECT count(*) FROM chats"), 4);
    assert_eq!(count(&sandbox.db(), "SELECT count(*) FROM messages"), 6);
}

/// The order of chats that were begun in one second is what SQLite makes of the C code's query.
#[test]
fn many_chats_come_in_the_order_of_the_c_code() {
    let sandbox = golden();
    let db = sandbox.db();
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO chats (id, created_at, model, title)
         SELECT (i * 7919) % 3001 + 10, '2025-05-01 10:00:' || (10 + i % 7),
             CASE i % 5 WHEN 0 THEN NULL ELSE printf('%.*c', i % 600, 'm') END, 'chat ' || i FROM n;
         UPDATE chats SET created_at = NULL WHERE id % 100 = 3;
         UPDATE chats SET created_at = id WHERE id % 100 = 4;",
    )
    .unwrap();
    let query = "SELECT id, created_at, model, title FROM chats ORDER BY created_at DESC;";
    let ids: Vec<i64> = db
        .prepare(query)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    drop(db);
    let answer = sandbox.run(["chat", "list", "-o", "json"]).ok();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let listed: Vec<i64> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| chat["id"].as_i64().unwrap())
        .collect();
    assert_eq!(listed.len(), 3004);
    assert_eq!(listed, ids);

    let table = sandbox.run(["chat", "list"]);
    assert_eq!(table.text().lines().count(), 1001);
    assert!(table.stderr.contains("the first 1000 of 3004 chats"));
    let table = sandbox.run(["chat", "list", "--limit", "0"]);
    assert_eq!(table.text().lines().count(), 3005);
    let some = sandbox.run(["chat", "list", "--limit", "2", "-o", "json"]);
    let some: serde_json::Value = serde_json::from_slice(&some.ok()).unwrap();
    assert_eq!(some.as_array().unwrap().len(), 2);
}

#[test]
fn what_people_see() {
    let sandbox = golden();
    insta::assert_snapshot!(sandbox.run(["chat", "list"]).snapshot(&sandbox), @r#"
    exit 0
    --- stdout
    id  title                   model                                   messages  last activity
     4  Grüße 中文 😀           m.gguf                                         2  2025-04-02 11:03:00
     3                                                                         0  2025-04-03 10:00:00
     2  Quote "this" and \that  Qwen2.5-14B-Instruct-Q4_K_M.gguf               1  2025-04-02 11:02:00
     1  Why is the sky blue?    Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf         3  2025-04-02 11:01:00
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.run(["chat", "show", "1"]).snapshot(&sandbox), @r#"
    exit 0
    --- stdout
    Why is the sky blue?
    chat 1, Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf, 2025-04-01 10:00:00 UTC, 3 messages

    --- system, message 1, 2025-04-02 11:00:00
    You are a helpful assistant.

    --- user, message 2, 2025-04-02 11:01:00
    Why is the sky blue?

    --- assistant, message 3, 2025-04-02 11:01:00
    Rayleigh scattering.
    It favours <short> wavelengths & "blue".
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.run(["chat", "show", "3"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    chat 3, 2025-04-03 10:00:00 UTC, no messages
    --- stderr
    ");
    insta::assert_snapshot!(sandbox.run(["chat", "search", "BLUE"]).snapshot(&sandbox), @r#"
    exit 0
    --- stdout
    chat  message  role       line
       1           title      Why is the sky blue?
       1        3  assistant  It favours <short> wavelengths & "blue".
       1        2  user       Why is the sky blue?
    --- stderr
    "#);
}

#[test]
fn a_search_finds_any_script_whatever_the_case() {
    let sandbox = golden();
    let found = |text: &str| {
        let ran = sandbox.run(["chat", "search", text, "-o", "json"]);
        let hits: serde_json::Value = serde_json::from_slice(&ran.ok()).unwrap();
        let hits = hits.as_array().unwrap();
        let line = |hit: &serde_json::Value| {
            let message = &hit["message_id"];
            format!(
                "{}/{message} {}",
                hit["chat_id"],
                hit["line"].as_str().unwrap()
            )
        };
        hits.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(found("gRÜSSE"), [] as [&str; 0]);
    assert_eq!(found("gRÜßE"), ["4/null Grüße 中文 😀"]);
    assert_eq!(found("É"), ["4/5 emoji 😀 and 中文 é"]);
    assert_eq!(
        found("😀"),
        ["4/null Grüße 中文 😀", "4/5 emoji 😀 and 中文 é"]
    );
    assert_eq!(
        found("<SHORT>"),
        ["1/3 It favours <short> wavelengths & \"blue\"."]
    );
    // SQL's own wildcards are text like any other.
    assert_eq!(found("%"), [] as [&str; 0]);
}

#[test]
fn a_search_says_what_it_did_not_find_or_show() {
    let sandbox = golden();
    let none = sandbox.run(["chat", "search", "no\x1b[2J"]);
    assert!(none.ok().is_empty());
    let shown = none.stderr.replace("/x1b", "\\x1b");
    assert!(shown.ends_with(": nothing contains 'no\\x1b[2J'\n"));
    let some = sandbox.run(["chat", "search", "", "--limit", "2"]);
    assert_eq!(some.text().lines().count(), 3);
    assert!(some.stderr.contains("the first 2 lines"));
    let all = sandbox.run(["chat", "search", "", "--limit", "0"]);
    assert_eq!(all.text().lines().count(), 1 + 4 + 6);
}

#[test]
fn chats_are_begun_renamed_and_removed() {
    let sandbox = Sandbox::new();
    let added = sandbox.run(["chat", "add", "Grüße", "--model", "m.gguf", "-o", "json"]);
    let chat: serde_json::Value = serde_json::from_slice(&added.ok()).unwrap();
    assert_eq!(chat["id"], 1);
    assert_eq!(chat["model"], "m.gguf");
    assert_eq!(chat["created_at"].as_str().unwrap().len(), 19);
    assert_eq!(
        sandbox.run(["chat", "add", "other"]).text(),
        "chat 2: other\n"
    );
    sandbox.run(["message", "add", "1", "user", "one"]).ok();
    sandbox.run(["message", "add", "1", "user", "two"]).ok();
    sandbox.run(["message", "add", "2", "user", "three"]).ok();

    let renamed = sandbox.run(["chat", "rename", "1", "a\tb"]);
    assert_eq!(renamed.text(), "chat 1: a\\tb\n");

    let would = sandbox.run(["chat", "rm", "1", "--dry-run"]);
    assert_eq!(would.text(), "would remove chat 1: a\\tb (2 messages)\n");
    assert_eq!(count(&sandbox.db(), "SELECT count(*) FROM messages"), 3);
    let removed = sandbox.run(["chat", "rm", "1", "1", "-y"]);
    assert_eq!(removed.text(), "removed chat 1: a\\tb (2 messages)\n");
    let db = sandbox.db();
    assert_eq!(count(&db, "SELECT sum(chat_id) FROM messages"), 2);
    assert_eq!(count(&db, "SELECT sum(id) FROM chats"), 2);
    // An id is not given twice, as in the C code.
    drop(db);
    assert_eq!(
        sandbox.run(["chat", "add", "third"]).text(),
        "chat 3: third\n"
    );
}

/// Half of a chat must not go: here the second step fails.
#[test]
fn a_chat_goes_with_all_its_messages_or_stays_with_them() {
    let sandbox = golden();
    sandbox
        .db()
        .execute_batch(
            "CREATE TRIGGER keep BEFORE DELETE ON chats BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let ran = sandbox.run(["chat", "rm", "-y", "1"]);
    assert!(ran.failed().ends_with(": no"));
    assert_eq!(count(&sandbox.db(), "SELECT count(*) FROM messages"), 6);
}

const NASTY: &str = "# Title

Setext
======
<details><script>alert(1)</script> & <https://example.org> but a < b
`<code>` and ``a ` <b>`` and `a
<c>` and \\<d> \u{1b}[31mred\u{7}
- list
  ```html
  <p># no heading</p>
  ```
####### no heading

| a | b |
|---|---|
| 1 | <i> |

<!-- open
```rust
# fn main() { never closed <T>";

#[test]
fn a_chat_exports_as_markdown_in_which_no_message_reaches_beyond_itself() {
    let sandbox = golden();
    sandbox
        .run(["chat", "rename", "3", "*Star* <b>\n# [x](y) `c`"])
        .ok();
    sandbox.run(["message", "add", "3", "user", NASTY]).ok();
    sandbox
        .run(["message", "add", "3", "tool", "after\r\nit\r\n"])
        .ok();
    let text = sandbox.run(["chat", "export", "3", "-o", "md"]).text();
    insta::assert_snapshot!(text, @r"
    # \*Star\* \<b\> \# \[x\](y) \`c\`

    2025-04-03 10:00:00 UTC

    ## user

    ````
    # Title

    Setext
    ======
    <details><script>alert(1)</script> & <https://example.org> but a < b
    `<code>` and ``a ` <b>`` and `a
    <c>` and \<d> �[31mred�
    - list
      ```html
      <p># no heading</p>
      ```
    ####### no heading

    | a | b |
    |---|---|
    | 1 | <i> |

    <!-- open
    ```rust
    # fn main() { never closed <T>
    ````

    ## tool

    ```
    after
    it

    ```
    ");
    // Outside of the blocks is nothing but what the document says itself.
    let mut fence = None;
    let mut own = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if line.starts_with("```") => fence = Some(line),
            None => own.push(line),
        }
    }
    assert_eq!(
        own,
        [
            "# \\*Star\\* \\<b\\> \\# \\[x\\](y) \\`c\\`",
            "2025-04-03 10:00:00 UTC",
            "## user",
            "## tool"
        ]
    );

    sandbox
        .run(["chat", "export", "3", "--out", "chat.md"])
        .ok();
    let written = std::fs::read_to_string(sandbox.path().join("chat.md")).unwrap();
    assert_eq!(written, text);
    let two = sandbox.run(["chat", "export", "3", "2"]).text();
    assert!(
        two.starts_with(&format!("{text}\n# Quote \"this\"")),
        "{two}"
    );
    let bad = sandbox.run(["chat", "export", "1", "-o", "csv"]);
    assert_eq!(bad.failed(), "invalid parameter for: -o");
}

/// SQLite lets anything stand in any column; NULL is what a title is that nobody gave.
#[test]
fn odd_values_are_shown_and_not_refused() {
    let sandbox = golden();
    sandbox
        .db()
        .execute_batch(
            "PRAGMA foreign_keys=off;
             INSERT INTO chats (id, created_at, model, title) VALUES
                 (10, NULL, NULL, NULL), (11, 12, x'ff00', x'c3a900'), (12, 1.5, 2, 3.25);
             INSERT INTO messages (id, chat_id, created_at, role, content, temperature) VALUES
                 (10, 10, NULL, NULL, NULL, NULL), (11, 10, 7, x'ff', x'ff62', 'x'),
                 (12, 'odd', NULL, 5, 6, '1.5e0'), (13, NULL, NULL, NULL, 'a', 1e999);",
        )
        .unwrap();
    let chat = |id: &str| sandbox.run(["chat", "show", id, "-o", "json"]).text();
    assert_eq!(
        chat("10"),
        "{\n  \"created_at\": null,\n  \"id\": 10,\n  \"model\": null,\n  \"title\": null\n}\n"
    );
    assert_eq!(
        chat("11"),
        "{\n  \"created_at\": \"12\",\n  \"id\": 11,\n  \"model\": \"\\u00ff\",\n  \"title\": \"\\u00e9\"\n}\n"
    );
    assert_eq!(
        chat("12"),
        "{\n  \"created_at\": \"1.5\",\n  \"id\": 12,\n  \"model\": \"2\",\n  \"title\": \"3.25\"\n}\n"
    );
    for args in [
        &["chat", "list"][..],
        &["chat", "show", "10"],
        &["chat", "show", "11"],
        &["chat", "export", "10", "11", "12"],
        &["chat", "search", "b"],
        &["chat", "rm", "--dry-run", "10", "11", "12"],
        &["message", "list", "10"],
        &["message", "show", "10"],
        &["message", "show", "12"],
        &["message", "show", "13", "-o", "json"],
        &["message", "rm", "--dry-run", "10", "11", "12", "13"],
    ] {
        sandbox.run(args).ok();
    }
}

#[test]
fn a_file_that_is_empty_or_missing_has_no_chats() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["chat", "list"]);
    assert!(ran.failed().ends_with(": there is no store"));
    assert!(!sandbox.store().exists());
    let empty = sandbox.file("empty.db", "");
    let empty = empty.to_str().unwrap();
    let ran = sandbox.run(["--db", empty, "chat", "list", "-o", "json"]);
    assert_eq!(ran.ok(), b"[]\n");
    let ran = sandbox.run(["--db", empty, "chat", "list"]);
    assert!(ran.ok().is_empty() && ran.stderr.ends_with(": no chats\n"));
    let ran = sandbox.run(["--db", empty, "message", "list", "1", "-o", "json"]);
    assert_eq!(ran.stdout, b"[]\n");
    assert!(ran.failed().ends_with(": no chat 1"));
}

#[test]
fn a_wrong_argument_is_told_with_what_helps() {
    let sandbox = golden();
    let cases = [
        (&["chat"][..], "localstore chat --help"),
        (&["chat", "list", "-o", "csv"], "text, json"),
        (
            &["chat", "show", "first"],
            "'first' is not a number; 'localstore chat list' shows the ids",
        ),
        (&["chat", "show"], "localstore chat show 3 | less"),
        (&["chat", "rm"], "localstore chat rm 3 --dry-run"),
        (
            &["message", "add", "1", "wizard", "x"],
            "system, user, assistant, tool",
        ),
    ];
    for (args, hint) in cases {
        let ran = sandbox.run(args);
        ran.failed();
        let (_, told) = ran.stderr.split_once("\nhint: ").unwrap();
        assert_eq!(told.trim_end(), hint, "{args:?}");
    }
}

/// Writes one message as llamafile's server does for a request: its own connection, no busy wait.
fn add_as_the_c_code(path: &Path, content: &str) -> rusqlite::Result<()> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::ZERO)?;
    // The bundled SQLite enforces keys by default, the C code's does not.
    db.pragma_update(None, "foreign_keys", false)?;
    db.execute_batch(STARTUP)?;
    let is_new = !db
        .prepare("SELECT name FROM sqlite_master WHERE type='table' AND name='metadata'")?
        .exists([])?;
    assert!(!is_new, "the tables are gone");
    db.execute(
        "INSERT INTO messages (chat_id, role, content, temperature, top_p, presence_penalty,
             frequency_penalty) VALUES (1, 'user', ?1, 0.8, 0.95, 0, 0)",
        [content],
    )?;
    db.close().map_err(|(_, error)| error)
}

/// llamafile refuses a request while the store is busy, and is asked again; what either program
/// took is there in the end, once.
#[test]
fn writes_of_both_programs_interleave_without_a_lost_row() {
    const OURS: usize = 150;
    const THEIRS: usize = 3000;
    let sandbox = golden();
    let done = AtomicBool::new(false);
    let theirs = std::thread::scope(|scope| {
        let llamafile = scope.spawn(|| {
            let mut written = 0;
            while written < THEIRS && !(done.load(Ordering::Relaxed) && written > OURS) {
                match add_as_the_c_code(&sandbox.store(), &format!("theirs {written}")) {
                    Ok(()) => written += 1,
                    Err(error) => assert!(
                        matches!(
                            error.sqlite_error_code(),
                            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
                        ),
                        "{error}"
                    ),
                }
            }
            written
        });
        let ours: Vec<_> = (0..2)
            .map(|writer| {
                let sandbox = &sandbox;
                scope.spawn(move || {
                    for index in 0..OURS / 2 {
                        let content = format!("ours {writer} {index}");
                        sandbox.run(["message", "add", "2", "user", &content]).ok();
                        if index % 10 == 0 {
                            sandbox.run(["chat", "list"]).ok();
                            sandbox.run(["chat", "add", &content]).ok();
                        }
                    }
                })
            })
            .collect();
        for writer in ours {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        llamafile.join().unwrap()
    });
    let db = sandbox.db();
    let rows = |pattern: &str| {
        let sql = "SELECT count(*), count(DISTINCT content) FROM messages WHERE content LIKE ?1";
        db.query_row(sql, [pattern], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    assert_eq!(rows("ours %"), (OURS, OURS));
    assert_eq!(rows("theirs %"), (theirs, theirs));
    assert!(theirs > OURS, "they hardly met: {theirs}");
    assert_eq!(count(&db, "SELECT count(*) FROM chats"), 4 + 16);
    let check: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

/// SQLite says of a file that may not grow what it says of a disk that is full.
#[test]
fn a_full_disk_is_told_without_a_word_of_runs() {
    let sandbox = golden();
    // More than a page of the file, and less than a command of Windows may have.
    let long = "x".repeat(30_000);
    let args = ["chat", "add", &long, "--db-startup-sql"];
    let ran = sandbox.run(args.iter().chain(&["PRAGMA max_page_count=1"]));
    assert!(ran.failed().ends_with(": the disk is full"));
    let hint = "hint: free some space and run the command again: nothing is half stored\n";
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
    assert_eq!(count(&sandbox.db(), "SELECT count(*) FROM chats"), 4);
}
