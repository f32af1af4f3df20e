//! A gateway that an agent is registered with.

use std::str::FromStr;
use std::time::Duration;

use base::{note, one_line};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{AgentKey, Engine};
use crate::address::base_url;
use crate::serve::HttpClient;
use crate::speeds::Filters;

/// How often the agent says that it is there.
const BEAT: Duration = Duration::from_secs(10);

/// The longest wait for an answer, and for that to the goodbye.
const ANSWER: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(3);

/// The largest answer that is read.
const LARGEST: usize = 64 << 10;

/// The address of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Router {
    /// Without `/v1`.
    url: String,
}

impl FromStr for Router {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let (url, _) = base_url(typed).map_err(|error| error.to_string())?;
        let url = url.strip_suffix("/v1").unwrap_or(&url).to_owned();
        Ok(Self { url })
    }
}

/// What an agent registers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Announcement {
    pub(crate) name: String,
    /// Where gateways reach the agent.
    pub(crate) endpoint: String,
    pub(crate) models: Vec<String>,
    pub(crate) parallel: u32,
    #[serde(skip_serializing_if = "Filters::is_empty")]
    pub(crate) filters: Filters,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
enum Called {
    Done,
    /// The gateway does not know the agent.
    Unknown,
    /// Why it was refused.
    Refused(String),
    /// It cannot be reached, or cannot answer now.
    Gone,
}

impl Router {
    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let uri = self.url.parse::<hyper::Uri>();
        uri.is_ok_and(|uri| uri.host().is_some_and(crate::address::is_loopback))
    }

    /// Registers the agent and tells that it is there, until it leaves; then says goodbye.
    pub(crate) async fn follow(
        &self,
        client: &HttpClient,
        key: Option<&AgentKey>,
        agent: &Announcement,
        engine: &Engine,
        mut leaving: watch::Receiver<bool>,
    ) {
        let shown = key.and_then(AgentKey::header);
        tokio::select! {
            () = self.keep(client, shown.as_ref(), agent, engine) => {}
            _ = leaving.wait_for(|is_leaving| *is_leaving) => {}
        }
        let goodbye = json!({"name": agent.name, "stopping": true});
        let said = self.call(client, "/heartbeat", &goodbye, shown.as_ref());
        let _ = tokio::time::timeout(GOODBYE, said).await;
    }

    async fn keep(
        &self,
        client: &HttpClient,
        shown: Option<&HeaderValue>,
        agent: &Announcement,
        engine: &Engine,
    ) {
        let registration = serde_json::to_value(agent).unwrap_or_default();
        let beat = json!({"name": agent.name});
        let mut is_registered = false;
        // What was said last, so that it is said once.
        let mut said = None;
        loop {
            // Nothing is sent while the engine cannot start: the gateway asks others then.
            if engine.can_start() {
                let mut called = Called::Unknown;
                if is_registered {
                    called = self.call(client, "/heartbeat", &beat, shown).await;
                }
                if called == Called::Unknown {
                    called = self.call(client, "/register", &registration, shown).await;
                }
                is_registered = called == Called::Done || (is_registered && called == Called::Gone);
                if said.as_ref() != Some(&called) {
                    self.say(&called, agent);
                    said = Some(called);
                }
            }
            tokio::time::sleep(BEAT).await;
        }
    }

    fn say(&self, called: &Called, agent: &Announcement) {
        let url = &self.url;
        match called {
            Called::Done => note(&format!(
                "registered with {url} as {}: {}",
                agent.name,
                agent.models.join(", ")
            )),
            Called::Gone => note(&format!(
                "{url} cannot be reached; it is tried again every {} s",
                BEAT.as_secs()
            )),
            Called::Refused(why) => note(&format!("{url} refuses this agent: {why}")),
            Called::Unknown => note(&format!("{url} is not a localstore gateway")),
        }
    }

    async fn call(
        &self,
        client: &HttpClient,
        path: &str,
        body: &Value,
        shown: Option<&HeaderValue>,
    ) -> Called {
        let mut request =
            Request::post(format!("{}{path}", self.url)).header(CONTENT_TYPE, "application/json");
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, shown);
        }
        let Ok(request) = request.body(Full::new(Bytes::from(body.to_string()))) else {
            return Called::Gone;
        };
        let answered = tokio::time::timeout(ANSWER, async {
            let response = client.request(request).await.ok()?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            Some((status, body.ok()?.to_bytes()))
        });
        match answered.await {
            Ok(Some((StatusCode::OK, _))) => Called::Done,
            Ok(Some((StatusCode::NOT_FOUND, _))) => Called::Unknown,
            Ok(Some((status, body))) if status.is_client_error() => Called::Refused(why(&body)),
            _ => Called::Gone,
        }
    }
}

/// The message of an error.
fn why(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = body["error"]["message"].as_str();
    one_line(message.unwrap_or("it does not say why"), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_with_or_without_v1() {
        for typed in ["http://g:8000", "http://g:8000/", "http://g:8000/v1"] {
            let router: Router = typed.parse().unwrap();
            assert_eq!(router.url, "http://g:8000");
            assert!(!router.is_loopback());
        }
        assert!(
            "http://127.0.0.1:1"
                .parse::<Router>()
                .unwrap()
                .is_loopback()
        );
        assert!("g:8000".parse::<Router>().is_err());
    }

    #[test]
    fn the_reason_of_a_refusal_is_one_printable_line() {
        let why = why(br#"{"error":{"message":"a\n\u001b[31mb"}}"#);
        assert!(!why.contains(['\n', '\x1b']), "{why}");
        assert_eq!(super::why(b"<html>"), "it does not say why");
    }
}
