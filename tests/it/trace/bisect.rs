use serde_json::Value;

use super::Work;
use super::made::Made;

/// A trajectory of this many commits; the file 'n' says the number of the part.
fn growing<'a>(work: &'a Work, id: &'static str, parts: usize) -> Made<'a> {
    work.write("n", "0");
    let mut made = Made::begin(work, id);
    made.turn("count");
    for part in 1..=parts {
        work.write("n", part.to_string());
        work.write("sub/ä b", part.to_string());
        made.part("patch", &format!("n is {part}"));
    }
    made.end("completed");
    made
}

fn bisect(work: &Work, id: &str, suite: &str, words: &[&str]) -> Value {
    let words = [&["bisect", id, "--suite", suite, "-o", "json"], words].concat();
    serde_json::from_slice(&work.run(&words).ok()).unwrap()
}

#[test]
fn it_finds_the_first_part_that_differs_in_few_runs() {
    let work = Work::new();
    let made = growing(&work, "grows", 16);
    let runs = work.sandbox().path().join("runs");
    let suite = |test: &str| {
        format!(
            "unit=echo $LOCALSTORE_TRACE_PART >> '{}'; {test}",
            runs.display()
        )
    };
    for change in [2, 3, 9, 15, 16] {
        let _ = std::fs::remove_file(&runs);
        let found = bisect(
            &work,
            "grows",
            &suite(&format!("test $(cat n) -lt {change}")),
            &[],
        );
        assert_eq!(found["part"], change, "{found}");
        assert_eq!(found["commit"], made.commit_of(change));
        assert_eq!(found["ok_before"], true);
        let count = std::fs::read_to_string(&runs).unwrap().lines().count();
        assert!(count <= 6, "{count} runs");
        assert_eq!(found["runs"].as_array().unwrap().len(), count);
    }
    let found = bisect(
        &work,
        "grows",
        "unit=test $(cat n) -ge 7",
        &["--from", "5", "--to", "9"],
    );
    assert_eq!(
        (&found["part"], &found["ok_before"]),
        (&7.into(), &false.into())
    );
    assert_eq!((&found["from"], &found["commits"]), (&5.into(), &5.into()));
}

#[test]
fn the_answer_comes_first_and_says_how_to_go_on() {
    let work = Work::new();
    let made = growing(&work, "grows", 5);
    let ran = work.run(&["bisect", "grows", "--suite", "unit=test $(cat n) -lt 4"]);
    let text = ran
        .snapshot(work.sandbox())
        .replace(made.commit_of(4), "<commit>");
    insta::assert_snapshot!(text, @r"
    exit 0
    --- stdout
    unit fails since part 4
    part     4, patch: n is 4
    commit   <commit>
    changed  n, sub/ä b
    ran at 4 of 5 commits: part 1 passes, part 5 fails, part 3 passes, part 4 fails
    more: localstore trace diff grows 4
    --- stderr
    ");
    // What it names works.
    work.run(&["diff", "grows", "4"]).ok();
}

#[test]
fn ends_that_agree_are_no_change() {
    let work = Work::new();
    growing(&work, "grows", 5);
    let text = |words: &[&str]| {
        let ran = work.run(
            &[
                &["bisect", "grows", "--suite", "unit=test $(cat n) != 3"],
                words,
            ]
            .concat(),
        );
        ran.ok();
        ran.text()
    };
    assert_eq!(
        text(&[]),
        "unit passes at part 1 and at part 5: there is no change to find\n\
         ran at 2 of 5 commits: part 1 passes, part 5 passes\n"
    );
    assert_eq!(
        text(&["--from", "3", "--to", "3"]),
        "unit fails from part 3 to part 3: there is one commit\nran at 1 of 1 commit: part 3 fails\n"
    );
}

#[test]
fn a_suite_that_cannot_run_is_an_error() {
    let work = Work::new();
    growing(&work, "grows", 4);
    let suite = "unit=test $(cat n) -lt 4 || sleep 600";
    let error = work
        .run(&["bisect", "grows", "--suite", suite, "--timeout", "3"])
        .failed();
    assert_eq!(
        error,
        "unit could not run at part 4: it did not end within 3 s"
    );
    for (words, expected) in [
        (&["--suite", "true"][..], "invalid parameter for: "),
        (
            &["--suite", "a=true", "--from", "5"],
            "part 5: the trajectory has parts 1 to 4",
        ),
        (
            &["--suite", "a=true", "--from", "3", "--to", "2"],
            "parts 3 to 2: ",
        ),
    ] {
        let error = work.run(&[&["bisect", "grows"], words].concat()).failed();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn nothing_committed_is_nothing_to_search() {
    let work = Work::new();
    let mut made = Made::begin(&work, "empty");
    made.part("text", "hello").save();
    let error = work
        .run(&["bisect", "empty", "--suite", "unit=true"])
        .failed();
    assert_eq!(error, "parts 1 to 1: nothing was committed until then");
}
