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
    if path.is_dir() {
        return Err(Error::new(path.display(), "is a directory"));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".localstore-").suffix(".tmp");
    keep_permissions(&mut builder, path);
    let mut file = builder.tempfile_in(folder).map_err(|e| failed(&e))?;

    let mut writer = BufWriter::with_capacity(64 * 1024, file.as_file_mut());
    fill(&mut writer)?;
    writer.flush().map_err(|e| failed(&e))?;
    drop(writer);

    file.as_file().sync_all().map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error))?;
    sync_folder(folder).map_err(|e| failed(&e))
}

/// The new file gets the permissions of the one that it replaces, else those of any new file.
#[cfg(unix)]
fn keep_permissions(builder: &mut tempfile::Builder<'_, '_>, path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::metadata(path).map_or_else(
        // The umask takes its part from it when the file is created.
        |_| std::fs::Permissions::from_mode(0o666),
        |metadata| metadata.permissions(),
    );
    builder.permissions(permissions);
}

#[cfg(not(unix))]
fn keep_permissions(_: &mut tempfile::Builder<'_, '_>, _: &Path) {}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
