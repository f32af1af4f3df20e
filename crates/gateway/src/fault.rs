//! Errors as the clients of `OpenAI` understand them.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;

use crate::request::Refused;

/// What the gateway itself refuses or cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    /// The field of the request that is wrong.
    pub(crate) param: Option<&'static str>,
    /// In words; never with a URL, a key or a body of a backend.
    pub(crate) message: String,
    /// Seconds after which another try may help.
    pub(crate) retry_after: Option<u64>,
    /// The method that the address takes.
    pub(crate) allowed: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            param: None,
            message: message.into(),
            retry_after: None,
            allowed: None,
        }
    }

    /// Names the field of the request that is wrong.
    pub(crate) fn param(self, param: &'static str) -> Self {
        Self {
            param: Some(param),
            ..self
        }
    }

    /// Tells after how many seconds another try may help.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// There is too much to do.
    pub(crate) fn overloaded() -> Self {
        Self::new(503, "overloaded", "too much is under way: try again").retry_after(1)
    }

    /// The body of the answer, and of the last event of a stream.
    pub(crate) fn body(&self) -> Bytes {
        let kind = match self.status.as_u16() {
            429 => "rate_limit_error",
            ..500 => "invalid_request_error",
            _ => "upstream_error",
        };
        let error = json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }});
        Bytes::from(error.to_string())
    }

    /// The event that ends a stream that was cut.
    pub(crate) fn event(&self) -> Bytes {
        let mut event = b"data: ".to_vec();
        event.extend_from_slice(&self.body());
        event.extend_from_slice(b"\n\n");
        Bytes::from(event)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InvalidJson => {
                Self::new(400, "invalid_json", "the body is not an object in JSON")
            }
            Refused::MissingModel => {
                Self::new(400, "missing_model", "'model' must be a string").param("model")
            }
            Refused::DuplicateModel => {
                Self::new(400, "duplicate_model", "'model' is there twice").param("model")
            }
        }
    }
}
