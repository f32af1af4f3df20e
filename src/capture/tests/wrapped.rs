//! Results inside other text: after time stamps, indented, between other programs' lines, nested in
//! another document.

use super::behind::behind;
use super::{read_fixture, text};
use crate::capture::{Capture, Found, Nothing, Options};
use crate::formats::{console, csv, json, jsonl};
use crate::model::{Run, Source};

/// The items in a text: runs, errors, and notes, which only `-v` prints.
#[derive(Default)]
struct Read {
    runs: Vec<Run>,
    bad: Vec<String>,
    notes: Vec<String>,
}

fn read(text: &[u8]) -> Read {
    let mut read = Read::default();
    for found in Capture::new(text, Options::default()) {
        match found.unwrap() {
            Found::Run(document) => read.runs.push(document.run),
            Found::Bench(mut document) => read.runs.extend(document.read_runs().unwrap()),
            Found::Bad { line, why, .. } | Found::Nothing(Nothing::Foreign { line, why }) => {
                read.bad.push(format!("{line}: {why}"));
            }
            Found::Nothing(nothing) => read.bad.push(format!("{nothing:?}")),
            Found::Note { line, message } => read.notes.push(format!("{line}: {message}")),
            Found::Link(_) | Found::Pause => {}
        }
    }
    read
}

/// The only run of a text.
#[track_caller]
fn one(text: impl AsRef<[u8]>) -> Run {
    let mut read = read(text.as_ref());
    assert_eq!((read.runs.len(), &read.bad), (1, &vec![]));
    read.runs.remove(0)
}

fn printed(run: &Run, format: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match format {
        "csv" => {
            csv::write_header(&mut out).unwrap();
            csv::write_tests(&mut out, run).unwrap();
        }
        "json" => json::write(&mut out, run).unwrap(),
        _ => console::write(&mut out, run).unwrap(),
    }
    out
}

#[test]
fn every_format_is_read_after_the_prefixes_of_logs() {
    type Prefix = (&'static str, fn(usize) -> String);
    let prefixes: [Prefix; 13] = [
        ("a quotation", |_| "> ".into()),
        ("a code block", |_| "    ".into()),
        ("GitHub", |n| {
            format!("2026-03-01T12:00:{:02}.1234567Z ", n % 60)
        }),
        ("gh run view --log", |n| {
            format!("bench\tRun localscore\t2026-03-01T12:00:{:02}.1Z ", n % 60)
        }),
        ("GitLab", |n| {
            format!("2026-03-01T12:00:{:02}.123456Z 00O ", n % 60)
        }),
        ("docker logs -t", |n| {
            format!("2026-03-01T12:00:00.{}Z ", 1_000_007 * (n + 1))
        }),
        ("docker compose", |_| "bench-1  | ".into()),
        ("docker compose, coloured", |_| {
            "\u{1b}[36mbench-1  | \u{1b}[0m".into()
        }),
        ("journald", |n| {
            format!("Jun 15 15:06:{:02} host localscore[123]: ", n % 60)
        }),
        ("ts", |n| format!("Jun  {} 23:59:{:02} ", 9, n % 60)),
        ("ts -s %.s", |n| format!("{}.123456 ", 1_718_463_999 + n)),
        ("cat -n", |n| format!("{:6}\t", n + 1)),
        ("log4j", |n| {
            format!("2026-03-01 12:00:{:02},123 INFO  ", n % 60)
        }),
    ];
    let around = |document: String| {
        format!("Loading model... Model loaded.\n\n{document}\n\nLocalScore: 7\n")
    };
    for case in ["gpu-reps4", "cpu-i7-14b", "escapes-in-model"] {
        for format in ["json", "csv", "md"] {
            let golden = text(&format!("golden/{case}.{format}"));
            for (what, prefix) in prefixes {
                let log = behind(&around(golden.clone()), prefix);
                let run = one(&log);
                let printed = String::from_utf8(printed(&run, format)).unwrap();
                assert_eq!(printed, golden, "{case}.{format} behind {what}");
                // Once more where trailing spaces are gone, and with the ends of lines of Windows.
                let trimmed: String = log
                    .lines()
                    .map(|line| line.trim_end().to_owned() + "\r\n")
                    .collect();
                assert_eq!(one(&trimmed), run, "{case}.{format} behind {what}");
            }
        }
    }
}

#[test]
fn one_log_may_have_documents_with_and_without_a_prefix() {
    let json = text("golden/gpu-reps4.json");
    let csv = text("golden/cpu-i7-14b.csv");
    let table = text("golden/second-gpu.md");
    let log = [
        behind(&json, |_| "> ".into()),
        csv.clone(),
        "\nand\n".into(),
        behind(&table, |n| format!("{n}: ")),
        json.clone(),
        behind(&csv, |_| "job | ".into()),
    ]
    .concat();
    let read = read(log.as_bytes());
    assert_eq!(read.bad, Vec::<String>::new());
    let formats = ["json", "csv", "md", "json", "csv"];
    let expected = [&json, &csv, &table, &json, &csv];
    assert_eq!(read.runs.len(), formats.len());
    for ((run, format), expected) in read.runs.iter().zip(formats).zip(expected) {
        assert_eq!(&String::from_utf8(printed(run, format)).unwrap(), expected);
    }
}

#[test]
fn banners_are_read_after_a_prefix_too() {
    let stderr = text("captures/capture-csv.stderr.txt");
    let log = stderr + &text("captures/capture-csv.stdout.txt");
    let expected = one(&log).environment;
    assert!(expected.system.cpu_name.is_some() && expected.accelerator.name.is_some());
    for prefix in ["> ", "    ", "bench-1  | "] {
        assert_eq!(one(behind(&log, |_| prefix.into())).environment, expected);
    }
    let stamped = behind(&log, |n| format!("2026-03-01T12:{:02}:00Z ", n % 60));
    assert_eq!(one(stamped).environment, expected);
}

#[test]
fn a_result_after_an_unknown_prefix_gets_a_hint() {
    // Each line has a different word before it.
    let csv = behind(&text("golden/cpu-i7-14b.csv"), |n| {
        format!("worker{} ", char::from(b'a' + u8::try_from(n).unwrap()))
    });
    let read = read(csv.as_bytes());
    assert!(read.runs.is_empty());
    assert_eq!(read.bad.len(), 1);
    assert!(
        read.bad[0].starts_with("1: this looks like a part of a LocalScore result"),
        "{:?}",
        read.bad
    );
}

#[test]
fn captures_that_were_once_read_wrongly() {
    // An indented csv is the same run as without its indentation.
    let indented = text("bad/h4-indented.csv");
    let run = one(&indented);
    let flat: String = indented
        .lines()
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect();
    assert_eq!(one(&flat), run);
    assert_eq!(run.tests[0].model.build_commit, Some("a30b324".into()));
    let other = one(text("bad/h4-indented-other-client.csv"));
    assert_eq!(
        (other.tests.len(), other.tests[0].name.clone()),
        (9, "pp1024+tg16".into())
    );

    // Other programs' labels are no banner, and change none.
    let run = one(text("bad/h5-pip-show-then-csv.log"));
    assert_eq!(run.environment, crate::model::Environment::default());
    let run = one(text("bad/h5-banner-then-pip-show-then-csv.log"));
    let system = &run.environment.system;
    assert_eq!(
        system.version,
        Some("#52-Ubuntu SMP PREEMPT_DYNAMIC Thu Dec  5 13:09:44 UTC 2024".into())
    );
    let accelerator = &run.environment.accelerator;
    assert_eq!(accelerator.name, Some("NVIDIA GeForce RTX 3060".into()));

    // The index of a data frame is an unknown column.
    let frame = one(text("bad/h7-pandas-index.csv"));
    assert_eq!(frame.tests, one(&indented).tests);

    // Another program's lines between the rows.
    let whole = one(text("bad/h8-stderr-line-with-comma-in-csv.log"));
    assert_eq!(whole.tests.len(), 9);
    assert_eq!(
        one(text("bad/h8-stderr-line-without-comma-in-csv.log")),
        whole
    );
    assert_eq!(one(text("bad/h9-gha.log")).tests, whole.tests);

    // Nested in another document.
    let wrapped = one(text("bad/h10-wrapped.json"));
    assert_eq!(
        wrapped.environment.accelerator.name,
        Some("NVIDIA A100-SXM4-80GB".into())
    );
    assert_eq!(wrapped.tests.len(), 9);
}

#[test]
fn a_banner_that_is_not_as_localscore_prints_it_is_left_out_and_noted() {
    let banner = text("captures/capture-csv.stderr.txt");
    let csv = text("captures/capture-csv.stdout.txt");
    let whole = one(banner.clone() + &csv).environment;
    let lacking = [
        // A line is missing, stands twice or elsewhere, or is padded otherwise.
        banner.replace("CPU:                 ", "CPU: "),
        banner.replace("Kernel Type:         Linux\n", ""),
        banner.replace("RAM:  ", "CPU:                 Another\nRAM:  "),
        banner.replace("Kernel Release:", "Version:       "),
    ];
    for banner in lacking {
        let read = read((banner.clone() + &csv).as_bytes());
        let environment = &read.runs[0].environment;
        assert_eq!(environment.system, crate::model::SystemInfo::default());
        assert_eq!(environment.runtime, whole.runtime);
        assert!(
            read.notes[0].contains("'System Information' is not as LocalScore prints it"),
            "{:?}",
            read.notes
        );
    }
    // A warning between two of its lines changes nothing.
    let warned = banner.replace("CPU:  ", "ggml_cuda_init: found 1 device\nCPU:  ");
    assert_eq!(one(warned + &csv).environment, whole);
    // A system block that no runtime block precedes may be another program's.
    let (_, system) = banner.split_once("=====\n\n\u{1b}[0m").unwrap();
    let read = read((system.to_owned() + &csv).as_bytes());
    assert_eq!(
        read.runs[0].environment,
        crate::model::Environment::default()
    );
}

#[test]
fn semicolons_tabs_and_decimal_commas_are_read() {
    let golden = text("golden/cpu-i7-14b.csv");
    let expected = one(&golden);
    let unquoted = golden.replace('"', "");
    for delimiter in [';', '\t'] {
        let other = golden.replace("\",\"", &format!("\"{delimiter}\""));
        let (header, rows) = other.split_once('\n').unwrap();
        let header = header.replace(',', &delimiter.to_string());
        assert_eq!(one(format!("{header}\n{rows}")), expected, "{delimiter:?}");
        assert_eq!(
            one(unquoted.replace(',', &delimiter.to_string())),
            expected,
            "{delimiter:?}"
        );
    }
    let (header, rows) = unquoted.split_once('\n').unwrap();
    let german: String = rows
        .lines()
        .map(|row| {
            let cells = row.split(',').map(|cell| match cell.parse::<f64>() {
                Ok(_) => cell.replace('.', ","),
                Err(_) => cell.to_owned(),
            });
            cells.collect::<Vec<_>>().join(";") + "\r\n"
        })
        .collect();
    assert_eq!(
        one(format!("{}\r\n{german}", header.replace(',', ";"))),
        expected
    );
}

#[test]
fn an_empty_line_or_a_first_line_of_another_program_in_a_csv_costs_no_row() {
    let golden = text("golden/cpu-i7-14b.csv");
    let (header, rows) = golden.split_once('\n').unwrap();
    let log = format!("{header}\nllama_kv: size = 128 MiB, K (f16): 64 MiB\n{rows}\nend, of it\n");
    assert_eq!(one(log), one(&golden));
    // But a row that lacks a value is an error, whatever its quotes.
    let short = golden.replacen("\"1024\",\"16\",", "\"1024\",", 1);
    assert_eq!(read(short.as_bytes()).bad, ["2: 23 values for 24 columns"]);
}

#[test]
fn a_list_of_tests_is_a_run() {
    let golden = one(read_fixture("golden/gpu-reps4.json"));
    let document: serde_json::Value =
        serde_json::from_slice(&read_fixture("golden/gpu-reps4.json")).unwrap();
    let tests = &document["results"];
    let tests_of = tests.as_array().unwrap().iter();
    let lines = tests_of.fold(String::new(), |lines, test| {
        lines + &test.to_string() + "\n"
    });
    let texts = [
        serde_json::to_string(tests).unwrap(),
        serde_json::to_string_pretty(tests).unwrap(),
        serde_json::json!({"host": "x", "tests": tests}).to_string(),
        lines.clone(),
        format!("{lines}done\n"),
    ];
    for text in texts {
        let run = one(&text);
        assert_eq!(run.tests, golden.tests, "{text}");
        assert_eq!(run.environment, crate::model::Environment::default());
    }
    // A second list is a second run, and an invalid test invalidates only its run.
    assert_eq!(read(format!("{lines}{lines}").as_bytes()).runs.len(), 2);
    assert_eq!(
        read(format!("{lines}and\n{lines}").as_bytes()).runs.len(),
        2
    );
    let bad = lines.replacen("\"n_gen\":256", "\"n_gen\":\"x\"", 1);
    let read = read(format!("{bad}{lines}").as_bytes());
    assert_eq!((read.runs.len(), read.bad.len()), (1, 1), "{:?}", read.bad);
}

#[test]
fn documents_nested_in_another_one_are_found_in_any_layout() {
    let golden = text("golden/escapes-in-model.json");
    let other = text("golden/cpu-i7-14b.json");
    let expected = [one(&golden), one(&other)];
    for wrapped in [
        format!("{{\"host\": \"x\", \"runs\": [{golden}, {other}]}}\n"),
        format!("{{\"a\":{{\"b\":{golden}}},\"c\":{{\"d\":[[{other}]]}}}}"),
    ] {
        let read = read(wrapped.as_bytes());
        assert_eq!(read.bad, Vec::<String>::new());
        assert_eq!(read.runs, expected);
    }
    // Other programs have results too.
    let read = read(b"{\"response\": {\"results\": [1, 2], \"n_prompt\": 3}}\n");
    assert_eq!(read.bad, ["1: no \"results\" in this json document"]);
}

#[test]
fn the_json_of_the_sites_api_contains_machine_and_model() {
    let test = r#"{"id": 7, "benchmark_run_id": 3, "name": "pp64+tg16", "n_prompt": 64, "n_gen": 16,
        "avg_time_ms": 12.5, "prompt_tps": 900.25, "gen_tps": 30.5, "ttft_ms": 70.5,
        "created_at": "2026-10-07 12:08:43"}"#;
    let model = r#""model": {"id": 1, "name": "A Model", "quant": "Q8_0", "params": 8030261248}"#;
    let system = r#""system": {"cpu_name": "A CPU", "cpu_arch": "amd64", "ram_gb": "62.5",
        "kernel_type": "Linux", "kernel_release": "6.8", "system_version": "7"},
        "runtime": {"name": "llamafile", "version": "0.9.3", "commit_hash": "abc"}"#;
    for accelerator in [
        r#""accelerator": "A \"GPU\"", "accelerator_type": "GPU", "accelerator_memory_gb": 24"#,
        r#""accelerator": {"id": 2, "name": "A \"GPU\"", "type": "GPU", "memory_gb": 24}"#,
    ] {
        let run = one(format!(
            "{{{accelerator}, {model}, {system}, \"results\": [{test}]}}"
        ));
        assert_eq!(run.source, Source::Site);
        assert_eq!(run.environment.accelerator.name, Some("A \"GPU\"".into()));
        assert_eq!(run.environment.accelerator.memory_gb, Some(24.0));
        assert_eq!(run.environment.system.ram_gb, Some(62.5));
        assert_eq!(run.environment.system.version, Some("7".into()));
        assert_eq!(run.environment.runtime.commit, Some("abc".into()));
        let model = run.model().unwrap();
        assert_eq!(model.model_name, Some("A Model".into()));
        assert_eq!(model.model_quant_str, Some("Q8_0".into()));
        assert_eq!(model.model_n_params, Some(8_030_261_248));
    }
    // In a document of LocalScore such keys mean nothing.
    let run = one(format!(
        "{{\"runtime_info\": {{\"name\": \"x\"}}, \"model\": {{\"name\": 5}}, \"results\": [{test}]}}"
    ));
    assert_eq!(
        (run.source, run.model().unwrap().model_name.clone()),
        (Source::Json, None)
    );
}

#[test]
fn a_table_whose_title_lacks_the_memory_keeps_the_accelerator() {
    let golden = text("golden/gpu-reps4.md");
    for title in ["NVIDIA GeForce RTX 4090", "Radeon - the fast one"] {
        let other = golden.replace("NVIDIA GeForce RTX 4090 - 24.0 GiB", title);
        let accelerator = one(&other).environment.accelerator;
        assert_eq!(accelerator.name, Some(title.into()));
        assert_eq!(accelerator.memory_gb, None);
    }
}

#[test]
fn recordings_of_terminals_and_containers_are_read() {
    for name in ["capture-console", "capture-json", "capture-csv"] {
        let log = text(&format!("captures/{name}.stdout.txt"));
        let expected = one(&log);
        let string = |text: &str| serde_json::to_string(text).unwrap();
        let docker = log
            .split_inclusive('\n')
            .fold(String::new(), |docker, line| {
                let time = "2026-03-01T12:00:00Z";
                let line = serde_json::json!({"log": line, "stream": "stdout", "time": time});
                docker + &line.to_string() + "\n"
            });
        assert_eq!(one(&docker), expected, "{name}");
        // Pieces of any length, as a terminal gets them.
        for header in [
            "{\"version\": 2, \"width\": 80, \"height\": 24}",
            "{\"version\":3,\"term\":{\"cols\":80,\"rows\":24}}",
        ] {
            let mut cast = format!("{header}\n[0.1, \"i\", \"localscore\\r\"]\n");
            let characters: Vec<char> = log.replace('\n', "\r\n").chars().collect();
            for piece in characters.chunks(37) {
                let piece: String = piece.iter().collect();
                cast = cast + "[1.25, \"o\", " + &string(&piece) + "]\n";
            }
            assert_eq!(one(&cast), expected, "{name}");
        }
    }
    let notebook =
        "{\n \"cells\": [\n  {\"outputs\": [{\"text\": [\"{\\n\"]}]}\n ],\n \"nbformat\": 4\n}\n";
    let bad = read(notebook.as_bytes()).bad;
    assert!(
        bad[0].starts_with("1: this is a Jupyter notebook"),
        "{bad:?}"
    );
}

#[test]
fn column_names_inside_a_string_begin_no_csv() {
    let golden = text("golden/gpu-reps4.json");
    for string in [
        ",n_prompt,n_gen,prompt_tps,",
        "x,n_prompt,n_gen,gen_tps",
        "n_prompt;n_gen;gen_tps",
    ] {
        // In the layout of the C tool, and in another one, on a line of its own.
        let named = golden.replace("\"Meta Llama 3.1 8B Instruct\"", &format!("\"{string}\""));
        let named = named.replace("\"Llama 3.2 1B Instruct\"", &format!("\"{string}\""));
        assert_ne!(named, golden);
        let run = one(&named);
        assert_eq!(run.model().unwrap().model_name, Some(string.into()));
        let value: serde_json::Value = serde_json::from_str(&named).unwrap();
        assert_eq!(
            one(serde_json::to_string_pretty(&value).unwrap()).tests,
            run.tests
        );
        let compact = named
            .replace("\n      ", "\n")
            .replace("\n    ", "\n")
            .replace("\n  ", "\n");
        assert_eq!(one(compact).tests, run.tests);
        let label = jsonl::Label {
            id: 1,
            tags: &[],
            added_at: "2025-06-15T15:06:40Z".into(),
            link: None,
        };
        let mut line = Vec::new();
        jsonl::write(&mut line, &label, &run).unwrap();
        assert_eq!(one(line).tests, run.tests);
    }
}

/// All pairs of formats, behind each other and behind the same prefix.
#[test]
fn a_document_takes_nothing_from_the_next_one_with_the_same_prefix() {
    let banner = text("captures/capture-csv.stderr.txt");
    for prefix in ["", "> ", "    ", "bench-1  | ", "2026-03-01T12:00:00.1Z "] {
        for first in ["json", "csv", "md"] {
            for second in ["json", "csv", "md"] {
                for between in ["", "\n", "\n$ localscore\n\n", &banner] {
                    let documents = [
                        text(&format!("golden/cpu-i7-14b.{first}")),
                        text(&format!("golden/gpu-reps4.{second}")),
                    ];
                    let newline = if first == "json" { "\n" } else { "" };
                    let log = format!("{}{newline}{between}{}\n", documents[0], documents[1]);
                    let read = read(behind(&log, |_| prefix.into()).as_bytes());
                    let what = format!("{first}, {between:?}, {second} behind {prefix:?}");
                    assert_eq!(read.bad, Vec::<String>::new(), "{what}");
                    assert_eq!(read.runs.len(), 2, "{what}");
                    for ((run, format), document) in
                        read.runs.iter().zip([first, second]).zip(&documents)
                    {
                        // Of a csv nothing is known but its rows; the banner tells no table's rows.
                        let printed = String::from_utf8(printed(run, format)).unwrap();
                        assert_eq!(&printed, document, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_title_without_its_block_takes_nothing_from_the_text_after_it() {
    for document in ["json", "csv", "md"] {
        let golden = text(&format!("golden/gpu-reps4.{document}"));
        for title in [
            "===== System Information =====\n",
            "=================== LocalScore Runtime Information ===================\n\n\
             llamafile version:   0.9.3\n",
        ] {
            let run = one(format!("{title}{golden}"));
            assert_eq!(String::from_utf8(printed(&run, document)).unwrap(), golden);
        }
    }
}

#[test]
fn the_tests_of_a_damaged_document_are_not_a_list() {
    let golden = text("golden/gpu-reps4.json");
    let tail: Vec<&str> = golden.lines().skip(120).collect();
    let damaged = [
        tail.join("\n"),
        golden.replacen('{', "", 1),
        golden.replacen("{\n", "{\nllama_model_loader: warning\n", 1),
        golden.replacen("  \"results\": [\n", "  \"results\": [\nwarning\n", 1),
    ];
    for text in damaged {
        let read = read(text.as_bytes());
        assert!(read.runs.is_empty(), "{text}");
        assert!(!read.bad.is_empty(), "{text}");
    }
    // But text that only did not end its line is passed over.
    assert_eq!(
        String::from_utf8(printed(&one(format!("done. {golden}")), "json")).unwrap(),
        golden
    );
    let csv = text("golden/cpu-i7-14b.csv");
    assert_eq!(one(format!("done. {csv}")), one(&csv));
}

#[test]
fn rows_that_cannot_be_read_are_an_error_not_lines_of_another_program() {
    let csv = text("golden/cpu-i7-14b.csv");
    let lines: Vec<&str> = csv.lines().collect();
    let glued = csv.replacen(
        "\n\"a30b324\",\"1500\",\"Qwen",
        "\nwarning\"a30b324\",\"1500\",\"Qwen",
        3,
    );
    let levels = behind(&csv, |n| if n < 5 { "INFO " } else { "WARN " }.into());
    for text in [glued, levels] {
        let read = read(text.as_bytes());
        assert!(read.runs.is_empty());
        assert!(
            read.bad[0].ends_with("a row that does not begin its line"),
            "{:?}",
            read.bad
        );
    }
    // A quote in another program's line takes no rows with it.
    let mut quoted = lines.clone();
    quoted.insert(4, "can't open \"foo");
    assert_eq!(one(quoted.join("\n") + "\n"), one(&csv));
    // The name of the month is part of the time.
    let months = behind(&csv, |n| {
        if n < 5 {
            "Jun 30 23:59:59 "
        } else {
            "Jul  1 00:00:01 "
        }
        .into()
    });
    assert_eq!(one(months), one(&csv));
    // What begins behind another prefix ends the csv.
    let other = behind(&text("golden/gpu-reps4.json"), |_| "12:00:01 ".into());
    assert_eq!(read((csv.clone() + &other).as_bytes()).runs.len(), 2);
    let steps = behind(&csv, |_| "step A | ".into())
        + &behind(&text("golden/gpu-reps4.csv"), |_| "step B | ".into());
    assert_eq!(read(steps.as_bytes()).runs.len(), 2);
}

#[test]
fn marks_and_colours_before_an_indented_csv_change_nothing() {
    let csv = text("golden/cpu-i7-14b.csv");
    let expected = one(&csv);
    let indented = behind(&csv, |_| "    ".into());
    for before in ["\u{feff}", "\u{1b}[0m"] {
        assert_eq!(one(format!("{before}{indented}")), expected, "{before:?}");
    }
    assert_eq!(
        one(format!("\u{feff}{}", behind(&csv, |_| "> ".into()))),
        expected
    );
    let index: String = csv
        .replace('"', "")
        .replace(',', "\t")
        .lines()
        .enumerate()
        .map(|(n, line)| {
            if n == 0 {
                format!("\t{line}\n")
            } else {
                format!("{n}\t{line}\n")
            }
        })
        .collect();
    assert_eq!(one(index), expected);
    assert_eq!(one(behind(&csv, |n| format!("{}:", n + 1))), expected);
    let table = text("golden/cpu-i7-14b.md");
    let numbered = one(behind(&table, |n| format!("{}:", n + 1)));
    assert_eq!(String::from_utf8(printed(&numbered, "md")).unwrap(), table);
}

#[test]
fn results_nested_in_documents_with_a_prefix_are_found_and_kept_apart() {
    let documents: Vec<serde_json::Value> = ["cpu-i7-14b", "gpu-reps4"]
        .iter()
        .map(|name| serde_json::from_slice(&read_fixture(&format!("golden/{name}.json"))).unwrap())
        .collect();
    let [a, b] = &documents[..] else {
        unreachable!()
    };
    for wrapped in [
        serde_json::json!({"host": "x", "deep": {"runs": [a, b]}}),
        serde_json::json!({"results": [a, b]}),
    ] {
        let pretty = serde_json::to_string_pretty(&wrapped).unwrap();
        for text in [
            behind(&pretty, |_| "> ".into()),
            format!("{wrapped}\n"),
            pretty,
        ] {
            assert_eq!(read(text.as_bytes()).runs.len(), 2, "{text:.80}");
        }
        let line = format!("2026-03-01T12:00:00Z INFO {{\"ctx\":1}} {wrapped}\n");
        assert_eq!(read(line.as_bytes()).runs.len(), 2);
    }
    // The tests of two machines are two runs.
    let tests = |document: &serde_json::Value, n: usize| {
        document["results"].as_array().unwrap()[..n].to_vec()
    };
    let lists = serde_json::json!({"a": {"tests": tests(a, 1)}, "b": {"tests": tests(a, 3)[1..]}});
    assert_eq!(read(lists.to_string().as_bytes()).runs.len(), 2);
    // A document that is cut off inside another one is reported.
    let cut = serde_json::json!({"host": "x", "result": a}).to_string();
    let read = read(&cut.as_bytes()[..5000]);
    assert_eq!((read.runs.len(), read.bad.len()), (0, 1), "{:?}", read.bad);
}

#[test]
fn a_document_on_one_line_ends_the_csv_before_it() {
    let csv = text("golden/gpu-reps4.csv");
    let payload = text("golden/cpu-i7-14b.payload.json");
    for before in ["", "> ", "sent ", "2026-03-01T12:00:00Z "] {
        for payload in [payload.clone(), payload.replace("\",\"", "\", \"")] {
            let read = read(format!("{csv}{before}{payload}\n").as_bytes());
            assert_eq!(
                (read.runs.len(), read.bad.len()),
                (2, 0),
                "{before:?}: {:?}",
                read.bad
            );
        }
    }
}

#[test]
fn a_list_that_is_cut_off_or_damaged_is_an_error() {
    let document: serde_json::Value =
        serde_json::from_slice(&read_fixture("golden/gpu-reps4.json")).unwrap();
    let tests: Vec<String> = document["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let open = format!("[\n{},\n", tests[..5].join(",\n"));
    let half = &tests[5][..100];
    for text in [
        open.clone(),
        open.replace('\n', ""),
        format!("{open}Killed\n"),
        format!("{open}{half}"),
        format!("{open}{half}\n{}\n]\n", tests[6..].join(",\n")),
        format!(
            "{}\n{half}\n{}\n",
            tests[..5].join("\n"),
            tests[6..].join("\n")
        ),
    ] {
        let read = read(text.as_bytes());
        assert!(read.runs.is_empty(), "{text:.60}: {}", read.runs.len());
        assert!(!read.bad.is_empty(), "{text:.60}");
    }
    let followed = format!("{open}[{}]\n", tests.join(","));
    let read = read(followed.as_bytes());
    assert_eq!((read.runs.len(), read.bad.len()), (1, 1), "{:?}", read.bad);
    assert!(read.bad[0].contains("cut off after 5 of 9 tests"));
}

#[test]
fn tabs_file_names_and_units_may_precede_a_csv() {
    let csv = text("golden/gpu-reps4.csv");
    let expected = one(&csv);
    for n in 1..3 {
        assert_eq!(one(behind(&csv, |_| "\t".repeat(n))), expected);
    }
    assert_eq!(
        one(behind(&csv, |n| format!("run.log:{}:", n + 1))),
        expected
    );
    assert_eq!(one(behind(&csv, |n| format!("{n}ms "))), expected);
    assert!(
        one(behind(&text("golden/no-tests.csv"), |_| "> ".into()))
            .tests
            .is_empty()
    );
    // Beside another run, rows that cannot be read are an error too.
    let words = behind(&csv, |n| format!("{} ", ["wa", "wb", "wc"][n % 3]));
    let read = read((text("golden/gpu-reps4.json") + "\n" + &words).as_bytes());
    assert_eq!((read.runs.len(), read.bad.len()), (1, 1), "{:?}", read.bad);
}

/// Such as where a number ends in the midst of a word: what is taken off one line must be found on it.
#[test]
fn a_header_after_any_text_is_read_in_bounded_time() {
    let header = text("golden/no-tests.csv");
    let pieces = [
        "1",
        "9Z",
        "12:",
        ":3",
        "Jan",
        " ",
        "\"",
        ">",
        "|",
        "]",
        "[",
        "a",
        "\u{14}",
        "1ms",
        "\t",
        "\u{1b}[0m",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let before = [first, second, third].concat();
                for end in ["", "\n", "\n\"x\",\"1\"\n"] {
                    let _ = read(format!("{before}{}{end}", header.trim_end()).as_bytes());
                }
            }
        }
    }
}

/// A chat server logs such numbers too, and logs are cut off.
#[test]
fn json_of_other_programs_with_similar_names_is_not_an_error() {
    let golden = text("golden/gpu-reps4.json");
    for line in [
        "{\"level\":\"info\",\"n_prompt\":12,\"n_gen\":5,\"prompt_tps\":100.5,\"gen_tps\":9.5}",
        "{\"msg\":\"x\",\"response\":{\"results\":[1,2",
    ] {
        let read = read(format!("{line}\n{golden}\n").as_bytes());
        assert_eq!((read.runs.len(), &read.bad), (1, &vec![]), "{line}");
    }
}

/// A gap before a header is no reason to look at the line once for each of its bytes.
#[test]
fn a_long_gap_before_a_header_takes_no_time() {
    let header = text("golden/no-tests.csv");
    for gap in [" ", "> ", "a ", "|", ":", "\t"] {
        let log = format!("x{}{header}", gap.repeat(300_000 / gap.len()));
        let _ = read(log.repeat(20).as_bytes());
    }
}
