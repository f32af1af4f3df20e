//! A record as it is.

use serde_json::Value;

use super::Project;

#[test]
fn a_record_is_shown_with_the_state_of_its_entries() {
    let project = Project::welcome(2);
    project.put(
        "f2-read-stale-one",
        "stable",
        &[("Introduce yourself.\\n", "Say\\u001b[31m\\nwho you are.")],
    );
    insta::assert_snapshot!(project.snapshot("show demo/welcome@stable"), @r"
    exit 0
    --- stdout
    demo/welcome@stable: 1 stale, format 2, 4 sections, 2 tools
    …/demo/welcome/stable.json

    entry                      state  text
    section guide              stale  Guide anew.
    section system             ok     You are ${name}, a helpful assistant.
    section system/intro       ok     Say\x1b[31m …
    section system/intro/tone  ok     Be kind.
    tool fetch                 ok     Fetch a page.
    tool search                ok     Search well.
    --- stderr
    ");
    project.put(
        "f2-read-examples-kept",
        "latest",
        &[("\"demo\"", "\"other\"")],
    );
    insta::assert_snapshot!(project.snapshot("show demo/welcome"), @r#"
    exit 0
    --- stdout
    demo/welcome@latest: header, format 2, 4 sections, 2 tools
    …/demo/welcome/latest.json
    header: ns, prompt_key, tag are "other", "welcome", "latest"; the document has "demo", "welcome", "latest", line 2 column 9

    entry                      state  text
    section guide              ok     Guide anew.
    section system             ok     You are ${name}, a helpful assistant.
    section system/intro       ok     Introduce yourself.
    section system/intro/tone  ok     Be kind.
    tool fetch                 ok     Fetch a page.
    tool search                ok     Search well.
    example 0                  ok     o
    example 1                  ok
    --- stderr
    "#);
}

#[test]
fn json_is_the_record_as_in_the_file() {
    let project = Project::new();
    let file = project.put("f2-read-extra-numbers", "latest", &[]);
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(project.run("show demo/welcome -o json").ok(), bytes);
    let line = project.run("show demo/welcome -o jsonl").text();
    assert_eq!(line.lines().count(), 1);
    let values =
        [line.as_bytes(), &bytes].map(|json| serde_json::from_slice::<Value>(json).unwrap());
    assert_eq!(values[0], values[1]);
}

#[test]
fn a_section_is_its_bytes_alone_and_a_tool_its_object() {
    let project = Project::new();
    let body = "a\\r\\nb\\u0000\\u001b[0m \\ud83d\\ude00";
    project.put("f1-read-ok", "latest", &[("Guide anew.\\n", body)]);
    let ran = project.run("show demo/welcome --section guide");
    assert_eq!(ran.ok(), "a\r\nb\0\u{1b}[0m 😀".as_bytes());
    let tool: Value =
        serde_json::from_slice(&project.run("show demo/welcome --tool search").ok()).unwrap();
    assert_eq!(tool["description"], "Search well.");
    assert_eq!(
        project
            .run("show demo/welcome --tool search -o jsonl")
            .text()
            .lines()
            .count(),
        1
    );
    insta::assert_snapshot!(project.snapshot("show demo/welcome --section gone"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome@latest: section gone: not in the record
    hint: it has guide, system, system/intro, system/intro/tone
    ");
    insta::assert_snapshot!(project.snapshot("show demo/welcome --tool gone"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome@latest: tool gone: not in the record
    hint: it has fetch, search
    ");
    insta::assert_snapshot!(project.snapshot("show demo/welcome@gone"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome@gone: no such record
    hint: tags of demo/welcome: latest
    ");
    insta::assert_snapshot!(project.snapshot("show"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: missing parameter: NAME
    hint: localstore prompt show demo/welcome
    ");
}

#[test]
fn all_records_are_a_dump_and_a_bad_one_does_not_hide_the_others() {
    let project = Project::welcome(1);
    project.put("f1-read-ok", "a", &[]);
    project.put("f1-read-only-tool", "b", &[]);
    let lines = String::from_utf8(project.run("show --all -o jsonl").ok()).unwrap();
    let tags: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["tag"].clone())
        .collect();
    assert_eq!(tags, ["a", "b"]);
    let all: Value = serde_json::from_slice(&project.run("show --all -o json").ok()).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
    project.put("f1-read-json-truncated", "aa", &[]);
    let ran = project.run("show --all");
    assert!(
        ran.failed().contains("aa.json: malformed: "),
        "{}",
        ran.stderr
    );
    assert!(ran.text().contains("demo/welcome@a: ok") && ran.text().contains("demo/welcome@b: ok"));
}

#[test]
fn a_narrow_screen_cuts_texts_before_names() {
    let project = Project::welcome(2);
    project.put("f2-read-stale-one", "stable", &[]);
    for width in [80, 60, 40] {
        let words = ["prompt", "show", "demo/welcome@stable"];
        let mut command = project.sandbox().command(words);
        let output = command.env("COLUMNS", width.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // A path is folded by the terminal, so that it can be copied.
        let mut lines = text.lines().filter(|line| !line.contains(".json"));
        assert!(lines.all(|line| line.chars().count() <= width), "{text}");
        assert!(text.contains("\nsection system/intro "), "{text}");
    }
}

#[test]
fn an_override_that_is_no_object_is_there_but_cannot_be_shown() {
    let project = Project::new();
    let record = r#"{"version": 1, "ns": "demo", "prompt_key": "k", "tag": "latest",
        "sections": {"/a//b": [1], "c": {}}, "tools": {"t": null}}"#;
    project.write(project.record("demo/k/latest"), record);
    let failed = |line: &str| project.run(&format!("show demo/k {line}")).failed();
    assert_eq!(
        failed("--section a/b"),
        "demo/k@latest: section a/b: not an object"
    );
    assert_eq!(failed("--tool t"), "demo/k@latest: tool t: not an object");
    let ran = project.run("show demo/k --section b");
    assert!(
        ran.stderr
            .ends_with("section b: not in the record\nhint: it has a/b, c\n")
    );
}
