//! A site on this machine: a real HTTP server, with TLS or without, and a proxy.

#![allow(
    dead_code,
    reason = "shared with the tests of crates/net: neither needs all of it"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Reads the request and answers with these bytes.
    Answer(Vec<u8>),
    /// Reads the head of the request and closes the connection on the rest.
    Reset,
    /// Reads the request and never answers.
    Hang,
    /// Reads the request and answers when it is told to.
    Held(Vec<u8>),
}

impl Reply {
    /// An answer with a body, and lines for the head.
    pub(crate) fn status(status: &str, head: &str, body: &str) -> Self {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{head}\r\n{body}");
        Self::Answer(text.into())
    }

    /// What the site answers when it took a run.
    pub(crate) fn taken(id: u64) -> Self {
        let head = "Content-Type: application/json; charset=utf-8\r\n";
        Self::status("200 OK", head, &format!("{{\"id\":{id}}}"))
    }

    /// The same, and only when it is told to.
    pub(crate) fn taken_when_released(id: u64) -> Self {
        match Self::taken(id) {
            Self::Answer(bytes) => Self::Held(bytes),
            other => other,
        }
    }

    /// A busy site that may be asked again at once.
    pub(crate) fn busy(status: &str) -> Self {
        Self::status(status, "Retry-After: 0\r\n", "busy")
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Its lines up to the empty one.
    pub head: String,
    pub body: String,
    /// The body as it came.
    pub raw: Vec<u8>,
}

/// What the site lists: the answer to a GET of this target, after these requests.
pub(crate) type List = Box<dyn FnMut(&str, &[Request]) -> Reply + Send>;

/// Answers one connection after the other, each with the next reply, and counts them. A GET of the
/// list of results is none of them: it has its own answers, or is not found.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Request>>>,
    asked: Arc<Mutex<Vec<String>>>,
    arrived: Receiver<()>,
    release: Sender<()>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(replies, None, no_list())
    }

    /// A server with a list of results.
    pub(crate) fn start_with_list(
        replies: impl IntoIterator<Item = Reply>,
        list: impl FnMut(&str, &[Request]) -> Reply + Send + 'static,
    ) -> Self {
        Self::with(replies, None, Box::new(list))
    }

    /// A server for https with a certificate.
    pub(crate) fn start_tls(
        replies: impl IntoIterator<Item = Reply>,
        certificate: &Certificate,
    ) -> Self {
        Self::with(replies, Some(certificate.config()), no_list())
    }

    fn with(
        replies: impl IntoIterator<Item = Reply>,
        tls: Option<Arc<ServerConfig>>,
        list: List,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, arrived) = channel();
        let (release, released) = channel();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        let thread = {
            let stop = Arc::clone(&stop);
            let mut script = Script {
                replies,
                list,
                seen: Arc::clone(&seen),
                asked: Arc::clone(&asked),
                arrived: sender,
                released,
            };
            std::thread::spawn(move || {
                // What hangs, hangs until the end.
                let mut hanging = Vec::new();
                while let Ok((stream, _)) = listener.accept() {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let served = match &tls {
                        Some(config) => {
                            let tls = ServerConnection::new(Arc::clone(config)).unwrap();
                            script.serve(StreamOwned::new(tls, stream))
                        }
                        None => script.serve(stream),
                    };
                    hanging.extend(served.ok().flatten());
                }
            })
        };
        Self {
            address,
            scheme,
            seen,
            asked,
            arrived,
            release,
            stop,
            thread: Some(thread),
        }
    }

    /// The address of the site.
    pub(crate) fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// The requests so far that came whole.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The targets of the requests for the list so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until another request has come whole.
    pub(crate) fn wait_for_request(&self) {
        self.arrived.recv_timeout(PATIENCE).expect("a request");
    }

    /// Lets it give an answer that is held.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Held = Box<dyn Send>;

/// A site without a list.
fn no_list() -> List {
    Box::new(|_, _| Reply::status("404 Not Found", "", ""))
}

struct Script {
    /// The last one comes first.
    replies: Vec<Reply>,
    list: List,
    seen: Arc<Mutex<Vec<Request>>>,
    asked: Arc<Mutex<Vec<String>>>,
    arrived: Sender<()>,
    released: Receiver<()>,
}

impl Script {
    fn serve<S: Read + Write + Send + 'static>(
        &mut self,
        mut stream: S,
    ) -> io::Result<Option<Held>> {
        let (head, mut body) = read_head(&mut stream)?;
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let is_list = head.starts_with("GET ") && target.contains("/api/results?");
        let reply = if is_list {
            self.asked.lock().unwrap().push(target.clone());
            Some((self.list)(&target, &self.seen.lock().unwrap()))
        } else {
            self.replies.pop()
        };
        if matches!(reply, Some(Reply::Reset)) {
            return Ok(None);
        }
        let length = header(&head, "content-length").and_then(|value| value.parse().ok());
        let missing = length.unwrap_or(0_usize).saturating_sub(body.len());
        let start = body.len();
        body.resize(start + missing, 0);
        stream.read_exact(&mut body[start..])?;
        if !is_list {
            self.seen.lock().unwrap().push(Request {
                head,
                body: String::from_utf8_lossy(&body).into_owned(),
                raw: body,
            });
        }
        let _ = self.arrived.send(());
        match &reply {
            Some(reply @ (Reply::Answer(bytes) | Reply::Held(bytes))) => {
                if matches!(reply, Reply::Held(_)) && self.released.recv_timeout(PATIENCE).is_err()
                {
                    return Ok(None);
                }
                stream.write_all(bytes)?;
                stream.flush()?;
                Ok(None)
            }
            Some(Reply::Hang) => Ok(Some(Box::new(stream))),
            Some(Reply::Reset) | None => Ok(None),
        }
    }
}

/// The head of a request, and what of its body came with it.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    // Byte by byte: nothing of the body is taken, so that a closed connection leaves it unread.
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok((String::from_utf8(head).unwrap(), Vec::new()))
}

/// A header of a request.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// A port on which nobody listens, and which nobody else can take.
pub(crate) struct Deaf {
    stream: TcpStream,
}

impl Deaf {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Self { stream }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.stream.local_addr().unwrap())
    }
}

/// A throwaway authority and a certificate of its making.
pub(crate) struct Certificate {
    /// The authority's own certificate, as PEM.
    pub authority: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Certificate {
    /// For a host.
    pub(crate) fn of(host: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, key);

        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &issuer).unwrap();
        Self {
            authority: authority.pem(),
            chain: vec![certificate.der().clone()],
            key: key.serialize_der(),
        }
    }

    fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        Arc::new(config)
    }
}

/// A proxy that connects to where it is asked to, and notes it.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        Self::with(None)
    }

    /// One that answers with that status.
    pub(crate) fn refusing(status: u16) -> Self {
        Self::with(Some(status))
    }

    fn with(status: Option<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        // It ends with the tests.
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let _ = tunnel(client, &noted, status);
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first lines of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(
    mut client: TcpStream,
    noted: &Mutex<Vec<String>>,
    refusal: Option<u16>,
) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let (head, _) = read_head(&mut client)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    noted.lock().unwrap().push(line);
    if let Some(status) = refusal {
        return write!(client, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut server, &mut client).map(drop)
}
