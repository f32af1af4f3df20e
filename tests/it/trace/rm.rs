use std::fs;

use super::Work;
use super::made::Made;

fn made(work: &Work, id: &'static str) {
    work.write("a", "1");
    let mut made = Made::begin(work, id);
    made.turn("do").part("text", "first").end("completed");
}

#[test]
fn it_needs_a_terminal_or_a_yes() {
    let work = Work::new();
    made(&work, "one1");
    let ran = work.run(&["rm", "one1"]);
    assert_eq!(ran.failed(), "one1: not removed: no terminal to ask on");
    assert!(
        ran.stderr.contains("localstore trace rm -y one1"),
        "{}",
        ran.stderr
    );
    let ran = work.run(&["rm", "--dry-run", "last"]);
    assert!(
        ran.text()
            .starts_with("would remove one1: generic, 1 part, "),
        "{}",
        ran.text()
    );
    assert!(work.folder("one1").exists());
}

#[test]
fn folders_and_rows_go_and_the_repository_stays() {
    let work = Work::new();
    work.write("a", "1");
    let lines = work.sandbox().file(
        "lines",
        "{\"event\":\"part.completed\",\"part_type\":\"text\",\"summary\":\"x\"}\n",
    );
    for id in ["one1", "two2", "three3"] {
        work.run(&["record", "--id", id, "--", "cat", lines.to_str().unwrap()])
            .ok();
    }
    let before = fs::read_dir(work.repo()).unwrap().count();
    work.run(&["rm", "-y", "one1", "two2", "one1"]).ok();
    assert!(!work.folder("one1").exists() && !work.folder("two2").exists());
    assert!(work.folder("three3").exists());
    let left = fs::read_dir(work.folder("three3").parent().unwrap()).unwrap();
    assert_eq!(left.count(), 1);
    assert_eq!(fs::read_dir(work.repo()).unwrap().count(), before);
    let db = work.sandbox().db();
    let count = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM localstore_trace_{table}");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("trajectories"), count("parts")), (1, 1));
}

#[test]
fn one_that_is_recorded_stays_and_a_damaged_one_goes() {
    let work = Work::new();
    made(&work, "held");
    let lock = fs::File::create(work.folder("held").join("recorder.lock")).unwrap();
    lock.lock().unwrap();
    let error = work.run(&["rm", "-y", "held"]).failed();
    assert_eq!(error, "held: it is being recorded");
    drop(lock);
    fs::write(work.folder("held").join("agent_trace.json"), "{").unwrap();
    let text = work.run(&["rm", "-y", "held"]).text();
    assert_eq!(text, "removed held: damaged\n");
    assert!(!work.folder("held").exists());
    work.run(&["rm", "-y", "held"]).failed();
}
