//! `add`: what is stored, what is refused, and what is said about it.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::bench::Bench;
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

/// `>` and `Out-File` of PowerShell write UTF-16 with a mark and CRLF, `-Encoding utf8` UTF-8 with a mark.
#[test]
fn what_powershell_writes_into_a_file_comes_back_as_the_tool_printed_it() {
    for name in ["gpu-reps4.json", "gpu-reps4.csv", "gpu-reps4.md"] {
        let golden = read_fixture(&format!("golden/{name}"));
        let text = String::from_utf8(golden.clone()).unwrap();
        let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for capture in [utf16, text.into_bytes()] {
            let sandbox = Sandbox::new();
            sandbox.file("capture.txt", &capture);
            sandbox.run(["add", "capture.txt"]).ok();
            let format = name.rsplit_once('.').unwrap().1;
            let exported = sandbox.run(["export", "-o", format]).ok();
            assert_eq!(
                String::from_utf8(exported),
                String::from_utf8(golden.clone())
            );
            let piped = sandbox.run_with_input(["add"], &capture).text();
            assert!(piped.starts_with("already stored as run 1: "), "{piped}");
        }
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

/// A capture without a date, made at this time: seconds since 1970.
fn undated(sandbox: &Sandbox, name: &str, changed_at: u64) {
    let path = sandbox.file(name, read_fixture("golden/second-gpu.md"));
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(changed_at);
    file.set_modified(time).unwrap();
}

/// The date of the only run, and whether it is guessed.
fn measured(sandbox: &Sandbox) -> (String, bool) {
    let run: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["list", "-o", "jsonl"]).ok()).unwrap();
    let date = run["measured_at"].as_str().unwrap().to_owned();
    (date, run["measured_guessed"].as_bool().unwrap())
}

#[test]
fn a_run_without_a_date_gets_that_of_its_file() {
    let sandbox = Sandbox::new();
    undated(&sandbox, "a.md", 1_700_000_000);
    let ran = sandbox.run(["add", "a.md"]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 0
    --- stdout
    run 1: Meta Llama 3.1 8B Instruct, Q4_K_M, RX 7900 XTX, score ~1875, measured ~2023-11-14 (guessed from the file's date)
    --- stderr
    ");
    assert_eq!(measured(&sandbox), ("2023-11-14T22:13:20Z".into(), true));
    // It is the same run at any time, and the first guess is as good as another.
    undated(&sandbox, "a.md", 1_600_000_000);
    let again = sandbox.run(["add", "a.md"]).text();
    assert!(again.starts_with("already stored as run 1: "), "{again}");
    assert_eq!(measured(&sandbox), ("2023-11-14T22:13:20Z".into(), true));
    // A date that somebody knows takes its place.
    let at = |time| sandbox.run(["add", "a.md", "--measured-at", time]).text();
    let known = sandbox.run(["add", "a.md", "--dry-run", "--measured-at", "2023-01-01"]);
    assert!(known.text().starts_with("would complete run 1: "));
    assert!(at("2023-01-01T10:30").starts_with("run 1, completed: "));
    assert_eq!(measured(&sandbox), ("2023-01-01T10:30:00Z".into(), false));
    // Neither a guess nor another date takes the place of that.
    sandbox.run(["add", "a.md"]).ok();
    assert!(at("2024-01-01").starts_with("already stored as run 1: "));
    assert_eq!(measured(&sandbox), ("2023-01-01T10:30:00Z".into(), false));
    sandbox.run(["check"]).ok();
    // The json has the date itself.
    sandbox.add(["golden/second-gpu.json"]);
    assert_eq!(measured(&sandbox), ("2025-06-15T15:06:40Z".into(), false));
    // It needs no guess, whatever the file's date or the option says.
    let sandbox = Sandbox::new();
    let json = fixture("golden/second-gpu.json");
    let args = [
        "add".as_ref(),
        "--measured-at=7d".as_ref(),
        json.as_os_str(),
    ];
    let text = sandbox.run(args).text();
    assert!(!text.contains("measured"), "{text}");
    assert_eq!(measured(&sandbox), ("2025-06-15T15:06:40Z".into(), false));
}

#[test]
fn a_run_without_a_date_from_a_pipe_is_of_now() {
    let sandbox = Sandbox::new();
    let table = read_fixture("golden/second-gpu.md");
    let before = jiff::Timestamp::now();
    let text = sandbox.run_with_input(["add"], &table).text();
    let (date, is_guessed) = measured(&sandbox);
    assert!(is_guessed);
    let expected = format!(", measured ~{} (guessed: now)\n", &date[..10]);
    assert!(text.ends_with(&expected), "{text}");
    let date: jiff::Timestamp = date.parse().unwrap();
    assert!(date.as_second() >= before.as_second());
    // A time to come is no date of a run; and standard input may be a file.
    let file = Sandbox::new();
    undated(&file, "a.md", 1_700_000_000);
    undated(&file, "to-come.md", 9_000_000_000);
    let input = std::fs::File::open(file.path().join("a.md")).unwrap();
    let said = file.command(["add"]).stdin(input).output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains(" ~2023-11-14 (guessed from the file"));
    file.run(["rm", "-y", "1"]).ok();
    file.run(["add", "to-come.md"]).ok();
    let (date, _) = measured(&file);
    assert!(date.parse::<jiff::Timestamp>().unwrap() <= jiff::Timestamp::now());
}

#[test]
fn a_merge_takes_over_what_is_known_of_a_date() {
    let (guessed, known) = (Sandbox::new(), Sandbox::new());
    for sandbox in [&guessed, &known] {
        undated(sandbox, "a.md", 1_700_000_000);
    }
    guessed.run(["add", "a.md"]).ok();
    known
        .run(["add", "a.md", "--measured-at", "2023-01-01"])
        .ok();
    let merge = |into: &Sandbox, from: &Sandbox| {
        let store = from.store();
        into.run(["merge".as_ref(), store.as_os_str()]).ok();
        measured(into)
    };
    let date = ("2023-01-01T00:00:00Z".to_owned(), false);
    assert_eq!(merge(&known, &guessed), date);
    let new = Sandbox::new();
    assert_eq!(merge(&new, &guessed), ("2023-11-14T22:13:20Z".into(), true));
    assert_eq!(merge(&new, &known), date);
    assert_eq!(merge(&guessed, &known), date);
    new.run(["check"]).ok();
}

/// A folder with captures and other things, and folders below it.
fn folder(sandbox: &Sandbox) {
    std::fs::create_dir_all(sandbox.path().join("logs/more/deep")).unwrap();
    let copy = |name: &str, to: &str| {
        std::fs::copy(fixture(name), sandbox.path().join("logs").join(to)).unwrap();
    };
    copy("golden/gpu-reps4.json", "b.json");
    copy("golden/cpu-i7-14b.json", "a.json");
    copy("golden/gpu-reps4.csv", "c.csv");
    copy("golden/nan-stddev.json", "more/a.json");
    copy("golden/gpu-rtx4090-8b.json", "more/deep/a.json");
    copy("golden/utf8-model.json", ".hidden.json");
    copy("stores/version-1.sqlite3", "store.db");
    sandbox.file("logs/notes.txt", "to do");
    sandbox.file("logs/empty", "");
    sandbox.file("logs/picture", [0, 1, 2, 3, 255]);
    sandbox.file("logs/other.json", "{\"a\": 1}");
}

#[test]
fn a_folder_is_read_by_name_and_counted() {
    let sandbox = Sandbox::new();
    folder(&sandbox);
    insta::assert_snapshot!(sandbox.run(["add", "logs"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    run 1: Qwen2.5 14B Instruct, Q4_K_M, Core i7-7700K, score 26
    run 2: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    already stored as run 2: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    --- stderr
    8 files: 2 new runs, 1 already stored; 5 files without a result ('-v' names them)
    ");
    insta::assert_snapshot!(sandbox.run(["add", "-v", "-r", "logs"]).snapshot(&sandbox), @r#"
    exit 0
    --- stdout
    already stored as run 1: Qwen2.5 14B Instruct, Q4_K_M, Core i7-7700K, score 26
    already stored as run 2: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    already stored as run 2: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    run 3: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6987
      faster: total −8.4% against run 2 (new best)
    run 4: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 1887
    --- stderr
     INFO logs/empty: empty
     INFO logs/notes.txt: no benchmark result
     INFO logs/other.json:1: no "results" in this json document
     INFO logs/picture: not text
     INFO logs/store.db: a store
    10 files: 2 new runs, 3 already stored; 5 files without a result
    "#);
    // An invalid document is an error there too.
    sandbox.file("logs/cut.json", &read_fixture(JSON)[..3000]);
    let ran = sandbox.run(["add", "logs"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.starts_with(
            "localstore: logs/cut.json:96: cut off after 2 of 9 tests\n\
             hint: localstore add --partial logs/cut.json\n"
        ),
        "{}",
        ran.stderr
    );
    std::fs::create_dir_all(sandbox.path().join("above/below")).unwrap();
    let ran = sandbox.run(["add", "above"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            Some(0),
            "localstore: above: only folders; 'localstore add -r above' reads them\n\
             0 files: 0 new runs\n"
        )
    );
}

#[cfg(unix)]
#[test]
fn no_link_leads_round_in_a_circle_and_no_pipe_blocks() {
    use std::os::unix::fs::symlink;
    let sandbox = Sandbox::new();
    folder(&sandbox);
    let path = |name: &str| sandbox.path().join("logs").join(name);
    symlink("..", path("more/deep/up")).unwrap();
    symlink("../..", path("more/deep/upper")).unwrap();
    symlink("more", path("again")).unwrap();
    symlink("self", path("self")).unwrap();
    symlink("nowhere", path("lost")).unwrap();
    symlink("b.json", path("link.json")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status();
    assert!(made.unwrap().success());
    let ran = sandbox.run(["add", "-r", "logs"]);
    ran.ok();
    assert_eq!(
        ran.stderr,
        "11 files: 4 new runs, 2 already stored; 5 files without a result ('-v' names them)\n"
    );
}

#[test]
fn what_is_no_capture_is_told_in_few_words() {
    let sandbox = Sandbox::new();
    sandbox.file("notes.txt", "to do");
    sandbox.file("tool", b"\x7fELF\0\0\0\0");
    sandbox.file("it's cut.json", &read_fixture(JSON)[..3000]);
    std::fs::copy(
        fixture("stores/version-1.sqlite3"),
        sandbox.path().join("other.sqlite3"),
    )
    .unwrap();
    let files = [
        "x.json",
        "tool",
        "notes.txt",
        "other.sqlite3",
        "it's cut.json",
    ];
    let ran = sandbox.run(["add"].into_iter().chain(files));
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: x.json: no such file
    localstore: tool: not text
    localstore: notes.txt: no benchmark result
    hint: LocalScore or llama-bench output is read
    localstore: other.sqlite3: a store
    hint: localstore merge other.sqlite3
    localstore: it's cut.json:96: cut off after 2 of 9 tests
    hint: localstore add --partial 'it'\''s cut.json'
    ");
    let text = sandbox.run(["add", "--partial", "it's cut.json"]).text();
    assert!(text.ends_with("p, partial: 2 of 9 tests\n"), "{text}");
}

/// A run of each day, of which those have another speed.
fn of_days(days: u32, speeds: &[(u32, f64)]) -> Vec<String> {
    let bench = |day| Bench {
        day,
        speed: speeds
            .iter()
            .find(|(of, _)| *of == day)
            .map_or(1.0, |(_, speed)| *speed),
        ..Bench::default()
    };
    (1..=days).map(|day| bench(day).document() + "\n").collect()
}

#[test]
fn a_line_beneath_a_run_compares_it_with_its_level() {
    let sandbox = Sandbox::new();
    let mut said = String::new();
    for document in of_days(7, &[(5, 0.8), (6, 1.2)]) {
        said += &sandbox.run_with_input(["add"], document.as_bytes()).text();
    }
    insta::assert_snapshot!(said, @r"
    run 1: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
    run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
      pp −0.8%, tg −0.8%, ttft +0.8% against run 1; noise not known yet
    run 3: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1796
      pp −1.2%, tg −1.2%, ttft +1.2% against run 2; noise not known yet
    run 4: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1825
      not decided: pp +0.5%, tg +0.5%, ttft −0.5% (3 runs; best: run 1, 1832)
    run 5: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1448
      slower: pp −20.3%, tg −20.3%, ttft +25.5% (4 runs; best: run 1, 1832)
    run 6: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 2164
      faster: pp +19.0%, tg +19.0%, ttft −16.0% (4 runs; new best)
    run 7: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
      no difference: pp +0.8%, tg +0.8%, ttft −0.8% (4 runs; best: run 6, 2164)
    ");
    // Neither for a partial run, nor for one that is stored, nor where nothing is stored.
    let partial = Bench {
        tests: 4,
        day: 8,
        ..Bench::default()
    };
    let whole = Bench {
        day: 8,
        ..Bench::default()
    };
    let dry = ["add", "--dry-run"];
    for (args, document) in [
        (&dry[..], whole.document()),
        (&["add"], partial.document()),
        (&["add"], of_days(7, &[]).remove(3)),
    ] {
        let text = sandbox.run_with_input(args, document.as_bytes()).text();
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn lines_are_folded_on_a_narrow_screen() {
    let documents = of_days(5, &[(5, 0.8)]);
    for width in [40, 60, 80, 120] {
        let sandbox = Sandbox::new();
        sandbox
            .run_with_input(["add"], documents[..4].concat().as_bytes())
            .ok();
        sandbox.file("last.json", &documents[4]);
        let output = sandbox
            .command(["add", "last.json"])
            .env("COLUMNS", width.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
        insta::assert_snapshot!(format!("beneath_{width}"), text);
    }
}

#[test]
fn of_many_runs_those_that_are_slower_are_named_at_the_end() {
    let sandbox = Sandbox::new();
    let documents = of_days(28, &[(12, 0.8), (20, 0.7), (21, 1.3)]);
    let text = [documents.concat(), documents[0].clone()].concat();
    // Of a file it is known how many there are; a pipe may bring them one by one.
    sandbox.file("many.jsonl", &text);
    let ran = sandbox.run(["add", "many.jsonl"]);
    assert_eq!(ran.text().lines().count(), 29, "{}", ran.text());
    assert!(ran.text().lines().all(|line| !line.starts_with(' ')));
    assert_eq!(
        ran.stderr,
        "29 runs: 28 new, 1 already stored; slower: 12, 20\n"
    );
    // The same one by one, where each has its line.
    let one_by_one = Sandbox::new();
    let mut slower = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        let text = one_by_one
            .run_with_input(["add"], document.as_bytes())
            .text();
        if text.contains("\n  slower: ") {
            slower.push(at + 1);
        }
    }
    assert_eq!(slower, [12, 20]);
    // And after runs that are in the store.
    let (first, rest) = documents.split_at(6);
    let sandbox = Sandbox::new();
    sandbox.file("first.jsonl", first.concat());
    sandbox.file("rest.jsonl", rest.concat());
    sandbox.run(["add", "first.jsonl"]).ok();
    let ran = sandbox.run(["add", "rest.jsonl"]);
    assert_eq!(ran.stderr, "22 runs: 22 new; slower: 12, 20\n");
    let all = Sandbox::new();
    all.file("many.jsonl", documents.concat());
    let ran = all.run(["add", "-v", "many.jsonl"]);
    let lines = ran.text();
    assert_eq!(lines.matches("\n  slower: ").count(), 2, "{lines}");
    let sum = "28 runs: 28 new; slower: 12, 20\n";
    assert!(ran.stderr.ends_with(sum), "{}", ran.stderr);
}

/// On a terminal the lines of many runs would hide the rest.
#[cfg(unix)]
#[test]
fn on_a_terminal_many_runs_are_counted_and_what_is_typed_is_awaited() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let sandbox = Sandbox::new();
    sandbox.file("many.jsonl", of_days(25, &[(12, 0.8)]).concat());
    let said = |args: &[&str], typed: &[u8]| -> String {
        let (mut person, program) = crate::record::terminal();
        // What is typed would be shown in the middle of a line.
        let mut modes = tcgetattr(&program).unwrap();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&program, OptionalActions::Now, &modes).unwrap();
        let mut command = sandbox.command(args);
        command
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .stdin(program.try_clone().unwrap())
            .stdout(program.try_clone().unwrap())
            .stderr(program);
        let mut child = command.spawn().unwrap();
        drop(command);
        std::io::Write::write_all(&mut person, typed).unwrap();
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        // On Linux the end of a terminal is an error, which may come before the last line.
        for _ in 0..2 {
            while let Ok(length @ 1..) = person.read(&mut buffer) {
                said.extend_from_slice(&buffer[..length]);
            }
            child.wait().unwrap();
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    let many = said(&["add", "many.jsonl"], b"");
    assert!(!many.contains("run 1: "), "{many}");
    assert!(many.contains(" of 25 runs"), "{many}");
    assert!(many.ends_with("25 runs: 25 new; slower: 12\r\n"), "{many}");
    let few = said(&["add", "-v", "many.jsonl"], b"");
    assert_eq!(few.matches("already stored as run ").count(), 25, "{few}");
    let typed = said(&["add"], b"hello\n\x04");
    let expected = "localstore: reading from the terminal; Ctrl-D ends\r\n";
    assert!(typed.contains(expected), "{typed}");
    assert!(
        typed.contains("localstore: stdin: no benchmark result\r\n"),
        "{typed}"
    );
}
