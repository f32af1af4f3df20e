//! Requests: what became of each, without its text, and what was counted of the old ones.

use std::collections::BTreeMap;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params};

use super::keys;
use crate::routing::{Answer, Live};

/// The rows that are read back for the speeds of backends.
const LATEST: i64 = 100_000;

/// The old rows that one transaction takes.
pub(crate) const AT_ONCE: usize = 5_000;

/// The first rows, among which old ones are looked for.
const LOOKED_AT: i64 = 100_000;

/// The length of a day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A request and what became of it.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the names of the columns")]
pub(crate) struct Request {
    /// When it came, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) request_id: String,
    pub(crate) key_id: Option<i64>,
    /// The canonical name of what was asked for; empty if it was refused before routing.
    pub(crate) model: String,
    /// The label of the backend that answered, or that was tried last.
    pub(crate) backend: Option<String>,
    /// The path without the query.
    pub(crate) route: &'static str,
    /// 499: the client has left.
    pub(crate) status: u16,
    /// The code of the error.
    pub(crate) error: Option<&'static str>,
    /// The backends that were tried.
    pub(crate) tries: u32,
    pub(crate) cached: bool,
    pub(crate) streamed: bool,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    /// Whether the chunks were counted.
    pub(crate) estimated: bool,
    /// From the request to the first byte of the answer; `None` if nobody but the gateway has answered.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) total_ms: f64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// The label of a backend as a value: its id, or the name of a rule.
struct Label<'a>(&'a str);

impl ToSql for Label<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0.parse::<i64>() {
            Ok(id) => ToSqlOutput::from(id),
            Err(_) => ToSqlOutput::from(self.0),
        })
    }
}

/// Writes rows, and when their keys were used last.
pub(crate) fn insert(db: &Connection, rows: &[Request]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO localstore_gateway_requests (at_ms, request_id, key_id, model, backend_id, route,
           status, error, tries, cached, streamed, prompt_tokens, completion_tokens, estimated, ttft_ms,
           total_ms, bytes_in, bytes_out)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
    let mut insert = db.prepare_cached(sql)?;
    let mut used: BTreeMap<i64, i64> = BTreeMap::new();
    for row in rows {
        insert.execute(params![
            row.at_ms,
            row.request_id,
            row.key_id,
            row.model,
            row.backend.as_deref().map(Label),
            row.route,
            row.status,
            row.error,
            row.tries,
            row.cached,
            row.streamed,
            row.prompt_tokens.map(stored),
            row.completion_tokens.map(stored),
            row.estimated,
            row.ttft_ms,
            row.total_ms,
            stored(row.bytes_in),
            stored(row.bytes_out),
        ])?;
        if let Some(key) = row.key_id {
            let last = used.entry(key).or_default();
            *last = row.at_ms.max(*last);
        }
    }
    for (key, at_ms) in used {
        keys::used(db, key, at_ms / 1000)?;
    }
    Ok(())
}

/// The number as the store has it, whose integers end earlier.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The speeds of backends by their latest answers.
pub(crate) fn live(db: &Connection) -> rusqlite::Result<Live> {
    let sql = "SELECT backend_id, bytes_in, completion_tokens, ttft_ms, total_ms
         FROM localstore_gateway_requests
         WHERE id > (SELECT max(id) FROM localstore_gateway_requests) - ?1
           AND typeof(backend_id) = 'integer' AND streamed AND NOT cached AND status < 400
           AND completion_tokens IS NOT NULL AND ttft_ms IS NOT NULL
         ORDER BY id";
    let mut live = Live::default();
    let mut latest = db.prepare(sql)?;
    let mut latest = latest.query([LATEST])?;
    while let Some(row) = latest.next()? {
        let answer = Answer {
            bytes_in: count(row, 1)?,
            tokens: count(row, 2)?,
            ttft_ms: row.get(3)?,
            total_ms: row.get(4)?,
        };
        live.push(row.get(0)?, answer);
    }
    Ok(live)
}

/// A number that cannot be negative; what is missing is 0.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: Option<i64> = row.get(column)?;
    Ok(number
        .and_then(|number| u64::try_from(number).ok())
        .unwrap_or(0))
}

/// What was counted of some requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    /// With a status of 400 or more, but for clients that have left.
    pub(crate) errors: u64,
    pub(crate) cache_hits: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    /// The tokens of streamed answers, and the milliseconds behind their first bytes.
    pub(crate) gen_tokens: u64,
    pub(crate) gen_ms: f64,
    /// The times to the first byte.
    pub(crate) ttft: Buckets,
}

impl Sums {
    /// Adds other sums.
    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.cache_hits, other.cache_hits),
            (&mut self.prompt_tokens, other.prompt_tokens),
            (&mut self.completion_tokens, other.completion_tokens),
            (&mut self.gen_tokens, other.gen_tokens),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.gen_ms += other.gen_ms;
        self.ttft.add(&other.ttft);
    }

    /// Adds the request of a row, whose columns [`COUNTED`] begin at that one; its time to the first byte in
    /// milliseconds if it counts, which is not added.
    fn count(&mut self, row: &Row<'_>, first: usize) -> rusqlite::Result<Option<f64>> {
        let status: i64 = row.get(first)?;
        let (cached, streamed): (bool, bool) = (row.get(first + 1)?, row.get(first + 2)?);
        let (prompt, tokens) = (count(row, first + 3)?, count(row, first + 4)?);
        let (ttft_ms, total_ms): (Option<f64>, f64) = (row.get(first + 5)?, row.get(first + 6)?);
        self.requests += 1;
        self.errors += u64::from(status >= 400 && status != 499);
        self.cache_hits += u64::from(cached);
        self.prompt_tokens = self.prompt_tokens.saturating_add(prompt);
        self.completion_tokens = self.completion_tokens.saturating_add(tokens);
        let ttft_ms = ttft_ms.filter(|_| !cached && !(400..499).contains(&status));
        if let Some(first) = ttft_ms
            && streamed
            && status < 400
            && total_ms > first
        {
            self.gen_tokens = self.gen_tokens.saturating_add(tokens);
            self.gen_ms += total_ms - first;
        }
        Ok(ttft_ms)
    }

    /// Tokens per second of streamed answers behind their first bytes.
    pub(crate) fn gen_tps(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let tokens = self.gen_tokens as f64;
        (self.gen_tokens > 0 && self.gen_ms > 0.0).then(|| tokens / self.gen_ms * 1e3)
    }
}

/// Counts of times, each bucket 2^(2/3) times as wide as the one before: from half a millisecond to 20 minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Buckets([u32; 32]);

impl Buckets {
    /// The end of the first bucket, in milliseconds.
    const FIRST: f64 = 0.5;
    /// How many buckets double a time.
    const A_DOUBLE: f64 = 1.5;

    /// Counts a time in milliseconds.
    pub(crate) fn put(&mut self, ms: f64) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "what is below or above goes into the first or the last bucket"
        )]
        let index = ((ms / Self::FIRST).log2() * Self::A_DOUBLE).ceil() as usize;
        let count = &mut self.0[index.min(31)];
        *count = count.saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// The time in milliseconds that this share of all does not exceed, about: the middle of its bucket.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        let mut left = rank(all, share)?;
        for (index, count) in (0u8..).zip(self.0) {
            if left < u64::from(count) {
                let middle = (f64::from(index) - 0.5) / Self::A_DOUBLE;
                return Some(Self::FIRST * middle.exp2());
            }
            left -= u64::from(count);
        }
        None
    }

    fn bytes(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|count| count.to_be_bytes())
            .collect()
    }

    /// Reads what [`Self::bytes`] has made; what is missing is 0.
    fn of(bytes: &[u8]) -> Self {
        let mut buckets = Self::default();
        for (count, bytes) in buckets.0.iter_mut().zip(bytes.chunks_exact(4)) {
            *count = bytes.try_into().map_or(0, u32::from_be_bytes);
        }
        buckets
    }
}

/// The place of the smallest of so many sorted values that this share of them does not exceed; `None` if
/// there are no values.
fn rank(count: u64, share: f64) -> Option<u64> {
    let last = count.checked_sub(1)?;
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among fewer than 2^52"
    )]
    let place = (count as f64 * share).ceil() as u64;
    Some(place.saturating_sub(1).min(last))
}

/// What [`Sums::count`] reads of a request.
const COUNTED: &str =
    "status, cached, streamed, prompt_tokens, completion_tokens, ttft_ms, total_ms";

/// Moves up to [`AT_ONCE`] rows from before that time, or beyond the latest `most`, into the sums of their
/// days; how many there were.
pub(crate) fn fold(db: &Connection, before_ms: i64, most: i64) -> rusqlite::Result<usize> {
    // Rows are about in the order of their times; a long request, or a clock that was wrong, is not in the way.
    let sql = format!(
        "SELECT id, at_ms / {DAY_MS}, coalesce(key_id, 0), model,
           CAST(coalesce(backend_id, '') AS TEXT), {COUNTED}
         FROM localstore_gateway_requests
         WHERE id < (SELECT min(id) FROM localstore_gateway_requests) + ?1
           AND (at_ms < ?2 OR id <= (SELECT max(id) FROM localstore_gateway_requests) - ?3)
         ORDER BY id LIMIT {AT_ONCE}"
    );
    let mut days: BTreeMap<(i64, i64, String, String), Sums> = BTreeMap::new();
    let mut ids: Vec<i64> = Vec::new();
    let mut old = db.prepare_cached(&sql)?;
    let mut old = old.query(params![LOOKED_AT, before_ms, most])?;
    while let Some(row) = old.next()? {
        ids.push(row.get(0)?);
        let sums = days
            .entry((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            .or_default();
        if let Some(ttft_ms) = sums.count(row, 5)? {
            sums.ttft.put(ttft_ms);
        }
    }
    for ((day, key, model, backend), sums) in days {
        let day = base::time::date(day.saturating_mul(DAY_MS / 1000));
        add_to_day(db, (&day, key, &model, &backend), sums)?;
    }
    let mut delete = db.prepare_cached("DELETE FROM localstore_gateway_requests WHERE id = ?1")?;
    for id in &ids {
        delete.execute([id])?;
    }
    Ok(ids.len())
}

fn add_to_day(
    db: &Connection,
    (day, key, model, backend): (&str, i64, &str, &str),
    mut sums: Sums,
) -> rusqlite::Result<()> {
    let sql = "SELECT requests, errors, cache_hits, prompt_tokens, completion_tokens, gen_tokens, gen_ms, ttft
         FROM localstore_gateway_usage_days WHERE day = ?1 AND key_id = ?2 AND model = ?3 AND backend = ?4";
    let mut before = db.prepare_cached(sql)?;
    let mut before = before.query(params![day, key, model, backend])?;
    if let Some(row) = before.next()? {
        sums.add(&of_day(row, 0)?);
    }
    let sql =
        "REPLACE INTO localstore_gateway_usage_days (day, key_id, model, backend, requests, errors,
           cache_hits, prompt_tokens, completion_tokens, gen_tokens, gen_ms, ttft)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    db.prepare_cached(sql)?.execute(params![
        day,
        key,
        model,
        backend,
        stored(sums.requests),
        stored(sums.errors),
        stored(sums.cache_hits),
        stored(sums.prompt_tokens),
        stored(sums.completion_tokens),
        stored(sums.gen_tokens),
        sums.gen_ms,
        sums.ttft.bytes(),
    ])?;
    Ok(())
}

/// The sums of a day, which begin at that column.
fn of_day(row: &Row<'_>, first: usize) -> rusqlite::Result<Sums> {
    let ttft = match row.get_ref(first + 7)? {
        ValueRef::Blob(bytes) => Buckets::of(bytes),
        _ => Buckets::default(),
    };
    Ok(Sums {
        requests: count(row, first)?,
        errors: count(row, first + 1)?,
        cache_hits: count(row, first + 2)?,
        prompt_tokens: count(row, first + 3)?,
        completion_tokens: count(row, first + 4)?,
        gen_tokens: count(row, first + 5)?,
        gen_ms: row.get(first + 6)?,
        ttft,
    })
}

/// What requests are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    /// The model that was asked for
    Model,
    /// The key that was shown
    Key,
    /// The backend that answered, or was tried last
    Backend,
    /// The day, in UTC
    Day,
}

/// What was used under one name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Used {
    /// The model, the label of the backend, the day, or the id of the key; empty if there was none.
    pub(crate) name: String,
    pub(crate) sums: Sums,
    /// Times to the first byte that half and nineteen of twenty do not exceed, in milliseconds.
    pub(crate) ttft_p50_ms: Option<f64>,
    pub(crate) ttft_p95_ms: Option<f64>,
    /// Whether these two are rounded, because they are of days whose requests are no longer there.
    pub(crate) about: bool,
}

/// What was used from the first to the last of these seconds since 1970, by name. Of days whose requests are no
/// longer there, those count that lie in between as a whole.
pub(crate) fn used(
    db: &Connection,
    by: By,
    since: Option<i64>,
    until: Option<i64>,
) -> rusqlite::Result<Vec<Used>> {
    let name = match by {
        By::Model => "model",
        By::Key => "CAST(coalesce(key_id, '') AS TEXT)",
        By::Backend => "CAST(coalesce(backend_id, '') AS TEXT)",
        By::Day => "CAST(at_ms / 86400000 AS TEXT)",
    };
    let (first, last) = (
        since.map_or(i64::MIN, |second| second.saturating_mul(1000)),
        until.map_or(i64::MAX, |second| {
            second.saturating_mul(1000).saturating_add(999)
        }),
    );
    let sql = format!(
        "SELECT {name}, {COUNTED} FROM localstore_gateway_requests WHERE at_ms BETWEEN ?1 AND ?2"
    );
    let mut groups: BTreeMap<String, (Sums, Vec<f64>)> = BTreeMap::new();
    let mut rows = db.prepare(&sql)?;
    let mut rows = rows.query([first, last])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(0)?.as_str().unwrap_or_default();
        let (sums, times) = match groups.get_mut(name) {
            Some(group) => group,
            None => groups.entry(name.to_owned()).or_default(),
        };
        times.extend(sums.count(row, 1)?);
    }
    if by == By::Day {
        let dated = |(day, group): (String, _)| {
            let day = day.parse::<i64>().unwrap_or_default();
            (base::time::date(day.saturating_mul(DAY_MS / 1000)), group)
        };
        groups = groups.into_iter().map(dated).collect();
    }
    let mut used: BTreeMap<String, Used> = groups
        .into_iter()
        .map(|(name, group)| (name.clone(), exact(name, group)))
        .collect();
    for (name, sums) in of_days(db, by, since, until)? {
        let group = used.entry(name.clone()).or_default();
        group.name = name;
        group.about = true;
        group.sums.add(&sums);
        group.ttft_p50_ms = group.sums.ttft.quantile(0.5);
        group.ttft_p95_ms = group.sums.ttft.quantile(0.95);
    }
    Ok(used.into_values().collect())
}

fn exact(name: String, (mut sums, mut times): (Sums, Vec<f64>)) -> Used {
    times.sort_unstable_by(f64::total_cmp);
    for time in &times {
        sums.ttft.put(*time);
    }
    let of = |share| {
        let place = rank(times.len() as u64, share)?;
        times.get(usize::try_from(place).ok()?).copied()
    };
    Used {
        name,
        ttft_p50_ms: of(0.5),
        ttft_p95_ms: of(0.95),
        about: false,
        sums,
    }
}

/// The sums of the days that lie between these seconds as a whole.
fn of_days(
    db: &Connection,
    by: By,
    since: Option<i64>,
    until: Option<i64>,
) -> rusqlite::Result<Vec<(String, Sums)>> {
    let name = match by {
        By::Model => "model",
        By::Key => "CAST(nullif(key_id, 0) AS TEXT)",
        By::Backend => "backend",
        By::Day => "day",
    };
    let sql = format!(
        "SELECT coalesce({name}, ''), requests, errors, cache_hits, prompt_tokens, completion_tokens,
           gen_tokens, gen_ms, ttft
         FROM localstore_gateway_usage_days
         WHERE (?1 IS NULL OR unixepoch(day) >= ?1) AND (?2 IS NULL OR unixepoch(day) + 86399 <= ?2)"
    );
    let mut days = db.prepare(&sql)?;
    let days = days.query_map([since, until], |row| Ok((row.get(0)?, of_day(row, 1)?)))?;
    days.collect()
}

/// The days that begin before, or end after, these seconds, of which only the sums are there.
pub(crate) fn cut_days(
    db: &Connection,
    since: Option<i64>,
    until: Option<i64>,
) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT DISTINCT day FROM localstore_gateway_usage_days
         WHERE unixepoch(day) < ?1 AND unixepoch(day) + 86399 >= ?1
           OR unixepoch(day) <= ?2 AND unixepoch(day) + 86399 > ?2
         ORDER BY day";
    db.prepare(sql)?
        .query_map([since, until], |row| row.get(0))?
        .collect()
}

/// The first and the last day with requests; `None` if there are none.
pub(crate) fn days(db: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let sql = "SELECT min(first), max(last) FROM (
           SELECT date(min(at_ms) / 1000, 'unixepoch') AS first,
             date(max(at_ms) / 1000, 'unixepoch') AS last FROM localstore_gateway_requests
           UNION ALL SELECT min(day), max(day) FROM localstore_gateway_usage_days)";
    db.query_row(sql, [], |row| {
        let (first, last): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        Ok(first.zip(last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ROOM;

    /// Requests of four days, each a bit different.
    fn rows() -> Vec<Request> {
        let row = |index: u8| {
            let rest = |divisor| index % divisor;
            let (is_even, place) = (rest(2) == 0, u64::from(index));
            Request {
                at_ms: i64::from(index) * DAY_MS / 50 + 1_000,
                request_id: format!("r{index}"),
                key_id: is_even.then_some(i64::from(1 + rest(3))),
                model: ["", "llama", "qwen"][usize::from(rest(3))].to_owned(),
                backend: (rest(5) > 0)
                    .then(|| ["1", "2", "openai"][usize::from(rest(3))].to_owned()),
                route: "/v1/chat/completions",
                status: [200, 200, 499, 404, 502, 200][usize::from(rest(6))],
                cached: rest(7) == 0,
                streamed: rest(4) > 0,
                prompt_tokens: is_even.then_some(place),
                completion_tokens: (rest(5) > 1).then_some(20 + place),
                ttft_ms: (rest(5) > 0).then_some(f64::from(index) + 0.25),
                total_ms: f64::from(index) * 3.0 + 1.0,
                bytes_in: 400,
                ..Request::default()
            }
        };
        (0..200).map(row).collect()
    }

    fn store(rows: &[Request]) -> Connection {
        let db = ROOM.fresh(1).unwrap();
        insert(&db, rows).unwrap();
        db
    }

    #[test]
    fn a_row_has_what_was_told_and_numbers_that_are_too_large_are_cut() {
        let row = Request {
            backend: Some("7".to_owned()),
            completion_tokens: Some(u64::MAX),
            ..Request::default()
        };
        let rule = Request {
            backend: Some("openai".to_owned()),
            ..Request::default()
        };
        let db = store(&[row, rule]);
        let sql =
            "SELECT group_concat(typeof(backend_id) || ' ' || backend_id), max(completion_tokens)
             FROM localstore_gateway_requests";
        let told: (String, i64) = db
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(told, ("integer 7,text openai".to_owned(), i64::MAX));
    }

    #[test]
    fn a_key_remembers_when_it_was_used_last() {
        let db = ROOM.fresh(1).unwrap();
        let sql = "INSERT INTO localstore_gateway_keys (id, hash, prefix, models, created_at)
             VALUES (1, x'00', 'sk-ls-0000', '[]', 0)";
        db.execute(sql, []).unwrap();
        let used = |at_ms| {
            let key_id = Some(1);
            Request {
                at_ms,
                key_id,
                ..Request::default()
            }
        };
        for (rows, expected) in [(vec![used(9_500), used(3_000)], 9), (vec![used(5_000)], 9)] {
            insert(&db, &rows).unwrap();
            let sql = "SELECT last_used_at FROM localstore_gateway_keys";
            let last: i64 = db.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(last, expected);
        }
    }

    #[test]
    fn folding_changes_no_sum() {
        const BYS: [By; 4] = [By::Model, By::Key, By::Backend, By::Day];
        let db = store(&rows());
        let read = || BYS.map(|by| used(&db, by, None, None).unwrap());
        let before = read();
        for until in [0, DAY_MS, DAY_MS * 5 / 2, i64::MAX] {
            fold(&db, until, MANY).unwrap();
            for (before, after) in before.iter().flatten().zip(read().iter().flatten()) {
                assert_eq!(
                    (&after.name, &after.sums),
                    (&before.name, &before.sums),
                    "{until}"
                );
                assert_eq!(after.ttft_p50_ms.is_some(), before.ttft_p50_ms.is_some());
            }
        }
        assert!(read().iter().flatten().all(|group| group.about));
        let left: i64 = db
            .query_row(
                "SELECT count(*) FROM localstore_gateway_requests",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, 0);
        assert_eq!(fold(&db, i64::MAX, MANY).unwrap(), 0);
    }

    /// More rows than there are.
    const MANY: i64 = 1_000_000;

    #[test]
    fn rows_beyond_the_most_are_folded_and_a_transaction_takes_so_many_only() {
        let many: Vec<Request> = (0..AT_ONCE + 100)
            .map(|at| Request {
                at_ms: i64::try_from(at).unwrap(),
                ..Request::default()
            })
            .collect();
        let db = store(&many);
        assert_eq!(fold(&db, 0, MANY).unwrap(), 0);
        assert_eq!(fold(&db, 0, 5_000).unwrap(), 100);
        assert_eq!(fold(&db, i64::MAX, MANY).unwrap(), AT_ONCE);
        assert_eq!(fold(&db, i64::MAX, MANY).unwrap(), 0);
        let all = used(&db, By::Model, None, None).unwrap();
        assert_eq!(all[0].sums.requests, many.len() as u64);
    }

    #[test]
    fn a_row_of_a_wrong_clock_is_not_in_the_way() {
        let at = |at_ms| Request {
            at_ms,
            ..Request::default()
        };
        let mut rows = vec![at(i64::MAX); AT_ONCE + 1];
        rows.push(at(1));
        let db = store(&rows);
        assert_eq!(fold(&db, 2, MANY).unwrap(), 1);
        assert_eq!(fold(&db, 2, MANY).unwrap(), 0);
    }

    #[test]
    fn a_period_has_the_days_that_lie_in_it_as_a_whole() {
        let db = store(&rows());
        let requests = |since, until| {
            let used = used(&db, By::Day, since, until).unwrap();
            used.iter().map(|group| group.sums.requests).sum::<u64>()
        };
        let day = DAY_MS / 1000;
        assert_eq!(requests(Some(day / 2), Some(2 * day - 1)), 75);
        fold(&db, 2 * DAY_MS, MANY).unwrap();
        assert_eq!(requests(Some(day / 2), Some(2 * day - 1)), 50);
        assert_eq!(
            cut_days(&db, Some(day / 2), Some(2 * day - 1)).unwrap(),
            ["1970-01-01"]
        );
        assert_eq!(cut_days(&db, Some(day), Some(3 * day)).unwrap(), [""; 0]);
        assert_eq!(cut_days(&db, None, Some(day)).unwrap(), ["1970-01-02"]);
    }

    #[test]
    fn the_rows_tell_the_live_speed() {
        let row = Request {
            backend: Some("7".to_owned()),
            status: 200,
            streamed: true,
            completion_tokens: Some(100),
            ttft_ms: Some(500.0),
            total_ms: 1500.0,
            bytes_in: 4000,
            ..Request::default()
        };
        let db = store(&vec![row; 3]);
        let speed = live(&db).unwrap().speed(7).unwrap();
        assert_eq!((speed.prompt_tps, speed.gen_tps), (2000.0, 100.0));
        assert_eq!(live(&ROOM.fresh(1).unwrap()).unwrap().speed(7), None);
    }

    #[test]
    fn percentiles_are_times_that_occurred_and_buckets_are_near_them() {
        let times = (1..=100).map(f64::from).collect();
        let group = exact("m".to_owned(), (Sums::default(), times));
        assert_eq!(
            (group.ttft_p50_ms, group.ttft_p95_ms),
            (Some(50.0), Some(95.0))
        );
        for (share, exact) in [(0.5, 50.0), (0.95, 95.0)] {
            let about = group.sums.ttft.quantile(share).unwrap();
            assert!(
                (about / exact).log2().abs() <= 1.0 / Buckets::A_DOUBLE,
                "{about} {exact}"
            );
        }
        assert_eq!(Buckets::of(&group.sums.ttft.bytes()), group.sums.ttft);
        assert_eq!(Buckets::default().quantile(0.5), None);
        let mut odd = Buckets::of(&[1, 2, 3]);
        for time in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            odd.put(time);
        }
        assert_eq!((odd.0[0], odd.0[31]), (3, 2));
    }
}
