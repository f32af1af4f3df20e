//! Reading files, and standard input, which is `-` on the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Error, Result};

use crate::json::{Json, position};

/// The longest input that is read.
const LARGEST: u64 = 256 << 20;

/// Whether standard input was read.
static IS_STDIN_READ: AtomicBool = AtomicBool::new(false);

/// Whether `-` was given for a file.
#[must_use]
fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// Whether standard input was read, so that nothing is left of it.
#[must_use]
pub(crate) fn is_stdin_read() -> bool {
    IS_STDIN_READ.load(Ordering::Relaxed)
}

/// The bytes of a file, or of standard input if it is `-`, which can be read once.
fn read_input(file: &Path) -> Result<Vec<u8>> {
    if is_stdin(file) {
        if IS_STDIN_READ.swap(true, Ordering::Relaxed) {
            let why = "two things cannot be read from it";
            return Err(Error::new("standard input", why).hint("name a file for one of them"));
        }
        base::note_typed_input();
        let bytes = read_all(std::io::stdin().lock(), 0);
        return bytes.map_err(|error| Error::new("standard input", base::reason(&error)));
    }
    read_file(file).map_err(|error| Error::file(file, &error))
}

/// The text of a file, or of standard input if it is `-`.
pub(crate) fn read_input_text(file: &Path) -> Result<String> {
    let bytes = read_input(file)?;
    let text = text(&bytes).map_err(|error| Error::new(input_name(file), error))?;
    Ok(text.to_owned())
}

/// What a file is called in messages.
#[must_use]
pub(crate) fn input_name(file: &Path) -> std::path::Display<'_> {
    let named = if is_stdin(file) {
        Path::new("standard input")
    } else {
        file
    };
    named.display()
}

/// The JSON value of a file, or of standard input if it is `-`.
pub(crate) fn read_input_json(file: &Path) -> Result<Json> {
    let text = read_input_text(file)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Json::parse(text).map_err(|malformed| {
        let place = position(text, malformed.at);
        Error::new(input_name(file), format!("{}, {place}", malformed.why))
    })
}

/// The bytes of a file; an error if there are too many.
pub(crate) fn read_file(file: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(file)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    read_all(file, size)
}

/// All bytes, probably this many.
fn read_all(from: impl Read, size: u64) -> io::Result<Vec<u8>> {
    // One more, so that a single read finds the end.
    let mut bytes = Vec::with_capacity(size.min(LARGEST) as usize + 1);
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 256 MiB"));
    }
    Ok(bytes)
}

/// The text of these bytes; an error with the place where they are not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Error::plain(format!("not UTF-8, {}", position(&valid, valid.len())))
    })
}
