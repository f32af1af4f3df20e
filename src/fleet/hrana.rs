//! Hrana over HTTP, the protocol of libSQL servers: values, batches of statements, their answers.
//!
//! A batch is one request and one transaction, so none stays open when a client goes away. Whoever
//! makes one must make it safe to repeat: an answer that is lost is asked for again.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use net::{Client, FailureKind, Limits, Response, retry_after};
use serde::de::{self, Deserializer, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use super::{Address, Token};
use base::{Error, Result, one_line};

/// A value of SQLite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A real number, finite when it is sent: the protocol cannot carry others.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Base64 as the protocol wants it: without padding, and read with or without it.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self {
            Self::Null => map.serialize_entry("type", "null")?,
            Self::Integer(value) => {
                map.serialize_entry("type", "integer")?;
                map.serialize_entry("value", &value.to_string())?;
            }
            Self::Real(value) if !value.is_finite() => {
                return Err(S::Error::custom(
                    "a number that is not finite cannot be sent",
                ));
            }
            Self::Real(value) => {
                map.serialize_entry("type", "float")?;
                map.serialize_entry("value", value)?;
            }
            Self::Text(value) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("value", value)?;
            }
            Self::Blob(value) => {
                map.serialize_entry("type", "blob")?;
                map.serialize_entry("base64", &BASE64.encode(value))?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = Typed::deserialize(deserializer)?;
        let invalid = || de::Error::custom(format_args!("invalid value of type '{}'", typed.kind));
        match (&*typed.kind, typed.value, typed.base64) {
            ("integer", Some(Scalar::Text(text)), _) => {
                text.parse().map(Self::Integer).map_err(|_| invalid())
            }
            ("integer", Some(Scalar::Integer(value)), _) => Ok(Self::Integer(value)),
            // A number that JSON cannot carry comes as null.
            ("null", ..) | ("float", None, _) => Ok(Self::Null),
            ("float", Some(Scalar::Real(value)), _) => Ok(Self::Real(value)),
            #[allow(
                clippy::cast_precision_loss,
                reason = "it is a real number without a fraction"
            )]
            ("float", Some(Scalar::Integer(value)), _) => Ok(Self::Real(value as f64)),
            ("text", Some(Scalar::Text(text)), _) => Ok(Self::Text(text.into_owned())),
            ("blob", _, Some(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(Self::Blob).map_err(|_| invalid())
            }
            _ => Err(invalid()),
        }
    }
}

/// A value as it is in JSON.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
}

enum Scalar<'a> {
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

struct ScalarVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Integer(value))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "only a real number can be so large"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Scalar::Real(value as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Real(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }
}

/// Statements that are one transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    begin: &'static str,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    sql: Cow<'static, str>,
    args: Vec<Value>,
    /// The step that must have failed; else all before must have succeeded.
    instead_of: Option<usize>,
}

impl Batch {
    /// A batch whose statements read, all of them the same state of the database. A replica answers
    /// it without its primary, and a token that may only read is enough.
    pub(crate) fn read() -> Self {
        Self::new("BEGIN")
    }

    /// A batch whose statements may write. Nobody else writes between them.
    pub(crate) fn write() -> Self {
        Self::new("BEGIN IMMEDIATE")
    }

    fn new(begin: &'static str) -> Self {
        Self {
            begin,
            steps: Vec::new(),
        }
    }

    fn is_write(&self) -> bool {
        self.begin != "BEGIN"
    }

    /// Whether it is one statement that reads, which needs no transaction: so the request that finds
    /// nothing new is as small as it can be.
    fn is_alone(&self) -> bool {
        !self.is_write() && self.steps.len() == 1
    }

    /// Adds a statement that is run if every statement before it succeeded, those of
    /// [`instead`](Self::instead) aside. Returns its number. It must take exactly these arguments.
    pub(crate) fn then(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        args: impl Into<Vec<Value>>,
    ) -> usize {
        self.add(sql.into(), args.into(), None)
    }

    /// Adds a statement that is run if the step `of`, which must be there, failed: within the
    /// transaction, before it is rolled back. It should only read. Returns its number.
    pub(crate) fn instead(
        &mut self,
        of: usize,
        sql: impl Into<Cow<'static, str>>,
        args: impl Into<Vec<Value>>,
    ) -> usize {
        debug_assert!(of < self.steps.len(), "the step is there");
        self.add(sql.into(), args.into(), Some(of))
    }

    /// How many statements there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    fn add(
        &mut self,
        sql: Cow<'static, str>,
        args: Vec<Value>,
        instead_of: Option<usize>,
    ) -> usize {
        self.steps.push(Step {
            sql,
            args,
            instead_of,
        });
        self.steps.len() - 1
    }

    /// The request, whose texts of statements are there once each.
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for step in &self.steps {
            *uses.entry(&step.sql).or_default() += 1;
        }
        let mut ids: HashMap<&str, usize> = HashMap::new();
        let mut stored = Vec::new();
        for step in &self.steps {
            let sql = &*step.sql;
            if uses[sql] > 1 && stored.len() < MAX_STORED && !ids.contains_key(sql) {
                ids.insert(sql, stored.len());
                stored.push(Request::StoreSql {
                    sql_id: stored.len(),
                    sql,
                });
            }
        }
        let mut requests = stored;
        requests.push(Request::Batch {
            batch: Steps { batch: self, ids },
        });
        requests.push(Request::Close);
        serde_json::to_vec(&Pipeline { requests })
    }
}

/// The most texts that are stored for a batch; sqld stores 50.
const MAX_STORED: usize = 48;

#[derive(Serialize)]
struct Pipeline<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Request<'a> {
    StoreSql { sql_id: usize, sql: &'a str },
    Batch { batch: Steps<'a> },
    Close,
}

struct Steps<'a> {
    batch: &'a Batch,
    ids: HashMap<&'a str, usize>,
}

#[derive(Serialize)]
struct SentStep<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
    stmt: Statement<'a>,
}

#[derive(Serialize, Default)]
struct Statement<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_id: Option<usize>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    args: &'a [Value],
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Condition {
    Ok { step: usize },
    Error { step: usize },
    Not { cond: Box<Condition> },
    And { conds: Vec<Condition> },
}

impl Serialize for Steps<'_> {
    /// `BEGIN` is step 0, so that a step of the batch has its number and 1; after them `COMMIT`, and
    /// `ROLLBACK` if that was not done.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("steps", &StepList(self))?;
        map.end()
    }
}

struct StepList<'a>(&'a Steps<'a>);

impl Serialize for StepList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Steps { batch, ids } = self.0;
        let plain = |sql| Statement {
            sql: Some(sql),
            ..Statement::default()
        };
        if let ([step], true) = (&*batch.steps, batch.is_alone()) {
            let stmt = Statement {
                args: &step.args,
                ..plain(&step.sql)
            };
            return [SentStep {
                condition: None,
                stmt,
            }]
            .serialize(serializer);
        }
        let count = batch.steps.len();
        let mut list = serializer.serialize_seq(Some(count + 3))?;
        list.serialize_element(&SentStep {
            condition: None,
            stmt: plain(batch.begin),
        })?;
        let mut last = 0;
        for (index, step) in batch.steps.iter().enumerate() {
            let condition = match step.instead_of {
                Some(of) => Condition::Error { step: of + 1 },
                None => Condition::Ok { step: last },
            };
            if step.instead_of.is_none() {
                last = index + 1;
            }
            let stored = ids.get(&*step.sql).copied();
            list.serialize_element(&SentStep {
                condition: Some(condition),
                stmt: Statement {
                    sql: stored.is_none().then_some(&*step.sql),
                    sql_id: stored,
                    args: &step.args,
                },
            })?;
        }
        let commit = count + 1;
        list.serialize_element(&SentStep {
            condition: Some(Condition::Ok { step: last }),
            stmt: plain("COMMIT"),
        })?;
        let cond = Box::new(Condition::Ok { step: commit });
        list.serialize_element(&SentStep {
            condition: Some(Condition::And {
                conds: vec![Condition::Ok { step: 0 }, Condition::Not { cond }],
            }),
            stmt: plain("ROLLBACK"),
        })?;
        list.end()
    }
}

/// What a batch did.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What each step returned, by its number; `None` for a step that was not run or failed.
    pub steps: Vec<Option<Rows>>,
    /// The step that failed, if one did. Nothing was written then.
    pub failed: Option<Failed>,
}

impl Answer {
    /// What this step returned; nothing if it was not run.
    pub(crate) fn rows(&self, step: usize) -> impl Iterator<Item = Row<'_>> {
        let rows = self.steps.get(step).and_then(Option::as_ref);
        let rows = rows.map_or(&[][..], |rows| &rows.rows);
        (1..)
            .zip(rows)
            .map(|(number, values)| Row { number, values })
    }

    /// An error if a step failed.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.failed {
            Some(failed) => Err(Error::plain(&failed.error.message)),
            None => Ok(()),
        }
    }
}

/// Why a batch wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The number of the step; `None` if the transaction could not be begun or committed.
    pub step: Option<usize>,
    /// The error.
    pub error: StepError,
}

/// The error of a server about a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepError {
    /// Its words, in a line that can be shown.
    pub message: String,
    /// Its code, such as `SQLITE_CONSTRAINT`; empty if there is none.
    pub code: String,
}

impl StepError {
    /// Whether the values of the statement are to blame, and others may be taken.
    pub(crate) fn is_about_values(&self) -> bool {
        ["SQLITE_CONSTRAINT", "SQLITE_TOOBIG", "SQLITE_MISMATCH"]
            .iter()
            .any(|code| self.code.starts_with(code))
    }
}

/// What a statement returned.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rows {
    /// The values of each row.
    pub rows: Vec<Vec<Value>>,
    /// The number of rows that it inserted, updated or deleted.
    #[serde(default, rename = "affected_row_count")]
    pub affected: u64,
}

/// A row, whose number is for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    number: usize,
    values: &'a [Value],
}

impl<'a> Row<'a> {
    /// The value of the column with this index; `Null` if the row is shorter.
    pub(crate) fn get(self, index: usize) -> &'a Value {
        self.values.get(index).unwrap_or(&Value::Null)
    }

    /// The integer in the column; its name is for the error.
    pub(crate) fn integer(self, index: usize, name: &str) -> Result<i64> {
        match self.get(index) {
            Value::Integer(value) => Ok(*value),
            _ => Err(self.not(name, "an integer")),
        }
    }

    /// The number in the column; its name is for the error.
    pub(crate) fn real(self, index: usize, name: &str) -> Result<f64> {
        match self.get(index) {
            Value::Real(value) => Ok(*value),
            #[allow(clippy::cast_precision_loss, reason = "a number without a fraction")]
            Value::Integer(value) => Ok(*value as f64),
            _ => Err(self.not(name, "a number")),
        }
    }

    /// The text in the column; its name is for the error.
    pub(crate) fn text(self, index: usize, name: &str) -> Result<&'a str> {
        match self.get(index) {
            Value::Text(value) => Ok(value),
            _ => Err(self.not(name, "a text")),
        }
    }

    /// The bytes in the column; its name is for the error.
    pub(crate) fn blob(self, index: usize, name: &str) -> Result<&'a [u8]> {
        match self.get(index) {
            Value::Blob(value) => Ok(value),
            _ => Err(self.not(name, "a blob")),
        }
    }

    fn not(self, name: &str, what: &str) -> Error {
        let row = format_args!("row {}", self.number);
        Error::new(row, format_args!("{name} is not {what}"))
    }
}

#[derive(Deserialize)]
struct Answered {
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Outcome {
    Ok { response: Done },
    Error { error: Reported },
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    result: Option<BatchResult>,
}

#[derive(Deserialize)]
struct BatchResult {
    step_results: Vec<Option<Rows>>,
    step_errors: Vec<Option<Reported>>,
}

#[derive(Deserialize)]
struct Reported {
    message: String,
    #[serde(default)]
    code: Option<String>,
}

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
    has_answered: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
}

/// The most attempts for a batch.
const ATTEMPTS: u32 = 6;

const LIMITS: Limits = Limits {
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

    fn with(
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
    /// growing pauses of at most a minute.
    pub(crate) fn run(&self, batch: &Batch) -> Result<Answer, Failure> {
        let body = batch.encode().map_err(|error| Failure {
            kind: Kind::Refused,
            error: Error::new(&self.address, error),
        })?;
        let attempted = net::retry(
            ATTEMPTS,
            || Ok::<_, std::convert::Infallible>(self.attempt(batch, &body)),
            |outcome, made| {
                let failed = outcome
                    .as_ref()
                    .err()
                    .filter(|failed| failed.is_temporary)?;
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
fn pause(asked: Option<Duration>, made: u32, chance: f64) -> Duration {
    let pause = match asked {
        Some(asked) => asked.mul_f64(1.0 + chance / 4.0),
        None => (net::backoff(made) / 2).mul_f64(0.5 + chance),
    };
    pause.min(LONGEST_PAUSE)
}

/// A number from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "no more than chance is needed")]
fn chance() -> f64 {
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

#[cfg(test)]
mod tests;
