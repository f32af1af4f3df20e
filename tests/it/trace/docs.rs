//! docs/trace.md: its examples work as they stand there, and print what it says.
#![cfg(unix)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Work, git};
use crate::sandbox::example;

const PAGE: &str = include_str!("../../../docs/trace.md");

/// A program that waits, instead of for a second, until one part more is on disk.
fn sleep(work: &Work, id: &str) -> String {
    let trace = work.folder(id).join("agent_trace.json");
    let count = work.sandbox().path().join("count");
    format!(
        "#!/bin/sh
        n=$(($(cat '{0}' 2> /dev/null || echo 0) + 1)); echo $n > '{0}'
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
            grep -q \"\\\"part\\\":$n,\" '{1}' && exit; /bin/sleep 1
        done; exit 1",
        count.display(),
        trace.display()
    )
}

/// Records the shell program of the page.
fn recorded() -> Work {
    use std::os::unix::fs::PermissionsExt;
    let mut work = Work::new();
    work.write("agent.sh", example(PAGE, "sh", "agent.sh: writes"));
    work.git(&["add", "-A"]);
    work.git(&["commit", "-q", "-m", "begin"]);
    let bin = work.sandbox().path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("sleep"), sleep(&work, "greeting")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("sleep"), mode).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", bin.display());
    work.sandbox_mut().set("PATH", path);
    let words = "record --id greeting -- sh agent.sh";
    assert!(PAGE.contains(&format!("localstore trace {words}")));
    work.run(&words.split(' ').collect::<Vec<_>>()).ok();
    work
}

/// The words of a line; hashes, numbers with a fraction, dates and paths are any of their kind.
fn words(line: &str) -> Vec<&str> {
    let kind = |word: &'_ str| {
        let word = word.trim_matches(['"', ',']);
        let is_hash = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_digit = |byte: u8| byte.is_ascii_digit() || b"+-:.T".contains(&byte);
        match word {
            _ if is_hash => Some("HASH"),
            _ if word.starts_with('/') => Some("PATH"),
            _ if word.contains(['.', ':']) && word.bytes().all(is_digit) => Some("NUMBER"),
            _ if word.len() == 10 && word.bytes().all(is_digit) => Some("DATE"),
            _ => None,
        }
    };
    line.split_whitespace()
        .map(|word| kind(word).unwrap_or(word))
        .collect()
}

/// Runs the commands of a transcript; they print what it says.
fn assert_prints(work: &Work, transcript: &str) {
    let then = work.sandbox().path().join("then");
    let commands = transcript.split("$ localstore trace ").skip(1);
    let mut count = 0;
    for command in commands {
        let (line, wanted) = command.split_once('\n').unwrap();
        // The shell splits the words, as it would for the user.
        let line = line.replace("/tmp/then", then.to_str().unwrap());
        let script = format!("\"$LOCALSTORE\" trace {line}");
        let mut shell = work.sandbox().command([] as [&str; 0]);
        let environment: Vec<_> = shell
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        shell = Command::new("sh");
        let output = shell
            .args(["-c", &script])
            .env_clear()
            .envs(environment)
            .current_dir(work.repo())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
        let printed: Vec<_> = printed.lines().map(words).collect();
        let wanted: Vec<_> = wanted.lines().map(words).collect();
        assert_eq!(printed, wanted, "{line}");
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn the_commands_that_go_back_print_what_the_page_says() {
    let work = recorded();
    assert_prints(&work, example(PAGE, "console", "trace show last\ngreeting"));
    let then = work.sandbox().path().join("then/greeting.txt");
    assert_eq!(std::fs::read(then).unwrap(), b"Helo\n");
    assert_prints(&work, example(PAGE, "console", "trace eval last"));
}

#[test]
fn the_commits_come_into_a_repository_as_the_page_says() {
    let work = recorded();
    let commands = example(PAGE, "sh", "git fetch ID");
    let fetch = commands.lines().next().unwrap();
    let bundle = work.folder("greeting").join("repo.bundle");
    let refs = fetch.split('\'').nth(1).unwrap();
    work.git(&["fetch", "-q", bundle.to_str().unwrap(), refs]);
    let log = work.git(&["log", "--format=%s", "trace/greeting"]);
    assert_eq!(log, "part 4 checkpoint\npart 2 checkpoint\nbegin\n");
    let clone = work.sandbox().path().join("code");
    let here = Path::new(".");
    git(
        here,
        &[
            "clone",
            "-q",
            bundle.to_str().unwrap(),
            clone.to_str().unwrap(),
        ],
    );
    assert_eq!(
        std::fs::read(clone.join("greeting.txt")).unwrap(),
        b"Hello\n"
    );
}

#[test]
fn a_program_in_python_tells_its_test_calls() {
    let is_there = Command::new("python3").arg("--version").output().is_ok();
    if !is_there {
        let _ = std::io::stderr().write_all(b"NOT TESTED: no python3\n");
        return;
    }
    let work = Work::new();
    work.write(
        "test_agent.py",
        example(PAGE, "python", "test_agent.py: tests"),
    );
    let words = ["record", "--id", "t", "--", "python3", "test_agent.py"];
    work.run(&words).ok();
    work.write("greeting.txt", "Hello\n");
    let words = [
        "record",
        "--continue",
        "t",
        "--require",
        "greeting",
        "--",
        "python3",
    ];
    work.run(&[&words[..], &["test_agent.py"]].concat()).ok();
    let trace = work.trace("t");
    let passed = |part: usize| &trace["parts"][part]["envoi_calls"][0]["result"]["passed"];
    assert_eq!([passed(0), passed(1)], [&Value::from(0), &Value::from(1)]);
    assert_eq!(trace["session_end"]["reason"], "solved");
}

#[test]
fn the_commands_of_the_page_and_their_options_exist() {
    let work = Work::new();
    let mut helps = std::collections::HashMap::new();
    for line in PAGE.split(['\n', '`']) {
        let Some((_, line)) = line.split_once("localstore trace ") else {
            continue;
        };
        // What follows is the agent's.
        let line = line.split(" -- ").next().unwrap();
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let help = helps.entry(command).or_insert_with(|| {
            let ran = work.run(&[command, "--help"]);
            ran.ok();
            ran.text()
        });
        for option in words.filter(|word| word.starts_with("--") && *word != "--") {
            assert!(help.contains(option), "{line}");
        }
    }
    assert!(helps.len() > 10, "{:?}", helps.keys());
}
