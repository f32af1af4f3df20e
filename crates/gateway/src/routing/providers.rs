//! Services whose keys the environment has.

use std::collections::HashMap;
use std::ffi::OsString;

use base::{Error, Result};
use hyper::header::HeaderValue;

use crate::address::base_url;

/// The base URLs of known providers.
const KNOWN: [(&str, &str); 9] = [
    ("openai", "https://api.openai.com/v1"),
    ("anthropic", "https://api.anthropic.com/v1"),
    (
        "google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    ("openrouter", "https://openrouter.ai/api/v1"),
    ("xai", "https://api.x.ai/v1"),
    ("groq", "https://api.groq.com/openai/v1"),
    ("mistral", "https://api.mistral.ai/v1"),
    ("huggingface", "https://router.huggingface.co/v1"),
    ("venice", "https://api.venice.ai/api/v1"),
];

/// What the environment says of other services, read once.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    /// By the name as it is in a variable.
    found: HashMap<String, Provider>,
    /// The base URL of `LLMD_ENDPOINT`.
    pub(crate) llmd: Option<String>,
}

#[derive(Debug, Default)]
struct Provider {
    url: Option<String>,
    /// `Bearer` and the key; marked sensitive, so that it is never printed.
    authorization: Option<HeaderValue>,
}

/// The name of a provider in the name of a variable.
fn in_variable(provider: &str) -> String {
    provider.to_uppercase().replace(['-', '.'], "_")
}

impl Providers {
    /// Reads the environment.
    pub(crate) fn from_environment() -> Result<Self> {
        // What is not Unicode is none of these.
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::read(std::env::vars_os().filter_map(text))
    }

    /// Reads these variables. An error if one of them cannot be what it is for; it
    /// does not tell the value of a key.
    fn read(variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut providers = Self::default();
        for (name, url) in KNOWN {
            let url = Some(url.to_owned());
            let provider = Provider {
                url,
                authorization: None,
            };
            providers.found.insert(in_variable(name), provider);
        }
        for (name, value) in variables.filter(|(_, value)| !value.is_empty()) {
            if name == "LLMD_ENDPOINT" {
                let (url, _) = base_url(&value).map_err(|error| Error::new(&name, error))?;
                let url = url.strip_suffix("/v1").unwrap_or(&url);
                providers.llmd = Some(format!("{url}/v1"));
            } else if let Some(rest) = name.strip_prefix("EXTERNAL_") {
                if let Some(provider) = rest.strip_suffix("_KEY") {
                    let header = HeaderValue::from_str(&format!("Bearer {}", value.trim()));
                    let why = "it contains a character that cannot be in a key";
                    let mut header = header.map_err(|_| Error::new(&name, why))?;
                    header.set_sensitive(true);
                    providers
                        .found
                        .entry(provider.to_owned())
                        .or_default()
                        .authorization = Some(header);
                } else if let Some(provider) = rest.strip_suffix("_URL") {
                    let (url, _) = base_url(&value).map_err(|error| Error::new(&name, error))?;
                    providers.found.entry(provider.to_owned()).or_default().url = Some(url);
                }
            }
        }
        Ok(providers)
    }

    /// The one spelling of a name that may be spelled in several ways.
    pub(crate) fn canonical(provider: &str) -> String {
        in_variable(provider).to_lowercase()
    }

    /// The base URL of the provider; `None` if it is not known.
    pub(crate) fn url(&self, provider: &str) -> Option<&str> {
        self.found.get(&in_variable(provider))?.url.as_deref()
    }

    /// What the provider is shown; `None` without its variable.
    pub(crate) fn authorization(&self, provider: &str) -> Option<&HeaderValue> {
        self.found
            .get(&in_variable(provider))?
            .authorization
            .as_ref()
    }

    /// The variable that the key of a provider is in.
    pub(crate) fn variable(provider: &str) -> String {
        format!("EXTERNAL_{}_KEY", in_variable(provider))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Providers> {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Providers::read(owned)
    }

    #[test]
    fn a_provider_has_a_key_and_an_address() {
        let providers = read(&[
            ("EXTERNAL_OPENAI_KEY", "k1"),
            ("EXTERNAL_GROQ_KEY", ""),
            ("EXTERNAL_MY_CO_KEY", "k2"),
            ("EXTERNAL_MY_CO_URL", "http://10.0.0.1/"),
        ])
        .unwrap();
        assert_eq!(providers.authorization("openai").unwrap(), "Bearer k1");
        assert_eq!(providers.authorization("groq"), None);
        assert_eq!(providers.url("my-co"), Some("http://10.0.0.1/v1"));
        assert_eq!(providers.authorization("my.co").unwrap(), "Bearer k2");
        assert!(!format!("{providers:?}").contains("k1"));
    }

    #[test]
    fn the_endpoint_of_llmd_may_end_in_v1() {
        for url in ["http://l", "http://l/", "http://l/v1", "http://l/v1/"] {
            let providers = read(&[("LLMD_ENDPOINT", url)]).unwrap();
            assert_eq!(providers.llmd.as_deref(), Some("http://l/v1"));
        }
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_telling_it() {
        let error = read(&[("EXTERNAL_OPENAI_KEY", "se\ncret")])
            .unwrap_err()
            .lines();
        assert!(
            error.contains("EXTERNAL_OPENAI_KEY") && !error.contains("cret\n"),
            "{error}"
        );
    }
}
