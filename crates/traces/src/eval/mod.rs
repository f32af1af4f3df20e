//! Runs suites of tests at the commits of a trajectory, and maps what they find back on its parts.

mod bisect;
mod checkout;
#[cfg(feature = "network")]
mod envoi;
#[cfg(not(feature = "network"))]
mod no_envoi;
mod report;
mod suite;

#[cfg(not(feature = "network"))]
use no_envoi as envoi;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use base::process::Interrupt;
use base::{Error, Result};

use self::checkout::Checkout;
use crate::repo::{History, is_hash};

pub(crate) use bisect::first_change;
pub(crate) use envoi::Envoi;
pub(crate) use report::{Evaluation, Input, Outcome, PartEvaluation, Report};
pub(crate) use suite::Suite;

/// How often is looked whether we are interrupted.
const TICK: Duration = Duration::from_millis(100);

/// What is run at each commit.
pub(crate) enum Tests {
    /// Commands, in a checkout.
    Suites(Vec<Suite>),
    /// A server that gets the code.
    Envoi(Envoi),
}

/// What each suite found at a commit.
type Results = BTreeMap<String, Outcome>;

/// A commit to evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job<'a> {
    pub(crate) commit: &'a str,
    /// The first part that has it.
    pub(crate) part: u64,
}

/// When to stop.
pub(crate) struct Limits {
    /// The longest that a suite may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) interrupt: Interrupt,
    stopped: AtomicBool,
}

impl Limits {
    /// From now on, Ctrl-C and a closed terminal end the suites.
    pub(crate) fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            interrupt: Interrupt::catch(),
            stopped: AtomicBool::new(false),
        }
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.came() || self.stopped.load(Ordering::Relaxed)
    }
}

impl Tests {
    /// The names of the suites.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Suites(suites) => suites.iter().map(|suite| suite.name.clone()).collect(),
            Self::Envoi(envoi) => envoi.paths.clone(),
        }
    }
}

/// Runs the suites at one commit after the other.
pub(crate) struct Runner<'a> {
    history: &'a History,
    tests: &'a Tests,
    limits: &'a Limits,
    checkout: Option<Checkout>,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(history: &'a History, tests: &'a Tests, limits: &'a Limits) -> Self {
        Self {
            history,
            tests,
            limits,
            checkout: None,
        }
    }

    /// What the suites find at a commit; `None` if they were interrupted.
    pub(crate) fn run(&mut self, job: &Job<'_>) -> Option<Evaluation> {
        let started = Instant::now();
        let results = match self.try_run(job) {
            Ok(results) => results?,
            Err(error) => {
                let names = self.tests.names().into_iter();
                let outcome = Outcome::error(error.to_string());
                names.map(|name| (name, outcome.clone())).collect()
            }
        };
        Some(Evaluation::of(results, started.elapsed()))
    }

    fn try_run(&mut self, job: &Job<'_>) -> Result<Option<Results>> {
        if !is_hash(job.commit) {
            return Err(Error::plain(format!("invalid commit '{}'", job.commit)));
        }
        let checkout = match &mut self.checkout {
            Some(checkout) => checkout,
            none => none.insert(Checkout::new(self.history)?),
        };
        match self.tests {
            Tests::Envoi(envoi) => envoi.run(checkout, job, self.limits),
            Tests::Suites(suites) => {
                let mut results = Results::new();
                for suite in suites {
                    // The first suite, or one whose folder the suite before it has removed.
                    if results.is_empty() || !checkout.is_there() {
                        checkout.switch(job.commit)?;
                    }
                    let Some(outcome) = suite.run(&checkout.folder(), job, self.limits) else {
                        return Ok(None);
                    };
                    results.insert(suite.name.clone(), outcome);
                }
                Ok(Some(results))
            }
        }
    }
}

/// Evaluates the commits, as many at a time as there are workers, and calls `done` in this thread with the
/// result of each. Ends early, without the suites that run at that moment, if it is interrupted or `done`
/// fails.
pub(crate) fn evaluate(
    history: &History,
    tests: &Tests,
    jobs: &[Job<'_>],
    workers: usize,
    limits: &Limits,
    mut done: impl FnMut(&Job<'_>, Evaluation) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, results) = sync_channel(0);
    let work = |sender: SyncSender<_>| {
        let mut runner = Runner::new(history, tests, limits);
        while !limits.is_stopped() {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let Some(evaluation) = runner.run(job) else {
                return;
            };
            if sender.send((job, evaluation)).is_err() {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        let mut results = results.into_iter();
        let done = results.try_for_each(|(job, evaluation)| done(job, evaluation));
        if done.is_err() {
            limits.stopped.store(true, Ordering::Relaxed);
        }
        done
    })
}
