//! Names that are meant to be taken for something else are data, wherever they go.

use std::time::Instant;

use super::assert_right;
use crate::bench::{Bench, store};
use crate::sandbox::{Sandbox, fixture, read_fixture};

/// For a terminal, SQL, a web page, a spreadsheet, a shell, a path, a format of ours.
const NAMES: &[&str] = &[
    "\\u001b[2J\\u001b]0;owned\\u0007\\u009b31m",
    "\\u202eKMQ\\u2066",
    "'; DROP TABLE localstore_runs; --",
    "Robert\\\"); DELETE FROM benchmark_runs; --",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1:A9)",
    "-2+3\\t=1",
    "../../../../tmp/owned",
    "/etc/passwd\\u0000.json",
    "$(touch owned)`touch owned`",
    "a|b|c",
    "a,b\\\"c\\\",\\nd",
    "}]}\\n{\\\"runtime_info\\\": {",
    "%s%n%d",
    "{model}",
    "NULL",
    "\\ufeffLlama",
];

/// What a person looks at: no byte of it may do anything in a terminal.
const FOR_PEOPLE: &[&str] = &[
    "list",
    "list -o md",
    "best",
    "history",
    "compare 1 2",
    "rm --dry-run 1 2",
    "merge --dry-run other.db",
    "add --dry-run first.json second.json",
    "check",
];

#[test]
fn hostile_names_are_data_everywhere() {
    let golden = String::from_utf8(read_fixture("golden/gpu-reps4.json")).unwrap();
    for name in NAMES {
        let sandbox = Sandbox::new();
        // In the strings of the tests, which are escaped, and of the header, which are not.
        let first = golden
            .replace("Llama 3.2 1B Instruct\"", &format!("{name}\""))
            .replace("Q4_K - Medium\"", &format!("{name}\""))
            .replace("NVIDIA GeForce RTX 4090", name)
            .replace("\"NVIDIA\"", &format!("\"{name}\""));
        let second = first.replace("\"gen_tps\": 4", "\"gen_tps\": 5");
        sandbox.file("first.json", &first);
        sandbox.file("second.json", &second);
        let other = fixture("golden/gpu-rtx4090-8b.json");
        sandbox.run(["add", "--db", "other.db", "first.json"]).ok();
        sandbox
            .run([
                "add".as_ref(),
                "first.json".as_ref(),
                "second.json".as_ref(),
                other.as_os_str(),
            ])
            .ok();
        let store = sandbox.store();
        assert_right(&sandbox, store.to_str().unwrap());

        for command in FOR_PEOPLE {
            let ran = sandbox.run(command.split(' '));
            assert_eq!(ran.code, Some(0), "{name}: {command}: {}", ran.stderr);
            for text in [&ran.text(), &ran.stderr] {
                let bad = |c: &char| {
                    (c.is_control() && *c != '\n')
                        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert_eq!(text.chars().find(bad), None, "{name}: {command}: {text:?}");
            }
        }

        // For programs, the name is the same in each format.
        for format in ["json", "csv"] {
            // In a log of everything, such a line of a quoted value reads as a json that begins.
            if format == "csv" && name.contains("runtime_info") {
                continue;
            }
            let text = sandbox.run(["export", "1", "-o", format]).ok();
            let said = sandbox.run_with_input(["add"], &text).text();
            assert!(
                said.starts_with("already stored as run 1: "),
                "{name}: {format}: {said}"
            );
        }
        let expected: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        let jsonl: serde_json::Value =
            serde_json::from_slice(&sandbox.run(["export", "1", "-o", "jsonl"]).ok()).unwrap();
        assert_eq!(jsonl["results"][0]["model_name"], expected);
        let list: serde_json::Value =
            serde_json::from_slice(&sandbox.run(["list", "-o", "json"]).ok()).unwrap();
        assert_eq!(list[2]["model"], expected);
        let csv = sandbox.run(["list", "-o", "csv"]).ok();
        let mut reader = csv::Reader::from_reader(&csv[..]);
        let record = reader.records().last().unwrap().unwrap();
        assert_eq!(&record[3], expected);

        // As a filter it is a text too, and as the name of a run there is none.
        let found = sandbox.run([
            "list",
            "-o",
            "jsonl",
            &format!("--model={}", expected.replace('\0', "")),
        ]);
        found.ok();
        sandbox.run(["tag", "--", &expected.replace('\0', "x"), "1"]);
        assert_right(&sandbox, store.to_str().unwrap());
        let mut names: Vec<String> = std::fs::read_dir(sandbox.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [".llamafile", "first.json", "other.db", "second.json"]
        );
    }
}

/// Tables count columns in 16 bits, and lay out a long cell for a long time.
#[test]
fn long_names_are_cut_for_people_and_whole_for_programs() {
    for name in ["e".repeat(65_600), "e\u{301}".repeat(40_000)] {
        let long: &'static str = String::leak(name);
        let name = |day, model, accelerator, version| Bench {
            day,
            model,
            accelerator,
            version,
            ..Bench::default()
        };
        let mut benches = vec![
            name(1, long, "GPU", "1"),
            name(2, long, "GPU", "1"),
            name(3, "model", long, "1"),
        ];
        benches.extend((4..=9).map(|day| name(day, "model", "GPU", long)));
        let sandbox = store(&benches);
        sandbox.run(["chat", "add", long, "--model", long]).ok();
        let message = ["message", "add", "1", "user"];
        sandbox.run_with_input(message, long.as_bytes()).ok();
        for command in [
            "list",
            "list -o md",
            "best",
            "best -o md",
            "history",
            "history -o md",
            "history --model model --accelerator GPU",
            "compare 1 2",
            "compare -o md 1 2",
            "report",
            "plot history",
            "plot compare 1 2",
            "plot context",
            "chat list",
            "chat search e",
            "message list 1",
        ] {
            let start = Instant::now();
            let text = sandbox.run(command.split(' ')).text();
            // Far more than it takes, and far less than it took.
            assert!(start.elapsed().as_secs() < 10, "{command}");
            let is_table = ["list", "best", "chat", "message"];
            if is_table.iter().any(|first| command.starts_with(first)) {
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(longest.unwrap() < 20_000, "{command}");
            }
        }
        for command in ["export --all -o csv", "export --all -o json", "list -o csv"] {
            let text = sandbox.run(command.split(' ')).ok();
            let found = memchr::memmem::find(&text, &long.as_bytes()[..1000]);
            assert!(found.is_some(), "{command}");
        }
    }
}
