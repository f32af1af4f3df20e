//! `export` of llama-bench's runs: what the version that made them printed, byte for byte.

use std::path::PathBuf;

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};

/// The formats of llama-bench; md is the table.
const FORMATS: [&str; 5] = ["csv", "json", "jsonl", "sql", "md"];

/// The golden sets: what the printers of a version print for one and the same run.
fn sets() -> Vec<String> {
    let mut sets: Vec<String> = std::fs::read_dir(fixture("golden/llama-bench"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".csv")?.to_owned()))
        .collect();
    sets.sort();
    assert_eq!(sets.len(), 10);
    sets
}

/// The golden of a set; `None` where the version has no such format.
fn golden(set: &str, format: &str) -> Option<Vec<u8>> {
    let name = format!("golden/llama-bench/{set}.{format}");
    fixture(&name).exists().then(|| read_fixture(&name))
}

fn path(set: &str, format: &str) -> PathBuf {
    fixture(&format!("golden/llama-bench/{set}.{format}"))
}

/// What the golden becomes, when the run was read from this format.
fn expected(set: &str, source: &str, format: &str) -> Option<String> {
    let golden = String::from_utf8(golden(set, format)?).unwrap();
    let is_told = ["json", "jsonl"].contains(&source);
    let is_json = ["json", "jsonl"].contains(&format);
    Some(if is_json && !is_told {
        // Only json has the samples.
        let lines = golden.split_inclusive('\n').map(|line| {
            if format == "json" {
                match line.find("\": [") {
                    Some(at) => {
                        let comma = if line.contains("],") { "," } else { "" };
                        format!("{}\": null{comma}\n", &line[..at])
                    }
                    None => line.to_owned(),
                }
            } else {
                let at = line.find("\"samples_ns\"").unwrap();
                format!(
                    "{}\"samples_ns\": null,\"samples_ts\": null}}\n",
                    &line[..at]
                )
            }
        });
        lines.collect()
    } else if is_told && !is_json {
        // Each byte that json loses is shown as one character.
        golden
            .chars()
            .map(|c| {
                let is_lost = !c.is_ascii() && (format != "md" || c != '±');
                if is_lost {
                    "\u{fffd}".repeat(c.len_utf8())
                } else {
                    c.to_string()
                }
            })
            .collect()
    } else {
        golden
    })
}

/// The one place where the tool's sql is not sql: a quote in a name.
fn valid_sql(text: &str) -> String {
    text.replace("models/1b it's", "models/1b it''s")
}

#[track_caller]
fn assert_text(ran: &Ran, expected: &str, what: &str) {
    let actual = String::from_utf8(ran.ok()).unwrap();
    let first = actual
        .lines()
        .zip(expected.lines())
        .position(|(a, b)| a != b);
    assert!(
        actual == expected,
        "{what}: line {first:?} of:\n{actual}\ninstead of:\n{expected}"
    );
}

#[test]
fn a_run_is_printed_as_its_version_printed_it_from_whichever_source() {
    for set in sets() {
        for source in ["json", "jsonl", "csv", "sql"] {
            if golden(&set, source).is_none() {
                continue;
            }
            let sandbox = Sandbox::new();
            sandbox
                .run(["add".as_ref(), path(&set, source).as_os_str()])
                .ok();
            for format in FORMATS {
                let Some(mut expected) = expected(&set, source, format) else {
                    continue;
                };
                if format == "sql" {
                    expected = valid_sql(&expected);
                }
                let ran = sandbox.run(["export", "--all", "-o", format]);
                assert_text(&ran, &expected, &format!("{set}: {source} as {format}"));
            }
        }
    }
}

#[test]
fn all_sources_together_give_back_all_bytes() {
    for set in sets() {
        for order in [["csv", "json"], ["json", "csv"], ["sql", "json"]] {
            let sandbox = Sandbox::new();
            for source in order {
                sandbox
                    .run(["add".as_ref(), path(&set, source).as_os_str()])
                    .ok();
            }
            for format in FORMATS {
                let Some(golden) = golden(&set, format) else {
                    continue;
                };
                let mut golden = String::from_utf8(golden).unwrap();
                if format == "sql" {
                    golden = valid_sql(&golden);
                }
                let ran = sandbox.run(["export", "--all", "-o", format]);
                assert_text(&ran, &golden, &format!("{set}: {order:?} as {format}"));
            }
        }
    }
}

/// Adds the json of these sets, each of them in a call of its own.
fn add_sets(sandbox: &Sandbox, sets: &[&str]) {
    for set in sets {
        sandbox
            .run(["add".as_ref(), path(set, "json").as_os_str()])
            .ok();
    }
}

fn text(set: &str, format: &str) -> String {
    String::from_utf8(golden(set, format).unwrap()).unwrap()
}

#[test]
fn documents_stand_one_after_another_and_localscore_stands_in_its_own() {
    let sandbox = Sandbox::new();
    add_sets(&sandbox, &["v-b1065-default"]);
    sandbox.add(["golden/gpu-reps4.json"]);
    add_sets(&sandbox, &["v-b5361-depth", "v-b9437-default"]);
    let localscore = |format: &str| {
        String::from_utf8(read_fixture(&format!("golden/gpu-reps4.{format}"))).unwrap()
    };
    let [old, new, last] = ["v-b1065-default", "v-b5361-depth", "v-b9437-default"];
    for format in ["csv", "md"] {
        let documents = [
            text(old, format),
            localscore(format),
            text(new, format),
            text(last, format),
        ];
        let ran = sandbox.run(["export", "--all", "-o", format]);
        assert_text(&ran, &documents.join("\n"), format);
    }
    let json = text(old, "json") + &localscore("json") + "\n" + &text(new, "json");
    let json = json + &text(last, "json");
    assert_text(
        &sandbox.run(["export", "--all", "-o", "json"]),
        &json,
        "json",
    );
    let jsonl = sandbox.run(["export", "--all", "-o", "jsonl"]).text();
    assert_eq!(jsonl.lines().count(), 2 + 1 + 8 + 2);
    assert!(jsonl.lines().all(|line| line.starts_with('{')));
    assert!(jsonl.ends_with(&text(last, "jsonl")));
    // LocalScore's runs stand where they are named, documents in the order of their least run.
    let ran = sandbox.run(["export", "-o", "csv", "2", "3", "1"]);
    let documents = [localscore("csv"), text(old, "csv"), text(new, "csv")];
    assert_text(&ran, &documents.join("\n"), "named");
    // With --out too.
    sandbox
        .run(["export", "--all", "-o", "json", "--out", "all.json"])
        .ok();
    assert_eq!(
        std::fs::read_to_string(sandbox.path().join("all.json")).unwrap(),
        json
    );
}

#[test]
fn neighbours_with_the_same_fields_share_a_document_but_no_table_has_two_builds() {
    let sandbox = Sandbox::new();
    let json = text("v-b9437-default", "json");
    let later = json.replace("126.17", "127.17").replace("6391.9", "6491.9");
    let other = later
        .replace("aa46bda89", "bb46bda89")
        .replace("9437,", "9438,");
    for document in [&json, &later, &other] {
        sandbox
            .run_with_input(["add", "-"], document.as_bytes())
            .ok();
    }
    let csv = sandbox.run(["export", "--all", "-o", "csv"]).text();
    assert_eq!(csv.lines().count(), 1 + 6);
    assert_eq!(csv.matches("build_commit").count(), 1);
    let exported = sandbox.run(["export", "--all", "-o", "json"]).text();
    assert!(exported.starts_with("[\n") && exported.ends_with("\n]\n"));
    assert_eq!(exported.matches("\n]\n").count(), 1);
    let sql = sandbox.run(["export", "--all", "-o", "sql"]).text();
    assert_eq!(sql.matches("CREATE TABLE").count(), 1);
    assert_eq!(sql.matches("\n\n").count(), 1);
    let md = sandbox.run(["export", "--all", "-o", "md"]).text();
    let lines: Vec<&str> = md.lines().collect();
    assert_eq!(lines.len(), 2 + 4 + 2 + 1 + 2 + 2 + 2);
    assert_eq!(lines[7], "build: aa46bda89 (9437)");
    assert!(lines[9].starts_with("| model "));
    assert_eq!(lines[14], "build: bb46bda89 (9438)");
    // What was read again is the same.
    let again = Sandbox::new();
    again.run_with_input(["add", "-"], exported.as_bytes()).ok();
    assert_text(
        &again.run(["export", "--all", "-o", "json"]),
        &exported,
        "again",
    );
    assert_text(&again.run(["export", "--all", "-o", "md"]), &md, "again");
}

#[test]
fn of_a_document_only_the_chosen_runs_are_printed() {
    let sandbox = Sandbox::new();
    add_sets(&sandbox, &["v-b6065-two-models"]);
    let csv = text("v-b6065-two-models", "csv");
    let lines: Vec<&str> = csv.lines().collect();
    let second = [lines[0], lines[3], lines[4], ""].join("\n");
    assert_text(
        &sandbox.run(["export", "-o", "csv", "2"]),
        &second,
        "one run",
    );
    let outer = [lines[0], lines[1], lines[2], lines[5], lines[6], ""].join("\n");
    assert_text(
        &sandbox.run(["export", "-o", "csv", "3,1"]),
        &outer,
        "two runs",
    );
    let ran = sandbox.run(["export", "-o", "csv", "--model", "gemma"]);
    assert_text(&ran, &second, "a filter");
}

#[test]
fn runs_of_many_versions_fill_one_database() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let sets = sets();
    let all: Vec<&str> = sets.iter().map(String::as_str).collect();
    add_sets(&sandbox, &all);
    let ran = sandbox.run(["export", "--all", "-o", "sql"]);
    let sql = String::from_utf8(ran.ok()).unwrap();
    assert_eq!(
        ran.stderr,
        "localstore: passed over run 1: -o sql is for runs of llama-bench\n"
    );
    assert_eq!(sql.matches("CREATE TABLE").count(), 2);
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch(&sql).unwrap();
    let count = |table: &str| -> usize {
        let sql = format!("SELECT count(*) FROM {table} WHERE avg_ts > 0");
        db.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let rows: usize = sets
        .iter()
        .map(|set| text(set, "csv").lines().count() - 1)
        .sum();
    assert_eq!(count("test") + count("llama_bench"), rows);
    let columns: String = db
        .query_row(
            "SELECT group_concat(name, ' ') FROM pragma_table_info('llama_bench')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    // Those of the newest version, then what only others have.
    let newest = text("v-b11500-default", "csv");
    let newest = newest.lines().next().unwrap().replace(',', " ");
    assert_eq!(columns, newest + " use_mmap use_direct_io defrag_thold");
    let name: String = db
        .query_row(
            "SELECT model_filename FROM llama_bench WHERE model_type LIKE 'gemma3%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(name, "models/1b it's \"x\"");
}

#[test]
fn what_a_format_cannot_print_is_refused_by_name_and_passed_over_otherwise() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    let why = "run 1: -o sql is for runs of llama-bench";
    for args in [
        &["export", "-o", "sql"][..],
        &["export", "-o", "sql", "1"],
        &["export", "-o", "sql", "--all"],
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.failed(), why);
        assert!(ran.stdout.is_empty());
    }
    sandbox
        .run(["add".as_ref(), path("v-b5361-depth", "md").as_os_str()])
        .ok();
    add_sets(&sandbox, &["v-b1065-default"]);
    let why = "only a table with rounded values was read, which '-o md' prints";
    for format in ["csv", "json", "jsonl", "sql"] {
        let ran = sandbox.run(["export", "-o", format, "3", "2"]);
        assert_eq!(ran.failed(), format!("run 2: {why}"));
        assert!(ran.stdout.is_empty());
        let ran = sandbox.run(["export", "-o", format, "--tool", "llama-bench"]);
        assert_eq!(
            ran.stderr,
            format!("localstore: passed over run 2: {why}\n")
        );
        if let Some(golden) = golden("v-b1065-default", format) {
            assert_text(&ran, &String::from_utf8(golden).unwrap(), format);
        }
    }
    let both = text("v-b5361-depth", "md") + "\n" + &text("v-b1065-default", "md");
    assert_text(&sandbox.run(["export", "2-3"]), &both, "tables");
}

#[test]
fn a_table_gives_its_columns_to_the_run_that_it_turns_out_to_be() {
    // A column that no row asks for: the tool decides by its flags.
    let md = text("v-b9437-default", "md");
    let with_flag: String = md
        .lines()
        .map(|line| match line {
            line if line.starts_with("| model") => line.replace("| ngl |", "| ngl |  fa |"),
            line if line.starts_with("| ---") => line.replace("| --: |", "| --: | --: |"),
            line => line.replace("|  -1 |", "|  -1 |  -1 |"),
        } + "\n")
        .collect();
    assert_ne!(with_flag, md);
    for order in [["md", "json"], ["json", "md"]] {
        let sandbox = Sandbox::new();
        for source in order {
            let document = if source == "md" {
                with_flag.clone()
            } else {
                text("v-b9437-default", source)
            };
            sandbox
                .run_with_input(["add", "-"], document.as_bytes())
                .ok();
        }
        assert_text(&sandbox.run(["export", "--all"]), &with_flag, "the table");
        let json = text("v-b9437-default", "json");
        assert_text(
            &sandbox.run(["export", "--all", "-o", "json"]),
            &json,
            "the json",
        );
    }
}

#[test]
fn every_table_comes_back_as_it_was() {
    for set in sets() {
        let sandbox = Sandbox::new();
        sandbox
            .run(["add".as_ref(), path(&set, "md").as_os_str()])
            .ok();
        assert_text(&sandbox.run(["export", "--all"]), &text(&set, "md"), &set);
    }
}

#[test]
fn json_that_told_its_bytes_gets_them_back() {
    let csv = text("v-b11500-utf8", "csv");
    let names = [
        "Intel(R) Core(TM) Ultra 9 – 285K",
        "/Users/jörg/Modèles/8b 日本語.gguf",
    ];
    let mut json = text("v-b11500-utf8", "json");
    let mut escaped = json.clone();
    for name in names {
        assert!(csv.contains(name));
        let lost: String = name
            .chars()
            .map(|c| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    "\\ufffff".repeat(c.len_utf8())
                }
            })
            .collect();
        assert!(json.contains(&lost));
        json = json.replace(&lost, name);
        let codes: String = name
            .chars()
            .map(|c| {
                if c.is_ascii() {
                    c.to_string()
                } else {
                    format!("\\u{:04x}", u32::from(c))
                }
            })
            .collect();
        escaped = escaped.replace(&lost, &codes);
    }
    for source in [&json, &escaped] {
        let sandbox = Sandbox::new();
        sandbox.run_with_input(["add", "-"], source.as_bytes()).ok();
        assert_text(&sandbox.run(["export", "-o", "json"]), &json, "json");
        assert_text(&sandbox.run(["export", "-o", "csv"]), &csv, "csv");
    }
}

#[test]
fn fields_of_any_name_and_kind_come_back() {
    let json = text("v-b9437-default", "json").replace(
        "    \"n_prompt\"",
        "    \"mine too\": \"a\\u0009'b'\",\n    \"order\": 3,\n    \"share\": 0.125000,\n    \
         \"list\": [1, {\"a\": null}],\n    \"flag\": true,\n    \"nothing\": null,\n    \"n_prompt\"",
    );
    let sandbox = Sandbox::new();
    sandbox.run_with_input(["add", "-"], json.as_bytes()).ok();
    assert_text(&sandbox.run(["export", "-o", "json"]), &json, "json");
    let sql = sandbox.run(["export", "-o", "sql"]).text();
    let db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch(&sql).unwrap();
    let values: (String, i64, f64, String, i64) = db
        .query_row(
            r#"SELECT "mine too", "order", share, list, flag FROM llama_bench LIMIT 1"#,
            [],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .unwrap();
    let expected = (
        "a\t'b'".to_owned(),
        3,
        0.125,
        "[1, {\"a\": null}]".to_owned(),
        1,
    );
    assert_eq!(values, expected);
    for format in ["csv", "sql"] {
        let exported = sandbox.run(["export", "-o", format]).ok();
        let again = Sandbox::new();
        again.run_with_input(["add", "-"], &exported).ok();
        let exported = String::from_utf8(exported).unwrap();
        assert_text(&again.run(["export", "-o", format]), &exported, format);
        // It is the same run.
        let ran = sandbox.run_with_input(["add", "-"], exported.as_bytes());
        assert!(
            ran.text().starts_with("already stored as run 1"),
            "{}",
            ran.text()
        );
    }
}

/// The table of a row with these fields, which csv told.
#[track_caller]
fn table(build: &str, fields: &[(&str, &str)]) -> String {
    let all: Vec<(&str, &str)> = [
        ("build_commit", "abcdef12"),
        ("build_number", build),
        ("model_type", "llama 8B Q4_0"),
        ("model_size", "4661211808"),
        ("model_n_params", "8030261248"),
    ]
    .iter()
    .chain(fields)
    .chain(&[("n_prompt", "512"), ("n_gen", "0")])
    .chain(&[("avg_ts", "1500.000000"), ("stddev_ts", "2.500000")])
    .copied()
    .collect();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let values: Vec<String> = all
        .iter()
        .map(|(_, value)| format!("\"{value}\""))
        .collect();
    let sandbox = Sandbox::new();
    sandbox.file(
        "a.csv",
        format!("{}\n{}\n", names.join(","), values.join(",")),
    );
    sandbox.run(["add", "a.csv"]).ok();
    sandbox.run(["export", "-o", "md"]).text()
}

#[test]
fn speeds_are_wider_from_b3644() {
    let flags = [("cuda", "1"), ("gpu_blas", "1"), ("blas", "1")];
    for (build, expected) in [
        ("3143", "|          test |              t/s |\n"),
        ("3643", "|          test |              t/s |\n"),
        ("3644", "|          test |                  t/s |\n"),
        ("ik 3644", "|          test |              t/s |\n"),
    ] {
        let is_ik = build.starts_with("ik");
        let build = build.trim_start_matches("ik ");
        let test: &[_] = if is_ik { &[("test", "pp512")] } else { &[] };
        let table = table(build, &[&flags[..], test].concat());
        assert!(table.contains(expected), "{build}: {table}");
    }
}

#[test]
fn servers_are_a_backend_and_later_a_part_of_each() {
    let flags = |cuda, rpc| {
        [
            ("cuda", cuda),
            ("rpc", rpc),
            ("gpu_blas", cuda),
            ("blas", cuda),
        ]
    };
    let layers_and_threads = [("n_threads", "8"), ("n_gpu_layers", "99")];
    for (build, cuda, rpc, backend, ngl) in [
        ("3100", "1", "1", "| CUDA       |", true),
        ("3100", "0", "1", "| RPC        |", true),
        ("3100", "0", "0", "| CPU        |", false),
        ("3148", "1", "1", "| CUDA+RPC   |", true),
        ("3990", "0", "1", "| CPU+RPC    |", false),
        ("3990", "1", "0", "| CUDA       |", true),
    ] {
        let fields = [&flags(cuda, rpc)[..], &layers_and_threads].concat();
        let table = table(build, &fields);
        assert!(table.contains(backend), "{build}: {table}");
        assert_eq!(table.contains("| ngl |"), ngl, "{build}: {table}");
        assert_eq!(table.contains(" threads |"), !ngl, "{build}: {table}");
    }
}

#[test]
fn a_single_number_of_experts_on_the_processor_is_shown_from_b8522() {
    for (build, is_shown) in [("6490", false), ("8521", false), ("8522", true)] {
        let table = table(build, &[("backends", "CUDA"), ("n_cpu_moe", "12")]);
        assert_eq!(table.contains(" n_cpu_moe |"), is_shown, "{build}: {table}");
    }
}

#[test]
fn a_table_names_backends_that_no_flag_tells() {
    let golden = |format| String::from_utf8(golden("v-b1805-types", format).unwrap()).unwrap();
    let table = golden("md");
    assert!(table.contains("| CUDA       |"));
    for sources in [["json", "md"], ["md", "csv"]] {
        let sandbox = Sandbox::new();
        for source in sources {
            let text = match source {
                "md" => table.replace("| CUDA       |", "| ROCm       |"),
                _ => golden(source),
            };
            sandbox.file(source, text);
            sandbox.run(["add", source]).ok();
        }
        let list = sandbox.run(["list", "-o", "jsonl"]).text();
        assert_eq!(list.lines().count(), 1, "{sources:?}: {list}");
    }
}

#[test]
fn a_table_of_ik_llama_cpp_keeps_its_cells_when_its_row_is_known() {
    let header = "build_commit,build_number,cuda,rpc,gpu_blas,blas,model_type,model_size,\
        model_n_params,n_threads,n_gpu_layers,mla_attn,repack,fused_moe,n_prompt,n_gen,avg_ts,\
        stddev_ts";
    let row =
        "abc,1,1,0,1,1,llama 8B Q4_0,4661211808,8030261248,8,99,3,1,0,512,0,1500.000000,2.500000";
    let table = "\
| model                          |       size |     params | backend    | ngl | mla | rtr | fmoe |          test |              t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | --: | --: | ---: | ------------: | ---------------: |
| llama 8B Q4_0                  |   4.34 GiB |     8.03 B | CUDA       |  99 |   3 |   1 |    0 |         pp512 |   1500.00 ± 2.50 |

build: abc (1)
";
    for sources in [["csv", "md"], ["md", "csv"]] {
        let sandbox = Sandbox::new();
        sandbox.file("csv", format!("{header}\n{row}\n"));
        sandbox.file("md", table);
        for source in sources {
            sandbox.run(["add", source]).ok();
        }
        let ran = sandbox.run(["export", "--all", "-o", "md"]);
        assert_text(&ran, table, &format!("{sources:?}"));
    }
}
