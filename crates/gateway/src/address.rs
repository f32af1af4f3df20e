//! Addresses of backends.

use base::{Error, Result};
use hyper::Uri;

/// The most bytes of a URL.
const LONGEST: usize = 2048;

/// A base URL as it was typed, made fit to be stored: without a slash at its end, and with `/v1` if it had no
/// path. The second tells whether that was added.
pub(crate) fn base_url(typed: &str) -> Result<(String, bool)> {
    let invalid = |why: &str| match shown(typed) {
        Some(shown) => Error::new(format_args!("invalid URL '{shown}'"), why),
        None => Error::new("invalid URL", why),
    };
    if typed.len() > LONGEST {
        return Err(Error::new("invalid URL", "it is too long"));
    }
    let uri: Uri = typed
        .trim()
        .parse()
        .map_err(|_| invalid("it cannot be read"))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !matches!(scheme, "http" | "https") {
        return Err(invalid("it must begin with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?;
    if authority.as_str().contains('@') {
        let hint = "the key of a provider is in the environment as EXTERNAL_<PROVIDER>_KEY";
        return Err(invalid("a user or a password would be stored").hint(hint));
    }
    if authority.host().is_empty() {
        return Err(invalid("it has no host"));
    }
    let is_port = authority.port_u16().is_some_and(|port| port > 0);
    if authority.as_str().len() > authority.host().len() && !is_port {
        return Err(invalid("its port is not a number from 1 to 65535"));
    }
    if uri.query().is_some() || typed.contains('#') {
        return Err(invalid("a base URL has no query"));
    }
    let path = uri.path().trim_end_matches('/');
    let is_bare = path.is_empty();
    let path = if is_bare { "/v1" } else { path };
    let authority = authority.as_str().to_ascii_lowercase();
    Ok((format!("{scheme}://{authority}{path}"), is_bare))
}

/// The URL without what may be a secret: a user, a password, a query. `None` if it is none: somebody may have
/// taken a key for it.
fn shown(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let (is_cut, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("…@", rest),
        None => ("", rest),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let is_whole = end == rest.len();
    let dots = if is_whole { "" } else { "…" };
    Some(format!("{scheme}://{is_cut}{}{dots}", &rest[..end]))
}

/// Whether the host is this machine, by its name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The text with its `%XX` replaced; what is not valid stays.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        let rest = bytes.as_slice();
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes.nth(1);
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_without_a_path_stands_for_v1() {
        let url = |typed| base_url(typed).unwrap();
        assert_eq!(url("http://a:8080"), ("http://a:8080/v1".to_owned(), true));
        assert_eq!(url("http://a:8080/"), ("http://a:8080/v1".to_owned(), true));
        assert_eq!(url("HTTP://A:80/V1"), ("http://a:80/V1".to_owned(), false));
        assert_eq!(
            url("http://[::1]:80"),
            ("http://[::1]:80/v1".to_owned(), true)
        );
        assert_eq!(url("http://[::1]"), ("http://[::1]/v1".to_owned(), true));
        assert_eq!(
            url("https://a/api/v1/"),
            ("https://a/api/v1".to_owned(), false)
        );
    }

    #[test]
    fn a_url_with_a_password_is_refused_without_telling_it() {
        for typed in [
            "http://u:secret@h/v1",
            "u:secret@h",
            "http://u:secret@h:x/",
            "http://h/v1?key=secret",
            "http://h/v1#secret",
            "http://u:?secret@h",
            "secret",
        ] {
            let error = base_url(typed).unwrap_err().lines();
            assert!(!error.contains("secret"), "{error}");
        }
        for typed in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a?x=1",
            "/v1",
            "http://a:",
            "http://a:0",
        ] {
            assert!(base_url(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn loopback_has_several_names() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.8.0.1",
            "::1",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "0.0.0.0",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
