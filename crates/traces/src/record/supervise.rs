//! The agent's process: its end, its limits, and the signals that are for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use base::process::{self, Group, Stop};

use crate::model::Reason;

/// How often signals and limits are looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long the agent has to end after a signal.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the supervision has to know.
pub(super) struct Watch<'a> {
    pub(super) signals: &'a mut Signals,
    pub(super) timeout: Option<Duration>,
    /// Set when the limit of parts is reached.
    pub(super) is_full: &'a AtomicBool,
    /// Is set when the agent has ended.
    pub(super) has_ended: &'a AtomicBool,
    /// Disconnected when all that the agent printed was passed on.
    pub(super) passed: &'a Receiver<()>,
}

/// The signals that are still to come, the gentle ones first.
type Ladder = &'static [Stop];

const INTERRUPT: Ladder = &[Stop::Interrupt, Stop::Terminate, Stop::Kill];
const HANGUP: Ladder = &[Stop::Hangup, Stop::Terminate, Stop::Kill];
const TERMINATE: Ladder = &[Stop::Terminate, Stop::Kill];

/// Waits for the end of the agent and of its output. Says why the agent was stopped, if it was.
pub(super) fn supervise(group: &mut Group, watch: &mut Watch) -> Option<Reason> {
    let Watch {
        signals,
        timeout,
        is_full,
        has_ended,
        passed,
    } = watch;
    let start = Instant::now();
    let mut stopped: Option<Reason> = None;
    let mut ladder: Ladder = &[];
    let mut next = start;
    let mut ended: Option<Instant> = None;
    loop {
        if ended.is_some() {
            if passed.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected) {
                return stopped;
            }
        } else if group.has_ended_within(TICK) {
            ended = Some(Instant::now());
            has_ended.store(true, Ordering::Release);
            if stopped.is_some() {
                // What the agent has started is stopped with it.
                group.stop(Stop::Kill);
            }
        }
        let now = Instant::now();
        let signal = signals.next();
        if signal.is_some() {
            // Whoever sends a second one does not want to wait.
            next = now;
        }
        if stopped.is_none() {
            let is_late = timeout.is_some_and(|timeout| start.elapsed() >= timeout);
            (stopped, ladder) = match signal {
                _ if is_full.load(Ordering::Acquire) => (Some(Reason::PartLimit), TERMINATE),
                _ if is_late => (Some(Reason::Timeout), TERMINATE),
                Some(Stop::Interrupt) => (Some(Reason::Interrupted), INTERRUPT),
                Some(Stop::Hangup) => (Some(Reason::Interrupted), HANGUP),
                Some(_) => (Some(Reason::Interrupted), TERMINATE),
                None => (None, ladder),
            };
            next = now;
        }
        if let Some((how, rest)) = ladder.split_first()
            && now >= next
        {
            tracing::info!("the agent is asked to end: {how:?}");
            group.stop(*how);
            ladder = rest;
            next = now + PATIENCE;
        }
        // Our own output may be blocked by whoever reads it.
        if stopped.is_some() && ended.is_some_and(|ended| ended.elapsed() > PATIENCE) {
            return stopped;
        }
    }
}

/// The signals that would end us: from now on they are for the agent, and we finish what is recorded.
#[cfg(unix)]
pub(super) struct Signals(Option<signal_hook::iterator::Signals>);

#[cfg(unix)]
impl Signals {
    /// Catches them, but for those that whoever started us has switched off, as nohup does.
    pub(super) fn catch() -> Self {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter();
        let wanted = wanted.filter(|signal| !process::is_ignored(*signal));
        // If registration fails, they end us as they always did.
        Self(signal_hook::iterator::Signals::new(wanted).ok())
    }

    /// The next one that has come.
    fn next(&mut self) -> Option<Stop> {
        use signal_hook::consts::{SIGHUP, SIGINT};
        Some(match self.0.as_mut()?.pending().next()? {
            SIGINT => Stop::Interrupt,
            SIGHUP => Stop::Hangup,
            _ => Stop::Terminate,
        })
    }
}

/// Ctrl-C and Ctrl-Break: from now on they are for the agent, and we finish what is recorded. A console that is
/// closed ends us, and 'repair' completes what is recorded.
#[cfg(windows)]
pub(super) struct Signals(process::Interrupt);

#[cfg(windows)]
impl Signals {
    /// Catches them. If that fails, they end us as they always did.
    pub(super) fn catch() -> Self {
        Self(process::Interrupt::catch_all())
    }

    /// The next one that has come.
    fn next(&mut self) -> Option<Stop> {
        self.0.take().then_some(Stop::Interrupt)
    }
}
