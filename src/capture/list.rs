//! Tests outside documents: in an array, or one per line.

use std::io;

use super::LONGEST_LINE;
use super::reader::{Begun, OpenDocument};
use super::scan::Scan;
use super::signs::cut_off;
use crate::formats::Flaw;
use crate::formats::grouping::Grouping;
use crate::model::Test;

/// How tests outside documents are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// In an array that has not ended yet.
    Array,
    /// One per line.
    Lines,
    /// In an incomplete document or array.
    Broken,
}

impl Scan<'_> {
    /// Adds a test outside documents, which begins on this line.
    pub(super) fn test(&mut self, test: Result<Test, Flaw>, bytes: usize, line: u64) {
        let (run, result) = self.tests.push(test, bytes);
        self.grouped(line, run, result);
        self.since_test = 0;
    }

    /// How the test of this length, which begins the unread text, is listed.
    fn list_at(&mut self, length: usize) -> io::Result<List> {
        let end = self.input.line_end(length)?.unwrap_or(length);
        let text = &self.input.unread()[..end];
        let is_alone = text[length..].trim_ascii().is_empty()
            && memchr::memchr(b'\n', &text[..length]).is_none();
        Ok(match (self.list, self.before) {
            (Some(List::Array), (b',', true)) | (_, (b'[', true)) => List::Array,
            (Some(List::Array), _) | (_, (b',', true)) => List::Broken,
            _ if is_alone => List::Lines,
            _ => List::Broken,
        })
    }

    /// Adds the test of this length, which begins the unread text.
    pub(super) fn listed_test(
        &mut self,
        length: usize,
        test: Result<Test, Flaw>,
        bytes: usize,
    ) -> io::Result<Begun> {
        let list = self.list_at(length)?;
        let line = self.input.line();
        if list == List::Broken {
            self.broken_list(line);
            return Ok(Begun::Complete);
        }
        // Each array is a list of its own.
        if self.list != Some(list) || self.before.0 == b'[' {
            self.end_tests();
        }
        self.list = Some(list);
        self.test(test, bytes, line);
        Ok(match list {
            List::Array => Begun::Open(Box::new(TestList)),
            _ => Begun::Complete,
        })
    }

    /// Reports tests of an incomplete document or array, once per list.
    fn broken_list(&mut self, line: u64) {
        self.tests = Grouping::default();
        if self.list.replace(List::Broken) != Some(List::Broken) {
            let why = "tests of a document whose beginning is missing or damaged";
            self.bad(line, why.to_owned());
        }
        self.before = (b'}', false);
    }

    /// Ends what has begun: the list of tests, and the documents of llama-bench.
    pub(super) fn end_tests(&mut self) {
        self.end_list();
        self.end_bench();
    }

    /// Ends the list of tests, if there is one; an array that has not ended is cut off.
    pub(super) fn end_list(&mut self) {
        if self.list == Some(List::Array) && !self.options.partial {
            let tests = self.tests.tests();
            self.bad_after(self.input.line(), cut_off(tests), tests);
            self.tests = Grouping::default();
        }
        self.close_list();
    }

    /// Returns the run of a list of tests that has ended.
    fn close_list(&mut self) {
        self.list = None;
        if let Some(run) = std::mem::take(&mut self.tests).end() {
            self.run(run);
        }
    }
}

/// An array of tests, after one of its elements.
struct TestList;

impl OpenDocument for TestList {
    fn read(&mut self, scan: &mut Scan<'_>) -> io::Result<bool> {
        let mut next = [None; 2];
        loop {
            let unread = scan.input.unread();
            let mut bytes = unread.iter().filter(|byte| !byte.is_ascii_whitespace());
            next = next.map(|_| bytes.next().copied());
            let is_known = match next {
                [Some(b']'), None] | [None, _] => unread.len() > LONGEST_LINE,
                _ => true,
            };
            if is_known || !scan.input.fill()? {
                break;
            }
        }
        match next {
            [Some(b','), _] => {}
            // Otherwise it ends a document whose beginning is missing.
            [Some(b']'), after] if !matches!(after, Some(b'}' | b',')) => scan.close_list(),
            _ => {
                let line = scan.input.line();
                scan.broken_list(line);
            }
        }
        Ok(false)
    }
}
