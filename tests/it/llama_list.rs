//! Runs of llama-bench in `list`, `best`, `show` and what names a run, alone and beside LocalScore's.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::completions::offered;
use crate::sandbox::{Ran, Sandbox};

/// The tests of run 1 differ in a setting and in depth; run 5 is LocalScore's.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/llama-bench/v-b5361-depth.json",
        "golden/llama-bench/v-b6065-two-models.json",
        "golden/gpu-reps4.json",
    ]);
    sandbox
}

/// The output on a screen of this width, of which no line is wider.
fn on_screen(sandbox: &Sandbox, width: usize, args: &[&str]) -> String {
    let mut command = sandbox.command(args);
    command.env("COLUMNS", width.to_string());
    let ran = Ran::from(command.output().unwrap());
    ran.ok();
    for line in ran.text().lines().chain(ran.stderr.lines()) {
        assert!(line.width() <= width, "{args:?}, {width}: {line}");
    }
    ran.text() + &ran.stderr
}

fn ids(sandbox: &Sandbox, args: &[&str]) -> Vec<u64> {
    let args = [&args[..1], &["-o", "jsonl"], &args[1..]].concat();
    let ran = sandbox.run(args);
    ran.ok();
    let rows = ran.text();
    let ids = rows.lines().map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        row["id"].as_u64().unwrap()
    });
    ids.collect()
}

fn json(sandbox: &Sandbox, args: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&sandbox.run(args).ok()).unwrap()
}

#[test]
fn a_list_has_a_tool_only_where_both_are_there_and_no_score_is_ever_0() {
    let sandbox = store();
    let list = |width, args: &[&str]| on_screen(&sandbox, width, &[&["list"], args].concat());
    insta::assert_snapshot!(list(80, &[]), @r"
    id  measured    tool         model          quant   accelerator  score  tg t/s
     5  2025-06-15  LocalScore   Llama 3.2 1B…  Q4_K_M  RTX 4090      6986  476.19
     4  2025-08-02  llama-bench  llama 8B       Q4_K_M  RTX 4090            135.19
     3  2025-08-02  llama-bench  gemma3 1B      Q4_0    RTX 4090             53.22
     2  2025-08-02  llama-bench  llama 8B       Q4_K_M  RTX 4090            148.89
     1  2025-05-13  llama-bench  llama 8B       Q4_K_M  RTX 4090            149.73
    localstore: hidden: pp, ttft; '--columns all' shows them
    ");
    insta::assert_snapshot!(list(60, &[]), @r"
    id  measured          quant   accelerator  score  tg t/s
     5  2025-06-15 15:06  Q4_K_M  RTX 4090      6986  476.19
     4  2025-08-02 02:00  Q4_K_M  RTX 4090            135.19
     3  2025-08-02 02:00  Q4_0    RTX 4090             53.22
     2  2025-08-02 02:00  Q4_K_M  RTX 4090            148.89
     1  2025-05-13 01:33  Q4_K_M  RTX 4090            149.73
    localstore: hidden: model, tool, pp, ttft; '--columns all'
    shows them
    ");
    insta::assert_snapshot!(list(40, &[]), @r"
    id  measured    quant   score  tg t/s
     5  2025-06-15  Q4_K_M   6986  476.19
     4  2025-08-02  Q4_K_M         135.19
     3  2025-08-02  Q4_0            53.22
     2  2025-08-02  Q4_K_M         148.89
     1  2025-05-13  Q4_K_M         149.73
    localstore: hidden: accelerator, model,
    tool, pp, ttft; '--columns all' shows
    them
    ");
    insta::assert_snapshot!(list(80, &["--tool", "llama-bench"]), @r"
    id  measured          model      quant   accelerator  tg t/s
     4  2025-08-02 02:00  llama 8B   Q4_K_M  RTX 4090     135.19
     3  2025-08-02 02:00  gemma3 1B  Q4_0    RTX 4090      53.22
     2  2025-08-02 02:00  llama 8B   Q4_K_M  RTX 4090     148.89
     1  2025-05-13 01:33  llama 8B   Q4_K_M  RTX 4090     149.73
    localstore: hidden: pp; '--columns all' shows them
    ");
    let both = sandbox.run(["list"]).text();
    assert!(
        both.starts_with("id  measured          tool         model "),
        "{both}"
    );
    for tool in ["llama-bench", "localscore"] {
        let one = sandbox.run(["list", "--tool", tool]).text();
        assert!(!one.contains(" tool "), "{one}");
        let asked = sandbox.run(["list", "--tool", tool, "--columns", "id,tool"]);
        assert!(asked.text().starts_with("id  tool\n"));
    }
    let all = json(&sandbox, &["list", "-o", "json"]);
    assert_eq!(all[0]["tool"], "localscore");
    assert_eq!(all[1]["tool"], "llama-bench");
    assert_eq!(all[1]["score"], serde_json::Value::Null);
    assert_eq!(all[1]["avg_ttft_ms"], serde_json::Value::Null);
    assert_eq!(all[2]["model"], "gemma3 1B Q4_0");
    let csv = sandbox.run(["list", "-o", "csv"]).text();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let heads = rows.headers().unwrap().clone();
    let place = |name| heads.iter().position(|head| head == name).unwrap();
    for row in rows.records().map(Result::unwrap).skip(1) {
        assert_eq!(&row[place("tool")], "llama-bench");
        assert_eq!([&row[place("score")], &row[place("avg_ttft_ms")]], ["", ""]);
    }
    let none = sandbox.run(["list", "-o", "csv", "--model", "zzz"]).text();
    assert!(none.ends_with(",measured_guessed,tool\n"), "{none}");
    // These are of one tool each.
    for command in [
        &["best", "-o", "csv"][..],
        &["best", "-o", "json", "--tool", "llama-bench"],
        &["show", "5", "-o", "json"],
        &["show", "5", "--details"],
    ] {
        let text = sandbox.run(command).text();
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        assert!(!words.any(|word| word == "tool"), "{command:?}: {text}");
    }
}

#[test]
fn runs_are_found_by_tool_file_words_and_sorted_behind_those_with_a_score() {
    let sandbox = store();
    let list = |args: &[&str]| ids(&sandbox, &[&["list"], args].concat());
    assert_eq!(list(&["--tool", "llama-bench"]), [4, 3, 2, 1]);
    assert_eq!(list(&["--tool", "localscore"]), [5]);
    assert_eq!(list(&["--model", "8B.GGUF"]), [2, 1]);
    assert_eq!(list(&["--model", "gemma3"]), [3]);
    assert_eq!(list(&["1B IT'S"]), [3]);
    assert_eq!(
        list(&["--quant", "q4_k_m", "4090", "--tool", "llama-bench"]),
        [4, 2, 1]
    );
    assert_eq!(list(&["--runtime", "b6065"]), [4, 3, 2]);
    for key in ["score", "ttft"] {
        assert_eq!(list(&["--sort", key])[0], 5);
    }
    assert_eq!(list(&["--sort", "tg"]), [5, 1, 2, 4, 3]);
    let ran = sandbox.run(["list", "--tool", "llama-bench", "--model", "zzz"]);
    assert_eq!(
        ran.stderr.lines().next(),
        Some("localstore: no run matches --model zzz --tool llama-bench")
    );
    sandbox.run(["rm", "-y", "1-4"]).ok();
    let none = sandbox.run(["list", "--tool", "llama-bench"]);
    none.ok();
    assert_eq!(
        none.stderr,
        "localstore: no run matches --tool llama-bench\n\
         hint: localstore record -- llama-bench -m model.gguf -oe jsonl\n"
    );
}

#[test]
fn files_of_one_configuration_are_told_apart_by_name() {
    let sandbox = Sandbox::new();
    let row = |file: &str, speed: u32| {
        format!(
            r#"{{"build_commit": "abc", "build_number": 6700, "cpu_info": "C", "gpu_info": "G", "model_filename": "{file}", "model_type": "llama 8B Q8_0", "n_prompt": 0, "n_gen": 8, "avg_ts": {speed}.5}}"#
        )
    };
    let rows = [row("tuned/a.gguf", 10), row("b.gguf", 20)].join("\n");
    let file = sandbox.file("two.jsonl", rows);
    sandbox.run(["add", file.to_str().unwrap()]).ok();
    assert_eq!(ids(&sandbox, &["list", "--model", "TUNED"]), [1]);
    assert_eq!(ids(&sandbox, &["list", "--model", "b.gguf"]), [2]);
    assert_eq!(ids(&sandbox, &["list", "--model", "llama 8b"]), [2, 1]);
    assert_eq!(ids(&sandbox, &["list", "tuned"]), [1]);
    let best = ["best", "--tool", "llama-bench", "--model", "tuned"];
    assert_eq!(ids(&sandbox, &best), [1]);
}

#[test]
fn the_best_are_of_localscore_unless_the_tool_is_named() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &["best"]), [5]);
    assert_eq!(ids(&sandbox, &["best", "--tool", "llama-bench"]), [1, 3]);
    let table = sandbox.run(["best", "--tool", "llama-bench"]).text();
    assert!(!table.contains("LocalScore"), "{table}");
    let run = sandbox.run(["show", "best"]).text();
    assert!(run.starts_with("run 5: score "), "{run}");
    sandbox.run(["rm", "-y", "5"]).ok();
    let none = sandbox.run(["best"]);
    assert_eq!(none.ok(), b"");
    assert!(
        none.stderr.starts_with("localstore: no "),
        "{}",
        none.stderr
    );
    let none = sandbox.run(["show", "best"]);
    assert_eq!(none.failed(), "best: no such run");
}

#[test]
fn a_run_is_shown_with_the_settings_in_which_its_tests_differ() {
    let sandbox = store();
    let show = |width, args: &[&str]| {
        let text = on_screen(&sandbox, width, &[&["show"], args].concat());
        let (before, rest) = text.split_once("added 20").unwrap();
        let minute = "25-01-01 12:00".len();
        format!("{before}added (now){}", &rest[minute..])
    };
    insta::assert_snapshot!(show(80, &["1"]), @r"
    run 1: pp512 7452.49 t/s, tg128 149.73 t/s, 8 tests
    llama 8B, Q4_K - Medium, NVIDIA GeForce RTX 4090

    measured   2025-05-13 01:33:27 UTC, added (now)
    machine    AMD Ryzen 9 7950X 16-Core Processor
               NVIDIA GeForce RTX 4090
    backend    CUDA
    runtime    llama.cpp b5361 (cf0a43bb), 5 repetitions
    model      models/8b.gguf, 4.58 GiB, 8.03 B parameters
    settings   n_batch=2048, n_ubatch=512, n_threads=16, cpu_mask=0x0, cpu_strict=0,
               poll=50, type_k=f16, type_v=f16, n_gpu_layers=99, split_mode=layer,
               main_gpu=0, no_kv_offload=0, tensor_split=0.00,
               tensor_buft_overrides=none, defrag_thold=-1.000000, use_mmap=1,
               embeddings=0, no_op_offload=0
    tags       none
    source     json

    test           fa  t/s
    pp512           0  7452.49 ± 0.6%
    tg128           0   149.73 ± 1.3%
    pp512 @ d4096   0  6142.54 ± 1.2%
    tg128 @ d4096   0   124.12 ± 0.6%
    pp512           1  7484.74 ± 1.4%
    tg128           1   148.84 ± 1.3%
    pp512 @ d4096   1  6216.76 ± 1.4%
    tg128 @ d4096   1   122.85 ± 0.9%
    ");
    let narrow = show(40, &["1"]);
    assert!(
        narrow.contains("\ntest           fa  t/s\npp512           0  7452.49\n"),
        "{narrow}"
    );
    let details = on_screen(&sandbox, 200, &["show", "1", "--details"]);
    for line in [
        "build_commit  ",
        "n_batch  ",
        "pp512 flash_attn=1.avg_ts  ",
        "model_size  ",
    ] {
        assert!(details.contains(&format!("\n{line}")), "{line}: {details}");
    }
    let run = json(&sandbox, &["show", "1", "-o", "json"]);
    assert_eq!(run["tool"], "llama-bench");
    assert_eq!(run["tests"], 8);
    assert_eq!(run["build_number"], 5361);
    assert_eq!(run["system_info"]["cpu_name"], run["cpu_info"]);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 8);
    assert_eq!(results[6]["name"], "pp512 @ d4096");
    assert_eq!(results[6]["n_depth"], 4096);
    assert_eq!(results[6]["flash_attn"], true);
    assert_eq!(results[6]["type_k"], "f16");
    assert_eq!(results[6]["samples_ns"].as_array().unwrap().len(), 5);
    assert_eq!(results[6]["samples_ts"].as_array().unwrap().len(), 5);
}

#[test]
fn what_has_no_room_is_said_to_be_hidden_and_many_tests_are_cut() {
    let sandbox = Sandbox::new();
    let mut rows = String::new();
    for test in 1..=1200 {
        let many: Vec<String> = (0..9)
            .map(|setting| format!("\"setting_{setting}\": {}", setting + test % 2))
            .collect();
        let _ = writeln!(
            rows,
            "{{\"model_type\": \"llama 8B Q8_0\", {}, \"n_prompt\": {test}, \"n_gen\": 0, \"avg_ts\": nan}}",
            many.join(", ")
        );
    }
    let file = sandbox.file("many.jsonl", rows);
    sandbox.run(["add", file.to_str().unwrap()]).ok();
    let text = on_screen(&sandbox, 80, &["show"]);
    assert!(text.starts_with("run 1: pp1 "), "{text}");
    assert!(text.contains("\nlocalstore: hidden: setting_"), "{text}");
    assert!(
        text.contains("\nlocalstore: 1000 of 1200 tests; '-o json' has all\n"),
        "{text}"
    );
    assert!(text.contains("\npp1000 ") && !text.contains("\npp1001 "));
    let run = json(&sandbox, &["show", "-o", "json"]);
    assert_eq!(run["results"].as_array().unwrap().len(), 1200);
    assert_eq!(run["results"][0]["avg_ts"], serde_json::Value::Null);
    assert_eq!(run["results"][1]["setting_3"], 3);
}

#[test]
fn what_only_localscore_has_is_refused_in_one_line() {
    let sandbox = store();
    for (args, why) in [
        (
            &["score", "1"][..],
            "run 1: no score: llama-bench measured it, and only LocalScore has one",
        ),
        (
            &["submit", "--dry-run", "1"],
            "run 1: not sent: llama-bench measured it, and the site takes LocalScore's runs",
        ),
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.failed(), why);
        assert_eq!(ran.stderr.lines().count(), 1);
        assert_eq!(ran.stdout, b"");
    }
    // Others are printed.
    let ran = sandbox.run(["submit", "--dry-run", "1", "5"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, sandbox.run(["submit", "--dry-run", "5"]).ok());
}

#[cfg(feature = "network")]
#[test]
fn nothing_is_sent_of_llama_bench() {
    let sandbox = store();
    let ran = sandbox.run(["submit", "-y", "1"]);
    assert_eq!(
        ran.failed(),
        "run 1: not sent: llama-bench measured it, and the site takes LocalScore's runs"
    );
    assert_eq!(ran.stderr.lines().count(), 1);
    let run = json(
        &sandbox,
        &[
            "list",
            "-o",
            "json",
            "--tool",
            "llama-bench",
            "--limit",
            "1",
        ],
    );
    assert_eq!(run[0]["submission"], "never");
}

#[test]
fn a_run_is_described_by_model_quantisation_accelerator_and_speeds() {
    let sandbox = store();
    let line = "llama 8B, Q4_K_M, RTX 4090, pp 7452.5 t/s, tg 149.73 t/s, 8 tests";
    let removed = sandbox.run(["rm", "--dry-run", "1"]).text();
    assert_eq!(removed, format!("would remove run 1: {line}\n"));
    let file = crate::sandbox::fixture("golden/llama-bench/v-b5361-depth.json");
    let added = sandbox.run(["add", file.to_str().unwrap()]).text();
    assert_eq!(added, format!("already stored as run 1: {line}\n"));
    sandbox.run(["tag", "base", "1"]).ok();
    assert!(
        sandbox
            .run(["show", "base"])
            .text()
            .contains("\ntags       base\n")
    );
    // Wine starts a program more slowly than a shell waits.
    if cfg!(windows) {
        return;
    }
    let runs = offered(&sandbox, &["show", ""]);
    let run = "1\tQ4_K_M llama 8B, RTX 4090, 2025-05-13";
    assert!(runs.iter().any(|line| line.starts_with(run)), "{runs:?}");
    let tools = offered(&sandbox, &["list", "--tool", ""]);
    let tools: Vec<&str> = tools
        .iter()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(tools, ["localscore", "llama-bench"]);
}
