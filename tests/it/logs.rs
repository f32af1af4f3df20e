//! Logs, pipes and files with results in them: what `add` makes of them.

use crate::behind::behind;
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
fn rounded_values_are_marked_and_the_json_of_the_run_completes_them() {
    let sandbox = Sandbox::new();
    let table = fixture("golden/gpu-reps4.md");
    let said = sandbox.run(["add".as_ref(), table.as_os_str()]).text();
    assert!(said.contains(", score ~6986, measured ~"), "{said}");
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
        message.ends_with(": cut off after 5 of 9 tests"),
        "{message}"
    );
    assert!(!sandbox.store().exists());
    let said = sandbox
        .run(["add".as_ref(), "--partial".as_ref(), log.as_os_str()])
        .text();
    assert!(said.ends_with("partial: 5 of 9 tests\n"), "{said}");
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

#[test]
fn an_indented_csv_is_the_same_run_as_without_its_indentation() {
    let indented = text("bad/h4-indented.csv");
    let flat: String = indented
        .lines()
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    let sandbox = Sandbox::new();
    sandbox.add(["bad/h4-indented.csv"]);
    let said = sandbox.run_with_input(["add"], flat.as_bytes()).text();
    assert!(said.starts_with("already stored as run 1"), "{said}");
}

#[test]
fn a_banner_that_is_left_out_is_said() {
    let banner = text("captures/capture-csv.stderr.txt");
    let csv = text("captures/capture-csv.stdout.txt");
    let sandbox = Sandbox::new();
    let log = banner.replace("CPU:                 ", "CPU: ") + &csv;
    let said = sandbox.run_with_input(["add", "-v"], log.as_bytes());
    assert!(said.stderr.contains("is left out"), "{}", said.stderr);
}

#[test]
fn a_csv_of_two_decimals_is_completed_by_the_json_of_its_run() {
    let golden: serde_json::Value =
        serde_json::from_slice(&read_fixture("golden/cpu-i7-14b.json")).unwrap();
    let rows = golden["results"].as_array().unwrap().iter().map(|test| {
        let number = |key: &str| test[key].as_f64().unwrap();
        let (pp, tg) = (number("prompt_tps"), number("gen_tps"));
        let ttft = number("ttft_ms");
        format!(
            "{},{},{},{pp:.2},{tg:.2},{ttft:.2}\n",
            test["name"].as_str().unwrap(),
            test["n_prompt"],
            test["n_gen"]
        )
    });
    let csv =
        "test,n_prompt,n_gen,prompt_tps,gen_tps,ttft_ms\n".to_owned() + &rows.collect::<String>();
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["add"], csv.as_bytes()).ok();
    let json = fixture("golden/cpu-i7-14b.json");
    let said = sandbox.run(["add".as_ref(), json.as_os_str()]).text();
    assert!(said.starts_with("run 1, completed: "), "{said}");
    assert_eq!(
        sandbox.run(["export", "-o", "json"]).ok(),
        read_fixture("golden/cpu-i7-14b.json")
    );
    let said = sandbox.run_with_input(["add"], csv.as_bytes()).text();
    assert!(said.starts_with("already stored as run 1: "), "{said}");
}

#[test]
fn a_csv_of_six_decimals_takes_the_place_of_one_of_two() {
    let six = "test,n_prompt,n_gen,prompt_tps,gen_tps\npp8+tg8,8,8,1500.123456,20.654321\n";
    let two = "test,n_prompt,n_gen,prompt_tps,gen_tps\npp8+tg8,8,8,1500.12,20.65\n";
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["add"], two.as_bytes()).ok();
    let said = sandbox.run_with_input(["add"], six.as_bytes()).text();
    assert!(said.starts_with("run 1, completed: "), "{said}");
    assert!(
        sandbox
            .run(["export", "-o", "csv"])
            .text()
            .contains("\"1500.123456\"")
    );
    let said = sandbox.run_with_input(["add"], two.as_bytes()).text();
    assert!(said.starts_with("already stored as run 1: "), "{said}");
}

#[test]
fn a_link_behind_a_prefix_belongs_to_its_run() {
    let sandbox = Sandbox::new();
    let log = behind(&text("captures/capture-json-submitted.stdout.txt"), |_| {
        "> ".into()
    });
    sandbox.run_with_input(["add"], log.as_bytes()).ok();
    let line = sandbox.run(["export", "-o", "jsonl"]).text();
    assert!(line.contains("\"link\":\"http"), "{line}");
}

#[test]
fn the_link_of_an_indented_log_belongs_to_its_run() {
    let sandbox = Sandbox::new();
    let log = text("captures/capture-json-submitted.stdout.txt");
    let log = behind(&log, |_| "  ".into());
    sandbox.run_with_input(["add"], log.as_bytes()).ok();
    let line = sandbox.run(["export", "-o", "jsonl"]).text();
    assert!(line.contains("\"link\":\"http"), "{line}");
}

/// Stretches without a newline, such as those of a file that was sparse when the power went, and
/// small pieces without an end: with little memory, through a pipe. (A reader that keeps what it
/// passes over is killed; one that looks at it again and again does not end.)
#[cfg(target_os = "linux")]
#[test]
fn stretches_of_anything_take_little_memory() {
    use std::io::Write;
    const LENGTH: usize = 96 << 20;
    let shapes: [(&str, &str); 14] = [
        ("", "\0"),
        ("", " "),
        ("", "["),
        ("", ","),
        ("", "\n"),
        ("", "a"),
        ("", "\u{1b}["),
        ("{\"results\":[", "{\"n_gen\":1},"),
        ("{\"results\":[],", "\"a\":1,"),
        ("{\"results\":[{\"samples_ns\":[", "1,"),
        ("{\"runtime_info\":{", "\"a\":1,"),
        ("name,n_prompt,n_gen,prompt_tps,gen_tps\n", "x\n"),
        ("{\"log\":\"", "a"),
        ("> {\n> \"results\": [\n", "> \"\n"),
    ];
    for (head, unit) in shapes {
        let sandbox = Sandbox::new();
        // All of the text would not fit.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 90000; exec \"$@\"", "sh"])
            .arg(assert_cmd::cargo::cargo_bin!("localstore"))
            .arg("add")
            .env_clear()
            .env("HOME", sandbox.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(head.as_bytes()).unwrap();
        let block = unit.repeat((64 << 10) / unit.len());
        for _ in 0..LENGTH / block.len() {
            stdin.write_all(block.as_bytes()).unwrap();
        }
        drop(stdin);
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(1), "{head:?} and {unit:?}");
    }
}
