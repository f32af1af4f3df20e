//! The ground that the tests of the fleet stand on is itself tested here.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fleet::hrana::Client;
use crate::fleet::proxy::{Fault, Proxy};
use crate::fleet::sqld::{self, Options, Sqld};
use crate::fleet::token::Issuer;
use crate::fleet::{machines, site};
use crate::server::PATIENCE;

#[test]
fn a_server_takes_tokens_of_its_key_alone() {
    if sqld::is_missing() {
        return;
    }
    let [issuer, other] = [Issuer::new(), Issuer::new()];
    let server = Sqld::with(Options {
        key: Some(issuer.key()),
        ..Options::default()
    });
    let with = |token: &str, sql: &str| {
        let client = Client::with_token(server.address(), token);
        client.try_query(sql, &[])
    };
    assert_eq!(with(&issuer.full(), "SELECT 1"), Ok(vec![vec![json!(1)]]));
    with(&issuer.full(), "CREATE TABLE t (a)").unwrap();
    with(&issuer.read_only(), "SELECT * FROM t").unwrap();
    for (token, sql, status) in [
        (issuer.read_only(), "INSERT INTO t VALUES (1)", "403 "),
        (issuer.expired(), "SELECT 1", "401 "),
        (other.full(), "SELECT 1", "401 "),
        ("garbage".to_owned(), "SELECT 1", "401 "),
    ] {
        let error = with(&token, sql).unwrap_err();
        assert!(error.contains(status), "{error}");
    }
    let client = Client::new(server.address());
    assert!(
        client
            .try_query("SELECT 1", &[])
            .unwrap_err()
            .starts_with("401 ")
    );
}

#[test]
fn a_server_comes_back_with_what_it_had() {
    if sqld::is_missing() {
        return;
    }
    let mut server = Sqld::start();
    let client = Client::new(server.address());
    client.query("CREATE TABLE t (a)");
    client.query_with(
        "INSERT INTO t VALUES (?), (?), (?)",
        &[json!("a"), json!(1.5), Value::Null],
    );
    server.kill();
    let db = rusqlite::Connection::open(server.db_path()).unwrap();
    let count: i64 = db
        .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 3);
    drop(db);
    server.restart();
    assert_eq!(
        client.query("SELECT a, x'00ff' FROM t WHERE a IS NOT NULL"),
        [[json!("a"), json!("AP8")], [json!(1.5), json!("AP8")]]
    );
    let backup = server.backup();
    client.query("DELETE FROM t");
    server.put_back(backup.path());
    assert_eq!(client.value("SELECT count(*) FROM t"), 3);
}

#[test]
fn a_replica_follows_its_primary_as_fast_as_the_link() {
    if sqld::is_missing() {
        return;
    }
    let primary = Sqld::with(Options {
        is_primary: true,
        ..Options::default()
    });
    let link = Proxy::stream(primary.grpc());
    let replica = Sqld::replica(link.address());
    let [write, read] = [&primary, &replica].map(|server| Client::new(server.address()));
    write.query("CREATE TABLE t (a)");
    let follows = |count: i64| {
        let is_there = |_: &Proxy| {
            let found = read.try_query("SELECT count(*) FROM t", &[]);
            found == Ok(vec![vec![json!(count)]])
        };
        link.wait_until(is_there);
    };
    follows(0);
    link.speed(0);
    write.query("INSERT INTO t VALUES (1)");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(read.value("SELECT count(*) FROM t"), 0);
    link.delay(Duration::from_millis(20));
    link.speed(u64::MAX);
    follows(1);
}

#[test]
fn a_proxy_does_what_it_is_told() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let straight = Client::new(server.address());
    straight.query("CREATE TABLE t (a)");
    let proxy = Proxy::http(server.address());
    let client = Client::new(proxy.address());
    let count = || straight.value("SELECT count(*) FROM t");
    let insert = || client.try_query("INSERT INTO t VALUES ('inserted')", &[]);
    assert_eq!(insert(), Ok(Vec::new()));
    assert!(proxy.saw("inserted") && !proxy.saw("other"));
    assert_eq!((proxy.requests(), count()), (1, json!(1)));
    let (sent, received) = (proxy.sent(), proxy.received());
    let first = &proxy.seen()[0];
    assert_eq!(
        sent,
        (first.request_head.len() + first.request.len()) as u64
    );
    assert_eq!(
        received,
        (first.answer_head.len() + first.answer.len()) as u64
    );

    proxy.faults([
        Fault::Answered("503 Service Unavailable", "Retry-After: 1\r\n"),
        Fault::RequestCut(200),
        Fault::AnswerCut(0),
        Fault::AnswerCut(50),
    ]);
    assert_eq!(insert(), Err("503 ".to_owned()));
    assert_eq!(count(), 1);
    assert!(insert().is_err());
    assert_eq!((proxy.sent(), count()), (sent + 200, json!(1)));
    assert!(insert().is_err());
    proxy.wait_until(|_| count() == 2);
    assert_eq!(proxy.received(), received);
    assert!(insert().is_err());
    assert_eq!((proxy.received(), count()), (received + 50, json!(3)));
    proxy.forget();
    assert_eq!(
        (proxy.requests(), proxy.sent(), proxy.received()),
        (0, 0, 0)
    );

    proxy.speed(20_000);
    assert_eq!(
        client.value(&format!("SELECT '{}'", "a".repeat(2000))),
        "a".repeat(2000)
    );
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn a_site_posts_runs_and_their_means() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let proxy = Proxy::http(server.address());
    let remote = Client::new(proxy.address());
    let [machine, _] = &machines(2, server.address())[..] else {
        unreachable!("one was asked for")
    };
    machine.add(["golden/gpu-reps4.json"]);
    for object in ["table", "index"] {
        let sql = "SELECT sql FROM sqlite_master WHERE type = ?1 AND sql IS NOT NULL
             AND name NOT LIKE 'localstore%' AND name NOT LIKE 'sqlite%'";
        let db = machine.db();
        let mut statement = db.prepare(sql).unwrap();
        let texts = statement.query_map([object], |row| row.get::<_, String>(0));
        for text in texts.unwrap() {
            remote.query(&text.unwrap());
        }
    }
    let payload = machine.run(["submit", "--dry-run", "1"]).ok();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(site::post(&remote, &payload), 1);
    let first = payload["results_summary"]["performance_score"]
        .as_f64()
        .unwrap();
    payload["results_summary"]["performance_score"] = json!(first * 2.0);
    assert_eq!(site::post(&remote, &payload), 2);
    let tests = payload["results"].as_array().unwrap().len();
    assert_eq!(remote.value("SELECT count(*) FROM test_results"), tests * 2);
    let scores = "SELECT performance_score FROM accelerator_model_performance_scores";
    assert_eq!(remote.value(scores), first * 1.5);
    for table in [
        "accelerators",
        "models",
        "model_variants",
        "runtimes",
        "benchmark_systems",
    ] {
        assert_eq!(
            remote.value(&format!("SELECT count(*) FROM {table}")),
            1,
            "{table}"
        );
    }
}

/// What another client may have to wait for.
#[test]
fn a_transaction_that_stays_open_is_undone_by_the_server() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let client = Client::new(server.address());
    client.query("CREATE TABLE t (a)");
    let mut open = client.transaction();
    open.query("INSERT INTO t VALUES (1)", &[]);
    assert!(Duration::from_secs(10) < PATIENCE);
    client.query("INSERT INTO t VALUES (2)");
    assert_eq!(client.value("SELECT group_concat(a) FROM t"), "2");
}

#[test]
fn a_server_whose_files_may_not_grow_takes_nothing_in_part() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::with(Options {
        file_limit: Some(2048),
        ..Options::default()
    });
    let client = Client::new(server.address());
    client.query("CREATE TABLE t (a)");
    let text = json!("a".repeat(300_000));
    let write = || client.try_query("INSERT INTO t VALUES (?)", std::slice::from_ref(&text));
    let written = (0..20).take_while(|_| write().is_ok()).count();
    assert!((1..20).contains(&written));
    assert_eq!(write().unwrap_err(), "SQLite error: disk I/O error");
    assert_eq!(client.value("SELECT count(*) FROM t"), written);
}
