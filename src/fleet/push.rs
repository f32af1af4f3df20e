//! Sends to the remote what it has not got from this store.

use base::{Error, Result};
use rusqlite::Connection;

use super::Event;
use super::body::FORMAT;
use super::hrana::{Answer, Batch, Kind, Remote, Value};
use super::known::{Candidate, Expected, Fate, Item, Judge, candidates, keys, look};
use super::public::{LAST, New, Writer, columns, insert_rows};
use super::remote::{self, STATE, State, failure, of, read_state, state_values};
use super::site;
use crate::model::{Run, Text, Tool};
use crate::store::foreign::Foreign;
use crate::store::peers::{self, Position, StoreId};
use crate::store::{Store, Stored};

/// The most runs of a batch.
const MOST_RUNS: usize = 256;

/// The most bytes of all bodies of a batch, and of one body.
pub(super) const MOST_BYTES: usize = 4 << 20;
pub(super) const MOST_BODY: usize = 1 << 20;

/// How often a batch is decided anew because others wrote the same runs meanwhile.
const MOST_ATTEMPTS: usize = 20;

/// The most runs that are left out, one after the other, because the remote refuses them.
const MOST_REFUSED: usize = 20;

/// Sends to the remote what it has not got from this store. With `dry_run` nothing is changed, and the
/// store may be open for reading only.
pub(crate) fn push(
    store: &mut Store,
    remote: &Remote,
    dry_run: bool,
    tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    if !dry_run {
        // What the web site has inserted into the store is taken up by any write.
        store.write(|_| Ok(()))?;
    }
    let mut me = identity(store, dry_run)?;
    let mut state = remote::state(remote, &me, &[])?;
    state.check_writes(remote)?;
    if !dry_run {
        site::take_up(remote, &state, &mut |_, _| {})?;
    }
    let mut position = state.position.take();
    let is_first = position.is_none();
    if !is_ours(store, position.as_ref())? {
        me = renewed(store, dry_run)?;
        position = None;
    }
    let mut pusher = Pusher {
        remote,
        fleet: state.id,
        me,
        position,
        judge: Judge::new()?,
        most: MOST_RUNS,
        setbacks: 0,
        refused: 0,
        dry_run,
    };
    let after = pusher.after();
    let runs = store.read(|db| peers::count_changed(db, after, &pusher.fleet))?;
    tell(Event::Begin {
        runs,
        is_first: is_first && runs > 0,
    })?;
    let mut after = after;
    while let Some(end) = pusher.next(store, after, tell)? {
        after = end;
    }
    Ok(())
}

/// The id of this store; it gets one if it has lost it.
pub(super) fn identity(store: &mut Store, dry_run: bool) -> Result<StoreId> {
    match store.read(|db| Ok(peers::store_id(db)?))? {
        Some(id) => Ok(id),
        None => renewed(store, dry_run),
    }
}

/// Another id for this store.
pub(super) fn renewed(store: &mut Store, dry_run: bool) -> Result<StoreId> {
    if dry_run {
        return Ok(StoreId::default());
    }
    store.write(|db| Ok(peers::renew_store_id(db)?))?;
    let id = store.read(|db| Ok(peers::store_id(db)?))?;
    id.ok_or_else(|| {
        Error::new(
            store.path().display(),
            "its table metadata cannot be written",
        )
    })
}

/// Whether the remote's place in the log of this store is in it. Else this is a copy of the store that
/// went on, or was put back from a backup.
pub(super) fn is_ours(store: &Store, position: Option<&Position>) -> Result<bool> {
    match position {
        Some(position) if position.change > 0 => store.read(|db| peers::has(db, position)),
        _ => Ok(true),
    }
}

struct Pusher<'a> {
    remote: &'a Remote,
    fleet: StoreId,
    me: StoreId,
    /// How far the remote has taken over the log of this store.
    position: Option<Position>,
    judge: Judge,
    /// The most runs of a batch.
    most: usize,
    /// How often the remote was found no further on than it had been.
    setbacks: usize,
    /// How many runs the remote has refused, one after the other.
    refused: usize,
    dry_run: bool,
}

fn left_out(id: i64, why: impl std::fmt::Display) -> Error {
    Error::new(format_args!("run {id}"), why)
}

/// Reports what became of the runs of a batch, and which were left out.
fn report(
    items: &[Item],
    fates: impl Iterator<Item = Stored>,
    errors: Vec<Error>,
    tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    for error in errors {
        tell(Event::LeftOut(error))?;
    }
    for (item, stored) in items.iter().zip(fates) {
        let (id, foreign) = (Some(item.id), &item.foreign);
        tell(Event::Run {
            id,
            stored,
            foreign,
        })?;
    }
    Ok(())
}

/// What became of the attempt to write a batch.
enum Written {
    Done,
    /// The server refuses this: with other or fewer runs it may not.
    Refused(Error),
    /// The remote is not as it was: this is how it is.
    Changed(State, Vec<Candidate>),
}

impl Pusher<'_> {
    fn expected(&self) -> Expected<'_> {
        Expected {
            fleet: &self.fleet,
            me: &self.me,
            position: self.position.as_ref(),
        }
    }

    /// The last change that the remote has taken over.
    fn after(&self) -> i64 {
        self.position.as_ref().map_or(0, |position| position.change)
    }

    /// Sends the next runs; gives the change behind which to go on, or `None` at the end.
    fn next(
        &mut self,
        store: &mut Store,
        after: i64,
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Option<i64>> {
        let fleet = self.fleet;
        let most = self.most;
        let batch = store.read(|db| read(db, after, &fleet, most))?;
        if !self.dry_run {
            store.check_place()?;
        }
        let Some((mut items, mut errors, end)) = batch else {
            return Ok(None);
        };
        let mut found = match candidates(self.remote, &items) {
            Ok(found) => found,
            Err(failure) if failure.kind == Kind::TooLarge && items.len() > 1 => {
                self.most = items.len() / 2;
                return Ok(Some(after));
            }
            Err(failure) if failure.kind == Kind::TooLarge && !items.is_empty() => {
                errors.push(left_out(items.remove(0).id, failure.error));
                Vec::new()
            }
            Err(failure) => return Err(failure.error),
        };
        for _ in 0..MOST_ATTEMPTS {
            let fates = self.decide(&mut items, &found)?;
            let written = if self.dry_run {
                Written::Done
            } else {
                self.write(&items, &fates, &found, &end)?
            };
            match written {
                Written::Done => {
                    let fates = fates.iter().map(|fate| match fate {
                        Fate::New => Stored::New,
                        Fate::Completed(..) => Stored::Completed,
                        Fate::Known(_) => Stored::Already,
                    });
                    report(&items, fates, errors, tell)?;
                    tell(Event::Committed)?;
                    let change = end.change;
                    self.position = Some(end);
                    self.most = (2 * self.most).min(MOST_RUNS);
                    if !items.is_empty() {
                        self.refused = 0;
                    }
                    return Ok(Some(change));
                }
                // Halves, until the run stands alone that is refused.
                Written::Refused(_) if items.len() > 1 => {
                    self.most = items.len() / 2;
                    return Ok(Some(after));
                }
                Written::Refused(error) => {
                    // Where none is taken, it is not the runs that are to blame.
                    self.refused += 1;
                    if self.refused > MOST_REFUSED {
                        return Err(Error::new(self.remote.address(), error));
                    }
                    errors.push(left_out(items.remove(0).id, error));
                    found.clear();
                }
                Written::Changed(state, candidates) => {
                    state.check_writes(self.remote)?;
                    if state.id != self.fleet {
                        let why = "another fleet has taken the place of this one meanwhile";
                        return Err(Error::new(self.remote.address(), why));
                    }
                    if state.position.as_ref() == Some(&end) {
                        // The batch had arrived, and its answer was lost.
                        let known = items.iter().map(|_| Stored::Already);
                        report(&items, known, errors, tell)?;
                        self.position = state.position;
                        return Ok(Some(self.after()));
                    }
                    if state.position != self.position {
                        // Another process sends from this store, or from a copy of it.
                        return self.moved(store, state.position).map(Some);
                    }
                    found = candidates;
                }
            }
        }
        Err(self.no_rest())
    }

    /// Goes on from where the remote is now; gives the change. That is further on as long as others send
    /// from this store; a remote that goes back again and again is given up.
    fn moved(&mut self, store: &mut Store, position: Option<Position>) -> Result<i64> {
        let before = self.after();
        let is_ours = is_ours(store, position.as_ref())?;
        if is_ours {
            self.position = position;
        } else {
            self.me = renewed(store, self.dry_run)?;
            self.position = None;
        }
        if !is_ours || self.after() <= before {
            self.setbacks += 1;
            if self.setbacks == MOST_ATTEMPTS {
                return Err(self.no_rest());
            }
        }
        Ok(self.after())
    }

    fn no_rest(&self) -> Error {
        let why = "others change the same runs all the time";
        Error::new(self.remote.address(), why).hint("run the command again")
    }

    fn decide<'c>(&mut self, items: &mut [Item], found: &'c [Candidate]) -> Result<Vec<Fate<'c>>> {
        let mut rest = found;
        let mut fates = Vec::with_capacity(items.len());
        for (place, item) in items.iter_mut().enumerate() {
            let count = rest.iter().take_while(|candidate| candidate.place == place);
            let (ours, others) = rest.split_at(count.count());
            rest = others;
            let ours: Vec<&Candidate> = ours.iter().collect();
            fates.push(self.judge.decide(item, &ours)?);
        }
        Ok(fates)
    }

    /// Writes a batch, whole or not at all.
    fn write(
        &self,
        items: &[Item],
        fates: &[Fate<'_>],
        found: &[Candidate],
        end: &Position,
    ) -> Result<Written> {
        let mut batch = Batch::write();
        let guard = self.expected().guard(&mut batch, items, found, end);
        let state = batch.instead(guard, STATE, state_values(&self.me, &[]));
        let now = batch.instead(guard, look(), [keys(items)]);
        let mut writer = Writer::default();
        let new = items.iter().zip(fates);
        let new = new.filter(|(_, fate)| matches!(fate, Fate::New));
        insert(
            &mut batch,
            &mut writer,
            &new.map(|(item, _)| item).collect::<Vec<_>>(),
        );
        for fate in fates {
            if let Fate::Completed(candidate, both) = fate {
                replace(&mut batch, &mut writer, both, candidate);
            }
        }
        self.log(&mut batch, items, fates);
        let answer = match self.remote.run(&batch) {
            Ok(answer) => answer,
            Err(failure)
                if matches!(failure.kind, Kind::Refused | Kind::TooLarge) && !items.is_empty() =>
            {
                return Ok(Written::Refused(failure.error));
            }
            Err(failure) => return Err(failure.error),
        };
        let Some(failed) = &answer.failed else {
            return Ok(Written::Done);
        };
        let is_constraint = failed.error.message.contains("NOT NULL constraint failed");
        match failed.step {
            Some(step) if step == guard && is_constraint => {
                let state = read_state(self.remote, &answer, state)?;
                Ok(Written::Changed(state, self.read(&answer, now)?))
            }
            // A body that somebody has changed meanwhile.
            Some(_) if is_constraint && failed.error.message.contains("fleet_runs.body") => {
                let state = remote::state(self.remote, &self.me, &[])?;
                Ok(Written::Changed(state, candidates(self.remote, items)?))
            }
            Some(step) if step > guard && failed.error.is_about_values() && !items.is_empty() => {
                Ok(Written::Refused(Error::plain(&failed.error.message)))
            }
            _ => Err(failure(self.remote, failed)),
        }
    }

    fn read(&self, answer: &Answer, step: usize) -> Result<Vec<Candidate>> {
        let found = answer.rows(step).map(Candidate::read);
        found
            .collect::<Result<_>>()
            .map_err(|error| of(self.remote, error))
    }

    /// Enters what is new of these runs into the log.
    fn log(&self, batch: &mut Batch, items: &[Item], fates: &[Fate<'_>]) {
        let mut lines = Vec::new();
        let mut new = fates
            .iter()
            .filter(|fate| matches!(fate, Fate::New))
            .count();
        for (item, fate) in items.iter().zip(fates) {
            let known = match fate {
                Fate::New => None,
                Fate::Completed(candidate, _) | Fate::Known(candidate) => Some(candidate),
            };
            new -= usize::from(known.is_none());
            let mut line = |kind: &str, detail: Option<&str>| {
                let id = known.map(|known| known.run_id);
                lines.extend([kind.into(), id.into(), integer(new), detail.into()]);
            };
            if !matches!(fate, Fate::Known(_)) {
                line("run", None);
            }
            for tag in item.foreign.tags() {
                if known.is_none_or(|known| !known.has_tag(tag)) {
                    line("tag", Some(tag));
                }
            }
            if let Some(submission) = item.submission()
                && known.is_none_or(|known| !known.knows(&submission))
            {
                line("submission", Some(&submission));
            }
        }
        insert_rows(batch, Some(&self.me.to_vec().into()), lines, 4, |table| {
            format!(
                "INSERT INTO localstore_fleet_log (store, kind, run_id, detail)
                 SELECT ?1, v.column1, coalesce(v.column2, {LAST} - v.column3), v.column4 FROM {table}"
            )
        });
    }
}

fn integer(count: usize) -> Value {
    (count.cast_signed() as i64).into()
}

/// The next runs that were changed behind this change, those that cannot be sent, and the change up to
/// which that is all; `None` at the end.
#[allow(clippy::type_complexity, reason = "taken apart at once")]
fn read(
    db: &Connection,
    after: i64,
    fleet: &StoreId,
    mut most: usize,
) -> db::Result<Option<(Vec<Item>, Vec<Error>, Position)>> {
    loop {
        let Some(changed) = peers::changed(db, after, fleet, most)? else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(changed.runs.len());
        let mut errors = Vec::new();
        let mut bytes = 0;
        for id in changed.runs {
            match Item::read(db, id)? {
                Ok(item) if item.encoded.body.len() > MOST_BODY => {
                    errors.push(left_out(id, "it is larger than 1 MiB, deflated"));
                }
                Ok(item) => {
                    bytes += item.encoded.body.len();
                    items.push(item);
                }
                Err(why) => errors.push(left_out(id, why)),
            }
            if bytes > MOST_BYTES && items.len() > 1 {
                break;
            }
        }
        if bytes <= MOST_BYTES || items.len() == 1 {
            return Ok(Some((items, errors, changed.end)));
        }
        most = (items.len() + errors.len() - 1).max(1);
    }
}

/// The columns of `localstore_fleet_runs` that a capture decides.
pub(super) const COLUMNS: &str =
    "tool, fingerprint, core, poor, source, measured_at, model, accelerator, format,
    digest, body, tests";

/// Their values.
pub(super) fn row(item: &Item) -> Vec<Value> {
    let foreign = &item.foreign;
    let header = foreign.header();
    let text = |text: Option<&Text>| Value::from(text.map(|text| text.to_utf8().into_owned()));
    let tests = match foreign {
        Foreign::Run(_) => header.tests.len(),
        Foreign::Bench(_) => 0,
    };
    vec![
        foreign.tool().name().into(),
        item.keys.fingerprint.to_vec().into(),
        item.keys.core.to_vec().into(),
        i64::from(foreign.is_poor()).into(),
        foreign.source().name().into(),
        foreign.measured().at.into(),
        names(&header).into(),
        text(header.environment.accelerator.name.as_ref()),
        FORMAT.into(),
        item.encoded.digest.to_vec().into(),
        item.encoded.body.clone().into(),
        integer(tests),
    ]
}

/// What the filter for models finds: the name, of llama-bench that of the file too, in a line of its
/// own.
fn names(header: &Run) -> Option<String> {
    let model = header.model()?;
    let file = model.model_filename.as_ref();
    let file = file.filter(|_| header.tool == Tool::LlamaBench);
    let names: Vec<_> = model
        .model_name
        .iter()
        .chain(file)
        .map(Text::to_utf8)
        .collect();
    (!names.is_empty()).then(|| names.join("\n"))
}

/// Inserts runs with the next ids. Their fleet rows come first: so the trigger on `benchmark_runs` knows
/// that they are no runs of the web site.
fn insert(batch: &mut Batch, writer: &mut Writer, items: &[&Item]) {
    let next = |table: &str| {
        format!(
            "1 + max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0),
                 coalesce((SELECT max(id) FROM {table}), 0))"
        )
    };
    let mut rows = Vec::new();
    let mut width = 0;
    let mut runs = Vec::new();
    let mut tests = 0;
    for (place, item) in items.iter().enumerate() {
        let before = rows.len();
        rows.extend([integer(place), integer(tests)]);
        rows.extend(row(item));
        width = rows.len() - before;
        if let Foreign::Run(run) = &item.foreign {
            runs.push(New {
                before: (items.len() - 1 - place).cast_signed() as i64,
                run: &run.dated.run,
                created_at: &run.created_at,
            });
            tests += run.dated.run.tests.len();
        }
    }
    insert_rows(batch, None, rows, width.max(1), |table| {
        format!(
            "INSERT INTO localstore_fleet_runs (run_id, first_test, {COLUMNS})
             SELECT {} + v.column1, {} + v.column2, {} FROM {table}",
            next("benchmark_runs"),
            next("test_results"),
            columns(3..=width)
        )
    });
    writer.insert(batch, &runs);
    if let Some(Foreign::Bench(_)) = items.last().map(|item| &item.foreign) {
        // Runs of llama-bench have ids of the sequence, and leave no row there.
        batch.then(
            format!(
                "INSERT INTO benchmark_runs (id, avg_prompt_tps, avg_gen_tps, avg_ttft_ms,
                     performance_score) VALUES ({LAST}, 0, 0, 0, 0)"
            ),
            [],
        );
        batch.then(format!("DELETE FROM benchmark_runs WHERE id = {LAST}"), []);
    }
}

/// Puts what is known of a run now in the place of its row, unless somebody has changed that meanwhile.
fn replace(batch: &mut Batch, writer: &mut Writer, item: &Item, candidate: &Candidate) {
    let mut row = row(item);
    let columns: Vec<String> = COLUMNS
        .split(',')
        .map(str::trim)
        .zip(1..)
        .map(|(column, place)| match column {
            "body" => format!("body = CASE WHEN digest = ?{} THEN ?{place} END", 13),
            column => format!("{column} = ?{place}"),
        })
        .collect();
    row.push(candidate.digest.clone().into());
    row.push(candidate.run_id.into());
    batch.then(
        format!(
            "UPDATE localstore_fleet_runs SET {} WHERE run_id = ?14",
            columns.join(", ")
        ),
        row,
    );
    if let Foreign::Run(run) = &item.foreign {
        writer.replace(batch, candidate.run_id, &run.dated.run);
    }
}

/// What leaves the machine, in words.
pub(crate) const WHAT_TRAVELS: &str = "with each run go its CPU, kernel, memory and accelerator, the \
    model and its file name as the benchmark printed it, dates, tags and the link of a submission; \
    chats, host names and user names do not";
