//! Hashes.

use super::Project;
use crate::sandbox::Sandbox;

#[test]
fn a_hash_needs_no_project() {
    let sandbox = Sandbox::new();
    sandbox.file("template", "a\r\n");
    let expected = "8e4621379786ef42a4fec155cd525c291dd7db3c1fde3478522f4f61c03fd1bd\n";
    let ran = sandbox.run(["prompt", "hash", "template"]);
    assert_eq!(ran.text(), expected);
    for words in [&["prompt", "hash"][..], &["prompt", "hash", "-"]] {
        let ran = sandbox.run_with_input(words, b"a\r\n");
        assert_eq!(ran.text(), expected);
    }
}

#[test]
fn what_cannot_be_hashed_is_named() {
    let project = Project::new();
    project.write("latin", b"Gr\xfc\xdfe");
    project.write("cut.json", "{\"description\": \"d\",");
    project.write("part.json", "{\"description\": \"d\"}");
    project.write("number.json", "{\"description\": 5}");
    project.write("list.json", "[]");
    let failed = |line: &str| project.run(line).failed();
    assert_eq!(failed("hash latin"), "latin: not UTF-8, line 1 column 3");
    assert_eq!(failed("hash gone"), "gone: no such file");
    assert!(failed("hash --json cut.json").starts_with("cut.json: "));
    assert_eq!(
        failed("hash --tool part.json"),
        "part.json: no params_schema"
    );
    assert_eq!(
        failed("hash --tool number.json"),
        "number.json: description: not a string, but a number"
    );
    assert_eq!(
        failed("hash --tool list.json"),
        "list.json: not an object, but an array"
    );
    let ran = project.run_with_input("hash --tool -", b"[]");
    assert_eq!(ran.failed(), "standard input: not an object, but an array");
}
