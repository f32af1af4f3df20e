//! `submit` to a site: what is sent, and what the store knows of it.

use std::ffi::OsStr;
#[cfg(unix)]
use std::process::Stdio;

use crate::sandbox::{Ran, Sandbox, read_fixture};
use crate::server::{Reply, Server, header};
use crate::submit::states;

/// One that the site takes.
pub(crate) const RUN: &str = "golden/gpu-reps4.json";

pub(crate) fn sandbox(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add(names.iter().copied());
    sandbox
}

/// `submit -y` to a server.
pub(crate) fn submit(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Ran {
    let url = server.url();
    let mut all = vec!["submit", "-y", "--url", &url];
    all.extend(args);
    sandbox.run(all)
}

/// What the list for programs tells of run 1.
pub(crate) fn run_1(sandbox: &Sandbox) -> serde_json::Value {
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
        format!("run 1: submitted: {link}\n")
    );
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let head = &requests[0].head;
    assert!(head.starts_with("POST /api/results HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(head, "content-type"), Some("application/json"));
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
        shown.text().contains("\nsubmitted   20") && shown.text().contains(link.as_str()),
        "{}",
        shown.text()
    );

    for args in [&["1"][..], &["--again", "1"], &["--pending"]] {
        let ran = submit(&sandbox, &server, args);
        if args.contains(&"--pending") {
            assert!(ran.ok().is_empty());
            let told = format!("localstore: no run is queued for {}\n", server.url());
            assert_eq!(ran.stderr, told);
        } else {
            let date = &run["submission_changed_at"].as_str().unwrap()[..10];
            let line = format!("run 1: already submitted {date}: {link}\n");
            assert_eq!(String::from_utf8(ran.ok()).unwrap(), line, "{args:?}");
            assert!(ran.stderr.is_empty(), "{}", ran.stderr);
        }
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_site_may_have_a_path() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(5)]);
    let site = server.url() + "/bench";
    let ran = sandbox.run(["submit", "-y", "--url", &(site.clone() + "/")]);
    let printed = String::from_utf8(ran.ok()).unwrap();
    assert_eq!(printed, format!("run 1: submitted: {site}/result/5\n"));
    let head = &server.requests()[0].head;
    assert!(
        head.starts_with("POST /bench/api/results HTTP/1.1\r\n"),
        "{head}"
    );
}

#[test]
fn a_run_with_a_result_link_is_never_sent() {
    let sandbox = sandbox(&["captures/capture-json-submitted.stdout.txt"]);
    let server = Server::start([Reply::taken(1)]);
    for args in [&[][..], &["--again"], &["1"], &["--pending"]] {
        submit(&sandbox, &server, args).ok();
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
            .starts_with("LOCALSCORE_URL: 'nowhere' is not an address")
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
    let told = |hint: &str| {
        format!(
            "localstore: run 1: not submitted: no terminal to ask on\n\
             hint: localstore submit -y{hint} 1\n"
        )
    };
    assert_eq!(ran.stderr, told(&format!(" --url {url}")));
    let mut command = sandbox.command(["submit"]);
    command.env("LOCALSCORE_URL", &url);
    assert_eq!(Ran::from(command.output().unwrap()).stderr, told(""));
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
    // Nothing is noted either, of a run that could not be sent at all.
    sandbox.add(["golden/second-gpu.csv"]);
    let ran = sandbox.run(["submit", "-n", "2"]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.contains("written"), "{}", ran.stderr);
    assert_eq!(states(&sandbox), ["never", "never"]);
    assert!(server.requests().is_empty());
    sandbox.run(["submit", "1", "--url", &url, "-n", "-y"]).ok();
    assert_eq!(states(&sandbox), ["submitted", "never"]);
}

#[cfg(unix)]
#[test]
fn a_person_is_asked_as_by_the_c_tool() {
    for (answer, sent) in [("n", false), ("", false), ("YES", true), ("y", true)] {
        let sandbox = sandbox(&[RUN]);
        let server = Server::start([Reply::taken(9)]);
        let question = Question::of(&sandbox, &server, &["submit"]);
        assert!(server.requests().is_empty());
        let (ran, rest) = question.answer(answer);
        let (end, out) = if sent {
            let link = format!("run 1: submitted: {}/result/9\n", server.url());
            ("\nSubmitting results...\n", link)
        } else {
            ("\nResults Not Submitted.\n", String::new())
        };
        assert_eq!(rest, format!("{answer}\n{end}"));
        assert_eq!(String::from_utf8(ran.ok()).unwrap(), out);
        assert_eq!(server.requests().len(), usize::from(sent));
        assert_eq!(states(&sandbox), [if sent { "submitted" } else { "never" }]);
    }
}

/// A program that has asked a person at a terminal.
#[cfg(unix)]
pub(crate) struct Question {
    person: std::fs::File,
    child: std::process::Child,
}

#[cfg(unix)]
impl Question {
    /// Starts the program, and waits for its question. Its standard output is a pipe.
    pub(crate) fn of(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Self {
        use std::io::Read;
        let (mut person, program) = crate::record::terminal();
        let mut command = sandbox.command(args);
        command
            .env("LOCALSCORE_URL", server.url())
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
            let length = person.read(&mut buffer).unwrap_or_default();
            assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..length]);
        }
        Self { person, child }
    }

    /// Answers; gives what the program left, and what the person sees from here on.
    pub(crate) fn answer(mut self, answer: &str) -> (Ran, String) {
        use std::io::{Read, Write};
        let line = format!("{answer}\n");
        self.person.write_all(line.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = self.person.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..length]);
        }
        let ran = Ran::from(self.child.wait_with_output().unwrap());
        (ran, String::from_utf8_lossy(&rest).replace("\r\n", "\n"))
    }
}

#[cfg(unix)]
#[test]
fn who_cannot_see_the_question_is_not_asked() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(9)]);
    let (mut person, program) = crate::record::terminal();
    std::io::Write::write_all(&mut person, b"y\n").unwrap();
    let mut command = sandbox.command(["submit", "--url", &server.url()]);
    let output = command.stdin(program).output().unwrap();
    drop(person);
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(1));
    let told = "localstore: run 1: not submitted: no terminal to ask on\n\
                hint: localstore submit -y --url ";
    assert!(ran.stderr.starts_with(told), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn what_happens_while_a_person_thinks_is_told() {
    let sandbox = sandbox(&[RUN, "golden/second-gpu.json", "golden/cpu-i7-14b.json"]);
    let server = Server::start([Reply::taken(1), Reply::taken(2)]);
    let question = Question::of(&sandbox, &server, &["submit", "1", "2", "3"]);
    sandbox.run(["rm", "-y", "1"]).ok();
    submit(&sandbox, &server, &["2"]).ok();
    let (ran, rest) = question.answer("y");
    assert_eq!(ran.code, Some(1));
    assert!(
        rest.contains("localstore: run 1: not submitted: it is no longer in the store\n"),
        "{rest}"
    );
    let lines = ran.text();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("run 2: already submitted 20"),
        "{lines:?}"
    );
    let line = format!("run 3: submitted: {}/result/2", server.url());
    assert_eq!(lines[1], line);
    assert_eq!(states(&sandbox), ["submitted", "submitted"]);
}

#[cfg(unix)]
#[test]
fn a_run_that_was_submitted_while_a_person_thought_is_no_failure() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start([Reply::taken(1)]);
    let question = Question::of(&sandbox, &server, &["submit"]);
    submit(&sandbox, &server, &[]).ok();
    let (ran, rest) = question.answer("y");
    assert!(ran.ok().starts_with(b"run 1: already submitted 20"));
    assert!(!rest.contains("localstore: "), "{rest}");
    assert_eq!(server.requests().len(), 1);
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
        ran.stderr,
        "localstore: run 1: refused: the site answered 400: results[0].name: Bad\\x1b[2J\n"
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
    assert_eq!(
        ran.stderr,
        "localstore: run 2: not sent: \
         results[0].model_quant_str: has 0 characters, not 1 to 255 (and 2 more)\n"
    );
    let dry = sandbox.run(["submit", "--dry-run", "2"]).stderr;
    assert_eq!(
        dry,
        "localstore: run 2: would not be sent: \
         results[0].model_quant_str: has 0 characters, not 1 to 255\n\
         localstore: run 2: would not be sent: \
         results[0].ttft_ms: is nan, not a finite number\n\
         localstore: run 2: would not be sent: \
         results[1].model_quant_str: differs from the first test\n"
    );
    assert_eq!(server.requests().len(), 1);
    assert_eq!(states(&sandbox), ["submitted", "failed"]);
    let shown = sandbox.run(["show", "2"]).text();
    let why = format!(", {}: results[0]", server.url());
    assert!(
        shown.contains("\nsubmitted   no, 20") && shown.contains(&why),
        "{shown}"
    );
}

#[test]
fn a_csv_lacks_what_the_site_demands() {
    let sandbox = sandbox(&["golden/gpu-reps4.csv"]);
    let server = Server::start([Reply::taken(4)]);
    let ran = submit(&sandbox, &server, &[]);
    assert_eq!(ran.code, Some(1));
    let hint = "hint: 'localstore add' of the json of the same run adds what is missing\n";
    let told = "localstore: run 1: not sent: system_info.cpu_name: is missing (and 9 more)\n";
    assert_eq!(ran.stderr, format!("{told}{hint}"));
    // A rounded table lacks the same in each of its tests, which is said once.
    sandbox.add(["golden/second-gpu.md"]);
    let ran = submit(&sandbox, &server, &["2"]);
    assert!(ran.stderr.ends_with(hint), "{}", ran.stderr);
    let dry = sandbox.run(["submit", "--dry-run", "2"]).stderr;
    let told = "localstore: run 2: would not be sent: results[0..8].model_n_params: is missing\n";
    assert!(dry.contains(told), "{dry}");
    assert!(dry.ends_with(hint), "{dry}");
    sandbox.run(["rm", "-y", "2"]).ok();
    // Once the json is there, it can be sent.
    sandbox.add([RUN]);
    submit(&sandbox, &server, &["1"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}
