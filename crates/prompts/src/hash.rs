//! Hashes of what an override replaces: SHA-256, 64 lower-case hexadecimal digits.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base::{Error, Result};
use sha2::{Digest as _, Sha256};

use crate::json::Json;

/// The hash of a text, a JSON value or a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hash(String);

impl Hash {
    /// The hash of a section: that of its template, byte for byte.
    #[must_use]
    pub(crate) fn of_text(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// The hash of these bytes.
    #[must_use]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let mut digits = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            let _ = write!(digits, "{byte:02x}");
        }
        Self(digits)
    }

    /// The hash of a JSON value, in its canonical form.
    #[must_use]
    pub(crate) fn of_json(json: &Json) -> Self {
        Self::of_text(&json.canonical())
    }

    /// The hash of a tool's contract: its description and the schemas of its parameters and its result.
    #[must_use]
    pub(crate) fn of_tool(description: &str, params_schema: &Json, result_schema: &Json) -> Self {
        let description = Self::of_text(description);
        let (params, result) = (Self::of_json(params_schema), Self::of_json(result_schema));
        Self::of_text(&format!("{description}::{params}::{result}"))
    }
}

impl FromStr for Hash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.as_bytes().iter().all(is_digit) {
            return Err(Error::plain("not 64 lower-case hexadecimal digits"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&Hash> for Json {
    fn from(hash: &Hash) -> Self {
        Self::String(hash.0.clone())
    }
}
