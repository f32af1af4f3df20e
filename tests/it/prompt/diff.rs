//! Differences of texts.

use serde_json::json;

use super::Project;
use crate::random::{Random, seed};

/// The text that a unified diff makes of another one; each hunk has the lines that its head tells.
fn patched(old: &str, diff: &str) -> String {
    let mut old = old.split_inclusive('\n');
    let mut lines = diff.split_inclusive('\n').skip(2).peekable();
    let (mut new, mut taken) = (String::new(), 0);
    while let Some(head) = lines.next() {
        let told: Vec<usize> = head
            .split([' ', ',', '-', '+', '@', '\n'])
            .filter_map(|number| number.parse().ok())
            .collect();
        let [start, mut from, _, mut to] = match (told.as_slice(), head.contains(',')) {
            (&[a, b, c, d], _) => [a, b, c, d],
            (&[a, c], _) => [a, 1, c, 1],
            (&[a, b, c], _) if head.find(',') < head.find('+') => [a, b, c, 1],
            (&[a, c, d], _) => [a, 1, c, d],
            _ => panic!("{head}"),
        };
        while taken + 1 < start + usize::from(from == 0) {
            new += old.next().unwrap();
            taken += 1;
        }
        while from + to > 0 {
            let line = lines.next().unwrap();
            let mut text = line[1..].to_owned();
            if lines.next_if(|line| line.starts_with("\\ ")).is_some() {
                text.pop();
            }
            if !line.starts_with('+') {
                assert_eq!(old.next(), Some(text.as_str()), "{diff}");
                from = from.checked_sub(1).expect(diff);
                taken += 1;
            }
            if !line.starts_with('-') {
                new += &text;
                to = to.checked_sub(1).expect(diff);
            }
        }
    }
    new.extend(old);
    new
}

#[test]
fn a_diff_makes_one_text_of_the_other() {
    let mut random = Random::new(seed(), 0);
    let mut text = || {
        let pieces = [
            "a\n",
            "b\n",
            "c\n",
            "\n",
            "x",
            "é\n",
            "\r\n",
            "-- d\n",
            "@@ -1 +1 @@\n",
        ];
        let count = random.below(40);
        (0..count)
            .map(|_| pieces[random.below(pieces.len())])
            .collect::<String>()
    };
    let project = Project::new();
    let mut texts = vec![["e\nd\n".to_owned(), "d\nd\n".to_owned()]];
    texts.extend((0..40).map(|_| [text(), text()]));
    for [old, new] in texts {
        for (tag, body) in [("old", &old), ("new", &new)] {
            let record = json!({"version": 1, "ns": "demo", "prompt_key": "k", "tag": tag,
                "sections": {"s": {"expected_hash": "0".repeat(64), "body": body}}});
            project.write(project.record(&format!("demo/k/{tag}")), record.to_string());
        }
        let diff = String::from_utf8(project.run("diff demo/k@old @new").ok()).unwrap();
        assert_eq!(patched(&old, &diff), new, "{old:?}\n{diff}");
    }
}

#[test]
fn one_name_is_held_against_the_templates() {
    let project = Project::welcome(1);
    project.put(
        "f1-read-unknown-section",
        "latest",
        &[("Introduce yourself.\\n", "Introduce\\r\\nyourself.")],
    );
    insta::assert_snapshot!(project.snapshot("diff demo/welcome"), @r"
    exit 0
    --- stdout
    --- /dev/null
    +++ demo/welcome@latest: section gone
    @@ -0,0 +1 @@
    +x
    \ No newline at end of file
    --- template: section guide
    +++ demo/welcome@latest: section guide
    @@ -1 +1 @@
    -Grüße, 你好 😀
    +Guide anew.
    --- template: section system/intro
    +++ demo/welcome@latest: section system/intro
    @@ -1 +1,2 @@
    -Introduce yourself.
    +Introduce
    +yourself.
    \ No newline at end of file
    --- template: tool search: description
    +++ demo/welcome@latest: tool search: description
    @@ -1 +1 @@
    -Search the index.
    \ No newline at end of file
    +Search well.
    \ No newline at end of file
    --- template: tool search: parameter limit
    +++ demo/welcome@latest: tool search: parameter limit
    @@ -1 +1 @@
    -How many at most.
    \ No newline at end of file
    +L
    \ No newline at end of file
    --- template: tool search: parameter query
    +++ demo/welcome@latest: tool search: parameter query
    @@ -1 +1 @@
    -Words to look for.
    \ No newline at end of file
    +Q
    \ No newline at end of file
    --- stderr
    ");
    assert_eq!(project.run("diff demo/welcome --exit-code").code, Some(1));
}

#[test]
fn two_names_are_held_against_each_other() {
    let project = Project::new();
    let lines = |change: &str| -> String {
        let lines: Vec<String> = (1..=12)
            .map(|n| format!("{n}{}\\n", if n == 8 { change } else { "" }))
            .collect();
        lines.concat()
    };
    project.put(
        "f2-read-visibility-summary",
        "a",
        &[("Guide anew.\\n", &lines(""))],
    );
    project.put(
        "f2-read-only-tool",
        "b",
        &[("Search well.", "Search better.")],
    );
    project.put(
        "f2-read-visibility-summary",
        "c",
        &[("Guide anew.\\n", &lines("!"))],
    );
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a @c"), @r"
    exit 0
    --- stdout
    --- demo/welcome@a: section guide
    +++ demo/welcome@c: section guide
    @@ -5,7 +5,7 @@
     5
     6
     7
    -8
    +8!
     9
     10
     11
    --- stderr
    ");
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a demo/welcome@b --exit-code"), @r"
    exit 1
    --- stdout
    --- demo/welcome@a: section guide
    +++ /dev/null
    @@ -1,12 +0,0 @@
    -1
    -2
    -3
    -4
    -5
    -6
    -7
    -8
    -9
    -10
    -11
    -12
    --- demo/welcome@a: section guide: visibility
    +++ /dev/null
    @@ -1 +0,0 @@
    -summary
    \ No newline at end of file
    --- demo/welcome@a: section system
    +++ /dev/null
    @@ -1 +0,0 @@
    -You are ${name}, a helpful assistant.
    --- demo/welcome@a: section system/intro
    +++ /dev/null
    @@ -1 +0,0 @@
    -Introduce yourself.
    --- demo/welcome@a: section system/intro/tone
    +++ /dev/null
    @@ -1 +0,0 @@
    -Be kind.
    --- demo/welcome@a: tool search: description
    +++ demo/welcome@b: tool search: description
    @@ -1 +1 @@
    -Search well.
    \ No newline at end of file
    +Search better.
    \ No newline at end of file
    --- stderr
    ");
    assert_eq!(project.run("diff demo/welcome@a @a --exit-code").ok(), b"");
}

#[test]
fn equal_texts_with_other_hashes_are_told_as_such() {
    let project = Project::new();
    project.put("f1-read-ok", "a", &[]);
    project.put("f1-read-stale-one", "b", &[]);
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a @b --exit-code"), @r"
    exit 0
    --- stdout
    --- stderr
    localstore: the texts are equal, the hashes of what they replace are not
    ");
}

#[test]
fn a_record_that_is_missing_or_malformed_is_an_error() {
    let project = Project::welcome(1);
    project.put("f1-read-ok", "a", &[]);
    project.put("f1-read-body-missing", "bad", &[]);
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a @gone"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: demo/welcome@gone: no such record
    hint: tags of demo/welcome: a, bad
    ");
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a @bad"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: …/demo/welcome/bad.json: section guide: malformed: no body, line 5 column 14
    ");
    insta::assert_snapshot!(project.snapshot("diff demo/welcome@a @@"), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: invalid parameter for: @@
    hint: invalid tag '@': at most 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first
    ");
}

#[test]
fn long_texts_without_a_line_in_common_are_compared_in_time() {
    let project = Project::new();
    let lines = |letter: &str| -> String {
        let lines: Vec<String> = (0..30_000)
            .map(|n| format!("{letter}{}\\n", n % 977))
            .collect();
        lines.concat()
    };
    project.put("f1-read-ok", "a", &[("Guide anew.\\n", &lines("a"))]);
    project.put("f1-read-ok", "b", &[("Guide anew.\\n", &lines("b"))]);
    let text = project.run("diff demo/welcome@a @b").text();
    assert_eq!(text.lines().count(), 60_003);
}
