//! Files that we write: whole or not at all.

use std::io::{self, BufWriter, Write};
use std::path::Path;

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
    let path = &target;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".localstore-").suffix(".tmp");
    permissions_of_a_new_file(&mut builder);
    let mut file = builder.tempfile_in(folder).map_err(|e| failed(&e))?;
    if let Some(old) = old {
        file.as_file()
            .set_permissions(old.permissions())
            .map_err(|e| failed(&e))?;
    }

    let mut writer = BufWriter::with_capacity(64 * 1024, file.as_file_mut());
    fill(&mut writer)?;
    writer.flush().map_err(|e| failed(&e))?;
    drop(writer);

    file.as_file().sync_all().map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error))?;
    sync_folder(folder).map_err(|e| failed(&e))
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
