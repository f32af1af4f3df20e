//! Tests that stand outside of a document: in an array, or one on each line.

use std::io;

use super::signs::cut_off;
use super::{LONGEST_LINE, reader::OpenDocument, scan::Scan};
use crate::formats::grouping::Grouping;
use crate::formats::{Document, Flaw};
use crate::model::{Run, Test};

/// How tests outside of a document are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// In an array that has not ended yet.
    Array,
    /// One on each line.
    Lines,
    /// In a document or an array that is not whole.
    Broken,
}

impl Scan<'_> {
    /// A test that stands outside of a document, on this line.
    pub(super) fn test(&mut self, test: Result<Test, Flaw>, bytes: usize, line: u64) {
        let (run, result) = self.tests.push(test, bytes);
        self.run_of_tests(run);
        self.since_test = 0;
        if let Err(flaw) = result {
            self.bad(line, flaw.why);
        }
    }

    /// How the test of this length, which begins here, is listed.
    pub(super) fn list_at(&mut self, length: usize) -> io::Result<List> {
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

    /// Takes a test of such a list.
    pub(super) fn test_of_a_list(
        &mut self,
        list: List,
        test: Result<Test, Flaw>,
        bytes: usize,
        line: u64,
    ) {
        if list == List::Broken {
            self.broken_list(line);
            return;
        }
        // Each array is a list of its own.
        if self.list != Some(list) || self.before.0 == b'[' {
            self.end_tests();
        }
        self.list = Some(list);
        self.test(test, bytes, line);
        self.before = (b'}', false);
    }

    /// Reports, once a list, tests whose document or array is not whole.
    pub(super) fn broken_list(&mut self, line: u64) {
        self.tests = Grouping::default();
        if self.list.replace(List::Broken) != Some(List::Broken) {
            let why = "tests of a document whose beginning is missing or damaged";
            self.bad(line, why.to_owned());
        }
        self.before = (b'}', false);
    }

    /// Ends the list of tests, if there is one; an array that is still open is cut off.
    pub(super) fn end_tests(&mut self) {
        if self.list == Some(List::Array) && !self.options.partial {
            let why = cut_off("list", self.tests.tests());
            self.bad(self.input.line(), why);
            self.tests = Grouping::default();
        }
        self.close_list();
    }

    /// Takes the run of a list of tests that has ended.
    fn close_list(&mut self) {
        self.list = None;
        let run = std::mem::take(&mut self.tests).end();
        self.run_of_tests(run);
    }

    pub(super) fn run_of_tests(&mut self, run: Option<Run>) {
        if let Some(run) = run {
            self.run(Document {
                run,
                ..Document::default()
            });
        }
    }
}

/// The place behind an element of an array of tests.
pub(super) struct TestList;

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
            // Else it is the end of a document that was never begun.
            [Some(b']'), after] if !matches!(after, Some(b'}' | b',')) => scan.close_list(),
            _ => {
                let line = scan.input.line();
                scan.broken_list(line);
            }
        }
        Ok(false)
    }
}
