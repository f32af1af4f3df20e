//! Files that are written whole or not at all.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

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
    file.as_file().sync_all()?;
    match existing {
        Existing::Keep => file.persist_noclobber(path)?,
        Existing::Replace => file.persist(path)?,
    };
    sync_folder(folder_of(path))
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

/// Gives the temporary file the permissions of an ordinary new file instead of private ones.
#[cfg(windows)]
pub fn permissions_of_a_new_file(_: &mut tempfile::Builder<'_, '_>) {}

/// Makes durable what was created, renamed or removed in a folder, where its file system can do that.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match std::fs::File::open(folder)?.sync_all() {
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

/// Makes durable what was created, renamed or removed in a folder.
#[cfg(windows)]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_error() {
        sync_folder(Path::new("/proc")).unwrap();
        sync_folder(Path::new("/no/such/folder")).unwrap_err();
    }
}
