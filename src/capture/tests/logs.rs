//! Terminal logs, as users have them after a benchmark.

use super::{cuts, read_fixture, text};
use crate::capture::{Capture, Found, Nothing, Options};
use crate::formats::console;
use crate::model::Run;

/// The runs and messages of a text.
fn read(text: &[u8], partial: bool) -> (Vec<Run>, Vec<String>) {
    let options = Options {
        partial,
        ..Options::default()
    };
    let (mut runs, mut remarks) = (Vec::new(), Vec::new());
    for found in Capture::new(text, options) {
        match found.unwrap() {
            Found::Run(document) => runs.push(document.run),
            Found::Bench(mut document) => runs.extend(document.read_runs().unwrap()),
            Found::Bad { why, .. } | Found::Nothing(Nothing::Foreign { why, .. }) => {
                remarks.push(why);
            }
            Found::Nothing(nothing) => remarks.push(format!("{nothing:?}")),
            Found::Link(_) | Found::Note { .. } | Found::Pause => {}
        }
    }
    (runs, remarks)
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
fn text_after_an_interrupted_log_does_not_matter() {
    let more = text("captures/capture-json-interrupted.stdout.txt")
        + "\n^C\n$ localscore\n"
        + &text("golden/cpu-i7-14b.json");
    let (runs, remarks) = read(more.as_bytes(), true);
    assert_eq!((runs.len(), remarks.len()), (2, 0), "{remarks:?}");
    assert_eq!((runs[0].tests.len(), runs[1].tests.len()), (5, 9));
}

/// Whatever one run was interrupted by, the next one in the log is found.
#[test]
fn an_interrupted_run_takes_nothing_from_the_next_one() {
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
fn a_banner_belongs_to_the_next_run_on_its_machine() {
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
fn a_table_without_its_last_border_is_not_closed_by_the_next_one() {
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
        remarks[0].contains("cut off after 7 of 9 tests"),
        "{remarks:?}"
    );
}

/// Cut anywhere, a log gives the tests of the whole one, from the first on, or none.
#[test]
fn a_log_cut_anywhere_yields_the_first_tests_of_the_whole_log() {
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
        for end in cuts(log.len()).chain([log.len()]) {
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
fn other_clients_are_stored_under_their_own_names() {
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
    let cases = [
        (
            "+-----------------------------------------------------------------------------------------+\n| NVIDIA-SMI 550.54   Driver Version: 550.54 |\n",
            "nvidia-smi",
        ),
        (
            "timestamp, name, utilization.gpu [%], memory.used [MiB]\n2025/06/15, NVIDIA GeForce RTX 4090, 3 %, 1 MiB\n",
            "nvidia-smi",
        ),
        (
            "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n",
            "llama-batched-bench",
        ),
        (
            "{\"n_kv_max\": 4096, \"n_batch\": 2048, \"pp\": 128, \"tg\": 32, \"pl\": 2, \"n_kv\": 320, \"t_pp\": 0.1, \"speed_pp\": 1280.0}\n",
            "llama-batched-bench",
        ),
        (
            "main: n_kv_max = 8192\n\n|    PP |     TG |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |\n",
            "llama-sweep-bench",
        ),
        (
            "{\"n_kv_max\": 4096, \"n_batch\": 2048, \"pp\": 128, \"tg\": 32, \"n_kv\": 0, \"t_pp\": 0.1, \"speed_pp\": 1280.0}\n",
            "llama-sweep-bench",
        ),
        (
            "Testing 2 devices\n\nBackend 1/2: CUDA0\n  Device description: RTX 4090\n",
            "test-backend-ops",
        ),
        (
            "  MUL_MAT(type_a=f32,n=1):     852 runs -  1180.12 us/run - 117.44 MFLOP/run - \u{1b}[1;34m 99.52 GFLOPS\u{1b}[0m\n",
            "test-backend-ops",
        ),
        (
            "\"backend_name\",\"op_name\",\"op_params\",\"test_mode\"\n\"CPU\",\"ADD\",\"type=f32\",\"support\"\n",
            "test-backend-ops",
        ),
        (
            "INSERT INTO test_backend_ops (test_time, build_commit, backend_name, op_name) VALUES ('', 'x', 'CPU', 'ADD');\n",
            "test-backend-ops",
        ),
    ];
    for (text, name) in cases {
        let (runs, remarks) = read(text.as_bytes(), false);
        assert!(runs.is_empty());
        assert_eq!(remarks, [format!("this is {name} output")], "{text}");
        // Beside a result it is passed over.
        let row = r#"{"n_prompt": 512, "n_gen": 0, "avg_ts": 5.5}"#;
        let found = super::all(format!("{row}\n{text}").as_bytes());
        assert_eq!(found[0], "document of 1 rows", "{text}");
        assert!(
            found[1].ends_with(&format!("note: passed over {name} output")) || name == "nvidia-smi",
            "{found:?}"
        );
    }
}
