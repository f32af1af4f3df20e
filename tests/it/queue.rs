//! Runs that wait to be sent, and for which site.

use std::process::Stdio;
use std::time::Instant;

use crate::sandbox::Ran;
use crate::sending::{RUN, run_1, sandbox, submit};
use crate::server::{Deaf, PATIENCE, Reply, Server};
use crate::submit::states;

#[test]
fn a_busy_site_leaves_the_run_in_the_queue() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json"]);
    let busy = || Reply::busy("503 Service Unavailable");
    let many = Reply::busy("429 Too Many Requests");
    let replies = [
        busy(),
        busy(),
        many,
        busy(),
        Reply::taken(8),
        Reply::taken(9),
    ];
    let server = Server::start(replies);
    let ran = submit(&sandbox, &server, &["1", "2"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.is_empty());
    let url = server.url();
    assert_eq!(
        ran.stderr,
        format!(
            "localstore: run 1: queued: the site answered 429: busy\n\
             localstore: run 2: queued: not tried after run 1\n\
             hint: localstore submit --pending --url {url}\n"
        )
    );
    assert_eq!(states(&sandbox), ["pending", "pending"]);
    assert_eq!(run_1(&sandbox)["submission_attempts"], 3);
    let shown = sandbox.run(["show", "1"]).text();
    let why = format!(", {url}: the site answered 429: busy\n");
    assert!(
        shown.contains("\nsubmitted   queued since 20") && shown.contains(&why),
        "{shown}"
    );

    let ran = submit(&sandbox, &server, &["--pending"]);
    assert_eq!(ran.ok().split(|&byte| byte == b'\n').count(), 3);
    assert_eq!(states(&sandbox), ["submitted", "submitted"]);
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn without_a_connection_the_run_waits_in_the_queue() {
    let sandbox = sandbox(&[RUN]);
    let deaf = Deaf::new();
    let mut child = sandbox
        .command(["submit", "-y", "--url", &deaf.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // While it waits for the second attempt, the run is known not to have been sent.
    let patience = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < patience, "{}", run_1(&sandbox));
        let run = run_1(&sandbox);
        if run["submission"] == "pending" && run["submission_attempts"] != 0 {
            let reason = run["submission_reason"].as_str().unwrap();
            assert_eq!(reason, "no connection");
            break;
        }
        assert_eq!(child.try_wait().unwrap(), None);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&sandbox), ["pending"]);
    let server = Server::start([Reply::taken(1)]);
    submit(&sandbox, &server, &["1"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

fn not_found() -> Reply {
    Reply::status("404 Not Found", "", "")
}

#[test]
fn what_waits_for_a_site_is_sent_to_no_other() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json", "golden/cpu-i7-14b.json"]);
    let [one, other] = [1, 2].map(|id| Server::start([not_found(), Reply::taken(id)]));
    submit(&sandbox, &one, &["1"]);
    submit(&sandbox, &other, &["2"]);
    // Where none is stored, it is the public one.
    sandbox
        .db()
        .execute_batch("INSERT INTO localstore_submissions (run_id, state) VALUES (3, 'pending')")
        .unwrap();
    assert_eq!(run_1(&sandbox)["submission_site"], one.url());
    let [one_url, other_url] = [&one, &other].map(Server::url);

    let ran = sandbox.run(["submit", "--pending", "-y"]);
    assert!(ran.ok().is_empty());
    assert!(
        ran.stderr.ends_with(&format!(
            "no run is queued for http://127.0.0.1:9\n\
             localstore: 1 run queued for another site: {one_url}\n\
             hint: localstore submit --pending --url {one_url}\n\
             localstore: 1 run queued for another site: {other_url}\n\
             hint: localstore submit --pending --url {other_url}\n\
             localstore: 1 run queued for another site: https://www.localscore.ai\n\
             hint: localstore submit --pending --url https://www.localscore.ai\n"
        )),
        "{}",
        ran.stderr
    );
    // However the address is typed.
    let typed = one_url.replace("http://localhost", "HTTP://LOCALHOST") + "/";
    let dry = sandbox.run(["submit", "--pending", "--dry-run", "--url", &typed]);
    assert!(dry.ok() == crate::sandbox::read_fixture("golden/gpu-reps4.payload.json"));
    sandbox
        .run(["submit", "--pending", "-y", "--url", &typed])
        .ok();
    assert_eq!(states(&sandbox), ["submitted", "pending", "pending"]);
    assert_eq!([one.requests().len(), other.requests().len()], [2, 1]);
    let public = "https://www.localscore.ai";
    let dry = sandbox.run(["submit", "--pending", "--dry-run", "--url", public]);
    assert!(dry.ok() == crate::sandbox::read_fixture("golden/cpu-i7-14b.payload.json"));
}

#[test]
fn a_result_link_tells_the_site() {
    let sandbox = sandbox(&["captures/capture-json-submitted.stdout.txt"]);
    let run = run_1(&sandbox);
    assert_eq!(run["submission_site"], "https://www.localscore.ai");
}

#[test]
fn others_are_said_to_be_queued_only_if_they_are() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json", "golden/cpu-i7-14b.json"]);
    let server = Server::start([Reply::status("200 OK", "", "{}"), not_found()]);
    submit(&sandbox, &server, &["2"]);
    let ran = submit(&sandbox, &server, &["--again", "1", "2", "3"]);
    let url = server.url();
    assert!(
        ran.stderr.ends_with(&format!(
            "localstore: run 1: queued: the site answered 404\n\
             localstore: run 2: not sent again: not tried after run 1\n\
             localstore: run 3: queued: not tried after run 1\n\
             hint: localstore submit --pending --url {url}\n"
        )),
        "{}",
        ran.stderr
    );
    assert_eq!(states(&sandbox), ["pending", "unknown", "pending"]);

    let server = Server::start([Reply::Reset]);
    let ran = submit(&sandbox, &server, &["1", "3"]);
    let url = server.url();
    assert_eq!(
        ran.stderr,
        format!(
            "localstore: run 1: unknown: no answer, and the site cannot be asked\n\
             hint: localstore submit --again 1 --url {url}\n\
             localstore: run 3: queued: not tried after run 1\n\
             hint: localstore submit --pending --url {url}\n"
        )
    );
}

#[test]
fn a_site_may_want_to_be_left_alone_for_any_time() {
    for (seconds, told) in [
        ("3600", "3600 seconds"),
        ("99999999999999999999999", "more than a year"),
    ] {
        let sandbox = sandbox(&[RUN, "golden/second-gpu.json"]);
        let head = format!("Retry-After: {seconds}\r\n");
        let server = Server::start([Reply::status("429 Too Many Requests", &head, "")]);
        let ran = submit(&sandbox, &server, &["1", "2"]);
        let why = format!("the site answered 429, and asks to wait {told}\n");
        assert!(ran.stderr.contains(&why), "{}", ran.stderr);
        let rest = "localstore: run 2: queued: not tried after run 1\nhint: ";
        assert!(ran.stderr.contains(rest), "{}", ran.stderr);
        assert_eq!(server.requests().len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn what_is_queued_again_has_no_reason_any_more() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::status("400 Bad Request", "", "no")]);
    submit(&sandbox, &server, &[]);
    assert_eq!(run_1(&sandbox)["submission"], "failed");
    let script = crate::record::cat(RUN);
    sandbox
        .run(["record", "--submit", "--", "/bin/sh", "-c", &script])
        .ok();
    let run = run_1(&sandbox);
    assert_eq!(run["submission"], "pending");
    assert_eq!(run["submission_site"], "http://127.0.0.1:9");
    assert_eq!(run["submission_reason"], serde_json::Value::Null);
    let shown = sandbox.run(["show"]).text();
    assert!(shown.contains(", http://127.0.0.1:9\n"), "{shown}");
}

#[test]
fn a_run_that_is_removed_while_it_is_sent_stops_no_other() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json"]);
    let server = Server::start([Reply::taken_when_released(5), Reply::taken(6)]);
    let url = server.url();
    let child = sandbox
        .command(["submit", "-y", "1", "2", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.wait_for_request();
    let removed = sandbox.run(["rm", "-y", "1"]);
    assert!(
        removed
            .stderr
            .contains(&format!("run 1 may have been submitted to {url} at 20")),
        "{}",
        removed.stderr
    );
    server.release();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(
        String::from_utf8(ran.ok()).unwrap(),
        format!("run 1: submitted: {url}/result/5\nrun 2: submitted: {url}/result/6\n")
    );
    let told = "run 1 was removed from the store while it was sent; its link is not recorded\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(states(&sandbox), ["submitted"]);
}
