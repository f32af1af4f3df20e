//! The reader of LocalScore's last line, the link to the submitted result.

use std::io;

use super::reader::{Begun, CaptureReader};
use super::scan::Scan;
use super::{Found, Link};
use crate::formats::console;
use crate::model::Site;

pub(super) struct Reader;

const LABEL: &[u8] = b"Result Link: ";

impl CaptureReader for Reader {
    fn sign(&self) -> &'static [u8] {
        LABEL
    }

    fn begin(&self, scan: &mut Scan<'_>, end: usize) -> io::Result<Begun> {
        let line = console::plain(&scan.input.unread()[..end]);
        let Some(link) = link(line.trim_ascii_start()) else {
            return Ok(Begun::Nothing);
        };
        scan.skip(end);
        scan.found.push_back(Found::Link(link));
        Ok(Begun::Complete)
    }
}

/// Reads the link to a submitted result.
fn link(line: &[u8]) -> Option<Link> {
    let url = std::str::from_utf8(line.strip_prefix(LABEL)?.trim_ascii()).ok()?;
    let id = url.rsplit('/').next()?.parse().ok().filter(|&id| id >= 0)?;
    Site::from_link(url, id)?;
    Some(Link {
        id,
        url: url.to_owned(),
    })
}
