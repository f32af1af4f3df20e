//! Taking over runs by a list of all: those of a filter, or where the log is not that of before.

use std::collections::{BTreeSet, HashSet};

use base::Result;

use super::{
    MOST_BYTES, MOST_LINES, MOST_LISTED, Puller, RUN, Taken, Wanted, listed, withdrawn_core,
};
use crate::fleet::Event;
use crate::fleet::hrana::{Batch, Kind, Row, Value};
use crate::fleet::known::{DETAILS, Item, MOST_ASKED};
use crate::fleet::remote::{ask, of};
use crate::fleet::site::SiteId;
use crate::store::peers::Peer;
use crate::store::{CREATED_AT, peers, runs};

impl Puller<'_> {
    /// Takes over the runs that this store has not got, or those that are wanted of them, whatever the
    /// log tells; false where a replica lags.
    pub(super) fn list(
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
                // Where the log is not read, tags and submissions of runs that are here are taken from the list.
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
    pub(super) fn withdrawn(&self) -> Result<Option<HashSet<Vec<u8>>>> {
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
                 CASE WHEN length(r.body) <= {MOST_ASKED} AND typeof(r.body) = 'blob' THEN r.body END,
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
