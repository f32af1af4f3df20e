//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
#[cfg(windows)]
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// The first line of a file, of which no more than so many bytes are read.
pub fn first_line(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let file = BufReader::new(File::open(path)?);
    file.take(most).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Writes the file at `path` through a temporary file beside it, fsync and rename: neither a reader,
/// a crash nor a full disk ever leaves half of it, and the old content stays until the new one is
/// safe.
///
/// The temporary file is created before `fill` is called, so that an unwritable folder is reported
/// before the work is done.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    refuse_reserved_name(path)?;
    let failed = |error: io::Error| Error::file(path, &error);
    // A link is kept, and its target replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = std::fs::metadata(&target).ok();
    match &old {
        Some(old) if old.is_dir() => return Err(Error::new(path.display(), "is a directory")),
        // A pipe or a device, for example, cannot be replaced.
        Some(old) if !old.is_file() => return write_through(path, fill),
        Some(old) if old.permissions().readonly() => {
            return Err(Error::new(path.display(), "the file is read-only"));
        }
        _ => {}
    }
    let mut builder = builder();
    permissions_of_a_new_file(&mut builder);
    let mut file = builder.tempfile_in(folder_of(&target)).map_err(failed)?;
    if let Some(old) = old {
        file.as_file()
            .set_permissions(old.permissions())
            .map_err(failed)?;
    }

    fill_buffered(path, file.as_file_mut(), fill)?;
    persist(file, &target, Existing::Replace).map_err(failed)
}

/// What happens to an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is kept, and the call fails.
    Keep,
    /// It is replaced.
    Replace,
}

/// Like [`write_atomically`], but `fill` gets the path of the temporary file. Only the user may read
/// the file, even after the rename.
pub fn replace_atomically(
    path: &Path,
    existing: Existing,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    refuse_reserved_name(path)?;
    let failed = |error: io::Error| Error::file(path, &error);
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match std::fs::metadata(&target) {
        Ok(old) if old.is_dir() => return Err(Error::new(path.display(), "is a directory")),
        Ok(old) if !old.is_file() => return Err(Error::new(path.display(), "is not a file")),
        Ok(_) if existing == Existing::Keep => {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        _ => {}
    }
    let file = builder().tempfile_in(folder_of(&target)).map_err(failed)?;
    fill(file.path())?;
    persist(file, &target, existing).map_err(failed)
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".localstore-").suffix(".tmp");
    builder
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Syncs the temporary file to disk, renames it, and makes the rename durable.
pub fn persist(file: NamedTempFile, path: &Path, existing: Existing) -> io::Result<()> {
    sync(file.as_file())?;
    match existing {
        Existing::Keep => drop(file.persist_noclobber(path)?),
        Existing::Replace => replace(file, path)?,
    }
    sync_folder(folder_of(path))
}

#[cfg(unix)]
fn replace(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    Ok(())
}

/// A file that another program has open can be replaced only if that program allows it. A virus scanner or an
/// indexer, which look at each new file, soon close it.
#[cfg(windows)]
#[allow(
    clippy::disallowed_methods,
    reason = "it replaces what readers have open, and the file is on disk"
)]
fn replace(file: NamedTempFile, path: &Path) -> io::Result<()> {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    let temporary = file.into_temp_path().keep()?;
    let mut pauses = [1, 10, 50, 100, 200, 400].into_iter();
    loop {
        let error = match std::fs::rename(&temporary, path) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let code = error.raw_os_error();
        let is_in_use = matches!(code, Some(ACCESS_DENIED | SHARING_VIOLATION));
        match pauses.next() {
            Some(pause) if is_in_use => std::thread::sleep(Duration::from_millis(pause)),
            _ => {
                let _ = std::fs::remove_file(&temporary);
                return Err(if is_in_use {
                    io::Error::new(error.kind(), IN_USE)
                } else {
                    error
                });
            }
        }
    }
}

#[cfg(windows)]
const IN_USE: &str =
    "another program has it open; close it there and try again, the old file is unchanged";

/// Refuses a name that Windows keeps for a device, in every folder and with any ending, and one with a `:`, which
/// would hide the data in a stream of another file.
pub fn refuse_reserved_name(path: &Path) -> Result<()> {
    if !cfg!(windows) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let why = if is_device(&name) {
        "Windows keeps this name for a device"
    } else if name.contains(':') {
        "a file on Windows has no ':' in its name"
    } else {
        return Ok(());
    };
    Err(Error::new(path.display(), why).hint("name another file"))
}

fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_uppercase();
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    let is_port = port.is_some_and(|number| {
        let mut number = number.chars();
        let digit = number.next();
        digit.is_some_and(|c| c.is_ascii_digit() || "\u{b9}\u{b2}\u{b3}".contains(c))
            && number.next().is_none()
    });
    is_port || ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
}

/// What tells a file from another one of the same name.
pub type Identity = (u64, u64);

/// The identity of the file at a path. It is not opened: that would end SQLite's locks on it.
#[cfg(unix)]
pub fn identity(path: &Path) -> io::Result<Identity> {
    std::fs::metadata(path).map(|found| identity_of(&found))
}

#[cfg(unix)]
fn identity_of(found: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// The identity of the file at a path.
#[cfg(windows)]
pub fn identity(path: &Path) -> io::Result<Identity> {
    identity_of(&File::open(path)?)
}

#[cfg(windows)]
fn identity_of(file: &File) -> io::Result<Identity> {
    let found = winapi_util::file::information(file)?;
    Ok((found.volume_serial_number(), found.file_index()))
}

/// Whether the opened file, or folder, is still the one at this path.
#[must_use]
pub fn is_at(opened: &File, path: &Path) -> bool {
    #[cfg(unix)]
    let opened = opened.metadata().map(|found| identity_of(&found));
    #[cfg(windows)]
    let opened = identity_of(opened);
    opened.is_ok_and(|opened| identity(path).is_ok_and(|there| there == opened))
}

fn write_through(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let mut file = file.map_err(|error| Error::file(path, &error))?;
    fill_buffered(path, &mut file, fill)
}

fn fill_buffered(
    path: &Path,
    file: &mut std::fs::File,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, Named { file, path });
    fill(&mut writer)?;
    Ok(writer.flush()?)
}

/// A file whose errors contain its path.
struct Named<'a> {
    file: &'a mut std::fs::File,
    path: &'a Path,
}

impl Write for Named<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        written.map_err(|error| io::Error::new(error.kind(), Error::file(self.path, &error)))
    }

    fn flush(&mut self) -> io::Result<()> {
        // A file has no buffer.
        Ok(())
    }
}

/// Gives the temporary file the permissions of an ordinary new file instead of private ones.
#[cfg(unix)]
pub fn permissions_of_a_new_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

/// No-op: who may read a new file is up to its folder.
#[cfg(windows)]
pub fn permissions_of_a_new_file(_: &mut tempfile::Builder<'_, '_>) {}

/// Makes durable what was written to a file.
#[cfg(not(target_vendor = "apple"))]
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Makes durable what was written to a file. Rust asks the drive to empty its own cache too, which the file
/// systems of networks refuse; then it is done without.
#[cfg(target_vendor = "apple")]
pub fn sync(file: &File) -> io::Result<()> {
    use rustix::io::Errno;
    let Err(error) = file.sync_all() else {
        return Ok(());
    };
    match Errno::from_io_error(&error) {
        Some(Errno::NOTSUP | Errno::NOTTY | Errno::INVAL) => Ok(rustix::fs::fsync(file)?),
        _ => Err(error),
    }
}

/// Makes durable what was created, renamed or removed in a folder, where its file system can do that.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match sync(&File::open(folder)?) {
        // Some of networks and of virtual machines cannot; the file is in its place all the same.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// No-op: the file system logs such changes by itself.
#[cfg(windows)]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_have_any_case_and_ending() {
        for name in [
            "CON",
            "nul.csv",
            "Com1",
            "lpt9.tar.gz",
            "aux ",
            "prn .txt",
            "nul:",
            "COM\u{b2}",
            "conout$",
        ] {
            assert!(is_device(name), "{name}");
        }
        for name in [
            "",
            "console",
            "com",
            "com10",
            "nulls.csv",
            "x.con",
            "\u{e9}con",
        ] {
            assert!(!is_device(name), "{name}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn a_file_that_others_have_open_is_replaced_or_kept_whole() {
        use std::os::windows::fs::OpenOptionsExt;
        const READ: u32 = 1;
        const READ_AND_DELETE: u32 = 1 | 4;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.csv");
        let write =
            |text: &str| write_atomically(&path, |file| Ok(file.write_all(text.as_bytes())?));
        write("old").unwrap();
        let open = |share| File::options().read(true).share_mode(share).open(&path);
        let reader = open(READ).unwrap();
        let error = write("new").unwrap_err().to_string();
        assert!(error.contains("another program has it open"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(reader);
        // Whether this reader is in the way depends on the version of Windows.
        let reader = open(READ_AND_DELETE).unwrap();
        let expected = write("new").map_or("old", |()| "new");
        assert_eq!(std::fs::read(&path).unwrap(), expected.as_bytes());
        drop(reader);
        write("newer").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newer");
    }

    #[test]
    fn a_file_is_told_from_another_one_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let link = folder.path().join("link");
        let opened = File::create(&path).unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        assert_eq!(identity(&path).unwrap(), identity(&link).unwrap());
        assert!(is_at(&opened, &path));
        let new = folder.path().join("new");
        File::create(&new).unwrap();
        assert!(!is_at(&opened, &new));
        assert_ne!(identity(&path).unwrap(), identity(&new).unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_synced_is_no_error() {
        sync_folder(Path::new("/proc")).unwrap();
        sync_folder(Path::new("/no/such/folder")).unwrap_err();
    }
}
