//! Whether anything has changed in the worktree: an answer without git, for the parts that change no file.
//!
//! Watched are all tracked files, all folders that are not ignored (a new file changes its folder), and the
//! files that say what is ignored. What has the same times, size, type and inode as before git looked at it
//! is the same; but what was changed so shortly before that a later change could have the same time is not
//! trusted.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::entries::Entry;
use super::git::{self, Git};
use super::user;

/// Two changes within this time may have the same time: file systems take it from a clock that ticks.
const TICK: Duration = Duration::from_millis(20);

/// The same where times have whole seconds.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// What changes with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// It is not known, and equals nothing that is seen.
    Unknown,
    Missing,
    #[cfg_attr(
        windows,
        expect(dead_code, reason = "what changes with a file is not told there")
    )]
    There {
        changed: (i64, u32),
        modified: (i64, u32),
        inode: u64,
        mode: u32,
        size: u64,
    },
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Self::from(&metadata),
            Err(_) => Self::Missing,
        }
    }

    #[cfg(unix)]
    fn from(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanoseconds = |time: i64| u32::try_from(time).unwrap_or(0);
        Self::There {
            changed: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
            modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
            inode: metadata.ino(),
            mode: metadata.mode(),
            size: metadata.size(),
        }
    }

    /// Without inodes and times of change git always looks.
    #[cfg(windows)]
    fn from(_: &std::fs::Metadata) -> Self {
        Self::Unknown
    }

    /// Whether a later change cannot have the same stamp, seen from this time.
    fn is_settled(&self, at: SystemTime) -> bool {
        match self {
            Self::Unknown => false,
            Self::Missing => true,
            Self::There { changed, .. } => is_before(*changed, at),
        }
    }

    /// Whether git, which compares whole seconds, would take the file for that of the entry without a
    /// look at its content; and that may be wrong, for it is not surely the file that it read until then.
    pub(super) fn is_doubtful(&self, entry: &Entry, until: SystemTime) -> bool {
        let Self::There {
            changed,
            modified,
            inode,
            size,
            ..
        } = *self
        else {
            return false;
        };
        let low = |number: u64| (number & 0xffff_ffff) as u32;
        let seconds = |time: (i64, u32)| low(time.0.cast_unsigned());
        let is_taken = (seconds(changed), seconds(modified)) == (entry.changed.0, entry.modified.0)
            && low(inode) == entry.inode
            && low(size) == entry.size;
        let is_same = (changed.1, modified.1) == (entry.changed.1, entry.modified.1);
        is_taken && !(is_same && is_before(changed, until))
    }
}

/// Whether a time of the file system is surely before this one.
fn is_before((seconds, nanoseconds): (i64, u32), at: SystemTime) -> bool {
    let tick = if nanoseconds == 0 { COARSE_TICK } else { TICK };
    let time = Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds);
    UNIX_EPOCH
        .checked_add(time + tick)
        .is_some_and(|time| time < at)
}

/// What is watched, as it was before git looked at it.
#[derive(Debug)]
pub(super) struct Scan {
    watched: Vec<(PathBuf, Stamp)>,
    folders: HashMap<PathBuf, Inside>,
    /// Those of the folders that have tracked files, at any depth.
    tracked: HashSet<PathBuf>,
    /// Files outside of the worktree that say what is ignored.
    rules: Vec<PathBuf>,
    /// A socket, a pipe or a device in the worktree: git passes over them.
    pub(super) special: Option<PathBuf>,
}

/// What is in a folder beside tracked files.
#[derive(Debug, Default, Clone)]
struct Inside {
    /// Folders without a tracked file, and repositories that git has not taken up.
    plain: Vec<PathBuf>,
    ignored: Vec<PathBuf>,
    /// Folders that hold a `.git`.
    repositories: Vec<PathBuf>,
    special: Option<PathBuf>,
    /// A `.gitignore`, which itself may be ignored.
    rules: Option<PathBuf>,
}

/// How the watched paths are now.
#[derive(Debug)]
pub(super) struct Look {
    /// When it began.
    pub(super) at: SystemTime,
    pub(super) stamps: HashMap<PathBuf, Stamp>,
    pub(super) changed: HashSet<PathBuf>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            at: SystemTime::now(),
            stamps: HashMap::new(),
            changed: HashSet::new(),
        }
    }
}

impl Look {
    /// Whether what is ignored may be other than before.
    pub(super) fn has_new_rules(&self, rules: &[PathBuf]) -> bool {
        let is_rule = |path: &PathBuf| {
            path.file_name() == Some(OsStr::new(".gitignore")) || rules.contains(path)
        };
        self.changed.iter().any(is_rule)
    }
}

impl Scan {
    /// Knows what there is, and nothing of how it was.
    pub(super) fn new(git: &Git, entries: &[Entry], rules: Vec<PathBuf>) -> Self {
        let scan = Self {
            watched: Vec::new(),
            folders: HashMap::new(),
            tracked: HashSet::new(),
            rules,
            special: None,
        };
        scan.renewed(git, entries, &Look::default())
    }

    /// Looks at all that is watched; `None` if nothing has changed.
    pub(super) fn look(&self) -> Option<Look> {
        let at = SystemTime::now();
        let is_same = |(path, stamp): &(PathBuf, Stamp)| {
            *stamp != Stamp::Unknown && *stamp == Stamp::of(path)
        };
        // Most often nothing has changed, and then nothing is kept.
        let same = self.watched.iter().take_while(|one| is_same(one)).count();
        let rest = self.watched.get(same..).filter(|rest| !rest.is_empty())?;
        tracing::trace!("changed: {:?}", rest.first());
        let mut look = Look {
            at,
            stamps: self.watched.iter().take(same).cloned().collect(),
            changed: HashSet::new(),
        };
        for (path, stamp) in rest {
            let now = Stamp::of(path);
            if now != *stamp || now == Stamp::Unknown {
                look.changed.insert(path.clone());
            }
            look.stamps.insert(path.clone(), now);
        }
        Some(look)
    }

    /// Watches what there is after git has looked, with the stamps from before.
    pub(super) fn renewed(mut self, git: &Git, entries: &[Entry], look: &Look) -> Self {
        let worktree = git.worktree.as_deref().unwrap_or(&git.dir);
        if look.has_new_rules(&self.rules) {
            self.folders.clear();
        }
        let tracked = folders_of(worktree, entries);
        let stale = self.stale(&tracked, look);
        let repositories: HashSet<PathBuf> = entries
            .iter()
            .filter(|entry| entry.is_repository())
            .map(|entry| worktree.join(entry.path()))
            .filter(|path| is_repository(path))
            .collect();
        let mut known = std::mem::take(&mut self.folders);
        let mut level: Vec<PathBuf> = tracked.iter().cloned().collect();
        while !level.is_empty() {
            let mut candidates = Vec::new();
            let mut next = Vec::new();
            for folder in level {
                let old = known.remove(&folder);
                let is_read = old.is_some() && !stale.contains(&folder);
                let mut inside = match (&old, is_read) {
                    (Some(old), true) => old.clone(),
                    _ => read(&folder),
                };
                let old = old.unwrap_or_default();
                inside
                    .plain
                    .retain(|path| !tracked.contains(path) && !repositories.contains(path));
                if !is_read {
                    // What was ignored still is.
                    inside.ignored = old.ignored;
                    let ignored = &inside.ignored;
                    inside.plain.retain(|path| !ignored.contains(path));
                    let mut plain = Vec::new();
                    for path in std::mem::take(&mut inside.plain) {
                        if old.plain.contains(&path) {
                            plain.push(path);
                        } else {
                            candidates.push((folder.clone(), path));
                        }
                    }
                    inside.plain = plain;
                }
                next.extend(inside.plain.iter().cloned());
                self.special = self.special.take().or_else(|| inside.special.clone());
                self.folders.insert(folder, inside);
            }
            let paths: Vec<&Path> = candidates.iter().map(|(_, path)| path.as_path()).collect();
            let ignored = ignored(git, worktree, &paths);
            for (folder, path) in candidates {
                let inside = self.folders.entry(folder).or_default();
                if ignored.contains(&path) {
                    inside.ignored.push(path);
                } else {
                    inside.plain.push(path.clone());
                    next.push(path);
                }
            }
            level = next;
        }
        self.tracked = tracked;
        self.watch(worktree, entries, &look.stamps, look.at);
        self
    }

    /// The folders to read again. Some have not changed themselves: a folder in them has lost its last
    /// tracked file, or has become a repository or ceased to be one.
    fn stale(&self, tracked: &HashSet<PathBuf>, look: &Look) -> HashSet<PathBuf> {
        let emptied = self.tracked.difference(tracked).map(PathBuf::as_path);
        let repositories = look.changed.iter().filter_map(|path| {
            if path.file_name() == Some(OsStr::new(".git")) {
                return path.parent();
            }
            let has_repository = self.folders.contains_key(path) && path.join(".git").exists();
            has_repository.then_some(path.as_path())
        });
        let above = emptied.chain(repositories).filter_map(Path::parent);
        let above = above.map(Path::to_owned);
        look.changed.iter().cloned().chain(above).collect()
    }

    fn watch(
        &mut self,
        worktree: &Path,
        entries: &[Entry],
        stamps: &HashMap<PathBuf, Stamp>,
        at: SystemTime,
    ) {
        let mut paths = vec![worktree.to_owned()];
        for entry in entries {
            let path = worktree.join(entry.path());
            if entry.is_repository() {
                paths.extend(repository_files(&path));
            } else if !entry.is_skipped {
                // One that is skipped and comes to be there changes its folder.
                paths.push(path);
            }
        }
        for (folder, inside) in &self.folders {
            paths.push(folder.clone());
            paths.extend(inside.rules.clone());
            for repository in &inside.repositories {
                paths.extend(repository_files(repository));
            }
        }
        paths.extend(self.rules.iter().cloned());
        // As bytes: paths are compared by their components, which takes long.
        paths.sort_unstable_by(|one, other| one.as_os_str().cmp(other.as_os_str()));
        paths.dedup_by(|one, other| one.as_os_str() == other.as_os_str());
        let stamp = |path: PathBuf| {
            let stamp = stamps.get(&path).copied().unwrap_or(Stamp::Unknown);
            let is_settled = stamp.is_settled(at);
            (path, if is_settled { stamp } else { Stamp::Unknown })
        };
        self.watched = paths.into_iter().map(stamp).collect();
    }
}

/// The folders of tracked files, with all above them.
fn folders_of(worktree: &Path, entries: &[Entry]) -> HashSet<PathBuf> {
    let mut folders = HashSet::from([worktree.to_owned()]);
    for entry in entries.iter().filter(|entry| !entry.is_skipped) {
        let path = entry.path();
        for above in path.ancestors().skip(1) {
            // What is above a known one is known.
            if above.as_os_str().is_empty() || !folders.insert(worktree.join(above)) {
                break;
            }
        }
    }
    folders
}

/// What is in a folder.
fn read(folder: &Path) -> Inside {
    let mut inside = Inside::default();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let is_folder = kind.is_dir();
        let name = entry.file_name();
        if name == ".git" {
            continue;
        }
        let path = entry.path();
        if is_folder {
            if path.join(".git").exists() {
                inside.repositories.push(path.clone());
            }
            inside.plain.push(path);
        } else if name == ".gitignore" {
            inside.rules = Some(path);
        } else if !kind.is_file() && !kind.is_symlink() {
            inside.special = Some(path);
        }
    }
    inside
}

/// Whether git takes the folder for a repository.
pub(super) fn is_repository(folder: &Path) -> bool {
    git_dir(folder).join("HEAD").exists()
}

/// The files that change when another commit is checked out in a repository.
fn repository_files(folder: &Path) -> Vec<PathBuf> {
    let git_dir = git_dir(folder);
    let names = [
        "HEAD",
        "logs/HEAD",
        "index",
        "packed-refs",
        "reftable/tables.list",
    ];
    let mut files = vec![folder.join(".git")];
    files.extend(names.map(|name| git_dir.join(name)));
    files
}

/// The `.git` of a folder, or what it refers to.
fn git_dir(folder: &Path) -> PathBuf {
    let link = folder.join(".git");
    let target = std::fs::read(&link).ok();
    let target = target
        .as_deref()
        .and_then(|line| line.strip_prefix(b"gitdir: "));
    target.map_or_else(|| link.clone(), |line| folder.join(user::path(line)))
}

/// Those of the folders that git ignores. If git fails, none: then they are watched for nothing.
fn ignored(git: &Git, worktree: &Path, paths: &[&Path]) -> HashSet<PathBuf> {
    if paths.is_empty() {
        return HashSet::new();
    }
    let mut input = Vec::new();
    for path in paths {
        // Without it a name that begins with ':' would be a pattern.
        input.extend(b"./");
        input.extend(user::bytes(path.strip_prefix(worktree).unwrap_or(path)));
        input.push(0);
    }
    let mut command = git.command();
    command.args(["check-ignore", "--no-index", "-z", "--stdin"]);
    // It fails if nothing is ignored.
    let printed = git::output(command.stdout(std::process::Stdio::piped()), &input);
    let printed = printed.map(|output| output.stdout).unwrap_or_default();
    let names = printed
        .split(|byte| *byte == 0)
        .filter_map(|name| name.strip_prefix(b"./"));
    names.map(|name| worktree.join(user::named(name))).collect()
}
