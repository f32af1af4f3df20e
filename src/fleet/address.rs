//! Where the database of a fleet is, and the token that opens it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::model::site::host_and_port;
use base::{Error, Result, first_line};

/// The address of a libSQL database: scheme and host in lowercase, without the scheme's default
/// port, without a slash at its end. It is shown without its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    is_tls: bool,
    rest: String,
    is_loopback: bool,
}

/// What a text may be that is no address: it is not repeated, since it may contain a password.
const FORM: &str = "an address looks like libsql://fleet.example.org or http://localhost:8080";

/// The variable that names the remote.
const REMOTE: &str = "LOCALSTORE_REMOTE";

/// The variable that contains the token.
const TOKEN: &str = "LOCALSTORE_TOKEN";

/// The variable that names the file with the token.
const TOKEN_FILE: &str = "LOCALSTORE_TOKEN_FILE";

/// The longest token, in bytes: servers take no longer header.
const MAX_TOKEN: usize = 16 << 10;

impl Address {
    /// The remote that was typed, or else the one of `LOCALSTORE_REMOTE`; an error if there is none
    /// or it is not an address. `variable` looks up environment variables.
    pub(crate) fn resolve(
        typed: Option<Self>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        if let Some(address) = typed {
            return Ok(address);
        }
        let hint = "name it, as in libsql://fleet.example.org, or set LOCALSTORE_REMOTE";
        match variable(REMOTE) {
            Some(text) => text
                .parse()
                .map_err(|why: String| Error::new(REMOTE, why).hint(FORM)),
            None => Err(Error::new("missing parameter", "REMOTE").hint(hint)),
        }
    }

    /// The address as a URL for the HTTP client.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.rest)
    }

    /// Whether nobody else can read what is sent: the connection is encrypted, or stays on this
    /// machine.
    pub(crate) fn is_private(&self) -> bool {
        self.is_tls || self.is_loopback
    }

    /// Whether it is reached without encryption.
    pub(crate) fn is_plain(&self) -> bool {
        !self.is_tls
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rest)
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it does not begin with libsql://, https:// or http://".to_owned());
        };
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "libsql" | "https" => true,
            "http" => false,
            _ => return Err("its scheme is not libsql, https or http".to_owned()),
        };
        if rest.contains('@') {
            return Err("a user or a password cannot be in an address".to_owned());
        }
        if rest.contains('?') {
            return Err("a query cannot be in an address".to_owned());
        }
        if rest.contains('#') {
            return Err("a fragment cannot be in an address".to_owned());
        }
        if !rest.bytes().all(may_be_in_address) {
            return Err("it contains a character that cannot be in an address".to_owned());
        }
        let rest = rest.trim_end_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority)?;
        let host = host.to_ascii_lowercase();
        let ip = match host.strip_prefix('[') {
            Some(rest) => {
                let ip = rest.strip_suffix(']').and_then(|ip| ip.parse().ok());
                Some(IpAddr::V6(ip.ok_or("its host is not an IPv6 address")?))
            }
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        let has_odd_host = ip.is_none() && !host.bytes().all(may_be_in_name);
        if has_odd_host {
            return Err("its host is not a name".to_owned());
        }
        let port = match port {
            Some(port) if port != if is_tls { 443 } else { 80 } => format!(":{port}"),
            _ => String::new(),
        };
        Ok(Self {
            is_tls,
            rest: format!("{host}{port}{path}"),
            is_loopback: match ip {
                Some(IpAddr::V4(ip)) => ip.is_loopback(),
                Some(IpAddr::V6(ip)) => ip == Ipv6Addr::LOCALHOST,
                None => host == "localhost",
            },
        })
    }
}

fn may_be_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

fn may_be_in_address(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/%+,;=!$&'()*[]".contains(&byte)
}

/// A token that opens the database. It is never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The token of `LOCALSTORE_TOKEN`, or else of the first line of the file that
    /// `LOCALSTORE_TOKEN_FILE` names; `None` if neither is set. `variable` looks up environment
    /// variables. An error if the file cannot be read, or if what is there cannot be a token.
    pub(crate) fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(text) = set(TOKEN) {
            let token = Self::new(text.as_bytes());
            return token.map(Some).map_err(|why| Error::new(TOKEN, why));
        }
        let Some(path) = set(TOKEN_FILE) else {
            return Ok(None);
        };
        let path = Path::new(&path);
        let token =
            first_line(path, MAX_TOKEN as u64 + 2).map_err(|error| Error::file(path, &error));
        let token =
            token.and_then(|line| Self::new(&line).map_err(|why| Error::new(path.display(), why)));
        let hint = "LOCALSTORE_TOKEN_FILE names the file whose first line is the token";
        token.map(Some).map_err(|error| error.hint(hint))
    }

    /// The token that these bytes are, without the white space after it.
    fn new(text: &[u8]) -> Result<Self, &'static str> {
        let text = text.trim_ascii_end();
        if text.is_empty() {
            return Err("there is no token in it");
        }
        if text.len() > MAX_TOKEN {
            return Err("it is too long to be a token");
        }
        match std::str::from_utf8(text) {
            Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(token.to_owned()))
            }
            _ => Err("it contains a character that cannot be in a token"),
        }
    }

    /// The value of the header `authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// The text with asterisks instead of the token, and of every part of it that is long enough to
    /// tell something of it, also where its characters are escaped as in JSON, HTML or a URL.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        let token = self.0.as_bytes();
        let shortest = token.len().min(8);
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let starts = 0..=token.len() - shortest;
            let longest = starts
                .filter_map(|start| same(rest, &token[start..], shortest))
                .max();
            if longest.is_some() {
                shown.push_str("***");
            } else {
                shown.push(c);
            }
            rest = &rest[longest.unwrap_or(c.len_utf8())..];
        }
        shown
    }
}

/// How many bytes of the text are the beginning of this part of a token, escaped or not, if at least
/// `shortest` characters of it are there.
fn same(text: &str, part: &[u8], shortest: usize) -> Option<usize> {
    let mut length = 0;
    let mut found = 0;
    for &byte in part {
        let Some(more) = text.get(length..).and_then(|rest| escaped(rest, byte)) else {
            break;
        };
        length += more;
        found += 1;
    }
    (found >= shortest).then_some(length)
}

/// How many bytes at the beginning of the text stand for this character: itself, `\x2b`, `\u002b`,
/// `%2b`, `&#43;`, `&#x2b;`, or itself after a backslash.
fn escaped(text: &str, byte: u8) -> Option<usize> {
    if text.as_bytes().first() == Some(&byte) {
        return Some(1);
    }
    let hexadecimal = |digits: &str| u32::from_str_radix(digits, 16) == Ok(u32::from(byte));
    for (before, digits) in [("\\u", 4), ("\\x", 2), ("%", 2)] {
        let rest = text
            .strip_prefix(before)
            .and_then(|rest| rest.get(..digits));
        if rest.is_some_and(hexadecimal) {
            return Some(before.len() + digits);
        }
    }
    if let Some(rest) = text.strip_prefix("&#") {
        let end = rest.bytes().take(8).position(|byte| byte == b';')?;
        let number = &rest[..end];
        let is_same = match number.strip_prefix(['x', 'X']) {
            Some(digits) => hexadecimal(digits),
            None => number.parse() == Ok(u32::from(byte)),
        };
        return is_same.then_some("&#".len() + end + 1);
    }
    let after = text.strip_prefix('\\')?;
    (after.as_bytes().first() == Some(&byte)).then_some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Address, String> {
        text.parse()
    }

    #[test]
    fn an_address_has_one_form() {
        for (text, url) in [
            ("libsql://Fleet.Example.org", "https://fleet.example.org"),
            ("LIBSQL://a.org:443/", "https://a.org"),
            ("https://a.org:8443/below//", "https://a.org:8443/below"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://a_b-c.d/x%20y", "http://a_b-c.d/x%20y"),
        ] {
            let address = parsed(text).unwrap();
            assert_eq!(address.url(), url, "{text}");
            assert_eq!(address.to_string(), url.split_once("://").unwrap().1);
        }
    }

    #[test]
    fn what_is_not_an_address_is_not_repeated() {
        for text in [
            "",
            "secret",
            "secret.org:8080",
            "/secret",
            "file:///secret",
            "wss://secret.org",
            "libsql://",
            "libsql:///secret",
            "libsql://secret:0",
            "libsql://secret:65536",
            "libsql://secret:+1",
            "libsql://secret:1:2",
            "libsql://[secret]",
            "libsql://[::1]secret",
            "libsql://sec%72et",
            "libsql://secret@a.org",
            "libsql://user:secret@a.org",
            "libsql://a.org/@secret",
            "libsql://a.org?authToken=secret",
            "libsql://a.org/#secret",
            "libsql://secret\n.org",
            "libsql://secrét.org",
            "http://secret .org",
            "http://secret\\x",
        ] {
            let why = parsed(text).unwrap_err();
            assert!(
                !why.contains("ecret") && !why.contains("sec%"),
                "{text}: {why}"
            );
        }
    }

    #[test]
    fn the_variable_is_used_if_no_remote_was_typed() {
        let resolve = |typed: Option<&str>, set: Option<&str>| {
            let typed = typed.map(|text| parsed(text).unwrap());
            let found = Address::resolve(typed, |name| {
                assert_eq!(name, "LOCALSTORE_REMOTE");
                set.map(str::to_owned)
            });
            found
                .map(|address| address.to_string())
                .map_err(|error| error.lines())
        };
        assert_eq!(resolve(Some("http://a"), Some("http://b")).unwrap(), "a");
        assert_eq!(resolve(None, Some("http://b")).unwrap(), "b");
        assert_eq!(
            resolve(None, Some("http://user:secret@b")).unwrap_err(),
            "localstore: LOCALSTORE_REMOTE: a user or a password cannot be in an address\n\
             hint: an address looks like libsql://fleet.example.org or http://localhost:8080\n"
        );
        assert_eq!(
            resolve(None, None).unwrap_err(),
            "localstore: missing parameter: REMOTE\n\
             hint: name it, as in libsql://fleet.example.org, or set LOCALSTORE_REMOTE\n"
        );
    }

    #[test]
    fn only_this_machine_is_private_without_encryption() {
        for text in [
            "libsql://a.org",
            "https://a.org",
            "http://localhost",
            "http://LOCALHOST:1",
            "http://127.0.0.1",
            "http://127.9.9.9/x",
            "http://[::1]:1",
            "http://[0:0:0:0:0:0:0:1]",
        ] {
            assert!(parsed(text).unwrap().is_private(), "{text}");
        }
        for text in [
            "http://a.org",
            "http://localhost.a.org",
            "http://127.0.0.1.a.org",
            "http://127.1",
            "http://128.0.0.1",
            "http://0.0.0.0",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(!parsed(text).unwrap().is_private(), "{text}");
        }
    }

    fn token(text: &str) -> Token {
        Token::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_token_comes_from_the_variable_or_else_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let found = |text: Option<&str>, file: Option<&[u8]>| {
            if let Some(file) = file {
                base::write_atomically(&path, |out| Ok(out.write_all(file)?)).unwrap();
            }
            let found = Token::from_environment(|name| match name {
                "LOCALSTORE_TOKEN" => text.map(str::to_owned),
                "LOCALSTORE_TOKEN_FILE" => file.map(|_| path.display().to_string()),
                _ => None,
            });
            let header = found.map(|found| found.map(|token| token.header()));
            header.map_err(|error| error.lines())
        };
        let bearer = |text: &str| Ok(Some(format!("Bearer {text}")));
        assert_eq!(found(None, None), Ok(None));
        assert_eq!(found(Some(""), None), Ok(None));
        assert_eq!(found(Some("a.b"), Some(b"file")), bearer("a.b"));
        assert_eq!(found(Some("a.b \r\n"), None), bearer("a.b"));
        assert_eq!(found(Some(""), Some(b"file")), bearer("file"));
        assert_eq!(found(None, Some(b"file \r\nsecond\n")), bearer("file"));
        let long = "x".repeat(MAX_TOKEN);
        assert_eq!(
            found(None, Some((long.clone() + "\r\n").as_bytes())),
            bearer(&long)
        );
        let why = found(Some("sec ret"), None).unwrap_err();
        let expected =
            "localstore: LOCALSTORE_TOKEN: it contains a character that cannot be in a token\n";
        assert_eq!(why, expected);
        for text in ["secret\n x", "s\u{e9}cret", "\x1bsecret", " "] {
            let why = found(Some(text), None).unwrap_err();
            assert!(why.starts_with("localstore: LOCALSTORE_TOKEN: "), "{why}");
            assert!(!why.contains("cret"), "{why}");
        }
        let larger = long + "xx";
        for file in [
            &b""[..],
            b"\n secret",
            b"sec\0ret",
            b"secret\xff",
            larger.as_bytes(),
        ] {
            let why = found(None, Some(file)).unwrap_err();
            let start = format!("localstore: {}: ", path.display());
            assert!(
                why.starts_with(&start) && why.contains("hint: LOCALSTORE_TOKEN_FILE"),
                "{why}"
            );
            assert!(!why.contains("ret") && !why.contains("xx"), "{why}");
        }
    }

    #[test]
    fn a_token_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        for (path, why) in [
            (folder.path().join("none"), "no such file"),
            (folder.path().to_owned(), "is a directory"),
        ] {
            let shown = path.display().to_string();
            let found = Token::from_environment(|name| {
                (name == "LOCALSTORE_TOKEN_FILE").then(|| shown.clone())
            });
            let error = found.unwrap_err().lines();
            assert!(
                error.starts_with(&format!("localstore: {shown}: {why}\n")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_token_is_hidden_however_it_is_written() {
        let token = token("eyJhbGciOiJ.payload-\"x\"+/=");
        assert_eq!(format!("{token:?}"), "Token");
        assert_eq!(token.hide_in("nothing of it"), "nothing of it");
        for text in [
            "eyJhbGciOiJ.payload-\"x\"+/=",
            "eyJhbGciOiJ.payload-\\\"x\\\"+\\/=",
            "eyJhbGciOiJ.payload-%22x%22%2b%2F%3D",
            "\\u0065yJhbGciOiJ\\u002epayload-\\u0022x\\x22+/=",
            "eyJhbGciOiJ.payload-&#34;x&#x22;&#43;/=",
            // A part of it.
            "JhbGciOi",
            "payload-",
        ] {
            assert_eq!(token.hide_in(&format!("é<{text}>é")), "é<***>é", "{text}");
        }
        // Nothing of this is out of bounds.
        for text in [
            "\\",
            "%",
            "%é",
            "\\u00é5",
            "&#",
            "&#é;",
            "&#x;",
            "eyJhbGci\\",
        ] {
            token.hide_in(text);
        }
        assert_eq!(self::token("ab").hide_in("a ab"), "a ***");
    }
}
