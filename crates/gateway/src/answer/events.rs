//! Events of a stream as they pass by, with all their bytes.

use bytes::{Bytes, BytesMut};

/// The longest open event that is held back.
const LONGEST: usize = 64 << 10;

/// Cuts a stream behind the blank line of each event. Lines end with LF, CRLF or CR.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// What came of the open event.
    open: BytesMut,
    /// How much of it has been looked at.
    seen: usize,
    /// Whether the line that is being read has no byte yet.
    is_empty_line: bool,
    /// Whether the last byte was a CR, whose LF may follow.
    after_cr: bool,
    /// Whether the beginning of the open event has been passed on, because it is long.
    is_passing: bool,
}

impl Events {
    /// Takes bytes; gives what can be passed on now: whole events, or a part of a very long one.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Bytes {
        self.open.extend_from_slice(bytes);
        let mut end = 0;
        while let Some(&byte) = self.open.get(self.seen) {
            self.seen += 1;
            match byte {
                // The second half of the end of a line, which belongs to the event before.
                b'\n' if self.after_cr => {
                    self.after_cr = false;
                    if end + 1 == self.seen {
                        end = self.seen;
                    }
                }
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    if self.is_empty_line {
                        end = self.seen;
                        self.is_passing = false;
                    }
                    self.is_empty_line = true;
                }
                _ => {
                    self.after_cr = false;
                    self.is_empty_line = false;
                }
            }
        }
        if self.is_passing || self.open.len() - end > LONGEST {
            self.is_passing = self.is_passing || self.open.len() > end;
            end = self.open.len();
        }
        self.seen -= end;
        self.open.split_to(end).freeze()
    }

    /// What is left at the end of the stream.
    pub(super) fn finish(&mut self) -> Bytes {
        self.seen = 0;
        self.open.split().freeze()
    }

    /// Whether the beginning of an event was passed on whose end has not come.
    pub(super) fn is_within_event(&self) -> bool {
        self.is_passing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(stream: &[u8], at: usize) -> (Vec<u8>, Vec<u8>) {
        let mut events = Events::default();
        let first = events.feed(&stream[..at]).to_vec();
        let mut all = first.clone();
        all.extend(events.feed(&stream[at..]));
        (first, all)
    }

    #[test]
    fn a_stream_cut_anywhere_passes_whole_events_only_and_all_bytes() {
        for ends in ["\n", "\r\n", "\r"] {
            let stream =
                ": a comment\n\ndata: {\"a\":1}\n\nevent: x\ndata: 1\ndata: 2\n\ndata: [DONE]\n\n"
                    .replace('\n', ends);
            let blank = format!("{ends}{ends}");
            for at in 0..=stream.len() {
                let (first, all) = cut(stream.as_bytes(), at);
                assert_eq!(all, stream.as_bytes(), "{ends:?} {at}");
                let first = String::from_utf8(first).unwrap();
                let is_whole =
                    first.is_empty() || first.ends_with(&blank) || first.ends_with("\r\n\r");
                assert!(is_whole, "{ends:?} {at}: {first:?}");
            }
        }
    }

    #[test]
    fn a_very_long_event_is_passed_on_at_once() {
        let mut events = Events::default();
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(events.feed(&long), long);
        assert!(events.is_within_event());
        assert_eq!(events.feed(b"y"), "y");
        assert_eq!(events.feed(b"\n\nz"), "\n\n");
        assert!(!events.is_within_event());
        assert_eq!(events.finish(), "z");
    }
}
