//! The address of a Redis server.

use std::fmt;

use hyper::Uri;

use crate::address::percent_decoded;

/// Where Redis is, and what it is shown. Printed without user and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) is_tls: bool,
    /// Host and port.
    pub(super) host: String,
    pub(super) database: u32,
    /// Empty for the default user.
    pub(super) user: String,
    pub(super) password: Option<String>,
}

impl Default for Address {
    fn default() -> Self {
        Self {
            is_tls: false,
            host: "localhost:6379".to_owned(),
            database: 0,
            user: String::new(),
            password: None,
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    /// Reads `redis://[USER:PASSWORD@]HOST[:PORT][/NUMBER]`; `rediss` is with TLS. The error does not tell the
    /// text, which may have a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .ok_or("it is neither off, memory, redis nor redis://HOST:PORT/NUMBER")?;
        let is_tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err("an address begins with redis:// or rediss://".to_owned()),
        };
        let (shown, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        // What clients of other languages are told there means nothing here.
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database.trim_end_matches('/') {
            "" => 0,
            number => number
                .parse()
                .map_err(|_| "the database behind the host is a number")?,
        };
        let invalid = "the host is invalid; it may have a port";
        let host: hyper::http::uri::Authority = match host {
            "" => "localhost",
            host => host,
        }
        .parse()
        .map_err(|_| invalid)?;
        let port = match host.as_str().strip_prefix(host.host()).unwrap_or(":") {
            "" => 6379,
            port => port
                .trim_start_matches(':')
                .parse::<u16>()
                .map_err(|_| invalid)?,
        };
        if host.host().is_empty() {
            return Err(invalid.to_owned());
        }
        let (user, password) = match shown.split_once(':') {
            Some((user, password)) => (user, Some(percent_decoded(password))),
            None => (shown, None),
        };
        Ok(Self {
            is_tls,
            host: format!("{}:{port}", host.host()),
            database,
            user: percent_decoded(user),
            password: password.filter(|password| !password.is_empty()),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}/{}", self.host, self.database)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Address {
    /// What the connector of the backends connects to.
    pub(super) fn uri(&self) -> Option<Uri> {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}/", self.host).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_printed_without_its_password() {
        for (text, printed, user, password) in [
            ("redis://", "redis://localhost:6379/0", "", None),
            ("redis://h", "redis://h:6379/0", "", None),
            ("rediss://h:1/2", "rediss://h:1/2", "", None),
            ("redis://[::1]:7/", "redis://[::1]:7/0", "", None),
            (
                "redis://:se%40cret@h/3",
                "redis://h:6379/3",
                "",
                Some("se@cret"),
            ),
            (
                "redis://u:a:b@c@h?x=1",
                "redis://h:6379/0",
                "u",
                Some("a:b@c"),
            ),
            ("redis://u@h", "redis://h:6379/0", "u", None),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), printed, "{text}");
            assert_eq!(format!("{address:?}"), printed, "{text}");
            assert_eq!(address.user, user, "{text}");
            assert_eq!(address.password.as_deref(), password, "{text}");
            assert!(address.uri().is_some(), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_without_telling_it() {
        for text in [
            "",
            "secret",
            "http://secret@h",
            "redis://:secret@h:x",
            "redis://:secret@h:99999",
            "redis://:secret@:1",
            "redis://:secret@h/x",
            "redis://:secret@h/-1",
            "redis://:secret@a b",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }
}
