//! `list`: the table, the formats for programs, filters, order.

use crate::sandbox::{Sandbox, fixture};

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/cpu-i7-14b.json",
        "golden/gpu-reps4.json",
        "golden/second-gpu.json",
        "golden/utf8-model.csv",
        "golden/single-test.json",
    ]);
    sandbox.run(["tag", "Baseline", "2", "3"]).ok();
    sandbox
}

/// The ids that are listed with these arguments.
fn ids(sandbox: &Sandbox, args: &[&str]) -> Vec<u64> {
    let mut all = vec!["list", "-o", "jsonl"];
    all.extend(args);
    let text = sandbox.run(all).text();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|run| run["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_table_is_for_people() {
    let sandbox = store();
    insta::assert_snapshot!(sandbox.run(["list"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    id  measured    model                                       accelerator                                         score    pp t/s  tg t/s   ttft ms  tags
     5  2025-06-15  Meta Llama 3.1 8B Instruct - Q4_K - Medium  NVIDIA GeForce RTX 4090                      2044 partial   8338.23  133.51    130.26
     4  2025-06-15  Qwen2.5‑7B 中文 é - Q4_K - Medium           ?                                                    1884   8342.55  133.35    166.16
     3  2025-06-15  Meta Llama 3.1 8B Instruct - Q4_K - Medium  AMD Radeon RX 7900 XTX                               1875   8305.28  133.32    167.96  Baseline
     2  2025-06-15  Llama 3.2 1B Instruct - Q4_K - Medium       NVIDIA GeForce RTX 4090                              6986  32035.43  476.19     44.73  Baseline
     1  2025-06-15  Qwen2.5 14B Instruct - Q4_K - Medium        Intel Core i7-7700K CPU @ 4.20GHz (skylake)            26     52.61    8.48  25320.18
    --- stderr
    ");
}

#[test]
fn the_formats_hold_the_same_runs() {
    let sandbox = store();
    let csv = sandbox.run(["list", "-o", "csv"]).text();
    assert_eq!(csv.lines().count(), 6);
    assert!(csv.starts_with("id,measured_at,added_at,model,quant,accelerator,"));
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["list", "-o", "json"]).ok()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    assert_eq!(json[0]["id"], 5);
    assert_eq!(json[0]["partial"], true);
    assert_eq!(json[1]["accelerator"], serde_json::Value::Null);
    assert_eq!(json[2]["tags"][0], "Baseline");
    assert_eq!(json[4]["measured_at"], "2025-06-15T15:06:40Z");
    let md = sandbox.run(["list", "-o", "md"]).text();
    assert_eq!(md.lines().count(), 7);
    assert!(md.lines().nth(1).unwrap().starts_with("|---:|"), "{md}");
}

#[test]
fn filters_match_anywhere_whatever_the_case() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &[]), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&sandbox, &["--model", "QWEN"]), [4, 1]);
    assert_eq!(ids(&sandbox, &["--model", "中文 É"]), [4]);
    assert_eq!(
        ids(&sandbox, &["--quant", "medium", "--accelerator", "rtx"]),
        [5, 2]
    );
    assert_eq!(ids(&sandbox, &["--accelerator", "%"]), [0; 0]);
    assert_eq!(ids(&sandbox, &["--runtime", "llamafile 0.9"]), [5, 3, 2, 1]);
    assert_eq!(ids(&sandbox, &["--tag", "base"]), [3, 2]);
}

#[test]
fn times_are_those_of_the_measurement() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &["--since", "2025-06-15"]).len(), 5);
    assert_eq!(ids(&sandbox, &["--since", "2025-06-16"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--until", "2025-06-15"]).len(), 5);
    assert_eq!(ids(&sandbox, &["--until", "2025-06-15T15:06:39Z"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--since", "1d"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--until", "1d"]).len(), 5);
}

#[test]
fn the_order_can_be_chosen_and_the_length() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &["--sort", "score"])[0], 2);
    assert_eq!(ids(&sandbox, &["--sort", "ttft"])[0], 2);
    assert_eq!(ids(&sandbox, &["--sort", "tg"])[4], 1);
    assert_eq!(ids(&sandbox, &["--sort", "model"])[0], 2);
    assert_eq!(ids(&sandbox, &["--limit", "2"]), [5, 4]);
    assert_eq!(ids(&sandbox, &["--limit", "0"]).len(), 5);
}

#[test]
fn an_empty_list_says_so_and_is_no_error() {
    let sandbox = store();
    let ran = sandbox.run(["list", "--model", "gpt"]);
    assert_eq!(ran.ok(), b"");
    assert!(ran.stderr.ends_with("no run matches\n"), "{}", ran.stderr);
    assert_eq!(
        sandbox.run(["list", "--model", "gpt", "-o", "json"]).text(),
        "[]\n"
    );
}

#[test]
fn the_runs_of_a_csv_keep_their_order() {
    let sandbox = Sandbox::new();
    let files = ["golden/second-gpu.csv", "golden/gpu-reps4.csv"].map(fixture);
    sandbox
        .run(["add".as_ref(), files[0].as_os_str(), files[1].as_os_str()])
        .ok();
    assert_eq!(ids(&sandbox, &["--model", "Llama 3.2"]), [2]);
}
