//! A client that sees each byte and each piece of an answer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// A connection.
pub(super) struct Client {
    stream: TcpStream,
    /// What came and was not looked at yet.
    buffer: Vec<u8>,
}

/// The first lines of an answer.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    /// Whether the connection was cut before its end.
    pub(super) is_cut: bool,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub(super) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a request; `head` are lines that end in CRLF.
    pub(super) fn request(&mut self, line: &str, head: &str, body: impl AsRef<[u8]>) {
        self.send(request(line, head, body.as_ref()));
    }

    /// Sends a request with a body in JSON.
    pub(super) fn post(&mut self, path: &str, body: impl AsRef<[u8]>) {
        self.request(&format!("POST {path}"), JSON, body);
    }

    /// No more will be sent; answers still come.
    pub(super) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads the first lines of an answer.
    #[track_caller]
    pub(super) fn head(&mut self) -> Head {
        self.try_head().unwrap().expect("an answer")
    }

    /// The same; `None` if the connection is closed.
    pub(super) fn try_head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            let found = self.buffer.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(end) = found {
                break end + 4;
            }
            if !self.fill()? {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        Ok(Some(Head {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
        }))
    }

    /// The next chunk of an answer that comes in chunks; `None` at its end, an error where it is cut.
    pub(super) fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let end = loop {
            if let Some(end) = self.buffer.windows(2).position(|end| end == b"\r\n") {
                break end;
            }
            self.need()?;
        };
        let length = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        while self.buffer.len() < end + 2 + length + 2 {
            self.need()?;
        }
        let piece: Vec<u8> = self.buffer.drain(..end + 2 + length + 2).collect();
        let piece = piece[end + 2..end + 2 + length].to_vec();
        Ok((length > 0).then_some(piece))
    }

    /// The next piece of a stream as text.
    #[track_caller]
    pub(super) fn event(&mut self) -> String {
        let piece = self.piece().unwrap().expect("an event");
        String::from_utf8(piece).unwrap()
    }

    /// Reads a whole answer.
    #[track_caller]
    pub(super) fn answer(&mut self) -> Answer {
        let head = self.head();
        self.body(head)
    }

    /// Reads the body behind a head.
    pub(super) fn body(&mut self, head: Head) -> Answer {
        let mut body = Vec::new();
        let mut is_cut = false;
        let length = head
            .header("content-length")
            .map(|text| text.parse().unwrap());
        if head.header("transfer-encoding") == Some("chunked") {
            loop {
                match self.piece() {
                    Ok(Some(piece)) => body.extend(piece),
                    Ok(None) => break,
                    Err(_) => {
                        is_cut = true;
                        break;
                    }
                }
            }
        } else if let Some(length) = length {
            while self.buffer.len() < length && !is_cut {
                is_cut = self.need().is_err();
            }
            let length = self.buffer.len().min(length);
            body.extend(self.buffer.drain(..length));
        }
        Answer { head, body, is_cut }
    }

    /// Whether the other side closes the connection, with nothing more to read.
    pub(super) fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !matches!(self.fill(), Ok(true))
    }

    /// Reads what is there; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut read = vec![0; 64 << 10];
        let count = self.stream.read(&mut read)?;
        self.buffer.extend_from_slice(&read[..count]);
        Ok(count > 0)
    }

    fn need(&mut self) -> io::Result<()> {
        if self.fill()? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// The line of a head that tells of a body in JSON.
pub(super) const JSON: &str = "content-type: application/json\r\n";

/// The bytes of a request.
pub(super) fn request(line: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let has_host = head.lines().any(|line| line.starts_with("host:"));
    let host = if has_host { "" } else { "host: localhost\r\n" };
    let head = format!("{line} HTTP/1.1\r\n{host}{length}{head}\r\n");
    [head.as_bytes(), body].concat()
}

impl Head {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.head.status
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body as text.
    #[track_caller]
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and code of an error, which must be one as clients of `OpenAI` understand it.
    #[track_caller]
    pub(super) fn error(&self) -> (u16, String) {
        let status = self.status();
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(!self.is_cut);
        (status, code(status, &self.json()))
    }
}

/// The code of an error, whose fields are looked at.
#[track_caller]
pub(super) fn code(status: u16, body: &Value) -> String {
    let error = body["error"].as_object().expect("an error");
    let mut names: Vec<_> = error.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "message", "param", "type"]);
    let kind = match status {
        429 => "rate_limit_error",
        ..500 => "invalid_request_error",
        _ => "upstream_error",
    };
    assert_eq!(error["type"], kind);
    assert!(!error["message"].as_str().unwrap().is_empty());
    error["code"].as_str().unwrap().to_owned()
}
