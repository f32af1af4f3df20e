//! Trends of llama-bench. The runs of a configuration have any tests with any settings: a trend is of
//! those that have all tests of one of them, its reference, with equal settings on the same machine.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::bench::{Reader, identity_of};
use super::own::environment_of;
use super::rows::{self, Odd, number};
use super::select::Filter;
use super::trends::{Configuration, Last, Series, TrendRun};
use crate::model::bench::{Classes, Identity, Unequal, build_of, test_name, unequal_settings};
use crate::model::{Environment, Figures, Mismatch, Run, Test, Text, Tool};

/// Which tests of llama-bench a trend is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speed {
    /// Those of a prompt alone.
    Prompt,
    /// Those of generation alone.
    Generation,
}

impl Speed {
    const ALL: [Self; 2] = [Self::Prompt, Self::Generation];
}

/// What a trend of llama-bench is of, within its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The run whose tests, settings and machine are those of all its runs.
    pub run: i64,
    /// The tests that they all have.
    pub speed: Speed,
}

/// The runs of a configuration that are not in a trend of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Others {
    /// How many there are.
    pub count: usize,
    /// The one measured last, if there are any, of those of the same speed.
    pub last: Option<i64>,
    /// In what they differ from the runs of the trend: `settings`, `tests`, `machine`, `model size`.
    pub reasons: Vec<&'static str>,
    /// The first setting of each in which it differs: `flash_attn 1`.
    pub settings: Vec<String>,
}

/// A trend of a configuration.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// What it is of.
    pub reference: Reference,
    /// Its run that was measured last, which is the reference.
    pub last: Last,
    /// The number of its runs.
    pub runs: usize,
    /// In what it differs from the first trend of two runs: `flash_attn 1`.
    pub apart: Option<String>,
    /// Whether it is of the prompt, where others are of generation.
    pub is_beside: bool,
}

/// The trends of the runs of this configuration that match, the one measured last first. Each run
/// belongs to one of them, and maybe to others: with more tests than the reference it is as good. They
/// are of this speed, else of generation and, for runs without a test of that, of the prompt. A run
/// without such a test belongs to none.
pub(super) fn parts(
    db: &Connection,
    of: &Configuration,
    filter: &Filter,
    speed: Option<Speed>,
) -> db::Result<Vec<Part>> {
    let mut runs = Runs::read(db, of.id, filter, None)?;
    let speeds = speed.map_or(vec![Speed::Generation, Speed::Prompt], |speed| vec![speed]);
    let mut order: Vec<usize> = (0..runs.all.len()).collect();
    order.sort_by_key(|&place| Reverse(runs.all[place].last));
    let mut parts: Vec<Part> = Vec::new();
    for speed in speeds {
        let mut left = order.clone();
        left.retain(|&place| runs.has(place, speed));
        order.retain(|&place| !runs.has(place, speed));
        let mut groups: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for place in 0..runs.all.len() {
            *groups.entry(runs.group(place, speed)).or_default() += 1;
        }
        let before = parts.len();
        let is_beside = before > 0;
        let mut references = Vec::new();
        let mut taken = BTreeSet::new();
        for place in left {
            let group = runs.group(place, speed);
            if taken.contains(&group) {
                continue;
            }
            let mut count = 0;
            for (&other, runs_of_other) in &groups {
                if runs.belongs(group, other) {
                    taken.insert(other);
                    count += runs_of_other;
                }
            }
            references.push(place);
            let last = runs.all[place].last;
            parts.push(Part {
                reference: Reference {
                    run: last.id,
                    speed,
                },
                last,
                runs: count,
                apart: is_beside.then(|| "prompt alone".to_owned()),
                is_beside,
            });
        }
        let parts = &mut parts[before..];
        // The first one that is shown.
        let main = parts.iter().position(|part| part.runs > 1).unwrap_or(0);
        for (part, &place) in parts.iter_mut().zip(&references) {
            let unlike = runs.places(references[main], place, speed).err();
            part.apart = unlike.map(|unlike| unlike.words()).or(part.apart.take());
        }
    }
    Ok(parts)
}

/// The trend of this run; `None` if it has no such test. It is the reference, unless it is the first
/// one with a test more: then it is in the longest trend of the others.
pub(super) fn reference(
    db: &Connection,
    run: i64,
    of: &Configuration,
    speed: Option<Speed>,
) -> db::Result<Option<Reference>> {
    let sql = "SELECT max(n_gen = 0 AND n_prompt > 0), max(n_prompt = 0 AND n_gen > 0)
         FROM localstore_bench_tests WHERE run_id = ?1";
    let has: [Option<bool>; 2] = db
        .prepare_cached(sql)?
        .query_row([run], |row| Ok([row.get(0)?, row.get(1)?]))?;
    let speed = match (has.map(|has| has == Some(true)), speed) {
        ([_, true], None | Some(Speed::Generation)) => Some(Speed::Generation),
        ([true, _], None | Some(Speed::Prompt)) => Some(Speed::Prompt),
        _ => None,
    };
    let Some(speed) = speed else {
        return Ok(None);
    };
    let run = reference_run(db, run, of, speed)?;
    Ok(Some(Reference { run, speed }))
}

fn reference_run(db: &Connection, run: i64, of: &Configuration, speed: Speed) -> db::Result<i64> {
    let mut runs = Runs::read(db, of.id, &Filter::default(), Some(run))?;
    let Some(own) = runs.all.iter().position(|one| one.last.id == run) else {
        return Ok(run);
    };
    let own = runs.group(own, speed);
    // The number of runs of each group, and the one measured last.
    let mut groups: BTreeMap<(usize, usize), (usize, Last)> = BTreeMap::new();
    for place in 0..runs.all.len() {
        if runs.has(place, speed) {
            let last = runs.all[place].last;
            let (count, latest) = groups.entry(runs.group(place, speed)).or_insert((0, last));
            *count += 1;
            *latest = last.max(*latest);
        }
    }
    let count_of = |runs: &mut Runs, group| {
        let in_trend = groups
            .iter()
            .filter(|&(&other, _)| runs.belongs(group, other));
        in_trend.map(|(_, (count, _))| count).sum::<usize>()
    };
    if count_of(&mut runs, own) > 1 {
        return Ok(run);
    }
    let mut longest = None;
    for (&group, &(_, last)) in &groups {
        if group != own && runs.belongs(group, own) {
            longest = longest.max(Some((count_of(&mut runs, group), last)));
        }
    }
    Ok(longest.map_or(run, |(_, last)| last.id))
}

/// The runs of the trend that match, in the order in which they were measured, and those of the
/// configuration that match and are not in it.
pub(super) fn series(
    db: &Connection,
    of: &Configuration,
    reference: Reference,
    filter: &Filter,
) -> db::Result<Series> {
    let mut runs = Runs::read(db, of.id, filter, Some(reference.run))?;
    let Some(place) = runs.all.iter().position(|run| run.last.id == reference.run) else {
        return Ok(Series::default());
    };
    let mut series = Vec::new();
    let mut left_out: Vec<(usize, Unlike)> = Vec::new();
    for other in 0..runs.all.len() {
        if !runs.all[other].is_matching {
            continue;
        }
        let mut speeds = [None; 2];
        let mut unlike = None;
        for speed in Speed::ALL {
            match runs.places(place, other, speed) {
                Ok(places) => {
                    let all = &runs.all[other].tests[speed as usize].speeds;
                    speeds[speed as usize] = mean(places.into_iter().map(|place| all[place]));
                }
                Err(why) if speed == reference.speed => unlike = Some(why),
                Err(_) => {}
            }
        }
        let run = &runs.all[other];
        if let Some(why) = unlike {
            left_out.push((other, why));
            continue;
        }
        series.push(TrendRun {
            id: run.last.id,
            measured_at: run.last.measured_at,
            is_guessed: !run.last.is_dated,
            partial: false,
            version: run.version.clone(),
            figures: Figures {
                prompt_tps: speeds[0],
                gen_tps: speeds[1],
                ..Figures::default()
            },
        });
    }
    let tests = Speed::ALL.map(|speed| {
        let set = &runs.sets[runs.all[place].tests[speed as usize].set];
        let name = |&(depth, tokens, _): &Key| match speed {
            Speed::Prompt => test_name(tokens, 0, depth),
            Speed::Generation => test_name(0, tokens, depth),
        };
        let mut names: Vec<String> = set.iter().map(name).collect();
        // They differ in settings.
        names.dedup();
        names
    });
    Ok(Series {
        all: series.len(),
        runs: series,
        tests,
        others: runs.others(reference.speed, left_out),
    })
}

/// The mean, if all have a speed.
fn mean(speeds: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = speeds.fold((0_u32, 0.0), |(count, sum), speed| {
        // What the tool could not measure, as `inf`, says nothing.
        let speed = if speed > 0.0 { speed } else { f64::NAN };
        (count + 1, sum + speed)
    });
    let mean = sum / f64::from(count);
    mean.is_finite().then_some(mean)
}

/// Why a run does not belong to a trend.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unlike {
    Machine,
    Model,
    /// It lacks a test.
    Tests,
    /// It has the test with other settings, of which this is the first.
    Settings(Unequal),
}

impl Unlike {
    fn reason(&self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Model => "model size",
            Self::Tests => "tests",
            Self::Settings(_) => "settings",
        }
    }

    /// What the run has instead: `flash_attn 1`, `other tests`.
    fn words(&self) -> String {
        match self {
            Self::Machine => "another machine".to_owned(),
            Self::Model => "another model size".to_owned(),
            Self::Tests => "other tests".to_owned(),
            Self::Settings(Unequal { field, values }) => match &values[1] {
                Some(value) => format!("{field} {}", value.display()),
                None => format!("no {field}"),
            },
        }
    }
}

/// What must be equal on one machine of one model.
fn machine_of(head: &Run) -> impl PartialEq + use<'_> {
    let model = head.model();
    let environment = &head.environment;
    (
        (&environment.system.cpu_name, &environment.accelerator.name),
        model.map(|model| (&model.model_type, &model.backend)),
        model.map(|model| (model.model_size, model.model_n_params)),
    )
}

/// A test: tokens before it, tokens of the test, the class of its settings.
type Key = (i64, i64, usize);

/// The tests of a run that are of one [`Speed`].
#[derive(Debug, Default)]
struct Tests {
    /// A place in [`Runs::sets`].
    set: usize,
    /// Tokens per second, in the order of the set.
    speeds: Vec<f64>,
}

#[derive(Debug)]
struct One {
    last: Last,
    is_matching: bool,
    version: Option<Text>,
    /// A place in [`Runs::heads`].
    head: usize,
    /// The same for runs on one machine of one model.
    machine: usize,
    /// In the order of [`Speed::ALL`].
    tests: [Tests; 2],
}

/// The runs of a configuration in the order in which they were measured, and what is known of how they
/// are alike.
#[derive(Default)]
struct Runs {
    all: Vec<One>,
    /// Machine, model and build of runs, each once: as runs with one test.
    heads: Vec<Run>,
    /// Sets of tests in their order, each once.
    sets: Vec<Vec<Key>>,
    classes: Classes,
    /// A head of each machine and model.
    machines: Vec<usize>,
    /// What is known of pairs of machines.
    unlike: HashMap<(usize, usize), Option<Unlike>>,
}

impl Runs {
    /// Reads those that match, and this one. The settings of that one count, else those of the one
    /// measured last.
    fn read(db: &Connection, of: i64, filter: &Filter, named: Option<i64>) -> db::Result<Self> {
        let condition = filter.condition_on_runs(db)?;
        let is_named = named.map_or_else(|| "0".to_owned(), |id| format!("r.run_id = {id}"));
        let mut statement = db.prepare(&format!(
            "SELECT r.run_id, r.measured_at, r.measured_guessed, r.environment_id,
                 x.identity_id, e.runtime_version, {0} AS is_matching
             FROM localstore_runs r
             CROSS JOIN localstore_bench_runs x ON x.run_id = r.run_id
             CROSS JOIN localstore_environments e ON e.id = r.environment_id
             WHERE r.configuration_id = {of} AND ({0} OR {is_named})
             ORDER BY r.measured_at, r.run_id",
            condition.run
        ))?;
        let values = params_from_iter(&condition.values);
        let mut heads: HashMap<[i64; 2], (usize, usize)> = HashMap::new();
        let mut runs = Self::default();
        let found = rows::query(&mut statement, values, |cells| {
            let is_guessed: bool = cells.get("measured_guessed")?;
            let last = Last {
                is_dated: !is_guessed,
                measured_at: cells.get("measured_at")?,
                id: cells.get("run_id")?,
            };
            let head: [i64; 2] = [cells.get("identity_id")?, cells.get("environment_id")?];
            let is_matching = cells.get("is_matching")?;
            Ok((last, head, is_matching, cells.text("runtime_version")?))
        })?;
        for (last, [identity, environment], is_matching, version) in found {
            let (head, machine) = if let Some(&known) = heads.get(&[identity, environment]) {
                known
            } else {
                let identity_of_run = identity_of(db, last.id)?;
                let environment_of_run = environment_of(db, last.id, Odd::Unknown)?;
                let found = runs.push_head(&identity_of_run, environment_of_run);
                heads.insert([identity, environment], found);
                found
            };
            runs.all.push(One {
                last,
                is_matching,
                version,
                head,
                machine,
                tests: Default::default(),
            });
        }
        runs.read_tests(db, named)?;
        Ok(runs)
    }

    /// Keeps what runs of this identity and environment have in common; gives its place, and that of its
    /// machine and model.
    fn push_head(&mut self, identity: &Identity, environment: Environment) -> (usize, usize) {
        let test = Test {
            model: identity.model(),
            ..Test::default()
        };
        let head = Run {
            tool: Tool::LlamaBench,
            environment,
            tests: vec![test],
            ..Run::default()
        };
        let is_same = |place: &usize| {
            let other = &self.heads[*place];
            machine_of(&head) == machine_of(other)
        };
        let machine = self.machines.iter().position(is_same);
        let machine = machine.unwrap_or_else(|| {
            self.machines.push(self.heads.len());
            self.machines.len() - 1
        });
        self.heads.push(head);
        (self.heads.len() - 1, machine)
    }

    fn read_tests(&mut self, db: &Connection, named: Option<i64>) -> db::Result<()> {
        let mut statement = db.prepare(
            "SELECT n_prompt, n_gen, coalesce(n_depth, 0), setting_id, avg_ts
             FROM localstore_bench_tests WHERE run_id = ?1 AND (n_prompt = 0 OR n_gen = 0)",
        )?;
        let mut reader = Reader::default();
        let mut classes: HashMap<(i64, usize), usize> = HashMap::new();
        let mut places: HashMap<Vec<Key>, usize> = HashMap::new();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|&place| {
            let last = self.all[place].last;
            Reverse((named == Some(last.id), last))
        });
        for place in order {
            let run = &mut self.all[place];
            let mut found: [Vec<(Key, f64)>; 2] = Default::default();
            let mut rows = statement.query([run.last.id])?;
            while let Some(row) = rows.next()? {
                let (n_prompt, n_gen): (i64, i64) = (row.get(0)?, row.get(1)?);
                let setting: i64 = row.get(3)?;
                let class = if let Some(&class) = classes.get(&(setting, run.head)) {
                    class
                } else {
                    let test = &mut self.heads[run.head].tests[0];
                    test.settings = Some(reader.settings(db, setting)?);
                    let class = self.classes.of(test);
                    classes.insert((setting, run.head), class);
                    class
                };
                let speed = if n_prompt == 0 {
                    Speed::Generation
                } else {
                    Speed::Prompt
                };
                // One of the two is 0.
                let key = (row.get(2)?, n_prompt.max(n_gen), class);
                let tps = match row.get_ref(4)? {
                    ValueRef::Text(text) => std::str::from_utf8(text)
                        .ok()
                        .and_then(|text| text.parse().ok()),
                    value => number(value),
                };
                found[speed as usize].push((key, tps.unwrap_or(f64::NAN)));
            }
            for (tests, mut found) in run.tests.iter_mut().zip(found) {
                found.sort_by_key(|(key, _)| *key);
                let (set, speeds): (Vec<Key>, _) = found.into_iter().unzip();
                tests.speeds = speeds;
                let next = self.sets.len();
                tests.set = *places.entry(set).or_insert_with_key(|set| {
                    self.sets.push(set.clone());
                    next
                });
            }
        }
        Ok(())
    }

    fn has(&self, run: usize, speed: Speed) -> bool {
        !self.all[run].tests[speed as usize].speeds.is_empty()
    }

    /// Runs with the same of it are in the same trends: its machine and its set of tests.
    fn group(&self, run: usize, speed: Speed) -> (usize, usize) {
        let run = &self.all[run];
        (run.machine, run.tests[speed as usize].set)
    }

    /// Whether the runs of the other group are of the trend of one of this group.
    fn belongs(&mut self, of: (usize, usize), other: (usize, usize)) -> bool {
        let [wanted, there] = [of.1, other.1].map(|set| &self.sets[set]);
        let has_all = wanted.iter().all(|key| there.binary_search(key).is_ok());
        has_all && self.unlike(of.0, other.0).is_none()
    }

    /// Why runs on the other machine do not belong to a trend on this one.
    fn unlike(&mut self, machine: usize, other: usize) -> Option<Unlike> {
        let [one, two] = [machine, other].map(|machine| &self.heads[self.machines[machine]]);
        let unlike = self.unlike.entry((machine, other)).or_insert_with(|| {
            let mismatches = one.suite().mismatches(one, two);
            mismatches.first().map(|why| match why {
                Mismatch::Machine => Unlike::Machine,
                _ => Unlike::Model,
            })
        });
        unlike.clone()
    }

    /// What is said of the runs that are not of a trend, with why.
    fn others(&self, speed: Speed, mut left_out: Vec<(usize, Unlike)>) -> Option<Others> {
        left_out.sort_by_key(|(run, _)| self.all[*run].last);
        let mut others = Others {
            count: left_out.len(),
            last: None,
            reasons: Vec::new(),
            settings: Vec::new(),
        };
        for reason in ["settings", "tests", "machine", "model size"] {
            if left_out.iter().any(|(_, unlike)| unlike.reason() == reason) {
                others.reasons.push(reason);
            }
        }
        let (mut same, mut another) = (None, None);
        for (run, unlike) in left_out.into_iter().rev() {
            let id = self.all[run].last.id;
            if self.has(run, speed) {
                same.get_or_insert(id);
            } else if Speed::ALL.iter().any(|speed| self.has(run, *speed)) {
                another.get_or_insert(id);
            }
            let words = unlike.words();
            if matches!(unlike, Unlike::Settings(_)) && !others.settings.contains(&words) {
                others.settings.push(words);
            }
        }
        others.last = same.or(another);
        (others.count > 0).then_some(others)
    }

    /// Where the other run has the tests of the reference; why it has not all of them.
    fn places(
        &mut self,
        reference: usize,
        other: usize,
        speed: Speed,
    ) -> Result<Vec<usize>, Unlike> {
        let machines = [reference, other].map(|place| self.all[place].machine);
        if let Some(unlike) = self.unlike(machines[0], machines[1]) {
            return Err(unlike);
        }
        let runs = [reference, other].map(|place| &self.all[place]);
        let [one, two] = runs.map(|run| &self.heads[run.head]);
        let [wanted, there] = runs.map(|run| &self.sets[run.tests[speed as usize].set]);
        if wanted.is_empty() {
            return Err(Unlike::Tests);
        }
        let place = |key: &Key| {
            there.binary_search(key).map_err(|place| {
                let is_alike = |other: &&Key| (other.0, other.1) == (key.0, key.1);
                let around = [place.checked_sub(1), Some(place)].into_iter().flatten();
                let mut around = around.filter_map(|place| there.get(place));
                let Some(other) = around.find(is_alike) else {
                    return Unlike::Tests;
                };
                let [one, two] = [(key.2, one), (other.2, two)].map(|(class, run)| {
                    Some((self.classes.settings(class)?, build_of(run.tests.first()?)))
                });
                let unequal = one.zip(two).map(|(one, two)| unequal_settings(one, two));
                let first = unequal.and_then(|unequal| unequal.into_iter().next());
                first.map_or(Unlike::Tests, Unlike::Settings)
            })
        };
        wanted.iter().map(place).collect()
    }
}
