//! How fast a backend is: what the stored results tell.

use base::Result;
use db::Room;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

/// Tokens per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speed {
    /// Of the prompt.
    pub prompt_tps: f64,
    /// Of the answer.
    pub gen_tps: f64,
}

impl Speed {
    /// The expected seconds of a request on a backend that has so many running.
    pub(crate) fn seconds(
        self,
        body_bytes: usize,
        max_tokens: Option<u64>,
        running: u32,
        parallel: u32,
    ) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let (prompt, generated) = (body_bytes as f64 / 4.0, max_tokens.unwrap_or(256) as f64);
        let queue = f64::from(1 + running / parallel.max(1));
        (prompt / self.prompt_tps + generated / self.gen_tps) * queue
    }
}

/// The stored results that tell the speed of a backend: those that match all of these. Text matches
/// anywhere, whatever the case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[command(
    next_help_heading = "Stored results that tell the speed (text matches anywhere, ignoring case)"
)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// Results of models with this in their name
    #[arg(long = "model", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Results with this in their quantisation, such as Q4_K_M
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quant: Option<String>,
    /// Results of accelerators with this in their name
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
    /// Results with this in the name and version of their runtime
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Results that this program measured
    #[arg(long, value_name = "TOOL", value_parser = ["localscore", "llama-bench"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Results with this tag; * and ? stand for any text and any character
    #[arg(long, value_name = "TAG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl Filters {
    /// Whether nothing was said: then no stored result tells the speed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The newest run that filters match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Its id.
    pub run: i64,
    /// What it measured.
    pub speed: Speed,
}

/// What filters match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Newest {
    /// The newest run with both speeds; of both tools, LocalScore's.
    pub measured: Option<Measured>,
    /// What is among the matching runs, if that is more than one configuration or tool.
    pub ambiguous: Vec<String>,
}

/// The stored results. The program around this room has them.
pub trait Speeds: Send + Sync {
    /// The room whose tables have the results.
    fn room(&self) -> &'static Room;

    /// The newest run that the filters match.
    fn newest(&self, db: &Connection, filters: &Filters) -> Result<Newest>;

    /// A number that changes with the stored results.
    fn version(&self, db: &Connection) -> Result<i64>;
}
