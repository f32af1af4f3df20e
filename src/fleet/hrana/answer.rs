//! What a batch did.

use serde::Deserialize;

use super::Value;
use base::{Error, Result};

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
}

/// A row, whose number is for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(super) number: usize,
    pub(super) values: &'a [Value],
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
pub(super) struct Answered {
    pub(super) results: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Outcome {
    Ok { response: Done },
    Error { error: Reported },
}

#[derive(Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    pub(super) result: Option<BatchResult>,
}

#[derive(Deserialize)]
pub(super) struct BatchResult {
    pub(super) step_results: Vec<Option<Rows>>,
    pub(super) step_errors: Vec<Option<Reported>>,
}

#[derive(Deserialize)]
pub(super) struct Reported {
    pub(super) message: String,
    #[serde(default)]
    pub(super) code: Option<String>,
}
