use super::Work;

#[test]
fn what_is_wrong_is_told_and_nothing_is_made() {
    let work = Work::new();
    let cases: &[&[&str]] = &[
        &["record", "--agent", "nobody", "--", "true"],
        &["record", "--id", "../x", "--", "true"],
        &["record", "--id", "a..b", "--", "true"],
        &["record", "--id", "a.lock", "--", "true"],
        &["record", "--max-parts", "-1", "--", "true"],
        &["record", "--max-parts", "many", "--", "true"],
        &["record", "--timeout", "0", "--", "true"],
        &["record", "--timeout", "soon", "--", "true"],
        &["record", "--id", "a", "--continue", "a", "--", "true"],
    ];
    for words in cases {
        let error = work.run(words).failed();
        assert!(
            error.starts_with("invalid parameter for: "),
            "{words:?}: {error}"
        );
    }
    for words in [&["record"][..], &["record", "--"]] {
        assert_eq!(work.run(words).failed(), "invalid parameter for: CMD");
    }
    for words in [
        &["record", "--repo", "no-such-folder", "--", "true"][..],
        &["record", "--continue", "nothing", "--", "true"],
        &["repair", "nothing"],
    ] {
        work.run(words).failed();
    }
    assert!(!work.sandbox().path().join("traces").exists());
}

#[test]
fn outside_of_a_repository_the_folder_must_be_named() {
    let work = Work::new();
    std::fs::remove_dir_all(work.repo().join(".git")).unwrap();
    let error = work.record("t", &[], "true").failed();
    assert!(error.ends_with("is in no git repository"), "{error}");
    assert!(!work.folder("t").exists());
    work.record("t", &["--repo", "."], "echo a > a.txt").ok();
    let end = &work.trace("t")["session_end"];
    assert_eq!(end["final_git_commit"].as_str().map(str::len), Some(40));
}

#[test]
fn an_id_that_is_there_is_refused_with_a_hint() {
    let work = Work::new();
    work.record("t", &[], "true").ok();
    let ran = work.record("t", &[], "true");
    assert_eq!(ran.failed(), "t: this trajectory is there already");
    assert!(ran.stderr.contains("--continue t"), "{}", ran.stderr);
}
