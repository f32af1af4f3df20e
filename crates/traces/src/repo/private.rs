//! The private git directory of a recording: commits of the whole worktree, and nothing of the user's
//! own `.git` is changed.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use base::{Error, Result};

use super::bundle::{self, branch};
use super::entries::Entry;
use super::git::{self, Git};
use super::index;
use super::left;
use super::objects::{self, FRESH, Gathering};
use super::scan::{Look, Scan, Stamp};
use super::user::{self, User};
use crate::model::{Checkpoint, Extra};
use crate::place::Folder;

/// Bytes come back exactly: no attribute of the user converts them.
pub(crate) const ATTRIBUTES: &str =
    "* -text !eol !crlf -filter -ident !working-tree-encoding -export-subst -export-ignore\n";

/// The file of the git directory that names the commit at which a recording began; empty if there was none.
pub(super) const START: &str = "localstore-start";

/// How often files are read again that vanish while git reads them.
const TRIES: usize = 5;

/// The private git directory.
#[derive(Debug)]
pub(crate) struct Private {
    id: String,
    git: Git,
    /// `sha1` or `sha256`.
    format: String,
    /// The repository that is recorded; `None` if the folder lies in none.
    user: Option<User>,
    /// The user's commit as last seen.
    user_head: Option<String>,
    /// The user's index as last seen.
    user_index: Stamp,
    /// The last commit of the chain.
    head: Option<String>,
    gathering: Option<Gathering>,
    /// Files outside of the worktree that say what is ignored.
    rules: Vec<PathBuf>,
    /// What is not kept.
    excluded: Vec<PathBuf>,
    /// What git knows of the files; `None` if only git can read it.
    entries: Option<Vec<Entry>>,
    /// What git knows is right for files that were not changed since then.
    looked: SystemTime,
    /// What the files looked like then; `None` if nothing is known.
    scan: Option<Scan>,
    /// What was told of files that git cannot read.
    complaints: String,
    /// Whether it was told that there are files which git passes over.
    has_told_special: bool,
}

impl Private {
    /// Begins a recording of `user`, the repository that `dir` lies in, or of `dir` itself if it lies in
    /// none, and commits `start` where the worktree differs from its HEAD. What is in `exclude` is not kept.
    pub(crate) fn begin(
        folder: &Folder,
        dir: &Path,
        user: Option<User>,
        exclude: &[PathBuf],
    ) -> Result<Self> {
        let format = user.as_ref().map_or("sha1", |user| &user.format).to_owned();
        let mut private = Self::make(folder, dir, user, format, exclude)?;
        let begun = private
            .exclude()
            .and_then(|()| private.start())
            .and_then(|()| private.mark_start());
        if begun.is_err() {
            private.remove()?;
        }
        begun.map(|()| private)
    }

    /// Goes on with a recording: from its git directory after a crash, else from its bundle. It must be
    /// that of the same repository.
    pub(crate) fn resume(
        folder: &Folder,
        dir: &Path,
        user: Option<User>,
        exclude: &[PathBuf],
    ) -> Result<Self> {
        let is_new = !folder.git_dir().join("HEAD").exists();
        let format = recorded_format(folder, is_new);
        let users = user.as_ref().map(|user| user.format.clone());
        if let (Some(format), Some(users)) = (&format, &users)
            && format != users
        {
            return Err(another(dir));
        }
        let format = format.or(users).unwrap_or_else(|| "sha1".to_owned());
        let mut private = Self::make(folder, dir, user, format, exclude)?;
        let resumed = private
            .go_on(&folder.bundle())
            .and_then(|()| private.mark_start());
        if resumed.is_err() && is_new {
            private.remove()?;
        }
        resumed.map(|()| private)
    }

    /// Finds the end of the chain.
    fn go_on(&mut self, bundle: &Path) -> Result<()> {
        self.exclude()?;
        let mut head = self.branch_head();
        if head.is_none() && bundle.exists() {
            let mut unbundle = self.git.command();
            let heads = git::run(unbundle.args(["bundle", "unbundle"]).arg(bundle), b"")?;
            head = bundle::commit_of(&heads, &self.id);
        }
        let Some(head) = head else {
            return self.start();
        };
        if !self.is_of_user(&head) {
            return Err(another(self.worktree()));
        }
        self.move_to(head)?;
        self.user_head = self.user.as_ref().and_then(User::head);
        let is_new = index::read(&self.git, &self.format).is_none_or(|entries| entries.is_empty());
        if is_new {
            self.rebuild_index()?;
        }
        Ok(())
    }

    /// Leaves where this recording begins: commits of the user's may have the messages of ours.
    fn mark_start(&self) -> Result<()> {
        let head = self.head.as_deref().unwrap_or_default();
        put(&self.git.dir.join(START), head.as_bytes())
    }

    /// Where the files are.
    pub(crate) fn worktree(&self) -> &Path {
        self.git.worktree.as_deref().unwrap_or(&self.git.dir)
    }

    /// The last commit of the chain; `None` if nothing was ever committed.
    pub(crate) fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// What is needed to write a bundle in a thread of its own, even where the worktree is gone.
    pub(crate) fn git(&self) -> Git {
        Git {
            dir: self.git.dir.clone(),
            worktree: None,
        }
    }

    /// Commits the worktree as it is now; `None` if no file has changed. After an error the next one
    /// looks at all files again.
    pub(crate) fn checkpoint(&mut self, message: &str) -> Result<Option<Checkpoint>> {
        // It is put back in the end: after an error nothing is known.
        let (scan, look) = match self.scan.take() {
            None => self.first_look(),
            Some(scan) => {
                let Some(look) = scan.look() else {
                    self.scan = Some(scan);
                    return Ok(None);
                };
                (scan, look)
            }
        };
        let before = self.head.clone();
        let checkpoint = self.record(message, &look).inspect_err(|_| {
            self.take_back(before);
        })?;
        self.looked(scan, &look);
        Ok(checkpoint)
    }

    /// After an error there is no commit that the records do not have, nor half an object: a full disk has
    /// to hold what was recorded.
    fn take_back(&mut self, before: Option<String>) {
        objects::sweep(&self.git.dir);
        if self.head == before {
            return;
        }
        let branch = branch(&self.id);
        let moved = match &before {
            Some(commit) => self.git().run(&["update-ref", &branch, commit]),
            None => self.git().run(&["update-ref", "-d", &branch]),
        };
        match moved {
            Ok(_) => self.head = before,
            Err(error) => tracing::info!("{branch}: {error}"),
        }
    }

    /// Commits what git finds changed.
    fn record(&mut self, message: &str, look: &Look) -> Result<Option<Checkpoint>> {
        let before = self.head.clone();
        self.add(look)?;
        let tree = self.write_tree()?;
        if !self.is_new(&tree)? {
            return Ok(None);
        }
        let agents = self.moved_head();
        let parents: Vec<&str> = before.iter().chain(&agents).map(String::as_str).collect();
        let after = self.commit(&tree, &parents, message)?;
        let changed_files = self.git.changed_files(before.as_deref(), &after)?;
        Ok(Some(Checkpoint {
            commit_before: before,
            commit_after: Some(after),
            committed: true,
            changed_files,
            extra: Extra::default(),
        }))
    }

    /// Looks at all files that git knows of.
    fn first_look(&mut self) -> (Scan, Look) {
        self.entries = index::read(&self.git, &self.format);
        let entries = self.entries.as_deref().unwrap_or_default();
        let scan = Scan::new(&self.git, entries, self.rules.clone());
        let look = scan.look().unwrap_or_default();
        (scan, look)
    }

    /// Keeps what was seen, for the next look.
    fn looked(&mut self, scan: Scan, look: &Look) {
        self.looked = look.at;
        if let Some(entries) = &self.entries {
            let scan = scan.renewed(&self.git, entries, look);
            if let Some(special) = &scan.special
                && !self.has_told_special
            {
                let special = special.display();
                base::note(&format!("not recorded, as it is no file: {special}"));
                self.has_told_special = true;
            }
            self.scan = Some(scan);
        }
    }

    /// Ends it: with a bundle that holds the last commit the git directory is removed. Where nothing was
    /// ever committed there is no bundle.
    pub(crate) fn finish(mut self, bundle: &Path) -> Result<()> {
        if let Some(head) = &self.head
            && bundle::commit(bundle, &self.id)?.as_ref() != Some(head)
        {
            return Err(Error::new(
                bundle.display(),
                format!("the last commit is missing: {head}"),
            ));
        }
        self.remove()
    }

    fn remove(&mut self) -> Result<()> {
        if let Some(gathering) = self.gathering.take() {
            gathering.stop();
        }
        left::discard(&self.git.dir)
    }

    /// Makes the git directory, or what lacks of it.
    fn make(
        folder: &Folder,
        dir: &Path,
        user: Option<User>,
        format: String,
        exclude: &[PathBuf],
    ) -> Result<Self> {
        let worktree = match user.as_ref().and_then(|user| user.git.worktree.clone()) {
            Some(worktree) => worktree,
            None => dunce::canonicalize(dir).map_err(|error| Error::file(dir, &error))?,
        };
        let git = Git {
            dir: folder.git_dir(),
            worktree: Some(worktree),
        };
        for name in ["objects/info", "objects/pack", "refs/heads", "info", FRESH] {
            let path = git.dir.join(name);
            std::fs::create_dir_all(&path).map_err(|error| Error::file(&path, &error))?;
        }
        put(&git.dir.join("config"), &config(user.as_ref(), &format))?;
        put(&git.dir.join("info/attributes"), ATTRIBUTES.as_bytes())?;
        let from = user.as_ref().map(User::objects).unwrap_or_default();
        let gathering = objects::gather(&git.dir, from)?;
        // From here on it is a git directory.
        let head = format!("ref: {}\n", branch(&folder.id));
        put(&git.dir.join("HEAD"), head.as_bytes())?;
        let ignore = match &user {
            Some(user) if user.core("excludesfile").is_some() => user.core_path("excludesfile"),
            _ => user::configuration_folder().map(|folder| folder.join("ignore")),
        };
        let exclude_file = user.as_ref().map(|user| user.common.join("info/exclude"));
        // Rules behind a link change with its target.
        let with_target = |rules: PathBuf| [dunce::canonicalize(&rules).ok(), Some(rules)];
        Ok(Self {
            id: folder.id.clone(),
            rules: ignore
                .into_iter()
                .chain(exclude_file)
                .flat_map(with_target)
                .flatten()
                .collect(),
            git,
            format,
            user,
            user_head: None,
            user_index: Stamp::Unknown,
            head: None,
            gathering,
            excluded: exclude.iter().map(|path| real(path)).collect(),
            entries: None,
            looked: UNIX_EPOCH,
            scan: None,
            complaints: String::new(),
            has_told_special: false,
        })
    }

    /// Writes the private `info/exclude`: the user's, and what is ours.
    fn exclude(&self) -> Result<()> {
        let mut lines = Vec::new();
        if let Some(user) = &self.user {
            lines = std::fs::read(user.common.join("info/exclude")).unwrap_or_default();
            if lines.last().is_some_and(|byte| *byte != b'\n') {
                lines.push(b'\n');
            }
        }
        for path in &self.excluded {
            let Ok(path) = path.strip_prefix(self.worktree()) else {
                continue;
            };
            let path = user::bytes(path);
            if path.is_empty() {
                continue;
            }
            lines.push(b'/');
            for byte in path {
                match byte {
                    // A pattern is a line.
                    b'\n' => lines.push(b'?'),
                    b'\\' | b'*' | b'?' | b'[' | b' ' => lines.extend_from_slice(&[b'\\', byte]),
                    byte => lines.push(byte),
                }
            }
            lines.push(b'\n');
        }
        put(&self.git.dir.join("info/exclude"), &lines)
    }

    /// The first commit, unless the worktree is as the user's HEAD or empty.
    fn start(&mut self) -> Result<()> {
        self.user_head = self.user.as_ref().and_then(User::head);
        if let Some(user) = &self.user {
            self.user_index = Stamp::of(&user.index());
            self.looked = index::take_over(&self.git, user)?;
        }
        let is_whole = self.user.as_ref().is_none_or(User::is_whole);
        let parent = self.user_head.clone().filter(|_| is_whole);
        let message = match &self.user_head {
            Some(head) if !is_whole => format!("start, from {head}"),
            _ => "start".to_owned(),
        };
        if !is_whole {
            index::drop_missing(&self.git)?;
        }
        let (scan, look) = self.first_look();
        self.add(&look)?;
        let is_same = |parent: &String| {
            let args = [
                "diff-index",
                "--cached",
                "--quiet",
                "--ignore-submodules=none",
                parent,
                "--",
            ];
            self.git.succeeds(&args)
        };
        if let Some(parent) = parent.clone().filter(is_same) {
            self.move_to(parent)?;
        } else {
            let tree = self.write_tree()?;
            if self.is_new(&tree)? {
                let parents: Vec<&str> = parent.iter().map(String::as_str).collect();
                self.commit(&tree, &parents, &message)?;
            }
        }
        self.looked(scan, &look);
        Ok(())
    }

    /// Takes all files over into the index.
    fn add(&mut self, look: &Look) -> Result<()> {
        self.unlock();
        let worktree = self.worktree();
        if !worktree.is_dir() {
            return Err(Error::new(worktree.display(), "the folder is gone"));
        }
        let result = self.update(look);
        self.entries = index::read(&self.git, &self.format);
        if result.is_err() && self.entries.is_none() && self.git.run(&["ls-files"]).is_err() {
            self.rebuild_index()?;
        }
        result
    }

    /// We are the only ones here: a lock is left from a git that was killed.
    fn unlock(&self) {
        let branch = format!("{}.lock", branch(&self.id));
        for lock in ["index.lock", "HEAD.lock", "packed-refs.lock", &branch] {
            let _ = std::fs::remove_file(self.git.dir.join(lock));
        }
    }

    fn update(&mut self, look: &Look) -> Result<()> {
        if look.has_new_rules(&self.rules) {
            self.exclude()?;
        }
        let mut former = Vec::new();
        if let Some(entries) = &self.entries {
            index::distrust(&self.git, entries, look, self.looked)?;
            former = index::take_out_former(&self.git, entries)?;
        }
        if let Some(user) = &self.user {
            let stamp = Stamp::of(&user.index());
            if self.user_index != stamp {
                index::skip(&self.git, user)?;
                self.user_index = stamp;
            }
        }
        let added = self.add_all();
        // Also after an error.
        index::put_back(&self.git, &former)?;
        added
    }

    /// Files that vanish while git reads them are tried again; those that cannot be read are left out, and
    /// told.
    fn add_all(&mut self) -> Result<()> {
        let mut tried = 0;
        loop {
            let mut add = self.writing();
            add.args(["add", "--all", "--ignore-errors", "--", "."]);
            let output = git::output(add.stdout(Stdio::null()), b"")?;
            let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                return Ok(());
            }
            tried += 1;
            // With 1 all others are added, as far as they could be written.
            let is_added = output.status.code() == Some(1) && !has_failed_to_write(&complaints);
            if is_added && (complaints == self.complaints || tried == TRIES) {
                self.tell(complaints);
                return Ok(());
            }
            if tried == TRIES {
                return git::checked(&add, output).map(drop);
            }
            self.unlock();
        }
    }

    /// Tells once of files that are left out.
    fn tell(&mut self, complaints: String) {
        if self.complaints != complaints {
            let lines = complaints.lines();
            for line in lines
                .filter_map(|line| line.strip_prefix("error: "))
                .take(3)
            {
                base::note(&format!("not recorded: {line}"));
            }
            self.complaints = complaints;
        }
    }

    /// Makes the index anew, of the last commit.
    fn rebuild_index(&mut self) -> Result<()> {
        let index = self.git.dir.join("index");
        match std::fs::remove_file(&index) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(&index, &error));
            }
            _ => {}
        }
        if let Some(head) = &self.head {
            self.git.run(&["read-tree", head.as_str()])?;
            if let Some(user) = &self.user {
                index::skip(&self.git, user)?;
            }
        }
        Ok(())
    }

    /// git, which neither sees nor touches the objects of the user.
    fn writing(&self) -> std::process::Command {
        let mut command = self.git.command();
        command.env("GIT_OBJECT_DIRECTORY", self.git.dir.join(FRESH));
        command
    }

    fn write_tree(&self) -> Result<String> {
        let printed = git::run(self.writing().args(["write-tree", "--missing-ok"]), b"")?;
        Ok(String::from_utf8_lossy(&printed).trim_end().to_owned())
    }

    /// Whether the tree is another than that of the last commit. Before the first one, an empty tree is
    /// not new.
    fn is_new(&self, tree: &str) -> Result<bool> {
        let Some(head) = &self.head else {
            return Ok(!self.git.run(&["ls-tree", tree])?.is_empty());
        };
        let last = self.git.line(&["rev-parse", &format!("{head}^{{tree}}")])?;
        Ok(last != tree)
    }

    fn commit(&mut self, tree: &str, parents: &[&str], message: &str) -> Result<String> {
        let mut args = vec!["commit-tree", tree, "-m", message];
        for parent in parents {
            args.extend(["-p", parent]);
        }
        let commit = self.git.line(&args)?;
        self.move_to(commit.clone())?;
        Ok(commit)
    }

    /// Moves the branch.
    fn move_to(&mut self, commit: String) -> Result<()> {
        let branch = branch(&self.id);
        self.git.run(&["update-ref", &branch, &commit])?;
        self.head = Some(commit);
        Ok(())
    }

    fn branch_head(&self) -> Option<String> {
        let branch = branch(&self.id);
        let args = ["rev-parse", "--verify", "--quiet", &branch];
        self.git.line(&args).ok()
    }

    /// The user's HEAD, if it was moved to a commit that the chain does not have, and whose history is
    /// whole. Its objects become ours.
    fn moved_head(&mut self) -> Option<String> {
        let moved = self.user.as_ref().and_then(User::head)?;
        if self.user_head.as_ref() == Some(&moved) {
            return None;
        }
        let result = self.take_over(&moved);
        if let Err(error) = &result {
            tracing::info!("{moved}: not a parent: {error}");
        }
        self.user_head = Some(moved.clone());
        result.ok().filter(|is_taken| *is_taken).map(|_| moved)
    }

    /// Copies what the chain lacks of this commit of the user's; false if it lacks nothing.
    fn take_over(&self, commit: &str) -> Result<bool> {
        let user = self.user.as_ref().map(User::objects).unwrap_or_default();
        let folders = std::env::join_paths(user).map_err(|error| Error::new(commit, error))?;
        let head = self.head.as_deref();
        let with_users = || {
            let mut command = self.git.command();
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &folders);
            command
        };
        if let Some(head) = head {
            let mut is_ancestor = with_users();
            is_ancestor.args(["merge-base", "--is-ancestor", commit, head]);
            if git::run(&mut is_ancestor, b"").is_ok() {
                return Ok(false);
            }
        }
        let mut pack = with_users();
        pack.args(["pack-objects", "--revs", "--quiet", "--delta-base-offset"]);
        pack.arg(self.git.dir.join("objects/pack/pack"));
        let not = head.map(|head| format!("^{head}\n")).unwrap_or_default();
        git::run(&mut pack, format!("{commit}\n{not}").as_bytes())?;
        Ok(true)
    }
    /// Whether the chain was begun in the user's repository: it has one of its first commits, or the one
    /// that the first message names. A chain of our commits alone fits everywhere.
    fn is_of_user(&self, head: &str) -> bool {
        let args = ["rev-list", "--max-parents=0", "--format=%s", head];
        let Ok(printed) = self.git.line(&args) else {
            return false;
        };
        let has = |commit: &str| {
            let name = format!("{commit}^{{commit}}");
            let user = self.user.as_ref();
            user.is_some_and(|user| user.git.succeeds(&["cat-file", "-e", &name]))
        };
        let lines: Vec<&str> = printed.lines().collect();
        let mut is_ours = true;
        for pair in lines.chunks(2) {
            let [commit, subject] = pair else { continue };
            let commit = commit.trim_start_matches("commit ");
            if let Some(from) = subject.strip_prefix("start, from ") {
                return has(from);
            }
            if has(commit) {
                return true;
            }
            is_ours &= *subject == "start" || subject.starts_with("part ");
        }
        is_ours
    }
}

/// Whether git complains that it cannot write an object: that of a file that it could read.
fn has_failed_to_write(complaints: &str) -> bool {
    let signs = [
        "error: unable to create temporary file",
        "error: unable to write",
        "error: insufficient permission for adding an object",
    ];
    complaints
        .lines()
        .any(|line| signs.iter().any(|sign| line.starts_with(sign)))
}

fn another(dir: &Path) -> Error {
    Error::new(
        dir.display(),
        "this is not the repository that the trajectory was recorded in",
    )
}

/// The object format of what is recorded; `None` if that is nothing.
fn recorded_format(folder: &Folder, is_new: bool) -> Option<String> {
    let has_sha256 = |file: &Path, word: &[u8]| {
        let mut head = Vec::new();
        let file = std::fs::File::open(file).ok()?;
        file.take(4096).read_to_end(&mut head).ok()?;
        let format = match memchr::memmem::find(&head, word) {
            Some(_) => "sha256",
            None => "sha1",
        };
        Some(format.to_owned())
    };
    if is_new {
        return has_sha256(&folder.bundle(), b"\n@object-format=sha256\n");
    }
    has_sha256(&folder.git_dir().join("config"), b"objectFormat = sha256")
}

/// The configuration: what describes the file system is as in the user's.
fn config(user: Option<&User>, format: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    let version = u8::from(format == "sha256");
    let _ = write!(
        lines,
        "[core]\n\trepositoryFormatVersion = {version}\n\tbare = false\n\tlogAllRefUpdates = false\n\
         \tsparseCheckout = false\n"
    );
    let names = [
        "filemode",
        "symlinks",
        "ignorecase",
        "precomposeunicode",
        "excludesfile",
    ];
    for name in names {
        let Some(value) = user.and_then(|user| user.core(name)) else {
            continue;
        };
        let _ = write!(lines, "\t{name} = \"");
        for byte in value {
            match byte {
                b'"' | b'\\' => lines.extend_from_slice(&[b'\\', *byte]),
                b'\n' => lines.extend_from_slice(b"\\n"),
                byte => lines.push(*byte),
            }
        }
        let _ = writeln!(lines, "\"");
    }
    let _ = writeln!(lines, "[index]\n\tsparse = false\n\tversion = 2");
    if version == 1 {
        let _ = writeln!(lines, "[extensions]\n\tobjectFormat = {format}");
    }
    lines
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(path) = dunce::canonicalize(path) {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// Writes a file of the git directory whole.
pub(super) fn put(path: &Path, content: &[u8]) -> Result<()> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error: std::io::Error| Error::file(path, &error))
}
