//! Groups single tests into runs.

use std::collections::HashSet;

use super::{Document, Flaw};
use crate::model::{LocalScore, Run, Source, Suite, Test, Text};

/// Runs of more tests are refused.
pub(crate) const MAX_TESTS: usize = 4096;

/// Runs of more bytes of text are refused.
const MAX_BYTES: usize = 16 << 20;

/// Groups the tests of a csv, or of json that lists only tests, into runs.
///
/// A run ends where its first test comes again; once it has all tests of its suite, where any of
/// its tests comes again; and where the model changes.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    /// The unknown columns of the table that the tests come from.
    pub unknown: Vec<String>,
    run: Run,
    /// The size of its tests in the text.
    bytes: usize,
    /// Its tests by their place in the suite, one bit each, and by name.
    expected: u16,
    seen: HashSet<(i64, i64, Text)>,
    /// The first test of the first run: other runs probably begin with it, too.
    lead: Option<(i64, i64, Text)>,
    /// Whether the run has an invalid test.
    invalid: bool,
    found_any: bool,
}

impl Grouping {
    /// The number of tests that the run has so far.
    #[must_use]
    pub(crate) fn tests(&self) -> usize {
        self.run.tests.len()
    }

    /// Whether there was no test at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        !self.found_any && self.run.tests.is_empty()
    }

    /// Adds the next test, which has this size in the text. If it begins another run, returns the
    /// previous one.
    ///
    /// An invalid test makes its whole run invalid, and the rest of that run is skipped. After a
    /// complete run it belongs to the next one.
    pub(crate) fn push(
        &mut self,
        test: Result<Test, Flaw>,
        bytes: usize,
    ) -> (Option<Document>, Result<(), Flaw>) {
        let begins_a_run = test.as_ref().is_ok_and(|test| self.begins_a_run(test));
        let too_large = if begins_a_run || self.invalid {
            None
        } else if self.run.tests.len() >= MAX_TESTS {
            Some(format!("a run of more than {MAX_TESTS} tests"))
        } else if self.bytes + bytes > MAX_BYTES {
            Some("a run of more than 16 MiB".to_owned())
        } else {
            None
        };
        let test = match too_large {
            Some(why) => test.and(Err(Flaw::new(0, why))),
            None => test,
        };
        let test = match test {
            Ok(test) => test,
            Err(flaw) => {
                let done = if self.is_complete() { self.end() } else { None };
                self.found_any = true;
                // One error per run is enough.
                let is_reported = std::mem::replace(&mut self.invalid, true);
                return (done, if is_reported { Ok(()) } else { Err(flaw) });
            }
        };
        let done = if begins_a_run { self.end() } else { None };
        let key = key(&test);
        self.lead.get_or_insert_with(|| key.clone());
        self.expected |= LocalScore.place(&test).map_or(0, |place| 1 << place);
        if self.invalid {
            self.run.tests.truncate(1);
        }
        if self.seen.len() < MAX_TESTS {
            self.seen.insert(key);
        }
        self.bytes += bytes;
        self.run.tests.push(test);
        (done, Ok(()))
    }

    /// Ends the run and returns it, unless it is invalid or empty.
    pub(crate) fn end(&mut self) -> Option<Document> {
        let run = std::mem::take(&mut self.run);
        let is_valid = !std::mem::take(&mut self.invalid) && !run.tests.is_empty();
        self.bytes = 0;
        self.expected = 0;
        self.seen.clear();
        self.found_any = true;
        is_valid.then(|| self.document(run))
    }

    fn document(&self, run: Run) -> Document {
        Document {
            run: Run {
                source: Source::Csv,
                ..run
            },
            unknown: self.unknown.clone(),
            length: 0,
        }
    }

    /// Ends a table; if it has no rows, it is a run without tests.
    pub(crate) fn end_table(&mut self) -> Option<Document> {
        if self.is_empty() {
            Some(self.document(Run::default()))
        } else {
            self.end()
        }
    }

    fn is_complete(&self) -> bool {
        self.expected.count_ones() as usize == LocalScore.expected().len()
    }

    fn begins_a_run(&self, test: &Test) -> bool {
        let Some(first) = self.run.tests.first() else {
            return false;
        };
        let key = key(test);
        if model(first) != model(test) {
            return true;
        }
        if self.invalid {
            // The invalid test may be the first one, so other signs count as well.
            let highest = u16::BITS - self.expected.leading_zeros();
            let starts_over = LocalScore
                .place(test)
                .is_some_and(|place| place < highest as usize);
            return starts_over || self.lead.as_ref() == Some(&key) || self.seen.contains(&key);
        }
        (first.n_prompt, first.n_gen, &first.name) == (key.0, key.1, &key.2)
            || (self.is_complete() && self.seen.contains(&key))
    }
}

fn key(test: &Test) -> (i64, i64, Text) {
    (test.n_prompt, test.n_gen, test.name.clone())
}

/// What all tests of a run have in common; the site refuses other runs.
fn model(test: &Test) -> (Option<&Text>, Option<&Text>, Option<u64>) {
    let model = &test.model;
    (
        model.model_name.as_ref(),
        model.model_quant_str.as_ref(),
        model.model_n_params,
    )
}
