//! The HTTP client.

use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use ureq::http::request::Builder;
use ureq::http::{self, Request, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Proxy, SendBody, Timeout};

use base::{Error, Result, reason};

use crate::is_temporary;

/// Limits of time and size.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The time limit for the connection, including TLS.
    pub connect: Duration,
    /// The time limit for each wait for the server to take or to send some bytes.
    pub idle: Duration,
    /// The time limit up to the last byte of the answer.
    pub total: Duration,
    /// The longest body of an answer that is read.
    pub max_body_mib: u64,
}

/// The answer of a server.
#[derive(Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was received.
    pub body: Vec<u8>,
    /// Why the body is incomplete, if it is.
    pub incomplete: Option<String>,
}

impl Response {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// Whether the server may have got the request.
    pub kind: FailureKind,
    /// A description of the failure.
    pub why: String,
}

/// Whether the server may have got the request, and whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The server did not get it; another attempt may help.
    NotSent,
    /// The server did not get it, and another attempt would fail too: the connection is not trusted,
    /// or the proxy refuses to connect.
    Rejected,
    /// The server may have got it and acted on it.
    MaybeSent,
}

/// Sends requests to one server, each over a new connection.
pub struct Client {
    agent: Agent,
    address: String,
    host: String,
    proxy: Option<Proxy>,
    limits: Limits,
}

impl Client {
    /// A client for the server at `address`, which may have a path but no trailing slash. It uses the
    /// proxy set by the environment variables, which `variable` looks up, and trusts the certificates
    /// of Mozilla's list and of the system.
    pub fn new(
        address: &str,
        limits: Limits,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let uri: Uri = address.parse().map_err(|why| Error::new(address, why))?;
        let proxy = proxy_for(&uri, variable)?;
        let mut config = Agent::config_builder()
            .timeout_resolve(Some(limits.connect))
            .timeout_connect(Some(limits.connect))
            .timeout_per_read(Some(limits.idle))
            .timeout_per_write(Some(limits.idle))
            .timeout_global(Some(limits.total))
            .http_status_as_error(false)
            // A redirect is returned like any other answer.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(proxy.clone())
            .user_agent(concat!("localstore/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity");
        if uri.scheme_str() == Some("https") {
            config = config.tls_config(tls());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            address: address.to_owned(),
            host: uri.host().unwrap_or_default().to_owned(),
            proxy,
            limits,
        })
    }

    /// Sends a request once. `path` is appended to the address of the server. An empty body is not
    /// sent.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Failure> {
        let length = body.len() as u64;
        let mut rest = body;
        let body: Option<(&mut dyn Read, u64)> = if length > 0 {
            Some((&mut rest, length))
        } else {
            None
        };
        let response = self.exchange(method, path, headers, body)?;
        Ok(self.read(response))
    }

    /// Sends a request once, whose body of this length is read while it is sent.
    pub fn upload(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        mut body: impl Read,
        length: u64,
    ) -> Result<Response, Failure> {
        let response = self.exchange(method, path, headers, Some((&mut body, length)))?;
        Ok(self.read(response))
    }

    /// Gets a body that may be large, and writes it to `to` if the status is 200; the response has it
    /// otherwise. A body that ends too early, or cannot be written, is told as incomplete.
    pub fn download(&self, path: &str, to: &mut dyn Write) -> Result<Response, Failure> {
        let mut response = self.exchange("GET", path, &[], None)?;
        if response.status() != 200 {
            return Ok(self.read(response));
        }
        let copied = io::copy(&mut response.body_mut().as_reader(), to);
        Ok(Response {
            status: 200,
            incomplete: copied.err().map(|error| reason(&error)),
            ..Response::default()
        })
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<(&mut dyn Read, u64)>,
    ) -> Result<http::Response<ureq::Body>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let has_body = body.is_some();
        let mut was_read = false;
        let sent = match body {
            None => self.run(request, ()),
            Some((rest, length)) => {
                let mut reader = Outgoing {
                    rest,
                    was_read: &mut was_read,
                };
                let request = request.header(header::CONTENT_LENGTH, length);
                self.run(request, SendBody::from_reader(&mut reader))
            }
        };
        sent.map_err(|error| {
            // Without a body, only the error shows how far the request got.
            let sent = was_read || (!has_body && !is_before_sending(&error));
            Failure {
                kind: match sent {
                    true => FailureKind::MaybeSent,
                    false if is_permanent(&error) => FailureKind::Rejected,
                    false => FailureKind::NotSent,
                },
                why: self.describe(&error),
            }
        })
    }

    fn run(
        &self,
        request: Builder,
        body: impl AsSendBody,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        self.agent.run(request.body(body)?)
    }

    fn read(&self, mut response: http::Response<ureq::Body>) -> Response {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let mut answer = Response {
            status: response.status().as_u16(),
            headers: headers.collect(),
            ..Response::default()
        };
        let mib = self.limits.max_body_mib;
        let mut body = response.body_mut().as_reader().take((mib << 20) + 1);
        if let Err(error) = body.read_to_end(&mut answer.body) {
            let why = self.describe(&error.into());
            answer.incomplete = Some(format!("the answer is cut off: {why}"));
        } else if answer.body.len() as u64 > mib << 20 {
            answer.incomplete = Some(format!("the answer is larger than {mib} MiB"));
        }
        answer
    }

    /// A description of the failure.
    fn describe(&self, error: &ureq::Error) -> String {
        let mut host = self.host.clone();
        if let Some(proxy) = &self.proxy {
            let address = format!("{}:{}", proxy.host(), proxy.port());
            match error {
                ureq::Error::ConnectProxyFailed(reason) => {
                    return match connect_status(error) {
                        Some(status) => format!("the proxy {address} answered {status}"),
                        None => format!("the proxy {address}: {reason}"),
                    };
                }
                // This proxy resolves the host of the server itself.
                ureq::Error::HostNotFound if !proxy.resolve_target() => {
                    return format!("the host {} of the proxy was not found", proxy.host());
                }
                _ => host = format!("{host} through the proxy {address}"),
            }
        }
        let within = |time: Duration| format!("within {} s", time.as_secs_f32());
        if let Some(error) = tls_error(error) {
            return format!("no trusted connection to {host}: {error}");
        }
        match error {
            ureq::Error::HostNotFound => format!("no connection: the host {host} was not found"),
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                format!("no connection to {host} {}", within(self.limits.connect))
            }
            ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
                format!("no answer from {host} {}", within(self.limits.idle))
            }
            ureq::Error::Timeout(_) => {
                format!("no answer from {host} {}", within(self.limits.total))
            }
            ureq::Error::Io(error) if is_unreachable(error) && self.proxy.is_none() => {
                tracing::info!("{host}: {}", reason(error));
                "no connection".to_owned()
            }
            ureq::Error::Io(error) if is_unknown_host(error) => {
                format!("no connection: the host {host} was not found")
            }
            ureq::Error::Io(error) => format!("{host}: {}", reason(error)),
            other => format!("{host}: {other}"),
        }
    }
}

/// A body, and whether any of it was read. Until then, the server cannot have got the request.
struct Outgoing<'a> {
    rest: &'a mut dyn Read,
    was_read: &'a mut bool,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        *self.was_read = true;
        self.rest.read(buffer)
    }
}

fn proxy_for(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let scheme = server.scheme_str().unwrap_or_default();
    let host = server.host().unwrap_or_default();
    let default = if scheme == "https" { 443 } else { 80 };
    let port = server.port_u16().unwrap_or(default);
    let Some((name, value)) = crate::proxy::choose(scheme, host, port, variable) else {
        return Ok(None);
    };
    let proxy = Proxy::new(&value).ok().filter(has_valid_address);
    // The value may contain a password, so it is not shown.
    let invalid = || {
        Error::new(name, "invalid proxy address")
            .hint("an address looks like http://proxy.example.org:3128 or socks5://localhost:1080")
    };
    proxy.ok_or_else(invalid).map(Some)
}

/// Whether there is a host and any port is valid: ureq would ignore an invalid one.
fn has_valid_address(proxy: &Proxy) -> bool {
    let authority = proxy.uri().authority().map_or("", |found| found.as_str());
    let address = authority.rsplit('@').next().unwrap_or_default();
    match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            !host.is_empty() && port.parse::<NonZeroU16>().is_ok()
        }
        _ => !address.is_empty(),
    }
}

fn tls() -> TlsConfig {
    let roots: Vec<Certificate<'static>> = certificates()
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// The certificates that vouch for servers: Mozilla's and those of the system.
#[must_use]
pub fn certificates() -> Vec<CertificateDer<'static>> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::info!("certificates of the system: {error}");
    }
    let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
    mozilla.chain(system.certs).collect()
}

/// The TLS error, which may be inside the I/O error.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// The status with which a proxy refused to connect, which ureq only has as text.
fn connect_status(error: &ureq::Error) -> Option<u16> {
    match error {
        ureq::Error::ConnectProxyFailed(reason) => reason.rsplit('/').next()?.parse().ok(),
        _ => None,
    }
}

/// Whether the server, or the network, is not there.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// Whether the name of the server has no address, or none could be asked for: Rust has no kind for
/// this.
fn is_unknown_host(error: &io::Error) -> bool {
    let text = error.to_string();
    text.starts_with("failed to lookup address information")
}

/// Whether the error happened before the request was sent.
fn is_before_sending(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Http(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        ureq::Error::Io(error) if is_unreachable(error) || is_unknown_host(error) => true,
        _ => is_permanent(error),
    }
}

/// Whether another attempt would fail too.
fn is_permanent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectProxyFailed(_) => {
            connect_status(error).is_some_and(|status| !is_temporary(status))
        }
        ureq::Error::Http(_) | ureq::Error::Tls(_) => true,
        _ => tls_error(error).is_some(),
    }
}
