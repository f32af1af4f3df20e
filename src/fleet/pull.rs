//! Takes over what the remote has got from others.

use std::collections::{BTreeSet, HashMap, HashSet};

use base::{Error, Result};
use rusqlite::Connection;

use super::Event;
use super::body::{self, FORMAT};
use super::hrana::{Answer, Batch, Failure, Kind, Remote, Row, Value};
use super::known::{DETAILS, Item, MOST_BODY, read_submission};
use super::push::{identity, is_ours, renewed};
use super::remote::{self, ask, failure, of, unhex};
use super::site::{self, SiteId};
use crate::model::{Source, Submission, SubmissionState, Tool};
use crate::store::foreign::{Foreign, add_foreign, lookup_foreign};
use crate::store::peers::{self, Peer, Position, StoreId};
use crate::store::{
    Added, CREATED_AT, Store, Stored, brought, check_tag, runs, select, submission_flaw,
};

/// The most lines of the log in a request, which become a transaction here.
const MOST_LINES: usize = 512;

/// The most bytes of all bodies of a request.
const MOST_BYTES: usize = 4 << 20;

/// The most runs that are listed in a request without their bodies.
const MOST_LISTED: usize = 4096;

/// Which runs are taken over. Where there is any of these, only such runs, and how far the log was read
/// stays as it was.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// This is in the name of the model.
    pub(crate) model: Option<String>,
    /// This is in the name of the accelerator.
    pub(crate) accelerator: Option<String>,
    /// Measured then or later: seconds since 1970.
    pub(crate) since: Option<i64>,
}

impl Wanted {
    fn is_all(&self) -> bool {
        self.model.is_none() && self.accelerator.is_none() && self.since.is_none()
    }

    /// Whether runs with these names are wanted, by the rules of the filters of all commands.
    fn names(&self, model: Option<&[u8]>, accelerator: Option<&[u8]>) -> bool {
        let is_in = |wanted: &Option<String>, name: Option<&[u8]>| {
            let name = String::from_utf8_lossy(name.unwrap_or_default()).to_lowercase();
            wanted
                .as_ref()
                .is_none_or(|wanted| name.contains(&wanted.to_lowercase()))
        };
        is_in(&self.model, model) && is_in(&self.accelerator, accelerator)
    }
}

/// Takes over what the remote has got from others. With `dry_run` nothing is changed, and the store may
/// be open for reading only.
pub(crate) fn pull(
    store: &mut Store,
    remote: &Remote,
    wanted: &Wanted,
    dry_run: bool,
    tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    let mut me = identity(store, dry_run)?;
    let peers = store.read(peers::peers)?;
    let places = peers
        .iter()
        .map(|(id, peer)| (id.clone(), peer.position.change));
    let places: Vec<(Vec<u8>, i64)> = places.collect();
    let state = remote::state(remote, &me, &places)?;
    state.check_reads(remote)?;
    if !is_ours(store, state.position.as_ref())? {
        // What the other one has sent under our name is new to us.
        me = renewed(store, dry_run)?;
    }
    let peer = peers.into_iter().find(|(id, _)| id[..] == state.id);
    let peer = peer.map(|(_, peer)| peer).filter(|_| wanted.is_all());
    let left_out = peer.as_ref().and_then(|peer| peer.left_out);
    let known = peer.map(|peer| peer.position);
    let Some(end) = state.end else {
        // A replica that lags, or a database that was put back.
        return known.map_or(Ok(()), |_| tell(Event::Behind));
    };
    let change = end.change;
    let mut puller = Puller {
        store,
        remote,
        me,
        fleet: state.id,
        end,
        dry_run,
        left_out,
        there: HashSet::new(),
    };
    let is_whole = match known {
        _ if !wanted.is_all() => puller.list(Some(wanted), tell)?,
        None => puller.log(0, tell)?,
        // The nonce tells once it has grown.
        Some(known) if change < known.change => false,
        Some(known) if state.nonce.as_ref() == Some(&known.nonce) => {
            let mut after = known.change;
            if let Some((change, format)) = puller.left_out
                && format <= FORMAT
            {
                after = after.min(change.saturating_sub(1));
                puller.left_out = None;
            }
            puller.log(after, tell)?
        }
        Some(_) => puller.list(None, tell)?,
    };
    if is_whole {
        Ok(())
    } else {
        tell(Event::Behind)
    }
}

struct Puller<'a> {
    store: &'a mut Store,
    remote: &'a Remote,
    me: StoreId,
    fleet: StoreId,
    /// The end of the log, when it was asked for. Each request asks whether it is there: where many
    /// replicas answer, another one may lag behind the first.
    end: Position,
    dry_run: bool,
    /// The first change that was left out since it needs a newer program, and the format of its run.
    left_out: Option<(i64, i64)>,
    /// The runs of this store that were listed.
    there: HashSet<i64>,
}

/// What is known of a run that comes beside its body.
struct About {
    /// Its id there.
    run_id: i64,
    /// Whether the web site has inserted it, and no store has taken it up.
    is_site: bool,
}

/// What is told of a run beside its body.
#[derive(Default)]
struct Told {
    tags: Vec<String>,
    submission: Option<Submission>,
}

impl Told {
    /// Takes a detail of the log; nothing is trusted.
    fn take(&mut self, kind: &[u8], detail: &[u8]) {
        let Ok(detail) = std::str::from_utf8(detail) else {
            return;
        };
        match kind {
            b"tag" if check_tag(detail).is_ok() => self.tags.push(detail.to_owned()),
            b"submission" => {
                let submission = read_submission(detail);
                let submission = submission.filter(|told| submission_flaw(told).is_none());
                let is_known = self
                    .submission
                    .as_ref()
                    .is_some_and(|known| known.state == SubmissionState::Submitted);
                if !is_known && submission.is_some() {
                    self.submission = submission;
                }
            }
            _ => {}
        }
    }

    fn give(self, foreign: &mut Foreign) {
        match foreign {
            Foreign::Run(run) => {
                run.tags = self.tags;
                run.submission = self.submission;
            }
            Foreign::Bench(bench) => bench.part.tags = self.tags,
        }
    }
}

/// The columns of a run that [`Puller::arriving`] reads, from this place on; texts as bytes, for a text
/// that is not UTF-8 would spoil the whole answer, and no more of them than a right one has.
const RUN: &str = "substr(CAST(r.tool AS BLOB), 1, 64), substr(CAST(r.source AS BLOB), 1, 64),
    r.format, length(r.body)";

/// A line of the log with its run: change, nonce, kind, run, detail, whether the web site wrote it, what
/// [`RUN`] names, the body at the first line of a run only, and the last change of this request.
fn lines() -> String {
    format!(
        "SELECT change, nonce, kind, run_id, detail, is_site, tool, source, format,
             CASE WHEN typeof(body) = 'blob' THEN bytes ELSE {MOST_BODY} + 1 END,
             CASE WHEN nth = 1 AND bytes <= {MOST_BODY} AND typeof(body) = 'blob' THEN body END, upto
         FROM (SELECT l.change, substr(l.nonce, 1, 64) AS nonce,
                   substr(CAST(l.kind AS BLOB), 1, 64) AS kind, l.run_id,
                   substr(CAST(l.detail AS BLOB), 1, 65536) AS detail, l.store IS NULL AS is_site,
                   substr(CAST(r.tool AS BLOB), 1, 64) AS tool,
                   substr(CAST(r.source AS BLOB), 1, 64) AS source, r.format,
                   length(r.body) AS bytes, r.body,
                   row_number() OVER (PARTITION BY l.run_id ORDER BY l.change) AS nth,
                   max(l.change) OVER () AS upto,
                   sum(coalesce(length(r.body), 0)) OVER (ORDER BY l.change) AS total
               FROM (SELECT * FROM localstore_fleet_log
                     WHERE change > ?1 AND change <= ?2 AND store IS NOT ?3
                     ORDER BY change LIMIT ?4) l
               LEFT JOIN localstore_fleet_runs r ON r.run_id = l.run_id)
         WHERE total <= {MOST_BYTES} OR total = coalesce(bytes, 0) ORDER BY change"
    )
}

impl Puller<'_> {
    /// A batch that reads; its first step finds the end of the log.
    fn batch(&self) -> Batch {
        let mut batch = Batch::read();
        batch.then(
            "SELECT 1 FROM localstore_fleet_log
             WHERE change = ?1 AND CAST(nonce AS BLOB) = ?2",
            [self.end.change.into(), self.end.nonce.clone().into()],
        );
        batch
    }

    /// The answer, or `None` from a replica that has not got the end of the log.
    fn ask(&self, batch: &Batch) -> Result<Option<Answer>, Failure> {
        let answer = ask(self.remote, batch)?;
        let is_there = answer.rows(0).next().is_some();
        Ok(is_there.then_some(answer))
    }

    /// Takes over the log from behind a change up to its end; false where a replica lags.
    fn log(
        &mut self,
        mut after: i64,
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        let end = self.end.clone();
        let mut is_begun = false;
        let mut most = MOST_LINES;
        while after < end.change {
            let mut batch = self.batch();
            let step = batch.then(
                lines(),
                [
                    after.into(),
                    end.change.into(),
                    self.me.to_vec().into(),
                    (most.cast_signed() as i64).into(),
                ],
            );
            let count = (!is_begun).then(|| {
                batch.then(
                    "SELECT count(*) FROM localstore_fleet_log
                     WHERE change > ?1 AND change <= ?2 AND store IS NOT ?3 AND kind = 'run'",
                    [after.into(), end.change.into(), self.me.to_vec().into()],
                )
            });
            let answer = match self.remote.run(&batch) {
                Err(failure) if failure.kind == Kind::TooLarge && most > 1 => {
                    most /= 2;
                    continue;
                }
                answer => answer?,
            };
            if let Some(failed) = &answer.failed {
                return Err(failure(self.remote, failed));
            }
            if answer.rows(0).next().is_none() {
                return Ok(false);
            }
            if let Some(row) = count.and_then(|step| answer.rows(step).next()) {
                is_begun = true;
                tell(Event::Begin {
                    runs: row.integer(0, "count").unwrap_or(0).unsigned_abs(),
                    is_first: false,
                })?;
            }
            let mut taken = Taken::default();
            let mut last = None;
            let mut is_end = true;
            let mut before = after;
            for row in answer.rows(step) {
                before = self.next_number(row, before, end.change)?;
                if let Err(error) = self.line(row, &mut taken) {
                    taken.wrong.push(of(self.remote, error));
                }
                is_end = *row.get(11) == Value::Integer(before);
                last = Some(Position {
                    change: before,
                    nonce: row.blob(1, "nonce").unwrap_or_default().to_owned(),
                });
            }
            let count = answer.rows(step).count();
            let position = match last {
                Some(last) if count == most || !is_end => last,
                _ => end.clone(),
            };
            after = position.change;
            if !self.site(&mut taken)? {
                return Ok(false);
            }
            self.store(taken, Some(position), tell)?;
        }
        Ok(true)
    }

    /// The number in the first column, which must be higher than the one before it and at most `most`:
    /// else there would be no end.
    fn next_number(&self, row: Row<'_>, before: i64, most: i64) -> Result<i64> {
        let number = row.integer(0, "number");
        let number = number.map_err(|error| of(self.remote, error))?;
        if number <= before || number > most {
            let why = "its rows are not in their order";
            return Err(Error::new(self.remote.address(), why));
        }
        Ok(number)
    }

    /// Reads a line of the log.
    fn line(&mut self, row: Row<'_>, taken: &mut Taken) -> Result<()> {
        let change = row.integer(0, "change")?;
        let kind = row.blob(2, "kind")?;
        let run_id = row.integer(3, "run_id")?;
        let detail = match row.get(4) {
            Value::Blob(detail) => detail.as_slice(),
            _ => &[],
        };
        if kind == b"withdrawn" {
            let core = withdrawn_core(detail);
            taken.withdrawn.extend(core.map(|core| (run_id, core)));
            return Ok(());
        }
        let is_site = row.integer(5, "is_site")? == 1;
        if *row.get(6) == Value::Null {
            // A run of the web site has no row; any other without one was withdrawn.
            if is_site && kind == b"run" {
                taken.site.push(SiteId::new(run_id, Some(detail)));
            }
            return Ok(());
        }
        taken.told.entry(run_id).or_default().take(kind, detail);
        if *row.get(10) != Value::Null || row.integer(9, "bytes")? > MOST_BODY {
            self.arriving(row, 6, run_id, change, taken)?;
        }
        Ok(())
    }

    /// Reads a run from the columns [`RUN`] and its body behind them.
    fn arriving(
        &mut self,
        row: Row<'_>,
        at: usize,
        run_id: i64,
        change: i64,
        taken: &mut Taken,
    ) -> Result<()> {
        let format = row.integer(at + 2, "format")?;
        if format > FORMAT {
            let (first, least) = self.left_out.unwrap_or((change, format));
            self.left_out = Some((first.min(change), least.min(format)));
            taken.newer += 1;
            return Ok(());
        }
        let name = |at, name| Ok::<_, Error>(String::from_utf8_lossy(row.blob(at, name)?));
        let (tool, source) = (name(at, "tool")?, name(at + 1, "source")?);
        let decoded = match (Tool::from_name(&tool), Source::from_name(&source)) {
            _ if *row.get(at + 4) == Value::Null => Err("its body is larger than 2 MiB".to_owned()),
            (None, _) => Err(format!("tool is '{tool}'")),
            (_, None) => Err(format!("source is '{source}'")),
            (Some(tool), Some(source)) => body::decode(tool, source, row.blob(at + 4, "body")?),
        };
        match decoded {
            Ok(foreign) => {
                taken.runs.push(foreign);
                taken.about.push(About {
                    run_id,
                    is_site: false,
                });
            }
            Err(why) => taken.wrong.push(self.wrong(run_id, why)),
        }
        Ok(())
    }

    /// Reads the runs of the web site; false where a replica lags.
    fn site(&self, taken: &mut Taken) -> Result<bool> {
        let mut left = &taken.site[..];
        let mut most = site::MOST_RUNS;
        while !left.is_empty() {
            let (ids, rest) = left.split_at(most.min(left.len()));
            let mut batch = self.batch();
            site::ask_for(&mut batch, ids);
            let answer = match self.ask(&batch) {
                // Anybody may post to a web site.
                Err(failure) if failure.kind == Kind::TooLarge => {
                    if let [id] = ids {
                        taken.wrong.push(self.wrong(id.run, failure.error));
                        left = rest;
                    } else {
                        most = ids.len() / 2;
                    }
                    continue;
                }
                answer => answer?,
            };
            let Some(answer) = answer else {
                return Ok(false);
            };
            left = rest;
            for (id, steps) in ids.iter().zip((1..).step_by(2)) {
                match site::run(&answer, steps) {
                    Ok(Some(foreign)) => {
                        taken.runs.push(foreign);
                        taken.about.push(About {
                            run_id: id.run,
                            is_site: true,
                        });
                    }
                    // The site has deleted it.
                    Ok(None) => {}
                    Err(why) => taken.wrong.push(self.wrong(id.run, why)),
                }
            }
        }
        Ok(true)
    }

    fn wrong(&self, run_id: i64, why: impl std::fmt::Display) -> Error {
        let place = format!("{}: run {run_id} there", self.remote.address());
        Error::new(place, why)
    }

    /// Takes over what was read, in one transaction with how far that is.
    fn store(
        &mut self,
        mut taken: Taken,
        position: Option<Position>,
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        for (run, about) in taken.runs.iter_mut().zip(&taken.about) {
            taken
                .told
                .remove(&about.run_id)
                .unwrap_or_default()
                .give(run);
        }
        let peer = position.map(|position| Peer {
            position,
            left_out: self.left_out,
        });
        let Taken {
            mut runs,
            mut about,
            withdrawn,
            newer,
            wrong,
            ..
        } = taken;
        let fleet = self.fleet;
        let mut gone = Vec::new();
        let mut removed = 0;
        let fates: Vec<(Option<i64>, Stored)> = if self.dry_run {
            self.store.read(|db| {
                gone = find_withdrawn(db, &fleet, &withdrawn)?;
                removed = drop_removed(db, &mut runs, &mut about)?;
                runs.iter().map(|run| lookup_foreign(db, run)).collect()
            })?
        } else {
            let mut work = |db: &Connection| {
                // What was sent again behind that is among the runs.
                gone = find_withdrawn(db, &fleet, &withdrawn)?;
                runs::remove_withdrawn(db, gone.iter().map(|run| run.id))?;
                removed = drop_removed(db, &mut runs, &mut about)?;
                let added = brought(db, &fleet, || add_foreign(db, &mut runs))?;
                for (added, about) in added.iter().zip(&about) {
                    let remote_run = (!about.is_site).then_some(about.run_id);
                    peers::note_origin(db, added.id, &fleet, remote_run)?;
                }
                if let Some(peer) = &peer {
                    peers::set_peer(db, &fleet, peer)?;
                }
                Ok(added)
            };
            let added = if withdrawn.is_empty() {
                self.store.write(|db| work(db))?
            } else {
                self.store.write_without_foreign_keys(|db| work(db))?
            };
            self.there.extend(added.iter().map(|added| added.id));
            added
                .into_iter()
                .map(|added| (Some(added.id), added.stored))
                .collect()
        };
        for run in &gone {
            tell(Event::Withdrawn(run))?;
        }
        for (foreign, (id, stored)) in runs.iter().zip(fates) {
            tell(Event::Run {
                id,
                stored,
                foreign,
            })?;
        }
        if removed > 0 {
            tell(Event::RemovedHere(removed))?;
        }
        if newer > 0 {
            tell(Event::Newer(newer))?;
        }
        for error in wrong {
            tell(Event::LeftOut(error))?;
        }
        tell(Event::Committed)
    }

    /// Takes over the runs that this store has not got, or those that are wanted of them, whatever the
    /// log tells; false where a replica lags.
    fn list(
        &mut self,
        wanted: Option<&Wanted>,
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        let names = match wanted {
            Some(wanted) => self.names(wanted)?,
            None => None,
        };
        let since = wanted.and_then(|wanted| wanted.since).unwrap_or(i64::MIN);
        let mut after = i64::MIN;
        loop {
            let mut batch = self.batch();
            let values = [after.into(), since.into(), Value::from(names.clone())];
            let step = batch.then(listing(names.is_some()), values);
            let Some(answer) = self.ask(&batch)? else {
                return Ok(false);
            };
            let mut lacking = Vec::new();
            let mut known = Vec::new();
            for row in answer.rows(step) {
                after = self.next_number(row, after, i64::MAX)?;
                let listed = match Listed::read(row) {
                    Ok(listed) => listed,
                    Err(error) => {
                        tell(Event::LeftOut(of(self.remote, error)))?;
                        continue;
                    }
                };
                // What is told of a run that is here is told again where the log is not read.
                let id = if wanted.is_some() || !listed.has_details {
                    self.find(&listed)?
                } else {
                    None
                };
                match id {
                    Some(id) => known.push((id, listed.run_id)),
                    None => lacking.push(listed),
                }
            }
            self.known(&known, tell)?;
            if !self.bodies(&lacking, tell)? {
                return Ok(false);
            }
            if answer.rows(step).count() < MOST_LISTED {
                break;
            }
        }
        if !self.list_site(wanted, tell)? {
            return Ok(false);
        }
        if wanted.is_some() || self.dry_run {
            return Ok(true);
        }
        let Some(withdrawn) = self.withdrawn()? else {
            return Ok(false);
        };
        let peer = Peer {
            position: self.end.clone(),
            left_out: self.left_out,
        };
        let (fleet, there) = (self.fleet, &self.there);
        let gone = self.store.write_without_foreign_keys(|db| {
            let gone = listed(db, peers::note_lost(db, &fleet, there, &withdrawn)?)?;
            runs::remove_withdrawn(db, gone.iter().map(|run| run.id))?;
            peers::set_peer(db, &fleet, &peer)?;
            Ok(gone)
        })?;
        for run in &gone {
            tell(Event::Withdrawn(run))?;
        }
        Ok(true)
    }

    /// Takes note of runs that are here as they are there: the id here, and that there.
    fn known(
        &mut self,
        known: &[(i64, i64)],
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        if known.is_empty() {
            return Ok(());
        }
        let fleet = self.fleet;
        self.there.extend(known.iter().map(|(id, _)| id));
        if !self.dry_run {
            self.store.write(|db| {
                for &(id, remote_run) in known {
                    peers::note_origin(db, id, &fleet, Some(remote_run))?;
                }
                Ok(())
            })?;
        }
        tell(Event::Known(known.len() as u64))
    }

    /// The cores of all runs that were withdrawn; `None` where a replica lags.
    fn withdrawn(&self) -> Result<Option<HashSet<Vec<u8>>>> {
        let mut cores = HashSet::new();
        let mut after = 0;
        loop {
            let mut batch = self.batch();
            let step = batch.then(
                format!(
                    "SELECT change, CAST(detail AS BLOB) FROM localstore_fleet_log
                     WHERE change > ?1 AND kind = 'withdrawn' AND detail IS NOT NULL
                     ORDER BY change LIMIT {MOST_LISTED}"
                ),
                [after.into()],
            );
            let Some(answer) = self.ask(&batch)? else {
                return Ok(None);
            };
            for row in answer.rows(step) {
                let change = row.integer(0, "change");
                after = change.map_err(|error| of(self.remote, error))?;
                if let Value::Blob(detail) = row.get(1) {
                    cores.extend(withdrawn_core(detail));
                }
            }
            if answer.rows(step).count() < MOST_LISTED {
                return Ok(Some(cores));
            }
        }
    }

    /// The names of models and accelerators there that are wanted, in pairs, as JSON; `None`: all.
    fn names(&self, wanted: &Wanted) -> Result<Option<String>> {
        if wanted.model.is_none() && wanted.accelerator.is_none() {
            return Ok(None);
        }
        let mut batch = Batch::read();
        let step = batch.then(
            "SELECT DISTINCT CAST(model AS BLOB), CAST(accelerator AS BLOB)
             FROM localstore_fleet_runs",
            [],
        );
        let answer = ask(self.remote, &batch)?;
        let mut pairs = BTreeSet::new();
        for row in answer.rows(step) {
            let text = |at| match row.get(at) {
                Value::Blob(text) => Some(text.as_slice()),
                _ => None,
            };
            let (model, accelerator) = (text(0), text(1));
            if wanted.names(model, accelerator) {
                let utf8 = |text: Option<&[u8]>| {
                    text.map(|text| String::from_utf8_lossy(text).into_owned())
                };
                pairs.insert((utf8(model), utf8(accelerator)));
            }
        }
        Ok(serde_json::to_string(&pairs).ok())
    }

    /// The run that is here as it is there.
    fn find(&self, listed: &Listed) -> Result<Option<i64>> {
        self.store.read(|db| {
            for id in runs::with_fingerprint(db, &listed.fingerprint)? {
                if let Ok(item) = Item::read(db, id)?
                    && item.encoded.digest[..] == listed.digest[..]
                {
                    return Ok(Some(id));
                }
            }
            Ok(None)
        })
    }

    /// Takes over these runs; false where a replica lags.
    fn bodies(
        &mut self,
        mut listed: &[Listed],
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        let sql = format!(
            "SELECT r.run_id, {RUN},
                 CASE WHEN length(r.body) <= {MOST_BODY} AND typeof(r.body) = 'blob' THEN r.body END,
                 {DETAILS}
             FROM json_each(?1) j JOIN localstore_fleet_runs r ON r.run_id = j.value ORDER BY j.key"
        );
        let mut most = MOST_LINES;
        while !listed.is_empty() {
            let mut bytes = 0;
            let fits = listed.iter().take(most).take_while(|one| {
                bytes += one.bytes;
                bytes <= MOST_BYTES
            });
            let (chunk, rest) = listed.split_at(fits.count().max(1));
            let ids: Vec<i64> = chunk.iter().map(|one| one.run_id).collect();
            let mut batch = self.batch();
            let step = batch.then(sql.clone(), [format!("{ids:?}").into()]);
            let answer = match self.ask(&batch) {
                Err(failure) if failure.kind == Kind::TooLarge => {
                    if let [one] = chunk {
                        tell(Event::LeftOut(self.wrong(one.run_id, failure.error)))?;
                        listed = rest;
                    } else {
                        most = chunk.len() / 2;
                    }
                    continue;
                }
                answer => answer?,
            };
            let Some(answer) = answer else {
                return Ok(false);
            };
            listed = rest;
            let mut taken = Taken::default();
            for row in answer.rows(step) {
                let read = row.integer(0, "run_id").and_then(|run_id| {
                    let told = taken.told.entry(run_id).or_default();
                    let details = row.blob(6, "detail")?;
                    let details: Vec<(String, String)> =
                        serde_json::from_slice(details).unwrap_or_default();
                    for (kind, detail) in details {
                        told.take(kind.as_bytes(), detail.as_bytes());
                    }
                    self.arriving(row, 1, run_id, 1, &mut taken)
                });
                if let Err(error) = read {
                    taken.wrong.push(of(self.remote, error));
                }
            }
            self.store(taken, None, tell)?;
        }
        Ok(true)
    }

    /// Takes over what the web site has inserted; false where a replica lags.
    fn list_site(
        &mut self,
        wanted: Option<&Wanted>,
        tell: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        let sql = format!(
            "SELECT l.change, l.run_id, CAST(l.detail AS BLOB), unixepoch({CREATED_AT}),
                 CAST(m.name AS BLOB), CAST(a.name AS BLOB)
             FROM localstore_fleet_log l JOIN benchmark_runs b ON b.id = l.run_id
             LEFT JOIN accelerators a ON a.id = b.accelerator_id
             LEFT JOIN model_variants v ON v.id = b.model_variant_id
             LEFT JOIN models m ON m.id = v.model_id
             WHERE l.change > ?1 AND l.store IS NULL AND l.kind = 'run'
                 AND NOT EXISTS (SELECT 1 FROM localstore_fleet_runs r WHERE r.run_id = l.run_id)
             ORDER BY l.change LIMIT {MOST_LISTED}"
        );
        let mut after = 0;
        loop {
            let mut batch = self.batch();
            let step = batch.then(sql.clone(), [after.into()]);
            let Some(answer) = self.ask(&batch)? else {
                return Ok(false);
            };
            let mut site = Vec::new();
            let mut count = 0;
            for row in answer.rows(step) {
                count += 1;
                after = self.next_number(row, after, i64::MAX)?;
                let text = |at| match row.get(at) {
                    Value::Blob(text) => Some(text.as_slice()),
                    _ => None,
                };
                let is_wanted = wanted.is_none_or(|wanted| {
                    let is_since = wanted.since.is_none_or(|since| {
                        row.integer(3, "created_at").is_ok_and(|at| at >= since)
                    });
                    is_since && wanted.names(text(4), text(5))
                });
                if is_wanted {
                    site.push(SiteId::new(row.integer(1, "run_id")?, text(2)));
                }
            }
            for site in site.chunks(MOST_LINES) {
                let mut taken = Taken {
                    site: site.to_vec(),
                    ..Taken::default()
                };
                if !self.site(&mut taken)? {
                    return Ok(false);
                }
                self.store(taken, None, tell)?;
            }
            if count < MOST_LISTED {
                return Ok(true);
            }
        }
    }
}

/// A run of the remote without its body.
struct Listed {
    run_id: i64,
    fingerprint: Vec<u8>,
    digest: Vec<u8>,
    bytes: usize,
    /// Whether it has tags or a submission.
    has_details: bool,
}

impl Listed {
    /// Reads a row of [`listing`].
    fn read(row: Row<'_>) -> Result<Self> {
        Ok(Self {
            run_id: row.integer(0, "run_id")?,
            fingerprint: row.blob(1, "fingerprint")?.to_owned(),
            digest: row.blob(2, "digest")?.to_owned(),
            bytes: usize::try_from(row.integer(3, "body")?).unwrap_or(0),
            has_details: row.integer(4, "detail")? == 1,
        })
    }
}

/// Lists the runs behind ?1 that were measured at ?2 or later, those of the pairs of names in ?3.
fn listing(has_names: bool) -> String {
    let names = if has_names {
        "json_each(?3) j CROSS JOIN localstore_fleet_runs r
             ON r.model IS j.value->>0 AND r.accelerator IS j.value->>1"
    } else {
        "(SELECT ?3) CROSS JOIN localstore_fleet_runs r"
    };
    format!(
        "SELECT r.run_id, r.fingerprint, r.digest, length(r.body),
             EXISTS (SELECT 1 FROM localstore_fleet_log l
                     WHERE l.run_id = r.run_id AND kind IN ('tag', 'submission'))
         FROM {names} WHERE r.run_id > ?1 AND r.measured_at >= ?2
         ORDER BY r.run_id LIMIT {MOST_LISTED}"
    )
}

/// What was read from the remote.
#[derive(Default)]
struct Taken {
    runs: Vec<Foreign>,
    /// In the order of the runs.
    about: Vec<About>,
    /// What is told of each run.
    told: HashMap<i64, Told>,
    site: Vec<SiteId>,
    /// The runs that were withdrawn: the id there, and the core.
    withdrawn: Vec<(i64, Vec<u8>)>,
    /// How many runs need a newer program.
    newer: u64,
    wrong: Vec<Error>,
}

/// The core of a run that was withdrawn, from the detail of the log.
fn withdrawn_core(detail: &[u8]) -> Option<Vec<u8>> {
    let detail: serde_json::Value = serde_json::from_slice(detail).ok()?;
    unhex(detail.get("core")?.as_str()?)
}

/// Drops the runs that were removed here, which stay so; gives how many there were.
fn drop_removed(
    db: &Connection,
    runs: &mut Vec<Foreign>,
    about: &mut Vec<About>,
) -> db::Result<u64> {
    let removed = runs.iter().map(|run| {
        let environment = &run.header().environment;
        peers::is_removed(db, &run.keys(), run.is_poor(), environment)
    });
    let removed = removed.collect::<rusqlite::Result<Vec<bool>>>()?;
    let mut places = removed.iter();
    runs.retain(|_| places.next() != Some(&true));
    let mut places = removed.iter();
    about.retain(|_| places.next() != Some(&true));
    Ok(removed.iter().filter(|removed| **removed).count() as u64)
}

/// The runs of these that came from this remote alone.
fn find_withdrawn(
    db: &Connection,
    fleet: &StoreId,
    withdrawn: &[(i64, Vec<u8>)],
) -> db::Result<Vec<crate::store::Listed>> {
    let mut gone = Vec::new();
    for (run_id, core) in withdrawn {
        gone.extend(peers::pulled_only(db, fleet, *run_id, core)?);
    }
    listed(db, gone)
}

/// The runs with these ids, each once.
fn listed(db: &Connection, mut ids: Vec<i64>) -> db::Result<Vec<crate::store::Listed>> {
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| select::listed(db, id)).collect()
}
