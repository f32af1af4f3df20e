//! The body of a request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderMap};

use super::held::Hold;
use crate::fault::Fault;

/// The longest time between two pieces of a body.
const IDLE: Duration = Duration::from_secs(30);

/// How long, and how many bytes of, a refused body are read all the same: a client that is still sending
/// would not see the answer if its connection were closed.
const DISCARD_FOR: Duration = Duration::from_secs(10);
const DISCARD: usize = 64 << 20;

/// A body that has not been read. What is never read of it is discarded beside the answer.
pub(crate) struct Unread {
    body: Option<Incoming>,
    is_read: bool,
}

impl Unread {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        Self {
            body: Some(body),
            // A client that asks first does not send what is refused.
            is_read: headers.contains_key(EXPECT),
        }
    }

    /// Reads all of it, which must be JSON of at most so many bytes.
    pub(crate) async fn read(
        mut self,
        headers: &HeaderMap,
        most: u64,
        hold: &mut Hold,
    ) -> Result<Bytes, Fault> {
        check(headers)?;
        let too_large = || {
            let message = format!("the body is larger than {most} bytes");
            Fault::new(413, "request_too_large", message)
        };
        let Some(body) = &mut self.body else {
            return Ok(Bytes::new());
        };
        let told = body.size_hint().exact();
        if told.is_some_and(|told| told > most) {
            return Err(too_large());
        }
        let mut read = BytesMut::new();
        loop {
            let frame = match tokio::time::timeout(IDLE, body.frame()).await {
                Err(_) => {
                    let message = "the rest of the body did not come";
                    return Err(Fault::new(408, "request_timeout", message));
                }
                Ok(None) => break,
                Ok(Some(Err(_))) => {
                    let message = "the body was cut";
                    return Err(Fault::new(400, "invalid_json", message));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if (read.len() + data.len()) as u64 > most {
                return Err(too_large());
            }
            hold.add(data.len())?;
            read.extend_from_slice(&data);
        }
        self.is_read = true;
        Ok(read.freeze())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(body) = self
            .body
            .take()
            .filter(|body| !self.is_read && !body.is_end_stream())
        {
            tokio::spawn(tokio::time::timeout(DISCARD_FOR, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut left = DISCARD;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Refuses what is not plain JSON, which a web page could send without asking.
fn check(headers: &HeaderMap) -> Result<(), Fault> {
    let unsupported = |message: &str| Fault::new(415, "unsupported_media_type", message);
    if !is_json(headers) {
        return Err(unsupported("the content-type must be application/json"));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(unsupported("the body must not have a content-encoding"));
    }
    Ok(())
}

/// Whether the headers say that the body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
