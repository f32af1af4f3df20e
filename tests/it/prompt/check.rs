//! The gate.

use serde_json::{Value, json};

use super::{Project, with_separators};

fn report(project: &Project, line: &str) -> Value {
    let ran = project.run(line);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let is_empty = report["problems"].as_array().unwrap().is_empty();
    assert_eq!(ran.code, Some(i32::from(!is_empty)), "{}", ran.stderr);
    report
}

/// The kinds of all problems, sorted.
fn kinds(project: &Project, line: &str) -> Vec<String> {
    let report = report(project, &format!("{line} -o json"));
    let problems = report["problems"].as_array().unwrap().iter();
    let mut kinds: Vec<String> = problems
        .map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

#[test]
fn each_problem_is_a_line() {
    let project = Project::welcome(2);
    project.put("f2-read-ok", "latest", &[]);
    insta::assert_snapshot!(project.snapshot("check"), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: 1 record, no problem
    ");
    project.put("f2-read-stale-one", "stale", &[]);
    project.put("f2-read-unknown-section", "unknown", &[]);
    project.put("f2-read-json-truncated", "cut", &[]);
    project.put("f2-read-tool-params-list", "params", &[]);
    project.put("f2-read-ok", "Upper", &[]);
    project.put("f1-read-ok", "one", &[]);
    project.put(
        "f2-read-ok",
        "other",
        &[("\"tag\": \"other\"", "\"tag\": \"latest\"")],
    );
    insta::assert_snapshot!(project.snapshot("check"), @r#"
    exit 1
    --- stdout
    …/demo/welcome/Upper.json: identifier: invalid tag 'Upper': at most 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first
    …/demo/welcome/cut.json: malformed: the text ends within an object, line 54 column 15
    …/demo/welcome/one.json: format: format 1, and the library of the document reads 2, line 38 column 14
    …/demo/welcome/other.json: header: ns, prompt_key, tag are "demo", "welcome", "latest"; the document has "demo", "welcome", "other", line 37 column 10
    …/demo/welcome/params.json: tool search: malformed: param_descriptions: not an object of strings, line 48 column 29
    …/demo/welcome/stale.json: section guide: stale: it replaces 0000000000000000000000000000000000000000000000000000000000000000, and the document has 92d0a3447c9c62ae960ab46368c720af8adcacaa1467cf16c13d823204d97e30
    …/demo/welcome/unknown.json: section gone: unknown: not in the prompts document
    …: mixed: 1 file of format 1, 5 files of format 2, and weakincentives reads only one
    --- stderr
    localstore: 8 records, 8 problems
    "#);
}

#[test]
fn without_a_document_entries_must_be_such_as_could_apply() {
    let project = Project::new();
    project.put("f2-read-stale-one", "stale", &[]);
    project.put("f2-read-unknown-section", "unknown", &[]);
    project.put(
        "f2-read-ok",
        "latest",
        &[("demo", " demo / "), ("{name}", "{nobody}")],
    );
    assert_eq!(kinds(&project, "check"), [""; 0]);
    project.put("f2-read-hash-long", "bad", &[]);
    assert_eq!(kinds(&project, "check"), ["malformed"]);
    project.put("f2-read-ok", "latest", &[("welcome", "goodbye")]);
    assert_eq!(kinds(&project, "check"), ["header", "malformed"]);
    let ran = project.run("check demo/welcome@stale");
    assert_eq!(ran.ok(), b"");
    assert_eq!(
        ran.stderr,
        "localstore: 1 record, no problem; 1 without a prompts document, checked for form alone\n"
    );
}

#[test]
fn undocumented_records_are_problems_only_if_strict() {
    let project = Project::welcome(1);
    project.put("f1-read-ok", "latest", &[]);
    assert_eq!(kinds(&project, "check --strict"), [""; 0]);
    let file = project.put("f1-read-ok", "x", &[("welcome", "other")]);
    std::fs::create_dir_all(
        project
            .root()
            .join(".weakincentives/prompts/overrides/demo/other"),
    )
    .unwrap();
    std::fs::rename(&file, project.record("demo/other/x")).unwrap();
    assert_eq!(kinds(&project, "check"), [""; 0]);
    assert_eq!(kinds(&project, "check --strict"), ["undocumented"]);
    assert_eq!(kinds(&project, "check --strict demo/welcome"), [""; 0]);
}

#[test]
fn files_of_both_formats_are_one_problem_of_the_folder() {
    let project = Project::new();
    for tag in ["a", "b", "c"] {
        project.put("f1-read-ok", tag, &[]);
    }
    assert_eq!(kinds(&project, "check"), [""; 0]);
    project.put("f2-read-ok", "d", &[]);
    let folder = project.root().join(".weakincentives/prompts/overrides");
    assert_eq!(
        report(&project, "check -o json"),
        json!({"checked": 4, "problems": [{
            "path": with_separators(&folder), "ns": null, "prompt_key": null, "tag": null, "entry": null,
            "kind": "mixed",
            "message": "3 files of format 1, 1 file of format 2, and weakincentives reads only one",
        }]})
    );
    assert_eq!(
        kinds(&project, "check demo/welcome@a demo/welcome@b"),
        [""; 0]
    );
}

#[test]
fn what_fails_at_render_is_found_where_the_document_tells_enough() {
    let project = Project::welcome(1);
    let changes = [
        ("You are ${name}", "You owe ${name} $5 and ${nobody}"),
        ("Guide anew", "Guide $name"),
        ("Search well.", "Suche gründlich."),
    ];
    project.put("f1-read-ok", "latest", &changes);
    insta::assert_snapshot!(project.snapshot("check"), @r"
    exit 1
    --- stdout
    …/demo/welcome/latest.json: section guide: placeholder: no parameter 'name', line 1 column 7 of the text
    …/demo/welcome/latest.json: section system: placeholder: a '$' without a name, line 1 column 17 of the text; no parameter 'nobody', line 1 column 24 of the text
    …/demo/welcome/latest.json: tool search: description: 'ü' is not ASCII
    --- stderr
    localstore: 1 record, 3 problems
    ");
    let file = project.record("demo/welcome/latest");
    assert_eq!(
        report(&project, "check -o json")["problems"][1],
        json!({
            "path": with_separators(&file), "ns": "demo", "prompt_key": "welcome", "tag": "latest",
            "entry": "section system", "kind": "placeholder",
            "message": "a '$' without a name, line 1 column 17 of the text; \
                        no parameter 'nobody', line 1 column 24 of the text",
        })
    );
    // It renders nothing of what does not apply.
    let document = project.root().join(".weakincentives/prompts/prompts.jsonl");
    let text = std::fs::read_to_string(&document).unwrap();
    let told = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        std::fs::write(&document, text.replace(from, to)).unwrap();
        kinds(&project, "check")
    };
    assert_eq!(told("\"params\":", "\"of\":"), ["description"]);
    assert_eq!(
        told("\"format\":", "\"of\":"),
        ["placeholder", "placeholder"]
    );
    assert_eq!(
        told("\"1e12e63f", "\"00000000"),
        ["placeholder", "placeholder", "stale"]
    );
}

#[test]
fn a_name_that_is_not_there_has_no_problem() {
    let project = Project::new();
    insta::assert_snapshot!(project.snapshot("check demo/gone"), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: 0 records, no problem; demo/gone@latest is not there
    ");
    assert_eq!(
        report(&project, "check --strict demo/gone -o json"),
        json!({"checked": 0, "problems": []})
    );
    assert_eq!(project.run("check -o jsonl").ok(), b"");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_the_rest_goes_on() {
    let project = Project::welcome(2);
    project.put("f2-read-ok", "latest", &[]);
    project.put("f2-read-json-truncated", "a", &[]);
    // A folder of that name is no record.
    std::fs::create_dir(project.record("demo/welcome/folder")).unwrap();
    #[cfg(unix)]
    {
        let pipe = project.record("demo/welcome/pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(pipe)
                .status()
                .unwrap()
                .success()
        );
        std::os::unix::fs::symlink("nowhere", project.record("demo/welcome/link")).unwrap();
        assert_eq!(kinds(&project, "check"), ["malformed", "malformed"]);
        std::fs::remove_file(project.record("demo/welcome/pipe")).unwrap();
    }
    assert_eq!(kinds(&project, "check"), ["malformed"]);
}
