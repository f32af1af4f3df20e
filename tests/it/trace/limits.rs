//! What ends a recording: limits, signals, and agents that cannot be started.

use serde_json::Value;

use super::Work;

const PARTS: &str = r#"
i=1
while [ $i -le 10 ]; do
  echo $i > a.txt
  echo "{\"event\":\"part.completed\",\"part_type\":\"text\",\"summary\":\"$i\"}"
  i=$((i + 1))
done
"#;

impl Work {
    /// The number of parts, and why the recording ended; its files must be complete.
    fn ended(&self, id: &str) -> (usize, Value) {
        let trace = self.trace(id);
        let parts = trace["parts"].as_array().unwrap().len();
        assert_eq!(trace["session_end"]["total_parts"], parts);
        assert!(!self.folder(id).join("repo.git").exists());
        assert!(!self.folder(id).join("recorder.lock").exists());
        (parts, trace["session_end"]["reason"].clone())
    }
}

#[test]
fn the_limit_of_parts_is_exact_and_stops_the_agent() {
    let work = Work::new();
    let forever = format!("{PARTS}\nsleep 600");
    work.record("t", &["--max-parts", "4"], &forever).ok();
    assert_eq!(work.ended("t"), (4, "part_limit".into()));
    // Without one it goes on.
    work.record("u", &["--max-parts", "0"], PARTS).ok();
    assert_eq!(work.ended("u"), (10, "completed".into()));
}

#[test]
fn the_limit_of_time_stops_the_agent_and_all_that_it_has_started() {
    let work = Work::new();
    let script = format!("{PARTS}\nsleep 600 | sleep 600");
    let ran = work.record("t", &["--timeout", "3s"], &script);
    assert_eq!(ran.code, Some(143));
    assert_eq!(work.ended("t"), (10, "timeout".into()));
}

/// Whether we, and so all that we start, ignore this signal, as under nohup.
fn is_ignored(signal: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[test]
fn a_signal_goes_to_the_agent_and_what_is_recorded_is_finished() {
    let work = Work::new();
    for (name, signal) in [("HUP", 1_u32), ("INT", 2), ("TERM", 15)] {
        // What is ignored stays ignored.
        if is_ignored(signal) {
            continue;
        }
        let script = format!("{PARTS}\nkill -{name} $PPID\nsleep 600");
        let ran = work.record(name, &[], &script);
        assert_eq!(ran.code, i32::try_from(128 + signal).ok(), "{name}");
        assert_eq!(work.ended(name), (10, "interrupted".into()));
        assert!(work.folder(name).join("repo.bundle").exists());
    }
}

#[test]
fn an_agent_that_does_not_exist_is_kept_as_an_error() {
    let work = Work::new();
    let ran = work.run(&["record", "--id", "t", "--", "no-such-agent"]);
    assert_eq!(ran.code, Some(127));
    let error = "localstore: no-such-agent: command not found\n";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
    assert_eq!(work.ended("t"), (0, "agent_error".into()));
}

#[test]
fn what_the_agent_leaves_behind_is_not_waited_for() {
    let work = Work::new();
    let script = format!("sleep 600 2>&- &\necho $! > ../left\n{PARTS}");
    work.record("t", &[], &script).ok();
    assert_eq!(work.ended("t"), (10, "completed".into()));
    let left = std::fs::read_to_string(work.sandbox().path().join("left")).unwrap();
    let killed = std::process::Command::new("kill").arg(left.trim()).status();
    // It was left alone.
    assert!(killed.unwrap().success());
}

#[test]
fn a_closed_output_never_stops_the_recording() {
    let work = Work::new();
    let script = r#"exec 3>&1; "$LOCALSTORE" trace record --id t -- sh -c "$1" | true"#;
    let status = work
        .sandbox()
        .command(["path"])
        .get_envs()
        .fold(
            std::process::Command::new("sh"),
            |mut command, (name, value)| {
                command.env(name, value.unwrap_or_default());
                command
            },
        )
        .args(["-c", script, "sh", &format!("sleep 0.2\n{PARTS}")])
        .current_dir(work.repo())
        .output();
    assert!(status.unwrap().status.success());
    assert_eq!(work.ended("t"), (10, "completed".into()));
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_is_told_and_the_recording_goes_on() {
    let work = Work::new();
    work.record("t", &[], "true").ok();
    let folder = work.folder("t");
    let events = folder.join("events.jsonl");
    std::fs::remove_file(&events).unwrap();
    std::os::unix::fs::symlink("/dev/full", &events).unwrap();
    let ran = work.resume("t", &[], PARTS);
    // Our mark cannot be written: nothing is started.
    assert!(
        ran.failed()
            .contains("events.jsonl: no space left on device")
    );
    std::fs::remove_file(&events).unwrap();

    let script = format!(
        "ln -s /dev/full '{}/agent_trace.json.tmp'\n{PARTS}",
        folder.display()
    );
    let ran = work.resume("t", &[], &script);
    assert!(
        ran.stderr.contains("no space left on device"),
        "{}",
        ran.stderr
    );
    ran.ok();
    assert_eq!(work.ended("t"), (10, "completed".into()));
}

#[test]
fn a_checkpoint_that_fails_is_told_and_recorded_as_such() {
    let work = Work::new();
    let git = work.folder("t").join("repo.git");
    let script = format!("rm -rf '{0}'; echo > '{0}'\n{PARTS}", git.display());
    let ran = work.record("t", &[], &script);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let trace = work.trace("t");
    let parts = trace["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 10);
    let checkpoint = &parts[9]["repo_checkpoint"];
    assert_eq!(checkpoint["committed"], false);
    assert_eq!(checkpoint["commit_after"], Value::Null);
    assert!(
        ran.stderr.contains("localstore: part 1 checkpoint: "),
        "{}",
        ran.stderr
    );
}
