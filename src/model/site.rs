//! The site that results are sent to.

use std::fmt;

/// The address of a LocalScore site: scheme and host in lowercase, without the scheme's default port,
/// without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site(String);

/// The site to which the C tool sends.
const PUBLIC: &str = "https://www.localscore.ai";

impl Default for Site {
    fn default() -> Self {
        Self(PUBLIC.to_owned())
    }
}

impl std::str::FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("'{text}' is not an address such as {PUBLIC}");
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = scheme.to_ascii_lowercase();
        let implied = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(invalid()),
        };
        // '@' would show a user name and password in links; the others end the path.
        let odd = |c: char| !c.is_ascii_graphic() || "@?#\"<>\\^`{|}".contains(c);
        if let Some(odd) = text.chars().find(|&c| odd(c)) {
            return Err(format!("'{odd}' cannot be in the address of a site"));
        }
        let rest = rest.trim_end_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = host_and_port(authority).map_err(|why| format!("'{text}': {why}"))?;
        let host = host.to_ascii_lowercase();
        let port = match port {
            Some(port) if port != implied => format!(":{port}"),
            _ => String::new(),
        };
        Ok(Self(format!("{scheme}://{host}{port}{path}")))
    }
}

/// The host of `HOST[:PORT]`, an IPv6 address in its brackets, and the port; an error if there is
/// no host, or if the port is invalid.
pub(crate) fn host_and_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let end = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    if host.is_empty() {
        return Err("there is no host");
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port
        .strip_prefix(':')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        None | Some(0) => Err("the port is not a number from 1 to 65535"),
        port => Ok((host, port)),
    }
}

impl Site {
    /// The site of a stored submission; the public one if none is stored.
    pub(crate) fn stored(site: Option<&str>) -> Self {
        site.map_or_else(Self::default, |site| Self(site.to_owned()))
    }

    /// The site in the link to a result; `None` for another kind of link.
    pub(crate) fn from_link(link: &str, id: i64) -> Option<Self> {
        link.strip_suffix(&format!("/result/{id}"))?.parse().ok()
    }

    /// The path to which results are posted.
    pub(crate) const PATH: &str = "/api/results";

    /// The link to a result.
    pub(crate) fn link(&self, id: i64) -> String {
        format!("{self}/result/{id}")
    }

    /// Whether it is the site to which the C tool sends.
    pub(crate) fn is_public(&self) -> bool {
        self.0 == PUBLIC
    }

    /// The address as users write it, and as the C tool asks about it.
    pub(crate) fn name(&self) -> &str {
        if self.is_public() {
            "https://localscore.ai"
        } else {
            &self.0
        }
    }

    /// The address as it is stored.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_or_without_a_slash_at_its_end() {
        let site: Site = "http://localhost:3000/".parse().unwrap();
        assert_eq!(site.link(7), "http://localhost:3000/result/7");
        assert_eq!(site.name(), "http://localhost:3000");
        let site: Site = "https://example.org/bench/".parse().unwrap();
        assert_eq!(site.link(1), "https://example.org/bench/result/1");
        assert_eq!(
            Site::default().link(1),
            "https://www.localscore.ai/result/1"
        );
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, site) in [
            ("HTTP://LocalHost:80/", "http://localhost"),
            ("https://WWW.LocalScore.ai:443//", PUBLIC),
            ("https://x.org:80/Bench", "https://x.org:80/Bench"),
            ("http://[::1]", "http://[::1]"),
            ("http://[::A]:8080/", "http://[::a]:8080"),
        ] {
            assert_eq!(text.parse(), Ok(Site(site.to_owned())), "{text}");
        }
        assert!(
            "HTTPS://www.localscore.ai/"
                .parse::<Site>()
                .unwrap()
                .is_public()
        );
    }

    #[test]
    fn a_link_contains_its_site() {
        let site = |link, id| Site::from_link(link, id).map(|site| site.to_string());
        assert_eq!(
            site("https://www.localscore.ai/result/7", 7).as_deref(),
            Some(PUBLIC)
        );
        assert_eq!(
            site("http://LOCALHOST:3000/a/result/7", 7).as_deref(),
            Some("http://localhost:3000/a")
        );
        for link in ["https://x.org/result/8", "x/result/7", "7"] {
            assert_eq!(site(link, 7), None);
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for text in [
            "",
            "localhost:3000",
            "ftp://example.org",
            "https://",
            "https:///path",
            "http://:80",
            "http://localhost:",
            "http://localhost:x",
            "http://localhost:0",
            "http://localhost:+80",
            "http://localhost:99999",
            "http://localhost:99999/path",
            "http://::1",
            "http://[::1]x",
            "http://[::1]:",
            "https://user:secret@example.org",
            "https://example.org/?a=b",
            "https://exämple.org",
            "https://example.org/a b",
            "https://example.org/\n",
        ] {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
    }
}
