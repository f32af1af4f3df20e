//! `report`: the page says what the store says, and needs nothing but itself. What only a browser
//! can tell is in `browser.rs`.

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

#[test]
fn the_page_has_best_runs_trends_and_the_last_comparison() {
    let mut benches = days(1..=5);
    benches.push(Bench {
        model: "Qwen2.5 14B",
        day: 7,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    let page = sandbox.run(["report"]).text();
    for wanted in [
        "<!DOCTYPE html>",
        "<dt>Runs</dt><dd>6</dd>",
        "<dd>2025-01-07T12:00:00Z</dd>",
        "Best runs by score",
        "Qwen2.5 14B - Q4_K - Medium",
        "The last two whole runs: run 5 against run 4, score",
        "A trend needs two runs with all tests of the benchmark.",
        "history 4",
    ] {
        assert!(page.contains(wanted), "{wanted}");
    }
    // Score and three speeds of the one configuration that has a trend.
    assert_eq!(page.matches("<svg ").count(), 4);
    let filtered = sandbox.run(["report", "--model", "qwen"]).text();
    assert!(filtered.contains("model qwen"));
    assert!(!filtered.contains("Llama"));
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
fn the_same_store_gives_the_same_page() {
    let sandbox = store(&days(1..=4));
    let page = sandbox.run(["report"]).ok();
    assert!(
        sandbox
            .run(["report", "--out", "page.html"])
            .ok()
            .is_empty()
    );
    assert_eq!(
        page,
        std::fs::read(sandbox.path().join("page.html")).unwrap()
    );
}

#[test]
fn an_empty_choice_is_a_page_that_says_so() {
    let sandbox = store(&days(1..=1));
    let page = sandbox.run(["report", "--model", "gpt"]).text();
    assert!(page.contains("No run matches."));
    let sandbox = Sandbox::new();
    assert!(sandbox.run(["report"]).failed().ends_with("no store"));
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
    assert!(page.contains("the 20 configurations that were measured last"));
    assert_eq!(page.matches("<h2>").count(), 21);
    assert!(page.contains("<h2>m21 - "));
    assert!(!page.contains("<h2>m1 - "));
}

#[test]
fn a_series_is_read_once() {
    let sandbox = store(&days(1..=4));
    let ran = sandbox.run(["report", "-vv"]);
    assert_eq!(ran.text().matches("<svg ").count(), 4);
    let line = "read 4 runs of configuration 1";
    assert_eq!(ran.stderr.matches(line).count(), 1, "{}", ran.stderr);
}
