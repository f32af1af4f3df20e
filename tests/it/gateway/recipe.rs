//! Measure, choose, serve: two machines, each an agent beside an engine, routed by what was recorded.

use std::path::Path;

use super::{CHAT, Place, Served, eventually};
use crate::sandbox::fixture;

/// An agent whose speed the results of this accelerator tell. Its engine works in a folder of its own.
fn machine(place: &Place, name: &str, accelerator: &str, router: &str) -> Served {
    let folder = place.0.path().join(name);
    std::fs::create_dir(&folder).unwrap();
    let script = fixture("gateway/engine.py");
    place.start(&[
        "agent",
        "--name",
        name,
        "--model",
        "m",
        "--addr",
        "127.0.0.1:0",
        "--router",
        router,
        "--accelerator",
        accelerator,
        "--",
        "python3",
        script.to_str().unwrap(),
        "${PORT}",
        folder.to_str().unwrap(),
    ])
}

/// The requests that the engine in this folder has answered.
fn asked(place: &Place, name: &str) -> usize {
    let bodies: &Path = &place.0.path().join(name).join("bodies");
    std::fs::read_to_string(bodies).map_or(0, |bodies| bodies.lines().count())
}

#[test]
fn what_was_recorded_decides_between_two_machines() {
    let place = Place::new();
    for capture in ["golden/cpu-i7-14b.json", "golden/gpu-rtx4090-8b.json"] {
        let capture = fixture(capture);
        let words = ["record", "--", "cat", capture.to_str().unwrap()];
        place.0.run(words).ok();
    }
    let served = place.serve(&["--route", "fastest"]);
    let slow = machine(&place, "slow", "i7", &served.url());
    eventually("registered", || served.chat("m").status() == 200);
    let fast = machine(&place, "fast", "4090", &served.url());
    let list = || place.0.run(["model", "list", "-o", "csv"]).text();
    eventually("both", || list().lines().count() == 3);
    let csv = list();
    assert!(csv.contains(",run 1,") && csv.contains(",run 2,"), "{csv}");
    eventually("the faster one is asked", || {
        served.chat("m");
        asked(&place, "fast") > 0
    });
    let before = asked(&place, "slow");
    for _ in 0..20 {
        assert_eq!(served.post(CHAT, r#"{"model":"m"}"#).status(), 200);
    }
    assert_eq!(asked(&place, "slow"), before);
    // Without the faster one, the other answers.
    assert_eq!(fast.stop().code, Some(0));
    assert_eq!(served.chat("m").status(), 200);
    assert_eq!(asked(&place, "slow"), before + 1);
    assert_eq!(slow.stop().code, Some(0));
    assert_eq!(served.stop().code, Some(0));
}
