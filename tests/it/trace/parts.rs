use super::Work;

#[test]
fn an_unknown_trajectory_is_an_error_with_a_hint() {
    let work = Work::new();
    for name in ["last", "last~2", "0192", "../x"] {
        let error = work.run(&["parts", name]).failed();
        assert!(error.contains(&format!("{name}: ")), "{error}");
    }
    let error = work.run(&["parts", ""]).failed();
    assert_eq!(error, "invalid parameter for: ID");
}

#[test]
fn parts_that_are_not_there_are_told() {
    let work = Work::new();
    let part = r#"echo '{"event":"part.completed","part_type":"text","summary":"a"}'; "#;
    work.record("t", &[], &part.repeat(2)).ok();
    for words in [["--from", "3"], ["--to", "0"], ["--from", "0"]] {
        let error = work.run(&[&["parts", "t"][..], &words].concat()).failed();
        assert!(
            error.ends_with("the trajectory has parts 1 to 2"),
            "{error}"
        );
    }
    let ran = work.run(&["parts", "t", "--match", "b"]);
    assert!(ran.stderr.contains("no such parts"), "{}", ran.stderr);
    assert_eq!(ran.text(), "");
    let error = work.run(&["show", "last~1"]).failed();
    assert_eq!(error, "last~1: there is one trajectory only");
}
