//! What is known of a request while it runs, and what is written down of it at its end.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::number::amount;
use hyper::StatusCode;

use super::gateway::{Gateway, Slot};
use super::listener::Stage;
use crate::answer::{Cut, Tokens};
use crate::engine::Using;
use crate::fault::Fault;
use crate::store::requests::Request;

/// The status of a request whose client has left.
const LEFT: u16 = 499;

/// A request that runs. When it is dropped, its row and its metrics are written; a client whose request is
/// dropped before it is done has left.
pub(crate) struct Account {
    gateway: Arc<Gateway>,
    started: Instant,
    pub(crate) row: Request,
    /// What metrics call the model: empty unless it is known.
    pub(crate) model_label: String,
    /// Its place among the requests that run.
    pub(crate) slot: Option<Slot>,
    /// What keeps the engine of an agent awake.
    pub(crate) using: Option<Using>,
}

impl Account {
    pub(crate) fn begin(gateway: &Arc<Gateway>, route: &'static str, request_id: String) -> Self {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        gateway.metrics.begin();
        Self {
            gateway: Arc::clone(gateway),
            started: Instant::now(),
            row: Request {
                at_ms: i64::try_from(at.as_millis()).unwrap_or(i64::MAX),
                request_id,
                route,
                status: LEFT,
                ..Request::default()
            },
            model_label: String::new(),
            slot: None,
            using: None,
        }
    }

    /// Bytes of the answer go to the client.
    pub(crate) fn passed(&mut self, bytes: usize) {
        // What the gateway refuses has no first byte of an answer.
        if self.row.ttft_ms.is_none() && self.row.error.is_none() {
            self.row.ttft_ms = Some(self.elapsed_ms());
        }
        self.row.bytes_out += bytes as u64;
    }

    /// The tokens that the answer tells.
    pub(crate) fn tokens(&mut self, tokens: Tokens) {
        self.row.prompt_tokens = (!tokens.estimated).then_some(tokens.prompt);
        self.row.completion_tokens = Some(tokens.completion);
        self.row.estimated = tokens.estimated;
    }

    /// The answer has gone out with this status.
    pub(crate) fn done(&mut self, status: StatusCode) {
        self.row.status = status.as_u16();
    }

    /// The answer ended with an error after its beginning had gone out.
    pub(crate) fn cut(&mut self, fault: &Fault) {
        self.row.status = fault.status.as_u16();
        self.row.error = Some(fault.code);
    }

    fn elapsed_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1e3
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.row.total_ms = self.elapsed_ms();
        if self.row.status == LEFT && *self.gateway.stage.borrow() == Stage::Ending {
            // It did not leave: the gateway does.
            self.cut(&Cut::Draining.fault());
        }
        let row = std::mem::take(&mut self.row);
        tracing::info!("{}", line(&row));
        self.gateway.metrics.end(&row, &self.model_label);
        self.gateway.note_live_speed(&row);
        if let Some(log) = &self.gateway.log {
            log.put(row);
        }
    }
}

/// What a request was and what became of it, in a line of bounded length.
fn line(row: &Request) -> String {
    let route = row.route.trim_start_matches("/v1/");
    let model = match row.model.as_str() {
        "" => "-",
        model => model,
    };
    let from = match &row.backend {
        Some(backend) => format!(" from {}", base::shortened(backend, 60)),
        None => String::new(),
    };
    let mut parts = vec![
        format!(
            "{} {route} {}{from}",
            row.status,
            base::shortened(model, 60)
        ),
        format!("{} ms", amount(row.total_ms)),
    ];
    if let Some(first) = row.ttft_ms.filter(|_| row.streamed) {
        parts.push(format!("first byte after {} ms", amount(first)));
    }
    if let Some(tokens) = row.completion_tokens {
        let about = if row.estimated { "about " } else { "" };
        parts.push(format!("{about}{}", base::counted(tokens, "token")));
    }
    if row.cached {
        parts.push("cached".to_owned());
    }
    if row.tries > 1 {
        parts.push(format!("{} tries", row.tries));
    }
    parts.extend(row.error.map(str::to_owned));
    parts.push(row.request_id.clone());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_request_is_printable_and_bounded() {
        let row = Request {
            request_id: "r1".to_owned(),
            model: "m\u{1b}".repeat(1000),
            backend: Some("7".to_owned()),
            route: "/v1/chat/completions",
            status: 200,
            tries: 2,
            streamed: true,
            completion_tokens: Some(1),
            estimated: true,
            ttft_ms: Some(12.345),
            total_ms: 1234.5,
            ..Request::default()
        };
        let told = line(&row);
        assert!(told.len() < 300 && !told.contains('\u{1b}'), "{told}");
        assert!(told.starts_with("200 chat/completions m\\x1bm"), "{told}");
        let rest = " from 7, 1234.5 ms, first byte after 12.35 ms, about 1 token, 2 tries, r1";
        assert!(told.ends_with(rest), "{told}");
    }
}
