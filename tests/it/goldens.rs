//! The C tool's own output: what goes in comes out, byte for byte.

use crate::sandbox::{Sandbox, fixture, read_fixture};

/// The cases: every golden json document.
fn cases() -> Vec<String> {
    let mut cases: Vec<String> = std::fs::read_dir(fixture("golden"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .filter(|name| !name.ends_with(".payload"))
        .collect();
    cases.sort();
    assert_eq!(cases.len(), 19);
    cases
}

/// What cannot follow from the json, because the C tool leaves it out there: bytes of 0x80 or more
/// in a model's strings, what of them is behind byte 127, and the model of a run without tests.
const NOT_IN_THE_JSON: [&str; 5] = [
    "long-names.md",
    "no-tests.md",
    "utf8-model.csv",
    "utf8-model.md",
    "very-long-model.md",
];

#[track_caller]
fn assert_bytes(actual: &[u8], golden: &str) {
    let expected = read_fixture(&format!("golden/{golden}"));
    assert!(
        actual == expected,
        "not {golden}, but:\n{}",
        String::from_utf8_lossy(actual)
    );
}

#[test]
fn a_json_document_comes_back_in_every_format() {
    for case in cases() {
        let sandbox = Sandbox::new();
        sandbox.add([format!("golden/{case}.json").as_str()]);
        for format in ["json", "csv", "md"] {
            let golden = format!("{case}.{format}");
            if NOT_IN_THE_JSON.contains(&golden.as_str()) {
                continue;
            }
            let exported = sandbox.run(["export", "-o", format]).ok();
            assert_bytes(&exported, &golden);
        }
    }
}

#[test]
fn a_csv_comes_back_as_it_was() {
    for case in cases() {
        let sandbox = Sandbox::new();
        sandbox.add([format!("golden/{case}.csv").as_str()]);
        let exported = sandbox.run(["export", "-o", "csv"]).ok();
        assert_bytes(&exported, &format!("{case}.csv"));
    }
}

#[test]
fn the_csv_gives_back_the_bytes_that_the_json_lost() {
    for (first, second) in [("json", "csv"), ("csv", "json")] {
        let sandbox = Sandbox::new();
        sandbox.add([format!("golden/utf8-model.{first}").as_str()]);
        sandbox.add([format!("golden/utf8-model.{second}").as_str()]);
        for format in ["json", "csv", "md"] {
            let exported = sandbox.run(["export", "-o", format, "--all"]).ok();
            assert_bytes(&exported, &format!("utf8-model.{format}"));
        }
    }
}

#[test]
fn a_lost_byte_takes_the_place_of_one_in_the_table() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/utf8-model.json"]);
    let table = sandbox.run(["export"]).text();
    let title = table.lines().nth(2).unwrap();
    assert_eq!(title.chars().count(), 101);
    assert!(
        title.contains("Qwen2.5\u{fffd}\u{fffd}\u{fffd}7B "),
        "{title}"
    );
}

#[test]
fn the_score_is_displayed_as_by_the_c_tool() {
    for case in cases() {
        // The C tool refuses its own document here; there is a score all the same.
        if case == "nan-stddev" {
            continue;
        }
        let sandbox = Sandbox::new();
        sandbox.add([format!("golden/{case}.json").as_str()]);
        let score = |args: &[&str], no_color: &str| {
            let mut command = sandbox.command(["score", "last"]);
            command.args(args).env("NO_COLOR", no_color);
            command.output().unwrap().stdout
        };
        assert_bytes(
            &score(&["--plaintext"], "1"),
            &format!("{case}.score-plain.txt"),
        );
        for no_color in ["", "0", "0yes"] {
            let golden = format!("{case}.score-color.txt");
            assert_bytes(&score(&["--plaintext"], no_color), &golden);
        }
        assert_bytes(&score(&[], "yes"), &format!("{case}.score-logo.txt"));
    }
}

#[test]
fn show_ends_with_the_table() {
    for case in ["gpu-reps4", "single-test"] {
        let sandbox = Sandbox::new();
        sandbox.add([format!("golden/{case}.json").as_str()]);
        let shown = sandbox.run(["show"]).text();
        let (_, table) = shown.split_once("\n+").unwrap();
        let expected = read_fixture(&format!("golden/{case}.md"));
        assert_eq!(format!("+{table}"), String::from_utf8_lossy(&expected));
    }
}

#[test]
fn a_nan_does_not_cost_the_score() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/nan-stddev.json"]);
    let score = sandbox.run(["score", "--plaintext"]).text();
    assert!(score.contains("LocalScore: \t\t 6987"), "{score}");
}

/// The document inside a whole terminal capture is the one that comes out.
#[test]
fn the_document_in_a_terminal_capture_is_found() {
    let cases = [
        ("capture-json", "json"),
        ("capture-json-submitted", "json"),
        ("capture-json-nan-submit", "json"),
        ("capture-csv", "csv"),
    ];
    for (name, format) in cases {
        let capture = read_fixture(&format!("captures/{name}.stdout.txt"));
        let text = String::from_utf8_lossy(&capture);
        let start = text
            .find(if format == "json" {
                "{\n"
            } else {
                "build_commit,"
            })
            .unwrap();
        let end = if format == "json" { "\n}" } else { "\"\n\n" };
        let end = start + text[start..].find(end).unwrap() + 2;

        let sandbox = Sandbox::new();
        sandbox.add([format!("captures/{name}.stdout.txt").as_str()]);
        let exported = sandbox.run(["export", "-o", format, "--all"]).text();
        assert_eq!(exported, text[start..end], "{name}");
    }
}
