//! Terminal logs: what people really have after a benchmark.

use localstore::capture::{Capture, Found, Options};
use localstore::formats::console;
use localstore::model::Run;

use crate::sandbox::{Sandbox, fixture, read_fixture};

/// The last state of each row of the table in a capture of the console.
fn table_in(capture: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let mut borders = 0;
    for line in capture.lines() {
        let again = line.strip_prefix("\u{1b}[A\u{1b}[2K");
        borders += usize::from(line.starts_with("+-"));
        if again.is_some() {
            lines.pop();
        }
        if borders > 0 {
            lines.push(again.unwrap_or(line));
        }
        if borders == 3 {
            break;
        }
    }
    lines.join("\n") + "\n"
}

fn text(name: &str) -> String {
    String::from_utf8(read_fixture(name)).unwrap()
}

/// The runs of a text, and the remarks.
fn read(text: &[u8], partial: bool) -> (Vec<Run>, Vec<String>) {
    let options = Options {
        partial,
        ..Options::default()
    };
    let (mut runs, mut remarks) = (Vec::new(), Vec::new());
    for found in Capture::new(text, options) {
        match found.unwrap() {
            Found::Run(document) => runs.push(document.run),
            Found::Bad { why, .. } => remarks.push(why),
            Found::Link(_) | Found::Note { .. } | Found::Pause => {}
        }
    }
    (runs, remarks)
}

#[test]
fn the_table_of_a_console_log_comes_back() {
    for name in ["capture-console", "capture-console-plain-reps4"] {
        let sandbox = Sandbox::new();
        sandbox.add([format!("captures/{name}.stdout.txt").as_str()]);
        let expected = table_in(&text(&format!("captures/{name}.stdout.txt")));
        assert_eq!(sandbox.run(["export"]).text(), expected, "{name}");
    }
}

#[test]
fn a_table_alone_comes_back_however_it_was_pasted() {
    for case in [
        "gpu-rtx4090-8b",
        "gpu-reps4",
        "reps2-cpu-slow-overflow",
        "sub-millisecond",
        "utf8-model",
        "utf8-accelerator",
        "prompt-only-and-gen-only",
        "empty-optional-strings",
        "long-names",
    ] {
        let golden = text(&format!("golden/{case}.md"));
        let lines: Vec<&str> = golden.lines().collect();
        let quoted = format!("> {}\r\n", lines.join("\r\n> "));
        let indented = format!("    {}  \n", lines.join("  \n    "));
        let fenced = format!("Here it is:\n\n```\n{golden}```\n");
        for pasted in [&golden, &quoted, &indented, &fenced] {
            let (runs, remarks) = read(pasted.as_bytes(), false);
            assert!(remarks.is_empty(), "{case}: {remarks:?}");
            let mut table = Vec::new();
            console::write(&mut table, &runs[0]).unwrap();
            assert_eq!(String::from_utf8_lossy(&table), golden, "{case}");
        }
    }
}

#[test]
fn rounded_values_are_marked_and_the_json_of_the_run_completes_them() {
    let sandbox = Sandbox::new();
    let table = fixture("golden/gpu-reps4.md");
    let said = sandbox.run(["add".as_ref(), table.as_os_str()]).text();
    assert!(said.contains(", score 6986, rounded values"), "{said}");
    assert!(sandbox.run(["list"]).text().contains("~6986"));
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["export", "-o", "jsonl"]).ok()).unwrap();
    assert_eq!(json["rounded"], true);
    assert_eq!(json["results"][0]["model_size"], serde_json::Value::Null);

    let json = fixture("golden/gpu-reps4.json");
    let said = sandbox.run(["add".as_ref(), json.as_os_str()]).text();
    assert!(said.starts_with("run 1, completed: "), "{said}");
    for format in ["json", "csv", "md"] {
        let exported = sandbox.run(["export", "--all", "-o", format]).ok();
        assert_eq!(
            exported,
            read_fixture(&format!("golden/gpu-reps4.{format}"))
        );
    }
    let said = sandbox.run(["add".as_ref(), table.as_os_str()]).text();
    assert!(said.starts_with("already stored as run 1: "), "{said}");
}

#[test]
fn the_older_layout_with_a_power_column_is_read() {
    let log = "\
+--------------------------------------------------------------------------------------------+
|                             NVIDIA GeForce RTX 3090 - 23.59 GiB                            |
|                           My - Model 14B Instruct - Q4_K - Medium                          |
+--------------------------------------------------------------------------------------------+
|          test | run number | avg time   | power      | tokens processed | pp t/s  | tg t/s  | ttft    |
| ------------- | ---------- | ---------- | ---------- | ---------------- | ------- | ------- | ------- |
|   pp1024+tg16 | 1/1        | 688.98 ms  | 312.52 W   | 1040 / 1040      | 2369.70 | 62.29   | 2.11 s  |
+--------------------------------------------------------------------------------------------+
Result Link: https://www.localscore.ai/result/2
";
    let (runs, remarks) = read(log.as_bytes(), false);
    assert_eq!((runs.len(), remarks.len()), (1, 0));
    let test = &runs[0].tests[0];
    assert_eq!(test.power_watts, Some(312.52));
    assert_eq!(test.ttft_ms, Some(2110.0));
    assert_eq!(
        test.model.model_name,
        Some("My - Model 14B Instruct".into())
    );
    assert_eq!(test.model.model_quant_str, Some("Q4_K - Medium".into()));
    assert_eq!(runs[0].environment.accelerator.memory_gb, Some(23.59));
}

#[test]
fn banners_tell_what_csv_and_table_lack() {
    for (name, format) in [
        ("capture-csv", "csv"),
        ("capture-console", "md"),
        ("capture-console-plain-reps4", "md"),
    ] {
        let sandbox = Sandbox::new();
        // As with 2>&1: stderr is not buffered, so its text comes first.
        let mixed = text(&format!("captures/{name}.stderr.txt"))
            + &text(&format!("captures/{name}.stdout.txt"));
        sandbox.run_with_input(["add"], mixed.as_bytes()).ok();
        let json: serde_json::Value =
            serde_json::from_slice(&sandbox.run(["export", "-o", "jsonl"]).ok()).unwrap();
        let golden: serde_json::Value =
            serde_json::from_slice(&read_fixture("golden/gpu-rtx4090-8b.json")).unwrap();
        assert_eq!(json["runtime_info"], golden["runtime_info"], "{name}");
        assert_eq!(json["system_info"], golden["system_info"], "{name}");
        for key in ["name", "memory_gb", "type"] {
            assert_eq!(
                json["accelerator_info"][key], golden["accelerator_info"][key],
                "{name}"
            );
        }
        // What is printed is still what was captured.
        if format == "csv" {
            let exported = sandbox.run(["export", "-o", format]).text();
            assert!(mixed.contains(&exported));
        }
    }
}

#[test]
fn a_run_on_the_cpu_has_the_cpu_for_its_accelerator() {
    let banner = text("captures/capture-csv.stderr.txt");
    let (system, _) = banner.split_once("Active GPU").unwrap();
    let log = system.to_owned() + &text("golden/cpu-i7-14b.csv");
    let (runs, _) = read(log.as_bytes(), false);
    let accelerator = &runs[0].environment.accelerator;
    assert_eq!(accelerator.kind, Some("CPU".into()));
    assert_eq!(accelerator.memory_gb, Some(62.5));
    // A csv of a GPU run does not tell which GPU.
    let log = system.to_owned() + &text("golden/gpu-reps4.csv");
    let (runs, _) = read(log.as_bytes(), false);
    assert_eq!(runs[0].environment.accelerator.name, None);
}

#[test]
fn a_result_link_makes_the_run_a_submitted_one() {
    let sandbox = Sandbox::new();
    let log = text("captures/capture-json.stdout.txt")
        + &text("captures/capture-json-submitted.stdout.txt");
    assert!(log.contains("Result Link: "));
    sandbox.run_with_input(["add"], log.as_bytes()).ok();
    let links = |id: &str| -> serde_json::Value {
        let line = sandbox.run(["export", "-o", "jsonl", id]).ok();
        serde_json::from_slice::<serde_json::Value>(&line).unwrap()["link"].clone()
    };
    assert_eq!(links("1"), serde_json::Value::Null);
    let link = links("2");
    assert!(log.contains(link.as_str().unwrap()), "{link}");
    let state: (String, i64) = sandbox
        .db()
        .query_row(
            "SELECT state, remote_id FROM localstore_submissions WHERE run_id = 2",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(state.0, "submitted");
    assert!(link.as_str().unwrap().ends_with(&format!("/{}", state.1)));
}

#[test]
fn an_interrupted_log_is_stored_only_on_demand() {
    let sandbox = Sandbox::new();
    let log = fixture("captures/capture-json-interrupted.stdout.txt");
    let message = sandbox.run(["add".as_ref(), log.as_os_str()]).failed();
    assert!(
        message.ends_with(": the document is cut off after 5 whole tests; --partial stores them"),
        "{message}"
    );
    assert!(!sandbox.store().exists());
    let said = sandbox
        .run(["add".as_ref(), "--partial".as_ref(), log.as_os_str()])
        .text();
    assert!(said.ends_with("partial: 5 of 9 tests\n"), "{said}");

    // Text behind it, and another run behind that.
    let more = text("captures/capture-json-interrupted.stdout.txt")
        + "\n^C\n$ localscore\n"
        + &text("golden/cpu-i7-14b.json");
    let (runs, remarks) = read(more.as_bytes(), true);
    assert_eq!((runs.len(), remarks.len()), (2, 0), "{remarks:?}");
    assert_eq!((runs[0].tests.len(), runs[1].tests.len()), (5, 9));
}

/// Whatever one run was interrupted by, the next one in the log is found.
#[test]
fn an_interrupted_run_takes_nothing_of_the_next_one() {
    let json = text("captures/capture-json.stdout.txt");
    let csv = text("captures/capture-csv.stdout.txt");
    let table = text("captures/capture-console.stdout.txt");
    let behind = ["", "\n", "^C\n", "\n^C\n$ localscore -m x\n", "\n$ ls\n"];
    for (first, least) in [(&json, 700), (&csv, 700), (&table, 500)] {
        for cut in (least..first.len() * 2 / 3).step_by(first.len() / 23) {
            for behind in behind {
                for next in [&json, &csv, &table] {
                    let log = format!(
                        "{}{behind}\n{next}",
                        &first[..first.floor_char_boundary(cut)]
                    );
                    let (runs, remarks) = read(log.as_bytes(), true);
                    let last = runs.last().map(|run| run.tests.len());
                    let shown = format!("cut at {cut} before {behind:?}: {remarks:?}");
                    assert_eq!(last, Some(9), "{shown}");
                    assert!(runs.len() + remarks.len() <= 2, "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_link_belongs_to_the_run_right_before_it() {
    let sandbox = Sandbox::new();
    let bad = text("captures/capture-json-submitted.stdout.txt").replacen(
        "\"n_gen\": 16",
        "\"n_gen\": x",
        1,
    );
    let log = text("captures/capture-json.stdout.txt") + &bad;
    assert_eq!(
        sandbox.run_with_input(["add"], log.as_bytes()).code,
        Some(1)
    );
    let line = sandbox.run(["export", "-o", "jsonl"]).text();
    assert!(line.contains("\"link\":null"), "{line}");
}

#[test]
fn a_banner_is_of_the_run_that_follows_and_of_its_machine() {
    let banner = text("captures/capture-csv.stderr.txt");
    let csv = text("golden/gpu-reps4.csv");
    let (runs, _) = read(
        format!("{banner}\n{csv}\n\n{}", text("golden/second-gpu.csv")).as_bytes(),
        false,
    );
    assert!(runs[0].environment.system.cpu_name.is_some());
    assert_eq!(runs[1].environment.system.cpu_name, None);
    let other = text("golden/second-gpu.md");
    let (runs, _) = read(format!("{banner}\n{other}").as_bytes(), false);
    assert_eq!(runs[0].environment.system.cpu_name, None);
}

#[test]
fn a_message_between_two_rows_costs_nothing() {
    let csv = text("golden/gpu-reps4.csv");
    let mut lines: Vec<&str> = csv.lines().collect();
    lines.insert(4, "ggml_cuda: a warning");
    let (runs, remarks) = read((lines.join("\n") + "\n").as_bytes(), false);
    assert_eq!((runs.len(), runs[0].tests.len(), remarks.len()), (1, 9, 0));
}

#[test]
fn a_table_that_was_not_closed_is_not_closed_by_the_next_one() {
    let golden = text("golden/gpu-reps4.md");
    let open = golden.lines().take(10).collect::<Vec<_>>().join("\n");
    let (runs, remarks) = read(format!("{open}\n{golden}").as_bytes(), false);
    assert_eq!((runs.len(), runs[0].tests.len()), (1, 9));
    assert!(remarks[0].contains("cut off after"), "{remarks:?}");
    // A row that was not finished is no test, whatever follows.
    let unfinished = golden.replace("17408 / 17408", "2048 / 17408");
    let (runs, remarks) = read(unfinished.as_bytes(), false);
    assert!(runs.is_empty());
    assert!(
        remarks[0].contains("cut off after 7 whole tests"),
        "{remarks:?}"
    );
}

/// Cut anywhere, a log gives the tests of the whole one, from the first on, or none.
#[test]
fn what_is_stored_of_a_log_that_is_cut_anywhere_is_a_beginning_of_it() {
    for name in [
        "capture-console",
        "capture-console-plain-reps4",
        "capture-csv",
        "capture-json-nan-submit",
    ] {
        let log = read_fixture(&format!("captures/{name}.stdout.txt"));
        let whole = read(&log, true).0.remove(0);
        let shown = |run: &Run| format!("{:?}", run.tests);
        let mut lengths = std::collections::BTreeSet::new();
        for end in (0..log.len()).chain([log.len()]) {
            let (runs, _) = read(&log[..end], true);
            assert!(runs.len() <= 1, "{name} at {end}");
            for run in runs {
                let count = run.tests.len();
                let mut beginning = whole.clone();
                beginning.tests.truncate(count);
                assert_eq!(shown(&run), shown(&beginning), "{name} at {end}");
                lengths.insert(count);
            }
            // Without the option, only what is whole is taken: a csv tells by its rows alone.
            if !name.contains("csv") {
                let (runs, remarks) = read(&log[..end], false);
                assert!(
                    runs.iter().all(|run| run.tests.len() == 9),
                    "{name} at {end}"
                );
                assert_eq!(runs.len() + remarks.len(), 1, "{name} at {end}");
            }
        }
        assert!(lengths.len() >= 8, "{name}: {lengths:?}");
    }
}

#[test]
fn powershells_utf16_and_a_tail_of_zeros_are_read() {
    for name in [
        "captures/capture-json.stdout.txt",
        "captures/capture-csv.stdout.txt",
        "captures/capture-console.stdout.txt",
        "golden/utf8-accelerator.json",
    ] {
        let plain = text(name);
        let expected = read(plain.as_bytes(), false).0;
        let crlf = plain.replace('\n', "\r\n");
        let utf16: Vec<u8> = std::iter::once(0xfeff)
            .chain(crlf.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let big_endian: Vec<u8> = std::iter::once(0xfeff)
            .chain(plain.encode_utf16())
            .flat_map(u16::to_be_bytes)
            .collect();
        // As iconv writes it: without a byte order mark.
        let bare = utf16[2..].to_vec();
        let bare_big = big_endian[2..].to_vec();
        let zeros = [plain.as_bytes(), &[0; 4096]].concat();
        for other in [utf16, big_endian, bare, bare_big, zeros, crlf.into_bytes()] {
            let (runs, remarks) = read(&other, false);
            assert!(remarks.is_empty(), "{name}: {remarks:?}");
            assert_eq!(runs, expected, "{name}");
        }
    }
    // Cut in the middle and padded: as good as cut.
    let json = text("golden/gpu-reps4.json");
    let padded = [&json.as_bytes()[..5000], &[0; 3192]].concat();
    let (runs, remarks) = read(&padded, false);
    assert!(runs.is_empty());
    assert!(remarks[0].contains("cut off after"), "{remarks:?}");
}

#[test]
fn what_a_csv_lacks_can_be_told_and_what_it_tells_stays() {
    let sandbox = Sandbox::new();
    let machine = [
        "--accelerator",
        "NVIDIA GeForce RTX 4090",
        "--accelerator-type",
        "gpu",
        "--memory-gb",
        "24",
        "--cpu",
        "Some CPU",
        "--ram-gb",
        "62.5",
        "--runtime-version",
        "0.9.3",
    ];
    let csv = fixture("golden/gpu-reps4.csv");
    let mut command = sandbox.command(["add"]);
    command.args(machine).arg(&csv);
    assert!(command.status().unwrap().success());
    let table = sandbox.run(["export"]).text();
    assert!(
        table.contains("NVIDIA GeForce RTX 4090 - 24.0 GiB"),
        "{table}"
    );
    assert_eq!(
        sandbox.run(["export", "-o", "csv"]).ok(),
        read_fixture("golden/gpu-reps4.csv")
    );
    let scores: i64 = sandbox
        .db()
        .query_row(
            "SELECT count(*) FROM accelerator_model_performance_scores",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(scores, 1);
    // The json knows better.
    sandbox.add(["golden/gpu-reps4.json"]);
    assert_eq!(
        sandbox.run(["export", "--all", "-o", "json"]).ok(),
        read_fixture("golden/gpu-reps4.json")
    );

    // A json tells everything, so nothing is taken from the options.
    let mut command = sandbox.command(["add"]);
    command.args(machine).arg(fixture("golden/second-gpu.json"));
    assert!(command.status().unwrap().success());
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture("golden/second-gpu.json")
    );
    assert_eq!(
        sandbox.run(["add", "--accelerator-type", "NPU"]).failed(),
        "invalid parameter for: --accelerator-type"
    );
}

#[test]
fn other_clients_are_stored_under_the_name_that_they_give() {
    let (runs, remarks) = read(
        br#"{"runtime_info": {"name": "other-client", "version": null}, "accelerator_info": {"name": "X", "memory_gb": ""},
        "results": [{"name": "pp8+tg8", "n_prompt": "8", "n_gen": 8.0, "prompt_tps": "1.5e3", "gen_tps": 20,
                     "ttft_ms": null, "model_name": "", "power_watts": ""}]}"#,
        false,
    );
    assert!(remarks.is_empty(), "{remarks:?}");
    assert_eq!(
        runs[0].environment.runtime.name,
        Some("other-client".into())
    );
    let test = &runs[0].tests[0];
    assert_eq!(
        (
            test.n_prompt,
            test.prompt_tps,
            test.ttft_ms,
            test.power_watts
        ),
        (8, Some(1500.0), None, None)
    );

    let csv = "test,n_prompt,n_gen,prompt_tps,gen_tps,ttft_ms\npp8+tg8,8,8,1500,20,\n\n# Summary\n# avg_prompt_tps,1500\n";
    let (runs, remarks) = read(csv.as_bytes(), false);
    assert!(remarks.is_empty(), "{remarks:?}");
    assert_eq!(runs[0].tests[0].name, "pp8+tg8".into());
}

#[test]
fn output_of_other_programs_is_refused_by_name() {
    let bench = "this is llama-bench output, not LocalScore's";
    let cases = [
        (
            "ggml_init: 1 device\n[\n  {\n    \"build_commit\": \"d0d5b223\",\n    \"cpu_info\": \"x\",\n    \"avg_ts\": 1.0\n  }\n]\n",
            bench,
        ),
        (
            "[\n  {\n    \"build_commit\": \"d0d5b223\",\n    \"cpu_info\": \"x\",\n    \"backe",
            bench,
        ),
        (
            "build_commit,n_prompt,n_gen,test_time,avg_ns,stddev_ns,avg_ts,stddev_ts\n\"a\",\"1\",\"2\",\"t\",\"1\",\"1\",\"1\",\"1\"\n",
            bench,
        ),
        (
            "| model | size | params | backend | test | t/s |\n| --- | --- | --- | --- | --- | --- |\n",
            bench,
        ),
        (
            "{\"build_commit\": \"x\", \"n_prompt\": 512, \"n_gen\": 0, \"avg_ts\": 5.5}\n",
            bench,
        ),
        (
            "+-----------------------------------------------------------------------------------------+\n| NVIDIA-SMI 550.54   Driver Version: 550.54 |\n",
            "this is nvidia-smi output, not LocalScore's",
        ),
        (
            "timestamp, name, utilization.gpu [%], memory.used [MiB]\n2025/06/15, NVIDIA GeForce RTX 4090, 3 %, 1 MiB\n",
            "this is nvidia-smi output, not LocalScore's",
        ),
    ];
    for (text, why) in cases {
        let (runs, remarks) = read(text.as_bytes(), false);
        assert!(runs.is_empty());
        assert_eq!(remarks, [why], "{text}");
    }
}

/// The script for people who have a LocalScore binary, with a stand-in that prints what one did.
#[cfg(unix)]
#[test]
fn the_conformance_script_finds_what_differs() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let captures = fixture("captures");
    let script = |csv: &str| {
        let path = sandbox.file(
            "localscore",
            format!(
                "#!/bin/sh\ncase $4 in json) f=capture-json;; csv) f={csv};; *) f=capture-console;; esac\n\
                 cat '{0}'/$f.stderr.txt >&2\ncat '{0}'/$f.stdout.txt\n",
                captures.display()
            ),
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let run = |localscore: &std::path::Path| {
        std::process::Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/run.sh"))
            .args([localscore.as_os_str(), "model.gguf".as_ref()])
            .env("LOCALSTORE", assert_cmd::cargo::cargo_bin!("localstore"))
            .output()
            .unwrap()
    };
    let output = run(&script("capture-csv"));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "json: the same\ncsv: the same\nconsole: the same\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
    // A binary that prints json where csv was asked for.
    let output = run(&script("capture-json"));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("csv: NOT the same"));
}

#[test]
fn a_result_link_is_an_address_on_a_site() {
    let json = text("captures/capture-json.stdout.txt");
    for link in [
        "javascript:alert(1)/result/7",
        "file:///result/7",
        "https:///result/7",
        "https://user:secret@example.org/result/7",
        "https://example.org/result/7?x=/result/7",
        "https://example.org/<b>/result/7",
        "https://example.org/7",
        "result/7",
        "7",
    ] {
        let sandbox = Sandbox::new();
        let log = format!("{json}\nResult Link: {link}\n");
        sandbox.run_with_input(["add"], log.as_bytes()).ok();
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert!(list.contains("\"submission\":\"never\""), "{link}: {list}");
    }
}
