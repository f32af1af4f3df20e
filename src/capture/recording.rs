//! What a terminal or a container printed, kept line by line in strings of json: recordings of
//! asciinema (versions 2 and 3), and the logs that Docker keeps.

use serde::Deserialize;

/// How what was printed is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recording {
    /// `{"log":"…\n","stream":"stdout","time":"…"}`
    Docker,
    /// `[1.5, "o", "…"]`, after a line about the terminal.
    Asciinema,
}

/// How much of the text is needed to tell.
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
    /// Whether more of the text is needed to tell what it is.
    pub(super) fn may_be(begin: &[u8]) -> bool {
        let begins_as = |sign: &[u8]| {
            let length = begin.len().min(sign.len());
            begin[..length] == sign[..length]
        };
        let is_line = memchr::memchr(b'\n', begin).is_some() || begin.len() >= ENOUGH;
        (begins_as(DOCKER) && begin.len() < DOCKER.len()) || (begins_as(ASCIINEMA) && !is_line)
    }

    /// What the text is that begins so.
    pub(super) fn of(begin: &[u8]) -> Option<Self> {
        if begin.starts_with(DOCKER) {
            return Some(Self::Docker);
        }
        let line = begin.split(|&byte| byte == b'\n').next()?;
        let terminal: Terminal = serde_json::from_slice(line).ok()?;
        let is_one = matches!(terminal.version, 2 | 3)
            && (terminal.width.is_some() || terminal.term.is_some());
        is_one.then_some(Self::Asciinema)
    }

    /// Appends what was printed with this line; a line that does not belong to the recording stays.
    pub(super) fn decode(self, line: &[u8], out: &mut Vec<u8>) {
        let printed = match self {
            Self::Docker => serde_json::from_slice(line).map(|DockerLine { log }| Some(log)),
            Self::Asciinema => serde_json::from_slice::<(f64, String, String)>(line)
                .map(|(_, kind, text)| (kind == "o").then_some(text)),
        };
        match printed {
            Ok(Some(text)) => out.extend_from_slice(text.as_bytes()),
            Ok(None) => {}
            Err(_) => out.extend_from_slice(line),
        }
    }
}
