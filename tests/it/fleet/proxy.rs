//! What lies between a program and a server, and can go wrong: a proxy that throttles, cuts, loses
//! answers and gives its own, and keeps all that passed.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::server::{PATIENCE, header, read_head};

/// What happens to a request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The server never sees it. It is read whole, and answered with this status ("503 Service
    /// Unavailable") and lines of a head ("Retry-After: 1\r\n").
    Answered(&'static str, &'static str),
    /// The connection is cut when so many bytes of the request have passed, its head included.
    RequestCut(usize),
    /// The server answers; the connection is cut when so many bytes of that have passed, its head
    /// included. With 0 the answer is lost.
    AnswerCut(usize),
}

/// A request and its answer, so far as they passed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    pub request_head: String,
    pub request: Vec<u8>,
    pub answer_head: String,
    pub answer: Vec<u8>,
}

/// A proxy. It ends with the test.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    server: SocketAddr,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Exchange>>,
    sent: AtomicU64,
    received: AtomicU64,
    /// Bytes a second each way and connection.
    speed: AtomicU64,
    /// Milliseconds that each request, or piece of a stream, takes longer.
    delay: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl State {
    /// Notes more of an exchange, unless it was forgotten meanwhile.
    fn keep(&self, number: usize, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.seen.lock().unwrap().get_mut(number) {
            change(exchange);
        }
    }
}

impl Proxy {
    /// A proxy of HTTP/1.1 before this server.
    pub(crate) fn http(server: SocketAddr) -> Self {
        Self::with(server, serve)
    }

    /// A proxy of any bytes, such as the link of a replica: it throttles and cuts, and counts bytes.
    pub(crate) fn stream(server: SocketAddr) -> Self {
        Self::with(server, tunnel)
    }

    fn with(server: SocketAddr, serve: fn(&State, TcpStream, TcpStream) -> io::Result<()>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            server,
            faults: Mutex::default(),
            seen: Mutex::default(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            speed: AtomicU64::new(u64::MAX),
            delay: AtomicU64::new(0),
            connections: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let thread = {
            let state = Arc::clone(&state);
            std::thread::spawn(move || {
                while let Ok((client, _)) = listener.accept() {
                    if state.stop.load(Ordering::SeqCst) {
                        break;
                    }
                    // A server that is not there is seen as a connection that ends.
                    let Ok(server) = TcpStream::connect(state.server) else {
                        continue;
                    };
                    let mut connections = state.connections.lock().unwrap();
                    connections.extend(client.try_clone());
                    connections.extend(server.try_clone());
                    drop(connections);
                    let state = Arc::clone(&state);
                    std::thread::spawn(move || {
                        let ends = [client.try_clone(), server.try_clone()];
                        let _ = serve(&state, client, server);
                        shut(ends.into_iter().flatten());
                    });
                }
            })
        };
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to the next requests, one after the other; nothing to those after.
    pub(crate) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.state.faults.lock().unwrap() = faults.into_iter().collect();
    }

    /// From now on so many bytes a second pass each way of a connection; with 0 none, until there is
    /// another speed. `u64::MAX` is no limit.
    pub(crate) fn speed(&self, bytes_a_second: u64) {
        self.state.speed.store(bytes_a_second, Ordering::SeqCst);
    }

    /// From now on each request (of a stream: each piece) takes so much longer.
    pub(crate) fn delay(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay.store(milliseconds, Ordering::SeqCst);
    }

    /// Cuts all connections that there are.
    pub(crate) fn cut(&self) {
        shut(self.state.connections.lock().unwrap().drain(..));
    }

    /// The number of requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// The requests so far and their answers.
    pub(crate) fn seen(&self) -> Vec<Exchange> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Forgets what was seen and counted.
    pub(crate) fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
        self.state.sent.store(0, Ordering::SeqCst);
        self.state.received.store(0, Ordering::SeqCst);
    }

    /// The bytes to the server so far, heads included.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }

    /// The bytes from the server so far, heads included.
    pub(crate) fn received(&self) -> u64 {
        self.state.received.load(Ordering::SeqCst)
    }

    /// Whether this text passed in the body of a request or an answer.
    pub(crate) fn saw(&self, text: &str) -> bool {
        let bodies = self.seen();
        let mut bodies = bodies.iter().flat_map(|seen| [&seen.request, &seen.answer]);
        bodies.any(|body| {
            let mut places = body.windows(text.len());
            places.any(|place| place == text.as_bytes())
        })
    }

    /// Waits for something that is true of it some time.
    #[track_caller]
    pub(crate) fn wait_until(&self, is_true: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_true(self) {
            assert!(start.elapsed() < PATIENCE, "the proxy waits in vain");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        self.state.speed.store(u64::MAX, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.cut();
    }
}

fn shut(connections: impl Iterator<Item = TcpStream>) {
    for connection in connections {
        let _ = connection.shutdown(Shutdown::Both);
    }
}

/// Bytes on their way.
struct Flow<'a> {
    state: &'a State,
    to: &'a mut TcpStream,
    count: &'a AtomicU64,
    /// How many may still pass.
    left: usize,
}

impl Flow<'_> {
    /// Lets bytes through at the speed there is; an error cuts the connection.
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = &bytes[..bytes.len().min(self.left)];
        while !rest.is_empty() {
            let speed = self.state.speed.load(Ordering::SeqCst);
            if speed == 0 {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let piece = usize::try_from(speed / 20).unwrap_or(usize::MAX).max(1);
            let (piece, after) = rest.split_at(piece.min(rest.len()));
            // Before it is there: whoever has got all of it finds it counted.
            let length = piece.len() as u64;
            self.count.fetch_add(length, Ordering::SeqCst);
            self.to.write_all(piece)?;
            if speed != u64::MAX {
                std::thread::sleep(Duration::from_micros(1_000_000 * length / speed));
            }
            rest = after;
        }
        self.left -= bytes.len().min(self.left);
        if self.left == 0 {
            return Err(io::Error::other("cut"));
        }
        Ok(())
    }

    /// Lets so many bytes through and keeps them.
    fn body(
        &mut self,
        from: &mut TcpStream,
        length: usize,
        mut keep: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut missing = length;
        let mut piece = [0; 1 << 14];
        while missing > 0 {
            let end = missing.min(piece.len());
            let length = from.read(&mut piece[..end])?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            keep(&piece[..length]);
            self.pass(&piece[..length])?;
            missing -= length;
        }
        Ok(())
    }
}

/// One request after the other.
fn serve(state: &State, mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    loop {
        let (head, _) = read_head(&mut client)?;
        let length = length(&head);
        let number = {
            let mut seen = state.seen.lock().unwrap();
            seen.push(Exchange {
                request_head: head.clone(),
                ..Exchange::default()
            });
            seen.len() - 1
        };
        let fault = state.faults.lock().unwrap().pop_front();
        let fault = fault.unwrap_or(Fault::None);
        std::thread::sleep(Duration::from_millis(state.delay.load(Ordering::SeqCst)));
        if let Fault::Answered(status, lines) = fault {
            let mut body = vec![0; length];
            client.read_exact(&mut body)?;
            state.keep(number, |exchange| exchange.request.clone_from(&body));
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{lines}\r\n");
            client.write_all(answer.as_bytes())?;
            continue;
        }
        let mut flow = Flow {
            state,
            to: &mut server,
            count: &state.sent,
            left: match fault {
                Fault::RequestCut(bytes) => bytes,
                _ => usize::MAX,
            },
        };
        flow.pass(head.as_bytes())?;
        flow.body(&mut client, length, |piece| {
            state.keep(number, |exchange| exchange.request.extend(piece));
        })?;
        answer(state, number, &fault, &mut server, &mut client)?;
    }
}

/// The length of a body: none of ours is in chunks.
fn length(head: &str) -> usize {
    assert!(header(head, "transfer-encoding").is_none(), "{head}");
    let length = header(head, "content-length").and_then(|length| length.parse().ok());
    length.unwrap_or(0)
}

fn answer(
    state: &State,
    number: usize,
    fault: &Fault,
    server: &mut TcpStream,
    client: &mut TcpStream,
) -> io::Result<()> {
    let (head, _) = read_head(server)?;
    state.keep(number, |exchange| exchange.answer_head.clone_from(&head));
    let mut flow = Flow {
        state,
        to: client,
        count: &state.received,
        left: match fault {
            Fault::AnswerCut(bytes) => *bytes,
            _ => usize::MAX,
        },
    };
    flow.pass(head.as_bytes())?;
    flow.body(server, length(&head), |piece| {
        state.keep(number, |exchange| exchange.answer.extend(piece));
    })
}

/// Any bytes, both ways.
fn tunnel(state: &State, client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut from_server) = (client.try_clone()?, server.try_clone()?);
    let (mut client, mut server) = (client, server);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = pour(state, &mut from_client, &mut server, &state.sent);
            shut([from_client, server].into_iter());
        });
        pour(state, &mut from_server, &mut client, &state.received)
    })
}

fn pour(
    state: &State,
    from: &mut TcpStream,
    to: &mut TcpStream,
    count: &AtomicU64,
) -> io::Result<()> {
    let left = usize::MAX;
    let mut flow = Flow {
        state,
        to,
        count,
        left,
    };
    let mut piece = [0; 1 << 14];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(state.delay.load(Ordering::SeqCst)));
        flow.pass(&piece[..length])?;
    }
}
