//! The list of records.

use serde_json::{Value, json};

use super::{Project, with_separators};

fn project() -> Project {
    let project = Project::welcome(2);
    project.put("f2-read-ok", "latest", &[]);
    project.put("f2-read-stale-one", "stable", &[]);
    project.put("f2-read-json-truncated", "cut", &[]);
    project.put("f2-read-ok", "Upper", &[]);
    for (ns, key) in [
        ("demo-b", "x"),
        (
            "demo/web",
            "a-rather-long-key-of-a-prompt-that-goes-on-and-on",
        ),
    ] {
        let file = project.put(
            "f2-read-only-tool",
            "y",
            &[("\"demo\"", &format!("\"{ns}\"")), ("welcome", key)],
        );
        let to = project.record(&format!("{ns}/{key}/y"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(file, to).unwrap();
    }
    project
}

#[test]
fn records_are_sorted_and_have_their_state() {
    insta::assert_snapshot!(project().snapshot("list"), @r"
    exit 0
    --- stdout
    prompt                                                      tag     format  sections  tools  state
    demo/welcome/Upper.json                                                                      identifier
    demo/welcome                                                cut                              malformed
    demo/welcome                                                latest       2         4      2  ok
    demo/welcome                                                stable       2         4      2  1 stale
    demo-b/x                                                    y            2         0      2  ?
    demo/web/a-rather-long-key-of-a-prompt-that-goes-on-and-on  y            2         0      2  ?
    --- stderr
    localstore: ? not known without a prompts document ('--prompts FILE')
    ");
}

#[test]
fn a_narrow_screen_has_what_matters() {
    let project = project();
    for (width, head) in [(80, "prompt  "), (60, "prompt "), (40, "prompt ")] {
        let mut command = project.sandbox().command(["prompt", "list"]);
        let output = command.env("COLUMNS", width.to_string()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(head), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
        assert!(
            text.contains("1 stale") && text.contains("malformed"),
            "{text}"
        );
    }
}

#[test]
fn filters_match_in_the_name() {
    let project = project();
    let names = |line: &str| -> Vec<String> {
        let rows: Value = serde_json::from_slice(&project.run(line).ok()).unwrap();
        let rows = rows.as_array().unwrap().iter();
        let name = |row: &Value| {
            let part = |key: &str| row[key].as_str().unwrap_or("?").to_owned();
            format!("{}/{}@{}", part("ns"), part("prompt_key"), part("tag"))
        };
        rows.map(name).collect()
    };
    assert_eq!(names("list -o json welcome@st"), ["demo/welcome@stable"]);
    assert_eq!(names("list -o json demo @y x"), ["demo-b/x@y"]);
    assert_eq!(names("list -o json Upper"), ["?/?@?"]);
    assert_eq!(names("list -o json nothing"), [""; 0]);
    insta::assert_snapshot!(project.snapshot("list nothing"), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: none of the 6 records matches
    ");
    assert_eq!(project.run("list -o jsonl nothing").ok(), b"");
}

#[test]
fn a_row_for_programs_has_the_problems() {
    let project = project();
    let rows: Value =
        serde_json::from_slice(&project.run("list -o json demo/welcome").ok()).unwrap();
    let path = |name: &str| with_separators(&project.record(&format!("demo/welcome/{name}")));
    assert_eq!(
        rows,
        json!([
            {"ns": null, "prompt_key": null, "tag": null, "path": path("Upper"), "version": null,
             "sections": null, "tools": null,
             "problems": [{"entry": null, "kind": "identifier", "message": "invalid tag 'Upper': at most 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first"}]},
            {"ns": "demo", "prompt_key": "welcome", "tag": "cut", "path": path("cut"), "version": null,
             "sections": null, "tools": null,
             "problems": [{"entry": null, "kind": "malformed",
                           "message": rows[1]["problems"][0]["message"]}]},
            {"ns": "demo", "prompt_key": "welcome", "tag": "latest", "path": path("latest"),
             "version": 2, "sections": 4, "tools": 2, "problems": []},
            {"ns": "demo", "prompt_key": "welcome", "tag": "stable", "path": path("stable"),
             "version": 2, "sections": 4, "tools": 2,
             "problems": [{"entry": "section guide", "kind": "stale",
                           "message": rows[3]["problems"][0]["message"]}]},
        ])
    );
}

#[test]
fn nothing_there_is_no_error() {
    let project = Project::new();
    insta::assert_snapshot!(project.snapshot("list"), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: no records in …
    ");
    assert_eq!(project.run("list -o json").ok(), b"[]\n");
    assert!(!project.root().join(".weakincentives").exists());
}
