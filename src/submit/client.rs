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
