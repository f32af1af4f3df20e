//! The objects of the user's repository, made our own: by hard links, or by copies from another file system.
//!
//! git marks an object as used, by the time of its file, when it would write one that is there already.
//! So what writes objects must not see these.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use base::{Error, Result};

use super::user::path;

/// Up to this number of objects, each in a file of its own, the start waits for them.
const AT_ONCE: usize = 1000;

/// A pass over a user's objects that goes on beside the recording.
#[derive(Debug)]
pub(super) struct Gathering {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The folder of the objects that we write; read as an alternate of `objects`.
pub(super) const FRESH: &str = "fresh";

/// Makes the objects in `from` readable in this git directory, and its own: at once if they are few. Until
/// then they are borrowed.
pub(super) fn gather(git_dir: &Path, from: Vec<PathBuf>) -> Result<Option<Gathering>> {
    let into = git_dir.join("objects");
    borrow_from(&into, &from)?;
    if from.is_empty() {
        return Ok(None);
    }
    let is_stopped = Arc::new(AtomicBool::new(false));
    if from.iter().map(|folder| weight(folder)).sum::<usize>() <= AT_ONCE {
        own(&into, &from, &is_stopped)?;
        return Ok(None);
    }
    let stop = Arc::clone(&is_stopped);
    let thread = std::thread::spawn(move || {
        if let Err(error) = own(&into, &from, &stop) {
            // They stay borrowed.
            tracing::warn!("the objects of the repository: {error}");
        }
    });
    Ok(Some(Gathering { is_stopped, thread }))
}

impl Gathering {
    /// Ends it, whether it is done or not.
    pub(super) fn stop(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// Links or copies all objects, then borrows nothing any more.
fn own(into: &Path, from: &[PathBuf], is_stopped: &AtomicBool) -> Result<()> {
    let begun = std::time::Instant::now();
    for folder in from {
        // Loose objects first: one that is packed meanwhile is then in a pack that is seen.
        for name in loose_folders(folder) {
            take_all(&folder.join(&name), &into.join(&name), is_stopped, |_| true)?;
        }
        // git reads a pack as soon as its index is there.
        for kind in ["pack", "idx"] {
            let is_wanted = |name: &Path| {
                name.extension().is_some_and(|extension| extension == kind)
                    && name.with_extension("idx").exists()
            };
            take_all(
                &folder.join("pack"),
                &into.join("pack"),
                is_stopped,
                is_wanted,
            )?;
        }
    }
    if is_stopped.load(Ordering::Relaxed) {
        return Ok(());
    }
    tracing::debug!("objects made our own in {:?}", begun.elapsed());
    borrow_from(into, &[])
}

/// Links or copies the files of a folder.
fn take_all(
    from: &Path,
    into: &Path,
    is_stopped: &AtomicBool,
    is_wanted: impl Fn(&Path) -> bool,
) -> Result<()> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::file(from, &error))?,
    };
    let mut is_made = false;
    for entry in entries {
        if is_stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Ok(entry) = entry else { continue };
        let file = entry.path();
        if !is_wanted(&file) {
            continue;
        }
        if !is_made {
            std::fs::create_dir_all(into).map_err(|error| Error::file(into, &error))?;
            is_made = true;
        }
        let copy = into.join(entry.file_name());
        take(&file, &copy).map_err(|error| Error::file(&copy, &error))?;
    }
    Ok(())
}

/// Links or copies a file. One that has vanished, or is there already, is not an error.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    let kind = match std::fs::hard_link(from, to) {
        Ok(()) => return Ok(()),
        Err(error) => error.kind(),
    };
    match kind {
        io::ErrorKind::AlreadyExists => return Ok(()),
        io::ErrorKind::NotFound if !from.exists() => return Ok(()),
        _ => {}
    }
    let mut source = match std::fs::File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        source => source?,
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    let mut copy = tempfile::NamedTempFile::new_in(folder)?;
    io::copy(&mut source, copy.as_file_mut())?;
    copy.persist(to)?;
    Ok(())
}

/// Removes what a git that failed or was killed has left of objects that it did not finish.
pub(super) fn sweep(git_dir: &Path) {
    let list = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    for folder in [FRESH, "objects"].map(|name| git_dir.join(name)) {
        let files = list(&folder).flat_map(|folder| list(&folder.path()));
        for file in files {
            if file.file_name().as_encoded_bytes().starts_with(b"tmp_") {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}

/// The number of loose objects; a pack on another file system counts by its size.
fn weight(folder: &Path) -> usize {
    let count = |folder: PathBuf| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let mut sum = count(folder.join("pack"));
    for name in loose_folders(folder) {
        sum += count(folder.join(name));
        if sum > AT_ONCE {
            break;
        }
    }
    sum
}

/// The folders of loose objects: `00` to `ff`.
fn loose_folders(folder: &Path) -> Vec<PathBuf> {
    let is_one = |name: &str| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| name.to_str().is_some_and(is_one))
        .collect()
}

/// Whether objects are missing that another repository has promised: that of a partial clone.
pub(super) fn has_promised(folders: &[PathBuf]) -> bool {
    let is_promised = |entry: std::fs::DirEntry| {
        let name = PathBuf::from(entry.file_name());
        name.extension().is_some_and(|kind| kind == "promisor")
    };
    folders.iter().any(|folder| {
        let entries = std::fs::read_dir(folder.join("pack"));
        entries.into_iter().flatten().flatten().any(is_promised)
    })
}

/// Sets where objects are looked for beside the folder itself.
fn borrow_from(objects: &Path, from: &[PathBuf]) -> Result<()> {
    let mut lines = format!("../{FRESH}\n").into_bytes();
    for folder in from {
        let path = super::user::bytes(folder);
        if path.first() == Some(&b'"') || path.contains(&b'\n') {
            lines.push(b'"');
            for byte in path {
                match byte {
                    b'\n' => lines.extend_from_slice(b"\\n"),
                    b'"' | b'\\' => lines.extend_from_slice(&[b'\\', byte]),
                    byte => lines.push(byte),
                }
            }
            lines.push(b'"');
        } else {
            lines.extend_from_slice(&path);
        }
        lines.push(b'\n');
    }
    super::private::put(&objects.join("info/alternates"), &lines)
}

/// The paths in a file `info/alternates`.
pub(super) fn alternates(lines: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty() && line.first() != Some(&b'#'))
        .map(|line| {
            let quoted = line.strip_prefix(b"\"");
            let Some(quoted) = quoted.and_then(|line| line.strip_suffix(b"\"")) else {
                return path(line);
            };
            let mut plain = Vec::new();
            let mut bytes = quoted.iter();
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\\' => match bytes.next() {
                        Some(b'n') => plain.push(b'\n'),
                        Some(byte) => plain.push(*byte),
                        None => {}
                    },
                    byte => plain.push(*byte),
                }
            }
            path(&plain)
        })
}
