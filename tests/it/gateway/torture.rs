//! Faults of all kinds at once, for long. `torture/run.sh` has the long form.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::backend::{Backend, Reply, Seen, completion, word};
use super::client::{Answer, Client, JSON, request};
use super::{CHAT, Place, Served};
use crate::random::{Random, seed};
use crate::torture::rounds;

/// Requests of a round: what comes in a second.
const ROUND: u64 = 500;
const CLIENTS: usize = 32;
const BACKENDS: u64 = 4;

/// How often clients saw each status, as its row has it.
type Statuses = BTreeMap<u16, u64>;

/// What the clients saw.
#[derive(Default)]
struct Seens {
    statuses: Statuses,
    /// Those who left in the middle of a stream.
    left: u64,
}

/// Each request is answered with what belongs to it, or with an error; each has a row; memory does not grow.
#[test]
fn mixed_faults_lose_nothing() {
    let requests = rounds(2) as u64 * ROUND;
    let backends: Vec<Backend> = (0..BACKENDS)
        .map(|number| {
            let mut random = Random::new(seed(), number);
            Backend::forgetting(move |_, seen| reply(random.below(1000), seen))
        })
        .collect();
    let place = Place::with(&backends.iter().collect::<Vec<_>>());
    let key = place.key("alice", &[]);
    let served = place
        .serve(&[
            "--timeout",
            "2s",
            "--cool-down",
            "1s",
            "--route",
            "round-robin",
        ])
        .shown(&key);
    let next = AtomicU64::new(0);
    let started = Instant::now();
    // When a fifth is done, all that grows to its usual size has grown.
    let early = AtomicU64::new(0);
    let mut all = Seens::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| ask(&served, &next, requests, &early)))
            .collect();
        // Other programs write too.
        while next.load(Ordering::Relaxed) < requests {
            std::thread::sleep(Duration::from_millis(500));
            let db = place.0.db();
            db.busy_timeout(Duration::from_secs(20)).unwrap();
            db.execute_batch("BEGIN EXCLUSIVE").unwrap();
            std::thread::sleep(Duration::from_millis(200));
            db.execute_batch("COMMIT").unwrap();
        }
        for client in clients {
            let seen = client.join().unwrap();
            all.left += seen.left;
            for (status, count) in seen.statuses {
                *all.statuses.entry(status).or_default() += count;
            }
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let (early, late) = (early.into_inner(), served.memory().unwrap_or(0));
    let metrics = served.get("/metrics");
    assert!(metrics.text().contains("\nrouter_rows_dropped_total 0\n"));
    assert!(metrics.text().contains("\nrouter_inflight 0\n"));
    assert_eq!(served.stop().code, Some(0));
    let rows = statuses(&place);
    let answered: u64 = all.statuses.values().sum();
    assert_eq!(answered + all.left, requests);
    assert_eq!(rows.values().sum::<u64>(), requests, "{rows:?}");
    // Who leaves has seen no end: his row has the status of any.
    for (status, count) in &rows {
        let seen = all.statuses.get(status).copied().unwrap_or_default();
        assert!(
            (seen..=seen + all.left).contains(count),
            "{status}: {seen} {rows:?}"
        );
    }
    assert!(late <= early + (16 << 10), "{early} KiB, then {late} KiB");
    place.0.run(["check"]).ok();
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let [speed, early, late] = [
        requests as f64 / seconds,
        early as f64 / 1024.0,
        late as f64 / 1024.0,
    ];
    crate::report(&format!(
        "| a gateway with backends that fail, cut and hang, clients that leave, a store that is locked | \
         {requests} requests, {speed:.0} a second | none lost, each with its row; {early:.1} MiB, at the end {late:.1} |"
    ));
}

/// What a backend does with a request. What it says has the number of the request.
fn reply(dice: usize, seen: &Seen) -> Reply {
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    let number = body["number"].to_string();
    let is_stream = body["stream"] == true;
    let whole = completion(&number);
    let stream = || Reply::stream().word(&number);
    let json = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{";
    match dice {
        0..10 => Reply::json(500, "{}"),
        10..20 => Reply::nothing(),
        20..30 => Reply::raw("junk\r\n\r\n").cut(),
        30..40 => Reply::json(429, &number),
        40..50 => Reply::json(400, &number),
        50..60 if is_stream => stream().then("data: {\"half").cut(),
        50..60 => Reply::raw(json).cut(),
        60..70 if is_stream => Reply::stream().then("data: {\"half").cut(),
        60..70 => Reply::with(200, "content-type: text/html\r\n", "<html>"),
        70..71 if is_stream => stream().hold(),
        70..71 => Reply::hang(),
        71..81 if is_stream => stream()
            .sleep(Duration::from_millis(20))
            .word(&number)
            .done(),
        71..81 => Reply::says(&number).cut(),
        _ if is_stream => stream().word(&number).done(),
        _ => Reply::json(200, whole),
    }
}

/// Asks until all is asked.
fn ask(served: &Served, next: &AtomicU64, requests: u64, early: &AtomicU64) -> Seens {
    let mut seens = Seens::default();
    let mut connection: Option<Client> = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return seens;
        }
        if number == requests / 5 {
            early.store(served.memory().unwrap_or(0), Ordering::Relaxed);
        }
        let is_stream = number.is_multiple_of(3);
        let mut client = connection.take().unwrap_or_else(|| served.connect());
        let key = served.key.as_ref().unwrap();
        let body = format!("{{\"model\":\"m\",\"stream\":{is_stream},\"number\":{number}}}");
        let head = format!("{JSON}authorization: Bearer {key}\r\n");
        client.send(request(&format!("POST {CHAT}"), &head, body.as_bytes()));
        let head = client.head();
        let is_events = head.header("content-type") == Some("text/event-stream");
        if is_events && number.is_multiple_of(30) {
            client.event();
            seens.left += 1;
            continue;
        }
        let is_closing = head.header("connection") == Some("close");
        let answer = client.body(head);
        let status = status(&answer, &number.to_string(), is_events);
        *seens.statuses.entry(status).or_default() += 1;
        connection = (!is_closing).then_some(client);
    }
}

/// The status that the row of this answer must have. It must be the answer to this request.
fn status(answer: &Answer, number: &str, is_events: bool) -> u16 {
    assert!(!answer.is_cut);
    match (answer.status(), is_events) {
        (200, true) => {
            let (one, text) = (word(number), answer.text());
            let rest = text.strip_prefix(&one).expect(text);
            let rest = rest.strip_prefix(&one).unwrap_or(rest);
            if rest == "data: [DONE]\n\n" {
                200
            } else if rest.contains("\"upstream_cut\"") {
                502
            } else {
                assert!(rest.contains("\"upstream_timeout\""), "{rest}");
                504
            }
        }
        (200, false) => {
            assert_eq!(answer.text(), completion(number));
            200
        }
        (status @ (400 | 429), _) => {
            assert_eq!(answer.text(), number);
            status
        }
        (502, _) => {
            assert_eq!(answer.error().1, "upstream_failed");
            502
        }
        _ => {
            assert_eq!(answer.error(), (504, "upstream_timeout".to_owned()));
            504
        }
    }
}

/// What the rows tell.
fn statuses(place: &Place) -> Statuses {
    let db = place.0.db();
    let sql = "SELECT status, count(*) FROM localstore_gateway_requests GROUP BY status";
    let mut rows = db.prepare(sql).unwrap();
    let rows = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}
