//! The client: requests, their answers, attempts.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use net::{Client, FailureKind, Limits, Response, retry_after};
use serde::Deserialize;

use super::answer::{Answered, BatchResult, Outcome, Reported};
use super::{Answer, Batch, Failed, Rows, StepError};
use crate::fleet::{Address, Token};
use base::{Error, Result, one_line};

/// Why there is no answer to a batch.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    /// The message for people.
    pub error: Error,
}

/// The kinds of failure that a caller may tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The token may not do this: it may only read.
    Forbidden,
    /// The request or its answer is too large: a smaller batch may work.
    TooLarge,
    /// The server refused this request, and would do so again: one with other values may be taken.
    Refused,
    /// Anything else.
    Other,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A database on a libSQL server.
pub(crate) struct Remote {
    client: Client,
    address: Address,
    token: Option<Token>,
    wait: Box<dyn Fn(Duration)>,
    /// An attempt that took so long is made once more only.
    patience: Duration,
    pub(super) has_answered: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
}

/// The most attempts for a batch.
const ATTEMPTS: u32 = 6;

pub(super) const LIMITS: Limits = Limits {
    connect: Duration::from_secs(15),
    idle: Duration::from_mins(2),
    total: Duration::from_mins(15),
    max_body_mib: 32,
};

/// The longest pause between attempts; a server that asks for more is not asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The longest text of a server that is shown, in characters.
const MAX_SHOWN: usize = 300;

impl Remote {
    /// The database at the address; `variable` looks up environment variables, which may set a proxy.
    /// A token is not sent over a connection that others can read.
    pub(crate) fn new(
        address: Address,
        token: Option<Token>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        Self::with(address, token, variable, LIMITS, std::thread::sleep)
    }

    pub(super) fn with(
        address: Address,
        token: Option<Token>,
        variable: impl Fn(&str) -> Option<String>,
        limits: Limits,
        wait: impl Fn(Duration) + 'static,
    ) -> Result<Self> {
        if token.is_some() && !address.is_private() {
            let why = "a token is not sent over http, where others could read it";
            return Err(Error::new(&address, why).hint("use https, or remove the token"));
        }
        // A proxy could read the token.
        let is_direct = token.is_some() && address.is_plain();
        let variable = |name: &str| if is_direct { None } else { variable(name) };
        Ok(Self {
            client: Client::new(&address.url(), limits, variable)?,
            address,
            token,
            wait: Box::new(wait),
            patience: limits.idle,
            has_answered: Cell::new(false),
            sent: Cell::new(0),
            received: Cell::new(0),
        })
    }

    /// The bytes of all requests and of all answers so far, without their headers.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.sent.get(), self.received.get())
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Runs the batch. Unless the failure would come again, up to five more attempts are made, with
    /// growing pauses of at most a minute, but only one after a server that is silent.
    pub(crate) fn run(&self, batch: &Batch) -> Result<Answer, Failure> {
        let body = batch.encode().map_err(|error| Failure {
            kind: Kind::Refused,
            error: Error::new(&self.address, error),
        })?;
        let silences = Cell::new(0);
        let attempted = net::retry(
            ATTEMPTS,
            || {
                let begun = Instant::now();
                let outcome = self.attempt(batch, &body);
                silences.set(silences.get() + u32::from(begun.elapsed() >= self.patience));
                Ok::<_, std::convert::Infallible>(outcome)
            },
            |outcome, made| {
                let failed = outcome
                    .as_ref()
                    .err()
                    .filter(|failed| failed.is_temporary)?;
                if silences.get() > 1 {
                    return None;
                }
                tracing::info!("{}", failed.failure.error);
                Some(pause(failed.asked, made, chance()))
            },
            |attempt, pause| {
                let seconds = pause.as_secs_f32();
                tracing::info!("{}: attempt {attempt} in {seconds:.1} s", self.address);
                (self.wait)(pause);
            },
        );
        let Ok(attempted) = attempted;
        attempted.map_err(|attempt| attempt.failure)
    }

    fn attempt(&self, batch: &Batch, body: &[u8]) -> Result<Answer, Attempt> {
        let authorization = self.token.as_ref().map(Token::header);
        let mut headers = vec![("content-type", "application/json")];
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization));
        }
        self.sent.set(self.sent.get() + body.len() as u64);
        let response = self.client.send("POST", "/v2/pipeline", &headers, body);
        let response = response.map_err(|failure| {
            let attempt = self.attempt_failed(Kind::Other, self.shown(&failure.why));
            match failure.kind {
                FailureKind::MaybeSent => attempt.again(),
                // A server that was there may be there again soon; an address that is wrong not.
                FailureKind::NotSent if self.has_answered.get() => attempt.again(),
                FailureKind::NotSent | FailureKind::Rejected => attempt,
            }
        })?;
        let received = self.received.get() + response.body.len() as u64;
        self.received.set(received);
        let answer = self.read(batch, &response)?;
        self.has_answered.set(true);
        Ok(answer)
    }

    fn read(&self, batch: &Batch, response: &Response) -> Result<Answer, Attempt> {
        if let Some(why) = &response.incomplete {
            let is_too_large = response.body.len() as u64 > LIMITS.max_body_mib << 20;
            let why = self.shown(why);
            return Err(if is_too_large {
                self.attempt_failed(Kind::TooLarge, why)
            } else {
                self.attempt_failed(Kind::Other, why).again()
            });
        }
        if response.status != 200 {
            return Err(self.refused(batch, response));
        }
        let answered: Answered = match serde_json::from_slice(&response.body) {
            Ok(answered) => answered,
            Err(error) if error.is_eof() && !is_page(response) => {
                let why = "the answer is cut off".to_owned();
                return Err(self.attempt_failed(Kind::Other, why).again());
            }
            Err(error) => {
                tracing::info!("{}: {}", self.address, self.shown(&error.to_string()));
                return Err(self.not_libsql());
            }
        };
        let mut result = None;
        for outcome in answered.results {
            match outcome {
                Outcome::Error { error } => return Err(self.reported(batch, error)),
                Outcome::Ok { response } => result = response.result.or(result),
            }
        }
        let result = result.ok_or_else(|| self.not_libsql())?;
        self.answer(batch, result)
    }

    /// The answer, if its parts fit together.
    fn answer(&self, batch: &Batch, result: BatchResult) -> Result<Answer, Attempt> {
        let BatchResult {
            mut step_results,
            mut step_errors,
        } = result;
        if batch.is_alone() && step_results.len() == 1 && step_errors.len() == 1 {
            // As if it had been in a transaction.
            let done = || Some(Rows::default());
            let committed = step_results[0].as_ref().and_then(|_| done());
            step_results.insert(0, done());
            step_results.extend([committed, None]);
            step_errors.insert(0, None);
            step_errors.extend([None, None]);
        }
        let count = batch.steps.len();
        if step_results.len() != count + 3 || step_errors.len() != count + 3 {
            return Err(self.not_libsql());
        }
        let commit = count + 1;
        let mut failed = None;
        for (index, error) in step_errors.into_iter().enumerate().take(commit + 1) {
            let Some(error) = error else { continue };
            let step = (1..=count).contains(&index).then(|| index - 1);
            let is_instead = step.is_some_and(|step| batch.steps[step].instead_of.is_some());
            let error = StepError {
                message: self.shown(&error.message),
                code: self.shown(&error.code.unwrap_or_default()),
            };
            if is_instead || is_busy(&error) {
                let reported = Reported {
                    message: error.message,
                    code: Some(error.code),
                };
                return Err(self.reported(batch, reported));
            }
            if failed.is_none() {
                failed = Some(Failed { step, error });
            }
        }
        let was_run = |index: usize| step_results[index].is_some();
        let required = |index: usize| match index.checked_sub(1).and_then(|i| batch.steps.get(i)) {
            Some(step) => step.instead_of.is_none(),
            None => true,
        };
        let end = match &failed {
            Some(Failed {
                step: Some(step), ..
            }) => step + 1,
            Some(_) if was_run(0) => commit,
            Some(_) => 0,
            None => commit + 1,
        };
        let is_whole = (0..end).all(|index| was_run(index) || !required(index));
        let is_over = (end..=commit).all(|index| !was_run(index) || !required(index));
        if !is_whole || !is_over {
            return Err(self.not_libsql());
        }
        step_results.truncate(commit);
        step_results.remove(0);
        Ok(Answer {
            steps: step_results,
            failed,
        })
    }

    /// The failure for an error that concerns the whole batch.
    fn reported(&self, batch: &Batch, error: Reported) -> Attempt {
        let error = StepError {
            message: self.shown(&error.message),
            code: self.shown(&error.code.unwrap_or_default()),
        };
        if is_forbidden(&error.message) {
            return self.forbidden(batch, &error.message);
        }
        let is_busy = is_busy(&error);
        let kind = match &*error.code {
            "RESPONSE_TOO_LARGE" => Kind::TooLarge,
            _ => Kind::Refused,
        };
        let attempt = self.attempt_failed(kind, error.message);
        if is_busy { attempt.again() } else { attempt }
    }

    /// The failure for a status other than 200.
    fn refused(&self, batch: &Batch, response: &Response) -> Attempt {
        let status = response.status;
        let reason = match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => refusal.error,
            Err(_) if is_page(response) => "a web page".to_owned(),
            Err(_) => String::from_utf8_lossy(&response.body).into_owned(),
        };
        let reason = self.shown(&reason);
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        let is_busy = is_busy(&StepError {
            message: reason.clone(),
            code: String::new(),
        });
        match status {
            _ if is_busy => self.attempt_failed(Kind::Other, reason).again(),
            300..=399 => {
                let location = self.shown(response.header("location").unwrap_or("elsewhere"));
                let why = format!(
                    "it answered {status}, a redirect to {location}, which is not followed"
                );
                self.attempt_failed(Kind::Other, why)
            }
            401 => {
                let (why, hint) = match self.token {
                    Some(_) => (
                        "the token was not accepted",
                        "set LOCALSTORE_TOKEN to a token of this database that has not expired",
                    ),
                    None => (
                        "it wants a token",
                        "set LOCALSTORE_TOKEN, or LOCALSTORE_TOKEN_FILE",
                    ),
                };
                let why = format!("{why} (401){because}");
                self.attempt_failed(Kind::Other, why).hint(hint)
            }
            403 => self.forbidden(batch, &reason),
            400 if is_forbidden(&reason) => self.forbidden(batch, &reason),
            404 => {
                let why = format!("no libSQL database answers there (404){because}");
                self.attempt_failed(Kind::Other, why)
            }
            _ => {
                let kind = match status {
                    413 => Kind::TooLarge,
                    400 | 422 => Kind::Refused,
                    _ => Kind::Other,
                };
                let attempt = self.attempt_failed(kind, format!("it answered {status}{because}"));
                if !is_worth_repeating(status) {
                    return attempt;
                }
                let header = response.header("retry-after");
                let asked = header.and_then(|text| retry_after(text, Timestamp::now()));
                match asked {
                    Some(asked) if asked > LONGEST_PAUSE => {
                        let seconds = asked.as_secs();
                        let why =
                            format!("it answered {status}{because}, and asks to wait {seconds} s");
                        self.attempt_failed(kind, why)
                    }
                    _ => Attempt {
                        asked,
                        ..attempt.again()
                    },
                }
            }
        }
    }

    fn forbidden(&self, batch: &Batch, reason: &str) -> Attempt {
        let why = match (batch.is_write(), self.token.is_some()) {
            (true, true) => "the token may only read",
            (true, false) => "nobody may write there without a token",
            (false, _) => "it may not be read with this token",
        };
        let why = if reason.is_empty() {
            why.to_owned()
        } else {
            format!("{why}: {reason}")
        };
        self.attempt_failed(Kind::Forbidden, why)
    }

    fn not_libsql(&self) -> Attempt {
        let why = "its answer is not that of a libSQL server".to_owned();
        self.attempt_failed(Kind::Other, why)
    }

    fn attempt_failed(&self, kind: Kind, why: String) -> Attempt {
        Attempt {
            failure: Failure {
                kind,
                error: Error::new(&self.address, why),
            },
            is_temporary: false,
            asked: None,
        }
    }

    /// The text of a server in a line, without the token.
    fn shown(&self, text: &str) -> String {
        // What is cut off later need not be searched.
        let start: String = text.chars().take(16 * MAX_SHOWN).collect();
        let shown = match &self.token {
            Some(token) => token.hide_in(&start),
            None => start,
        };
        one_line(&shown, MAX_SHOWN)
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A failed attempt.
struct Attempt {
    failure: Failure,
    /// Whether another attempt may succeed.
    is_temporary: bool,
    /// The pause that the server asks for.
    asked: Option<Duration>,
}

impl Attempt {
    fn again(self) -> Self {
        Self {
            is_temporary: true,
            ..self
        }
    }

    fn hint(mut self, hint: &str) -> Self {
        self.failure.error = self.failure.error.hint(hint);
        self
    }
}

/// The pause before the next attempt after this number of attempts: about 1, 2, 4, 8 and 16 seconds,
/// or what the server asks for. Chance, from 0 to 1, keeps machines apart that failed together.
pub(super) fn pause(asked: Option<Duration>, made: u32, chance: f64) -> Duration {
    let pause = match asked {
        Some(asked) => asked.mul_f64(1.0 + chance / 4.0),
        None => (net::backoff(made) / 2).mul_f64(0.5 + chance),
    };
    pause.min(LONGEST_PAUSE)
}

/// A number from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "no more than chance is needed")]
pub(super) fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Whether the server, or a proxy before it, may answer otherwise in a moment.
fn is_worth_repeating(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 502..=504 | 520..=524)
}

/// Whether another connection holds the lock.
fn is_busy(error: &StepError) -> bool {
    let is_code = |code: &str| code.starts_with("SQLITE_BUSY") || code.starts_with("SQLITE_LOCKED");
    is_code(&error.code)
        || error.message.contains("SQLITE_BUSY")
        || error.message.contains("database is locked")
}

/// Whether the words are those of sqld about a token that may only read. A replica passes them on
/// with another status.
fn is_forbidden(message: &str) -> bool {
    message.contains("Authorization forbidden")
}

/// Whether it is a page for people, such as proxies send.
fn is_page(response: &Response) -> bool {
    let kind = response.header("content-type").unwrap_or_default();
    kind.starts_with("text/html") || response.body.trim_ascii_start().starts_with(b"<")
}
