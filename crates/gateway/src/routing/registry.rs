//! Which backends serve which models: read from the store, and again when it changes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Providers;
use crate::speeds::Filters;

/// A server that serves a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Backend {
    /// In the store; 0 of a rule.
    pub(crate) id: i64,
    /// The id as text, or the name of the rule: what answers, metrics and rows call it.
    pub(crate) label: String,
    /// The model that it was added for.
    pub(crate) model: String,
    /// The base URL, without a slash at its end.
    pub(crate) url: String,
    /// The name that the server knows the model by.
    pub(crate) upstream: String,
    /// Whose key it gets.
    pub(crate) provider: Option<String>,
    /// The requests that it serves at once.
    pub(crate) parallel: u32,
    /// Which stored results tell its speed.
    pub(crate) filters: Filters,
    /// The agent that it is, which must beat.
    pub(crate) agent: Option<String>,
    /// In seconds since 1970.
    pub(crate) added_at: i64,
}

/// The models as of one moment.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// The state of the store that it is of: later ones have a larger number.
    pub(crate) generation: i64,
    /// The backends of each model, in the order in which they were added.
    pub(crate) models: BTreeMap<String, Vec<Arc<Backend>>>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) fallbacks: BTreeMap<String, Vec<String>>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    /// A model of the registry, by its canonical name.
    Model(String),
    /// A backend by a rule.
    Rule(Arc<Backend>),
    /// A rule whose variable is not set.
    Unset(String),
    /// Nothing.
    Unknown,
}

/// The beginnings of names that mean a provider.
const BEGINNINGS: [(&str, &str); 5] = [
    ("gpt-", "openai"),
    ("claude", "anthropic"),
    ("gemini", "google"),
    ("grok", "xai"),
    ("venice", "venice"),
];

impl Registry {
    /// The names that clients may ask for, but for those of rules: models and aliases.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let aliases = self.aliases.iter();
        let aliases = aliases.filter(|(_, model)| self.models.contains_key(*model));
        let models = self.models.keys().map(String::as_str);
        models.chain(aliases.map(|(alias, _)| alias.as_str()))
    }

    /// The model, if there is only one.
    pub(crate) fn only_model(&self) -> Option<&str> {
        match self.models.len() {
            1 => self.models.keys().next().map(String::as_str),
            _ => None,
        }
    }

    /// When the model or the alias was added, in seconds since 1970; 0 if it is not there.
    pub(crate) fn added_at(&self, name: &str) -> i64 {
        let model = self.aliases.get(name).map_or(name, String::as_str);
        let model = if self.models.contains_key(name) {
            name
        } else {
            model
        };
        let backends = self.models.get(model).into_iter().flatten();
        backends.map(|backend| backend.added_at).min().unwrap_or(0)
    }

    /// The model that this is the name of, or another name of.
    pub(crate) fn canonical<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.models.contains_key(name) {
            return Some(name);
        }
        let model = self.aliases.get(name)?;
        self.models.contains_key(model).then_some(model)
    }

    /// The way by which fallbacks lead from this model back to it; `None` if they do not.
    pub(crate) fn fallback_loop(&self, model: &str) -> Option<Vec<&str>> {
        let next = |name: &str| self.fallbacks.get(name).into_iter().flatten();
        let mut ways: Vec<Vec<&str>> = next(model).map(|name| vec![name.as_str()]).collect();
        let mut seen = HashSet::new();
        while let Some(way) = ways.pop() {
            let last = *way.last()?;
            if last == model {
                return Some([vec![last], way].concat());
            }
            if seen.insert(last) {
                ways.extend(next(last).map(|name| [way.as_slice(), &[name]].concat()));
            }
        }
        None
    }

    /// What the name means: a model, an alias, a rule.
    pub(crate) fn meaning(&self, name: &str, providers: &Providers) -> Meaning {
        if let Some(model) = self.canonical(name) {
            return Meaning::Model(model.to_owned());
        }
        if let Some(upstream) = name.strip_prefix("llmd-") {
            return match &providers.llmd {
                Some(url) => Meaning::Rule(by_rule(name, "llmd", url, upstream, None)),
                None => Meaning::Unset("LLMD_ENDPOINT".to_owned()),
            };
        }
        let beginning = BEGINNINGS
            .iter()
            .find(|(beginning, _)| name.starts_with(beginning));
        let (provider, upstream) = match (beginning, name.split_once('/')) {
            (Some((_, provider)), _) => (*provider, name),
            (None, Some((provider, upstream))) if !upstream.is_empty() => (provider, upstream),
            _ => return Meaning::Unknown,
        };
        match (providers.url(provider), providers.authorization(provider)) {
            (None, _) => Meaning::Unknown,
            (Some(_), None) => Meaning::Unset(Providers::variable(provider)),
            (Some(url), Some(_)) => {
                Meaning::Rule(by_rule(name, provider, url, upstream, Some(provider)))
            }
        }
    }
}

fn by_rule(
    name: &str,
    label: &str,
    url: &str,
    upstream: &str,
    provider: Option<&str>,
) -> Arc<Backend> {
    // An id is a number; spellings of one provider are one backend.
    let label = match label.parse::<i64>() {
        Ok(_) => format!("{label}/"),
        Err(_) => Providers::canonical(label),
    };
    Arc::new(Backend {
        label,
        model: name.to_owned(),
        url: url.to_owned(),
        upstream: upstream.to_owned(),
        provider: provider.map(str::to_owned),
        // Somebody else's cluster: nothing waits for anything here.
        parallel: u32::MAX,
        ..Backend::default()
    })
}
