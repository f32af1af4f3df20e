//! The events of a backend on their way.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use tokio::time::{Instant, Sleep, sleep};

use super::events::Events;
use super::tokens::{Counter, Tokens};
use crate::fault::Fault;

/// Whether an answer with these headers is a stream of events.
pub(crate) fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"))
}

/// Whether the frame of an answer with these headers tells its end.
pub(crate) fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// Why a stream ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The backend cut it, or ended it without `[DONE]` where nothing else tells the end.
    ByBackend,
    /// Nothing came for too long.
    Silent,
    /// The gateway shuts down.
    Draining,
}

impl Cut {
    /// The error that ends the stream.
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::ByBackend => Fault::new(502, "upstream_cut", "the backend cut its answer"),
            Self::Silent => Fault::new(504, "upstream_timeout", "the backend fell silent"),
            Self::Draining => Fault::new(503, "shutting_down", "the gateway shuts down"),
        }
    }
}

/// What comes of a backend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Whole events, or a part of a very long one.
    Events(Bytes),
    /// The stream is over.
    End(Option<Cut>),
}

/// The stream of a backend: whole events only, counted.
pub(crate) struct Source {
    from: Incoming,
    events: Events,
    counter: Counter,
    silence: Pin<Box<Sleep>>,
    longest_silence: Duration,
    /// Whether its frame tells the end, without `[DONE]`.
    is_framed: bool,
}

impl Source {
    /// `longest_silence` is what may lie between two pieces.
    pub(crate) fn new(from: Incoming, is_framed: bool, longest_silence: Duration) -> Self {
        Self {
            from,
            events: Events::default(),
            counter: Counter::default(),
            silence: Box::pin(sleep(longest_silence)),
            longest_silence,
            is_framed,
        }
    }

    /// The tokens that the stream has told so far, else the number of its chunks.
    pub(crate) fn tokens(&self) -> Tokens {
        self.counter.tokens()
    }

    /// Whether the beginning of an event was passed on whose end has not come.
    pub(crate) fn is_within_event(&self) -> bool {
        self.events.is_within_event()
    }

    /// The end of a stream that was cut; behind `[DONE]` nothing is missing.
    fn end(&self, cut: Cut) -> Next {
        Next::End((!self.counter.is_done).then_some(cut))
    }

    /// The next events, the moment that they are complete.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        loop {
            let events = match Pin::new(&mut self.from).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let deadline = Instant::now() + self.longest_silence;
                    self.silence.as_mut().reset(deadline);
                    self.events.feed(&data)
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(self.end(Cut::ByBackend)),
                Poll::Ready(None) => {
                    let rest = self.events.finish();
                    self.counter.feed(&rest);
                    self.counter.finish();
                    if !self.is_framed && !self.counter.is_done {
                        return Poll::Ready(Next::End(Some(Cut::ByBackend)));
                    }
                    if rest.is_empty() {
                        return Poll::Ready(Next::End(None));
                    }
                    return Poll::Ready(Next::Events(rest));
                }
                Poll::Pending => {
                    if self.silence.as_mut().poll(context).is_ready() {
                        return Poll::Ready(self.end(Cut::Silent));
                    }
                    return Poll::Pending;
                }
            };
            if !events.is_empty() {
                self.counter.feed(&events);
                return Poll::Ready(Next::Events(events));
            }
        }
    }
}
