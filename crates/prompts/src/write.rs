//! Changes of files, whole and one after the other.
//!
//! A change reads, changes and writes under a lock of the file's folder. The library takes no such lock,
//! so the file is compared once more just before it is replaced, and then swapped with the new one where
//! the system can do that: what others wrote in the last moment is in our hands then, and is changed in
//! turn. There is no lock file beside the records: the folder itself is locked, and the operating system
//! unlocks it when a program ends.

#[cfg(unix)]
use std::fs::TryLockError;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::{Error, Result};
use tempfile::NamedTempFile;

#[cfg(windows)]
use crate::hash::Hash;
use crate::input::read_file;

/// How often a change is tried when others change the file meanwhile.
const TRIES: u64 = 10;

/// How long another program may hold the lock.
const LONGEST: Duration = Duration::from_mins(1);

/// Changes a file. `change` gets its bytes, `None` if it is not there, and gives those to be written,
/// `None` to leave it as it is; it may be called again if others change the file meanwhile. Folders are
/// made when there is something to write. Tells whether the file changed.
pub(crate) fn change(
    file: &Path,
    change: impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>,
) -> Result<bool> {
    let mut made = Vec::new();
    let changed = change_in(&mut made, file, change);
    if changed.is_err() {
        for folder in made {
            // One that another program has written into by now stays.
            let _ = fs::remove_dir(folder);
        }
    }
    changed
}

/// Changes a file. The folders that were made for it, innermost first, are in `made` also if it fails.
fn change_in(
    made: &mut Vec<PathBuf>,
    file: &Path,
    mut change: impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>,
) -> Result<bool> {
    let failed = |error: io::Error| Error::file(file, &error);
    let folder = folder_of(file);
    for attempt in 0..TRIES {
        // Those who change it all the time are met at another moment.
        std::thread::sleep(Duration::from_millis(attempt * attempt));
        if !folder.is_dir() {
            if change(read(file)?.as_deref())?.is_none() {
                return Ok(false);
            }
            let missing = folder.ancestors().take_while(|folder| !folder.exists());
            *made = missing.map(Path::to_owned).collect();
            match make_folders(made) {
                // `rm` takes folders away that are empty.
                Err(error) if is_missing(&error) => continue,
                made => made.map_err(|error| Error::file(folder, &error))?,
            }
        }
        let target = target(file).map_err(failed)?;
        // By their real paths, so that one is not locked twice, and all programs in one order.
        let folders = [folder, folder_of(&target)].map(Path::canonicalize);
        let folders = folders.into_iter().collect::<io::Result<Vec<PathBuf>>>();
        let mut folders = match folders {
            Err(error) if is_missing(&error) && !folder.exists() => continue,
            folders => folders.map_err(failed)?,
        };
        folders.sort_unstable();
        folders.dedup();
        let Some(_locks) = lock_all(&folders)? else {
            continue;
        };
        let before = read(file)?;
        let bytes = change(before.as_deref())?;
        let Some(bytes) = bytes.filter(|bytes| before.as_ref() != Some(bytes)) else {
            return Ok(false);
        };
        let written = match prepare(file, &target, &bytes) {
            // So it does with the folder of another key, of which it holds no lock.
            Err(error) if is_missing(&error) && !folder.is_dir() => continue,
            written => written.map_err(failed)?,
        };
        if read(file)? != before || self::target(file).map_err(failed)? != target {
            tracing::debug!("{}: changed meanwhile", file.display());
            continue;
        }
        let replaced = match before {
            None => create(written, &target).map_err(failed)?,
            Some(before) => replace(written, file, &target, before, bytes, &mut change)?,
        };
        match replaced {
            Replaced::Done => return Ok(true),
            Replaced::Unchanged => return Ok(false),
            Replaced::Again => tracing::debug!("{}: changed meanwhile", file.display()),
        }
    }
    Err(changed_too_often(file))
}

/// What became of a file that was about to be replaced.
enum Replaced {
    /// It was written.
    Done,
    /// Others wrote what is meant.
    Unchanged,
    /// It was removed, or another one was made: nothing was written.
    Again,
}

/// Puts a new file where none is.
fn create(written: NamedTempFile, target: &Path) -> io::Result<Replaced> {
    match base::persist(written, target, base::Existing::Keep) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Replaced::Again),
        created => created.map(|()| Replaced::Done),
    }
}

/// Replaces a file in which `before` was seen by the one in which `bytes` were written. If others wrote
/// another one in the last moment, what `change` makes of that takes the place.
fn replace(
    mut written: NamedTempFile,
    file: &Path,
    target: &Path,
    mut before: Vec<u8>,
    mut bytes: Vec<u8>,
    change: &mut impl FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>>,
) -> Result<Replaced> {
    let failed = |error: io::Error| Error::file(target, &error);
    // It is kept until what was made of it is in its place.
    let mut theirs = None;
    for _ in 0..TRIES {
        match swap(written.path(), target) {
            Err(error) if is_missing(&error) => return Ok(Replaced::Again),
            Err(_) => {
                base::persist(written, target, base::Existing::Replace).map_err(failed)?;
                return Ok(Replaced::Done);
            }
            Ok(()) => {}
        }
        let found = read_file(written.path());
        if found.as_ref().is_ok_and(|found| *found == before) {
            base::sync_folder(folder_of(target)).map_err(failed)?;
            tracing::debug!("{}: {} bytes written", target.display(), bytes.len());
            return Ok(Replaced::Done);
        }
        tracing::debug!("{}: changed in the last moment", target.display());
        let next = found.map_err(failed).and_then(|found| {
            let next = change(Some(&found))?.filter(|bytes| *bytes != found);
            let Some(next) = next else { return Ok(None) };
            Ok(Some((prepare(file, target, &next).map_err(failed)?, next)))
        });
        match next {
            Ok(Some((next_written, next))) => {
                before = std::mem::replace(&mut bytes, next);
                theirs = Some(std::mem::replace(&mut written, next_written));
            }
            unchanged => {
                put_back(&written, target, &bytes).map_err(failed)?;
                return unchanged.map(|_| Replaced::Unchanged);
            }
        }
    }
    if let Some(theirs) = theirs {
        put_back(&theirs, target, &before).map_err(failed)?;
    }
    Err(changed_too_often(target))
}

/// Puts the file of others back where ours is now, unless they have written another one since.
fn put_back(theirs: &NamedTempFile, target: &Path, ours: &[u8]) -> io::Result<()> {
    swap(theirs.path(), target)?;
    if read_file(theirs.path())? != ours {
        swap(theirs.path(), target)?;
    }
    base::sync_folder(folder_of(target))
}

/// Swaps two files; an error where the system cannot do that.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Removes a file, whatever is in it, and the folders above it that are empty then, up to `top`; of a link
/// the link. Tells whether it was there.
pub(crate) fn delete(file: &Path, top: &Path) -> Result<bool> {
    for _ in 0..TRIES {
        let folder = match folder_of(file).canonicalize() {
            Err(error) if is_missing(&error) => return Ok(false),
            folder => folder.map_err(|error| Error::file(file, &error))?,
        };
        if let Some(_locks) = lock_all(&[folder])? {
            return remove(file, top);
        }
    }
    Err(changed_too_often(file))
}

fn changed_too_often(file: &Path) -> Error {
    let why = format!("others changed it {TRIES} times meanwhile");
    Error::new(file.display(), why).hint("nothing was written; try again")
}

/// The bytes of a file; `None` if it is not there.
pub(crate) fn read(file: &Path) -> Result<Option<Vec<u8>>> {
    try_read(file).map_err(|error| Error::file(file, &error))
}

/// The bytes of a file; `None` if it is not there.
pub(crate) fn try_read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(file) {
        // Of a pipe the end may never come.
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("not a file")),
        Ok(_) => {}
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    match read_file(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("/"))
}

/// What is replaced: the file, or what the link at its place leads to, there or not.
fn target(file: &Path) -> io::Result<PathBuf> {
    let mut target = file.to_owned();
    for _ in 0..40 {
        match fs::read_link(&target) {
            Ok(link) => target = folder_of(&target).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("its links lead round in a circle"))
}

/// Makes folders durably, of which each is in the next.
fn make_folders(folders: &[PathBuf]) -> io::Result<()> {
    for folder in folders.iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made?,
        }
        base::sync_folder(folder_of(folder))?;
    }
    Ok(())
}

/// Writes the bytes to a new file beside the target, named after the record's file: what a link leads to
/// may have any name, and a leftover is told by its own.
fn prepare(file: &Path, target: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".tmp");
    base::permissions_of_a_new_file(&mut builder);
    let mut written = builder.tempfile_in(folder_of(target))?;
    if let Ok(old) = fs::metadata(target) {
        #[cfg(unix)]
        keep_owner(written.as_file(), &old);
        written.as_file().set_permissions(old.permissions())?;
    }
    written.write_all(bytes)?;
    // Syncing takes long; after the last look at the old file it would be time for others to change it.
    base::sync(written.as_file())?;
    Ok(written)
}

/// Gives the new file to whom the old one belongs, where that is allowed: else what root changes, as in a
/// container, its owner may no longer read.
#[cfg(unix)]
fn keep_owner(new: &File, old: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let _ = fchown(new, Some(old.uid()), Some(old.gid()))
        .or_else(|_| fchown(new, None, Some(old.gid())));
}

/// Removes a file of a locked folder.
fn remove(file: &Path, top: &Path) -> Result<bool> {
    match fs::remove_file(file) {
        Err(error) if is_missing(&error) => return Ok(false),
        removed => removed.map_err(|error| Error::file(file, &error))?,
    }
    tracing::debug!("{}: removed", file.display());
    let folders = file.ancestors().skip(1).take_while(|&folder| folder != top);
    for folder in folders {
        // It fails if something is in it.
        if fs::remove_dir(folder).is_err() {
            let _ = base::sync_folder(folder);
            return Ok(true);
        }
        tracing::debug!("{}: removed, it was empty", folder.display());
    }
    let _ = base::sync_folder(top);
    Ok(true)
}

/// Locks the folders and sweeps them; `None` if one of them is another one than before.
fn lock_all(folders: &[PathBuf]) -> Result<Option<Vec<File>>> {
    let mut locks = Vec::new();
    for folder in folders {
        match lock(folder).map_err(|error| Error::file(folder, &error))? {
            Lock::Held(lock) => locks.push(lock),
            Lock::Impossible => tracing::debug!("{}: cannot be locked", folder.display()),
            Lock::Outdated => return Ok(None),
        }
    }
    if locks.len() == folders.len() {
        for folder in folders {
            sweep(folder);
        }
    }
    Ok(Some(locks))
}

enum Lock {
    Held(File),
    /// The system cannot lock folders here.
    Impossible,
    /// Another folder is at the path by now.
    Outdated,
}

#[cfg(unix)]
fn lock(folder: &Path) -> io::Result<Lock> {
    let opened = match File::open(folder) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lock::Outdated),
        Err(error) => return Err(error),
    };
    let start = Instant::now();
    loop {
        match opened.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if start.elapsed() < LONGEST => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => return Err(locked_too_long()),
            Err(TryLockError::Error(_)) => return Ok(Lock::Impossible),
        }
    }
    Ok(if base::is_at(&opened, folder) {
        Lock::Held(opened)
    } else {
        Lock::Outdated
    })
}

/// Windows locks no folders. A file that stands for the folder, among the temporary ones of the user, is opened
/// by one program at a time; Windows removes it when that program ends.
#[cfg(windows)]
fn lock(folder: &Path) -> io::Result<Lock> {
    use std::os::windows::fs::OpenOptionsExt;
    const DELETE_ON_CLOSE: u32 = 0x0400_0000;
    const SHARING_VIOLATION: i32 = 32;
    let name = Hash::of_text(&folder.to_string_lossy());
    let file = std::env::temp_dir().join(format!("localstore-{name}.lock"));
    let mut options = fs::OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .share_mode(0)
        .custom_flags(DELETE_ON_CLOSE);
    let is_held = |error: &io::Error| error.raw_os_error() == Some(SHARING_VIOLATION);
    let start = Instant::now();
    loop {
        match options.open(&file) {
            Ok(_) if !folder.is_dir() => return Ok(Lock::Outdated),
            Ok(lock) => return Ok(Lock::Held(lock)),
            // It is held, is being removed, or may not be opened.
            Err(error) if is_held(&error) || error.kind() == ErrorKind::PermissionDenied => {
                if start.elapsed() < LONGEST {
                    std::thread::sleep(Duration::from_millis(2));
                } else if is_held(&error) {
                    return Err(locked_too_long());
                } else {
                    let why = format!("{}: {error}", file.display());
                    return Err(io::Error::other(why));
                }
            }
            Err(_) => return Ok(Lock::Impossible),
        }
    }
}

fn locked_too_long() -> io::Error {
    let why = format!("locked by another program for {} s", LONGEST.as_secs());
    io::Error::other(why)
}

/// Removes what programs that were killed have left in a locked folder.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(is_leftover) && fs::remove_file(entry.path()).is_ok() {
            tracing::debug!("{}: a leftover, removed", entry.path().display());
        }
    }
}

/// Whether it is the name of a temporary file: `.TAG.json.XXXXXX.tmp`.
fn is_leftover(name: &str) -> bool {
    let name = name
        .strip_prefix('.')
        .and_then(|name| name.strip_suffix(".tmp"));
    let parts = name.and_then(|name| name.rsplit_once(".json."));
    parts.is_some_and(|(tag, random)| {
        !tag.is_empty()
            && random.len() == 6
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_goes_while_its_file_is_written_is_made_again() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("ns/key/tag.json");
        let mut times = 0;
        let is_changed = change(&file, |before| {
            assert_eq!(before, None);
            times += 1;
            // The second time it is locked.
            if times == 2 {
                fs::remove_dir(folder_of(&file)).unwrap();
            }
            Ok(Some(b"{}".to_vec()))
        });
        assert!(is_changed.unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"{}");
    }

    #[test]
    fn a_leftover_is_told_by_its_name() {
        assert!(is_leftover(".latest.json.aB3xYz.tmp"));
        for name in [
            "latest.json",
            ".latest.json",
            ".json.aB3xYz.tmp",
            ".latest.json.aB3xY.tmp",
            "x.json.aB3xYz.tmp",
        ] {
            assert!(!is_leftover(name), "{name}");
        }
    }
}
