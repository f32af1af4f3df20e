//! The HTTP client.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{HeaderName, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, SendBody, Timeout};

use super::answer::Answer;
use super::{Outcome, Site, Timeouts, proxy};
use crate::error::{Error, Result, reason};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Posts payloads to a site, each over a connection of its own.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    endpoint: Uri,
    timeouts: Timeouts,
}

impl Client {
    /// A client for a site, with the proxy that the environment asks for. Trusted are the
    /// certificates of Mozilla's list and those of the system.
    pub fn new(site: &Site, timeouts: Timeouts) -> Result<Self> {
        let wrong = |error| Error::new(site, error);
        let endpoint: Uri = site.endpoint().parse().map_err(wrong)?;
        let mut config = Agent::config_builder()
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_global(Some(timeouts.total))
            .http_status_as_error(false)
            // A redirect is an answer like any other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(proxy_for(&endpoint)?)
            .user_agent(concat!("localstore/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity");
        if endpoint.scheme_str() == Some("https") {
            config = config.tls_config(tls());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint,
            timeouts,
        })
    }

    /// Posts a payload, once.
    #[must_use]
    pub fn post(&self, payload: &str) -> Outcome {
        let mut body = Handed {
            rest: payload.as_bytes(),
            any: false,
        };
        let sent = self
            .agent
            .post(&self.endpoint)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_LENGTH, payload.len())
            .header(header::CONNECTION, "close")
            .send(SendBody::from_reader(&mut body));
        match sent {
            Ok(response) => self.read(response).outcome(Timestamp::now()),
            Err(error) => {
                let why = self.describe(&error);
                if body.any {
                    Outcome::Unknown { why }
                } else if is_about_trust(&error) {
                    Outcome::Later { why }
                } else {
                    Outcome::Again { why, after: None }
                }
            }
        }
    }

    fn read(&self, mut response: ureq::http::Response<ureq::Body>) -> Answer {
        let header = |name: HeaderName| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut answer = Answer {
            status: response.status().as_u16(),
            retry_after: header(header::RETRY_AFTER),
            location: header(header::LOCATION),
            ..Answer::default()
        };
        let mut body = response.body_mut().as_reader().take(MAX_ANSWER + 1);
        if let Err(error) = body.read_to_end(&mut answer.body) {
            let why = self.describe(&error.into());
            answer.broken = Some(format!("the answer is cut off: {why}"));
        } else if answer.body.len() as u64 > MAX_ANSWER {
            answer.broken = Some("the answer is larger than 1 MiB".to_owned());
        }
        answer
    }

    /// What happened, in plain words.
    fn describe(&self, error: &ureq::Error) -> String {
        let host = self.endpoint.host().unwrap_or_default();
        let within = |time: Duration| format!("within {} s", time.as_secs_f32());
        match error {
            ureq::Error::HostNotFound => format!("the host {host} was not found"),
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                format!("no connection to {host} {}", within(self.timeouts.connect))
            }
            ureq::Error::Timeout(_) => {
                format!("no answer from {host} {}", within(self.timeouts.total))
            }
            ureq::Error::Rustls(error) => format!("no trusted connection to {host}: {error}"),
            ureq::Error::Io(error) => match trust_error(error) {
                Some(error) => format!("no trusted connection to {host}: {error}"),
                None => format!("{host}: {}", reason(error)),
            },
            other => format!("{host}: {other}"),
        }
    }
}

/// The payload, and whether any of it was handed over to be sent. As long as none was, the site
/// cannot have taken it.
struct Handed<'a> {
    rest: &'a [u8],
    any: bool,
}

impl Read for Handed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.any = true;
        self.rest.read(buffer)
    }
}

fn proxy_for(endpoint: &Uri) -> Result<Option<Proxy>> {
    let scheme = endpoint.scheme_str().unwrap_or_default();
    let host = endpoint.host().unwrap_or_default();
    let default = if scheme == "https" { 443 } else { 80 };
    let port = endpoint.port_u16().or(Some(default));
    let variable = |name: &str| {
        let value = std::env::var_os(name)?;
        Some(value.to_string_lossy().into_owned())
    };
    let Some((name, value)) = proxy::choose(scheme, host, port, variable) else {
        return Ok(None);
    };
    // The value may hold a password: it is not shown.
    let proxy = Proxy::new(&value).map_err(|_| {
        Error::new(name, "this is no address of a proxy")
            .hint("it looks like http://proxy.example.org:3128 or socks5://localhost:1080")
    })?;
    Ok(Some(proxy))
}

fn tls() -> TlsConfig {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::info!("certificates of the system: {error}");
    }
    let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots: Vec<Certificate<'static>> = mozilla
        .chain(&system.certs)
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// The failure of TLS that a failure of a connection stands for.
fn trust_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn is_about_trust(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => trust_error(error).is_some(),
        _ => false,
    }
}
