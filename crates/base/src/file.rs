//! Files that we write: whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Writes the file at `path` by a temporary file beside it, fsync and rename: a reader, a crash or
/// a full disk never shows half of it, and the old content stays until the new one is safe.
///
/// The temporary file is made before `fill` is called, so that a folder that cannot be written to
/// is found before the work.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let failed = |error: &io::Error| Error::file(path, error);
    // A link stays, and what it points to is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = std::fs::metadata(&target).ok();
    match &old {
        Some(old) if old.is_dir() => return Err(Error::new(path.display(), "is a directory")),
        // Such as a pipe or a device: there is nothing to replace.
        Some(old) if !old.is_file() => return write_through(path, fill),
        Some(old) if old.permissions().readonly() => {
            return Err(Error::new(path.display(), "the file is read-only"));
        }
        _ => {}
    }
    let mut builder = builder();
    permissions_of_a_new_file(&mut builder);
    let mut file = beside(&target, &builder).map_err(|e| failed(&e))?;
    if let Some(old) = old {
        file.as_file()
            .set_permissions(old.permissions())
            .map_err(|e| failed(&e))?;
    }

    let mut writer = BufWriter::with_capacity(64 * 1024, file.as_file_mut());
    fill(&mut writer)?;
    writer.flush().map_err(|e| failed(&e))?;
    drop(writer);
    persist(file, &target, Existing::Replace).map_err(|e| failed(&e))
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and there is an error.
    Keep,
    /// The new one takes its place.
    Replace,
}

/// As [`write_atomically`], for who needs a file by its name: `fill` gets the path of the temporary
/// one, which only its user may read, and so it stays.
pub fn replace_atomically(
    path: &Path,
    existing: Existing,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let failed = |error: &io::Error| Error::file(path, error);
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match std::fs::metadata(&target) {
        Ok(old) if old.is_dir() => return Err(Error::new(path.display(), "is a directory")),
        Ok(old) if !old.is_file() => return Err(Error::new(path.display(), "is no file")),
        Ok(_) if existing == Existing::Keep => {
            return Err(failed(&io::ErrorKind::AlreadyExists.into()));
        }
        _ => {}
    }
    let file = beside(&target, &builder()).map_err(|e| failed(&e))?;
    fill(file.path())?;
    persist(file, &target, existing).map_err(|e| failed(&e))
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

fn beside(path: &Path, builder: &tempfile::Builder<'_, '_>) -> io::Result<NamedTempFile> {
    builder.tempfile_in(folder_of(path))
}

/// Gives the file its name once it is safe, and makes the name safe.
fn persist(file: NamedTempFile, path: &Path, existing: Existing) -> io::Result<()> {
    file.as_file().sync_all()?;
    match existing {
        Existing::Keep => file.persist_noclobber(path)?,
        Existing::Replace => file.persist(path)?,
    };
    sync_folder(folder_of(path))
}

fn write_through(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = |error: &io::Error| Error::file(path, error);
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let mut writer = BufWriter::new(file.map_err(|e| failed(&e))?);
    fill(&mut writer)?;
    writer.flush().map_err(|e| failed(&e))
}

/// A temporary file is private; this one becomes an ordinary one, less the umask.
#[cfg(unix)]
fn permissions_of_a_new_file(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn permissions_of_a_new_file(_: &mut tempfile::Builder<'_, '_>) {}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
