//! The connection of a client: short patience with the headers of a request, long patience between two, and
//! few bytes on their way to a slow reader.
//!
//! hyper has one time for both, and a pooled connection would be closed under the next request; it has one
//! size for what it holds of headers and of answers.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::lock;

/// The longest time until the headers of a request are there.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may be without a request: longer than clients keep theirs, as a rule.
const IDLE: Duration = Duration::from_mins(2);

/// The bytes of an answer that wait to be written; nothing is asked of the backend meanwhile.
const WAITING: usize = 16 << 10;

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The headers of a request come, at the latest at this time.
    Headers(Instant),
    /// Nothing, until this time.
    Idle(Instant),
    /// A request is answered.
    Busy,
}

/// What a connection and the answer that it sends know of each other.
#[derive(Debug, Clone)]
pub(super) struct Turn(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    state: State,
    /// The bytes of the answer that are not written yet.
    waiting: usize,
    /// The answer, which goes on when they are.
    answer: Option<Waker>,
}

/// The connection of a client.
pub(super) struct Connection {
    stream: TcpStream,
    turn: Turn,
    timer: Pin<Box<Sleep>>,
}

/// The body of an answer, at whose end the connection waits for the next request.
pub(super) struct Answered<B> {
    body: B,
    turn: Turn,
}

impl Connection {
    /// A connection on which the headers of the first request are awaited.
    pub(super) fn new(stream: TcpStream) -> (Self, Turn) {
        let deadline = Instant::now() + HEADERS_WITHIN;
        let turn = Turn(Arc::new(Mutex::new(Shared {
            state: State::Headers(deadline),
            waiting: 0,
            answer: None,
        })));
        let connection = Self {
            stream,
            turn: turn.clone(),
            timer: Box::pin(sleep_until(deadline)),
        };
        (connection, turn)
    }
}

impl Turn {
    /// The headers of a request are there.
    pub(super) fn begin(&self) {
        self.shared().state = State::Busy;
    }

    /// The body, which ends the turn.
    pub(super) fn answered<B>(&self, body: B) -> Answered<B> {
        let turn = self.clone();
        Answered { body, turn }
    }

    /// Bytes were written.
    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            let mut shared = self.shared();
            shared.waiting = shared.waiting.saturating_sub(*bytes);
            if let Some(answer) = shared.answer.take() {
                answer.wake();
            }
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.0)
    }
}

impl<B> Drop for Answered<B> {
    fn drop(&mut self) {
        self.turn.shared().state = State::Idle(Instant::now() + IDLE);
    }
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        {
            let mut shared = self.turn.shared();
            if shared.waiting >= WAITING {
                shared.answer = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Buf::remaining);
            self.turn.shared().waiting += bytes;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let deadline = {
            let mut shared = self.turn.shared();
            match shared.state {
                State::Busy => return read,
                State::Idle(_) if read.is_ready() => {
                    shared.state = State::Headers(Instant::now() + HEADERS_WITHIN);
                    return read;
                }
                State::Headers(deadline) | State::Idle(deadline) => deadline,
            }
        };
        if read.is_ready() {
            return read;
        }
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.turn.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.turn.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
