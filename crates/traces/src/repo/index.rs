//! The private index: begun as a copy of the user's, so that git need not read every file.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base::{Error, Result};

use super::entries::{self, Entry};
use super::git::{self, Git};
use super::scan::{Look, Stamp, is_repository};
use super::user::{self, User};

/// Takes over what the user's git knows of the files. What is taken over is right for files that were not
/// changed since the time returned.
pub(super) fn take_over(git: &Git, user: &User) -> Result<SystemTime> {
    let from = user.index();
    let Ok(bytes) = std::fs::read(&from) else {
        // Nothing is tracked yet.
        return Ok(UNIX_EPOCH);
    };
    let Some(entries) = entries::read(&bytes, &user.format) else {
        rebuild(git, user)?;
        return Ok(UNIX_EPOCH);
    };
    let to = git.dir.join("index");
    super::private::put(&to, &bytes)?;
    let copied = || -> std::io::Result<SystemTime> {
        // git compares it with the times of the files.
        let modified = std::fs::metadata(&from)?.modified()?;
        File::options()
            .write(true)
            .open(&to)?
            .set_modified(modified)?;
        Ok(modified)
    };
    let modified = copied().map_err(|error| Error::file(&to, &error))?;
    let is_converted = converted(user, &entries)?;
    let lines = entries.iter().zip(is_converted);
    let lines = lines.filter(|(_, is_converted)| *is_converted);
    forget(git, lines.map(|(entry, _)| entry))?;
    Ok(modified)
}

/// The entries of the private index; `None` if only git can read them.
pub(super) fn read(git: &Git, format: &str) -> Option<Vec<Entry>> {
    match std::fs::read(git.dir.join("index")) {
        Ok(bytes) => entries::read(&bytes, format),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Makes git look at the content of those files that it might take for unchanged, for it compares whole
/// seconds; and at those that it was told not to look at.
pub(super) fn distrust(git: &Git, entries: &[Entry], look: &Look, until: SystemTime) -> Result<()> {
    let worktree = git.worktree.as_deref().unwrap_or(&git.dir);
    let relative = |path: &PathBuf| path.strip_prefix(worktree).ok().map(user::bytes);
    let changed: HashSet<Vec<u8>> = look.changed.iter().filter_map(relative).collect();
    let mut folder = (PathBuf::new(), true);
    let mut is_there = |entry: &Entry| {
        let path = worktree.join(entry.path());
        let above = path.parent().unwrap_or(worktree);
        if folder.0 != above {
            folder = (above.to_owned(), above.is_dir());
        }
        folder.1 && Stamp::of(&path) != Stamp::Missing
    };
    let is_doubtful = |entry: &Entry| {
        let stamp = look.stamps.get(&worktree.join(entry.path()));
        stamp.is_some_and(|stamp| stamp.is_doubtful(entry, until))
    };
    let forgotten = entries.iter().filter(|entry| {
        entry.stage == 0
            && !entry.is_repository()
            && if entry.is_skipped {
                is_there(entry)
            } else {
                entry.is_assumed_unchanged || changed.contains(&entry.name) && is_doubtful(entry)
            }
    });
    forget(git, forgotten)
}

/// The user's files that are not checked out stay as they are.
pub(super) fn skip(git: &Git, user: &User) -> Result<()> {
    let skipped = skipped(user)?;
    if skipped.is_empty() {
        return Ok(());
    }
    let ours = git.run(&["ls-files", "-z"])?;
    let ours: HashSet<&[u8]> = ours.split(|byte| *byte == 0).collect();
    let worktree = git.worktree.as_deref().unwrap_or(&git.dir);
    let mut names = Vec::new();
    for name in skipped {
        let is_missing = || Stamp::of(&worktree.join(user::named(&name))) == Stamp::Missing;
        if ours.contains(name.as_slice()) && is_missing() {
            names.extend(name);
            names.push(0);
        }
    }
    if !names.is_empty() {
        git.run_with(
            &["update-index", "--skip-worktree", "-z", "--stdin"],
            &names,
        )?;
    }
    Ok(())
}

/// The names of the user's files that are not checked out.
fn skipped(user: &User) -> Result<Vec<Vec<u8>>> {
    let Ok(bytes) = std::fs::read(user.index()) else {
        return Ok(Vec::new());
    };
    if let Some(entries) = entries::read(&bytes, &user.format) {
        let skipped = entries.into_iter().filter(|entry| entry.is_skipped);
        return Ok(skipped.map(|entry| entry.name).collect());
    }
    let listed = user.git.run(&["ls-files", "-z", "-t"])?;
    let names = listed.split(|byte| *byte == 0);
    let names = names.filter_map(|line| line.strip_prefix(b"S "));
    Ok(names.map(<[u8]>::to_vec).collect())
}

/// Takes files out that a partial clone has not got, for they cannot go into a bundle. They are not checked
/// out, else they would be there.
pub(super) fn drop_missing(git: &Git) -> Result<()> {
    let listed = git.run(&["ls-files", "-z", "-s"])?;
    let mut objects = String::new();
    let mut names = Vec::new();
    for line in listed.split(|byte| *byte == 0) {
        // MODE OBJECT STAGE<tab>NAME
        let Some(tab) = memchr::memchr(b'\t', line) else {
            continue;
        };
        let (facts, name) = line.split_at(tab);
        let facts = String::from_utf8_lossy(facts);
        if let [mode, object, "0"] = facts.split(' ').collect::<Vec<_>>()[..]
            && mode != "160000"
        {
            objects.push_str(object);
            objects.push('\n');
            names.push(name.get(1..).unwrap_or_default());
        }
    }
    let found = git.run_with(
        &["cat-file", "--buffer", "--batch-check"],
        objects.as_bytes(),
    )?;
    let found = found.split(|byte| *byte == b'\n');
    let missing: Vec<&[u8]> = std::iter::zip(names, found)
        .filter(|(_, found)| found.ends_with(b" missing"))
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        let files = base::counted(missing.len() as u64, "file");
        base::note(&format!(
            "not recorded: {files} that the partial clone lacks"
        ));
        remove(git, &missing)?;
    }
    Ok(())
}

/// Removes the entries of repositories that are plain folders with files by now: git would skip these. What
/// is removed goes to `put_back` when git has read the files.
pub(super) fn take_out_former(git: &Git, entries: &[Entry]) -> Result<Vec<Entry>> {
    let worktree = git.worktree.as_deref().unwrap_or(&git.dir);
    let is_former = |entry: &&Entry| {
        let path = worktree.join(entry.path());
        // Not through a link.
        let is_real = || dunce::canonicalize(&path).is_ok_and(|real| real == path);
        let is_filled = || std::fs::read_dir(&path).is_ok_and(|mut inside| inside.next().is_some());
        !is_repository(&path) && is_real() && is_filled()
    };
    let links = entries.iter().filter(|entry| entry.is_repository());
    let former: Vec<Entry> = links.filter(is_former).cloned().collect();
    if !former.is_empty() {
        let names: Vec<&[u8]> = former.iter().map(|entry| entry.name.as_slice()).collect();
        remove(git, &names)?;
    }
    Ok(former)
}

/// Puts back those in whose folders git found nothing to add: submodules that are not checked out.
pub(super) fn put_back(git: &Git, former: &[Entry]) -> Result<()> {
    if former.is_empty() {
        return Ok(());
    }
    let names = git.run(&["ls-files", "-z"])?;
    let names: Vec<&[u8]> = names.split(|byte| *byte == 0).collect();
    let is_free = |entry: &&Entry| {
        let entry = entry.name.as_slice();
        let is_near = |name: &&[u8]| is_in(name, entry) || is_in(entry, name);
        !names.iter().any(is_near)
    };
    forget(git, former.iter().filter(is_free))
}

/// Whether a name is that of the folder, or of something in it.
fn is_in(name: &[u8], folder: &[u8]) -> bool {
    let rest = name.strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn remove(git: &Git, names: &[&[u8]]) -> Result<()> {
    let remove = ["update-index", "--force-remove", "-z", "--stdin"];
    git.run_with(&remove, &names.join(&0)).map(drop)
}

/// Makes an index of the user's, which only git can read; git reads all files then.
fn rebuild(git: &Git, user: &User) -> Result<()> {
    let listed = match user.git.run(&["ls-files", "-z", "-s"]) {
        Ok(listed) => listed,
        Err(error) => {
            tracing::info!("the index of the repository: {error}");
            return Ok(());
        }
    };
    if !listed.is_empty() {
        git.run_with(&["update-index", "-z", "--index-info"], &listed)?;
        skip(git, user)?;
    }
    Ok(())
}

/// Makes git forget all but the content of these.
fn forget<'a>(git: &Git, entries: impl Iterator<Item = &'a Entry>) -> Result<()> {
    let lines: Vec<u8> = entries.flat_map(Entry::line).collect();
    if !lines.is_empty() {
        git.run_with(&["update-index", "-z", "--index-info"], &lines)?;
    }
    Ok(())
}

/// For each entry, whether the content in the user's repository may be other than that of the file: line
/// ends and identifiers change the size, filters and encodings need not.
fn converted(user: &User, entries: &[Entry]) -> Result<Vec<bool>> {
    let is_file = |entry: &Entry| entry.stage == 0 && entry.mode & 0o170_000 == 0o100_000;
    if has_filters(user, entries) {
        return Ok(entries.iter().map(is_file).collect());
    }
    let objects: String = entries
        .iter()
        .flat_map(|entry| [entry.object.as_str(), "\n"])
        .collect();
    let mut sizes = user.git.command();
    sizes.args(["cat-file", "--buffer", "--batch-check=%(objectsize)"]);
    let sizes = git::run(&mut sizes, objects.as_bytes())?;
    let sizes = String::from_utf8_lossy(&sizes);
    let mut sizes = sizes.lines();
    let is_converted = |entry: &Entry| {
        let size = sizes.next().and_then(|size| size.parse::<u64>().ok());
        let is_same = size.is_some_and(|size| size & 0xffff_ffff == u64::from(entry.size));
        is_file(entry) && !entry.is_skipped && !is_same
    };
    Ok(entries.iter().map(is_converted).collect())
}

/// Whether attributes speak of filters or encodings.
fn has_filters(user: &User, entries: &[Entry]) -> bool {
    let worktree = user.git.worktree.as_deref().unwrap_or(&user.git.dir);
    let mut files = vec![
        worktree.join(".gitattributes"),
        user.common.join("info/attributes"),
        PathBuf::from("/etc/gitattributes"),
    ];
    match user.core_path("attributesfile") {
        Some(file) => files.push(file),
        None => files.extend(user::configuration_folder().map(|folder| folder.join("attributes"))),
    }
    let is_list = |entry: &&Entry| {
        entry.name == b".gitattributes" || entry.name.ends_with(b"/.gitattributes")
    };
    let listed = entries.iter().filter(is_list);
    files.extend(listed.map(|entry| worktree.join(entry.path())));
    files.iter().any(|file| speaks_of_filters(file))
}

fn speaks_of_filters(file: &Path) -> bool {
    let content = std::fs::read(file).unwrap_or_default();
    [b"filter".as_slice(), b"encoding"]
        .iter()
        .any(|word| memchr::memmem::find(&content, word).is_some())
}
