//! The file: where it is, whose it is, who may share it, and what happens when many want it.

use std::fmt::Write as _;
#[cfg(unix)]
use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture, slashed};

const RUN: &str = "golden/gpu-reps4.json";

/// The version that this program makes.
const SCHEMA_VERSION: &str = "7";

#[test]
fn the_path_follows_the_rules_of_the_c_tool() {
    let sandbox = Sandbox::new();
    let path = |args: &[&str], env: &[(&str, &str)], home: bool| {
        let mut command = sandbox.command(args.iter().copied().chain(["path"]));
        command.envs(env.iter().copied());
        if !home {
            command.env_remove("HOME");
        }
        let path = String::from_utf8(command.output().unwrap().stdout).unwrap();
        slashed(path).replace(sandbox.path().to_str().unwrap(), "~")
    };
    let env = &[("LOCALSTORE_DB", "env.db")];
    assert_eq!(path(&["--db", "arg.db"], env, true), "arg.db\n");
    assert_eq!(path(&[], env, true), "env.db\n");
    assert_eq!(
        path(&[], &[("LOCALSTORE_DB", "")], true),
        "~/.llamafile/llamafile.sqlite3\n"
    );
    // Windows knows the profile without the variable.
    if cfg!(unix) {
        assert_eq!(path(&[], &[], false), "llamafile.sqlite3\n");
    }
}

#[cfg(unix)]
#[test]
fn folder_and_file_are_made_on_the_first_write_and_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let message = sandbox.run(["list"]).failed();
    assert!(message.ends_with("there is no store"), "{message}");
    assert!(!sandbox.path().join(".llamafile").exists());

    sandbox.add([RUN]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sandbox.store()), 0o600);
    assert_eq!(mode(sandbox.store().parent().unwrap()), 0o700);
}

#[test]
fn reading_creates_nothing_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let before = std::fs::read(sandbox.store()).unwrap();
    for args in [
        &["list"][..],
        &["show"],
        &["export"],
        &["score"],
        &["path"],
        &["add", "--dry-run", "x"],
    ] {
        sandbox.run(args);
        let folder = sandbox.store().parent().unwrap().to_owned();
        let names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["llamafile.sqlite3"], "{args:?}");
    }
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
}

/// Each table of the public schema, with its columns, keys and indexes. The texts are those that
/// SQLite gives for the LocalScore site's own database.
#[test]
fn the_public_tables_are_those_of_the_site() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let db = sandbox.db();
    let mut schema = String::new();
    let mut describe = |sql: &str, argument: &str| {
        let mut query = db.prepare(sql).unwrap();
        let rows = query
            .query_map([argument], |row| row.get::<_, String>(0))
            .unwrap();
        for row in rows {
            let _ = writeln!(schema, "  {}", row.unwrap());
        }
    };
    for table in [
        "accelerator_model_performance_scores",
        "accelerators",
        "benchmark_runs",
        "benchmark_systems",
        "model_variants",
        "models",
        "runtimes",
        "test_results",
    ] {
        describe("SELECT upper(?1)", table);
        describe(
            "SELECT concat_ws(' ', name, type, \"notnull\", dflt_value, pk, hidden) FROM pragma_table_xinfo(?1)",
            table,
        );
        describe(
            "SELECT concat_ws(' ', 'key', \"from\", \"table\", \"to\", on_update, on_delete) FROM pragma_foreign_key_list(?1)",
            table,
        );
        describe(
            "SELECT concat_ws(' ', 'index', l.name, l.\"unique\", l.origin, l.partial, group_concat(x.name || ' ' || x.desc || ' ' || x.coll, ', '))
             FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x WHERE x.key GROUP BY l.seq",
            table,
        );
    }
    insta::assert_snapshot!(schema);
}

#[test]
fn a_store_that_llamafile_made_keeps_its_rows() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join(".llamafile")).unwrap();
    std::fs::copy(fixture("stores/llamafile.sqlite3"), sandbox.store()).unwrap();
    let rows = || -> Vec<String> {
        let db = sandbox.db();
        let mut all = Vec::new();
        for sql in [
            "SELECT quote(id) || quote(created_at) || quote(model) || quote(title) FROM chats",
            "SELECT quote(id) || quote(created_at) || quote(chat_id) || quote(role) || quote(content)
                 || quote(temperature) || quote(top_p) FROM messages",
            "SELECT sql FROM sqlite_schema WHERE name IN ('metadata', 'chats', 'messages')",
        ] {
            let mut query = db.prepare(sql).unwrap();
            all.extend(query.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
        }
        all
    };
    let before = rows();
    // Reading does not make it ours.
    let file = std::fs::read(sandbox.store()).unwrap();
    assert_eq!(sandbox.run(["list"]).ok(), b"");
    assert!(std::fs::read(sandbox.store()).unwrap() == file);

    sandbox.add([RUN]);
    assert_eq!(rows(), before);
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture(RUN)
    );
}

/// llamafile makes its schema only where there is no table `metadata`, and then reads and writes
/// chats and messages: all of which it can do in a file that we made.
#[test]
fn llamafile_can_use_a_store_that_we_made() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let db = sandbox.db();
    db.execute_batch("PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;")
        .unwrap();
    let theirs = Connection::open(fixture("stores/llamafile.sqlite3")).unwrap();
    for table in ["metadata", "chats", "messages"] {
        let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let get = |db: &Connection| db.query_row(sql, [table], |row| row.get::<_, String>(0));
        assert_eq!(get(&db).unwrap(), get(&theirs).unwrap(), "{table}");
    }
    db.execute("INSERT INTO chats (model, title) VALUES ('m', 't');", [])
        .unwrap();
    db.execute(
        "INSERT INTO messages (chat_id, role, content, temperature, top_p, presence_penalty, \
         frequency_penalty) VALUES (1, 'user', 'hi', 0.5, 1, 0, 0);",
        [],
    )
    .unwrap();
    drop(db);
    sandbox.add(["golden/second-gpu.json"]);
    let titles: String = sandbox
        .db()
        .query_row("SELECT title FROM chats", [], |row| row.get(0))
        .unwrap();
    assert_eq!(titles, "t");
}

#[test]
fn a_newer_store_is_refused_and_not_touched() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    sandbox
        .db()
        .execute(
            "UPDATE metadata SET value = '99' WHERE key = 'localstore.schema_version'",
            [],
        )
        .unwrap();
    let before = std::fs::read(sandbox.store()).unwrap();
    let json = fixture("golden/second-gpu.json");
    for args in [
        &["list".as_ref()][..],
        &["add".as_ref(), json.as_os_str()],
        &["rm".as_ref(), "-y".as_ref(), "1".as_ref()],
    ] {
        let message = sandbox.run(args).failed();
        let version = SCHEMA_VERSION;
        let expected =
            format!("the store has schema version 99, this program knows versions up to {version}");
        assert!(message.ends_with(&expected), "{message}");
    }
    assert!(std::fs::read(sandbox.store()).unwrap() == before);
}

#[test]
fn what_is_no_store_is_refused_and_not_touched() {
    let sandbox = Sandbox::new();
    let json = fixture(RUN);
    let other = sandbox.path().join("other.db");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE metadata (name TEXT, value TEXT); CREATE TABLE tiles (x);")
        .unwrap();
    sandbox.file(
        "text.db",
        "this is a letter to a friend, not a database at all",
    );
    std::fs::create_dir(sandbox.path().join("folder")).unwrap();
    let cases = [
        (
            "other.db",
            "other.db: this is a database of another program",
        ),
        ("text.db", "text.db: not a store"),
        ("folder", "folder: is a directory"),
        #[cfg(unix)]
        ("text.db/x", "text.db/x: not a directory"),
    ];
    for (db, message) in cases {
        let before = std::fs::read(sandbox.path().join(db)).ok();
        let args = [
            "add".as_ref(),
            "--db".as_ref(),
            db.as_ref(),
            json.as_os_str(),
        ];
        assert_eq!(sandbox.run(args).failed(), message);
        if !db.contains('/') {
            assert_eq!(sandbox.run(["list", "--db", db]).failed(), message);
        }
        assert!(std::fs::read(sandbox.path().join(db)).ok() == before);
    }
}

#[test]
fn startup_sql_is_run_and_a_bad_one_is_named() {
    let sandbox = Sandbox::new();
    let json = fixture(RUN);
    let add = |sql: &str| {
        sandbox.run([
            "add".as_ref(),
            "--db-startup-sql".as_ref(),
            sql.as_ref(),
            json.as_os_str(),
        ])
    };
    let message = add("PRAGMA a b c").failed();
    assert!(
        message.contains("failed to execute startup SQL (PRAGMA a b c) because: near \"b\""),
        "{message}"
    );
    add("PRAGMA journal_mode=DELETE").ok();
    let mode: String = sandbox
        .db()
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
}

#[test]
fn many_processes_may_open_a_new_store_at_the_same_moment() {
    let sandbox = Sandbox::new();
    let cases = ["gpu-reps4", "second-gpu", "cpu-i7-14b", "nan-stddev"];
    let children: Vec<_> = (0..16)
        .map(|index| {
            let mut command = sandbox.command(["add"]);
            command.arg(fixture(&format!(
                "golden/{}.json",
                cases[index % cases.len()]
            )));
            command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        cases.len()
    );
}

#[test]
fn readers_do_not_wait_for_a_writer_and_writers_do() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    let db = sandbox.db();
    db.execute_batch("BEGIN IMMEDIATE; INSERT INTO chats (model) VALUES ('x')")
        .unwrap();
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        1
    );
    let mut writer = sandbox.command(["tag", "waited"]).spawn().unwrap();
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(writer.wait().unwrap().code(), Some(0));
}

/// The same runs get the same rows and ids as on the site: it takes an id of the sequence for
/// every insert, even where the row is there.
#[test]
fn the_public_rows_get_the_ids_that_the_site_would_give_them() {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/gpu-rtx4090-8b.json",
        "golden/gpu-reps4.json",
        "golden/second-gpu.json",
    ]);
    let db = sandbox.db();
    let ids = |sql: &str| -> Vec<i64> {
        let mut query = db.prepare(sql).unwrap();
        query
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(ids("SELECT id FROM accelerators ORDER BY id"), [1, 3]);
    assert_eq!(ids("SELECT id FROM models ORDER BY id"), [1, 2]);
    assert_eq!(ids("SELECT id FROM benchmark_systems"), [1]);
    assert_eq!(
        ids("SELECT model_variant_id FROM benchmark_runs"),
        [1, 2, 1]
    );
    assert_eq!(
        ids("SELECT seq FROM sqlite_sequence WHERE name IN ('runtimes', 'models')"),
        [3, 3]
    );
}

/// A shared row keeps the values of the first run; an export gives what each run came with.
#[test]
fn an_export_does_not_depend_on_what_others_brought() {
    let sandbox = Sandbox::new();
    let first = String::from_utf8(read_fixture("golden/gpu-rtx4090-8b.json")).unwrap();
    let second = String::from_utf8(read_fixture("golden/single-test.json"))
        .unwrap()
        .replace(
            "\"manufacturer\": \"NVIDIA\"",
            "\"manufacturer\": \"Other\"",
        )
        .replace(
            "\"model_n_params\": 8030261312",
            "\"model_n_params\": 18446744073709551615",
        );
    sandbox.file("first", &first);
    sandbox.file("second", &second);
    sandbox.run(["add", "first", "second"]).ok();
    assert_eq!(
        sandbox.run(["export", "-o", "json", "1", "2"]).text(),
        format!("{first}\n{second}")
    );
}

/// Stores that earlier versions of the schema made, with the same runs of all kinds.
#[test]
fn an_older_store_is_brought_up_and_loses_nothing() {
    // The same runs added to a new store end up in the same rows.
    let fresh = Sandbox::new();
    fresh.add([
        "captures/capture-json-submitted.stdout.txt",
        "golden/gpu-reps4.json",
        "golden/no-tests.json",
        "golden/cpu-i7-14b.csv",
        "golden/second-gpu.md",
        "golden/nan-stddev.json",
    ]);
    let exports = |sandbox: &Sandbox| {
        let runs = ["1", "2", "3", "4", "5", "6"];
        ["json", "csv", "md"].map(|format| {
            let args = ["export", "-o", format].into_iter().chain(runs);
            sandbox.run(args).ok()
        })
    };
    let rows = |sandbox: &Sandbox| -> Vec<String> {
        let db = sandbox.db();
        let mut statement = db
            .prepare(
                "SELECT json_array(r.run_id, hex(r.fingerprint), hex(r.core), typeof(r.core),
                     r.score, r.measured_guessed, iif(r.measured_guessed, 0, r.measured_at), c.id, c.model_name, c.model_quant_str, c.accelerator_name,
                     c.runtime_name)
                 FROM localstore_runs r
                 JOIN localstore_configurations c ON c.id = r.configuration_id
                 WHERE r.tool = 'localscore' ORDER BY r.run_id",
            )
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let schema = |sandbox: &Sandbox| -> Vec<String> {
        let db = sandbox.db();
        let mut statement = db
            .prepare("SELECT name || sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(rows(&fresh).len(), 6);
    for version in ["1", "2", "3", "4", "5", "6"] {
        let sandbox = Sandbox::new();
        std::fs::create_dir_all(sandbox.store().parent().unwrap()).unwrap();
        let store = format!("stores/version-{version}.sqlite3");
        std::fs::copy(fixture(&store), sandbox.store()).unwrap();
        let stored = || -> String {
            let sql = "SELECT value FROM metadata WHERE key = 'localstore.schema_version'";
            sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(stored(), version);
        assert!(exports(&sandbox) == exports(&fresh), "{version}");
        assert_eq!(stored(), SCHEMA_VERSION);
        assert_eq!(rows(&sandbox), rows(&fresh), "{version}");
        assert_eq!(schema(&sandbox), schema(&fresh), "{version}");
        sandbox.run(["check"]).ok();
        // Another capture of a run is found by its core.
        sandbox.add(["golden/gpu-reps4.md", "golden/second-gpu.json"]);
        assert_eq!(rows(&sandbox).len(), 6, "{version}");
        if version == "6" {
            for (run, format, golden) in [
                ("7", "json", "v-b5361-depth.json"),
                ("7", "md", "v-b5361-depth.md"),
                ("11", "csv", "v-b4748-cpu.csv"),
            ] {
                let export = sandbox.run(["export", run, "-o", format]).ok();
                let golden = read_fixture(&format!("golden/llama-bench/{golden}"));
                assert!(export == golden, "{run} {format}");
            }
            let tagged = sandbox.run(["list", "--tag", "night", "-o", "csv"]).text();
            assert_eq!(tagged.lines().count(), 3, "{tagged}");
        }
    }
}

/// The JavaScript client of libSQL refuses a row with an integer beyond 2^53. Only true values may
/// be there: sizes and counts that a model has.
#[test]
fn no_number_of_our_own_is_beyond_what_javascript_holds() {
    let sandbox = Sandbox::new();
    sandbox.add([
        RUN,
        "golden/second-gpu.md",
        "captures/capture-json-submitted.stdout.txt",
    ]);
    let db = sandbox.db();
    let mut columns = db
        .prepare(
            "SELECT s.name, x.name FROM sqlite_schema s, pragma_table_info(s.name) x
             WHERE s.type = 'table'",
        )
        .unwrap();
    let columns: Vec<(String, String)> = columns
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(columns.len() > 100, "{columns:?}");
    for (table, column) in columns {
        let sql = format!(
            "SELECT count(*) FROM {table}
             WHERE typeof({column}) = 'integer' AND abs({column}) > 9007199254740992"
        );
        let count: i64 = db.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{table}.{column}");
    }
}

/// The site takes an id of each sequence even where the row is there; so do runs added at once.
#[test]
fn runs_added_at_once_take_the_ids_that_they_take_one_by_one() {
    let goldens = [
        "gpu-reps4",
        "nan-stddev",
        "gpu-reps16",
        "second-gpu",
        "cpu-i7-14b",
    ];
    let goldens = goldens.map(|name| format!("golden/{name}.json"));
    let at_once = Sandbox::new();
    let text: Vec<u8> = goldens
        .iter()
        .flat_map(|name| [read_fixture(name), b"\n".to_vec()].concat())
        .collect();
    at_once.run_with_input(["add"], &text).ok();
    let one_by_one = Sandbox::new();
    for golden in &goldens {
        one_by_one.add([golden.as_str()]);
    }
    let ids = |sandbox: &Sandbox| -> Vec<String> {
        let db = sandbox.db();
        let sql = "SELECT name || ' ' || seq FROM sqlite_sequence
             UNION ALL SELECT json_array(id, system_id, accelerator_id, model_variant_id,
                 runtime_id) FROM benchmark_runs ORDER BY 1";
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(ids(&at_once), ids(&one_by_one));
    assert!(
        ids(&at_once).contains(&"runtimes 5".to_owned()),
        "{:?}",
        ids(&at_once)
    );
}

#[test]
fn a_table_that_lacks_a_column_is_named_without_the_statement() {
    let sandbox = Sandbox::new();
    sandbox.add([RUN]);
    sandbox
        .db()
        .execute_batch("ALTER TABLE localstore_submissions DROP COLUMN site")
        .unwrap();
    let said = sandbox.run(["list"]).failed();
    assert!(said.ends_with("no such column: site"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_is_not_there_yet_is_followed() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let path = |name: &str| sandbox.path().join(name);
    std::fs::create_dir(path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere/runs.db", path("link.db")).unwrap();
    let json = fixture(RUN);
    let add = |db: &str| {
        let args = ["add".as_ref(), "--db".as_ref(), db.as_ref()];
        sandbox.run(args.into_iter().chain([json.as_os_str()]))
    };
    assert!(add("link.db").text().starts_with("run 1: "));
    let made = std::fs::metadata(path("elsewhere/runs.db")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o600);
    assert!(path("link.db").is_symlink());

    std::os::unix::fs::symlink("round.db", path("round.db")).unwrap();
    let said = add("round.db").failed();
    // In the words of the C library.
    assert!(
        said.starts_with("round.db: ") && said.contains("symbolic link"),
        "{said}"
    );
}

#[test]
fn a_store_without_its_version_is_told_how_it_gets_one() {
    let sandbox = Sandbox::new();
    let json = fixture(RUN);
    for version in ["1", "2", "3", "4", "5", "6"] {
        let old = fixture(&format!("stores/version-{version}.sqlite3"));
        std::fs::copy(old, sandbox.path().join(format!("{version}.db"))).unwrap();
    }
    for db in ["7.db", "other.db"] {
        let args = ["add".as_ref(), "--db".as_ref(), db.as_ref()];
        sandbox.run(args.into_iter().chain([json.as_os_str()])).ok();
    }
    for version in ["1", "2", "3", "4", "5", "6", "7"] {
        let db = &format!("{version}.db");
        for sql in [
            "DELETE FROM metadata",
            "REPLACE INTO metadata VALUES ('localstore.schema_version', 'two')",
        ] {
            let connection = Connection::open(sandbox.path().join(db)).unwrap();
            connection.execute(sql, []).unwrap();
            for command in [
                &["list", "--db", db][..],
                &["tag", "x", "--db", db],
                &["merge", "--db", "other.db", db],
            ] {
                let ran = sandbox.run(command);
                let what = format!("{db}: this is a store of localstore that has lost its version");
                assert_eq!(ran.failed(), what);
                let mend = ran.stderr.split('"').nth(1).unwrap();
                assert!(mend.contains(&format!("'{version}'")), "{mend}");
            }
            let ran = sandbox.run(["list", "--db", db]);
            let mend = ran.stderr.split('"').nth(1).unwrap();
            connection.execute_batch(mend).unwrap();
            drop(connection);
            // Reading brings an older one up to date, so that it would be lost as 7 from then on.
            if version == SCHEMA_VERSION {
                // The store's id was lost with it.
                sandbox.run(["check", "--repair", "--db", db]).ok();
                sandbox.run(["check", "--db", db]).ok();
            }
        }
        let said = sandbox.run(["list", "--db", db, "-o", "jsonl"]).text();
        assert!(!said.is_empty());
    }
    // Tables that no version has are not guessed at.
    Connection::open(sandbox.path().join("7.db"))
        .unwrap()
        .execute_batch("DELETE FROM metadata; DROP TABLE localstore_tags")
        .unwrap();
    let ran = sandbox.run(["list", "--db", "7.db"]);
    assert!(ran.failed().ends_with("that has lost its version"));
    assert!(
        ran.stderr
            .contains("hint: its tables are those of no known version")
    );
}

#[test]
fn tables_that_only_share_their_names_with_llamafile_are_another_programs() {
    let sandbox = Sandbox::new();
    let json = fixture(RUN);
    for (name, chats) in [
        ("short.db", "CREATE TABLE chats (id INTEGER PRIMARY KEY)"),
        (
            "more.db",
            "CREATE TABLE chats (id, created_at, model, title, topic)",
        ),
    ] {
        let path = sandbox.path().join(name);
        Connection::open(&path)
            .unwrap()
            .execute_batch(&format!(
                "CREATE TABLE metadata (key TEXT PRIMARY KEY, value TEXT);
                 CREATE TABLE messages (id, created_at, chat_id, role, content, temperature, top_p,
                     presence_penalty, frequency_penalty);
                 {chats};"
            ))
            .unwrap();
        let before = std::fs::read(&path).unwrap();
        for args in [
            &["add".as_ref(), json.as_os_str()][..],
            &["list".as_ref()],
            &["chat".as_ref(), "list".as_ref()],
        ] {
            let said = sandbox
                .command(args)
                .args(["--db", name])
                .output()
                .map(Ran::from)
                .unwrap()
                .failed();
            assert_eq!(
                said,
                format!("{name}: this is a database of another program")
            );
        }
        assert!(std::fs::read(&path).unwrap() == before);
    }
}

/// Stores are full of fingerprints: another one would make every run that is added again a new one.
#[test]
fn the_fingerprint_of_a_run_never_changes() {
    // Each with its fingerprint and its core.
    let known = [
        (
            "gpu-rtx4090-8b",
            "d5c900885ae1fb6920d57db5908d7e63 21b29f27befdd2aa",
        ),
        (
            "gpu-reps4",
            "6449b5c29835c0f6e78aa5e3e5fc5f88 cefe3b3cc7a46267",
        ),
        (
            "nan-stddev",
            "21245ee3a5a8a54e65c49acd2680a1a4 49e7e046b52f3598",
        ),
        (
            "utf8-model",
            "ac0190f19ff3068a22e5e03e9d441d1f fb5ca5d061dd45be",
        ),
        (
            "no-tests",
            "5b524aa4db51f3538448601672513754 2d06800538d394c2",
        ),
        (
            "prompt-only-and-gen-only",
            "a8ee0e8e065b5fd257a03a7052dfd2b1 72bb3bd024f539cd",
        ),
        (
            "apple-m4max-power",
            "f3837db502fc4e8c841cbbef3da045ad fd40992b2b02c2ea",
        ),
    ];
    let sandbox = Sandbox::new();
    for (id, (name, keys)) in (1..).zip(known) {
        sandbox.add([format!("golden/{name}.json").as_str()]);
        let stored: (String, bool) = sandbox
            .db()
            .query_row(
                "SELECT lower(hex(fingerprint) || ' ' || hex(core)), poor FROM localstore_runs WHERE run_id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(stored, (keys.to_owned(), false), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_no_store() {
    let sandbox = Sandbox::new();
    let made = std::process::Command::new("mkfifo")
        .arg(sandbox.path().join("pipe"))
        .status();
    assert!(made.unwrap().success());
    for path in ["pipe", "/dev/null"] {
        for command in [
            &["list"][..],
            &["check"],
            &["check", "--repair"],
            &["tag", "x", "1"],
        ] {
            let ran = sandbox.run([command, &["--db", path]].concat());
            assert_eq!(
                ran.failed(),
                format!("{path}: this is not a file"),
                "{command:?}"
            );
        }
    }
}

/// The migration to version 3 finds some rows as it leaves them.
#[test]
fn a_core_that_is_bytes_already_stays() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
    std::fs::copy(fixture("stores/version-3.sqlite3"), sandbox.store()).unwrap();
    let cores = || -> String {
        let sql = "SELECT group_concat(quote(core)) FROM localstore_runs";
        sandbox.db().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let before = cores();
    sandbox
        .db()
        .execute_batch("UPDATE metadata SET value = '2' WHERE key = 'localstore.schema_version'")
        .unwrap();
    sandbox.run(["list"]).ok();
    assert_eq!(cores(), before);
    sandbox.run(["check"]).ok();
}

#[test]
fn a_migration_that_fails_does_not_blame_the_permissions() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store().parent().unwrap()).unwrap();
    std::fs::copy(fixture("stores/version-1.sqlite3"), sandbox.store()).unwrap();
    sandbox
        .db()
        .execute_batch("CREATE TABLE localstore_configurations (x)")
        .unwrap();
    let ran = sandbox.run(["list"]);
    let said = ran.failed();
    assert!(
        said.ends_with("table localstore_configurations already exists"),
        "{said}"
    );
    assert!(!ran.stderr.contains("hint: "), "{}", ran.stderr);
}
