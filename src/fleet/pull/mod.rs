//! Takes over what the remote has got from others.

mod list;

use std::collections::{HashMap, HashSet};

use base::{Error, Result};
use rusqlite::Connection;

use crate::fleet::Event;
use crate::fleet::body::{self, FORMAT};
use crate::fleet::hrana::{Answer, Batch, Failure, Kind, Remote, Row, Value};
use crate::fleet::known::{MOST_ASKED, read_submission};
use crate::fleet::push::{identity, is_ours, renewed};
use crate::fleet::remote::{self, ask, failure, of, unhex};
use crate::fleet::site::{self, SiteId};
use crate::model::{Source, Submission, SubmissionState, Tool};
use crate::store::foreign::{Foreign, add_foreign, lookup_foreign};
use crate::store::peers::{self, Peer, Position, StoreId};
use crate::store::{Store, Stored, brought, check_tag, runs, select, submission_flaw};

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

/// The tags and the submission of a run, which travel beside its body.
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
             CASE WHEN typeof(body) = 'blob' THEN bytes ELSE {MOST_ASKED} + 1 END,
             CASE WHEN nth = 1 AND bytes <= {MOST_ASKED} AND typeof(body) = 'blob' THEN body END, upto
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
        if *row.get(10) != Value::Null || row.integer(9, "bytes")? > MOST_ASKED {
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
            _ if *row.get(at + 4) == Value::Null => {
                Err("its body is larger than 2 MiB, or is not a blob".to_owned())
            }
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
}

/// What was read from the remote.
#[derive(Default)]
struct Taken {
    runs: Vec<Foreign>,
    /// In the order of the runs.
    about: Vec<About>,
    /// The tags and the submission of each run.
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
