use serde_json::json;

use super::{Work, git};

const FIRST: &str = r#"
echo '{"event":"session.started","session_id":"s","agent_model":"m"}'
echo '{"event":"turn.started","prompt":"one"}'
echo one > a.txt
echo '{"event":"part.completed","part_type":"tool","item_type":"bash"}'
echo '{"event":"part.completed","part_type":"text","item_type":"message"}'
"#;

const SECOND: &str = r#"
echo '{"type":"thread.started","thread_id":"c"}'
echo '{"type":"turn.started"}'
echo two > b.txt
echo '{"type":"item.completed","item":{"type":"agent_message","text":"on"}}'
"#;

#[test]
fn parts_and_turns_go_on_counting_and_the_agent_may_be_another() {
    let work = Work::new();
    work.record("t", &[], FIRST).ok();
    let before = work.trace("t");
    work.resume("t", &[], SECOND).ok();
    let trace = work.trace("t");
    let parts = trace["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[..2], before["parts"].as_array().unwrap()[..]);
    assert_eq!(parts[2]["part"], 3);
    assert_eq!(parts[2]["agent"], "codex");
    assert_eq!(parts[2]["session_id"], "c");
    assert_eq!(parts[2]["agent_model"], "");
    let checkpoint = &parts[2]["repo_checkpoint"];
    assert_eq!(checkpoint["commit_before"], parts[1]["git_commit"]);
    assert_eq!(checkpoint["changed_files"], json!(["b.txt"]));
    let turns = trace["turns"].as_array().unwrap();
    assert_eq!(turns[0], before["turns"][0]);
    assert_eq!(turns[1]["turn"], 2);
    assert_eq!([&turns[1]["part_start"], &turns[1]["part_end"]], [3, 3]);
    assert_eq!(trace["session_end"]["total_parts"], 3);
    assert_eq!(trace["started_at"], before["started_at"]);
}

#[test]
fn a_recording_that_was_killed_is_completed_first() {
    let work = Work::new();
    let script =
        format!("{FIRST}\nwhile ! grep -q text \"$EVENTS\"; do sleep 0.01; done\nkill -9 $PPID");
    let events = work.folder("t").join("events.jsonl");
    let script = format!("EVENTS='{}'\n{script}", events.display());
    assert_eq!(work.record("t", &[], &script).code, None);
    work.resume("t", &["--prompt", "more"], SECOND).ok();
    let trace = work.trace("t");
    let kinds: Vec<_> = trace["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["part_type"])
        .collect();
    assert_eq!(kinds, ["tool", "text", "text"]);
    assert_eq!(trace["turns"][1]["prompt"], "more");
    assert_eq!(trace["session_end"]["reason"], "completed");
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);
    // The part that was added is in the index too.
    work.run(&["verify", "t"]).ok();
}

#[test]
fn a_continued_recording_that_is_killed_is_repaired_from_its_own_lines() {
    let work = Work::new();
    // The limit cuts a part off that must not come back.
    work.record("t", &["--max-parts", "1"], FIRST).ok();
    let events = work.folder("t").join("events.jsonl");
    let script = format!(
        "{SECOND}\nwhile ! grep -q agent_message '{}'; do sleep 0.01; done\nkill -9 $PPID",
        events.display()
    );
    assert_eq!(work.resume("t", &[], &script).code, None);
    work.run(&["repair", "t"]).ok();
    let trace = work.trace("t");
    let items: Vec<_> = trace["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| &part["item_type"])
        .collect();
    assert_eq!(items, ["bash", "agent_message"]);
}

#[test]
fn one_that_is_being_recorded_or_is_at_its_limit_or_of_another_repository_is_refused() {
    let work = Work::new();
    work.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    work.record("t", &["--max-parts", "1"], FIRST).ok();
    let trace = work.trace("t");
    let error = work.resume("t", &["--max-parts", "1"], SECOND).failed();
    assert_eq!(error, "t: it has 1 part already");
    let other = work.sandbox().path().join("other");
    std::fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q"]);
    git(&other, &["commit", "-q", "--allow-empty", "-m", "other"]);
    let words = [
        "record",
        "--continue",
        "t",
        "--repo",
        other.to_str().unwrap(),
        "--",
        "true",
    ];
    let error = work.run(&words).failed();
    assert!(error.contains("not the repository"), "{error}");
    assert_eq!(work.trace("t"), trace);
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);

    // While it runs, it is left alone.
    let inner = r#""$LOCALSTORE" trace record --continue t -- true; "$LOCALSTORE" trace repair t"#;
    let ran = work.resume("t", &[], inner);
    let refused = ran
        .stderr
        .matches("localstore: t: it is being recorded\n")
        .count();
    assert_eq!(refused, 2, "{}", ran.stderr);
}
