//! The code at each part, byte for byte, and a repository that is as without us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::{Work, git};

/// `part N` prints part N, and waits until it is on disk.
pub(super) const PART: &str = r#"
part() {
  echo '{"event":"part.completed","part_type":"tool"}'
  tries=0
  while [ $tries -lt 3000 ] && ! grep -q "\"part\":$1," "$LOCALSTORE_TRACES/trajectories/t/agent_trace.json"; do
    tries=$((tries + 1))
    sleep 0.01
  done
}
"#;

impl Work {
    /// Records an agent that waits for its parts.
    pub(super) fn record_parts(&self, script: &str) -> Value {
        let ran = self.record("t", &[], &format!("{PART}\n{script}"));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.trace("t")
    }

    /// A bare clone of the bundle, by plain git.
    pub(super) fn cloned(&self) -> PathBuf {
        let to = self.sandbox().path().join("cloned");
        let bundle = self.folder("t").join("repo.bundle");
        let words = ["clone", "-q", "--bare", bundle.to_str().unwrap(), "cloned"];
        git(self.sandbox().path(), &words);
        to
    }
}

/// The files that a part changed.
pub(super) fn changed(trace: &Value, part: usize) -> &Value {
    &trace["parts"][part - 1]["repo_checkpoint"]["changed_files"]
}

fn commit(trace: &Value, part: usize) -> &str {
    trace["parts"][part - 1]["git_commit"].as_str().unwrap()
}

/// All files of a git directory with their contents and times.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let content = if path.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else {
                std::fs::read(&path).unwrap()
            };
            let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
            found.insert(path, (modified, content));
        }
    }
    found
}

#[test]
fn each_part_has_its_files_and_the_users_git_directory_none_of_it() {
    let work = Work::new();
    work.write("a.txt", "one\n");
    work.write(".gitattributes", "*.bat text eol=crlf\n");
    work.write("run.bat", "1\r\n2\r\n");
    work.write(".gitignore", "*.log\n");
    work.git(&["add", "-A"]);
    work.git(&["commit", "-q", "-m", "first"]);
    let head = work.git(&["rev-parse", "HEAD"]);
    work.write("a.txt", "staged\n");
    work.git(&["add", "a.txt"]);
    work.write("a.txt", "on disk\n");
    let status = [
        "--no-optional-locks",
        "status",
        "--porcelain=v2",
        "--branch",
    ];
    let status_before = work.git(&status);
    let before = snapshot(&work.repo().join(".git"));
    let trace = work.record_parts(
        r"
part 1
printf '1\n2\r\n' > run.bat; echo x > 'ü b.txt'; echo x > out.log; mkdir -p d/e; printf '\0\377' > d/e/f
chmod +x a.txt; ln -s nowhere link
part 2
part 3
mv 'ü b.txt' d/moved; rm d/e/f
part 4
echo one > a.txt; chmod -x a.txt; printf '1\r\n2\r\n' > run.bat; rm link d/moved
part 5
echo after > last.txt",
    );
    let clone = work.cloned();
    assert_eq!(changed(&trace, 1), &Value::Null);
    // What the user had changed is not the agent's.
    let first = commit(&trace, 1);
    assert_eq!(
        git(&clone, &["show", &format!("{first}:a.txt")]),
        "on disk\n"
    );
    assert_eq!(git(&clone, &["rev-parse", &format!("{first}^")]), head);
    assert_eq!(
        changed(&trace, 2),
        &json!(["a.txt", "d/e/f", "link", "run.bat", "ü b.txt"])
    );
    assert_eq!(trace["parts"][1]["repo_checkpoint"]["commit_before"], first);
    assert_eq!(changed(&trace, 3), &Value::Null);
    assert_eq!(commit(&trace, 3), commit(&trace, 2));
    assert_eq!(changed(&trace, 4), &json!(["d/e/f", "d/moved", "ü b.txt"]));
    assert_eq!(
        changed(&trace, 5),
        &json!(["a.txt", "d/moved", "link", "run.bat"])
    );
    let second = commit(&trace, 2);
    // MODE TYPE OBJECT<tab>NAME
    let tree = git(&clone, &["ls-tree", "-r", "-z", second]);
    let entry = |line: &str| format!("{} {}", &line[..6], line.split_once('\t').unwrap().1);
    assert_eq!(
        tree.split_terminator('\0').map(entry).collect::<Vec<_>>(),
        [
            "100644 .gitattributes",
            "100644 .gitignore",
            "100755 a.txt",
            "100644 d/e/f",
            "120000 link",
            "100644 run.bat",
            "100644 ü b.txt"
        ]
    );
    assert_eq!(
        git(&clone, &["show", &format!("{second}:run.bat")]),
        "1\n2\r\n"
    );
    let end = trace["session_end"]["final_git_commit"].as_str().unwrap();
    assert_eq!(
        git(&clone, &["show", &format!("{end}:last.txt")]),
        "after\n"
    );
    let log = git(&clone, &["log", "--format=%an %s", end]);
    assert_eq!(
        log,
        "localstore end\nlocalstore part 5 checkpoint\nlocalstore part 4 checkpoint\n\
         localstore part 2 checkpoint\nlocalstore start\na first\n"
    );
    assert_eq!(snapshot(&work.repo().join(".git")), before);
    std::fs::remove_file(work.repo().join("last.txt")).unwrap();
    work.write("a.txt", "on disk\n");
    assert_eq!(work.git(&status), status_before);
}

#[test]
fn the_traces_and_the_store_are_no_part_of_the_code() {
    let mut work = Work::new();
    let inside = work.repo().join("my traces");
    work.sandbox_mut().set("LOCALSTORE_TRACES", &inside);
    let store = work.repo().join("store.sqlite3");
    work.sandbox_mut().set("LOCALSTORE_DB", &store);
    let script = format!("{PART}\necho 1 > a; part 1; echo 2 > a; part 2");
    let ran = work.record("t", &[], &script);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let file = inside.join("trajectories/t/agent_trace.json");
    let trace: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for part in [1, 2] {
        assert_eq!(changed(&trace, part), &json!(["a"]));
    }
}

#[test]
fn a_checkpoint_that_fails_is_told_and_the_next_one_works() {
    let work = Work::new();
    work.write("a", "1");
    let trace = format!("{}/repo.git", work.folder("t").display());
    let script = format!(
        "{PART}
part 1
mv '{trace}/fresh' '{trace}/away'; : > '{trace}/fresh'; echo 2 > a
part 2
rm '{trace}/fresh'; mv '{trace}/away' '{trace}/fresh'; : > '{trace}/index.lock'
part 3"
    );
    let ran = work.record("t", &[], &script);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let trace = work.trace("t");
    let failed = &trace["parts"][1];
    assert_eq!(failed["repo_checkpoint"]["committed"], false);
    assert_eq!(failed["git_commit"], trace["parts"][0]["git_commit"]);
    assert_eq!(changed(&trace, 3), &json!(["a"]));
    assert_eq!(trace["parts"][2]["repo_checkpoint"]["committed"], true);
}

#[test]
fn what_is_left_out_is_told_once() {
    let work = Work::new();
    work.write("a", "1");
    let script = "part 1; mkfifo pipe; part 2; echo 2 > a; part 3
mkdir nested; git -C nested init -q; part 4; echo 3 > a; part 5";
    let ran = work.record("t", &[], &format!("{PART}\n{script}"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let notes: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("not recorded"))
        .collect();
    let pipe = work.repo().join("pipe");
    assert_eq!(
        notes,
        [
            &format!(
                "localstore: not recorded, as it is no file: {}",
                pipe.display()
            ),
            "localstore: not recorded: 'nested/' does not have a commit checked out"
        ]
    );
    assert_eq!(changed(&work.trace("t"), 5), &json!(["a"]));
}

#[test]
fn a_worktree_that_is_removed_and_made_again_goes_on() {
    let work = Work::new();
    work.write("a", "1");
    let script = r#"
part 1
here=$PWD; rm -rf "$here"
part 2
mkdir "$here"; cd "$here"; echo 3 > b
part 3"#;
    let ran = work.record("t", &[], &format!("{PART}\n{script}"));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let told = "part 2 checkpoint: ";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let trace = work.trace("t");
    let checkpoint = &trace["parts"][1]["repo_checkpoint"];
    assert_eq!(checkpoint["committed"], false);
    assert_eq!(checkpoint["commit_before"], commit(&trace, 1));
    assert_eq!(changed(&trace, 3), &json!(["a", "b"]));
    // The bundle is complete, though the folder that we were in is gone.
    work.has_files("t", &["agent_trace.json", "events.jsonl", "repo.bundle"]);
    work.cloned();
}
