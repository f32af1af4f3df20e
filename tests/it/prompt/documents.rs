//! Prompts documents, and what is wrong with them.

use serde_json::{Value, json};

use super::Project;

/// The SHA-256 of `x`.
const HASH_OF_X: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

/// A document with one field replaced, or removed.
fn document(key: &str, value: Option<Value>) -> Value {
    let sections = json!([{"path": ["a"], "body": "x"}]);
    let mut document = json!({"ns": "demo", "prompt_key": "welcome", "sections": sections});
    let members = document.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(key.to_owned(), value),
        None => members.remove(key),
    };
    document
}

/// What is said of a document on standard input.
fn told(project: &Project, document: impl AsRef<[u8]>) -> String {
    let ran = project.run_with_input("resolve --prompts -", document.as_ref());
    assert_eq!(ran.stdout, b"");
    let message = ran.failed();
    let message = message.strip_prefix("standard input: ").unwrap();
    message.to_owned()
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list of mistakes")]
fn what_is_wrong_is_told_with_the_document_and_its_place() {
    let project = Project::new();
    let section = |section: Value| document("sections", Some(json!([section])));
    let tool = |tool: Value| document("tools", Some(json!([tool])));
    for (document, why) in [
        (document("ns", None), "ns: missing"),
        (
            document("prompt_key", Some(json!(1))),
            "prompt_key: not a string, but a number",
        ),
        (document("sections", None), "sections: missing"),
        (document("sections", Some(Value::Null)), "sections: missing"),
        (
            document("sections", Some(json!({}))),
            "sections: not an array, but an object",
        ),
        (
            document("tools", Some(json!({}))),
            "tools: not an array, but an object",
        ),
        (
            document("format", Some(json!(3))),
            "format: not 1 or 2, but 3",
        ),
        (
            document("format", Some(json!("1"))),
            "format: not 1 or 2, but \"1\"",
        ),
        (section(json!(1)), "a section: not an object, but a number"),
        (
            section(json!({"body": "x"})),
            "a section: path: not an array of keys",
        ),
        (
            section(json!({"path": "a", "body": "x"})),
            "a section: path: not an array of keys",
        ),
        (
            section(json!({"path": [], "body": "x"})),
            "a section: path: no key",
        ),
        (
            section(json!({"path": [1], "body": "x"})),
            "a section: path: a key is not a string",
        ),
        (
            section(json!({"path": ["a/b"], "body": "x"})),
            "section a/b: path: a key is empty or has a '/'",
        ),
        (
            section(json!({"path": ["a", ""], "body": "x"})),
            "section a/: path: a key is empty or has a '/'",
        ),
        (
            section(json!({"path": ["a"]})),
            "section a: neither body nor content_hash",
        ),
        (
            section(json!({"path": ["a"], "body": []})),
            "section a: body: not a string, but an array",
        ),
        (
            section(json!({"path": ["a"], "body": "y", "content_hash": HASH_OF_X})),
            "section a: content_hash: not the hash of the body",
        ),
        (
            section(json!({"path": ["a"], "content_hash": HASH_OF_X.to_uppercase()})),
            "section a: content_hash: not 64 lower-case hexadecimal digits",
        ),
        (
            section(json!({"path": ["a"], "body": "x", "params": "name"})),
            "section a: params: not an array of names",
        ),
        (
            section(json!({"path": ["a"], "body": "x", "params": [1]})),
            "section a: params: not an array of names",
        ),
        (
            tool(json!({"contract_hash": HASH_OF_X})),
            "a tool: name: missing",
        ),
        (
            tool(json!({"name": "t", "description": "d", "params_schema": {}})),
            "tool t: neither contract_hash nor description, params_schema and result_schema",
        ),
        (
            tool(
                json!({"name": "t", "description": "d", "params_schema": {}, "result_schema": null, "contract_hash": HASH_OF_X}),
            ),
            "tool t: contract_hash: not the hash of description and schemas",
        ),
        (
            tool(json!({"name": "t", "contract_hash": HASH_OF_X, "param_descriptions": {"a": 1}})),
            "tool t: param_descriptions: not an object of strings",
        ),
    ] {
        let expected = format!("document 1: {why}, line 1 column 1");
        assert_eq!(told(&project, document.to_string()), expected, "{document}");
    }
    let whole = document("more", Some(json!([1.5])));
    let other = document("prompt_key", Some(json!("other")));
    let wrong = document("ns", None);
    for (text, why) in [
        (
            format!("{whole}\n\n {wrong}\n"),
            "document 2: ns: missing, line 3 column 2",
        ),
        (
            format!("[{whole},\n  {wrong}]"),
            "document 2: ns: missing, line 2 column 3",
        ),
        (
            format!("{whole}\n[{other},\n1]"),
            "document 3: not an object, but a number, line 3 column 1",
        ),
        (
            "[[]]".to_owned(),
            "document 1: not an object, but an array, line 1 column 2",
        ),
        (
            format!("{whole}\n{whole}"),
            "a second document of demo/welcome, line 2 column 1",
        ),
        (
            format!("{whole}\n{other},"),
            &format!("no value, line 2 column {}", other.to_string().len() + 1),
        ),
    ] {
        assert_eq!(told(&project, &text), why, "{text}");
    }
    let message = told(&project, b"{\"ns\": \"\xff\"}");
    assert_eq!(message, "not UTF-8, line 1 column 9");
}

#[test]
fn documents_may_be_many_and_of_their_doubled_keys_the_last_counts() {
    let project = Project::new();
    let tags = |text: &str| {
        project
            .run_with_input("seed --all --prompts -", text.as_bytes())
            .ok()
    };
    let text = r#"[{"ns": "no", "ns": "a", "prompt_key": "k", "sections": 1, "sections": [], "x": 1, "x": 2}]
        {"ns": "b", "prompt_key": "k", "sections": []}{"ns": "c", "prompt_key": "k", "sections": []}"#;
    tags(text);
    for ns in ["a", "b", "c"] {
        assert!(project.record(&format!("{ns}/k/latest")).exists(), "{ns}");
    }
    let ran = project.run_with_input("list -v --prompts -", text.as_bytes());
    assert!(
        ran.stderr.contains("standard input: prompts documents: 3"),
        "{}",
        ran.stderr
    );
}
