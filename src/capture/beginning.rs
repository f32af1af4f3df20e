//! What begins in the middle of a line, behind what a log put there.

use std::io::{self, Read};

use super::prefix::Prefix;
use super::signs::{BRACE, Signs, is_suspicious, prefix_length};
use super::text::trim_end;
use super::{Capture, Found, LONGEST_LINE, SUSPICIOUS, is_complete_object, may_be_ours};
use crate::formats::{csv, json};

/// Something that begins in the middle of a line, behind so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// What stands before it stands before the next lines too.
    BehindPrefix(usize),
    /// What stands before it is on its first line alone.
    Glued(usize),
}

/// A document that wraps another one tells so many lines first.
const MAX_WRAPPER: usize = 8;

impl<R: Read> Capture<R> {
    /// Takes a prefix of `length` bytes off this line, which ends at `end`, and the next ones; false if
    /// the line itself does not match it.
    pub(super) fn take_off(&mut self, length: usize, end: usize) -> bool {
        // What is taken off already belongs to it.
        let line = [self.input.stripped(), &self.input.unread()[..end]].concat();
        let whole = self.input.stripped().len() + length;
        let prefix = Prefix::of(&line[..whole]);
        let is_prefix = prefix.length(&line) == Some(whole);
        if is_prefix {
            self.input.set_prefix(Some(prefix));
        }
        is_prefix
    }

    /// Looks whether something begins in the middle of the line, behind what a log put there.
    pub(super) fn behind_a_prefix(&mut self, end: usize, signs: Signs) -> io::Result<()> {
        match self.beginning(end, signs)? {
            Some(Beginning::BehindPrefix(at)) if self.take_off(at, end) => return Ok(()),
            Some(Beginning::Glued(at)) if self.input.unread()[at] == b'{' => {
                self.skip(at);
                return self.json(0);
            }
            Some(Beginning::Glued(at)) => {
                self.skip(at);
                self.begin_csv(0, end - at);
                return Ok(());
            }
            Some(Beginning::BehindPrefix(_)) | None => {}
        }
        let line = &self.input.unread()[..end];
        if let Some(at) = signs.has(BRACE).then(|| object_behind(line)).flatten() {
            // A document on one line needs nothing of the others.
            self.skip(at);
            return self.json(0);
        }
        if signs.has_warning() && is_suspicious(line) {
            let is_header = memchr::memmem::find(line, csv::OWN_HEADER).is_some();
            let line = self.input.line();
            if is_header {
                self.bad(line, SUSPICIOUS.to_owned());
            } else if self.found_any {
                let what = SUSPICIOUS.to_owned();
                self.found.push_back(Found::Note { line, what });
            }
            self.suspicious.get_or_insert(line);
        }
        self.skip(end);
        Ok(())
    }

    /// What begins in the middle of the line, if the next lines go on with it.
    pub(super) fn beginning(&mut self, end: usize, signs: Signs) -> io::Result<Option<Beginning>> {
        let is_open = signs.has(BRACE) && trim_end(&self.input.unread()[..end]).ends_with(b"{");
        let has_key = || memchr::memmem::find(&self.input.unread()[..end], b"{\"").is_some();
        let lines = if signs.has_beginning() {
            1
        } else if is_open || (signs.has(BRACE) && has_key()) {
            MAX_WRAPPER
        } else {
            return Ok(None);
        };
        // A document that tells something else first is known by the lines behind it.
        let mut behind = end;
        for number in 0..lines {
            let Some(next) = self.input.line_end_within(behind, LONGEST_LINE)? else {
                break;
            };
            let line = &self.input.unread()[std::mem::replace(&mut behind, next)..next];
            let is_code = number == 0 && memchr::memchr(b'"', line).is_none();
            if lines > 1 && (is_code || json::is_ours(line)) {
                break;
            }
        }
        let (line, behind) = self.input.unread()[..behind].split_at(end);
        let Some(at) = prefix_length(signs, line, behind) else {
            return Ok(None);
        };
        let prefix = Prefix::of(&line[..at]);
        let mut others = behind.split_inclusive(|&byte| byte == b'\n');
        if prefix.is_indentation() || others.all(|line| prefix.length(line).is_some()) {
            return Ok(Some(Beginning::BehindPrefix(at)));
        }
        // Text that did not end its line stands before the document alone.
        let goes_on = match line[at] {
            b'{' => behind.starts_with(b" ") && behind.trim_ascii_start().starts_with(b"\""),
            b'+' | b'=' => false,
            _ => behind.starts_with(b"\""),
        };
        Ok(goes_on.then_some(Beginning::Glued(at)))
    }
}

/// Where a whole json document of ours begins in the line, or one that holds such a one.
pub(super) fn object_behind(line: &[u8]) -> Option<usize> {
    let is_ours = |at: &usize| {
        let text = &line[*at..];
        is_complete_object(text) && may_be_ours(text) && json::find_inner(text).is_ok()
    };
    let mut objects = memchr::memmem::find_iter(line, b"{\"").take(8);
    objects.find(is_ours)
}
