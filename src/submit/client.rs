//! The client of the site.

use std::time::Duration;

use jiff::Timestamp;
use net::{FailureKind, Limits, backoff};

use super::{ATTEMPTS, Exchange, LONGEST_ATTEMPT, Outcome, Site, answer};
use base::Result;

/// Posts payloads to a site.
pub(crate) struct Client(net::Client);

impl Client {
    /// A client for a site; `variable` looks up environment variables, which may set a proxy.
    pub(crate) fn new(site: &Site, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let limits = Limits {
            connect: Duration::from_secs(15),
            total: LONGEST_ATTEMPT,
            max_body_mib: 1,
        };
        net::Client::new(site.as_str(), limits, variable).map(Self)
    }

    /// Posts a payload, once.
    pub(crate) fn post(&self, payload: &str) -> Exchange {
        let headers = [("content-type", "application/json")];
        match self
            .0
            .send("POST", Site::PATH, &headers, payload.as_bytes())
        {
            Ok(answer) => Exchange {
                outcome: answer::outcome(&answer, Timestamp::now()),
                line: answer::line(&answer),
            },
            Err(net::Failure { kind, why }) => Exchange {
                line: Some(format!("Error submitting results: {why}")),
                outcome: match kind {
                    FailureKind::NotSent => Outcome::Again { why, after: None },
                    FailureKind::Rejected => Outcome::Later { why },
                    FailureKind::MaybeSent => Outcome::Unknown { why },
                },
            },
        }
    }
}

/// Makes attempts while the outcome is [`Outcome::Again`], and returns the last outcome. `wait` gets
/// the number of the next attempt and the time to wait.
///
/// The waits are those of `submitBenchmarkResults` in the C tool's localscore.cpp, 2 and 4 seconds,
/// unless the site asks for another time. Unlike there, an attempt with an unknown outcome is not
/// repeated: the site could show the run twice.
pub(crate) fn retry<E>(
    attempt: impl FnMut() -> Result<Option<Outcome>, E>,
    wait: impl FnMut(u32, Duration),
) -> Result<Option<Outcome>, E> {
    let pause = |outcome: &Option<Outcome>, made| match outcome {
        Some(Outcome::Again { after, .. }) => Some(after.unwrap_or_else(|| backoff(made))),
        _ => None,
    };
    net::retry(ATTEMPTS, attempt, pause, wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits, in seconds, and the last outcome.
    fn run(outcomes: Vec<Outcome>) -> (Vec<(u32, u64)>, Option<Outcome>) {
        let mut waits = Vec::new();
        let mut outcomes = outcomes.into_iter();
        let end = retry(
            || outcomes.next().map(Some).ok_or("too many attempts"),
            |attempt, pause| waits.push((attempt, pause.as_secs())),
        );
        assert_eq!(outcomes.next(), None, "too few attempts");
        (waits, end.unwrap())
    }

    fn again(after: Option<u64>) -> Outcome {
        Outcome::Again {
            why: "busy".into(),
            after: after.map(Duration::from_secs),
        }
    }

    #[test]
    fn a_busy_site_is_asked_three_times() {
        let (waits, end) = run(vec![again(None), again(Some(30)), again(None)]);
        assert_eq!(waits, [(2, 2), (3, 30)]);
        assert_eq!(end, Some(again(None)));
    }

    #[test]
    fn nothing_else_is_repeated() {
        let why = String::new;
        for outcome in [
            Outcome::Taken { id: 1 },
            Outcome::Later { why: why() },
            Outcome::Refused { why: why() },
            Outcome::Unknown { why: why() },
        ] {
            assert_eq!(run(vec![outcome.clone()]), (vec![], Some(outcome)));
        }
        let nothing_to_send = retry(|| Ok::<_, ()>(None), |_, _| unreachable!());
        assert_eq!(nothing_to_send, Ok(None));
    }
}
