//! Puts tests that come one by one together to runs.

use std::collections::HashSet;

use super::Flaw;
use crate::model::{LocalScore, Run, Source, Suite, Test, Text};

/// Longer runs are refused.
pub(crate) const MAX_TESTS: usize = 4096;

/// Runs whose text is larger are refused.
const MAX_BYTES: usize = 16 << 20;

/// Puts the tests of a csv, or of a json that lists nothing but tests, together to runs.
///
/// A run ends where its tests begin again, that is with its first test or, after all that its suite expects, with any
/// that it has; and where the model changes.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    run: Run,
    /// The bytes that its tests took in the text.
    bytes: usize,
    /// The tests of the run by their place in the suite, a bit each, and by name.
    expected: u16,
    seen: HashSet<(i64, i64, Text)>,
    /// The first test of all: what every run is expected to begin with.
    lead: Option<(i64, i64, Text)>,
    /// Whether the run has a bad test.
    poisoned: bool,
    found_any: bool,
}

impl Grouping {
    /// How many tests the run has so far.
    #[must_use]
    pub(crate) fn tests(&self) -> usize {
        self.run.tests.len()
    }

    /// Whether there was no test at all.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        !self.found_any && self.run.tests.is_empty()
    }

    /// Takes the next test, which had so many bytes; returns the run before it if this one begins
    /// another.
    ///
    /// A bad test makes its whole run bad: the rest of that run is passed over. After all expected tests
    /// it belongs to the next one.
    pub(crate) fn push(
        &mut self,
        test: Result<Test, Flaw>,
        bytes: usize,
    ) -> (Option<Run>, Result<(), Flaw>) {
        let test = test.and_then(|test| {
            let begins_a_run = self.begins_a_run(&test);
            if self.poisoned || begins_a_run {
                return Ok((test, begins_a_run));
            }
            if self.run.tests.len() >= MAX_TESTS {
                return Err(Flaw::new(
                    0,
                    format!("a run of more than {MAX_TESTS} tests"),
                ));
            }
            if self.bytes + bytes > MAX_BYTES {
                return Err(Flaw::new(0, "a run of more than 16 MiB"));
            }
            Ok((test, false))
        });
        let (test, begins_a_run) = match test {
            Ok(test) => test,
            Err(flaw) => {
                let done = if self.is_complete() { self.end() } else { None };
                self.found_any = true;
                // One complaint a run is enough.
                let known = std::mem::replace(&mut self.poisoned, true);
                return (done, if known { Ok(()) } else { Err(flaw) });
            }
        };
        let done = if begins_a_run { self.end() } else { None };
        let key = key(&test);
        self.lead.get_or_insert_with(|| key.clone());
        self.expected |= LocalScore.place(&test).map_or(0, |place| 1 << place);
        if self.poisoned {
            self.run.tests.truncate(1);
        }
        if self.seen.len() < MAX_TESTS {
            self.seen.insert(key);
        }
        self.bytes += bytes;
        self.run.tests.push(test);
        (done, Ok(()))
    }

    /// Ends the last run, if there is a good one.
    pub(crate) fn end(&mut self) -> Option<Run> {
        let run = std::mem::take(&mut self.run);
        let good = !std::mem::take(&mut self.poisoned) && !run.tests.is_empty();
        self.bytes = 0;
        self.expected = 0;
        self.seen.clear();
        self.found_any = true;
        good.then_some(Run {
            source: Source::Csv,
            ..run
        })
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
        if self.poisoned {
            // Its first test may be the bad one, so more is taken for a sign.
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

/// What all tests of a run have in common, by the rule of the site.
fn model(test: &Test) -> (Option<&Text>, Option<&Text>, Option<u64>) {
    let model = &test.model;
    (
        model.model_name.as_ref(),
        model.model_quant_str.as_ref(),
        model.model_n_params,
    )
}
