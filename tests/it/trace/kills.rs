//! A recorder that is killed, and what 'repair' makes of what it left.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Work, git};

/// Prints parts, waits until something is in a file of the trajectory, and kills the recorder.
const SHELL: &str = r#"
part() {
  echo "{\"event\":\"part.completed\",\"part_type\":\"tool\",\"item_type\":\"bash\",\"summary\":\"part $1\"}"
}
wait_for() {
  tries=0
  while [ $tries -lt 6000 ] && ! grep -q "$1" "$FOLDER/$2" 2>/dev/null; do
    tries=$((tries + 1))
    sleep 0.01
  done
}
recorded() {
  wait_for "\"part\":$1," agent_trace.json
}
"#;

impl Work {
    /// Records a script that kills the recorder, its parent.
    fn record_and_kill(&self, id: &str, options: &[&str], script: &str) {
        let folder = self.folder(id);
        let script = format!(
            "FOLDER='{}'\n{SHELL}\n{script}\nkill -9 $PPID",
            folder.display()
        );
        let ran = self.record(id, options, &script);
        assert_eq!(ran.code, None, "it was not killed: {}", ran.stderr);
    }

    /// Asserts that parts are numbered, and that the bundle has the file `a.txt` as each part left it: with
    /// the number of the part. Those that a repair added have the last commit. Gives the number of parts.
    fn has_each_part(&self, id: &str, recorded: usize) -> usize {
        let clone = self.sandbox().path().join(format!("clone-of-{id}"));
        let bundle = self.folder(id).join("repo.bundle");
        let to = [bundle.as_os_str(), clone.as_os_str()];
        let words = ["clone".as_ref(), "-q".as_ref()];
        git(self.sandbox().path(), &[words, to].concat());
        let trace = self.trace(id);
        let parts = trace["parts"].as_array().unwrap();
        for (part, number) in parts.iter().zip(1..) {
            assert_eq!(part["part"], number);
            let commit = part["git_commit"].as_str().unwrap();
            let text = git(&clone, &["show", &format!("{commit}:a.txt")]);
            let written: usize = text.trim().parse().unwrap();
            // The agent does not wait for us.
            assert!(
                written >= number.min(recorded),
                "part {number} has {written}"
            );
        }
        assert_eq!(trace["session_end"]["total_parts"], parts.len());
        parts.len()
    }
}

#[test]
fn each_part_is_on_disk_at_once_and_survives_a_kill() {
    let work = Work::new();
    let script = "
        part 1; recorded 1
        echo a > a.txt; part 2; recorded 2
        echo b > b.txt; part 3; recorded 3";
    work.record_and_kill("t", &[], script);
    let trace = work.trace("t");
    assert_eq!(trace["parts"].as_array().unwrap().len(), 3);
    assert_eq!(trace["session_end"], Value::Null);
    assert!(work.folder("t").join("repo.git").is_dir());

    let said = work.run(&["repair", "t"]).text();
    let expected = "t: ended as 'interrupted', repo.bundle written";
    assert!(said.starts_with(expected), "{said}");
    let repaired = work.trace("t");
    assert_eq!(repaired["parts"], trace["parts"]);
    let end = json!({
        "reason": "interrupted",
        "total_parts": 3,
        "total_turns": 1,
        "final_git_commit": trace["parts"][2]["git_commit"],
    });
    assert_eq!(repaired["session_end"], end);
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);
    assert_eq!(work.run(&["repair", "t"]).text(), "t: nothing to repair\n");
}

#[test]
fn lines_that_were_passed_on_become_parts_by_a_repair() {
    let work = Work::new();
    let script = r#"
        echo '{"event":"session.started","session_id":"s","agent_model":"m"}'
        echo '{"event":"turn.started","prompt":"one"}'
        part 1; recorded 1
        i=2; while [ $i -le 300 ]; do part $i; i=$((i + 1)); done
        echo '{"event":"turn.completed","token_usage":{"input":1,"output":2,"total":3}}'
        echo '{"event":"turn.started","prompt":"two"}'
        part 301
        wait_for 'part 301' events.jsonl"#;
    work.record_and_kill("t", &["--require", "a"], script);
    work.run(&["repair", "t"]).ok();
    let trace = work.trace("t");
    let parts = trace["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 301);
    assert_eq!(parts[300]["summary"], "part 301");
    assert_eq!(parts[300]["testing_state"]["total_paths"], 1);
    let turns = trace["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 2);
    assert_eq!([&turns[0]["part_start"], &turns[0]["part_end"]], [1, 300]);
    assert_eq!(turns[0]["token_usage"]["total"], 3);
    assert_eq!(turns[1]["prompt"], "two");
    assert_eq!([&turns[1]["part_start"], &turns[1]["part_end"]], [301, 301]);
}

#[test]
fn a_repair_keeps_the_limit_of_parts() {
    let work = Work::new();
    let script = r"
        i=1; while [ $i -le 200 ]; do part $i; i=$((i + 1)); done
        wait_for 'part 200' events.jsonl";
    work.record_and_kill("t", &["--max-parts", "150"], script);
    work.run(&["repair", "t"]).ok();
    let trace = work.trace("t");
    assert_eq!(trace["parts"].as_array().unwrap().len(), 150);
    assert_eq!(trace["session_end"]["reason"], "part_limit");
}

#[test]
fn a_kill_at_any_moment_loses_nothing() {
    let work = Work::new();
    work.write("a.txt", "0");
    for round in 0..12 {
        let id = format!("t{round}");
        // From the first part to the last one, and a little more.
        let script = format!(
            "(sleep 0.{:03}; kill -9 $PPID) & i=1
            while [ $i -le 100 ]; do echo $i > ../new; mv ../new a.txt; part $i; i=$((i + 1)); done
            wait",
            round * 40
        );
        work.record_and_kill(&id, &[], &script);
        let recorded = work.trace(&id)["parts"].as_array().unwrap().len();
        work.run(&["repair", &id]).ok();
        let parts = work.has_each_part(&id, recorded);
        let events = std::fs::read_to_string(work.folder(&id).join("events.jsonl"));
        let lines = events.unwrap_or_default().matches("part.completed").count();
        assert_eq!(parts, lines, "round {round}");
        let trace = work.trace(&id);
        assert_eq!(
            work.run(&["repair", &id]).text(),
            format!("{id}: nothing to repair\n")
        );
        assert_eq!(work.trace(&id), trace);
    }
}

#[test]
fn commits_of_the_user_are_never_taken_for_checkpoints() {
    let work = Work::new();
    // The messages of a recording that was fetched.
    for message in ["end", "part 1 checkpoint", "last"] {
        work.write("a.txt", message);
        work.git(&["add", "-A"]);
        work.git(&["commit", "-q", "-m", message]);
    }
    let head = work.git(&["rev-parse", "HEAD"]);
    work.record_and_kill("t", &[], "");
    // It was passed on, and not handled.
    let events = work.folder("t").join("events.jsonl");
    std::fs::write(
        events,
        "{\"event\":\"part.completed\",\"part_type\":\"tool\"}\n",
    )
    .unwrap();
    work.run(&["repair", "t"]).ok();
    let trace = work.trace("t");
    assert_eq!(trace["parts"][0]["git_commit"], head.trim());
    assert_eq!(trace["parts"][0]["repo_checkpoint"], Value::Null);
    assert_eq!(trace["session_end"]["final_git_commit"], head.trim());
    assert_eq!(
        work.run(&["verify", "t"]).text(),
        "no problems: 1 part, 1 turn, 1 commit\n"
    );
}

#[test]
fn a_row_of_a_part_that_is_missing_is_written_by_a_repair() {
    let work = Work::new();
    let script = format!("{SHELL}\npart 1; part 2");
    work.record("t", &[], &script).ok();
    let removed = work
        .sandbox()
        .db()
        .execute("DELETE FROM localstore_trace_parts WHERE part = 2", [])
        .unwrap();
    assert_eq!(removed, 1);
    let ran = work.run(&["verify", "t"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("'localstore trace repair t'"));
    work.run(&["repair", "t"]).ok();
    work.run(&["verify", "t"]).ok();
}

#[test]
fn whatever_was_passed_on_is_there_after_a_kill() {
    let work = Work::new();
    let script = format!("{SHELL}\ni=1; while [ $i -le 2000 ]; do part $i; i=$((i + 1)); done");
    for round in 0..8 {
        let id = format!("t{round}");
        let words = ["trace", "record", "--max-parts", "0", "--id", &id];
        let words = [&words[..], &["--", "sh", "-c", &script]].concat();
        let mut recorder = work
            .sandbox()
            .command(words)
            .current_dir(work.repo())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(recorder.stdout.take().unwrap()).lines();
        for _ in 0..=round {
            lines.next().unwrap().unwrap();
        }
        recorder.kill().unwrap();
        recorder.wait().unwrap();
        let passed = round + 1 + lines.map_while(Result::ok).count();
        work.run(&["repair", &id]).ok();
        let parts = work.trace(&id)["parts"].as_array().unwrap().len();
        assert!(parts >= passed, "round {round}: {parts} parts of {passed}");
    }
}

#[test]
fn what_was_killed_before_it_began_is_no_trajectory() {
    let work = Work::new();
    let folder = work.folder("t");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("recorder.lock"), "").unwrap();
    std::fs::write(folder.join("agent_trace.json.tmp"), "{\"trajectory_id\"").unwrap();
    work.record("t", &[], &format!("{SHELL}\npart 1")).ok();
    assert_eq!(work.trace("t")["session_end"]["total_parts"], 1);
    // Anything else is somebody's.
    let other = work.folder("u");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("repo.bundle"), "").unwrap();
    let error = work.record("u", &[], "exit 7").failed();
    assert_eq!(error, "u: this trajectory is there already");
}

#[test]
fn a_kill_while_the_git_directory_is_removed_leaves_no_half_of_it() {
    let work = Work::new();
    let script = format!("{SHELL}\necho 1 > a.txt; part 1; recorded 1");
    work.record("t", &[], &script).ok();
    // As it is then.
    let folder = work.folder("t");
    let half = folder.join(".localstore-repo.git.tmp/objects");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(folder.join("recorder.lock"), "").unwrap();
    let to = work.sandbox().path().join("checkout");
    let words = ["checkout", "t", "--part", "1", "--dest"];
    let words = [&words[..], &[to.to_str().unwrap()]].concat();
    work.run(&words).ok();
    assert_eq!(work.run(&["repair", "t"]).text(), "t: nothing to repair\n");
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);
}

#[test]
fn parts_that_only_the_index_has_are_taken_back() {
    let work = Work::new();
    let script = r#"
        part 1; recorded 1
        echo b > b.txt; part 2; recorded 2
        echo c > c.txt; part 3; recorded 3
        part 4; recorded 4
        tries=0
        while [ $tries -lt 1000 ] && "$LOCALSTORE" trace verify t | grep -q '^index'; do
          tries=$((tries + 1))
          sleep 0.01
        done"#;
    work.record_and_kill("t", &["--no-events"], script);
    // As it is when so much is recorded that the file is not written after every part.
    let whole = work.trace("t");
    let mut trace = whole.clone();
    trace["parts"].as_array_mut().unwrap().truncate(2);
    trace["turns"][0]["part_end"] = json!(2);
    std::fs::write(
        work.folder("t").join("agent_trace.json"),
        trace.to_string() + "\n",
    )
    .unwrap();

    let said = work.run(&["repair", "t"]).text();
    assert!(said.contains("2 parts added"), "{said}");
    let repaired = work.trace("t");
    for part in [2, 3] {
        for key in [
            "part",
            "summary",
            "item_type",
            "git_commit",
            "repo_checkpoint",
        ] {
            assert_eq!(
                repaired["parts"][part][key], whole["parts"][part][key],
                "{key}"
            );
        }
    }
    assert_eq!(repaired["turns"].as_array().unwrap().len(), 1);
    assert_eq!(repaired["turns"][0]["part_end"], 4);
    work.run(&["verify", "t"]).ok();
}
