//! `submit` to a site: what the store knows of it, and that nothing is sent twice unasked.

use std::ffi::OsStr;
use std::process::Stdio;

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};
use crate::server::{Deaf, Reply, Server};
use crate::submit::states;

const RUN: &str = "golden/gpu-reps4.json";

pub fn sandbox(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add(names.iter().copied());
    sandbox
}

/// `submit -y` to a server.
fn submit(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Ran {
    let url = server.url();
    let mut all = vec!["submit", "-y", "--url", &url];
    all.extend(args);
    sandbox.run(all)
}

/// What the list for programs tells of run 1.
fn run_1(sandbox: &Sandbox) -> serde_json::Value {
    let listed: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["list", "-o", "json"]).ok()).unwrap();
    listed.as_array().unwrap().last().unwrap().clone()
}

#[test]
fn a_run_is_submitted_once() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(123)]);
    let ran = submit(&sandbox, &server, &[]);
    let link = format!("{}/result/123", server.url());
    assert_eq!(
        String::from_utf8(ran.ok()).unwrap(),
        format!("Result Link: {link}\n")
    );
    assert!(
        ran.stderr.starts_with("localstore: run 1: Llama 3.2 1B"),
        "{}",
        ran.stderr
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let payload = read_fixture("golden/gpu-reps4.payload.json");
    assert!(requests[0].body.as_bytes() == payload);
    let run = run_1(&sandbox);
    assert_eq!(run["submission"], "submitted");
    assert_eq!(run["submission_attempts"], 1);
    assert_eq!(run["submission_reason"], serde_json::Value::Null);
    assert_eq!(run["link"], *link);
    let listed = sandbox.run(["list"]).text();
    assert!(
        listed.contains("submission") && listed.contains("submitted"),
        "{listed}"
    );
    let shown = sandbox.run(["show"]);
    shown.ok();
    assert!(
        shown.stderr.contains("run 1 was submitted at "),
        "{}",
        shown.stderr
    );
    assert!(shown.stderr.ends_with(&format!("{link}\n")));

    for args in [&["1"][..], &["--again", "1"], &["--pending"]] {
        assert!(submit(&sandbox, &server, args).ok().is_empty(), "{args:?}");
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_run_with_a_result_link_is_never_sent() {
    let sandbox = sandbox(&["captures/capture-json-submitted.stdout.txt"]);
    let server = Server::start([Reply::taken(1)]);
    for args in [&[][..], &["--again"], &["1"], &["--pending"]] {
        assert!(submit(&sandbox, &server, args).ok().is_empty(), "{args:?}");
    }
    assert!(server.requests().is_empty());
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn the_site_comes_from_the_option_else_from_the_environment() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json"]);
    let [one, other] = [1, 2].map(|id| Server::start([Reply::taken(id)]));
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("LOCALSCORE_URL", one.url() + "/");
        Ran::from(command.output().unwrap())
    };
    run(&["submit", "-y", "1"]).ok();
    run(&["submit", "-y", "2", "--url", &other.url()]).ok();
    assert_eq!([one.requests().len(), other.requests().len()], [1, 1]);
    let mut command = sandbox.command(["submit", "-y"]);
    command.env("LOCALSCORE_URL", "nowhere");
    let ran = Ran::from(command.output().unwrap());
    assert!(
        ran.failed()
            .starts_with("LOCALSCORE_URL: 'nowhere' is no address")
    );
}

#[test]
fn without_a_terminal_nothing_is_sent_unless_told_to() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(1)]);
    let url = server.url();
    // An answer in a pipe is none.
    let ran = sandbox.run_with_input(["submit", "--url", &url], b"y\n");
    assert_eq!(ran.code, Some(1));
    let told = "localstore: not submitted: there is no terminal to ask on\n\
                hint: '-y' sends without asking\n";
    assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    for args in [
        ["submit", "-n", "-n"],
        ["submit", "-y", "-n"],
        ["submit", "--send_results", "--no_send_results"],
    ] {
        let mut command = sandbox.command(args);
        command.env("LOCALSCORE_URL", &url);
        let ran = Ran::from(command.output().unwrap());
        assert!(ran.ok().is_empty());
        assert!(
            ran.stderr.ends_with("\nResults Not Submitted.\n"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(states(&sandbox), ["never"]);
    assert!(server.requests().is_empty());
    sandbox.run(["submit", "--url", &url, "-n", "-y"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[cfg(unix)]
#[test]
fn a_person_is_asked_as_by_the_c_tool() {
    use std::io::{Read, Write};
    for (answer, sent) in [("n", false), ("", false), ("YES", true), ("y", true)] {
        let sandbox = sandbox(&[RUN]);
        let server = Server::start([Reply::taken(9)]);
        let (mut person, program) = crate::record::terminal();
        let mut command = sandbox.command(["submit", "--url", &server.url()]);
        command
            .stdin(program.try_clone().unwrap())
            .stdout(Stdio::piped())
            .stderr(program);
        let child = command.spawn().unwrap();
        drop(command);
        let question = format!(
            "\r\nDo you want to submit your results to {}? The results will be public (y/n): ",
            server.url()
        );
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(question.as_bytes()) {
            let length = person.read(&mut buffer).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..length]);
        }
        assert!(server.requests().is_empty());
        person.write_all(format!("{answer}\n").as_bytes()).unwrap();
        let mut rest = Vec::new();
        while let Ok(length @ 1..) = person.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..length]);
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let rest = String::from_utf8_lossy(&rest).replace("\r\n", "\n");
        let (end, out) = if sent {
            let link = format!("Result Link: {}/result/9\n", server.url());
            ("\nSubmitting results...\n", link)
        } else {
            ("\nResults Not Submitted.\n", String::new())
        };
        assert_eq!(rest, format!("{answer}\n{end}"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), out);
        assert_eq!(server.requests().len(), usize::from(sent));
        assert_eq!(states(&sandbox), [if sent { "submitted" } else { "never" }]);
    }
}

#[test]
fn a_run_that_the_site_refuses_has_failed_and_leaves_the_queue() {
    let sandbox = sandbox(&[RUN]);
    let body = r#"{"error":{"issues":[{"message":"Bad\u001b[2J","path":["results",0,"name"]}]}}"#;
    let server = Server::start([
        Reply::status("400 Bad Request", "", body),
        Reply::status("400 Bad Request", "", "Invalid JSON"),
    ]);
    let ran = submit(&sandbox, &server, &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr.lines().last().unwrap(),
        "localstore: run 1 was not submitted: \
         the site answered 400: results[0].name: Bad\\x1b[2J"
    );
    let run = run_1(&sandbox);
    assert_eq!(run["submission"], "failed");
    assert_eq!(run["submission_attempts"], 1);
    assert!(
        run["submission_reason"]
            .as_str()
            .unwrap()
            .contains("results[0].name")
    );
    submit(&sandbox, &server, &["--pending"]).ok();
    assert_eq!(server.requests().len(), 1);
    // Who names it, wants it.
    submit(&sandbox, &server, &["1"]);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(run_1(&sandbox)["submission_attempts"], 2);
}

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
    let lines: Vec<&str> = ran.stderr.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "localstore: run 1: Failed to submit results after 3 attempts: the site answered 429: busy",
            "hint: it stays queued: 'localstore submit --pending' sends it",
            "localstore: 1 more stay queued, they would fare no better"
        ]
    );
    assert_eq!(states(&sandbox), ["pending", "pending"]);
    assert_eq!(run_1(&sandbox)["submission_attempts"], 3);
    let shown = sandbox.run(["show", "1"]).stderr;
    assert!(
        shown.contains("run 1 waits to be submitted since "),
        "{shown}"
    );
    assert!(shown.contains("the site answered 429: busy"), "{shown}");

    let ran = submit(&sandbox, &server, &["--pending"]);
    assert_eq!(ran.ok().split(|&byte| byte == b'\n').count(), 3);
    assert_eq!(states(&sandbox), ["submitted", "submitted"]);
    assert_eq!(server.requests().len(), 6);
}

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
        assert!(
            ran.stderr
                .contains("localstore: run 1 may have been submitted at 20"),
            "{name}: {}",
            ran.stderr
        );
        let hint = "hint: look whether the site shows it; \
                    'localstore submit --again 1' sends it again\n";
        assert!(ran.stderr.ends_with(hint), "{name}: {}", ran.stderr);
        let requests = server.requests().len();
        assert_eq!(states(&sandbox), ["unknown"], "{name}");

        // Nothing sends it but the express wish.
        let ran = submit(&sandbox, &server, &["1"]);
        assert!(
            ran.failed()
                .starts_with("run 1 may have been submitted at 20")
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
    for _ in 0..2 {
        let ran = submit(&sandbox, &server, &["--again"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains("was not submitted: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains("queued"), "{}", ran.stderr);
        let after = run_1(&sandbox);
        assert_eq!(after["submission"], "unknown");
        assert_eq!(after["submission_reason"], before["submission_reason"]);
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
    assert!(
        ran.failed().contains(&format!(": sent to {url}")),
        "{}",
        ran.stderr
    );
    submit(&sandbox, &server, &["--pending"]).ok();
    assert_eq!(server.requests().len(), 1);
    submit(&sandbox, &server, &["--again"]).ok();
    assert_eq!(run_1(&sandbox)["submission_attempts"], 2);
}

#[test]
fn of_many_processes_at_once_one_sends() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start((1..).take(8).map(Reply::taken));
    let url = server.url();
    let children: Vec<_> = (0..8)
        .map(|_| {
            sandbox
                .command(["submit", "-y", "--url", &url])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut links = 0;
    for child in children {
        let ran = Ran::from(child.wait_with_output().unwrap());
        links += ran.text().lines().count();
        let known = ran.stderr.contains(" submitted at ") || !ran.stdout.is_empty();
        assert!(known, "{}", ran.stderr);
    }
    assert_eq!(links, 1);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(states(&sandbox), ["submitted"]);
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
    loop {
        let run = run_1(&sandbox);
        if run["submission"] == "pending" && run["submission_attempts"] != 0 {
            let reason = run["submission_reason"].as_str().unwrap();
            assert!(reason.ends_with(": connection refused"), "{reason}");
            break;
        }
        assert_eq!(child.try_wait().unwrap(), None);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&sandbox), ["pending"]);
    let server = Server::start([Reply::taken(1)]);
    submit(&sandbox, &server, &["--pending"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn what_matters_and_is_no_number_stops_that_run_alone() {
    let sandbox = sandbox(&[RUN]);
    let text = String::from_utf8(read_fixture("golden/second-gpu.json")).unwrap();
    let mut bad = String::new();
    for line in text.lines() {
        let is_ttft = line.trim_start().starts_with("\"ttft_ms\"");
        let is_name = line.trim_start().starts_with("\"model_quant_str\"");
        if is_ttft && !bad.contains("\"ttft_ms\": nan") {
            bad += "      \"ttft_ms\": nan,";
        } else if is_name && !bad.contains("\"model_quant_str\": \"\"") {
            bad += "      \"model_quant_str\": \"\",";
        } else {
            bad += line;
        }
        bad += "\n";
    }
    let bad = sandbox.file("bad.json", bad);
    sandbox.run([OsStr::new("add"), bad.as_os_str()]).ok();
    let server = Server::start([Reply::taken(4)]);
    let ran = submit(&sandbox, &server, &["2", "1"]);
    assert_eq!(ran.code, Some(1));
    let lines: Vec<&str> = ran.stderr.lines().take(3).collect();
    assert_eq!(
        lines,
        [
            "localstore: run 2 cannot be sent: \
             results[0].model_quant_str: has 0 characters, not 1 to 255",
            "localstore: run 2 cannot be sent: \
             results[0].ttft_ms: is nan, not a finite number",
            "localstore: run 2 cannot be sent: \
             results[1].model_quant_str: differs from that of the first test",
        ]
    );
    assert_eq!(server.requests().len(), 1);
    assert_eq!(states(&sandbox), ["submitted", "failed"]);
    let shown = sandbox.run(["show", "2"]).stderr;
    assert!(
        shown.contains("run 2 was not submitted (0 attempts): results[0]"),
        "{shown}"
    );
}

#[test]
fn a_csv_lacks_what_the_site_demands() {
    let sandbox = sandbox(&["golden/gpu-reps4.csv"]);
    let server = Server::start([Reply::taken(4)]);
    let ran = submit(&sandbox, &server, &[]);
    assert_eq!(ran.code, Some(1));
    let missing = ran
        .stderr
        .lines()
        .filter(|line| line.ends_with(": is missing"));
    assert_eq!(missing.count(), 10, "{}", ran.stderr);
    // Once the json is there, it can be sent.
    sandbox.add([RUN]);
    submit(&sandbox, &server, &["1"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
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
