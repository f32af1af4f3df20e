//! `export`: which runs, in which order, to where.

use crate::sandbox::{Sandbox, read_fixture};

fn three_runs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/cpu-i7-14b.json",
        "golden/gpu-reps4.json",
        "golden/second-gpu.json",
    ]);
    sandbox
}

fn golden(name: &str) -> String {
    String::from_utf8(read_fixture(&format!("golden/{name}"))).unwrap()
}

#[test]
fn without_a_name_the_last_run_is_printed_as_a_table() {
    let sandbox = three_runs();
    assert_eq!(sandbox.run(["export"]).text(), golden("second-gpu.md"));
    assert_eq!(
        sandbox.run(["export", "-o", "console"]).text(),
        golden("second-gpu.md")
    );
}

#[test]
fn runs_come_in_the_order_in_which_they_are_named() {
    let sandbox = three_runs();
    let json = sandbox
        .run(["export", "-o", "json", "last", "1", "last~1"])
        .text();
    let expected = [
        golden("second-gpu.json"),
        golden("cpu-i7-14b.json"),
        golden("gpu-reps4.json"),
    ];
    assert_eq!(json, expected.join("\n"));
}

#[test]
fn all_runs_come_in_the_order_in_which_they_were_added_under_one_header() {
    let sandbox = three_runs();
    let csv = sandbox.run(["export", "-o", "csv", "--all"]).text();
    let header = golden("cpu-i7-14b.csv").lines().next().unwrap().to_owned() + "\n";
    let rows = |name: &str| golden(name).strip_prefix(&header).unwrap().to_owned();
    let expected =
        header.clone() + &rows("cpu-i7-14b.csv") + &rows("gpu-reps4.csv") + &rows("second-gpu.csv");
    assert_eq!(csv, expected);
}

#[test]
fn filters_choose() {
    let sandbox = three_runs();
    let json = sandbox
        .run(["export", "-o", "json", "--accelerator", "radeon"])
        .text();
    assert_eq!(json, golden("second-gpu.json"));
    let ran = sandbox.run(["export", "--model", "gpt"]);
    assert_eq!(ran.code, Some(1));
    let models = "models: Llama 3.2 1B Instruct, Meta Llama 3.1 8B Instruct, … (3)";
    assert_eq!(
        ran.stderr,
        format!("localstore: no run matches --model gpt\nhint: {models}\n")
    );
    let message = sandbox.run(["export", "1", "--all"]).failed();
    assert_eq!(message, "invalid parameter for: 1");
}

#[test]
fn jsonl_is_json_whatever_the_values_are() {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/nan-stddev.json",
        "golden/escapes-in-model.json",
        "golden/utf8-model.csv",
        "golden/no-tests.json",
    ]);
    sandbox.run(["tag", "odd", "1"]).ok();
    let lines = sandbox.run(["export", "--all", "-o", "jsonl"]).text();
    let runs: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(runs.len(), 4);
    assert_eq!(runs[0]["id"], 1);
    assert_eq!(runs[0]["tags"][0], "odd");
    assert_eq!(
        runs[0]["results"][0]["prompt_tps_stddev"],
        serde_json::Value::Null
    );
    assert_eq!(
        runs[0]["results"][0]["samples_ns"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    assert_eq!(
        runs[1]["results"][0]["model_name"],
        "He said \"8B\" \\ back/slash\u{1}tab\tend"
    );
    assert_eq!(runs[2]["results"][0]["model_name"], "Qwen2.5‑7B 中文 é");
    assert_eq!(runs[2]["system_info"]["cpu_name"], serde_json::Value::Null);
    assert_eq!(runs[3]["partial"], true);
    assert!(runs[3]["added_at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_csv_run_exports_as_json_what_is_known() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.csv"]);
    let exported = sandbox.run(["export", "-o", "json"]).ok();
    let json: serde_json::Value = serde_json::from_slice(&exported).unwrap();
    assert_eq!(json["accelerator_info"]["name"], serde_json::Value::Null);
    assert_eq!(json["results"][0]["prompt_tps"], 32_006.670_051);
    let copy = Sandbox::new();
    copy.run_with_input(["add"], &exported).ok();
    assert_eq!(
        copy.run(["export", "-o", "csv"]).text(),
        golden("gpu-reps4.csv")
    );
    let table = sandbox.run(["export"]).text();
    assert!(table.contains(" ? - ? "), "{table}");
}

#[test]
fn a_file_is_written_whole_and_keeps_its_permissions() {
    let sandbox = three_runs();
    let path = sandbox.file("out.json", "old");
    sandbox
        .run(["export", "-o", "json", "1", "--out", "out.json"])
        .ok();
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        golden("cpu-i7-14b.json")
    );

    let left = std::fs::read_dir(sandbox.path()).unwrap().count();
    let message = sandbox.run(["export", "--out", "no/such/folder"]).failed();
    assert_eq!(message, "no/such/folder: no such file or directory");
    let message = sandbox.run(["export", "--out", ".llamafile"]).failed();
    assert_eq!(message, ".llamafile: is a directory");
    assert_eq!(std::fs::read_dir(sandbox.path()).unwrap().count(), left);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        sandbox
            .run(["export", "-o", "json", "2", "--out", "out.json"])
            .ok();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o604
        );
    }
}

#[test]
fn an_unknown_run_is_named() {
    let sandbox = three_runs();
    for (name, message) in [
        ("4", "run 4: no such run"),
        ("0", "run 0: no such run"),
        ("-1", "-1: no such run or tag"),
        ("last~3", "last~3: no such run"),
        ("last~", "last~: no such run or tag"),
        ("last~x", "last~x: no such run or tag"),
        ("nobody", "nobody: no such run or tag"),
        ("5-9", "5-9: no such run"),
        ("3,4", "3,4: no such run"),
        (
            "99999999999999999999",
            "run 99999999999999999999: no such run",
        ),
    ] {
        assert_eq!(sandbox.run(["export", "--", name]).failed(), message);
    }
}

#[test]
fn jsonl_brings_back_quotes_in_the_header_and_speeds_that_are_no_numbers() {
    let golden = String::from_utf8(read_fixture("golden/gpu-reps4.json")).unwrap();
    let odd = golden
        .replacen("NVIDIA GeForce RTX 4090", r#"A "q" \ B"#, 1)
        .replacen(r#""prompt_tps": 32006.670051"#, r#""prompt_tps": nan"#, 1);
    assert!(odd.contains("nan"));
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["add"], odd.as_bytes()).ok();
    let jsonl = sandbox.run(["export", "-o", "jsonl"]).ok();
    let again = sandbox.run_with_input(["add"], &jsonl).text();
    assert!(again.starts_with("already stored as run 1"), "{again}");
    let other = Sandbox::new();
    other.run_with_input(["add"], &jsonl).ok();
    assert_eq!(other.run(["export", "-o", "json"]).text(), odd);
}

/// printf pads by as many spaces as it is asked for; a title is cut, but its whole length counts.
#[test]
fn a_title_of_any_length_is_padded_as_c_pads_it() {
    let sandbox = three_runs();
    let name = "x".repeat(140_000);
    let long = golden("gpu-reps4.json").replace("Llama 3.2 1B Instruct", &name);
    sandbox.run_with_input(["add"], long.as_bytes()).ok();
    let detail = " - Q4_K - Medium";
    let over = name.len() + detail.len() - 99;
    let (left, right) = (over / 2, over - over / 2);
    let title = format!(
        "|{}{}{}|",
        " ".repeat(left),
        &name[..255],
        " ".repeat(right)
    );
    for args in [
        &["export", "-o", "md"][..],
        &["export", "--all", "-o", "md"],
        &["show"],
    ] {
        let text = sandbox.run(args).text();
        assert!(text.lines().any(|line| line == title), "{args:?}");
    }
}
