//! `record --submit`.

use crate::record::cat;
use crate::sandbox::{Ran, Sandbox, read_fixture};
use crate::sending::Question;
use crate::server::{Reply, Server};
use crate::submit::states;

const JSON: &str = "captures/capture-json.stdout.txt";

fn record(sandbox: &Sandbox, url: &str, args: &[&str], script: &str) -> Ran {
    let mut all = vec!["record", "--submit", "--url", url];
    all.extend(args);
    all.extend(["--", "/bin/sh", "-c", script]);
    sandbox.run(all)
}

#[test]
fn a_recorded_run_is_submitted_if_told_so() {
    let sandbox = Sandbox::new();
    let server = Server::start([Reply::taken(31)]);
    let ran = record(&sandbox, &server.url(), &["-y"], &cat(JSON));
    let link = format!("Result Link: {}/result/31\n", server.url());
    assert_eq!(ran.ok(), [read_fixture(JSON), link.into()].concat());
    assert_eq!(states(&sandbox), ["submitted"]);
    // The same again is the same run.
    record(&sandbox, &server.url(), &["-y"], &cat(JSON)).ok();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn nothing_is_submitted_unasked() {
    let sandbox = Sandbox::new();
    let script = cat(JSON);
    sandbox.run(["record", "--", "/bin/sh", "-c", &script]).ok();
    assert_eq!(states(&sandbox), ["never"]);
    let ran = sandbox.run(["record", "-y", "--", "/bin/sh", "-c", &script]);
    assert_eq!(ran.failed(), "missing parameter: --submit");
    let server = Server::start([Reply::taken(1)]);
    record(&sandbox, &server.url(), &["-n"], &script).ok();
    assert_eq!(states(&sandbox), ["never"]);
    // Who could not be asked is asked by `submit --pending`.
    let ran = record(&sandbox, &server.url(), &[], &script);
    ran.ok();
    assert!(
        ran.stderr.contains(&format!(
            "localstore: run 1: queued: no terminal to ask on\n\
             hint: localstore submit --pending --url {}\n",
            server.url()
        )),
        "{}",
        ran.stderr
    );
    assert_eq!(states(&sandbox), ["pending"]);
    assert!(server.requests().is_empty());
}

#[test]
fn a_failed_submission_leaves_the_exit_code_of_the_program() {
    let sandbox = Sandbox::new();
    let server = Server::start([
        Reply::status("404 Not Found", "", ""),
        Reply::status("404 Not Found", "", ""),
    ]);
    let ran = record(&sandbox, &server.url(), &["-y"], &cat(JSON));
    ran.ok();
    assert!(
        ran.stderr
            .contains("run 1: queued: the site answered 404\n")
    );
    assert_eq!(states(&sandbox), ["pending"]);
    let ran = record(&sandbox, &server.url(), &["-y"], &(cat(JSON) + "; exit 3"));
    assert_eq!(ran.code, Some(3));
    assert_eq!(server.requests().len(), 2);
}

/// LocalScore refuses its own result and ends with 1, where a deviation in it is no number.
fn refused() -> String {
    cat("captures/capture-json-nan-submit.stdout.txt") + "; exit 1"
}

#[test]
fn a_whole_run_of_a_program_that_failed_is_submitted() {
    let sandbox = Sandbox::new();
    let server = Server::start([Reply::taken(7)]);
    let ran = record(&sandbox, &server.url(), &[], &refused());
    assert_eq!(ran.code, Some(1));
    assert_eq!(states(&sandbox), ["pending"]);
    assert!(server.requests().is_empty());
    let ran = record(&sandbox, &server.url(), &["-y"], &refused());
    assert_eq!(ran.code, Some(1));
    let link = format!("Result Link: {}/result/7\n", server.url());
    assert!(ran.text().ends_with(&link), "{}", ran.text());
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn a_person_is_asked_though_the_program_failed() {
    let sandbox = Sandbox::new();
    let server = Server::start([Reply::taken(7)]);
    let args = ["record", "--submit", "--", "/bin/sh", "-c", &refused()];
    let (ran, _) = Question::of(&sandbox, &server, &args).answer("y");
    assert_eq!(ran.code, Some(1));
    assert_eq!(states(&sandbox), ["submitted"]);
    let payload: serde_json::Value = serde_json::from_str(&server.requests()[0].body).unwrap();
    assert_eq!(payload["results"][0]["gen_tps_stddev"], 0);
}

#[test]
fn what_a_person_interrupted_is_not_asked_about() {
    let server = Server::start([Reply::taken(7)]);
    let url = server.url();
    for script in [cat(JSON) + "; kill -INT $$", cat(JSON) + "; exit 130"] {
        let sandbox = Sandbox::new();
        let ran = record(&sandbox, &url, &["-y"], &script);
        assert_eq!(ran.code, Some(130));
        let told = format!(
            "localstore: not submitted, the program was interrupted: \
             'localstore submit 1 --url {url}' does it\n"
        );
        assert!(ran.stderr.ends_with(&told), "{}", ran.stderr);
        assert_eq!(states(&sandbox), ["never"]);
        let ran = record(&sandbox, &url, &["-n"], &script);
        assert!(!ran.stderr.contains("not submitted"), "{}", ran.stderr);
    }
    let sandbox = Sandbox::new();
    let submitted = cat("captures/capture-json-submitted.stdout.txt") + "; kill -INT $$";
    let ran = record(&sandbox, &url, &[], &submitted);
    assert!(!ran.stderr.contains("not submitted"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn a_partial_run_and_one_that_the_program_submitted_are_not_sent() {
    let sandbox = Sandbox::new();
    let server = Server::start([Reply::taken(1)]);
    let both = format!(
        "{}; echo; {}",
        cat("captures/capture-json-submitted.stdout.txt"),
        cat("golden/single-test.json")
    );
    record(&sandbox, &server.url(), &["-y"], &both).ok();
    assert!(server.requests().is_empty());
    assert_eq!(states(&sandbox), ["submitted", "never"]);
}

#[test]
fn what_keeps_us_from_sending_is_found_before_the_start() {
    let sandbox = Sandbox::new();
    let mut command =
        sandbox.command(["record", "--submit", "--", "/bin/sh", "-c", "echo started"]);
    command.env("LOCALSCORE_URL", "nowhere");
    let ran = Ran::from(command.output().unwrap());
    ran.failed();
    assert!(ran.stdout.is_empty());
}
