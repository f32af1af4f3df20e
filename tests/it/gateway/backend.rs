//! A model server that plays a script: it answers each request as it is told, and remembers it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// How a request is answered.
#[derive(Debug, Clone)]
enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes so many times, and notes when the other side stops reading.
    Flood(Vec<u8>, usize),
    /// Goes on when the test releases it.
    Hold,
    /// Goes on after this time.
    Sleep(Duration),
    /// Closes the connection.
    Close,
}

/// The answer to a request, step by step.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    steps: Vec<Step>,
    is_chunked: bool,
}

impl Reply {
    /// These bytes, head and all.
    pub(super) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self {
            steps: vec![Step::Send(bytes.as_ref().to_vec())],
            is_chunked: false,
        }
    }

    /// A whole answer; `head` are lines that end in CRLF.
    pub(super) fn with(status: u16, head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\n{head}\r\n");
        Self::raw([head.as_bytes(), body].concat())
    }

    /// A whole answer in JSON.
    pub(super) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::with(status, "content-type: application/json\r\n", body)
    }

    /// A chat completion that says this.
    pub(super) fn says(text: &str) -> Self {
        Self::json(200, completion(text))
    }

    /// The beginning of a stream in chunks.
    pub(super) fn stream() -> Self {
        Self {
            is_chunked: true,
            ..Self::raw(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                 transfer-encoding: chunked\r\n\r\n",
            )
        }
    }

    /// The beginning of a stream whose end is that of the connection.
    pub(super) fn open_stream() -> Self {
        Self::raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    }

    /// Sends more; in a stream of chunks, as one.
    pub(super) fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = self.framed(bytes.as_ref());
        self.steps.push(Step::Send(bytes));
        self
    }

    /// Sends an event with a part of a chat completion.
    pub(super) fn word(self, text: &str) -> Self {
        self.then(word(text))
    }

    /// Sends `[DONE]`.
    pub(super) fn done(self) -> Self {
        self.then("data: [DONE]\n\n").end()
    }

    /// Sends these bytes so many times; the test can wait until the other side stops reading.
    pub(super) fn flood(mut self, bytes: impl AsRef<[u8]>, times: usize) -> Self {
        let bytes = self.framed(bytes.as_ref());
        self.steps.push(Step::Flood(bytes, times));
        self
    }

    /// Ends a stream of chunks.
    pub(super) fn end(mut self) -> Self {
        self.steps.push(if self.is_chunked {
            Step::Send(b"0\r\n\r\n".to_vec())
        } else {
            Step::Close
        });
        self
    }

    /// Waits until the test releases it.
    pub(super) fn hold(mut self) -> Self {
        self.steps.push(Step::Hold);
        self
    }

    pub(super) fn sleep(mut self, time: Duration) -> Self {
        self.steps.push(Step::Sleep(time));
        self
    }

    /// Closes the connection, whatever is open.
    pub(super) fn cut(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }

    /// Never answers.
    pub(super) fn hang() -> Self {
        Self::raw("").hold()
    }

    /// Closes the connection without an answer.
    pub(super) fn nothing() -> Self {
        Self::raw("").cut()
    }

    fn framed(&self, bytes: &[u8]) -> Vec<u8> {
        if self.is_chunked {
            let length = format!("{:x}\r\n", bytes.len());
            [length.as_bytes(), bytes, b"\r\n"].concat()
        } else {
            bytes.to_vec()
        }
    }
}

/// The body of a chat completion.
pub(super) fn completion(text: &str) -> String {
    serde_json::json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    })
    .to_string()
}

/// An event with a part of a chat completion.
pub(super) fn word(text: &str) -> String {
    let chunk = serde_json::json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}}],
    });
    format!("data: {chunk}\n\n")
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its lines with the empty one.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Which connection it came on.
    pub(super) connection: usize,
}

impl Seen {
    /// Method and target.
    pub(super) fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.strip_suffix(" HTTP/1.1").unwrap_or(line)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// The names of all headers, in lower case and sorted.
    pub(super) fn header_names(&self) -> Vec<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut names: Vec<_> = lines.map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        names
    }

    /// The body as text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// Whether requests are counted only.
    forgets: bool,
    count: usize,
    connections: usize,
    /// Replies that wait for the test.
    held: usize,
    /// Those that may go on.
    released: usize,
    /// Replies whose reader went away before their end.
    left: usize,
    /// Connections that this side has closed.
    closed: usize,
    /// Replies whose reader stopped reading.
    blocked: usize,
    is_over: bool,
}

type Script = Box<dyn FnMut(usize, &Seen) -> Reply + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    script: Mutex<Script>,
}

/// The server. It ends with the test.
pub(super) struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Backend {
    /// One that asks this closure for each answer; it gets the number of the request, from 0.
    pub(super) fn start(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            script: Mutex::new(Box::new(script)),
        });
        let accepted = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut state = accepted.state();
                if state.is_over {
                    return;
                }
                let connection = state.connections;
                state.connections += 1;
                drop(state);
                let shared = Arc::clone(&accepted);
                // What goes wrong with a connection is the other side's matter.
                std::thread::spawn(move || shared.serve(stream, connection));
            }
        });
        Self { address, shared }
    }

    /// The same, without remembering what came.
    pub(super) fn forgetting(script: impl FnMut(usize, &Seen) -> Reply + Send + 'static) -> Self {
        let backend = Self::start(script);
        backend.shared.state().forgets = true;
        backend
    }

    /// One that always answers so.
    pub(super) fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone())
    }

    /// One that answers one request after the other, and all that come after with the last.
    pub(super) fn playing(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::start(move |number, _| replies[number.min(replies.len() - 1)].clone())
    }

    /// The base URL, which stands for `/v1`.
    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Answers so from now on; the number of requests begins at 0 again.
    pub(super) fn now(&self, reply: Reply) {
        *lock(&self.shared.script) = Box::new(move |_, _| reply.clone());
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// How many requests came so far.
    pub(super) fn count(&self) -> usize {
        self.shared.state().count
    }

    /// The one request that came.
    #[track_caller]
    pub(super) fn only(&self) -> Seen {
        let requests = self.requests();
        assert_eq!(requests.len(), 1);
        requests.into_iter().next().unwrap()
    }

    /// Waits until so many replies are held.
    #[track_caller]
    pub(super) fn wait_for_held(&self, count: usize) {
        self.wait("held replies", |state| state.held >= count);
    }

    /// Waits until the readers of so many replies have gone, in all.
    #[track_caller]
    pub(super) fn wait_for_left(&self, count: usize) {
        self.wait("readers that leave", |state| state.left >= count);
    }

    /// Waits until it has closed so many connections, in all.
    #[track_caller]
    pub(super) fn wait_for_closed(&self, count: usize) {
        self.wait("closed connections", |state| state.closed >= count);
    }

    /// Waits until the readers of so many floods have stopped reading, in all.
    #[track_caller]
    pub(super) fn wait_for_blocked(&self, count: usize) {
        self.wait("readers that stop", |state| state.blocked >= count);
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&State) -> bool) {
        let state = self.shared.state();
        let waited = &self.shared.changed;
        let waited = waited.wait_timeout_while(state, PATIENCE, |state| !is_there(state));
        let (_state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!result.timed_out(), "no {what}");
    }

    /// Lets so many replies go on that are held now or later.
    pub(super) fn release(&self, count: usize) {
        self.shared.state().released += count;
        self.shared.changed.notify_all();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn serve(&self, mut stream: TcpStream, connection: usize) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        loop {
            stream.set_read_timeout(Some(PATIENCE))?;
            let Some(seen) = read(&mut reader, connection)? else {
                return Ok(());
            };
            let number = {
                let mut state = self.state();
                if !state.forgets {
                    state.seen.push(seen.clone());
                }
                state.count += 1;
                state.count - 1
            };
            self.changed.notify_all();
            let reply = (lock(&self.script))(number, &seen);
            for step in reply.steps {
                let done = match step {
                    Step::Send(bytes) => stream.write_all(&bytes).is_ok(),
                    Step::Flood(bytes, times) => self.flood(&mut stream, &bytes, times)?,
                    Step::Sleep(time) => {
                        std::thread::sleep(time);
                        true
                    }
                    Step::Hold => self.hold(&mut stream)?,
                    Step::Close => {
                        let _ = stream.shutdown(Shutdown::Both);
                        self.state().closed += 1;
                        self.changed.notify_all();
                        return Ok(());
                    }
                };
                if !done {
                    self.state().left += 1;
                    self.changed.notify_all();
                    return Ok(());
                }
            }
        }
    }

    /// Sends bytes again and again; false if the reader has gone.
    fn flood(&self, stream: &mut TcpStream, bytes: &[u8], times: usize) -> io::Result<bool> {
        let mut rest = bytes;
        let mut left = times;
        let mut is_blocked = false;
        let deadline = Instant::now() + PATIENCE;
        stream.set_write_timeout(Some(Duration::from_millis(500)))?;
        while left > 0 {
            if rest.is_empty() {
                left -= 1;
                rest = bytes;
                continue;
            }
            match stream.write(rest) {
                Ok(0) => return Ok(false),
                Ok(count) => rest = &rest[count..],
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if !is_blocked {
                        is_blocked = true;
                        self.state().blocked += 1;
                        self.changed.notify_all();
                    }
                    if Instant::now() > deadline {
                        return Err(error);
                    }
                }
                Err(_) => return Ok(false),
            }
        }
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(true)
    }

    /// Waits until the test lets it go on; false if the reader goes away before.
    fn hold(&self, stream: &mut TcpStream) -> io::Result<bool> {
        self.state().held += 1;
        self.changed.notify_all();
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        let deadline = Instant::now() + PATIENCE * 2;
        let is_released = loop {
            {
                let mut state = self.state();
                if state.released > 0 {
                    state.released -= 1;
                    break true;
                }
                if state.is_over || Instant::now() > deadline {
                    break false;
                }
            }
            match stream.read(&mut [0]) {
                Ok(0) => break false,
                Ok(_) => panic!("a second request before the answer to the first"),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => break false,
            }
        };
        self.state().held -= 1;
        Ok(is_released)
    }
}

/// Reads a request; `None` if the connection ends before it.
fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut seen = Seen {
        head,
        body: Vec::new(),
        connection,
    };
    assert_eq!(
        seen.header("transfer-encoding"),
        None,
        "a request in chunks"
    );
    let length = seen.header("content-length");
    let length = length.map_or(0, |length| length.parse().unwrap());
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body)?;
    Ok(Some(seen))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
