//! Reads the body of a request.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::held::Hold;
use crate::fault::Fault;

/// The longest time between two pieces of a body.
const IDLE: Duration = Duration::from_secs(30);

/// Reads the whole body of JSON, at most so many bytes.
pub(crate) async fn read(
    request: Request<Incoming>,
    most: u64,
    hold: &mut Hold,
) -> Result<Bytes, Fault> {
    let headers = request.headers();
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let message = "the content-type must be application/json";
        return Err(Fault::new(415, "unsupported_media_type", message));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let message = "the body must not have a content-encoding";
        return Err(Fault::new(415, "unsupported_media_type", message));
    }
    let too_large = || {
        let message = format!("the body is larger than {most} bytes");
        Fault::new(413, "request_too_large", message)
    };
    let mut body = request.into_body();
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
            Ok(None) => return Ok(read.freeze()),
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
        if read.is_empty() && told == Some(data.len() as u64) {
            return Ok(data);
        }
        read.extend_from_slice(&data);
    }
}
