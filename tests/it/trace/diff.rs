use super::Work;
use super::made::Made;

fn made(work: &Work) -> Made<'_> {
    work.write("a", "1\n");
    let mut made = Made::begin(work, "code");
    made.part("text", "first");
    work.write("a", "2\n");
    work.write("[x].c", "1\n");
    made.part("patch", "second");
    work.write("b", "1\n");
    made.part("patch", "third");
    made
}

#[test]
fn it_is_gits_diff_of_two_parts() {
    let work = Work::new();
    let mut made = made(&work);
    let git = made.git(&["diff", made.commit_of(1), made.commit_of(3)]);
    let stat = made.git(&["diff", "--stat", made.commit_of(3), made.commit_of(1)]);
    made.end("completed");
    assert_eq!(work.run(&["diff", "code", "1", "3"]).text().trim_end(), git);
    let text = work.run(&["diff", "code", "3", "1", "--stat"]).text();
    assert_eq!(text.trim_end(), stat.trim_end());
    let text = work.run(&["diff", "code", "1", "3", "--", "[x].c"]).text();
    assert!(
        text.contains("[x].c") && !text.contains("+++ b/a"),
        "{text}"
    );
    let text = work
        .run(&["diff", "code", "1", "3", "--", "--output=x"])
        .text();
    assert_eq!(text, "");
    assert!(!work.repo().join("x").exists());
}

#[test]
fn one_part_alone_is_what_it_changed() {
    let work = Work::new();
    let mut made = made(&work);
    let git = made.git(&["diff", made.commit_of(2), made.commit_of(3)]);
    made.end("completed");
    assert_eq!(work.run(&["diff", "code", "3"]).text().trim_end(), git);
    let ran = work.run(&["diff", "code", "1"]);
    assert!(ran.ok().is_empty());
    assert!(
        ran.stderr.contains("part 1: it changed no files"),
        "{}",
        ran.stderr
    );
    for part in ["0", "4"] {
        let error = work.run(&["diff", "code", "1", part]).failed();
        assert!(error.contains("parts 1 to 3"), "{error}");
    }
}

#[test]
fn the_first_checkpoint_of_an_empty_folder_is_all_new() {
    let work = Work::new();
    let mut made = Made::begin(&work, "empty");
    work.write("a", "1\n");
    made.part("patch", "first").end("completed");
    let text = work.run(&["diff", "empty", "1"]).text();
    assert!(
        text.contains("new file mode 100644") && text.contains("+1"),
        "{text}"
    );
}

#[test]
fn drivers_of_the_user_are_not_run() {
    let mut work = Work::new();
    let config = work.sandbox().file(
        "gitconfig",
        "[diff]\nexternal = touch ran\nnoprefix = true\n[diff \"x\"]\ntextconv = touch ran\n",
    );
    work.sandbox_mut().set("GIT_CONFIG_GLOBAL", config);
    work.write(".gitattributes", "* diff=x\n");
    let mut made = made(&work);
    made.end("completed");
    let text = work.run(&["diff", "code", "2"]).text();
    assert!(text.contains("+++ b/a"), "{text}");
    assert!(!work.repo().join("ran").exists() && !work.folder("code").join("ran").exists());
}
