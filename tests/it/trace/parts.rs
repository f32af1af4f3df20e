use super::Work;

#[test]
fn an_unknown_trajectory_is_an_error_with_a_hint() {
    let work = Work::new();
    for name in ["last", "last~2", "0192", "../x"] {
        let error = work.run(&["parts", name]).failed();
        assert!(error.contains(&format!("{name}: ")), "{error}");
    }
}
