//! The options that select runs, shared by several commands.

use crate::store::Filter;
use base::time::{moment, utc};

/// The runs that match all of these.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Filters (text matches anywhere, ignoring case)")]
pub(crate) struct Filters {
    /// Runs of models with this in their name
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Runs with this in their quantisation
    #[arg(long, value_name = "TEXT")]
    quant: Option<String>,
    /// Runs on accelerators with this in their name
    #[arg(long, value_name = "TEXT")]
    accelerator: Option<String>,
    /// Runs with this in the name and version of their runtime
    #[arg(long, value_name = "TEXT")]
    runtime: Option<String>,
    /// Runs with this in one of their tags
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// Runs measured at this time or later: a date, a time (UTC) or an age such as 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Runs measured at this time or before; a date includes its whole day
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<i64>,
}

impl From<&Filters> for Filter {
    fn from(filters: &Filters) -> Self {
        let filters = filters.clone();
        Self {
            model: filters.model,
            quant: filters.quant,
            accelerator: filters.accelerator,
            runtime: filters.runtime,
            tag: filters.tag,
            since: filters.since,
            until: filters.until,
            configuration: None,
        }
    }
}

impl Filters {
    /// `model llama, since 2025-06-15T12:00:00Z`.
    pub(crate) fn in_words(&self) -> String {
        let time = |time: Option<i64>| time.and_then(utc);
        let parts = [
            ("model", self.model.clone()),
            ("quant", self.quant.clone()),
            ("accelerator", self.accelerator.clone()),
            ("runtime", self.runtime.clone()),
            ("tag", self.tag.clone()),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ];
        let known = parts.into_iter();
        let known = known.filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        known.collect::<Vec<_>>().join(", ")
    }
}

fn since(text: &str) -> Result<i64, String> {
    moment(text).map(|(first, _)| first)
}

fn until(text: &str) -> Result<i64, String> {
    moment(text).map(|(_, last)| last)
}
