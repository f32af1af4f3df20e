//! Whatever becomes of folders, rules and repositories inside, each checkpoint has the files that git finds
//! with an index of its own.

use super::*;

#[derive(Debug, Clone)]
enum Change {
    Write(usize, usize, usize),
    RemoveFile(usize, usize),
    Make(usize),
    RemoveEmpty(usize),
    Remove(usize),
    Move(usize, usize),
    Link(usize, usize),
    Rules(usize, usize),
    Exclude(usize),
    MakeRepository(usize),
    MakeWithoutCommit(usize),
    EmptyRepository(usize),
    RemoveRepository(usize),
    Mode(usize),
    Stage,
}

const FOLDERS: [&str; 9] = ["", "d", "d/e", "d/e/f", "p", "p/e", "out", "out/q", "d/out"];
const FILES: [&str; 3] = ["x", "y.log", "q"];
const CONTENTS: [&str; 3] = ["", "1", "2"];
const RULES: [&str; 8] = [
    "",
    "out/\n",
    "*\n",
    "!out/\n",
    "e/\n",
    "q\n!x\n",
    "*.log\n",
    "/d/*\n!/d/e/\n",
];

fn change() -> impl Strategy<Value = Change> {
    let any = || 0..FOLDERS.len();
    let inner = || 1..FOLDERS.len();
    prop_oneof![
        5 => (any(), 0..FILES.len(), 0..CONTENTS.len()).prop_map(|(a, b, c)| Change::Write(a, b, c)),
        5 => (any(), 0..FILES.len()).prop_map(|(a, b)| Change::RemoveFile(a, b)),
        2 => inner().prop_map(Change::Make),
        2 => inner().prop_map(Change::RemoveEmpty),
        1 => inner().prop_map(Change::Remove),
        3 => (inner(), inner()).prop_map(|(a, b)| Change::Move(a, b)),
        2 => (inner(), inner()).prop_map(|(a, b)| Change::Link(a, b)),
        3 => (any(), 0..RULES.len()).prop_map(|(a, b)| Change::Rules(a, b)),
        1 => (0..RULES.len()).prop_map(Change::Exclude),
        3 => inner().prop_map(Change::MakeRepository),
        1 => inner().prop_map(Change::MakeWithoutCommit),
        1 => inner().prop_map(Change::EmptyRepository),
        2 => inner().prop_map(Change::RemoveRepository),
        1 => inner().prop_map(Change::Mode),
        1 => Just(Change::Stage),
    ]
}

/// What cannot be done is left.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path));
}

fn is_folder(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

impl Ground {
    fn turn(&self, change: &Change) {
        let at = |folder: usize| self.path(FOLDERS[folder]);
        match *change {
            Change::Write(folder, file, content) => {
                let _ = std::fs::create_dir_all(at(folder));
                let _ = std::fs::write(at(folder).join(FILES[file]), CONTENTS[content]);
            }
            Change::RemoveFile(folder, file) => {
                let _ = std::fs::remove_file(at(folder).join(FILES[file]));
            }
            Change::Make(folder) => drop(std::fs::create_dir_all(at(folder))),
            Change::RemoveEmpty(folder) => drop(std::fs::remove_dir(at(folder))),
            Change::Remove(folder) => remove(&at(folder)),
            Change::Move(from, to) => drop(std::fs::rename(at(from), at(to))),
            Change::Link(name, target) => {
                remove(&at(name));
                let _ = std::os::unix::fs::symlink(at(target), at(name));
            }
            Change::Rules(folder, rules) => {
                let path = at(folder).join(".gitignore");
                match RULES[rules] {
                    "" => drop(std::fs::remove_file(path)),
                    rules => drop(std::fs::write(path, rules)),
                }
            }
            Change::Exclude(rules) => self.write(".git/info/exclude", RULES[rules]),
            Change::MakeRepository(folder) if is_folder(&at(folder)) => {
                git(&at(folder), &["init", "-q"]);
                git(&at(folder), &["commit", "-q", "--allow-empty", "-m", "x"]);
            }
            Change::MakeWithoutCommit(folder) if is_folder(&at(folder)) => {
                git(&at(folder), &["init", "-q"]);
            }
            Change::EmptyRepository(folder) => {
                remove(&at(folder).join(".git"));
                let _ = std::fs::create_dir(at(folder).join(".git"));
            }
            Change::RemoveRepository(folder) => remove(&at(folder).join(".git")),
            Change::Mode(folder) => {
                if let Ok(found) = at(folder).metadata() {
                    let mode = found.permissions().mode() ^ 0o20;
                    let _ = std::fs::set_permissions(at(folder), Permissions::from_mode(mode));
                }
            }
            Change::Stage => {
                let mut add = base::process::command("git");
                // It fails where a repository has no commit.
                add.args(["add", "-A"])
                    .current_dir(self.work())
                    .output()
                    .unwrap();
            }
            _ => {}
        }
    }

    /// The files that git adds to the commit with an index of its own, repositories left out.
    fn found(&self, head: Option<&str>) -> Vec<String> {
        let index = self.home.path().join("index");
        let _ = std::fs::remove_file(&index);
        let git_dir = self.folder.git_dir();
        std::fs::copy(self.path(".git/info/exclude"), git_dir.join("info/exclude")).unwrap();
        let run = |args: &[&str]| {
            let mut git = base::process::command("git");
            git.args(["-c", "core.excludesFile=/dev/null"]).args(args);
            git.current_dir(self.work())
                .env("GIT_DIR", &git_dir)
                .env("GIT_WORK_TREE", self.work())
                .env("GIT_INDEX_FILE", &index);
            String::from_utf8_lossy(&git.output().unwrap().stdout).into_owned()
        };
        if let Some(head) = head {
            run(&["read-tree", head]);
        }
        let listed = run(&["ls-files", "-s"]);
        for line in listed.lines().filter(|line| line.starts_with("160000")) {
            let name = line.split_once('\t').unwrap().1;
            let path = self.path(name);
            let is_real = dunce::canonicalize(&path).is_ok_and(|real| real == path);
            if is_real && !path.join(".git/HEAD").exists() {
                run(&["update-index", "--force-remove", name]);
            }
        }
        run(&["add", "-A", "--ignore-errors", "."]);
        files_of(&run(&["ls-files", "-s"]).replace(" 0\t", "\t"))
    }
}

/// Of lines `MODE OBJECT<tab>NAME`, those of files.
fn files_of(lines: &str) -> Vec<String> {
    let is_file = |line: &&str| !line.starts_with("160000");
    lines.lines().filter(is_file).map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_checkpoint_has_the_files_that_git_finds(
        before in proptest::collection::vec(change(), 0..10),
        parts in proptest::collection::vec(proptest::collection::vec(change(), 1..3), 1..6),
    ) {
        let ground = Ground::with(&[("a", "1"), ("d/e/x", "1"), ("out/q/x", "1")]);
        std::fs::create_dir_all(ground.path("p/e")).unwrap();
        for change in &before {
            ground.turn(change);
        }
        let mut private = ground.begin();
        for part in &parts {
            // So long that what was seen is trusted.
            std::thread::sleep(Duration::from_millis(30));
            private.checkpoint("part 1 checkpoint").unwrap();
            for change in part {
                ground.turn(change);
            }
            private.checkpoint("part 2 checkpoint").unwrap();
            let head = private.head();
            let recorded = head.map_or_else(String::new, |head| {
                let format = "--format=%(objectmode) %(objectname)%x09%(path)";
                private.git().line(&["ls-tree", "-r", format, head]).unwrap()
            });
            prop_assert_eq!(files_of(&recorded), ground.found(head), "after {:?}", part);
        }
    }
}
