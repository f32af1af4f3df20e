//! The body of an answer to a client.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::account::Account;
use super::held::Hold;
use super::infer::Texts;
use super::proxy::Running;
use crate::answer::{Cut, Next, Source};

/// What a connection takes at once of a whole answer.
const PIECE: usize = 64 << 10;

/// The body of an answer to a client.
pub(crate) enum Reply {
    /// All of it, or what is left of it, and what is known of it until it has gone out.
    Whole(Bytes, Option<Box<Sending>>),
    /// The events of a backend.
    Events(Box<Events>),
    /// An answer that is too long to be held.
    Long(Box<Long>),
}

/// The events of a backend on their way to a client.
pub(crate) struct Events {
    pub(crate) status: StatusCode,
    pub(crate) first: Option<Bytes>,
    pub(crate) source: Source,
    pub(crate) account: Account,
    pub(crate) running: Running,
    /// Ready when the gateway ends what runs.
    pub(crate) ending: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(crate) is_over: bool,
    /// What makes texts of a chat, for who asked by a prompt.
    pub(crate) texts: Option<Texts>,
}

/// A whole answer on its way to a client.
pub(crate) struct Sending {
    status: StatusCode,
    account: Account,
    #[expect(dead_code, reason = "its end gives the memory back")]
    hold: Hold,
}

/// An answer whose beginning was read.
pub(crate) struct Long {
    pub(crate) status: StatusCode,
    pub(crate) first: Option<Bytes>,
    pub(crate) rest: Incoming,
    pub(crate) account: Account,
    pub(crate) running: Running,
    pub(crate) hold: Option<Hold>,
    /// How long the backend may be silent, and when it has been.
    pub(crate) longest_silence: Duration,
    pub(crate) silence: Pin<Box<Sleep>>,
}

impl Reply {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(bytes, None)
    }

    /// The whole answer to a request, which runs until the client has taken all but the last piece of it.
    pub(crate) fn sending(
        bytes: Bytes,
        status: StatusCode,
        mut account: Account,
        hold: Hold,
    ) -> Self {
        if bytes.len() <= PIECE {
            account.passed(bytes.len());
            account.done(status);
            return Self::whole(bytes);
        }
        let sending = Sending {
            status,
            account,
            hold,
        };
        Self::Whole(bytes, Some(Box::new(sending)))
    }
}

impl Events {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let events = ready!(self.poll_source(context));
            let Some(texts) = &mut self.texts else {
                return Poll::Ready(events);
            };
            let is_end = events.is_none();
            let made = match events {
                Some(events) => texts.feed(&events),
                None => texts.finish(),
            };
            if is_end || !made.is_empty() {
                return Poll::Ready((!made.is_empty()).then_some(made));
            }
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(first) = self.first.take() {
            self.account.passed(first.len());
            return Poll::Ready(Some(first));
        }
        let cut = match self.source.poll_next(context) {
            Poll::Ready(Next::Events(events)) => {
                self.account.passed(events.len());
                return Poll::Ready(Some(events));
            }
            Poll::Ready(Next::End(cut)) => cut,
            Poll::Pending => match self.ending.as_mut().poll(context) {
                Poll::Ready(()) => Some(Cut::Draining),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.is_over = true;
        self.account.tokens(self.source.tokens());
        match cut {
            None | Some(Cut::Draining) => {}
            Some(Cut::ByBackend | Cut::Silent) => self.running.failed(),
        }
        let Some(cut) = cut else {
            self.running.succeeded();
            self.account.done(self.status);
            return Poll::Ready(None);
        };
        // The open event is dropped: half of one is an error in JSON to the client. One whose beginning was
        // passed on is ended.
        let fault = cut.fault();
        let mut last = if self.source.is_within_event() {
            b"\n\n".to_vec()
        } else {
            Vec::new()
        };
        last.extend_from_slice(&fault.event());
        self.account.passed(last.len());
        self.account.cut(&fault);
        Poll::Ready(Some(last.into()))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // The client has left: what came until then was generated.
        if !self.is_over {
            self.account.tokens(self.source.tokens());
        }
    }
}

/// Why the rest of an answer cannot be sent; the client sees its connection close.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the backend cut its answer")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(rest, sending) => {
                if rest.is_empty() {
                    return Poll::Ready(None);
                }
                let piece = rest.split_to(rest.len().min(PIECE));
                if let Some(sending) = sending {
                    sending.account.passed(piece.len());
                    if rest.is_empty() {
                        sending.account.done(sending.status);
                    }
                }
                if rest.is_empty() {
                    *sending = None;
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Self::Events(events) => events
                .poll_event(context)
                .map(|event| event.map(|event| Ok(Frame::data(event)))),
            Self::Long(long) => {
                if let Some(first) = long.first.take() {
                    long.hold = None;
                    long.account.passed(first.len());
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                loop {
                    return match Pin::new(&mut long.rest).poll_frame(context) {
                        Poll::Pending if long.silence.as_mut().poll(context).is_ready() => {
                            long.running.failed();
                            long.account.cut(&Cut::Silent.fault());
                            Poll::Ready(Some(Err(Broken)))
                        }
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(Some(Ok(frame))) => {
                            let Ok(data) = frame.into_data() else {
                                continue;
                            };
                            let deadline = Instant::now() + long.longest_silence;
                            long.silence.as_mut().reset(deadline);
                            long.account.passed(data.len());
                            Poll::Ready(Some(Ok(Frame::data(data))))
                        }
                        Poll::Ready(None) => {
                            long.running.succeeded();
                            long.account.done(long.status);
                            Poll::Ready(None)
                        }
                        Poll::Ready(Some(Err(_))) => {
                            long.running.failed();
                            long.account.cut(&Cut::ByBackend.fault());
                            Poll::Ready(Some(Err(Broken)))
                        }
                    };
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(rest, _) if rest.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(rest, _) => SizeHint::with_exact(rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
