//! `add`: what is stored, what is refused, and what is said about it.

use std::io::Read;
use std::process::Stdio;

use crate::sandbox::{Sandbox, fixture, read_fixture};

const JSON: &str = "golden/gpu-rtx4090-8b.json";

/// The golden document with one piece of it replaced.
fn altered(from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(read_fixture(JSON)).unwrap();
    assert!(text.contains(from));
    text.replacen(from, to, 1).into_bytes()
}

/// How many runs there are.
fn count(sandbox: &Sandbox) -> usize {
    if !sandbox.store().exists() {
        return 0;
    }
    sandbox.run(["list", "-o", "jsonl"]).text().lines().count()
}

#[test]
fn an_empty_kernel_and_a_kind_in_small_letters_are_the_same_machine() {
    let sandbox = Sandbox::new();
    sandbox.add([JSON]);
    for (from, to, runs) in [
        ("\"kernel_type\": \"Linux\"", "\"kernel_type\": \"\"", 1),
        (
            "\"kernel_type\": \"Linux\"",
            "\"kernel_type\": \"linux\"",
            1,
        ),
        ("\"type\": \"GPU\"", "\"type\": \"gpu\"", 1),
        ("\"type\": \"GPU\"", "\"type\": \"CPU\"", 2),
    ] {
        let file = sandbox.file("altered.json", altered(from, to));
        sandbox.run(["add".as_ref(), file.as_os_str()]).ok();
        assert_eq!(count(&sandbox), runs, "{to}");
    }
}

#[test]
fn each_run_is_a_line_and_a_repeat_says_so() {
    let sandbox = Sandbox::new();
    let (json, partial) = (fixture(JSON), fixture("golden/single-test.json"));
    let ran = sandbox.run([
        "add".as_ref(),
        json.as_os_str(),
        partial.as_os_str(),
        json.as_os_str(),
    ]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    run 1: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 1887
    run 2: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 2044p, partial: 1 of 9 tests
    already stored as run 1: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 1887
    --- stderr
    ");
    assert_eq!(count(&sandbox), 2);
}

#[test]
fn a_dry_run_stores_nothing_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let json = fixture(JSON);
    let args = ["add".as_ref(), "--dry-run".as_ref(), json.as_os_str()];
    let text = sandbox.run(args).text();
    assert!(text.starts_with("would store: Meta Llama"), "{text}");
    assert!(!sandbox.path().join(".llamafile").exists());

    sandbox.add([JSON]);
    let text = sandbox.run(args).text();
    assert!(text.starts_with("already stored as run 1: "), "{text}");
}

#[test]
fn standard_input_is_read_without_a_file_and_for_a_hyphen() {
    let json = read_fixture(JSON);
    for args in [&["add"][..], &["add", "-"]] {
        let sandbox = Sandbox::new();
        sandbox.run_with_input(args, &json).ok();
        assert_eq!(sandbox.run(["export", "-o", "json"]).ok(), json);
    }
}

#[test]
fn one_input_may_hold_any_number_of_documents_of_any_kind() {
    let sandbox = Sandbox::new();
    let mut input = Vec::new();
    for name in [
        "gpu-reps4.json",
        "second-gpu.csv",
        "cpu-i7-14b.json",
        "utf8-model.csv",
    ] {
        input.extend(read_fixture(&format!("golden/{name}")));
        input.extend(b"\n");
    }
    sandbox.run_with_input(["add"], &input).ok();
    assert_eq!(count(&sandbox), 4);
}

#[test]
fn what_export_prints_of_many_runs_add_reads_again() {
    let sandbox = Sandbox::new();
    let names = [
        "gpu-reps4",
        "second-gpu",
        "cpu-i7-14b",
        "nan-stddev",
        "single-test",
    ];
    let files: Vec<String> = names
        .iter()
        .map(|name| format!("golden/{name}.json"))
        .collect();
    sandbox.add(files.iter().map(String::as_str));
    for format in ["json", "csv", "jsonl"] {
        let exported = sandbox.run(["export", "--all", "-o", format]).ok();
        let copy = Sandbox::new();
        copy.run_with_input(["add"], &exported).ok();
        assert_eq!(count(&copy), names.len(), "{format}");
        // The same runs: every one is known where they came from.
        let again = sandbox.run_with_input(["add"], &exported).text();
        let known = again
            .lines()
            .filter(|line| line.starts_with("already stored as run "));
        assert_eq!(known.count(), names.len(), "{format}: {again}");
        // Samples and machine are not in csv; jsonl has no nan. Everything else comes back.
        if format == "json" {
            assert_eq!(copy.run(["export", "--all", "-o", format]).ok(), exported);
        }
    }
}

#[test]
fn a_csv_is_completed_by_the_json_of_the_same_run() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.csv"]);
    assert!(sandbox.run(["list"]).text().contains('?'));
    let json = fixture("golden/gpu-reps4.json");
    let text = sandbox.run(["add".as_ref(), json.as_os_str()]).text();
    assert!(text.starts_with("run 1, completed: "), "{text}");
    for format in ["json", "csv", "md"] {
        let exported = sandbox.run(["export", "--all", "-o", format]).ok();
        assert_eq!(
            exported,
            read_fixture(&format!("golden/gpu-reps4.{format}"))
        );
    }
    // In the public tables it is what the json alone would have made of it.
    let direct = Sandbox::new();
    direct.add(["golden/gpu-reps4.json"]);
    let scores = |sandbox: &Sandbox| -> Vec<String> {
        let db = sandbox.db();
        let mut query = db
            .prepare("SELECT accelerator_name || model_name || performance_score FROM accelerator_model_performance_scores")
            .unwrap();
        query
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(scores(&sandbox), scores(&direct));
}

#[test]
fn each_bad_input_is_one_line_with_its_place() {
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", b"".to_vec(), "bad: empty"),
        (
            "text",
            b"hello\nworld\n".to_vec(),
            "bad: no benchmark result",
        ),
        (
            "other json",
            b"{\"a\": 1}".to_vec(),
            "bad:1: no \"results\" in this json document",
        ),
        (
            "truncated",
            read_fixture(JSON)[..3000].to_vec(),
            "bad:96: cut off after 2 of 9 tests",
        ),
        (
            "wrong type",
            altered("\"n_prompt\": 4096", "\"n_prompt\": \"four\""),
            "bad:59: \"n_prompt\" is a string, not an integer",
        ),
        (
            "no integer",
            altered("\"n_gen\": 16,", "\"n_gen\": 16.5,"),
            "bad:33: '16.5' is not an integer",
        ),
        (
            "out of range",
            altered("\"model_size\": 4912898304", "\"model_size\": -1"),
            "bad:30: \"model_size\" is out of range: -1",
        ),
        (
            "no name",
            altered("\"name\": \"pp1024+tg16\"", "\"nome\": 1"),
            "bad:22: no \"name\" in test 1",
        ),
        (
            "no n_prompt",
            altered("\"n_prompt\": 1024", "\"n\": 1"),
            "bad:22: no \"n_prompt\" in test 1",
        ),
        (
            "no n_gen",
            altered("\"n_gen\": 16,", "\"n\": 1,"),
            "bad:22: no \"n_gen\" in test 1",
        ),
        (
            "no speed",
            altered("\"prompt_tps\"", "\"speed\""),
            "bad:22: no \"prompt_tps\" in test 1",
        ),
        (
            "null speed",
            altered("\"gen_tps\": 133.517461", "\"gen_tps\": null"),
            "bad:22: no \"gen_tps\" in test 1",
        ),
        (
            "results",
            altered("\"results\": [", "\"results\": 7, \"x\": ["),
            "bad:21: \"results\" is not an array",
        ),
        (
            "csv value",
            b"name,n_prompt,n_gen,prompt_tps,gen_tps\nx,1,2,fast,3\n".to_vec(),
            "bad:2: \"prompt_tps\" is 'fast', not a number",
        ),
        (
            "csv columns",
            b"name,n_prompt,n_gen,prompt_tps,gen_tps\n\"x\",1,2,3\n".to_vec(),
            "bad:2: 4 values for 5 columns",
        ),
        (
            "csv without speed",
            b"name,n_prompt,n_gen,prompt_tps\nx,1,2,3\n".to_vec(),
            "bad:2: no \"gen_tps\" in this row",
        ),
    ];
    for (what, content, message) in cases {
        let sandbox = Sandbox::new();
        sandbox.file("bad", content);
        assert_eq!(sandbox.run(["add", "bad"]).failed(), message, "{what}");
        assert_eq!(count(&sandbox), 0, "{what}");
    }
}

#[test]
fn the_other_files_of_a_call_are_stored() {
    let sandbox = Sandbox::new();
    let (first, last) = (fixture(JSON), fixture("golden/second-gpu.json"));
    sandbox.file("bad", "{\"results\": [");
    std::fs::create_dir(sandbox.path().join("folder")).unwrap();
    let ran = sandbox.run([
        "add".as_ref(),
        first.as_os_str(),
        "bad".as_ref(),
        "folder".as_ref(),
        "missing".as_ref(),
        last.as_os_str(),
    ]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "localstore: bad:1: cut off after 0 of 9 tests\n\
         localstore: missing: no such file\n\
         0 files: 2 new runs\n"
    );
    assert_eq!(ran.text().lines().count(), 2);
    assert_eq!(count(&sandbox), 2);
}

#[test]
fn unknown_fields_are_counted_when_asked() {
    let sandbox = Sandbox::new();
    let document = altered("\"n_prompt\"", "\"color\": {\"r\": [1, 2]}, \"n_prompt\"");
    sandbox.file("more", document);
    let ran = sandbox.run(["add", "-v", "more"]);
    ran.ok();
    assert!(
        ran.stderr
            .contains("more: passed over 1 unknown fields: color"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture(JSON)
    );
}

#[test]
fn a_tag_comes_with_new_runs_and_known_ones() {
    let sandbox = Sandbox::new();
    sandbox.add([JSON]);
    let (json, other) = (fixture(JSON), fixture("golden/second-gpu.json"));
    let args = [
        "add".as_ref(),
        "--tag".as_ref(),
        "base".as_ref(),
        json.as_os_str(),
        other.as_os_str(),
    ];
    sandbox.run(args).ok();
    let listed = sandbox.run(["list", "--tag", "base", "-o", "jsonl"]).text();
    assert_eq!(listed.lines().count(), 2);
    assert!(
        sandbox
            .run(["add", "--tag", "12", "x"])
            .failed()
            .starts_with("tag '12': ")
    );
}

#[test]
fn storing_goes_on_when_nobody_reads_the_lines() {
    let sandbox = Sandbox::new();
    let names = [
        "gpu-reps4",
        "second-gpu",
        "cpu-i7-14b",
        "nan-stddev",
        "single-test",
    ];
    let files = names.map(|name| fixture(&format!("golden/{name}.json")));
    let mut command = sandbox.command(["add"]);
    let mut child = command
        .args(&files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(stderr, "");
    assert_eq!(count(&sandbox), names.len());
}

/// A run is stored as soon as it has been read, not when the pipe ends.
#[test]
fn a_run_is_stored_while_the_pipe_stays_open() {
    use std::io::{BufRead, BufReader, Write};
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["add"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&read_fixture(JSON)).unwrap();
    stdin.write_all(b"\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("run 1: "), "{line}");
    assert_eq!(count(&sandbox), 1);
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn control_characters_of_names_are_shown_not_sent() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "x",
        altered("Meta Llama", "\\u001b]0;owned\\u0007\\u009b2J"),
    );
    let text = sandbox.run(["add", "x"]).text();
    assert!(text.contains("\\x1b]0;owned\\x07\\x9b2J"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{7}']));
    let listed = sandbox.run(["list"]).text();
    assert!(!listed.contains(['\u{1b}', '\u{9b}', '\u{7}']));
}

/// Its size does not matter: only its beginning is read.
#[test]
fn a_store_is_no_capture_and_merge_is_named() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let huge = sandbox.path().join("huge.db");
    std::fs::copy(sandbox.store(), &huge).unwrap();
    let huge = std::fs::File::options().write(true).open(huge).unwrap();
    huge.set_len(1 << 33).unwrap();
    let expected = "localstore: huge.db: a store\nhint: localstore merge huge.db\n";
    let json = fixture("golden/second-gpu.json");
    let args = ["add".as_ref(), "huge.db".as_ref(), json.as_os_str()];
    let ran = sandbox.run(args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
    assert!(ran.text().starts_with("run 2: "));
    let store = std::fs::read(sandbox.store()).unwrap();
    let ran = sandbox.run_with_input(["add"], &store);
    assert_eq!(ran.failed(), "stdin: a store");
}
