//! What applies of a record.

use super::Project;

#[test]
fn what_does_not_apply_is_left_out_and_told_by_v() {
    let project = Project::welcome(2);
    project.put("f2-read-stale-one", "latest", &[]);
    let ran = project.run("resolve demo/welcome -v");
    let text = String::from_utf8(ran.ok()).unwrap();
    assert!(text.contains("system/intro/tone") && !text.contains("Guide anew"));
    let told = "section guide: stale: it replaces 0000000000000000000000000000000000000000000000000000000000000000, \
                and the document has 92d0a3447c9c62ae960ab46368c720af8adcacaa1467cf16c13d823204d97e30";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(project.run("resolve demo/welcome").stderr, "");
    for line in ["list -v", "show demo/welcome -v"] {
        let ran = project.run(line);
        assert!(ran.stderr.contains(told), "{line}: {}", ran.stderr);
    }
}

#[test]
fn nothing_is_null() {
    let project = Project::welcome(1);
    assert_eq!(project.run("resolve").ok(), b"null\n");
    assert_eq!(project.run("resolve -o jsonl").ok(), b"null\n");
    project.put("f1-read-sections-empty", "none", &[]);
    project.put("f1-read-ok", "all", &[]);
    assert_ne!(project.run("resolve --tag all").ok(), b"null\n");
    assert_ne!(
        project.run("resolve demo/welcome --tag all").ok(),
        b"null\n"
    );
    let message = project.run("resolve demo/welcome@all --tag none").failed();
    assert_eq!(message, "--tag: NAME has a tag already");
}

#[test]
fn the_text_of_a_section_is_the_override_or_else_the_template() {
    let project = Project::welcome(1);
    let guide = "Grüße, 你好 😀\n".as_bytes();
    assert_eq!(project.run("resolve --section guide").ok(), guide);
    project.put("f1-read-ok", "latest", &[]);
    assert_eq!(
        project.run("resolve --section guide").ok(),
        b"Guide anew.\n"
    );
    assert_eq!(
        project.run("resolve --section /system//intro/").ok(),
        b"Introduce yourself.\n"
    );
    project.put("f1-read-stale-one", "latest", &[]);
    assert_eq!(project.run("resolve --section guide").ok(), guide);
    insta::assert_snapshot!(project.snapshot("resolve --section gone"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome: section gone: not in the prompts document
    hint: sections: system, system/intro, system/intro/tone, guide
    ");
}

#[test]
fn a_template_that_the_document_lacks_is_an_error_only_where_it_is_used() {
    let hash = "92d0a3447c9c62ae960ab46368c720af8adcacaa1467cf16c13d823204d97e30";
    let project = Project::with(&format!(
        r#"{{"ns": "demo", "prompt_key": "welcome",
            "sections": [{{"path": ["guide"], "content_hash": "{hash}"}}]}}"#
    ));
    let message = project.run("resolve --section guide").failed();
    assert_eq!(message, "section guide: no body in the prompts document");
    project.put("f1-read-ok", "latest", &[]);
    assert_eq!(
        project.run("resolve --section guide").ok(),
        b"Guide anew.\n"
    );
}

#[test]
fn a_folder_of_templates_is_a_document() {
    let project = Project::new();
    project.write("prompts/welcome/guide.md", "Grüße, 你好 😀\n");
    project.put("f1-read-ok", "stable", &[]);
    let ran =
        project.run("resolve demo/welcome@stable --templates prompts/welcome --section guide");
    assert_eq!(ran.ok(), b"Guide anew.\n");
    project.write("prompts/welcome/guide.md", "Something else $5.\n");
    let ran =
        project.run("resolve demo/welcome@stable --templates prompts/welcome --section guide");
    assert_eq!(ran.ok(), b"Something else $5.\n");
    let ran = project.run("resolve demo/welcome@stable --templates prompts/welcome");
    assert_eq!(ran.ok(), b"null\n");
}

#[test]
fn a_prompt_without_a_document_is_an_error() {
    let project = Project::new();
    insta::assert_snapshot!(project.snapshot("resolve demo/welcome"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome: no prompts document
    hint: --prompts FILE names one, --templates DIR a folder of the templates
    ");
    insta::assert_snapshot!(project.snapshot("resolve"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: no NAME and no prompts document
    hint: give a NAME, or --prompts FILE
    ");
    let project = Project::welcome(1);
    insta::assert_snapshot!(project.snapshot("resolve demo/other"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/other: no prompts document
    hint: --prompts FILE names one, --templates DIR a folder of the templates
    ");
    let line = "resolve demo/other --prompts .weakincentives/prompts/prompts.jsonl";
    insta::assert_snapshot!(project.snapshot(line), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/other: not in the prompts documents
    hint: there is demo/welcome
    ");
}

#[test]
fn a_file_of_the_other_format_is_converted_as_the_hint_says() {
    for (format, other) in [(1, 2), (2, 1)] {
        let project = Project::welcome(format);
        project.put(&format!("f{other}-read-ok"), "latest", &[]);
        let ran = project.run("resolve");
        assert!(
            ran.stderr
                .ends_with(&format!("hint: localstore prompt convert --to {format}\n"))
        );
        project.run(&format!("convert --to {format}")).ok();
        assert_ne!(project.run("resolve").ok(), b"null\n");
    }
}
