use std::path::PathBuf;

use serde_json::{Value, json};

use super::Work;
use super::made::Made;

/// Parts 1 to 5; the file 'n' says 1 at part 1, 2 at 2 and 3, 3 at 4 and 5.
fn five_parts<'a>(work: &'a Work, id: &'static str) -> Made<'a> {
    work.write("n", "1");
    let mut made = Made::begin(work, id);
    made.turn("go").part("text", "looks");
    work.write("n", "2");
    made.part("patch", "n").part("text", "thinks");
    work.write("n", "3");
    made.turn("on").part("patch", "n").part("text", "done");
    made
}

/// A suite that leaves a line for each run in a file outside of the checkout: part and commit.
fn counted(work: &Work, name: &str, rest: &str) -> (String, PathBuf) {
    let runs = work.sandbox().path().join(format!("{name}.runs"));
    let command = format!(
        "{name}=echo $LOCALSTORE_TRACE_PART $LOCALSTORE_TRACE_COMMIT >> '{}'; {rest}",
        runs.display()
    );
    (command, runs)
}

fn lines(file: &PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn report(work: &Work, id: &str) -> Value {
    let text = std::fs::read(work.folder(id).join("eval.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn each_commit_is_evaluated_once_and_mapped_back_on_parts() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let (suite, runs) = counted(&work, "unit", "test $(cat n) -ge 2");
    let counts = r#"count=echo noise; echo "{\"passed\":$(cat n),\"failed\":1,\"total\":4}""#;
    let out = work.sandbox().path().join("report.json");
    let out = out.to_str().unwrap();
    let ran = work.run(&[
        "eval", "five", "--suite", &suite, "--suite", counts, "--out", out,
    ]);
    insta::assert_snapshot!(mask(&made, &ran.snapshot(work.sandbox())), @r"
    exit 0
    --- stdout
    1 of 2 suites passes at part 5
      unit passes since part 2: 1/1
      count fails since part 1: 3/4

    parts  commit    unit  count  total  seconds
    1      <part 1>   0/1    1/4    1/5      <s>
    2-3    <part 3>   1/1    2/4    3/5      <s>
    4-5    <part 5>   1/1    3/4    4/5      <s>
    --- stderr
    ");
    let commits = [1, 2, 4].map(|part| made.commit_of(part).to_owned());
    let expected = [1, 2, 4].into_iter().zip(&commits);
    let expected: Vec<String> = expected
        .map(|(part, commit)| format!("{part} {commit}"))
        .collect();
    assert_eq!(lines(&runs), expected);

    let report = report(&work, "five");
    let written: Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
    assert_eq!(written["part_evaluations"], report["part_evaluations"]);
    assert_eq!(report["trajectory_id"], "five");
    assert_eq!(report["session_id"], "s-1");
    assert_eq!(report["commits_evaluated"], json!(commits));
    assert_eq!(
        report["part_to_commit"],
        json!({"1": commits[0], "2": commits[1], "3": commits[1], "4": commits[2], "5": commits[2]})
    );
    let mut first = report["commit_evaluations"][&commits[0]].clone();
    assert!(first["duration_ms"].take().is_u64());
    assert_eq!(
        first,
        json!({"duration_ms": null, "passed": 1, "failed": 2, "total": 5, "path_results": {
            "unit": {"ok": false, "passed": 0, "failed": 1, "total": 1},
            "count": {"ok": false, "passed": 1, "failed": 1, "total": 4},
        }})
    );
    let third = &report["part_evaluations"][2];
    assert_eq!(third["part"], 3);
    assert_eq!(third["commit"], json!(commits[1]));
    assert_eq!(third["timestamp"], made.parts()[2]["timestamp"]);
    assert_eq!(
        third["evaluation"],
        report["commit_evaluations"][&commits[1]]
    );
    assert_eq!(third["evaluation"]["path_results"]["unit"]["ok"], true);
}

/// The outcome of one suite at one commit.
#[track_caller]
fn outcome_of(command: &str, options: &[&str]) -> (Option<i32>, Value, String) {
    let work = Work::new();
    let mut made = Made::begin(&work, "one");
    work.write("n", "1");
    made.part("patch", "n").end("completed");
    let suite = format!("it={command}");
    let ran = work.run(&[&["eval", "one", "--suite", &suite], options].concat());
    let report = report(&work, "one");
    let evaluation = &report["part_evaluations"][0]["evaluation"];
    let outcome = evaluation["path_results"]["it"].clone();
    let failed = if outcome["error"].is_null() {
        &outcome["failed"]
    } else {
        &json!(1)
    };
    assert_eq!(&evaluation["failed"], failed);
    (ran.code, outcome, ran.stderr)
}

#[test]
fn the_last_line_is_the_result_else_the_exit_code() {
    let of = |ok: bool, passed: u64, failed: u64, total: u64| json!({"ok": ok, "passed": passed, "failed": failed, "total": total});
    let passed = of(true, 1, 0, 1);
    let failed = of(false, 0, 1, 1);
    let counts = r#"{"passed": 3, "failed": 0, "total": 4, "tests": []}"#;
    for (command, expected) in [
        ("true", &passed),
        ("exit 3", &failed),
        ("kill -9 $$", &failed),
        (&format!("echo '{counts}'; exit 1"), &of(true, 3, 0, 4)),
        (&format!("printf '{counts}'"), &of(true, 3, 0, 4)),
        (&format!("printf '{counts}\r\n\n'"), &of(true, 3, 0, 4)),
        (
            r#"echo '{"passed":0,"failed":0,"total":0}'"#,
            &of(false, 0, 0, 0),
        ),
        (&format!("echo '{counts}'; echo done"), &passed),
        (&format!("echo '{counts}' >&2"), &passed),
        (
            r#"echo '{"passed":1.0,"failed":0,"total":1}'; exit 1"#,
            &failed,
        ),
        (
            r#"echo '{"passed":-1,"failed":0,"total":1}'; exit 1"#,
            &failed,
        ),
        (
            r#"echo '{"passed":"1","failed":0,"total":1}'; exit 1"#,
            &failed,
        ),
        ("echo '[1,0,1]'; exit 1", &failed),
    ] {
        let (code, outcome, stderr) = outcome_of(command, &[]);
        assert_eq!((code, &outcome), (Some(0), expected), "{command}: {stderr}");
        assert_eq!(stderr, "", "{command}");
    }
}

#[test]
fn a_command_that_is_nowhere_found_is_a_failure_and_told() {
    let (code, outcome, stderr) = outcome_of("no-such-program-here", &[]);
    assert_eq!(
        (code, &outcome["failed"], &outcome["total"]),
        (Some(0), &json!(1), &json!(1))
    );
    assert_eq!(
        stderr,
        "localstore: it: its command was found at no commit\n"
    );
}

#[test]
fn a_suite_that_does_not_end_in_time_could_not_run() {
    let (code, outcome, stderr) = outcome_of("sleep 600 & sleep 600", &["--timeout", "1"]);
    let expected = json!({"ok": false, "passed": 0, "failed": 0, "total": 0,
        "error": "it did not end within 1 s"});
    assert_eq!((code, outcome), (Some(1), expected));
    assert_eq!(
        stderr,
        "localstore: it could not run at 1 commit: it did not end within 1 s\n"
    );
}

#[test]
fn what_a_suite_leaves_behind_does_not_disturb_the_next_one() {
    let work = Work::new();
    work.write(".gitignore", "ignored\n");
    work.write("sub/kept", "1");
    let mut made = five_parts(&work, "five");
    made.end("completed");
    // In the second line what is left, among it a process that has our pipe.
    let suite = "it=git status --porcelain --ignored >> $OUT; git rev-parse HEAD >> $OUT; cat n >> $OUT; ls -A | wc -l >> $OUT\n        sleep 600 & echo x > n; rm -r sub; mkdir -p ignored nested/.git new ro/deep; git init -q nested/repo; echo x > ro/deep/x\n        chmod -R a-w ro; git config core.hooksPath /nowhere; echo x > .git/index.lock; ln -s / link; rm -f .git/HEAD; exit 0";
    let out = work.sandbox().path().join("out");
    let suite = suite.replace("$OUT", &format!("'{}'", out.display()));
    work.run(&["eval", "five", "--suite", &suite]).ok();
    let expected: Vec<String> = [1, 2, 4]
        .into_iter()
        .enumerate()
        .flat_map(|(index, part)| {
            let commit = made.commit_of(part).to_owned();
            // No newline behind the number in the file; .git, .gitignore, n and sub.
            [commit, format!("{}4", index + 1)]
        })
        .collect();
    assert_eq!(lines(&out), expected);
}

#[cfg(unix)]
#[test]
fn a_suite_whose_folder_is_gone_finds_it_again() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let suites = ["--suite", "gone=rm -rf \"$PWD\"", "--suite", "it=test -f n"];
    work.run(&[&["eval", "five"][..], &suites].concat()).ok();
    let report = report(&work, "five");
    for commit in report["commit_evaluations"].as_object().unwrap().values() {
        assert_eq!(commit["passed"], 2, "{commit}");
    }
}

#[test]
fn the_code_is_checked_out_byte_for_byte() {
    let work = Work::new();
    work.write(
        ".gitattributes",
        "*.txt text eol=crlf\n*.id ident\n*.secret filter=none\nhidden export-ignore\n",
    );
    work.write("a.txt", "one\ntwo\r\n");
    work.write("b.id", "$Id$");
    work.write("hidden", "x");
    let mut made = Made::begin(&work, "bytes");
    made.part("text", "x").end("completed");
    let suite =
        r#"it=test "$(cat a.txt b.id hidden | od -An -c | tr -d ' \n')" = 'one\ntwo\r\n$Id$x'"#;
    let ran = work.run(&["eval", "bytes", "--suite", suite]);
    assert!(
        ran.text()
            .starts_with("it passes since part 1: 1/1, at part 1\n"),
        "{}",
        ran.text()
    );
}

#[test]
fn the_next_evaluation_of_the_same_suites_goes_on_from_the_last() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let (unit, runs) = counted(&work, "unit", "test $(cat n) != 2");
    let eval = |words: &[&str]| {
        let before = lines(&runs).len();
        let ran = work.run(&[&["eval", "five"], words].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let runs = lines(&runs);
        let parts = runs[before..]
            .iter()
            .map(|line| line.split(' ').next().unwrap());
        (parts.collect::<Vec<_>>().join(" "), ran.text())
    };
    let first = eval(&["--suite", &unit, "--from", "2", "--to", "3"]);
    assert_eq!(first.0, "2");
    assert!(
        first
            .1
            .starts_with("unit fails since part 2: 0/1, at part 3\n"),
        "{}",
        first.1
    );
    assert_eq!(
        report(&work, "five")["part_to_commit"]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(eval(&["--suite", &unit]).0, "1 4");
    assert_eq!(
        report(&work, "five")["part_evaluations"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    // What is not asked for this time is not forgotten.
    let part = eval(&["--suite", &unit, "--from", "5"]);
    assert_eq!(part.0, "");
    assert!(
        part.1
            .starts_with("unit passes since part 5: 1/1, at part 5\n"),
        "{}",
        part.1
    );
    assert_eq!(eval(&["--suite", &unit]).0, "");
    assert_eq!(
        eval(&["--suite", &unit, "--again", "--jobs", "4"]).0.len(),
        "1 2 4".len()
    );
    let other = format!("{unit} ");
    assert_eq!(eval(&["--suite", &other]).0, "1 2 4");
    assert_eq!(
        eval(&["--suite", &other, "--suite", "lint=true"]).0,
        "1 2 4"
    );
    // A report of nobody's is no report.
    std::fs::write(work.folder("five").join("eval.json"), "{").unwrap();
    assert_eq!(eval(&["--suite", &other]).0, "1 2 4");
}

#[test]
fn what_could_not_run_is_tried_again() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let slow = work.sandbox().file("slow", "");
    let rest = format!(
        "[ $(cat n) = 2 ] && [ -e '{}' ] && sleep 600; true",
        slow.display()
    );
    let (unit, runs) = counted(&work, "unit", &rest);
    let eval = || {
        work.run(&[
            "eval",
            "five",
            "--suite",
            &unit,
            "--timeout",
            "2",
            "--jobs",
            "2",
        ])
    };
    assert_eq!(eval().code, Some(1));
    assert_eq!(lines(&runs).len(), 3);
    std::fs::remove_file(slow).unwrap();
    eval().ok();
    assert_eq!(lines(&runs).len(), 4);
    eval().ok();
    assert_eq!(lines(&runs).len(), 4);
}

#[cfg(unix)]
#[test]
fn a_kill_loses_no_finished_commit() {
    use rustix::process::Signal;
    use std::os::unix::process::CommandExt;
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let temporary = work.sandbox().path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    for signal in [Signal::INT, Signal::HUP, Signal::KILL] {
        let held = work.sandbox().file("held", "");
        let rest = format!(
            "[ $(cat n) = 3 ] && while [ -e '{}' ]; do sleep 0.1; done; true",
            held.display()
        );
        let name = format!("unit{}", signal.as_raw());
        let (unit, runs) = counted(&work, &name, &rest);
        let mut child = work
            .sandbox()
            .command(["trace", "eval", "five", "--suite", &unit])
            .env("TMPDIR", &temporary)
            .process_group(0)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // The last commit holds it up.
        while lines(&runs).len() < 3 {
            assert!(child.try_wait().unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&ended.status),
            Some(signal.as_raw())
        );
        let kept = report(&work, "five")["commits_evaluated"]
            .as_array()
            .unwrap()
            .len();
        assert_eq!(kept, 2, "{}", String::from_utf8_lossy(&ended.stderr));
        if signal != Signal::KILL {
            assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
        }
        std::fs::remove_file(held).unwrap();
        work.run(&["eval", "five", "--suite", &unit]).ok();
        assert_eq!(lines(&runs).len(), 4);
        assert_eq!(
            report(&work, "five")["commits_evaluated"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
    }
}

#[test]
fn a_part_without_a_commit_has_no_evaluation() {
    let work = Work::new();
    let mut made = Made::begin(&work, "late");
    made.part("text", "an empty folder");
    work.write("n", "1");
    made.part("patch", "n").end("completed");
    work.run(&["eval", "late", "--suite", "it=true"]).ok();
    let report = report(&work, "late");
    assert_eq!(report["part_to_commit"]["1"], Value::Null);
    assert_eq!(report["part_evaluations"][0]["evaluation"], Value::Null);
    assert_eq!(report["part_evaluations"][1]["evaluation"]["passed"], 1);
    let ran = work.run(&["diff", "late", "1", "2"]);
    assert_eq!(ran.failed(), "part 1: nothing was committed until then");
    let hint = "of parts 1 to 2, the first with a commit is 2";
    assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    let ran = work.run(&["eval", "late", "--suite", "it=true", "--to", "1"]);
    assert_eq!(
        ran.text(),
        "none of these parts has a commit: there is nothing to evaluate\n"
    );
    ran.ok();
}

#[test]
fn a_commit_that_is_not_there_could_not_be_evaluated() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let lost = "0123456789012345678901234567890123456789";
    made.trace["parts"][3]["git_commit"] = json!(lost);
    made.save();
    let ran = work.run(&["eval", "five", "--suite", "it=true"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("it could not run at 1 commit: "),
        "{}",
        ran.stderr
    );
    let report = report(&work, "five");
    assert!(report["commit_evaluations"][lost]["path_results"]["it"]["error"].is_string());
    assert_eq!(report["part_evaluations"][4]["evaluation"]["passed"], 1);
}

#[test]
fn the_formats_for_programs_have_everything() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let eval = |format: &str| {
        work.run(&["eval", "five", "--suite", "it=true", "-o", format])
            .text()
    };
    let json: Value = serde_json::from_str(&eval("json")).unwrap();
    assert_eq!(
        json["part_evaluations"],
        report(&work, "five")["part_evaluations"]
    );
    assert_eq!(json["input"]["suites"], json!({"it": "true"}));
    let csv = eval("csv");
    assert!(
        csv.starts_with("part,timestamp,commit,suite,ok,passed,failed,total,error\n1,2025-"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 6);
    assert_eq!(eval("jsonl").lines().count(), 5);
    assert!(eval("md").starts_with("| parts | commit "));
}

#[test]
fn a_secret_in_a_command_is_not_written() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let suite = "it=KEY=sk-abcdefghijklmnop true; echo sk-abcdefghijklmnop >&2";
    let ran = work.run(&["eval", "five", "--suite", suite, "-vvv", "-o", "json"]);
    ran.ok();
    let file = std::fs::read_to_string(work.folder("five").join("eval.json")).unwrap();
    for text in [&file, &ran.text(), &ran.stderr] {
        assert!(!text.contains("abcdefgh"), "{text}");
    }
    assert!(ran.stderr.contains("it: ***"), "{}", ran.stderr);
}

#[test]
fn wrong_words_are_refused_before_anything_runs() {
    let work = Work::new();
    let mut made = five_parts(&work, "five");
    made.end("completed");
    let suite = &["--suite", "it=true"][..];
    let beyond = "the trajectory has parts 1 to 5";
    for (words, expected) in [
        (&[][..], "missing parameter: "),
        (&["--suite", "true"], "invalid parameter for: "),
        (&["--suite", "=true"], "invalid parameter for: "),
        (
            &["--suite", "it=true", "--suite", "it=false"],
            "invalid parameter for: --suite",
        ),
        (
            &[suite, &["--from", "0"]].concat(),
            &format!("part 0: {beyond}"),
        ),
        (
            &[suite, &["--to", "6"]].concat(),
            &format!("part 6: {beyond}"),
        ),
        (
            &[suite, &["--from", "3", "--to", "2"]].concat(),
            "parts 3 to 2: ",
        ),
        (
            &[suite, &["--jobs", "0"]].concat(),
            "invalid parameter for: ",
        ),
        (
            &[suite, &["--timeout", "0"]].concat(),
            "invalid parameter for: ",
        ),
        (
            &[suite, &["--timeout", "soon"]].concat(),
            "invalid parameter for: ",
        ),
        (
            &[suite, &["--envoi", "http://127.0.0.1:9"]].concat(),
            "invalid parameter for: ",
        ),
        (&["--envoi", "http://127.0.0.1:9"], "missing parameter: "),
        (
            &[suite, &["--out", "no/such/folder"]].concat(),
            "no/such/folder: ",
        ),
    ] {
        let error = work.run(&[&["eval", "five"], words].concat()).failed();
        assert!(error.starts_with(expected), "{words:?}: {error}");
        assert!(!work.folder("five").join("eval.json").exists());
    }
    work.run(&["eval", "none", "--suite", "it=true"]).failed();
}

#[cfg(feature = "network")]
mod envoi {
    use super::*;
    use crate::server::{Deaf, Reply, Server, header};

    fn answer(body: &Value) -> Reply {
        Reply::status(
            "200 OK",
            "Content-Type: application/json\r\n",
            &body.to_string(),
        )
    }

    #[test]
    fn a_server_gets_the_code_and_its_counts_are_the_results() {
        let work = Work::new();
        work.write(
            ".gitattributes",
            "n text eol=crlf export-subst\nhidden export-ignore\n",
        );
        work.write("hidden", "here");
        work.write("n", "$Format:%H$\n");
        let mut made = Made::begin(&work, "sent");
        made.part("text", "x").end("completed");
        let server = Server::start([
            answer(&json!({"session_id": "s 1", "timeout": 60})),
            answer(&json!({"passed": 2, "failed": 1, "total": 3})),
            Reply::status("404 Not Found", "", r#"{"error": "No tests match: b/c"}"#),
            answer(&json!({"status": "closed"})),
        ]);
        let url = server.url();
        let ran = work.run(&[
            "eval",
            "sent",
            "--envoi",
            &url,
            "--test-path",
            "a",
            "--test-path",
            "b/c d",
            "--timeout",
            "60",
        ]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let report = report(&work, "sent");
        let commit = report["commits_evaluated"][0].as_str().unwrap();
        assert_eq!(report["commit_evaluations"][commit]["failed"], 2);
        assert_eq!(
            report["commit_evaluations"][commit]["path_results"],
            json!({
                "a": {"ok": false, "passed": 2, "failed": 1, "total": 3},
                "b/c d": {"ok": false, "passed": 0, "failed": 0, "total": 0,
                    "error": "the server answered 404: No tests match: b/c"},
            })
        );
        let requests = server.requests();
        let lines: Vec<&str> = requests
            .iter()
            .filter_map(|request| request.head.lines().next())
            .collect();
        assert_eq!(
            lines,
            [
                "POST /session HTTP/1.1",
                "POST /session/s%201/test/a HTTP/1.1",
                "POST /session/s%201/test/b/c%20d HTTP/1.1",
                "DELETE /session/s%201 HTTP/1.1",
            ]
        );
        let kind = header(&requests[0].head, "content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        let body = &requests[0].body;
        assert!(body.starts_with(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"timeout\"\r\n\r\n60\r\n"
        )));
        assert!(body.contains(r#"name="file"; filename="repo.tar.gz""#));
        // The archive, unpacked by another program.
        let raw = &requests[0].raw;
        let start = raw
            .windows(2)
            .position(|pair| pair == [0x1f, 0x8b])
            .unwrap();
        let end = raw.len() - format!("\r\n--{boundary}--\r\n").len();
        let archive = work.sandbox().file("a.tar.gz", &raw[start..end]);
        let read = |name: &str| {
            let mut tar = std::process::Command::new("tar");
            tar.arg("-xOzf").arg(&archive).arg(name);
            String::from_utf8(tar.output().unwrap().stdout).unwrap()
        };
        assert_eq!(
            (read("n").as_str(), read("hidden").as_str()),
            ("$Format:%H$\n", "here")
        );
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_of_each_suite() {
        let work = Work::new();
        let mut made = five_parts(&work, "five");
        made.end("completed");
        let server = Deaf::new();
        let ran = work.run(&[
            "eval",
            "five",
            "--envoi",
            &server.url(),
            "--test-path",
            "a",
            "b",
        ]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr
                .contains("a could not run at 3 commits: http://127.0.0.1:"),
            "{}",
            ran.stderr
        );
        let report = report(&work, "five");
        assert_eq!(report["part_evaluations"][0]["evaluation"]["failed"], 2);
        let error = work
            .run(&["eval", "five", "--envoi", "ftp://x", "--test-path", "a"])
            .failed();
        assert_eq!(error, "invalid parameter for: --envoi");
    }
}

/// Commits and times, which differ from run to run, in words.
fn mask(made: &Made<'_>, text: &str) -> String {
    let mut text = text.to_owned();
    for part in (1..=made.parts().len()).rev() {
        if let Some(commit) = made.parts()[part - 1]["git_commit"].as_str() {
            text = text.replace(commit, &format!("<commit of part {part}>"));
            text = text.replace(&commit[..8], &format!("<part {part}>"));
        }
    }
    let mut masked = String::new();
    for line in text.lines() {
        let time = line.rsplit(' ').next().unwrap_or_default();
        let is_time = time.contains('.') && time.parse::<f64>().is_ok();
        masked += if is_time {
            line.trim_end_matches(time)
        } else {
            line
        };
        masked += if is_time { "<s>\n" } else { "\n" };
    }
    masked
}
