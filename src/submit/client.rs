//! The client of the site.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use net::{FailureKind, Limits, backoff};

use super::list::{MAX_PAGES, PAGE};
use super::{ATTEMPTS, LONGEST_ATTEMPT, Outcome, Site, Wanted, answer};
use base::Result;

/// Posts payloads to a site.
pub(crate) struct Client(net::Client);

impl Client {
    /// A client for a site; `variable` looks up environment variables, which may set a proxy.
    pub(crate) fn new(site: &Site, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let limits = Limits {
            connect: Duration::from_secs(15),
            idle: LONGEST_ATTEMPT,
            total: LONGEST_ATTEMPT,
            max_body_mib: 1,
        };
        net::Client::new(site.as_str(), limits, variable).map(Self)
    }

    /// Posts a payload, once.
    pub(crate) fn post(&self, payload: &str) -> Outcome {
        let headers = [("content-type", "application/json")];
        match self
            .0
            .send("POST", Site::PATH, &headers, payload.as_bytes())
        {
            Ok(answer) => answer::outcome(&answer, Timestamp::now()),
            Err(net::Failure { kind, why }) => match kind {
                FailureKind::NotSent => Outcome::Again { why, after: None },
                FailureKind::Rejected => Outcome::Later { why },
                FailureKind::MaybeSent => Outcome::Unknown {
                    why,
                    answered: false,
                },
            },
        }
    }

    /// The ids of the results on the site that may be the wanted run. An error, the reason, unless
    /// the site's list was read as far back as the run can be.
    pub(crate) fn find(&self, wanted: &Wanted) -> Result<Vec<i64>, String> {
        let headers = [
            ("accept", "application/json"),
            ("cache-control", "no-cache"),
        ];
        let deadline = Instant::now() + LONGEST_ATTEMPT;
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for page in 1..=MAX_PAGES {
            if Instant::now() > deadline {
                return Err("the list of the site is too slow".to_owned());
            }
            let path = format!("{}?limit={PAGE}&page={page}", Site::PATH);
            let answer = self.0.send("GET", &path, &headers, b"");
            let answer = answer.map_err(|failure| failure.why)?;
            if answer.status != 200 || answer.incomplete.is_some() {
                return Err(answer::describe(&answer));
            }
            let page = wanted.page(&answer.body);
            let page = page.ok_or("the site answered 200 without a list of results")?;
            let before = seen.len();
            for (id, is_wanted) in page.rows {
                // What comes in while we read moves the others to later pages.
                if seen.insert(id) && is_wanted {
                    found.push(id);
                }
            }
            if page.is_last {
                return Ok(found);
            }
            if seen.len() == before {
                return Err("the list of the site repeats itself".to_owned());
            }
        }
        Err(format!(
            "the list of the site has more than {MAX_PAGES} pages"
        ))
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
            Outcome::Unknown {
                why: why(),
                answered: false,
            },
        ] {
            assert_eq!(run(vec![outcome.clone()]), (vec![], Some(outcome)));
        }
        let nothing_to_send = retry(|| Ok::<_, ()>(None), |_, _| unreachable!());
        assert_eq!(nothing_to_send, Ok(None));
    }
}
