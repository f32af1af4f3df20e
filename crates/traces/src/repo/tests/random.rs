//! Whatever an agent does to its files, each part has them as they were.

use super::*;

/// Something that an agent does to its files.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, usize),
    Remove(usize),
    Mode(usize, bool),
    Link(usize, usize),
    Move(usize, usize),
    Commit,
    Collect,
    Stage,
}

const NAMES: [&[u8]; 10] = [
    b"a",
    b"d",
    b"d/a",
    b"d/e/f.crlf",
    "d/\u{fc} x".as_bytes(),
    b"A",
    b"\xff\n-",
    b"g.id",
    b"h.rot",
    b".gitattributes",
];

const CONTENTS: [&str; 8] = [
    "",
    "1\n",
    "2\n",
    "1\r\n2\n\r\n",
    "$Id$\n",
    "$Id: 12 $\r\n",
    "abcDEF\n",
    "* text eol=crlf\n*.id ident\n*.rot filter=rot\n",
];

fn change() -> impl Strategy<Value = Change> {
    let name = 0..NAMES.len();
    prop_oneof![
        6 => (name.clone(), 0..CONTENTS.len()).prop_map(|(name, content)| Change::Write(name, content)),
        2 => name.clone().prop_map(Change::Remove),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, is_program)| Change::Mode(name, is_program)),
        1 => (name.clone(), 0..NAMES.len()).prop_map(|(name, target)| Change::Link(name, target)),
        1 => (name, 0..NAMES.len()).prop_map(|(from, to)| Change::Move(from, to)),
        1 => Just(Change::Commit),
        1 => Just(Change::Collect),
        1 => Just(Change::Stage),
    ]
}

impl Ground {
    /// Makes room for the name: nothing is there, and folders are above.
    fn clear(&self, name: &[u8]) -> PathBuf {
        let path = self.work().join(OsStr::from_bytes(name));
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = std::fs::remove_file(&path);
        }
        for above in path.parent().unwrap().ancestors() {
            if !above.is_dir() || above.is_symlink() {
                let _ = std::fs::remove_file(above);
            }
            if above == self.work() {
                break;
            }
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn apply(&self, change: &Change) {
        let at = |name: usize| self.work().join(OsStr::from_bytes(NAMES[name]));
        match *change {
            Change::Write(name, content) => {
                // In place, if it can be.
                let path = at(name);
                let is_file = std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file());
                let path = if is_file {
                    path
                } else {
                    self.clear(NAMES[name])
                };
                std::fs::write(path, CONTENTS[content]).unwrap();
            }
            Change::Remove(name) => {
                let _ = std::fs::remove_file(at(name));
            }
            Change::Mode(name, is_program) => {
                if std::fs::symlink_metadata(at(name)).is_ok_and(|file| file.is_file()) {
                    let mode = if is_program { 0o755 } else { 0o644 };
                    std::fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
                }
            }
            Change::Link(name, target) => {
                let target = OsStr::from_bytes(NAMES[target]);
                std::os::unix::fs::symlink(target, self.clear(NAMES[name])).unwrap();
            }
            Change::Move(from, to) => {
                let is_file = std::fs::symlink_metadata(at(from)).is_ok_and(|file| !file.is_dir());
                if is_file && from != to && !NAMES[to].starts_with(NAMES[from]) {
                    let kept = self.home.path().join("kept");
                    std::fs::rename(at(from), &kept).unwrap();
                    std::fs::rename(kept, self.clear(NAMES[to])).unwrap();
                }
            }
            Change::Commit => drop(self.commit("of the agent")),
            Change::Collect => drop(self.git(&["gc", "-q", "--prune=now"])),
            Change::Stage => drop(self.git(&["add", "-A"])),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_worktree_comes_back(
        before in proptest::collection::vec(change(), 0..8),
        parts in proptest::collection::vec(proptest::collection::vec(change(), 0..5), 1..6),
    ) {
        let ground = Ground::empty();
        ground.git(&["config", "core.safecrlf", "false"]);
        ground.git(&["config", "filter.rot.clean", "tr a-z n-za-m"]);
        ground.git(&["config", "filter.rot.smudge", "tr a-z n-za-m"]);
        for change in &before {
            ground.apply(change);
        }
        let mut private = ground.begin();
        let mut kept = Vec::new();
        for part in &parts {
            for change in part {
                ground.apply(change);
            }
            let before = private.head().map(str::to_owned);
            let made = private.checkpoint("part 1 checkpoint").unwrap();
            let files = files(&ground.work());
            prop_assert_eq!(made.is_some(), private.head() != before.as_deref());
            match private.head() {
                Some(head) => kept.push((head.to_owned(), files)),
                None => prop_assert!(files.is_empty()),
            }
        }
        std::fs::remove_dir_all(ground.path(".git")).unwrap();
        if private.head().is_some() {
            write_bundle(&private.git(), "one", &ground.folder.bundle()).unwrap();
        }
        private.finish(&ground.folder.bundle()).unwrap();
        if !kept.is_empty() {
            let history = History::open(&ground.folder).unwrap();
            for (commit, files) in kept {
                prop_assert_eq!(tree(&history.git, &commit), files);
            }
        }
    }
}
