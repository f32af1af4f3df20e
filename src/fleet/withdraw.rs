//! Takes runs back that this store has sent to the remote.

use base::{Error, Result};

use super::hrana::{Batch, Remote};
use super::known::{Candidate, Expected, Fate, Item, Judge, candidates};
use super::push::is_ours;
use super::remote::{self, ask, failure, hex};
use crate::store::Store;
use crate::store::peers::{self, Position, StoreId};

/// What a run of this store is to the remote, when it is to be withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This store has sent it.
    Ours,
    /// Another store has sent it, and only that one may withdraw it.
    Others,
    /// It is not there.
    Absent,
}

/// Runs that can be withdrawn.
pub(crate) struct Withdrawal {
    /// What each run is to the remote.
    pub(crate) standings: Vec<Standing>,
    fleet: StoreId,
    me: StoreId,
    position: Option<Position>,
    items: Vec<Item>,
    found: Vec<Candidate>,
    /// Those of this store: the id there, and the place in the list.
    ours: Vec<(i64, usize)>,
}

/// Looks at runs of this store on the remote.
pub(crate) fn find(store: &Store, remote: &Remote, ids: &[i64]) -> Result<Withdrawal> {
    let me = store
        .read(|db| Ok(peers::store_id(db)?))?
        .unwrap_or_default();
    let state = remote::state(remote, &me, &[])?;
    state.check_writes(remote)?;
    // What was sent under the name of this store by a copy of it was not sent by this one.
    let position = state.position;
    let is_ours = is_ours(store, position.as_ref())?;
    let mut items = Vec::with_capacity(ids.len());
    for &id in ids {
        let item = store.read(|db| Item::read(db, id))?;
        items.push(item.map_err(|why| Error::new(format_args!("run {id}"), why))?);
    }
    let found = candidates(remote, &items)?;
    let mut judge = Judge::new()?;
    let mut there = Vec::with_capacity(items.len());
    for (place, item) in items.iter_mut().enumerate() {
        let candidates = found.iter().filter(|candidate| candidate.place == place);
        let candidates: Vec<&Candidate> = candidates.collect();
        there.push(match judge.decide(item, &candidates)? {
            Fate::New => None,
            Fate::Known(candidate) | Fate::Completed(candidate, _) => Some(candidate.run_id),
        });
    }
    let mut batch = Batch::read();
    let known: Vec<i64> = there.iter().copied().flatten().collect();
    let step = batch.then(
        "SELECT run_id FROM json_each(?1) j JOIN localstore_fleet_log l ON l.run_id = j.value
         WHERE l.store = ?2 AND l.change =
             (SELECT min(change) FROM localstore_fleet_log f WHERE f.run_id = l.run_id)",
        [format!("{known:?}").into(), me.to_vec().into()],
    );
    let mut sent = Vec::new();
    for row in ask(remote, &batch)?.rows(step) {
        sent.push(row.integer(0, "run_id")?);
    }
    let mut ours = Vec::new();
    let standings = there.iter().enumerate().map(|(place, run)| match run {
        None => Standing::Absent,
        Some(run) if is_ours && sent.contains(run) => {
            ours.push((*run, place));
            Standing::Ours
        }
        Some(_) => Standing::Others,
    });
    Ok(Withdrawal {
        standings: standings.collect(),
        fleet: state.id,
        me,
        position,
        items,
        found,
        ours,
    })
}

impl Withdrawal {
    /// Withdraws those of this store, all or none. Where there are none the primary must say so too:
    /// a replica may not have seen them.
    pub(crate) fn run(&self, remote: &Remote) -> Result<()> {
        let mut batch = Batch::write();
        let position = self.position.as_ref();
        let expected = Expected {
            fleet: &self.fleet,
            me: &self.me,
            position,
        };
        let none = Position {
            change: 0,
            nonce: Vec::new(),
        };
        let end = position.unwrap_or(&none);
        let guard = expected.guard(&mut batch, &self.items, &self.found, end);
        let ids: Vec<i64> = self.ours.iter().map(|(run, _)| *run).collect();
        let arrived = batch.instead(
            guard,
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM json_each(?1) j
                 WHERE NOT EXISTS (SELECT 1 FROM localstore_fleet_log l
                     WHERE l.run_id = j.value AND l.store = ?2 AND l.kind = 'withdrawn'))",
            [format!("{ids:?}").into(), self.me.to_vec().into()],
        );
        if position.is_none() {
            let sql = "DELETE FROM localstore_fleet_stores WHERE store = ?1";
            batch.then(sql, [self.me.to_vec().into()]);
        }
        for &(run, place) in &self.ours {
            for sql in [
                "DELETE FROM test_results WHERE benchmark_run_id = ?1
                     AND id >= (SELECT first_test FROM localstore_fleet_runs WHERE run_id = ?1)
                     AND id < (SELECT first_test + tests FROM localstore_fleet_runs
                               WHERE run_id = ?1)",
                "DELETE FROM benchmark_runs WHERE id = ?1",
                "DELETE FROM localstore_fleet_runs WHERE run_id = ?1",
            ] {
                batch.then(sql, [run.into()]);
            }
            let item = &self.items[place];
            let detail = serde_json::json!({ "core": hex(&item.keys.core) });
            batch.then(
                "INSERT INTO localstore_fleet_log (store, kind, run_id, detail)
                 VALUES (?1, 'withdrawn', ?2, ?3)",
                [
                    self.me.to_vec().into(),
                    run.into(),
                    detail.to_string().into(),
                ],
            );
        }
        let answer = remote.run(&batch)?;
        match &answer.failed {
            None => Ok(()),
            // The batch had arrived, and its answer was lost.
            Some(failed)
                if failed.step == Some(guard)
                    && !ids.is_empty()
                    && answer.rows(arrived).next().is_some() =>
            {
                Ok(())
            }
            Some(failed) if failed.step == Some(guard) => {
                let why = "these runs were changed there meanwhile, or a replica lags";
                Err(Error::new(remote.address(), why).hint("run the command again"))
            }
            Some(failed) => Err(failure(remote, failed)),
        }
    }
}
