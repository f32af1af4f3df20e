//! The HTTP client.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::http::{HeaderName, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, SendBody, Timeout};

use super::answer::{Answer, passes};
use super::{Exchange, Outcome, Site, Timeouts, proxy};
use crate::model::site::host_and_port;
use base::{Error, Result, reason};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Posts payloads to a site, each over a connection of its own.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    endpoint: Uri,
    proxy: Option<Proxy>,
    timeouts: Timeouts,
}

impl Client {
    /// A client for a site, with the proxy that the environment asks for, whose variables
    /// `variable` looks up. Trusted are the certificates of Mozilla's list and those of the system.
    pub fn new(
        site: &Site,
        timeouts: Timeouts,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let wrong = |error| Error::new(site, error);
        let endpoint: Uri = site.endpoint().parse().map_err(wrong)?;
        let proxy = proxy_for(&endpoint, variable)?;
        let mut config = Agent::config_builder()
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_global(Some(timeouts.total))
            .http_status_as_error(false)
            // A redirect is an answer like any other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(proxy.clone())
            .user_agent(concat!("localstore/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity");
        if endpoint.scheme_str() == Some("https") {
            config = config.tls_config(tls());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            endpoint,
            proxy,
            timeouts,
        })
    }

    /// Posts a payload, once.
    #[must_use]
    pub fn post(&self, payload: &str) -> Exchange {
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
            Ok(response) => {
                let answer = self.read(response);
                Exchange {
                    outcome: answer.outcome(Timestamp::now()),
                    line: answer.line(),
                }
            }
            Err(error) => {
                let why = self.describe(&error);
                Exchange {
                    line: Some(format!("Error submitting results: {why}")),
                    outcome: if body.any {
                        Outcome::Unknown { why }
                    } else if is_for_good(&error) {
                        Outcome::Later { why }
                    } else {
                        Outcome::Again { why, after: None }
                    },
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
        let proxy = self.proxy.as_ref();
        let proxy = proxy.map(|proxy| (proxy, format!("{}:{}", proxy.host(), proxy.port())));
        let host = match &proxy {
            None => host.to_owned(),
            Some((_, address)) => format!("{host} through the proxy {address}"),
        };
        match (error, &proxy) {
            (ureq::Error::ConnectProxyFailed(reason), Some((_, address))) => {
                match connect_status(error) {
                    Some(status) => format!("the proxy {address} answered {status}"),
                    None => format!("the proxy {address}: {reason}"),
                }
            }
            // Such a proxy looks for the site itself.
            (ureq::Error::HostNotFound, Some((proxy, _))) if !proxy.resolve_target() => {
                format!("the host {} of the proxy was not found", proxy.host())
            }
            _ => self.describe_failure(error, &host),
        }
    }

    fn describe_failure(&self, error: &ureq::Error, host: &str) -> String {
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

fn proxy_for(endpoint: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let scheme = endpoint.scheme_str().unwrap_or_default();
    let host = endpoint.host().unwrap_or_default();
    let default = if scheme == "https" { 443 } else { 80 };
    let port = endpoint.port_u16().or(Some(default));
    let Some((name, value)) = proxy::choose(scheme, host, port, variable) else {
        return Ok(None);
    };
    // The value may hold a password: it is not shown.
    let proxy = Proxy::new(&value).ok().filter(has_port_if_any);
    let wrong = || {
        Error::new(name, "this is no address of a proxy")
            .hint("it looks like http://proxy.example.org:3128 or socks5://localhost:1080")
    };
    proxy.ok_or_else(wrong).map(Some)
}

/// What ureq takes for the implied port, if it is no port at all, is none to us.
fn has_port_if_any(proxy: &Proxy) -> bool {
    let authority = proxy.uri().authority().map_or("", |found| found.as_str());
    let address = authority.rsplit('@').next().unwrap_or_default();
    host_and_port(address).is_ok()
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

/// The status with which a proxy refused to connect, which ureq tells in words only.
fn connect_status(error: &ureq::Error) -> Option<u16> {
    match error {
        ureq::Error::ConnectProxyFailed(reason) => reason.rsplit('/').next()?.parse().ok(),
        _ => None,
    }
}

/// Whether another attempt would end the same: no trust, or a proxy that does not let us.
fn is_for_good(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectProxyFailed(_) => {
            connect_status(error).is_some_and(|status| !passes(status))
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => trust_error(error).is_some(),
        _ => false,
    }
}
