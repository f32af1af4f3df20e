use serde_json::{Value, json};

use super::Work;

/// An agent that works in two parts.
const AGENT: &str = r#"
echo '{"event":"session.started","session_id":"s","agent_model":"m"}'
echo '{"event":"turn.started","prompt":"do it"}'
echo one > a.txt
echo '{"event":"part.completed","part_type":"tool","item_type":"bash","summary":"echo one"}'
echo 'no JSON'
printf '{"event":"part.completed","part_type":"text","item_type":"message","summary":"done"}'
echo complaint >&2
exit 3
"#;

#[test]
fn what_the_agent_prints_and_its_exit_code_pass_through() {
    let work = Work::new();
    let ran = work.record("t", &[], AGENT);
    assert_eq!(ran.code, Some(3));
    let plain = std::process::Command::new("sh")
        .args(["-c", AGENT])
        .current_dir(work.repo())
        .output()
        .unwrap();
    assert_eq!(ran.stdout, plain.stdout);
    let folder = work.folder("t");
    let head = format!(
        "TRAJECTORY_ID: t\nTRACE: {0}/agent_trace.json\nBUNDLE: {0}/repo.bundle\ncomplaint\n",
        folder.display()
    );
    assert_eq!(ran.stderr, head);
}

#[test]
fn parts_turns_and_the_end_are_in_the_trace() {
    let work = Work::new();
    work.record("t", &[], AGENT);
    let trace = work.trace("t");
    let part = &trace["parts"][0];
    assert_eq!(part["agent"], "generic");
    assert_eq!(part["session_id"], "s");
    assert_eq!(part["agent_model"], "m");
    let checkpoint = &part["repo_checkpoint"];
    assert_eq!(checkpoint["commit_before"], Value::Null);
    assert_eq!(checkpoint["commit_after"], part["git_commit"]);
    assert_eq!(checkpoint["changed_files"], json!(["a.txt"]));
    let last = &trace["parts"][1];
    assert_eq!(last["part"], 2);
    assert_eq!(last["summary"], "done");
    assert_eq!(last["git_commit"], part["git_commit"]);
    assert_eq!(last["repo_checkpoint"], Value::Null);
    let turn = &trace["turns"][0];
    assert_eq!(turn["prompt"], "do it");
    assert_eq!([&turn["part_start"], &turn["part_end"]], [1, 2]);
    assert_eq!(&turn["repo_checkpoint"], checkpoint);
    let end = json!({
        "reason": "agent_error",
        "total_parts": 2,
        "total_turns": 1,
        "final_git_commit": part["git_commit"],
    });
    assert_eq!(trace["session_end"], end);
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);
}

#[test]
fn of_several_recorders_one_has_a_new_id() {
    let work = Work::new();
    let codes = std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| work.record("t", &[], AGENT).code))
            .collect();
        let codes = recorders
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join);
        codes.map(Result::unwrap).collect::<Vec<_>>()
    });
    let recorded = codes.iter().filter(|code| **code == Some(3)).count();
    let refused = codes.iter().filter(|code| **code == Some(1)).count();
    assert_eq!([recorded, refused], [1, 3], "{codes:?}");
    assert_eq!(work.trace("t")["session_end"]["total_parts"], 2);
}

#[test]
fn a_store_that_is_locked_stops_no_recording() {
    let work = Work::new();
    work.record("t", &[], AGENT);
    let db = work.sandbox().db();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let ran = work.record("u", &[], AGENT);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("the store is busy"), "{}", ran.stderr);
    assert_eq!(work.trace("u")["session_end"]["total_parts"], 2);
    db.execute_batch("ROLLBACK").unwrap();
    // The next one writes the rows.
    work.record("v", &[], AGENT);
    assert_eq!(work.run(&["verify", "u"]).code, Some(0));
}
