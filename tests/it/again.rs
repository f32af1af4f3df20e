//! Runs of which it is not known whether the site took them: nothing is sent twice unasked.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::sandbox::{Ran, Sandbox, fixture};
use crate::sending::{RUN, run_1, sandbox, submit};
use crate::server::{Reply, Server};
use crate::submit::states;

#[test]
fn an_answer_without_an_id_leaves_the_end_unknown() {
    for reply in [
        Reply::status("200 OK", "", "{}"),
        Reply::status("504 Gateway Timeout", "", ""),
        Reply::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"id\"".to_vec()),
        Reply::Reset,
    ] {
        let name = format!("{reply:?}");
        let sandbox = sandbox(&[RUN]);
        let server = Server::start([reply, Reply::taken(5)]);
        let ran = submit(&sandbox, &server, &[]);
        assert_eq!(ran.code, Some(1));
        let url = server.url();
        let what = if name.contains("123, 125") {
            "the site answered 200 without an id: {}"
        } else {
            "no answer"
        };
        let told = format!(
            "localstore: run 1: unknown: {what}, and the site cannot be asked\n\
             hint: localstore submit --again 1 --url {url}\n"
        );
        assert_eq!(ran.stderr, told, "{name}");
        let requests = server.requests().len();
        assert_eq!(states(&sandbox), ["unknown"], "{name}");

        // Nothing sends it but the express wish.
        let ran = submit(&sandbox, &server, &["1"]);
        assert_eq!(
            ran.failed(),
            "run 1: unknown: no answer, and the site cannot be asked"
        );
        submit(&sandbox, &server, &["--pending"]).ok();
        assert_eq!(server.requests().len(), requests, "{name}");
        let listed = sandbox.run(["list"]).text();
        assert!(listed.contains("unknown 20"), "{listed}");
        submit(&sandbox, &server, &["--again", "1"]).ok();
        assert_eq!(states(&sandbox), ["submitted"], "{name}");
    }
}

#[test]
fn an_attempt_that_was_refused_does_not_make_an_earlier_one_forgotten() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([
        Reply::status("200 OK", "", "no id"),
        Reply::busy("503 Service Unavailable"),
        Reply::status("403 Forbidden", "", ""),
        Reply::status("400 Bad Request", "", ""),
    ]);
    submit(&sandbox, &server, &[]);
    let before = run_1(&sandbox);
    // One of them is to another site, by another address of it.
    let other = server.url().replace("localhost", "127.0.0.1");
    for url in [server.url(), other] {
        let ran = sandbox.run(["submit", "-y", "--again", "--url", &url]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let told = "localstore: run 1: unknown: not sent again (the site answered ";
        assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
        let told = "), and an earlier attempt had no answer\nhint: ";
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert!(!ran.stderr.contains("queued"), "{}", ran.stderr);
        let after = run_1(&sandbox);
        assert_eq!(after["submission"], "unknown");
        assert_eq!(after["submission_reason"], before["submission_reason"]);
        assert_eq!(after["submission_site"], before["submission_site"]);
        assert_eq!(
            after["submission_changed_at"],
            before["submission_changed_at"]
        );
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_crash_before_the_answer_is_noted_leaves_the_attempt_noted() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::Hang, Reply::taken(6)]);
    let url = server.url();
    let mut child = sandbox
        .command(["submit", "-y", "--url", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait_for_request();
    // It was noted before the request was whole.
    assert_eq!(states(&sandbox), ["unknown"]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&sandbox), ["unknown"]);
    let ran = submit(&sandbox, &server, &[]);
    assert_eq!(
        ran.failed(),
        "run 1: unknown: no answer, and the site cannot be asked"
    );
    submit(&sandbox, &server, &["--pending"]).ok();
    assert_eq!(server.requests().len(), 1);
    // For all that is known it may still be on its way.
    let ran = submit(&sandbox, &server, &["--again"]);
    assert!(
        ran.failed()
            .starts_with("run 1: not sent again: it may be on its way, an attempt began at 20"),
        "{}",
        ran.stderr
    );
    let hint = format!("hint: 'localstore submit --again 1 --url {url}' works from 20");
    assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    assert_eq!(server.requests().len(), 1);
    let past = |seconds: u32| {
        let sql = format!(
            "UPDATE localstore_submissions SET changed_at = datetime('now', '-{seconds} seconds')"
        );
        sandbox.db().execute_batch(&sql).unwrap();
    };
    past(30);
    submit(&sandbox, &server, &["--again"]).failed();
    assert_eq!(server.requests().len(), 1);
    past(62);
    submit(&sandbox, &server, &["--again"]).ok();
    assert_eq!(run_1(&sandbox)["submission_attempts"], 2);
}

#[test]
fn of_many_processes_at_once_one_sends() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start((1..).take(8).map(Reply::taken));
    eight_at_once(&sandbox, &server, &["submit", "-y"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn of_many_processes_that_send_it_again_at_once_one_does() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::status("200 OK", "", "{}")]);
    submit(&sandbox, &server, &[]);
    assert_eq!(states(&sandbox), ["unknown"]);
    let server = Server::start((1..).take(8).map(Reply::taken));
    eight_at_once(&sandbox, &server, &["submit", "-y", "--again"]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(run_1(&sandbox)["submission_attempts"], 2);
}

/// Starts eight processes; one of them prints a link.
fn eight_at_once(sandbox: &Sandbox, server: &Server, args: &[&str]) {
    let url = server.url();
    let children: Vec<_> = (0..8)
        .map(|_| {
            sandbox
                .command(args)
                .args(["--url", &url])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut links = 0;
    for child in children {
        let ran = Ran::from(child.wait_with_output().unwrap());
        let lines = ran.text();
        links += lines.matches("run 1: submitted: ").count();
        let told = [
            "run 1: already submitted 20",
            "run 1: submitted: ",
            "localstore: run 1: unknown: another process sends it, and the site was not asked\n",
            "localstore: run 1: unknown: no answer, and the site cannot be asked\n",
            "localstore: run 1: not sent again: it may be on its way",
        ];
        let known = |text: &str| told.iter().any(|told| text.starts_with(told));
        assert!(known(&lines) || known(&ran.stderr), "{}", ran.stderr);
    }
    assert_eq!(links, 1);
    assert_eq!(states(sandbox), ["submitted"]);
}

#[test]
fn merging_keeps_what_may_have_been_submitted() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::status("200 OK", "", ""), Reply::taken(1)]);
    submit(&sandbox, &server, &[]);
    let refusing = Server::start([Reply::status("404 Not Found", "", "")]);
    let json = fixture(RUN);
    let other = ["--db", "other"];
    sandbox
        .run([
            OsStr::new("--db"),
            OsStr::new("other"),
            OsStr::new("add"),
            json.as_os_str(),
        ])
        .ok();
    submit(&sandbox, &refusing, &other);
    let store = sandbox.store();
    let merged = [OsStr::new("--db"), OsStr::new("other"), OsStr::new("merge")];
    sandbox
        .run(merged.into_iter().chain([store.as_os_str()]))
        .ok();
    submit(&sandbox, &server, &["--db", "other", "--pending"]).ok();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_waits_in_another_store_waits_there_alone() {
    let other = sandbox(&[RUN, "golden/second-gpu.json"]);
    let refusing = Server::start([
        Reply::status("404 Not Found", "", ""),
        Reply::status("400 Bad Request", "", "no"),
    ]);
    submit(&other, &refusing, &["1"]);
    submit(&other, &refusing, &["2"]);
    assert_eq!(states(&other), ["pending", "failed"]);
    let sandbox = Sandbox::new();
    let store = other.store();
    sandbox.run([OsStr::new("merge"), store.as_os_str()]).ok();
    assert_eq!(states(&sandbox), ["never", "failed"]);
}

/// A process whose run the site has just taken, while another one keeps the store locked.
fn taken_by_the_site_while_the_store_is_locked(
    sandbox: &Sandbox,
    server: &Server,
    patience_ms: u32,
) -> (Child, rusqlite::Connection) {
    let startup = format!("PRAGMA busy_timeout = {patience_ms}");
    let child = sandbox
        .command(["submit", "-y", "--url", &server.url()])
        .args(["--db-startup-sql", &startup])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.wait_for_request();
    let db = sandbox.db();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    server.release();
    (child, db)
}

#[test]
fn a_store_that_is_busy_when_the_answer_comes_is_waited_for_once_more() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken_when_released(8)]);
    let (mut child, db) = taken_by_the_site_while_the_store_is_locked(&sandbox, &server, 700);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.find(|line| line.as_ref().unwrap().ends_with("; trying once more"));
    db.execute_batch("ROLLBACK").unwrap();
    assert!(told.is_some());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert!(ran.ok().starts_with(b"run 1: submitted: "));
    assert_eq!(states(&sandbox), ["submitted"]);
}

/// Runs the hint as a person would.
#[cfg(unix)]
fn shell(sandbox: &Sandbox, script: &str) -> Ran {
    let program = assert_cmd::cargo::cargo_bin!("localstore");
    let folder = program.parent().unwrap();
    let mut command = sandbox.command([] as [&str; 0]);
    let path = std::env::join_paths([folder, "/bin".as_ref(), "/usr/bin".as_ref()]).unwrap();
    let ours: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", script])
        .env_clear()
        .envs(ours)
        .env("PATH", path)
        .current_dir(sandbox.path());
    Ran::from(command.output().unwrap())
}

#[cfg(unix)]
#[test]
fn a_link_that_cannot_be_noted_is_printed_and_can_be_noted_later() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken_when_released(8)]);
    let url = server.url();
    let (child, db) = taken_by_the_site_while_the_store_is_locked(&sandbox, &server, 50);
    let ran = Ran::from(child.wait_with_output().unwrap());
    db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.text(), format!("run 1: submitted: {url}/result/8\n"));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let [.., again, error, hint] = lines[..] else {
        panic!("{lines:?}");
    };
    assert!(again.starts_with("localstore: run 1: "), "{again}");
    assert!(
        again.ends_with("another program keeps the store locked; trying once more"),
        "{again}"
    );
    assert!(
        error.starts_with("localstore: run 1: submitted, but not recorded: "),
        "{error}"
    );
    assert_eq!(states(&sandbox), ["unknown"]);
    let script = hint.strip_prefix("hint: ").unwrap();
    let noted = shell(&sandbox, script).text();
    assert!(noted.starts_with("already stored as run 1: "), "{noted}");
    let run = run_1(&sandbox);
    assert_eq!(run["submission"], "submitted");
    assert_eq!(run["submission_site"], *url);
    assert_eq!(run["link"], format!("{url}/result/8"));
}
