//! Runs whose answer was lost: the site is asked, and what it certainly shows is submitted.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, read_fixture};
use crate::sending::{RUN, run_1, sandbox, submit};
use crate::server::{Reply, Request, Server};
use crate::submit::states;

const PAYLOAD: &str = "golden/gpu-reps4.payload.json";

/// The site takes the run, and its answer is lost.
fn lost() -> Reply {
    Reply::Answer(Vec::new())
}

/// The time so many seconds after now, as the site stores it.
fn time(seconds: i64) -> String {
    let db = rusqlite::Connection::open_in_memory().unwrap();
    let sql = format!("SELECT datetime('now', '{seconds} seconds')");
    db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// What the site lists of a payload.
fn row(id: u64, created_at: &str, payload: &str) -> Value {
    let payload: Value = serde_json::from_str(payload).unwrap();
    let at = |path: &str| payload.pointer(path).cloned().unwrap_or_default();
    json!({
        "id": id, "system_id": 1, "accelerator_id": 1, "model_variant_id": 1, "runtime_id": 1,
        "avg_prompt_tps": at("/results_summary/avg_prompt_tps"),
        "avg_gen_tps": at("/results_summary/avg_gen_tps"),
        "avg_ttft_ms": at("/results_summary/avg_ttft_ms"),
        "performance_score": at("/results_summary/performance_score"),
        "created_at": created_at,
        "system": {
            "id": 1,
            "cpu_name": at("/system_info/cpu_name"),
            "cpu_arch": at("/system_info/cpu_arch"),
            "ram_gb": at("/system_info/ram_gb"),
            "kernel_type": at("/system_info/kernel_type"),
            "kernel_release": at("/system_info/kernel_release"),
            "system_version": at("/system_info/version"),
            "created_at": created_at,
        },
        "accelerator": at("/accelerator_info/name"),
        "accelerator_type": at("/accelerator_info/type"),
        "accelerator_memory_gb": at("/accelerator_info/memory_gb"),
        "model": {
            "id": 1,
            "name": at("/results/0/model_name"),
            "params": at("/results/0/model_n_params"),
            "quant": at("/results/0/model_quant_str"),
            "variantId": 1,
        },
        "runtime": {
            "id": 1,
            "name": at("/runtime_info/name"),
            "version": at("/runtime_info/version"),
            "commit_hash": at("/runtime_info/commit"),
            "created_at": created_at,
        },
    })
}

/// The row of the golden run, which came in just now.
fn ours(id: u64) -> Value {
    let payload = String::from_utf8(read_fixture(PAYLOAD)).unwrap();
    row(id, &time(0), &payload)
}

/// A row of somebody else.
fn other(id: u64, created_at: &str) -> Value {
    let mut row = ours(id);
    row["avg_gen_tps"] = json!(id);
    row["created_at"] = created_at.into();
    row
}

/// The page that the site gives of its rows, newest first.
fn page(rows: &[Value], target: &str) -> Reply {
    let number = |name: &str| -> usize {
        let (_, rest) = target.split_once(&format!("{name}=")).unwrap();
        rest.split('&').next().unwrap().parse().unwrap()
    };
    let limit = number("limit").clamp(1, 100);
    let rows = rows.chunks(limit).nth(number("page").max(1) - 1);
    let body = serde_json::to_string(rows.unwrap_or_default()).unwrap();
    Reply::status("200 OK", "Content-Type: application/json\r\n", &body)
}

/// A site that lists these rows.
fn site(replies: impl IntoIterator<Item = Reply>, rows: Vec<Value>) -> Server {
    Server::start_with_list(replies, move |target, _: &[Request]| page(&rows, target))
}

/// Makes the answer for run 1 a lost one of just now.
fn lose(sandbox: &Sandbox, site: &str) {
    sandbox
        .db()
        .execute(
            "INSERT OR REPLACE INTO localstore_submissions (run_id, state, site, attempts, reason)
             VALUES (1, 'unknown', ?1, 1, 'lost')",
            [site],
        )
        .unwrap();
}

/// Asks a site that lists these rows for the golden run; what `submit` prints.
fn asked_for(change: impl Fn(&mut Value)) -> (Option<i32>, String) {
    let sandbox = sandbox(&[RUN]);
    let mut row = ours(4245);
    change(&mut row);
    let server = site([], vec![row]);
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["1"]);
    assert!(server.requests().is_empty());
    assert_eq!(server.asked(), ["/api/results?limit=100&page=1"]);
    let state = if ran.code == Some(0) {
        "submitted"
    } else {
        "unknown"
    };
    assert_eq!(states(&sandbox), [state]);
    let text = (ran.text() + &ran.stderr).replace(&server.url(), "SITE");
    (ran.code, text)
}

const SHOWN: &str = "run 1: submitted (no answer, but the site has it): SITE/result/4245\n";
const NOT_SHOWN: &str = "localstore: run 1: unknown: no answer, and the site does not show it\n\
                         hint: localstore submit --again 1 --url SITE\n";
const NOT_ASKED: &str = "localstore: run 1: unknown: no answer, and the site cannot be asked\n\
                         hint: localstore submit --again 1 --url SITE\n";

#[test]
fn a_run_whose_answer_was_lost_is_found_on_the_site() {
    let sandbox = sandbox(&[RUN]);
    let now = time(0);
    let server = Server::start_with_list([lost()], move |target, taken| {
        let rows: Vec<Value> = taken.iter().map(|run| row(4245, &now, &run.body)).collect();
        page(&rows, target)
    });
    let ran = submit(&sandbox, &server, &[]);
    let link = format!("{}/result/4245", server.url());
    assert_eq!(
        String::from_utf8(ran.ok()).unwrap(),
        format!("run 1: submitted (no answer, but the site has it): {link}\n")
    );
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let run = run_1(&sandbox);
    assert_eq!(run["submission"], "submitted");
    assert_eq!(run["submission_site"], server.url());
    assert_eq!(run["submission_reason"], Value::Null);
    assert_eq!(run["link"], link);
    sandbox.run(["check"]).ok();
    // It is never sent again, nor asked for.
    for args in [&["1"][..], &["--again", "1"]] {
        let ran = submit(&sandbox, &server, args);
        assert!(ran.text().starts_with("run 1: already submitted 20"));
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.asked().len(), 1);
}

/// The site commits what it has written also where it fails afterwards and answers 500.
#[test]
fn a_run_that_the_site_has_stored_before_it_failed_is_not_sent_again() {
    let sandbox = sandbox(&[RUN]);
    let now = time(0);
    let failed = || Reply::busy("500 Internal Server Error");
    let replies = [failed(), failed(), Reply::taken(1)];
    let server = Server::start_with_list(replies, move |target, taken| {
        let rows: Vec<Value> = taken
            .iter()
            .skip(1)
            .map(|run| row(4245, &now, &run.body))
            .collect();
        page(&rows, target)
    });
    let ran = submit(&sandbox, &server, &[]);
    let line = format!("run 1: submitted: {}/result/4245\n", server.url());
    assert_eq!(String::from_utf8(ran.ok()).unwrap(), line);
    assert_eq!([server.requests().len(), server.asked().len()], [2, 2]);
    assert_eq!(run_1(&sandbox)["submission_attempts"], 2);

    // Where it cannot be asked, it is sent again.
    let sandbox = crate::sending::sandbox(&[RUN]);
    let server = Server::start([failed(), failed(), failed()]);
    let ran = submit(&sandbox, &server, &[]);
    assert!(
        ran.stderr
            .contains("run 1: queued: the site answered 500: busy\n")
    );
    assert_eq!([server.requests().len(), server.asked().len()], [3, 1]);
    assert_eq!(states(&sandbox), ["pending"]);
}

/// It may take a moment to store the run after the connection was lost.
#[test]
fn a_site_that_does_not_show_it_is_asked_once_more() {
    for (pages, shown) in [(1, true), (2, false)] {
        let sandbox = sandbox(&[RUN, "golden/second-gpu.json"]);
        let now = time(0);
        let looks = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&looks);
        let server = Server::start_with_list([lost(), Reply::taken(9)], move |target, taken| {
            let mut looks = counted.lock().unwrap();
            *looks += 1;
            let rows = [row(4245, &now, &taken[0].body)];
            page(&rows[..usize::from(*looks > pages)], target)
        });
        let ran = submit(&sandbox, &server, &["1", "2"]);
        let url = server.url();
        assert_eq!(*looks.lock().unwrap(), 2);
        if shown {
            let lines = format!(
                "run 1: submitted (no answer, but the site has it): {url}/result/4245\n\
                 run 2: submitted: {url}/result/9\n"
            );
            assert_eq!(String::from_utf8(ran.ok()).unwrap(), lines);
        } else {
            assert_eq!(ran.code, Some(1));
            let rest = format!(
                "localstore: run 2: queued: not tried after run 1\n\
                 hint: localstore submit --pending --url {url}\n"
            );
            assert_eq!(ran.stderr, NOT_SHOWN.replace("SITE", &url) + &rest);
            assert_eq!(states(&sandbox), ["unknown", "pending"]);
        }
    }
}

/// A run is recognised by what the site makes of its payload, however it writes that.
#[test]
fn what_the_site_makes_of_the_payload_is_recognised() {
    let recognised = |change: &dyn Fn(&mut Value)| {
        assert_eq!(asked_for(change), (Some(0), SHOWN.to_owned()));
    };
    recognised(&|_| {});
    recognised(&|row| {
        for key in ["avg_prompt_tps", "avg_gen_tps", "avg_ttft_ms"] {
            row[key] = row[key].to_string().into();
        }
        let time = row["created_at"].as_str().unwrap().replace(' ', "T");
        row["created_at"] = format!("{time}.000Z").into();
    });
    // A database that keeps 15 digits.
    recognised(&|row| {
        let value = row["avg_prompt_tps"].as_f64().unwrap();
        row["avg_prompt_tps"] = format!("{value:.11}").parse::<f64>().unwrap().into();
    });
    // An older site, which tells less; and the model of the site, whose parameters may be another's.
    recognised(&|row| {
        for key in ["system", "runtime", "accelerator_type", "performance_score"] {
            row.as_object_mut().unwrap().remove(key).unwrap();
        }
        row["model"]["params"] = 1.into();
    });
}

#[test]
fn what_differs_in_anything_is_another_run() {
    for path in [
        "/accelerator",
        "/accelerator_type",
        "/accelerator_memory_gb",
        "/model/name",
        "/model/quant",
        "/system/cpu_name",
        "/system/ram_gb",
        "/system/kernel_release",
        "/runtime/version",
        "/avg_prompt_tps",
        "/avg_gen_tps",
        "/avg_ttft_ms",
        "/created_at",
    ] {
        let answer = asked_for(|row| {
            let value = row.pointer_mut(path).unwrap();
            *value = match value.as_f64() {
                Some(number) => (number * 1.000_000_001).into(),
                None => "another".into(),
            };
        });
        assert_eq!(answer, (Some(1), NOT_SHOWN.to_owned()), "{path}");
    }
    for path in ["accelerator", "avg_gen_tps", "model", "created_at"] {
        let answer = asked_for(|row| {
            row.as_object_mut().unwrap().remove(path).unwrap();
        });
        assert_eq!(answer, (Some(1), NOT_SHOWN.to_owned()), "{path}");
    }
}

#[test]
fn what_came_in_at_another_time_is_another_run() {
    for (seconds, is_ours) in [(-3000, true), (3000, true), (-4000, false), (4000, false)] {
        let shown = asked_for(|row| {
            row["created_at"] = time(seconds).into();
        });
        let expected = if is_ours { SHOWN } else { NOT_SHOWN };
        assert_eq!(shown.1, expected, "{seconds}");
    }
}

/// Only the time of the last attempt is known.
#[test]
fn of_several_attempts_any_may_have_arrived() {
    let sandbox = sandbox(&[RUN]);
    let mut row = ours(4245);
    row["created_at"] = time(-200_000).into();
    let server = site([], vec![other(9, &time(0)), row]);
    lose(&sandbox, &server.url());
    let added = "UPDATE benchmark_runs SET created_at = datetime('now', '-300000 seconds')";
    sandbox.db().execute_batch(added).unwrap();
    let ran = submit(&sandbox, &server, &["1"]);
    assert_eq!(ran.stderr, NOT_SHOWN.replace("SITE", &server.url()));
    let attempts = "UPDATE localstore_submissions SET attempts = 2";
    sandbox.db().execute_batch(attempts).unwrap();
    submit(&sandbox, &server, &["1"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn the_list_is_read_as_far_back_as_the_run_can_be() {
    let sandbox = sandbox(&[RUN]);
    let [now, before] = [0, -9000].map(time);
    let mut rows: Vec<Value> = (0..250).map(|id| other(1000 - id, &now)).collect();
    rows.push(ours(4245));
    rows[250]["created_at"] = now.into();
    rows.extend((0..500).map(|id| other(700 - id, &before)));
    let server = site([], rows);
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["1"]);
    assert_eq!(ran.text(), SHOWN.replace("SITE", &server.url()));
    let pages = [1, 2, 3].map(|page| format!("/api/results?limit=100&page={page}"));
    assert_eq!(server.asked(), pages);
}

/// Which of several is the run is not guessed: each may be another's.
#[test]
fn of_several_results_like_it_none_is_taken() {
    let sandbox = sandbox(&[RUN]);
    let rows = (1..6).map(ours).collect();
    let server = site([Reply::taken(6)], rows);
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["1"]);
    let link = |id| format!("{}/result/{id}", server.url());
    let [one, two, three] = [1, 2, 3].map(link);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        format!(
            "localstore: run 1: unknown: no answer, and the site shows 5 like it: \
             {one}, {two}, {three}, …\n\
             hint: (localstore export 1 -o json; echo 'Result Link: {one}') | localstore add\n"
        )
    );
    assert_eq!(states(&sandbox), ["unknown"]);
    // Whoever knows better may send it.
    let ran = submit(&sandbox, &server, &["--again", "1"]);
    assert_eq!(ran.text(), format!("run 1: submitted: {}\n", link(6)));
}

/// The golden run, and one that the list of the site does not tell from it.
fn twins() -> Sandbox {
    let sandbox = sandbox(&[RUN]);
    let json = String::from_utf8(read_fixture(RUN)).unwrap();
    let twin = json.replacen("\"avg_time_ms\": ", "\"avg_time_ms\": 1", 1);
    assert_ne!(json, twin);
    sandbox.file("twin.json", twin);
    sandbox.run(["add", "twin.json"]).ok();
    assert_eq!(states(&sandbox), ["never", "never"]);
    sandbox
}

#[test]
fn a_result_that_is_known_to_be_another_run_is_not_this_one() {
    let sandbox = twins();
    let rows = Arc::new(Mutex::new(vec![ours(7)]));
    let listed = Arc::clone(&rows);
    let replies = [Reply::taken(7)];
    let server = Server::start_with_list(replies, move |target, _| {
        page(&listed.lock().unwrap(), target)
    });
    let url = server.url();
    submit(&sandbox, &server, &["2"]).ok();
    lose(&sandbox, &url);
    let ran = submit(&sandbox, &server, &["1"]);
    assert_eq!(ran.stderr, NOT_SHOWN.replace("SITE", &url));
    rows.lock().unwrap().insert(0, ours(4245));
    let ran = submit(&sandbox, &server, &["1"]);
    assert_eq!(ran.text(), SHOWN.replace("SITE", &url));
}

#[test]
fn of_two_runs_that_cannot_be_told_apart_neither_takes_the_result() {
    let sandbox = twins();
    let server = site([], vec![ours(7)]);
    lose(&sandbox, &server.url());
    let both = "INSERT INTO localstore_submissions (run_id, state, site, attempts, reason)
                SELECT 2, state, site, attempts, reason FROM localstore_submissions";
    sandbox.db().execute_batch(both).unwrap();
    let ran = submit(&sandbox, &server, &["1", "2"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr.matches("the site shows 1 like it: ").count(), 2);
    assert_eq!(states(&sandbox), ["unknown", "unknown"]);
}

#[test]
fn before_a_run_is_sent_again_the_site_is_asked() {
    let sandbox = sandbox(&[RUN]);
    let server = site([], vec![ours(4245)]);
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["--again", "1"]);
    assert_eq!(ran.text(), SHOWN.replace("SITE", &server.url()));
    assert!(server.requests().is_empty());

    let server = site([Reply::taken(8)], vec![other(7, &time(0))]);
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["--again", "1"]);
    let line = format!("run 1: submitted: {}/result/8\n", server.url());
    assert_eq!(String::from_utf8(ran.ok()).unwrap(), line);
    assert_eq!(server.asked().len(), 1);
}

/// Whatever a site answers, and however long that is, the run stays unknown.
#[test]
fn a_site_that_answers_nonsense_settles_nothing() {
    let ok = |body: &str| Reply::status("200 OK", "", body);
    let sandbox = sandbox(&[RUN]);
    let row = ours(4245);
    let rows = |rows: &[Value]| serde_json::to_string(rows).unwrap();
    let deep = "[".repeat(100_000);
    let now = time(0);
    let replies = [
        Reply::status("500 Internal Server Error", "", "no"),
        Reply::status("302 Found", "Location: /elsewhere\r\n", ""),
        Reply::Reset,
        Reply::Answer(Vec::new()),
        Reply::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n[{\"id\": 4245".to_vec()),
        ok("<html>Log in</html>"),
        ok(""),
        ok("{\"id\": 4245}"),
        ok(&deep),
        ok("[null, 7, \"x\"]"),
        ok(&rows(&[row.clone(), json!({"id": "x"})])),
        ok(&rows(&[json!({"id": -1})])),
        // Larger than is read.
        ok(&rows(&[row.clone(), json!("x".repeat(2 << 20))])),
        // Always the same page, and one that is as full as ours.
        ok(&rows(
            &(0..100).map(|id| other(9 + id, &now)).collect::<Vec<_>>(),
        )),
        ok(&rows(&vec![row; 100])),
    ];
    for reply in replies {
        let name = format!("{reply:?}");
        let name = &name[..name.len().min(300)];
        let server = Server::start_with_list([], move |_, _: &[Request]| reply.clone());
        lose(&sandbox, &server.url());
        let ran = submit(&sandbox, &server, &["1"]);
        assert_eq!(ran.code, Some(1), "{name}");
        assert_eq!(
            ran.stderr,
            NOT_ASKED.replace("SITE", &server.url()),
            "{name}"
        );
        assert_eq!(states(&sandbox), ["unknown"], "{name}");
        assert!(server.asked().len() <= 2, "{name}");
    }
}

#[test]
fn a_list_without_an_end_is_left() {
    let sandbox = sandbox(&[RUN]);
    let ours = ours(4245);
    let now = time(0);
    let mut last = 1000;
    let server = Server::start_with_list([], move |_, _: &[Request]| {
        let mut rows = vec![ours.clone()];
        rows.resize_with(100, || {
            last += 1;
            json!({"id": last, "created_at": now})
        });
        Reply::status("200 OK", "", &serde_json::to_string(&rows).unwrap())
    });
    lose(&sandbox, &server.url());
    let ran = submit(&sandbox, &server, &["1"]);
    assert_eq!(ran.stderr, NOT_ASKED.replace("SITE", &server.url()));
    assert_eq!(server.asked().len(), 20);
    assert_eq!(states(&sandbox), ["unknown"]);
}

#[test]
fn a_kill_while_the_site_is_asked_leaves_the_run_unknown() {
    let sandbox = sandbox(&[RUN]);
    let server = Server::start_with_list([lost()], |_, _: &[Request]| Reply::Hang);
    let url = server.url();
    let mut child = sandbox
        .command(["submit", "-y", "--url", &url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait_for_request();
    server.wait_for_request();
    assert_eq!(states(&sandbox), ["unknown"]);
    assert!(run_1(&sandbox)["submission_reason"].is_string());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&sandbox), ["unknown"]);
    // The next call asks again.
    let server = site([], vec![ours(4245)]);
    lose(&sandbox, &server.url());
    submit(&sandbox, &server, &["1"]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn a_site_that_is_not_the_one_it_was_sent_to_is_not_asked() {
    let sandbox = sandbox(&[RUN]);
    let [one, other] = [(); 2].map(|()| site([], vec![ours(4245)]));
    lose(&sandbox, &one.url());
    let ran = submit(&sandbox, &other, &["1"]);
    let url = one.url();
    assert_eq!(
        ran.stderr,
        format!(
            "localstore: run 1: unknown: no answer, and it was sent to {url}\n\
             hint: localstore submit 1 --url {url}\n"
        )
    );
    // Such a name may come with another store, and is no command.
    lose(&sandbox, "http://x.org/'; rm -r *'");
    let ran = submit(&sandbox, &other, &["1"]);
    let hint = r"hint: localstore submit 1 --url 'http://x.org/'\''; rm -r *'\'''";
    assert_eq!(ran.stderr.lines().last(), Some(hint));
    lose(&sandbox, &url);
    // Nor is any by who wants to send nothing.
    let ran = sandbox.run(["submit", "1", "-n", "--url", &url]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains(", and the site was not asked\n"),
        "{}",
        ran.stderr
    );
    assert!(one.asked().is_empty() && other.asked().is_empty());
    // It needs no terminal: nothing is sent.
    sandbox.run(["submit", "1", "--url", &url]).ok();
    assert_eq!(states(&sandbox), ["submitted"]);
}

#[test]
fn of_many_processes_that_ask_at_once_each_finds_it() {
    let sandbox = sandbox(&[RUN]);
    let server = site([], vec![ours(4245)]);
    let url = server.url();
    lose(&sandbox, &url);
    let children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = sandbox.command(["submit", "-y", "--again", "--url", &url]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let link = format!("{url}/result/4245\n");
        assert!(
            text.starts_with("run 1: ") && text.ends_with(&link),
            "{text}"
        );
    }
    assert!(server.requests().is_empty());
    assert_eq!(run_1(&sandbox)["submission_attempts"], 1);
}

#[test]
fn a_partial_run_is_not_sent() {
    let sandbox = sandbox(&["golden/single-test.json", RUN]);
    let ran = sandbox.run(["submit", "1"]);
    assert_eq!(ran.failed(), "run 1: not submitted: no terminal to ask on");
    assert!(ran.stderr.ends_with("\nhint: localstore submit -y 1\n"));
    let server = site([Reply::taken(5)], Vec::new());
    let ran = submit(&sandbox, &server, &["1", "2"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "localstore: run 1: not sent: partial\n");
    let line = format!("run 2: submitted: {}/result/5\n", server.url());
    assert_eq!(ran.text(), line);
    assert_eq!(states(&sandbox), ["never", "submitted"]);
    assert_eq!(server.requests().len(), 1);
}

#[cfg(unix)]
#[test]
fn a_recorded_run_is_found_too() {
    let sandbox = Sandbox::new();
    let server = Server::start_with_list([lost()], |target, taken| {
        let rows = taken.iter().map(|run| row(4245, &time(0), &run.body));
        page(&rows.collect::<Vec<_>>(), target)
    });
    let script = crate::record::cat(RUN);
    let url = server.url();
    let args = [
        "record", "--submit", "-y", "--url", &url, "--", "/bin/sh", "-c", &script,
    ];
    let ran = sandbox.run(args);
    let link = format!("Result Link: {url}/result/4245\n");
    assert_eq!(ran.ok(), [read_fixture(RUN), link.into()].concat());
}
