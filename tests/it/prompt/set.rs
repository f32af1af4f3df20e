//! `prompt set`: overrides are set, and nothing else changes.

use std::fs;

use super::{DOCUMENT, HASH_OF_INTRO, Project};

#[test]
fn the_text_of_a_section_is_kept_byte_for_byte() {
    let project = Project::with(DOCUMENT);
    project.run("seed --tag other --format 2").ok();
    for body in [
        "",
        "a\r\nb\r\n",
        "  \n\n",
        "\u{feff}x",
        "é😀\u{7f}\0",
        "no newline",
    ] {
        let ran =
            project.run_with_input("set demo/welcome --section system/intro", body.as_bytes());
        assert!(ran.ok().is_empty());
        assert_eq!(
            ran.stderr,
            "demo/welcome@latest: section system/intro set\n"
        );
        let record = project.json("demo/welcome/latest");
        let entry = &record["sections"]["system/intro"];
        assert_eq!(entry["body"], body);
        assert_eq!(entry["expected_hash"], HASH_OF_INTRO);
    }
    let ran = project.run_with_input("set demo/welcome --section system/intro", b"no newline");
    assert_eq!(
        ran.stderr,
        "demo/welcome@latest: section system/intro unchanged\n"
    );
    let long = "0123456789".repeat(1 << 20);
    project.write("long.txt", &long);
    project
        .run("set demo/welcome --section /system//intro long.txt")
        .ok();
    let record = project.json("demo/welcome/latest");
    assert_eq!(record["sections"]["system/intro"]["body"], long);
}

#[test]
fn what_is_not_utf_8_is_refused_with_its_place() {
    let project = Project::with(DOCUMENT);
    let ran = project.run_with_input("set demo/welcome --section system/intro", b"a\nb\xff");
    assert_eq!(ran.failed(), "standard input: not UTF-8, line 2 column 2");
    assert!(!project.record("demo/welcome/latest").exists());
}

#[test]
fn the_hash_is_the_documents_or_is_given_or_stays() {
    let project = Project::new();
    let ran = project.run_with_input("set demo/welcome --section intro", b"x");
    let message = "demo/welcome@latest: section intro: the hash of what it replaces is not known";
    assert_eq!(ran.failed(), message);
    for way in ["--prompts", "--template", "--hash"] {
        assert!(ran.stderr.contains(way), "{}", ran.stderr);
    }
    assert!(!project.root().join(".weakincentives").exists());

    project.write("intro.txt", "Introduce yourself.\n");
    let line = "set demo/welcome --section system/intro --format 1 --template intro.txt";
    project.run_with_input(line, b"x").ok();
    let hash = || {
        let record = project.json("demo/welcome/latest");
        record["sections"]["system/intro"]["expected_hash"].clone()
    };
    assert_eq!(hash(), HASH_OF_INTRO);
    project
        .run_with_input("set demo/welcome --section system/intro", b"y")
        .ok();
    assert_eq!(hash(), HASH_OF_INTRO);
    let other = "0".repeat(64);
    let line = format!("set demo/welcome --section system/intro --hash {other}");
    project.run_with_input(&line, b"y").ok();
    assert_eq!(hash(), other);

    project.write("doc.json", DOCUMENT);
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    let failed = |line: &str| project.run_with_input(line, b"z").failed();
    let message = failed(&format!("{line} --prompts doc.json"));
    assert!(
        message.contains("section system/intro: drift: "),
        "{message}"
    );
    let message = failed("set demo/welcome --section nope --prompts doc.json");
    assert_eq!(
        message,
        "demo/welcome: section nope: not in the prompts document"
    );
    let message = failed("set demo/other --section nope --prompts doc.json");
    assert_eq!(message, "demo/other: not in the prompts documents");
    assert_eq!(
        fs::read(project.record("demo/welcome/latest")).unwrap(),
        before
    );
    project
        .run_with_input(
            "set demo/welcome --section system/intro --prompts doc.json",
            b"z",
        )
        .ok();
    assert_eq!(hash(), HASH_OF_INTRO);
}

#[test]
fn a_format_that_nothing_tells_is_said() {
    let project = Project::with(DOCUMENT);
    let ran = project.run_with_input("set demo/welcome --section system", b"x");
    ran.ok();
    let said =
        "localstore: format 1, for weakincentives up to 0.18; --format 2 for 0.19 and later\n";
    assert_eq!(
        ran.stderr,
        format!("{said}demo/welcome@latest: section system set\n")
    );
    // Now the file that is there tells it.
    let ran = project.run_with_input("set demo/welcome@other --section system", b"x");
    assert_eq!(ran.stderr, "demo/welcome@other: section system set\n");
    project.run("seed --tag two --format 2").ok();
    let ran = project.run_with_input("set demo/welcome@third --section system", b"x");
    assert!(
        ran.failed().ends_with("files of both formats are there"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_format_is_the_one_asked_for_or_the_documents_or_that_of_the_files_there() {
    let document = DOCUMENT.replacen('{', r#"{"format": 2, "#, 1);
    let project = Project::new();
    project.write("doc.json", document);
    let set = |options: &str| {
        let line = format!("set demo/welcome --section system {options}");
        let ran = project.run_with_input(&line, b"x");
        ran.ok();
        assert_eq!(ran.stderr, "demo/welcome@latest: section system set\n");
        let version = project.json("demo/welcome/latest")["version"].clone();
        project.run("rm demo/welcome").ok();
        version
    };
    let hash = "0".repeat(64);
    assert_eq!(set("--prompts doc.json --format 1"), 1);
    assert_eq!(set("--prompts doc.json"), 2);
    project
        .run("seed --prompts doc.json --tag old --format 1")
        .ok();
    assert_eq!(set("--prompts doc.json"), 2);
    assert_eq!(set(&format!("--hash {hash}")), 1);
    assert_eq!(set(&format!("--hash {hash} --format 2")), 2);
    // An old file keeps its own, and the library of the document does not read it.
    let line = "set demo/welcome@old --section system --prompts doc.json";
    let ran = project.run_with_input(line, b"x");
    assert!(ran.failed().contains("the library of the document reads 2"));
    project
        .run_with_input(&format!("{line} --format 1"), b"x")
        .ok();
    assert_eq!(project.json("demo/welcome/old")["version"], 1);
}

#[test]
fn the_hash_of_a_tool_may_be_that_of_its_contract() {
    let project = Project::new();
    project.write(
        "search.json",
        r#"{"description": "Search the index.", "params_schema": {"a": 1e16}, "result_schema": null}"#,
    );
    let line = "set demo/welcome --tool search --template search.json --description Find";
    project.run(line).ok();
    let hash = project.run("hash --tool search.json");
    if hash.code == Some(0) {
        let record = project.json("demo/welcome/latest");
        let told = &record["tools"]["search"]["expected_contract_hash"];
        assert_eq!(*told, hash.text().trim_end());
    }
}

#[test]
fn summary_and_visibility_are_set_and_removed_alone() {
    let project = Project::with(DOCUMENT);
    let line = "set demo/welcome --section system/intro";
    let ran = project.run(&format!("{line} --format 2 --summary x"));
    assert!(
        ran.failed().contains("there is no text to keep"),
        "{}",
        ran.stderr
    );
    project
        .run_with_input(&format!("{line} --format 2"), b"body")
        .ok();
    let entry = || project.json("demo/welcome/latest")["sections"]["system/intro"].clone();
    project
        .run(&format!("{line} --summary= --visibility summary"))
        .ok();
    assert_eq!(entry()["summary"], "");
    assert_eq!(entry()["visibility"], "summary");
    assert_eq!(entry()["body"], "body");
    assert_eq!(entry()["path"], serde_json::json!(["system", "intro"]));
    project
        .run(&format!("{line} --no-summary --visibility full"))
        .ok();
    assert_eq!(entry().get("summary"), None);
    assert_eq!(entry()["visibility"], "full");
    project
        .run(&format!("{line} --no-visibility --summary=--x"))
        .ok();
    assert_eq!(entry().get("visibility"), None);
    assert_eq!(entry()["summary"], "--x");
    assert_eq!(entry()["body"], "body");
}

#[test]
fn format_1_has_neither_summary_nor_visibility() {
    let project = Project::with(DOCUMENT);
    let line = "set demo/welcome@old --section system/intro --format 1";
    project.run_with_input(line, b"body").ok();
    let before = fs::read(project.record("demo/welcome/old")).unwrap();
    let marks = [
        "--summary x",
        "--visibility full",
        "--no-summary",
        "--no-visibility",
    ];
    for mark in marks {
        let ran = project.run(&format!("{line} {mark}"));
        assert!(
            ran.failed().contains("format: format 1 has neither"),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("hint: localstore prompt convert"),
            "{}",
            ran.stderr
        );
    }
    let ran = project.run_with_input(
        "set demo/welcome@old --section system/intro --format 2",
        b"x",
    );
    assert!(ran.failed().contains("format 1, not 2"), "{}", ran.stderr);
    assert_eq!(
        fs::read(project.record("demo/welcome/old")).unwrap(),
        before
    );
}

#[test]
fn a_tool_is_set_whole_or_text_by_text() {
    let project = Project::with(DOCUMENT);
    let tool = || project.json("demo/welcome/latest")["tools"]["search"].clone();
    let line = "set demo/welcome --tool search";
    let ran = project.run_with_input(line, br#"{"param_descriptions": {"query": "Words."}}"#);
    assert!(ran.ok().is_empty());
    assert_eq!(
        ran.stderr.lines().last(),
        Some("demo/welcome@latest: tool search set")
    );
    assert_eq!(tool()["description"], serde_json::Value::Null);
    project
        .sandbox()
        .run(
            ["prompt", "set", "demo/welcome", "--tool", "search"]
                .into_iter()
                .chain([
                    "--description",
                    "- any text",
                    "--param",
                    "limit=a=b",
                    "--param",
                    "query=",
                ]),
        )
        .ok();
    assert_eq!(tool()["description"], "- any text");
    let params = serde_json::json!({"limit": "a=b", "query": ""});
    assert_eq!(tool()["param_descriptions"], params);
    project.run_with_input(line, b"{}").ok();
    assert_eq!(tool()["param_descriptions"], serde_json::json!({}));
    let before = fs::read(project.record("demo/welcome/latest")).unwrap();
    let bad: [(&[u8], &str); 4] = [
        (b"[]", "its texts: not an object, but an array"),
        (
            br#"{"description": 1}"#,
            "description: not a string, but a number",
        ),
        (
            br#"{"param_descriptions": []}"#,
            "param_descriptions: not an object, but an array",
        ),
        (
            br#"{"param_descriptions": {"q": null}}"#,
            "parameter q: not a string, but null",
        ),
    ];
    for (json, why) in bad {
        let message = project.run_with_input(line, json).failed();
        assert_eq!(message, format!("demo/welcome@latest: tool search: {why}"));
    }
    let message = project.run_with_input(line, b"{\n \"a\": }").failed();
    assert!(message.starts_with("standard input: "), "{message}");
    assert!(message.ends_with("line 2 column 7"), "{message}");
    assert_eq!(
        fs::read(project.record("demo/welcome/latest")).unwrap(),
        before
    );
}

#[test]
fn what_is_not_set_stays_to_the_last_digit() {
    let project = Project::with(DOCUMENT);
    let record = r#"{"x": 1e400, "tag": "latest", "prompt_key": "welcome", "ns": "demo", "version": 1.0,
        "tools": {"gone": {"expected_contract_hash": 5, "n": 0.10}},
        "sections": {"old": {"expected_hash": "no hash", "body": 3},
            "system/intro": {"expected_hash": "STALE", "body": "b", "by": {"whom": [1.50, true]}}}}"#
        .replace("STALE", &"0".repeat(64));
    let file = project.write(
        ".weakincentives/prompts/overrides/demo/welcome/latest.json",
        record,
    );
    project
        .run_with_input("set demo/welcome --section system/intro", b"new")
        .ok();
    let wanted = r#"{
  "ns": "demo",
  "prompt_key": "welcome",
  "sections": {
    "old": {
      "body": 3,
      "expected_hash": "no hash"
    },
    "system/intro": {
      "body": "new",
      "by": {
        "whom": [
          1.50,
          true
        ]
      },
      "expected_hash": "HASH"
    }
  },
  "tag": "latest",
  "tools": {
    "gone": {
      "expected_contract_hash": 5,
      "n": 0.10
    }
  },
  "version": 1.0,
  "x": 1e400
}
"#;
    let wanted = wanted.replace("HASH", HASH_OF_INTRO);
    assert_eq!(fs::read_to_string(file).unwrap(), wanted);
}

#[test]
fn of_two_keys_for_one_path_one_is_left() {
    let project = Project::with(DOCUMENT);
    let record =
        r#"{"version": 2, "ns": "demo", "prompt_key": "welcome", "tag": "latest", "sections": {
        "system//intro": {"expected_hash": "HASH", "body": "one"},
        "/system/intro": {"expected_hash": "HASH", "body": "two", "summary": "s"}}}"#
            .replace("HASH", HASH_OF_INTRO);
    project.write(
        ".weakincentives/prompts/overrides/demo/welcome/latest.json",
        record,
    );
    project
        .run("set demo/welcome --section system/intro --visibility full")
        .ok();
    let wanted = serde_json::json!({"system/intro": {
        "path": ["system", "intro"], "expected_hash": HASH_OF_INTRO, "body": "two", "summary": "s",
        "visibility": "full"}});
    assert_eq!(project.json("demo/welcome/latest")["sections"], wanted);
}

#[test]
fn nothing_is_written_over_what_cannot_be_read() {
    let project = Project::with(DOCUMENT);
    let header = r#""version": 1, "ns": "demo", "prompt_key": "welcome", "tag": "latest""#;
    let bad = [
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"version": 3}"#.to_owned(),
        r#"{"version": 1, "ns": "demo", "prompt_key": "other", "tag": "latest"}"#.to_owned(),
        format!(r#"{{{header}, "sections": []}}"#),
        format!(r#"{{{header}, "sections": {{"system/intro": 1}}}}"#),
        format!(
            r#"{{{header}, "sections": {{"system/intro": {{"expected_hash": "x", "body": ""}}}}}}"#
        ),
    ];
    for record in bad {
        let file = project.write(
            ".weakincentives/prompts/overrides/demo/welcome/latest.json",
            &record,
        );
        let ran = project.run_with_input("set demo/welcome --section system/intro", b"x");
        let message = ran.failed();
        assert!(message.starts_with(file.to_str().unwrap()), "{message}");
        assert_eq!(fs::read_to_string(&file).unwrap(), record);
    }
}

#[test]
fn a_byte_order_mark_is_told_of_and_goes() {
    let project = Project::with(DOCUMENT);
    project.run("seed --format 1").ok();
    let file = project.record("demo/welcome/latest");
    let without = fs::read(&file).unwrap();
    let put = || fs::write(&file, ["\u{feff}".as_bytes(), &without].concat()).unwrap();
    let told = format!(
        "localstore: {}: a byte order mark was passed over\n",
        file.display()
    );
    put();
    // That is all that changes.
    let line = "set demo/welcome --section system/intro";
    let ran = project.run_with_input(line, b"Introduce yourself.\n");
    assert_eq!(ran.stderr.matches(&told).count(), 1, "{}", ran.stderr);
    assert_eq!(fs::read(&file).unwrap(), without);
    put();
    let ran = project.run("copy demo/welcome @other");
    assert_eq!(ran.stderr.matches(&told).count(), 1, "{}", ran.stderr);
    let copy = fs::read(project.record("demo/welcome/other")).unwrap();
    assert!(copy.starts_with(b"{"));
    let ran = project.run("convert --to 2");
    assert_eq!(ran.stderr.matches(&told).count(), 1, "{}", ran.stderr);
    assert!(fs::read(&file).unwrap().starts_with(b"{"));
}

#[test]
fn a_text_that_was_stale_and_stays_is_noted() {
    let project = Project::with(DOCUMENT);
    let line = "set demo/welcome --tool search --description D --format 1";
    project.run(line).ok();
    let file = project.record("demo/welcome/latest");
    let record = fs::read_to_string(&file).unwrap();
    let hash = &project.json("demo/welcome/latest")["tools"]["search"]["expected_contract_hash"];
    fs::write(
        &file,
        record.replace(hash.as_str().unwrap(), &"1".repeat(64)),
    )
    .unwrap();
    let ran = project.run("set demo/welcome --tool search --param query=Q");
    ran.ok();
    assert!(
        ran.stderr.contains("tool search was stale"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        project.json("demo/welcome/latest")["tools"]["search"]["expected_contract_hash"],
        *hash
    );
}

#[test]
fn the_record_is_printed_as_it_then_is() {
    let project = Project::with(DOCUMENT);
    let line = "set demo/welcome --section system/intro --format 1";
    let json = project
        .run_with_input(&format!("{line} -o json"), b"x")
        .text();
    assert_eq!(
        json,
        fs::read_to_string(project.record("demo/welcome/latest")).unwrap()
    );
    let jsonl = project
        .run_with_input(&format!("{line} -o jsonl"), b"x")
        .text();
    assert_eq!(jsonl.lines().count(), 1);
    let values =
        [json, jsonl].map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
    assert_eq!(values[0], values[1]);
}

#[test]
fn standard_input_is_read_once() {
    let project = Project::new();
    let line = "set demo/welcome --section system/intro --prompts -";
    let message = project.run_with_input(line, DOCUMENT.as_bytes()).failed();
    assert_eq!(message, "standard input: two things cannot be read from it");
    let line = "set demo/welcome --section system/intro --template - -";
    assert_eq!(project.run_with_input(line, b"x").failed(), message);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let project = Project::with(DOCUMENT);
    let lines = [
        "set demo/welcome",
        "set demo/welcome --section /",
        "set demo/welcome --section system --tool search",
        "set demo/welcome --section system --description x",
        "set demo/welcome --tool search --summary x",
        "set demo/welcome --tool search --description x file",
        "set demo/welcome --tool search --param x",
        "set demo/welcome --tool search --param =x",
        "set demo/welcome --section system --summary x --no-summary",
        "set demo/welcome --section system --template x --hash 0",
        "set demo/welcome --section system --hash XYZ",
        "set demo/welcome --section system --visibility none",
        "set Demo/welcome --section system",
    ];
    for line in lines {
        let ran = project.run_with_input(line, b"x");
        ran.failed();
        assert!(ran.stdout.is_empty(), "{line}");
    }
    assert!(!project.record("demo/welcome/latest").exists());
}
