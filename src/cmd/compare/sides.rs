//! The runs to compare, and the earlier runs that measure the noise between runs.

use std::str::FromStr;

use crate::cmd::named::NamedRun;
use crate::model::Run;
use crate::stats;
use crate::store::{Level, Store, runs, tags, trends};
use base::Result;
use base::note;

/// The maximum number of runs that are searched for the level of the base.
const MAX_SERIES: u32 = 100;

/// The value of `--baseline`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// The run measured before it, of the same configuration on the same machine.
    Last,
    /// The median of this number of such runs.
    MedianOf(usize),
    /// The run of the same configuration with this tag, or else any run of this name.
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
            _ => Err("last, median-of-5 (N from 1 to 100), or a run".to_owned()),
        }
    }
}

/// The runs that `baseline` selects for this run, in the order they were measured; none if there is
/// no earlier run of its configuration and machine.
///
/// `median-of-N` reaches back to the last change of level by `min_change` percent.
pub(crate) fn baseline(
    store: &Store,
    count: usize,
    new: &NamedRun,
    min_change: f64,
) -> Result<Vec<NamedRun>> {
    let series = Series::before(store, new, new, min_change)?;
    // Nobody knows whether a run with a guessed date came last.
    let is_dated = |run: &&Level| !run.is_guessed;
    let Some(last) = series.runs.iter().rfind(is_dated) else {
        return Ok(Vec::new());
    };
    let level = series.at_level_of(last.moment());
    let level: Vec<&Level> = level.filter(is_dated).collect();
    let level = &level[level.len().saturating_sub(count)..];
    if level.len() < count {
        note(&format!(
            "the base is the median of {}: there are no more earlier runs at this level",
            level.len()
        ));
    }
    level
        .iter()
        .map(|run| NamedRun::read(store, run.id))
        .collect()
}

/// The run of the configuration of `new` with this tag. Of several, prefers one on its machine, then a
/// whole run, then one measured before it, then the last one.
pub(crate) fn tagged(store: &Store, tag: &str, new: &NamedRun) -> Result<Option<NamedRun>> {
    let configuration = store.read(|db| trends::configuration_like(db, &new.run))?;
    let mut best = None;
    for id in store.read(|db| tags::tagged(db, tag))? {
        if id == new.listed.id
            || Some(store.read(|db| trends::configuration_of(db, id))?.id) != configuration
        {
            continue;
        }
        let run = NamedRun::read(store, id)?;
        let fit = (
            run.run.environment.is_same_machine(&new.run.environment),
            !run.listed.partial,
            run.moment() < new.moment(),
            run.moment(),
        );
        if best.as_ref().is_none_or(|(known, _)| *known <= fit) {
            best = Some((fit, run));
        }
    }
    Ok(best.map(|(_, run)| run))
}

/// The other runs of the base's configuration and machine at its level, measured before the last of
/// base and new runs. They measure the noise between runs.
///
/// The level reaches from one change of the score by `min_change` percent to the next.
pub(crate) fn history(
    store: &Store,
    base: &[NamedRun],
    new: &[NamedRun],
    min_change: f64,
) -> Result<Vec<(i64, Run)>> {
    let Some(last) = base.last().filter(|last| !last.listed.partial) else {
        return Ok(Vec::new());
    };
    let sides = || base.iter().chain(new);
    let later = sides().max_by_key(|run| run.moment()).unwrap_or(last);
    let series = Series::before(store, last, later, min_change)?;
    let is_side = |id| sides().any(|side| side.listed.id == id);
    series
        .at_level_of(last.moment())
        .filter(|run| !is_side(run.id))
        .map(|run| Ok((run.id, store.read(|db| runs::read(db, run.id))?)))
        .collect()
}

/// The best run of its configuration and machine that was added before it, and its score.
pub(crate) fn best(store: &Store, run: &NamedRun) -> Result<Option<(i64, f64)>> {
    let id = run.listed.id;
    let environments = environments(store, run)?;
    store.read(|db| trends::best_before(db, id, &environments))
}

/// The environments of the machine of this run.
fn environments(store: &Store, run: &NamedRun) -> Result<Vec<i64>> {
    let machine = &run.run.environment;
    let all = store.read(|db| trends::environments(db, &machine.accelerator.name))?;
    let same = all.into_iter();
    let same = same.filter(|(_, environment)| environment.is_same_machine(machine));
    Ok(same.map(|(id, _)| id).collect())
}

/// The whole runs of one configuration on one machine, in the order they were measured.
#[derive(Default)]
struct Series {
    runs: Vec<Level>,
    /// The indices of the first runs at new levels.
    starts: Vec<usize>,
}

impl Series {
    /// The runs of the configuration and machine of `like` that were measured before `before`.
    fn before(store: &Store, like: &NamedRun, before: &NamedRun, min_change: f64) -> Result<Self> {
        let configuration = store.read(|db| trends::configuration_like(db, &like.run))?;
        let Some(configuration) = configuration else {
            return Ok(Self::default());
        };
        let environments = environments(store, like)?;
        let until = before.listed.measured_at;
        let mut runs =
            store.read(|db| trends::levels(db, configuration, &environments, until, MAX_SERIES))?;
        runs.retain(|run| run.moment() < before.moment());
        // A run with a guessed date starts no level.
        let score = |run: &Level| if run.is_guessed { f64::NAN } else { run.score };
        let scores: Vec<f64> = runs.iter().map(score).collect();
        let changes = stats::change_points(&scores, min_change);
        Ok(Self {
            runs,
            starts: changes.iter().map(|change| change.index).collect(),
        })
    }

    /// The runs at the level of this moment.
    fn at_level_of(&self, moment: (i64, i64)) -> impl DoubleEndedIterator<Item = &Level> {
        let index = self.runs.partition_point(|run| run.moment() < moment);
        let level = self.starts.partition_point(|&start| start <= index);
        let start = level.checked_sub(1).map_or(0, |before| self.starts[before]);
        let end = self.starts.get(level).copied().unwrap_or(self.runs.len());
        self.runs[start..end].iter()
    }
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
