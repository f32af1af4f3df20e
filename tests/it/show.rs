//! `show`: what is said of a run, and its tests in the room there is.

use unicode_width::UnicodeWidthStr;

use crate::bench::{self, Bench};
use crate::sandbox::{Ran, Sandbox, read_fixture};

fn store() -> Sandbox {
    let bench = Bench {
        model: "Meta Llama 3.1 8B Instruct",
        accelerator: "NVIDIA GeForce RTX 4090",
        cpu: "AMD Ryzen 9 7950X 16-Core Processor (znver4)",
        kernel: "6.11.0-29-generic",
        ..Bench::default()
    };
    let repeated = Bench {
        repetitions: 4,
        day: 2,
        ..bench
    };
    let partial = Bench {
        tests: 4,
        day: 3,
        ..bench
    };
    let sandbox = bench::store(&[bench, repeated, partial]);
    sandbox.run(["tag", "baseline", "2"]).ok();
    sandbox
}

/// The output on a screen of this width, of which no line is wider; without the time of the adding.
fn on_screen(sandbox: &Sandbox, width: usize, args: &[&str]) -> String {
    let mut command = sandbox.command(["show"].iter().chain(args));
    command.env("COLUMNS", width.to_string());
    let ran = Ran::from(command.output().unwrap());
    ran.ok();
    for line in ran.text().lines().chain(ran.stderr.lines()) {
        assert!(line.width() <= width, "{args:?}, {width}: {line}");
    }
    let text = ran.text() + &ran.stderr;
    let added = text.find("added 20").map(|at| at + "added ".len());
    match added {
        Some(at) => format!(
            "{}(now){}",
            &text[..at],
            &text[at + "2025-01-01 12:00".len()..]
        ),
        None => text,
    }
}

#[test]
fn a_run_is_shown_in_the_room_there_is() {
    let sandbox = store();
    let show = |width| on_screen(&sandbox, width, &["2"]);
    insta::assert_snapshot!(show(40), @r"
    run 2: score 1817, pp 8016.00 t/s, tg
    130.26 t/s, ttft 173.79 ms
    Meta Llama 3.1 8B Instruct, Q4_K -
    Medium, NVIDIA GeForce RTX 4090 (24.0
    GiB)

    measured    2025-01-02 12:00:00 UTC,
                added (now)
    machine     AMD Ryzen 9 7950X 16-Core
                Processor (znver4), 62.5
                GiB, x86_64
                Linux 6.11.0-29-generic
    runtime     llamafile 0.9.2 (a30b324), 4
                repetitions
    tags        baseline
    submitted   no
    source      json

    test            pp t/s  tg t/s  ttft ms
    pp1024+tg16    8016.00  130.26   135.42
    pp4096+tg256   8016.00  130.26   518.65
    pp2048+tg256   8016.00  130.26   263.17
    pp2048+tg768   8016.00  130.26   263.17
    pp1024+tg1024  8016.00  130.26   135.42
    pp1280+tg3072  8016.00  130.26   167.36
    pp384+tg1152   8016.00  130.26    55.58
    pp64+tg1024    8016.00  130.26    15.66
    pp16+tg1536    8016.00  130.26     9.67
    ");
    insta::assert_snapshot!(show(60), @r"
    run 2: score 1817, pp 8016.00 t/s, tg 130.26 t/s, ttft
    173.79 ms
    Meta Llama 3.1 8B Instruct, Q4_K - Medium, NVIDIA GeForce
    RTX 4090 (24.0 GiB)

    measured    2025-01-02 12:00:00 UTC, added (now)
    machine     AMD Ryzen 9 7950X 16-Core Processor (znver4),
                62.5 GiB, x86_64
                Linux 6.11.0-29-generic
    runtime     llamafile 0.9.2 (a30b324), 4 repetitions
    tags        baseline
    submitted   no
    source      json

    test           pp t/s          tg t/s         ttft ms
    pp1024+tg16    8016.00 ± 0.3%  130.26 ± 0.3%   135.42
    pp4096+tg256   8016.00 ± 0.3%  130.26 ± 0.3%   518.65
    pp2048+tg256   8016.00 ± 0.3%  130.26 ± 0.3%   263.17
    pp2048+tg768   8016.00 ± 0.3%  130.26 ± 0.3%   263.17
    pp1024+tg1024  8016.00 ± 0.3%  130.26 ± 0.3%   135.42
    pp1280+tg3072  8016.00 ± 0.3%  130.26 ± 0.3%   167.36
    pp384+tg1152   8016.00 ± 0.3%  130.26 ± 0.3%    55.58
    pp64+tg1024    8016.00 ± 0.3%  130.26 ± 0.3%    15.66
    pp16+tg1536    8016.00 ± 0.3%  130.26 ± 0.3%     9.67
    ");
    insta::assert_snapshot!(show(80), @r"
    run 2: score 1817, pp 8016.00 t/s, tg 130.26 t/s, ttft 173.79 ms
    Meta Llama 3.1 8B Instruct, Q4_K - Medium, NVIDIA GeForce RTX 4090 (24.0 GiB)

    measured    2025-01-02 12:00:00 UTC, added (now)
    machine     AMD Ryzen 9 7950X 16-Core Processor (znver4), 62.5 GiB, x86_64
                Linux 6.11.0-29-generic
    runtime     llamafile 0.9.2 (a30b324), 4 repetitions
    tags        baseline
    submitted   no
    source      json

    test           total s  pp t/s          tg t/s         ttft ms
    pp1024+tg16       0.25  8016.00 ± 0.3%  130.26 ± 0.3%   135.42
    pp4096+tg256      2.48  8016.00 ± 0.3%  130.26 ± 0.3%   518.65
    pp2048+tg256      2.22  8016.00 ± 0.3%  130.26 ± 0.3%   263.17
    pp2048+tg768      6.15  8016.00 ± 0.3%  130.26 ± 0.3%   263.17
    pp1024+tg1024     7.99  8016.00 ± 0.3%  130.26 ± 0.3%   135.42
    pp1280+tg3072    23.74  8016.00 ± 0.3%  130.26 ± 0.3%   167.36
    pp384+tg1152      8.89  8016.00 ± 0.3%  130.26 ± 0.3%    55.58
    pp64+tg1024       7.87  8016.00 ± 0.3%  130.26 ± 0.3%    15.66
    pp16+tg1536      11.79  8016.00 ± 0.3%  130.26 ± 0.3%     9.67
    ");
    // Without repetitions there are no deviations.
    let once = on_screen(&sandbox, 80, &["1"]);
    assert!(
        !once.contains('±') && once.contains(", 1 repetition\n"),
        "{once}"
    );
    for width in [40, 60, 80, 100] {
        assert!(!show(width).contains("+---"), "{width}");
    }
    let md = sandbox.run(["export", "2", "-o", "md"]).text();
    for text in [show(101), show(120), sandbox.run(["show", "2"]).text()] {
        assert!(text.starts_with("run 2: score 1817, pp "), "{text}");
        assert!(text.ends_with(&md), "{text}");
    }
}

#[test]
fn watts_and_rounded_values_are_shown_where_they_are() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/apple-m4max-power.json", "golden/gpu-reps4.md"]);
    let watts = on_screen(&sandbox, 80, &["1"]);
    let heads = watts
        .lines()
        .find(|line| line.starts_with("test "))
        .unwrap();
    assert!(heads.ends_with("ttft ms  watts"), "{heads}");
    let rounded = on_screen(&sandbox, 80, &["2"]);
    assert!(rounded.starts_with("run 2: score ~"), "{rounded}");
    assert!(
        rounded.contains("\nsource      console, rounded values\n"),
        "{rounded}"
    );
    assert!(
        rounded.ends_with("localstore: ~ about (rounded, or a guessed date)\n"),
        "{rounded}"
    );
}

#[test]
fn the_score_of_a_partial_run_does_not_count() {
    let sandbox = store();
    let text = on_screen(&sandbox, 80, &["3"]);
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "run 3: partial, 4 of 9 tests; score 1505 not comparable"
    );
}

#[test]
fn every_stored_field_has_a_line_or_a_key() {
    let sandbox = store();
    let details = on_screen(&sandbox, 120, &["2", "--details"]);
    let capture: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["export", "2", "-o", "json"]).ok()).unwrap();
    let shown = sandbox.run(["show", "2", "-o", "json"]).ok();
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    for object in ["runtime_info", "system_info", "accelerator_info"] {
        assert_eq!(shown[object], capture[object]);
        for name in capture[object].as_object().unwrap().keys() {
            assert!(details.contains(&format!("\n{object}.{name} ")), "{name}");
        }
    }
    assert_eq!(shown["results"].as_array().unwrap().len(), 9);
    for name in capture["results"][0].as_object().unwrap().keys() {
        let shared = format!("\n{name} ");
        let own = format!("\npp1024+tg16.{name} ");
        assert!(
            details.contains(&shared) != details.contains(&own),
            "{name}"
        );
        assert!(shown["results"][8].get(name).is_some(), "{name}");
    }
    assert_eq!(shown["id"], 2);
    assert_eq!(shown["tags"][0], "baseline");
    assert_eq!(shown["measured_at"], "2025-01-02T12:00:00Z");
    on_screen(&sandbox, 40, &["2", "--details"]);
}

#[test]
fn a_run_of_which_little_is_known_is_shown() {
    let sandbox = Sandbox::new();
    sandbox
        .run_with_input(["add"], &read_fixture("golden/gpu-reps4.csv"))
        .ok();
    let text = sandbox.run(["show"]).text();
    assert!(text.contains(", unknown accelerator\n"), "{text}");
    assert!(
        text.contains("\nmachine     unknown\nruntime     unknown"),
        "{text}"
    );
}
