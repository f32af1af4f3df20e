//! Output that is kept line by line in json strings: recordings of asciinema (versions 2 and 3), and
//! Docker's log files.

use std::collections::VecDeque;

use serde::Deserialize;

/// The format of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recording {
    /// `{"log":"…\n","stream":"stdout","time":"…"}`
    Docker,
    /// `[1.5, "o", "…"]`, after a line about the terminal.
    Asciinema,
}

/// This many bytes are enough to detect a recording.
const ENOUGH: usize = 4096;

const DOCKER: &[u8] = b"{\"log\":\"";
const ASCIINEMA: &[u8] = b"{\"version\"";

#[derive(Deserialize)]
struct DockerLine {
    log: String,
}

#[derive(Deserialize)]
struct Terminal {
    version: u8,
    width: Option<u32>,
    term: Option<serde_json::Value>,
}

impl Recording {
    /// Whether more of the text is needed to detect a recording.
    pub(super) fn may_be(begin: &[u8]) -> bool {
        let begins_as = |sign: &[u8]| {
            let length = begin.len().min(sign.len());
            begin[..length] == sign[..length]
        };
        let is_line = memchr::memchr(b'\n', begin).is_some() || begin.len() >= ENOUGH;
        (begins_as(DOCKER) && begin.len() < DOCKER.len()) || (begins_as(ASCIINEMA) && !is_line)
    }

    /// The format of a text with this beginning, if it is a recording.
    pub(super) fn detect(begin: &[u8]) -> Option<Self> {
        if begin.starts_with(DOCKER) {
            return Some(Self::Docker);
        }
        let line = begin.split(|&byte| byte == b'\n').next()?;
        let terminal: Terminal = serde_json::from_slice(line).ok()?;
        let is_one = matches!(terminal.version, 2 | 3)
            && (terminal.width.is_some() || terminal.term.is_some());
        is_one.then_some(Self::Asciinema)
    }

    /// Appends the output in this line; a line that is not part of the recording stays as it is.
    pub(super) fn decode(self, line: &[u8], out: &mut VecDeque<u8>) {
        let printed = match self {
            Self::Docker => serde_json::from_slice(line).map(|DockerLine { log }| Some(log)),
            Self::Asciinema => serde_json::from_slice::<(f64, String, String)>(line)
                .map(|(_, kind, text)| (kind == "o").then_some(text)),
        };
        match printed {
            Ok(Some(text)) => out.extend(text.as_bytes()),
            Ok(None) => {}
            Err(_) => out.extend(line),
        }
    }
}
