//! Documents of llama-bench.

use super::*;

fn golden(name: &str) -> Vec<u8> {
    read_fixture(&format!("golden/llama-bench/v-{name}"))
}

#[test]
fn golden_json_and_jsonl_are_the_same_rows() {
    for name in ["b3677-threads", "b5361-depth", "b11500-utf8"] {
        let rows = |ending: &str| {
            let text = golden(&format!("{name}.{ending}"));
            let mut found = Capture::new(&text[..], Options::default());
            let Some(Ok(Found::Bench(mut document))) = found.next() else {
                panic!("{name}.{ending}");
            };
            assert!(found.next().is_none());
            let mut rows = Vec::new();
            let each = document.each_row(|row| {
                rows.push(row);
                Ok::<(), base::Error>(())
            });
            each.unwrap();
            let runs = document.runs.iter().map(|run| run.fingerprint);
            (rows, runs.collect::<Vec<_>>())
        };
        assert_eq!(rows("json"), rows("jsonl"));
    }
}

#[test]
fn an_array_that_ends_early_is_cut_off_after_its_whole_tests() {
    let text = golden("b4748-cpu.json");
    let cut = text.len() - 20;
    assert_eq!(all(&text), ["document of 3 rows"]);
    assert_eq!(all(&text[..cut]), ["108: cut off after 2 whole tests"]);
    let whole = text.len() - 3;
    assert_eq!(all(&text[..whole]), ["109: cut off after 3 whole tests"]);
}

const ROW: &str = r#"{"build_commit": "a", "build_number": 7000, "cpu_info": "b", "model_type": "c 7B Q4_0", "n_prompt": 512, "n_gen": 0, "avg_ts": 5.5, "samples_ns": [ 1, 2 ]}"#;

/// As [`ROW`], with something else in it.
fn row(from: &str, to: &str) -> String {
    assert!(ROW.contains(from), "{from}");
    ROW.replace(from, to)
}

#[test]
fn rows_are_found_in_any_layout_and_among_any_text() {
    let other = row("512", "1024");
    let pretty = ROW.replace(", ", ",\n    ").replace('{', "  {\n    ");
    for (text, rows) in [
        (format!("{ROW}\n{other}\n"), 2),
        (format!("[{ROW},{other}]"), 2),
        (format!("[\n{ROW},\n{other}\n]\n"), 2),
        (
            format!("$ llama-bench\r\n[\r\n{ROW}\r\n,\r\n{other}\r\n]\r\n$ "),
            2,
        ),
        (format!("\u{feff}[\n{pretty}\n,\n{pretty}\n]"), 2),
        (
            format!(
                "load_backend: loaded CPU\n{ROW}\nllama-bench: benchmark 2/2: starting\n{other}\n"
            ),
            2,
        ),
        (format!("10:00 {ROW}\n10:01 noise\n10:02 {other}\n"), 2),
        (
            format!("[\nggml_cuda_init: found 1 CUDA devices:\n{pretty},\n{pretty}\n]\n"),
            2,
        ),
        (
            format!("{{\"host\": \"x\", \"runs\": [{ROW}, {other}]}}"),
            2,
        ),
        (format!("{{\"results\": [{ROW}]}}\n"), 1),
        (pretty.clone(), 1),
    ] {
        let found = all(text.as_bytes());
        assert_eq!(found, [format!("document of {rows} rows")], "{text}");
    }
    let text = format!("[{ROW}]\n{other}\n[{ROW},{other}]");
    let found = all(text.as_bytes());
    assert_eq!(
        found,
        [1, 1, 2].map(|rows| format!("document of {rows} rows"))
    );
}

#[test]
fn both_tools_may_be_in_one_text() {
    let localscore = text("golden/cpu-i7-14b.json");
    let array = format!("[{ROW}]");
    for bench in [ROW, &array] {
        let text = format!("{bench}\n{localscore}\n{bench}\n");
        let run = "run of 9 tests";
        let document = "document of 1 rows";
        assert_eq!(all(text.as_bytes()), [document, run, document]);
    }
    let text = format!("[{ROW},\n{localscore}");
    assert_eq!(
        all(text.as_bytes()),
        ["2: cut off after 1 whole test", "run of 9 tests"]
    );
}

#[test]
fn what_is_wrong_with_a_row_is_said_once_and_in_its_line() {
    for (bad, why) in [
        (row("512", "\"many\""), "n_prompt is not a number: 'many'"),
        (row("512", "-1"), "n_prompt is not a number: '-1'"),
        (row("512", "1.5"), "n_prompt is not a number: '1.5'"),
        (row("512", "null"), "a row without n_prompt"),
        (row("512", "0"), "n_prompt and n_gen are both 0"),
        (row("\"avg_ts\": 5.5, ", ""), "a row without avg_ts"),
        (row("5.5", "\"fast\""), "avg_ts is not a number: 'fast'"),
        (row("5.5", "[5.5]"), "avg_ts is not a number: '[5.5]'"),
        (
            row("5.5", "5.5, \"n_gen\": 0"),
            "the key n_gen is there twice",
        ),
        (
            row("[ 1, 2 ]", "[ 1, \"x\" ]"),
            "samples_ns holds what is not a number: '\"x\"'",
        ),
        (row("[ 1, 2 ]", "7"), "samples_ns is a number, not an array"),
    ] {
        let text = format!("noise\n{bad}\n{bad}\n{ROW}\n");
        let found = all(text.as_bytes());
        let [error, _] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(*error, format!("2: {why}"), "{bad}");
    }
    let many: Vec<String> = (0..1000)
        .map(|field| format!("\"f{field}\": 1, "))
        .collect();
    let many = many.concat();
    let found = all(row("\"n_gen\"", &format!("{many}\"n_gen\"")).as_bytes());
    assert_eq!(found[0], "1: a row of more than 1000 fields");
    let many = "1,".repeat(1_000_001);
    let found = all(row("[ 1,", &format!("[ {many}")).as_bytes());
    assert_eq!(found[0], "1: a row of more than 1000000 samples");
    let long = " ".repeat(17 << 20);
    let found = all(row("[ 1,", &format!("[ {long}1,")).as_bytes());
    assert_eq!(found[0], "1: a json object of more than 16 MiB");
}

#[test]
fn an_invalid_row_refuses_its_run_and_no_other() {
    let bad = row("512", "\"many\"");
    let other = row("7000", "7001");
    let unknown = r#"{"n_prompt": 1, "n_gen": 0, "avg_ts": "x"}"#;
    let stored = |text: &str| {
        let found = Capture::new(text.as_bytes(), Options::default());
        let documents = found.filter_map(|found| match found.unwrap() {
            Found::Bench(document) => Some(document.runs),
            _ => None,
        });
        documents.flatten().filter(|run| !run.is_refused).count()
    };
    assert_eq!(stored(&format!("{ROW}\n{bad}\n{other}\n")), 1);
    assert_eq!(stored(&format!("{ROW}\n{unknown}\n{other}\n")), 0);
    assert_eq!(stored(&format!("[{ROW}]\n[{unknown}]\n[{other}]\n")), 2);
}

#[test]
fn a_row_that_is_cut_off_ends_its_document() {
    let text = format!("{ROW}\n{}", &ROW[..ROW.len() / 2]);
    assert_eq!(all(text.as_bytes()), ["2: cut off after 1 whole test"]);
    let text = format!("[{ROW},\n{}\n[{ROW}]\n", &ROW[..ROW.len() / 2]);
    let found = all(text.as_bytes());
    assert_eq!(
        found,
        ["2: cut off after 1 whole test", "document of 1 rows"]
    );
    let pretty = ROW.replace(", ", ",\n    ").replace('{', "  {\n    ");
    let half = &pretty[..pretty.len() / 2];
    for between in ["", "\n", "^C\n$ llama-bench -o json\n"] {
        let text = format!("[\n{pretty},\n{half}{between}[\n{pretty}\n]\n");
        let found = all(text.as_bytes());
        let [error, document] = &found[..] else {
            panic!("{between:?} {found:?}");
        };
        assert!(
            error.ends_with("cut off after 1 whole test"),
            "{between:?} {error}"
        );
        assert_eq!(document, "document of 1 rows");
    }
    let partial = Options {
        partial: true,
        ..Options::default()
    };
    let text = format!("[{ROW},\n{}", &ROW[..ROW.len() / 2]);
    let mut found = Capture::new(text.as_bytes(), partial);
    let Some(Ok(Found::Bench(document))) = found.next() else {
        panic!("the whole tests are wanted");
    };
    assert_eq!(document.rows(), 1);
    assert!(found.next().is_none());
}

#[test]
fn values_are_kept_as_they_came_in_the_tools_spelling() {
    let text = r#"{"build_commit": "\u00e9\ufffff", "model_size": 1.5e3, "n_prompt": 5e2, "n_gen": 0,
        "cpu_strict": false, "mine": [1,  {"a": null},
            2], "avg_ts": 6.0183114e1, "stddev_ts": Infinity,
        "zero": 1e-1, "samples_ns": [10000000000], "samples_ts": [5e1]}"#;
    let mut found = Capture::new(text.as_bytes(), Options::default());
    let Some(Ok(Found::Bench(mut document))) = found.next() else {
        panic!("a row");
    };
    let identity = std::sync::Arc::clone(&document.runs[0].identity);
    let settings = std::sync::Arc::clone(&document.settings[0]);
    assert_eq!(identity.get("build_commit"), Some(&"é\u{ffff}f".into()));
    assert_eq!(identity.get("model_size"), Some(&"1500".into()));
    assert_eq!(settings.get("cpu_strict"), Some(&"0".into()));
    assert_eq!(
        settings.get("mine"),
        Some(&r#"[1,  {"a": null}, 2]"#.into())
    );
    assert_eq!(settings.get("zero"), Some(&"0.100000".into()));
    let each = document.each_row(|row| {
        assert_eq!(row.n_prompt, 500);
        assert_eq!(row.results[3], Some("60.183114".into()));
        assert_eq!(row.results[4], Some("inf".into()));
        assert_eq!(row.samples.ns, Some(vec![10_000_000_000]));
        // These are what the times give.
        assert_eq!(row.samples.ts, None);
        Ok::<(), base::Error>(())
    });
    each.unwrap();
}
