//! git's index, as it is on disk: which files are tracked, and what git knows of each.

use std::path::PathBuf;

use super::user;

/// A tracked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) object: String,
    /// Type and permissions, as git has them.
    pub(super) mode: u32,
    /// 0, or that of a conflict.
    pub(super) stage: u16,
    /// In seconds and nanoseconds since 1970, cut as git cuts them.
    pub(super) changed: (u32, u32),
    pub(super) modified: (u32, u32),
    pub(super) inode: u32,
    pub(super) size: u32,
    /// git was told not to look at the file.
    pub(super) is_assumed_unchanged: bool,
    /// It is not checked out.
    pub(super) is_skipped: bool,
}

impl Entry {
    /// Whether it is a commit of another repository.
    pub(super) fn is_repository(&self) -> bool {
        self.mode == 0o160_000
    }

    /// Relative to the worktree.
    pub(super) fn path(&self) -> PathBuf {
        user::named(&self.name)
    }

    /// A line for `git update-index --index-info`, which forgets all that git knows of the file but its
    /// content.
    pub(super) fn line(&self) -> Vec<u8> {
        let (mode, object, stage) = (self.mode, &self.object, self.stage);
        let mut line = format!("{mode:o} {object} {stage}\t").into_bytes();
        line.extend_from_slice(&self.name);
        line.push(0);
        line
    }
}

/// The entries of an index, in the order of their names. `None` if it is in a form that only git reads: if
/// it is split, has whole folders as entries, or is damaged.
pub(super) fn read(bytes: &[u8], format: &str) -> Option<Vec<Entry>> {
    let hash = if format == "sha256" { 32 } else { 20 };
    let mut bytes = Bytes {
        all: bytes.get(..bytes.len().checked_sub(hash)?)?,
        at: 0,
    };
    if bytes.take(4)? != b"DIRC" {
        return None;
    }
    let version = bytes.number()?;
    if !(2..=4).contains(&version) {
        return None;
    }
    let count = bytes.number()?;
    let mut entries: Vec<Entry> = Vec::new();
    for _ in 0..count {
        let last = entries.last().map_or(&[][..], |entry| &entry.name);
        let entry = bytes.entry(hash, version, last)?;
        entries.push(entry);
    }
    // Extensions with a small letter change what the entries mean.
    while bytes.at < bytes.all.len() {
        let name = bytes.take(4)?;
        if !name.first()?.is_ascii_uppercase() {
            return None;
        }
        let length = bytes.number()?;
        bytes.take(usize::try_from(length).ok()?)?;
    }
    Some(entries)
}

struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.all.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Up to the next NUL, which is passed over.
    fn text(&mut self) -> Option<&'a [u8]> {
        let rest = self.all.get(self.at..)?;
        let text = self.take(memchr::memchr(0, rest)?)?;
        self.at += 1;
        Some(text)
    }

    fn entry(&mut self, hash: usize, version: u32, last: &[u8]) -> Option<Entry> {
        let start = self.at;
        let changed = (self.number()?, self.number()?);
        let modified = (self.number()?, self.number()?);
        let _device = self.number()?;
        let inode = self.number()?;
        let mode = self.number()?;
        let _owner = (self.number()?, self.number()?);
        let size = self.number()?;
        let mut object = String::with_capacity(2 * hash);
        for byte in self.take(hash)? {
            for digit in [byte >> 4, byte & 15] {
                object.push(char::from_digit(u32::from(digit), 16)?);
            }
        }
        let flags = self.short()?;
        let extended = if flags & 0x4000 == 0 {
            0
        } else {
            self.short()?
        };
        let name = if version == 4 {
            let kept = last.len().checked_sub(self.varint()?)?;
            [last.get(..kept)?, self.text()?].concat()
        } else {
            let name = self.text()?.to_vec();
            // Padded with up to 8 NULs, of which one is read.
            let length = self.at - start;
            self.take(length.next_multiple_of(8) - length)?;
            name
        };
        Some(Entry {
            name,
            object,
            mode,
            stage: (flags >> 12) & 3,
            changed,
            modified,
            inode,
            size,
            is_assumed_unchanged: flags & 0x8000 != 0,
            is_skipped: extended & 0x4000 != 0,
        })
    }

    /// A number of as many bytes as it needs.
    fn varint(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        loop {
            let byte = *self.take(1)?.first()?;
            value = value.checked_mul(128)? + usize::from(byte & 127);
            if byte & 128 == 0 {
                return Some(value);
            }
            value = value.checked_add(1)?;
        }
    }
}
