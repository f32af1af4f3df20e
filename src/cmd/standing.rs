//! How a run that was just stored stands beside the earlier ones; for `add` and `record`.

use std::collections::{HashMap, VecDeque};

use super::compare::{self, NewRun, Report};
use crate::model::{Run, Text, Tool};
use crate::stats::{self, Options, Outcome, Verdict};
use crate::store::{Store, trends};
use base::{Result, Screen, Style};

/// The line beneath a run: `slower: pp −11.2%, tg −11.0%, ttft +12.5% (13 runs; best: run 2, 1884)`.
pub(crate) struct Standing {
    /// The word for it; none if the noise is unknown.
    word: Option<(&'static str, Option<Style>)>,
    /// What follows the word.
    rest: String,
}

impl Standing {
    /// The line for the run of this id; `None` for a partial run, and if nothing can be compared with it.
    pub(crate) fn of(store: &Store, id: i64) -> Result<Option<Self>> {
        let Some(report) = compare::standing(store, id, Options::default())? else {
            return Ok(None);
        };
        let [new] = report.new.as_slice() else {
            return Ok(None);
        };
        let comparison = &new.comparison;
        let word = match comparison.outcome {
            Outcome::Slower => Some(("slower", Some(Style::Worse))),
            Outcome::Faster => Some(("faster", Some(Style::Better))),
            Outcome::Mixed => Some(("mixed", Some(Style::Undecided))),
            Outcome::Same => Some(("no difference", None)),
            Outcome::Undecided if !comparison.is_noise_known() => None,
            Outcome::Undecided => Some(("not decided", Some(Style::Undecided))),
            Outcome::NotComparable => return Ok(None),
        };
        let changes = match word {
            // Only single tests changed for certain.
            Some((word, _)) if is_in_tests(&report) => {
                let headline = report.headline(new);
                let tests = headline.split_once(word).map(|(_, tests)| tests.to_owned());
                tests.unwrap_or_default()
            }
            Some(_) => format!(": {}", compare::changes(comparison)),
            None => compare::changes(comparison),
        };
        let against = match report.base.first() {
            Some(base) if new.level.is_empty() => format!(" against {}", base.name()),
            _ => String::new(),
        };
        let best = match new.run.run.tool {
            Tool::LocalScore => Some(best(store, new)?),
            // It has no score, and the fastest run may be one of other settings.
            Tool::LlamaBench => None,
        };
        let runs = match new.level.len() {
            0 => None,
            runs => Some(format!("{runs} runs")),
        };
        let more: Vec<String> = runs.into_iter().chain(best).collect();
        let more = match (word, more.as_slice()) {
            (None, _) => "; noise not known yet".to_owned(),
            (Some(_), []) => String::new(),
            (Some(_), more) => format!(" ({})", more.join("; ")),
        };
        let rest = [changes, against, more].concat();
        Ok(Some(Self { word, rest }))
    }

    /// Whether the run is certainly slower.
    pub(crate) fn is_slower(&self) -> bool {
        matches!(self.word, Some((_, Some(Style::Worse))))
    }

    /// The line, without a newline at its end.
    pub(crate) fn line(&self, screen: Screen) -> String {
        let (word, style) = self.word.unwrap_or_default();
        let line = screen.fold(&format!("  {word}{}", self.rest));
        match style {
            Some(style) => line.replacen(word, &screen.paint(style, word), 1),
            None => line,
        }
    }
}

/// `best: run 2, 1884`.
fn best(store: &Store, new: &NewRun) -> Result<String> {
    Ok(match compare::best(store, &new.run)? {
        Some((id, score)) if Some(score) >= new.run.listed.figures.score => {
            format!("best: run {id}, {}", crate::model::listed_score(score))
        }
        _ => "new best".to_owned(),
    })
}

/// Whether it is by single tests alone that the run is slower, faster or mixed.
fn is_in_tests(report: &Report) -> bool {
    let is_changed = |verdict| matches!(verdict, Verdict::Better | Verdict::Worse);
    let comparisons = || report.new.iter().map(|new| &new.comparison);
    !comparisons().any(|all| all.means.iter().any(|row| is_changed(row.verdict)))
        && comparisons().any(|all| all.rows.iter().any(|row| is_changed(row.verdict)))
}

/// The averages of a run, of which more is better.
type Averages = [f64; 3];

/// How many runs are kept of each configuration and machine.
const KEPT: usize = 20;

/// How many of them are enough to see a level that has just begun.
const LATELY: usize = 5;

/// The most configurations and machines that are kept.
const MOST: usize = 1000;

/// The averages of the last runs of each configuration and machine. Of many runs that are added at
/// once, they show which may be slower: comparing each with its level would take ten times as long as
/// storing it.
#[derive(Default)]
pub(crate) struct Suspicion {
    lately: HashMap<[Option<Text>; 5], VecDeque<(i64, Averages)>>,
}

impl Suspicion {
    /// Whether the run, stored with this id, may be slower than those before it.
    pub(crate) fn of(
        &mut self,
        store: &Store,
        (id, run, measured_at): (i64, &Run, i64),
    ) -> Result<bool> {
        let averages = averages(run);
        let runs = self.runs(store, id, run)?;
        let before = runs.partition_point(|(at, _)| *at <= measured_at);
        let window: Vec<Averages> = runs
            .range(..before)
            .map(|(_, averages)| *averages)
            .collect();
        let is_suspicious = is_below(&window, averages);
        runs.insert(before, (measured_at, averages));
        if runs.len() > KEPT {
            runs.pop_front();
        }
        Ok(is_suspicious)
    }

    /// Those before the run.
    fn runs(
        &mut self,
        store: &Store,
        id: i64,
        run: &Run,
    ) -> Result<&mut VecDeque<(i64, Averages)>> {
        let model = run.model();
        let key = [
            model.and_then(|model| model.model_name.clone()),
            model.and_then(|model| model.model_quant_str.clone()),
            run.environment.accelerator.name.clone(),
            run.environment.runtime.name.clone(),
            run.environment.system.cpu_name.clone(),
        ];
        if !self.lately.contains_key(&key) {
            if self.lately.len() >= MOST {
                self.lately.clear();
            }
            let stored = store.read(|db| trends::averages_before(db, id, KEPT))?;
            let stored = stored
                .into_iter()
                .map(|(at, [pp, tg, ttft])| (at, [pp, tg, 1.0 / ttft]));
            self.lately.insert(key.clone(), stored.collect());
        }
        Ok(self.lately.entry(key).or_default())
    }
}

fn averages(run: &Run) -> Averages {
    let summary = run.summary();
    [
        summary.avg_prompt_tps,
        summary.avg_gen_tps,
        1.0 / summary.avg_ttft_ms,
    ]
}

/// Whether one of the averages is so far below those of the last runs that it may certainly be
/// slower by what matters, as far as their noise leaves that open.
fn is_below(window: &[Averages], run: Averages) -> bool {
    let min_change = Options::default().min_change / 100.0;
    (0..run.len()).any(|metric| {
        let logs: Vec<f64> = window
            .iter()
            .map(|averages| averages[metric].ln())
            .collect();
        let noise = stats::noise(&logs);
        let lately = &logs[logs.len().saturating_sub(LATELY)..];
        [lately, &logs]
            .into_iter()
            .filter_map(stats::median)
            .any(|level| {
                let below = level - run[metric].ln();
                below > (min_change - noise).max(1.8 * noise)
            })
    })
}
