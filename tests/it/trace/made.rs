//! Trajectories that are written by hand: for what reads them, and to be damaged.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Work, git};

/// A trajectory that grows by parts. Its code is kept by git as a recorder keeps it.
pub(super) struct Made<'a> {
    work: &'a Work,
    pub(super) id: &'static str,
    pub(super) trace: Value,
    lines: Vec<String>,
    commit: Option<String>,
}

impl<'a> Made<'a> {
    /// Without parts; the repository is as it is now.
    pub(super) fn begin(work: &'a Work, id: &'static str) -> Self {
        let folder = work.folder(id);
        std::fs::create_dir_all(&folder).unwrap();
        let mut made = Self {
            work,
            id,
            trace: json!({
                "trajectory_id": id,
                "session_id": "s-1",
                "agent": "generic",
                "agent_model": "a-model",
                "started_at": time(0),
                "parts": [],
                "turns": [],
                "artifacts": {
                    "agent_trace": folder.join("agent_trace.json"),
                    "repo_bundle": folder.join("repo.bundle"),
                },
                "session_end": null,
            }),
            lines: Vec::new(),
            commit: None,
        };
        made.git(&["init", "-q"]);
        std::fs::write(
            made.git_dir().join("info/attributes"),
            "* -text -filter -ident -working-tree-encoding\n",
        )
        .unwrap();
        made.git(&["symbolic-ref", "HEAD", &format!("refs/heads/trace/{id}")]);
        made.commit("start");
        made
    }

    fn git_dir(&self) -> PathBuf {
        self.work.folder(self.id).join("repo.git")
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        let dir = self.git_dir();
        let mut words = vec![
            "--git-dir",
            dir.to_str().unwrap(),
            "--work-tree",
            ".",
            "-c",
            "core.autocrlf=false",
        ];
        words.extend(args);
        git(&self.work.repo(), &words).trim_end().to_owned()
    }

    /// Runs git with this on its standard input.
    pub(super) fn git_with(&self, args: &[&str], input: &[u8]) -> String {
        let mut child = std::process::Command::new("git")
            .arg("--git-dir")
            .arg(self.git_dir())
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Commits the worktree; nothing if it is as before.
    fn commit(&mut self, message: &str) -> Option<Value> {
        self.git(&["add", "-A"]);
        let before = self.commit.clone();
        let has_files = !self.git(&["ls-files"]).is_empty();
        let changed = match &before {
            None if !has_files => return None,
            None => Vec::new(),
            Some(before) => {
                let diff = ["diff", "--cached", "--no-renames", "--name-only", "-z"];
                let names = self.git(&[&diff[..], &[before]].concat());
                names.split_terminator('\0').map(str::to_owned).collect()
            }
        };
        if before.is_some() && changed.is_empty() {
            return None;
        }
        self.git(&["commit", "-q", "--no-verify", "-m", message]);
        let after = self.git(&["rev-parse", "HEAD"]);
        self.commit = Some(after.clone());
        Some(json!({
            "commit_before": before,
            "commit_after": after,
            "committed": true,
            "changed_files": changed,
        }))
    }

    /// Begins a turn.
    pub(super) fn turn(&mut self, prompt: &str) -> &mut Self {
        let turns = self.trace["turns"].as_array().unwrap().len() + 1;
        let parts = i64::try_from(self.parts().len()).unwrap();
        self.line(&json!({"event": "turn.started", "prompt": prompt}));
        let mut turn = json!({
            "turn": turns, "part_start": null, "part_end": null, "timestamp": time(parts),
            "prompt": prompt, "git_commit": self.commit, "repo_checkpoint": null,
            "session_end": null, "token_usage": {"input": 100, "output": 20, "reasoning": 5,
            "cached": 50, "total": 120},
        });
        self.add_origin(&mut turn);
        self.trace["turns"].as_array_mut().unwrap().push(turn);
        self
    }

    /// A part; what was changed in the repository before belongs to it.
    pub(super) fn part(&mut self, part_type: &str, summary: &str) -> &mut Self {
        let number = self.parts().len() + 1;
        let checkpoint = self.commit(&format!("part {number} checkpoint"));
        self.line(
            &json!({"event": "part.completed", "role": "assistant", "part_type": part_type,
            "item_type": "an_item", "summary": summary}),
        );
        let mut part = json!({
            "part": number, "timestamp": time(i64::try_from(number).unwrap()), "duration_ms": 1000,
            "role": "assistant", "part_type": part_type, "item_type": "an_item", "summary": summary,
            "git_commit": self.commit, "repo_checkpoint": checkpoint, "envoi_calls": [],
            "testing_state": {"solved_paths": 0, "total_paths": 0, "latest_path": null,
                "latest_passed": null, "latest_total": null, "latest_status_code": null,
                "latest_error": null},
        });
        self.add_origin(&mut part);
        self.trace["parts"].as_array_mut().unwrap().push(part);
        if let Some(turn) = self.trace["turns"].as_array_mut().unwrap().last_mut() {
            if turn["part_start"].is_null() {
                turn["part_start"] = number.into();
            }
            turn["part_end"] = number.into();
            turn["git_commit"] = json!(self.commit);
            if checkpoint.is_some() {
                turn["repo_checkpoint"] = json!(checkpoint);
            }
        }
        self
    }

    /// Ends it as a recorder does: with a bundle, and without the private git directory.
    pub(super) fn end(&mut self, reason: &str) -> &mut Self {
        let parts = self.parts().len();
        let turns = self.trace["turns"].as_array().unwrap().len();
        self.commit("end");
        self.trace["session_end"] = json!({"reason": reason, "total_parts": parts,
            "total_turns": turns, "final_git_commit": self.commit});
        self.bundle();
        std::fs::remove_dir_all(self.git_dir()).unwrap();
        self.save();
        self
    }

    pub(super) fn bundle(&self) {
        let bundle = self.work.folder(self.id).join("repo.bundle");
        let branch = format!("refs/heads/trace/{}", self.id);
        let args = [
            "bundle",
            "create",
            "-q",
            bundle.to_str().unwrap(),
            &branch,
            "HEAD",
        ];
        self.git(&args);
    }

    /// Writes the trace and the lines as they are now.
    pub(super) fn save(&self) {
        let folder = self.work.folder(self.id);
        let trace = serde_json::to_string(&self.trace).unwrap() + "\n";
        std::fs::write(folder.join("agent_trace.json"), trace).unwrap();
        std::fs::write(folder.join("events.jsonl"), self.lines.concat()).unwrap();
    }

    /// Commits what changed outside of any part.
    pub(super) fn commit_between(&mut self, message: &str) {
        self.commit(message);
    }

    /// Forgets the lines.
    pub(super) fn clear_lines(&mut self) {
        self.lines.clear();
    }

    /// A line of the agent.
    pub(super) fn line(&mut self, line: &Value) {
        self.lines.push(format!("{line}\n"));
    }

    pub(super) fn parts(&self) -> &Vec<Value> {
        self.trace["parts"].as_array().unwrap()
    }

    pub(super) fn commit_of(&self, part: usize) -> &str {
        self.trace["parts"][part - 1]["git_commit"]
            .as_str()
            .unwrap()
    }

    fn add_origin(&self, object: &mut Value) {
        for key in ["trajectory_id", "session_id", "agent", "agent_model"] {
            object[key] = self.trace[key].clone();
        }
    }
}

/// The time this many seconds, less than an hour, after the beginning.
fn time(seconds: i64) -> String {
    let minute = seconds / 60;
    let second = seconds % 60;
    format!("2025-10-09T08:{minute:02}:{second:02}.000000+00:00")
}
