use std::fs;

use serde_json::{Value, json};

use super::made::Made;
use super::{Work, git};

fn made(work: &Work) -> Made<'_> {
    work.write("a", "1");
    let mut made = Made::begin(work, "code");
    made.turn("do").part("text", "first");
    work.write("a", "2");
    work.write("with space/ü", "2");
    made.part("patch", "second");
    fs::remove_file(work.repo().join("a")).unwrap();
    made.turn("go on").part("tool", "third").turn("nothing");
    made
}

/// The same lines, recorded as the trajectory `real`.
fn recorded() -> Work {
    let work = Work::new();
    made(&work).end("completed");
    let lines = work.folder("code").join("events.jsonl");
    let agent = ["cat", lines.to_str().unwrap()];
    work.run(&[&["record", "--id", "real", "--"], &agent[..]].concat())
        .ok();
    work
}

#[test]
fn what_is_whole_has_no_problems() {
    let work = Work::new();
    let mut made = made(&work);
    work.write("after", "1");
    made.end("completed");
    let ran = work.run(&["verify", "code"]);
    assert_eq!(ran.text(), "no problems: 3 parts, 3 turns, 3 commits\n");
    ran.ok();
    // The folder alone says the same, on any machine.
    let moved = work.sandbox().path().join("moved");
    fs::rename(work.folder("code"), &moved).unwrap();
    assert_eq!(work.run(&["verify", "../moved"]).ok(), ran.stdout);
}

#[test]
fn what_a_recorder_wrote_has_no_problems() {
    let work = recorded();
    let ran = work.run(&["verify", "real"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
}

/// Damages the trace at this pointer, and asserts that the one problem is told at this place.
#[track_caller]
fn assert_told(pointer: &str, value: Value, place: &str) {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    *made.trace.pointer_mut(pointer).unwrap() = value;
    made.save();
    let ran = work.run(&["verify", "code"]);
    assert_eq!(ran.code, Some(1), "{}", ran.text());
    let text = ran.text();
    assert!(text.starts_with(place), "{text}");
    assert!(text.contains("1 problem: "), "{text}");
}

#[test]
fn each_damage_of_the_trace_is_told_with_its_place() {
    let none = "0".repeat(40);
    assert_told("/parts/2/part", 5.into(), "$.parts[2].part: 5 where 3");
    assert_told(
        "/parts/1/timestamp",
        "2025-01-01T00:00:00Z".into(),
        "$.parts[1].timestamp: before",
    );
    assert_told("/turns/1/turn", 7.into(), "$.turns[1].turn: 7 where 2");
    assert_told("/turns/1/part_end", 2.into(), "$.turns[1]: ");
    assert_told(
        "/turns/0/part_end",
        1.into(),
        "$.turns[1].part_start: part 3 where part 2",
    );
    assert_told(
        "/session_end/total_parts",
        2.into(),
        "$.session_end.total_parts: 2 where",
    );
    assert_told(
        "/session_end/total_turns",
        2.into(),
        "$.session_end.total_turns: 2 where",
    );
    assert_told(
        "/session_end/final_git_commit",
        Value::Null,
        "$.session_end.final_git_commit: null where",
    );
    assert_told(
        "/session_end",
        Value::Null,
        "$.session_end: the recording never ended",
    );
    assert_told(
        "/turns/0/git_commit",
        none.clone().into(),
        "$.turns[0].git_commit: repo.bundle has no commit 0000",
    );
    assert_told(
        "/turns/0/git_commit",
        "../x".into(),
        "$.turns[0].git_commit: invalid commit '../x'",
    );
    assert_told(
        "/parts/1/repo_checkpoint/changed_files",
        json!(["a"]),
        "$.parts[1].repo_checkpoint.changed_files: 'with space/ü' changed too",
    );
    assert_told(
        "/parts/1/repo_checkpoint/changed_files",
        json!(["a", "with space/ü", "../../etc/passwd"]),
        "$.parts[1].repo_checkpoint.changed_files: '../../etc/passwd' did not change",
    );
    assert_told(
        "/parts/2/repo_checkpoint",
        Value::Null,
        "$.parts[2].git_commit: another commit",
    );
    assert_told(
        "/trajectory_id",
        "other".into(),
        "$.trajectory_id: other in the folder code",
    );
}

#[test]
fn a_checkpoint_goes_on_from_the_part_before() {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    let first = made.commit_of(1).to_owned();
    made.trace["parts"][2]["repo_checkpoint"]["commit_before"] = first.into();
    made.save();
    let text = work.run(&["verify", "code"]).text();
    assert!(
        text.starts_with("$.parts[2].repo_checkpoint.commit_before: "),
        "{text}"
    );
}

#[test]
fn a_recording_that_was_continued_after_more_changes_is_whole() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "code");
    made.turn("do").part("text", "first");
    work.write("a", "2");
    made.commit_between("end");
    work.write("a", "3");
    made.turn("go on").part("patch", "second").end("completed");
    work.run(&["verify", "code"]).ok();
}

#[test]
fn damage_of_the_bundle_is_told() {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    let bundle = work.folder("code").join("repo.bundle");
    let whole = fs::read(&bundle).unwrap();
    let mut flipped = whole.clone();
    let at = flipped.len() - 40;
    flipped[at] ^= 1;
    for content in [&whole[..whole.len() - 30], b"", &flipped] {
        fs::write(&bundle, content).unwrap();
        let ran = work.run(&["verify", "code"]);
        assert_eq!(ran.code, Some(1));
        let text = ran.text();
        assert!(
            text.contains("repo.bundle: ") && text.contains("1 problem: "),
            "{text}"
        );
    }
    fs::remove_file(&bundle).unwrap();
    let text = work.run(&["verify", "code"]).text();
    assert!(text.contains("repo.bundle: no such file"), "{text}");
    fs::write(&bundle, &whole).unwrap();
    fs::write(
        work.folder("code").join("agent_trace.json"),
        "{\"parts\": 1",
    )
    .unwrap();
    let text = work.run(&["verify", "code"]).text();
    assert!(text.contains("agent_trace.json: not JSON"), "{text}");
}

#[test]
fn a_bundle_without_the_last_commit_is_told() {
    let work = Work::new();
    let mut made = made(&work);
    let older = work.sandbox().path().join("older.bundle");
    made.git(&["branch", "-f", "older", made.commit_of(2)]);
    made.git(&["bundle", "create", "-q", older.to_str().unwrap(), "older"]);
    made.end("completed");
    fs::rename(older, work.folder("code").join("repo.bundle")).unwrap();
    let last = made.commit_of(3).to_owned();
    let text = work.run(&["verify", "code"]).text();
    let expected = format!("$.parts[2].git_commit: repo.bundle has no commit {last}");
    assert!(text.starts_with(&expected), "{text}");
}

#[test]
fn an_index_that_differs_is_told() {
    let work = recorded();
    let db = work.sandbox().db();
    db.execute(
        "UPDATE localstore_trace_parts SET summary = 'x' WHERE part = 2",
        [],
    )
    .unwrap();
    let text = work.run(&["verify", "real"]).text();
    assert!(text.starts_with("index: part 2 differs"), "{text}");
    db.execute("UPDATE localstore_trace_trajectories SET file_size = 1", [])
        .unwrap();
    let text = work.run(&["verify", "real"]).text();
    assert!(
        text.starts_with("index: made from another version"),
        "{text}"
    );
}

#[test]
fn a_crash_and_a_recorder_at_work_are_told_apart() {
    let work = Work::new();
    let made = made(&work);
    made.save();
    let ran = work.run(&["verify", "code"]);
    assert_eq!(
        ran.text(),
        "$.session_end: the recording never ended\n1 problem: 3 parts, 3 turns, 3 commits\n"
    );
    assert!(
        ran.stderr.contains("localstore trace repair code"),
        "{}",
        ran.stderr
    );
    let lock = fs::File::create(work.folder("code").join("recorder.lock")).unwrap();
    lock.lock().unwrap();
    let ran = work.run(&["verify", "code"]);
    ran.ok();
    assert!(
        ran.stderr.contains("it is being recorded"),
        "{}",
        ran.stderr
    );
    drop(lock);
    // An object that is missing in the private git directory.
    let blob = made.git(&["rev-parse", &format!("{}:a", made.commit_of(2))]);
    let object = work
        .folder("code")
        .join("repo.git/objects")
        .join(&blob[..2])
        .join(&blob[2..]);
    fs::remove_file(object).unwrap();
    let text = work.run(&["verify", "code"]).text();
    assert!(
        text.contains(&format!(
            "repo.git: files of {} are missing",
            made.commit_of(2)
        )),
        "{text}"
    );
}

#[test]
fn a_trace_of_another_harness_is_judged_by_its_own_commits() {
    let work = Work::new();
    let mut made = made(&work);
    made.end("completed");
    let folder = work.folder("code");
    // It has a branch of another name, and lists folders and new names only.
    git(&folder, &["clone", "-q", "repo.bundle", "w"]);
    git(&folder.join("w"), &["checkout", "-q", "-b", "master"]);
    git(
        &folder.join("w"),
        &["bundle", "create", "-q", "../repo.bundle", "master", "HEAD"],
    );
    fs::remove_dir_all(folder.join("w")).unwrap();
    made.trace["parts"][1]["repo_checkpoint"]["changed_files"] = json!(["a", "with space/"]);
    made.trace["parts"][2]["part_type"] = Value::Null;
    made.save();
    work.run(&["verify", "code"]).ok();
    made.trace["parts"][2]["git_commit"] = "2".repeat(40).into();
    made.save();
    assert_eq!(work.run(&["verify", "code"]).code, Some(1));
}
