//! `report`: the page says what the store says, and needs nothing but itself. What only a browser
//! can tell is in `browser.rs`.

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

/// Asserts that the page has all of these, in this order.
#[track_caller]
fn assert_in_order(page: &str, wanted: &[&str]) {
    let mut rest = page;
    for wanted in wanted {
        let Some((_, after)) = rest.split_once(wanted) else {
            panic!("{wanted} is not there, or too early");
        };
        rest = after;
    }
}

#[test]
fn what_changed_comes_first_then_the_best_runs_and_each_configuration() {
    let mut benches = days(1..=12);
    for bench in &mut benches[6..] {
        bench.speed = 0.8;
        bench.version = "0.9.3";
    }
    benches.push(Bench {
        model: "Qwen2.5 14B",
        day: 20,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let page = sandbox.run(["report"]).text();
    assert_in_order(
        &page,
        &[
            "<!DOCTYPE html>",
            "<h1>LocalScore runs</h1>",
            "13 runs, 2 configurations, to 2025-01-20",
            "<h2>What changed lately</h2>",
            "▼ run 7</a>",
            "2025-01-07",
            "<b class=\"worse\">−20.",
            "% worse</b>",
            "Llama 3.2 1B Instruct, Q4_K_M, GPU One",
            "<h2>Best runs</h2>",
            ">score</th>",
            ">pp t/s</th>",
            ">tg t/s</th>",
            ">ttft ms</th>",
            ">quant</th>",
            ">model</th>",
            ">accelerator</th>",
            ">date</th>",
            // It was measured earlier than the other, but has changed.
            "<h2>Llama 3.2 1B Instruct, Q4_K_M, GPU One</h2>",
            "since run 7 (2025-01-07): −20.",
            "%, worse",
            "CPU One, 62.5 GiB, Linux 6.8.0, llamafile 0.9.2, 0.9.3",
            "<svg ",
            "<summary>pp, tg, ttft</summary>",
            "no difference larger than 5%: pp ",
            "to run 12",
            ">level</th>",
            ">run 12</th>",
            "<summary>all 27 rows</summary>",
            "history 5",
            "<summary>12 runs</summary>",
            "<h2>Qwen2.5 14B, Q4_K_M, GPU One</h2>",
            "<summary>1 run</summary>",
        ],
    );
    // Score and three speeds of the one configuration that has a trend.
    assert_eq!(page.matches("<svg ").count(), 4);
    // What is long is closed.
    assert!(!page.contains("<details open"));
    let filtered = sandbox.run(["report", "--model", "qwen"]).text();
    assert!(filtered.contains("model qwen"));
    assert!(!filtered.contains("Llama"));
    assert!(filtered.contains("Nothing changed."));
}

#[test]
fn the_latest_of_many_changes_come_first() {
    let models = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut benches = Vec::new();
    for (index, model) in (0..).zip(models) {
        for day in 1..=6 {
            benches.push(Bench {
                model,
                day: day + index,
                speed: if day > 3 { 1.5 } else { 1.0 },
                ..Bench::default()
            });
        }
    }
    let page = store(&benches).run(["report"]).text();
    let news = page.split("<h2>Best runs").next().unwrap();
    assert_eq!(news.matches("% better").count(), 10);
    assert_in_order(
        news,
        &["2025-01-15", "l, Q4_K_M", "2025-01-06", "c, Q4_K_M"],
    );
    assert!(!news.contains("2025-01-05"));
    // So do the configurations.
    assert_in_order(&page, &["<h2>l, Q4_K_M", "<h2>b, Q4_K_M", "<h2>a, Q4_K_M"]);
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let sandbox = store(&days(1..=3));
    let page = sandbox.run(["report"]).text();
    assert!(page.contains("default-src 'none'"));
    for foreign in [
        "<script", "<link", "<img", "src=", "url(", "@import", "https:",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // The name of a namespace, which nobody fetches.
    let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
    assert_eq!(
        page.matches("http:").count(),
        page.matches(namespace).count()
    );
}

#[test]
fn a_submitted_run_has_its_link() {
    let sandbox = Sandbox::new();
    let link = "https://www.localscore.ai/result/4245";
    let capture = format!("{}\nResult Link: {link}\n", Bench::default().document());
    sandbox.run_with_input(["add"], capture.as_bytes()).ok();
    let page = sandbox.run(["report"]).text();
    assert_in_order(
        &page,
        &[
            "<summary>1 run</summary>",
            ">submitted</th>",
            &format!("<a href=\"{link}\" rel=\"noreferrer\">www.localscore.ai/result/4245</a>"),
        ],
    );
}

#[test]
fn the_same_store_gives_the_same_page() {
    let sandbox = store(&days(1..=4));
    let page = sandbox.run(["report"]).ok();
    for args in [
        ["report", "--out", "a.html"].as_slice(),
        &["report", "b.html"],
    ] {
        assert!(sandbox.run(args).ok().is_empty());
        let file = sandbox.path().join(args[args.len() - 1]);
        assert_eq!(page, std::fs::read(file).unwrap(), "{args:?}");
    }
    sandbox
        .run(["report", "c.html", "--out", "d.html"])
        .failed();
}

#[test]
fn an_empty_choice_is_a_page_that_says_so() {
    let sandbox = store(&days(1..=1));
    let page = sandbox.run(["report", "--model", "gpt"]).text();
    assert!(page.contains("No run matches."));
    sandbox.run(["rm", "-y", "1"]).ok();
    let page = sandbox.run(["report"]).text();
    assert_in_order(
        &page,
        &[
            "No runs yet.",
            "<code>localstore record localscore -m model.gguf</code>",
        ],
    );
    let sandbox = Sandbox::new();
    assert!(
        sandbox
            .run(["report"])
            .failed()
            .contains("there is no store")
    );
}

#[test]
fn of_many_configurations_the_last_are_shown() {
    const NAMES: [&str; 22] = [
        "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11", "m12", "m13",
        "m14", "m15", "m16", "m17", "m18", "m19", "m20", "m21",
    ];
    let benches: Vec<Bench> = (1..)
        .zip(NAMES)
        .map(|(day, model)| Bench {
            day,
            model,
            ..Bench::default()
        })
        .collect();
    let page = store(&benches).run(["report"]).text();
    assert!(page.contains("20 of 22 configurations are shown"));
    // What changed, the best runs, and these.
    assert_eq!(page.matches("<h2>").count(), 22);
    assert!(page.contains("<h2>m21, "));
    assert!(!page.contains("<h2>m1, "));
}

#[test]
fn every_run_is_searched_and_drawn_or_said_to_be_thinned() {
    let mut text = String::new();
    for run in 0..2100_i32 {
        let bench = Bench {
            day: u32::try_from(run % 6).unwrap() + 1,
            speed: if run < 100 { 1.0 } else { 1.2 },
            ..Bench::default()
        };
        let noon = format!("2025-01-{:02}T12:00:00Z", bench.day);
        let (day, hour, minute) = (1 + run / 1440, run / 60 % 24, run % 60);
        let time = format!("2024-12-{day:02}T{hour:02}:{minute:02}:00Z");
        text += &(bench.document().replace(&noon, &time) + "\n");
    }
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["add"], text.as_bytes()).ok();
    let page = sandbox.run(["report"]).text();
    assert!(page.contains("2100 runs, thinned"));
    assert!(page.contains("<summary>2100 runs</summary>"));
    assert_in_order(&page, &["▲ run 101</a>", "since run 101 "]);
    let whole = sandbox.run(["report", "--limit", "500"]).text();
    assert!(!whole.contains("thinned"));
    let score = whole.split("<svg ").nth(1).unwrap();
    assert!(score.matches("class=\"mark\"").count() >= 500);
}

#[test]
fn a_series_is_read_once() {
    let sandbox = store(&days(1..=4));
    let ran = sandbox.run(["report", "-vv"]);
    assert_eq!(ran.text().matches("<svg ").count(), 4);
    let line = "read 4 runs of configuration 1";
    assert_eq!(ran.stderr.matches(line).count(), 1, "{}", ran.stderr);
}
