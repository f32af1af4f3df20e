//! The site that results are sent to.

use std::fmt;

/// The address of a LocalScore site, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site(String);

/// Where the C tool sends to.
const PUBLIC: &str = "https://www.localscore.ai";

impl Default for Site {
    fn default() -> Self {
        Self(PUBLIC.to_owned())
    }
}

impl std::str::FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.trim_end_matches('/');
        let rest = address
            .strip_prefix("https://")
            .or_else(|| address.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next());
        if host.is_none_or(str::is_empty) {
            return Err(format!("'{text}' is no address such as {PUBLIC}"));
        }
        // A name and a password would show in links; the others end the path.
        let odd = |c: char| !c.is_ascii_graphic() || "@?#\"<>\\^`{|}".contains(c);
        if let Some(odd) = address.chars().find(|&c| odd(c)) {
            return Err(format!("'{odd}' cannot be in the address of a site"));
        }
        Ok(Self(address.to_owned()))
    }
}

impl Site {
    /// Where results are posted.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{self}/api/results")
    }

    /// Where a result is shown.
    #[must_use]
    pub fn link(&self, id: i64) -> String {
        format!("{self}/result/{id}")
    }

    /// The address as people write it, which is what the C tool asks for.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.0 == PUBLIC {
            "https://localscore.ai"
        } else {
            &self.0
        }
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
        assert_eq!(site.endpoint(), "http://localhost:3000/api/results");
        assert_eq!(site.link(7), "http://localhost:3000/result/7");
        assert_eq!(site.name(), "http://localhost:3000");
        let site: Site = "https://example.org/bench/".parse().unwrap();
        assert_eq!(site.endpoint(), "https://example.org/bench/api/results");
        assert_eq!(
            Site::default().link(1),
            "https://www.localscore.ai/result/1"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost:3000",
            "ftp://example.org",
            "https://",
            "https:///path",
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
