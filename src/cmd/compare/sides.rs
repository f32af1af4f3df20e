//! Which runs are compared, and which earlier runs tell the noise between runs.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::model::{Environment, Run};
use crate::output::note;
use crate::stats;
use crate::store::{Level, Listed, Store};

/// Runs of a series that are looked at for the level that the base belongs to.
const MAX_SERIES: u32 = 500;

/// Earlier runs that speak: more say little more of the noise.
const MAX_HISTORY: usize = 30;

/// A run in the store.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As a list shows it.
    pub listed: Listed,
    /// What it measured.
    pub run: Run,
}

impl Stored {
    pub fn read(store: &Store, id: i64) -> Result<Self> {
        Ok(Self {
            listed: store.listed(id)?,
            run: store.run(id)?,
        })
    }

    /// Its place in time.
    fn moment(&self) -> (i64, i64) {
        (self.listed.measured_at, self.listed.id)
    }
}

/// What a run is compared with, if it is not named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// The run measured before it, of the same configuration on the same machine.
    Last,
    /// The median of that many such runs.
    MedianOf(usize),
    /// The run with this tag of the same configuration, else any run of that name.
    Named(String),
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "last" {
            return Ok(Self::Last);
        }
        let Some(rest) = text.strip_prefix("median-of") else {
            return Ok(Self::Named(text.to_owned()));
        };
        let number = rest.strip_prefix([' ', '-', '=']).unwrap_or(rest);
        match number.parse() {
            Ok(number @ 1..=100) => Ok(Self::MedianOf(number)),
            _ => Err("it is 'median-of N', N from 1 to 100".to_owned()),
        }
    }
}

/// The runs that `baseline` means for this run.
pub fn baseline(store: &Store, baseline: &Baseline, new: &Stored) -> Result<Vec<Stored>> {
    let count = match baseline {
        Baseline::Last => 1,
        Baseline::MedianOf(count) => *count,
        Baseline::Named(name) => return named(store, name, new).map(|run| vec![run]),
    };
    let series = series_before(store, new, new)?;
    let mut runs = earlier(store, new, series.iter().rev(), count)?;
    if runs.is_empty() {
        let id = new.listed.id;
        return Err(Error::new(
            format_args!("run {id}"),
            "there is no earlier run of its model, accelerator and runtime on its machine",
        )
        .hint(format!("'localstore history {id}' shows what there is")));
    }
    if runs.len() < count {
        note(&format!(
            "the base is the median of {}: there are no more earlier runs",
            runs.len()
        ));
    }
    runs.reverse();
    let stored = |(id, run)| {
        let listed = store.listed(id)?;
        Ok(Stored { listed, run })
    };
    runs.into_iter().map(stored).collect()
}

fn named(store: &Store, name: &str, new: &Stored) -> Result<Stored> {
    let configuration = store.configuration_of(new.listed.id)?;
    for id in store.tagged(name)?.into_iter().rev() {
        if id != new.listed.id && store.configuration_of(id)? == configuration {
            return Stored::read(store, id);
        }
    }
    Stored::read(store, store.resolve(name)?)
}

/// Other runs of the base's configuration and machine that were at its level, earlier than the
/// later one of base and new run: what is known of the noise between runs.
///
/// The level reaches from one change point of the score to the next.
pub fn history(store: &Store, base: &[Stored], new: &Stored) -> Result<Vec<Run>> {
    let Some(of) = base.last() else {
        return Ok(Vec::new());
    };
    let later = if of.moment() < new.moment() { new } else { of };
    let series = series_before(store, of, later)?;
    let scores: Vec<f64> = series.iter().map(|run| run.score).collect();
    let changes = stats::change_points(&scores, stats::Options::default().min_change);
    let starts: Vec<usize> = changes.iter().map(|change| change.index).collect();
    let level = |moment: (i64, i64)| {
        let index = series.partition_point(|run| run.moment() < moment);
        starts.partition_point(|&start| start <= index)
    };
    let of_base = level(of.moment());
    let is_side = |id| base.iter().chain([new]).any(|side| side.listed.id == id);
    let wanted = series
        .iter()
        .filter(|run| level(run.moment()) == of_base && !is_side(run.id));
    earlier(store, of, wanted.rev(), MAX_HISTORY)
        .map(|runs| runs.into_iter().map(|(_, run)| run).collect())
}

/// Whole runs of the configuration of `of` that were measured before `before`, in order.
fn series_before(store: &Store, of: &Stored, before: &Stored) -> Result<Vec<Level>> {
    let configuration = store.configuration_of(of.listed.id)?;
    let until = before.listed.measured_at;
    let mut series = store.levels(configuration.id, until, MAX_SERIES)?;
    series.retain(|run| !run.partial && run.moment() < before.moment());
    Ok(series)
}

/// The first `count` of these runs that are of the same machine as `of`.
fn earlier<'a>(
    store: &Store,
    of: &Stored,
    runs: impl Iterator<Item = &'a Level>,
    count: usize,
) -> Result<Vec<(i64, Run)>> {
    let mut found = Vec::new();
    for level in runs {
        if found.len() == count {
            break;
        }
        let run = store.run(level.id)?;
        if is_same_machine(&run.environment, &of.run.environment) {
            found.push((level.id, run));
        }
    }
    Ok(found)
}

/// Whether nothing tells that these are two machines. The kernel may be a newer one, and what
/// kernel and driver leave of the memory varies a little.
fn is_same_machine(one: &Environment, other: &Environment) -> bool {
    fn agree<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
        one.is_none() || other.is_none() || one == other
    }
    let memory = [one.accelerator.memory_gb, other.accelerator.memory_gb];
    agree(&one.system.cpu_name, &other.system.cpu_name)
        && agree(&one.system.kernel_type, &other.system.kernel_type)
        && agree(&one.accelerator.kind, &other.accelerator.kind)
        && !matches!(memory, [Some(one), Some(other)] if (one - other).abs() > 0.1 * one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_a_word_or_a_name() {
        assert_eq!("last".parse(), Ok(Baseline::Last));
        assert_eq!("main".parse(), Ok(Baseline::Named("main".into())));
        for text in ["median-of 5", "median-of-5", "median-of=5", "median-of5"] {
            assert_eq!(text.parse(), Ok(Baseline::MedianOf(5)), "{text}");
        }
        for text in ["median-of", "median-of 0", "median-of x", "median-of 101"] {
            assert!(text.parse::<Baseline>().is_err(), "{text}");
        }
    }
}
