//! `tag` and `untag`, and tags as names of runs.

use crate::sandbox::{Sandbox, read_fixture};

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/cpu-i7-14b.json",
        "golden/gpu-reps4.json",
        "golden/second-gpu.json",
    ]);
    sandbox
}

#[test]
fn a_tag_names_the_run_added_last_of_those_that_have_it() {
    let sandbox = store();
    assert_eq!(
        sandbox.run(["tag", "base", "2", "1"]).text(),
        "run 2: base\nrun 1: base\n"
    );
    let exported = sandbox.run(["export", "base", "-o", "json"]).ok();
    assert_eq!(exported, read_fixture("golden/gpu-reps4.json"));
    sandbox.run(["untag", "base", "2"]).ok();
    let exported = sandbox.run(["export", "base", "-o", "json"]).ok();
    assert_eq!(exported, read_fixture("golden/cpu-i7-14b.json"));
    assert_eq!(
        sandbox.run(["untag", "base"]).text(),
        "run 1: no longer base\n"
    );
    assert_eq!(
        sandbox.run(["untag", "base"]).failed(),
        "tag 'base': none of the runs has it"
    );
}

#[test]
fn without_a_run_the_last_is_tagged_and_run_and_tag_may_change_places() {
    let sandbox = store();
    assert_eq!(sandbox.run(["tag", "new"]).text(), "run 3: new\n");
    assert_eq!(sandbox.run(["tag", "last~2", "old"]).text(), "run 1: old\n");
    assert_eq!(
        sandbox.run(["tag", "1", "2", "both"]).text(),
        "run 1: both\nrun 2: both\n"
    );
    assert_eq!(
        sandbox.run(["tag", "other", "new"]).text(),
        "run 3: other\n"
    );
}

#[test]
fn tag_alone_lists_the_tags() {
    let sandbox = store();
    let none = sandbox.run(["tag"]);
    assert_eq!(none.ok(), b"");
    insta::assert_snapshot!(none.stderr, @r"
    localstore: no tags
    hint: localstore tag NAME RUN
    ");
    sandbox.run(["tag", "old", "1"]).ok();
    sandbox.run(["tag", "base", "1", "2"]).ok();
    sandbox
        .run([
            "tag",
            "a-very-long-name-of-a-branch/with-a-number/1234567",
            "3",
        ])
        .ok();
    let narrow = sandbox
        .command(["tag"])
        .env("COLUMNS", "40")
        .output()
        .unwrap();
    insta::assert_snapshot!(String::from_utf8(narrow.stdout).unwrap(), @r"
    a-very…  1 run   last: 3, 2025-06-15
    base     2 runs  last: 2, 2025-06-15
    old      1 run   last: 1, 2025-06-15
    ");
    sandbox
        .run([
            "untag",
            "a-very-long-name-of-a-branch/with-a-number/1234567",
            "3",
        ])
        .ok();
    insta::assert_snapshot!(sandbox.run(["tag"]).text(), @r"
    base  2 runs  last: 2, 2025-06-15
    old   1 run   last: 1, 2025-06-15
    ");
}

#[test]
fn a_tag_cannot_read_as_another_name_of_a_run() {
    let sandbox = store();
    for tag in ["12", "last", "last~1", "", "a b", "a\u{7}"] {
        let ran = sandbox.run(["tag", tag, "1"]);
        assert!(ran.failed().starts_with("tag '"), "{tag}: {}", ran.stderr);
    }
}

#[test]
fn a_tag_has_an_end() {
    let sandbox = store();
    let longest = "x".repeat(255);
    sandbox.run(["tag", &longest]).ok();
    for command in [&["tag"][..], &["add", "--tag"]] {
        let long = "x".repeat(256);
        let said = sandbox.run(command.iter().chain(&[long.as_str()])).failed();
        let why = "…': a tag must not be longer than 255 bytes";
        assert!(said.ends_with(why) && said.len() < 150, "{said}");
    }
    let list = sandbox.run(["list", "-o", "csv", "--tag", "x*"]).text();
    assert!(list.contains(&longest));
}
