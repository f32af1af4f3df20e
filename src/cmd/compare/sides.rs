//! The runs to compare, and the earlier runs that measure the noise between runs.

use std::str::FromStr;

use crate::cmd::named::NamedRun;
use crate::model::{Run, Tool};
use crate::stats::{self, Reason, Yardstick};
use crate::store::{Level, Store, runs, tags, trends};
use base::Result;
use base::note;

/// The maximum number of runs that are searched for the level of the base.
const MAX_SERIES: u32 = 100;

/// The maximum number of runs of llama-bench that are searched for those with the same settings, and
/// of their tests.
const MAX_SEARCHED: u32 = 300;
const MAX_TESTS: usize = 200_000;

/// How many of them are searched for settings that differ.
const MAX_NEAR: usize = 20;

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

/// The run of the configuration of `new` with this tag. Of several, prefers one with a test in common,
/// then one on its machine, then a whole run, then one measured before it, then the last one.
pub(crate) fn tagged(store: &Store, tag: &str, new: &NamedRun) -> Result<Option<NamedRun>> {
    let configuration = store.read(|db| trends::configuration_like(db, &new.run))?;
    let mut yardstick = Yardstick::of(&new.run);
    let mut best = None;
    for id in store.read(|db| tags::tagged(db, tag))? {
        if id == new.listed.id
            || Some(store.read(|db| trends::configuration_of(db, id))?.id) != configuration
        {
            continue;
        }
        let run = NamedRun::read(store, id)?;
        let has_common_tests = match run.run.tool {
            Tool::LocalScore => true,
            Tool::LlamaBench => yardstick.relative_speed(&run.run).is_some(),
        };
        let fit = (
            has_common_tests,
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

/// The last of these runs with a test of `like`; in the place of the score, how fast each is in the
/// tests that it has, as a percentage of the speed of `like`.
fn alike(store: &Store, like: &NamedRun, runs: Vec<Level>) -> Result<Vec<Level>> {
    let mut yardstick = Yardstick::of(&like.run);
    let mut alike = Vec::new();
    let mut tests = 0;
    for run in runs.into_iter().rev() {
        let other = store.read(|db| runs::read(db, run.id))?;
        tests += other.tests.len();
        if let Some(speed) = yardstick.relative_speed(&other) {
            let score = 100.0 * speed;
            alike.push(Level { score, ..run });
        }
        if alike.len() >= MAX_SERIES as usize || tests >= MAX_TESTS {
            break;
        }
    }
    alike.reverse();
    Ok(alike)
}

/// The last earlier run of the model on the machine of `new` whose settings differ, with what makes
/// that so.
pub(crate) fn other_settings(store: &Store, new: &NamedRun) -> Result<Option<(i64, Reason)>> {
    if new.run.tool == Tool::LocalScore {
        return Ok(None);
    }
    let configuration = store.read(|db| trends::configuration_like(db, &new.run))?;
    let Some(configuration) = configuration else {
        return Ok(None);
    };
    let environments = environments(store, new)?;
    let until = new.listed.measured_at;
    let runs =
        store.read(|db| trends::levels(db, configuration, &environments, until, MAX_SEARCHED))?;
    let earlier = runs.iter().rev().filter(|run| run.moment() < new.moment());
    for run in earlier.take(MAX_NEAR) {
        let other = store.read(|db| runs::read(db, run.id))?;
        let options = stats::Options::default();
        let comparison = stats::compare(&[&other], &[&new.run], &[], &options);
        let mut reasons = comparison.reasons.into_iter();
        let is_settings = |reason: &Reason| matches!(reason, Reason::Settings(_));
        if let Some(reason) = reasons.find(is_settings) {
            return Ok(Some((run.id, reason)));
        }
    }
    Ok(None)
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
        let limit = match like.run.tool {
            Tool::LocalScore => MAX_SERIES,
            Tool::LlamaBench => MAX_SEARCHED,
        };
        let mut runs =
            store.read(|db| trends::levels(db, configuration, &environments, until, limit))?;
        runs.retain(|run| run.moment() < before.moment());
        if like.run.tool == Tool::LlamaBench {
            runs = alike(store, like, runs)?;
        }
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
