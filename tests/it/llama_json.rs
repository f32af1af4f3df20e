//! The json and jsonl of llama-bench: from files, logs, pipes and programs.

#[cfg(unix)]
use crate::sandbox::fixture;
use crate::sandbox::{Sandbox, read_fixture};

/// The rows of this golden run in a format.
fn golden(name: &str) -> String {
    String::from_utf8(read_fixture(&format!("golden/llama-bench/v-{name}"))).unwrap()
}

/// The command of a script that prints a golden run.
#[cfg(unix)]
fn cat(name: &str) -> String {
    let path = fixture(&format!("golden/llama-bench/v-{name}"));
    format!("cat '{}'", path.display())
}

/// Asserts that the store has one run, which comes back as this golden run.
fn assert_one(sandbox: &Sandbox, name: &str) {
    let (_, format) = name.rsplit_once('.').unwrap();
    let list = sandbox.run(["list", "-o", "jsonl"]);
    assert_eq!(list.text().lines().count(), 1, "{}", list.text());
    let exported = sandbox.run(["export", "1", "-o", format]);
    assert_eq!(exported.ok(), golden(name).as_bytes(), "{name}");
}

/// What `-o md -oe json` prints on one terminal: row by row in turn.
fn both(table: &str, document: &str) -> String {
    let (rows, footer) = table.split_once("\n\n").unwrap();
    let mut rows = rows.lines();
    let mut text = format!("[\n{}\n{}\n", rows.next().unwrap(), rows.next().unwrap());
    let objects = document.strip_prefix("[\n").unwrap();
    let objects = objects.strip_suffix("\n]\n").unwrap();
    for (place, (object, row)) in objects.split(",\n  {").zip(rows).enumerate() {
        let before = if place > 0 { ",\n  {" } else { "" };
        let starting = format!("llama-bench: benchmark {place}: starting\n");
        text.extend([&starting, before, object, row, "\n"]);
    }
    text + "\n" + footer + "\n]\n"
}

#[test]
fn a_run_comes_back_from_any_text_around_it() {
    for name in ["b1065-default.json", "b4748-cpu.json", "b11500-utf8.jsonl"] {
        let document = golden(name);
        let prefixed = document
            .lines()
            .map(|line| format!("2026-03-01T12:00:00.1234567Z {line}\n"));
        for text in [
            document.clone(),
            document.replace('\n', "\r\n"),
            format!("\u{feff}{document}"),
            format!("$ llama-bench\nload_backend: loaded CPU backend\n{document}$ exit\n"),
            prefixed.collect(),
        ] {
            let sandbox = Sandbox::new();
            sandbox.file("log", &text);
            sandbox.run(["add", "log"]).ok();
            assert_one(&sandbox, name);
        }
        let sandbox = Sandbox::new();
        let utf16 = document.encode_utf16().flat_map(u16::to_le_bytes);
        sandbox.file("log", utf16.collect::<Vec<u8>>());
        sandbox.run(["add", "log"]).ok();
        assert_one(&sandbox, name);
    }
}

#[test]
fn a_table_and_a_document_of_one_call_are_one_run() {
    let sandbox = Sandbox::new();
    let text = both(&golden("b4748-cpu.md"), &golden("b4748-cpu.json"));
    sandbox.file("both.log", &text);
    let dry = sandbox.run(["add", "--dry-run", "both.log"]).text();
    assert_eq!(dry.lines().count(), 1, "{dry}");
    let added = sandbox.run(["add", "both.log"]).text();
    assert_eq!(added.lines().count(), 1, "{added}");
    assert!(added.starts_with("run 1: llama 8B"), "{added}");
    assert_one(&sandbox, "b4748-cpu.json");
    // The other way round, and as lines.
    let sandbox = Sandbox::new();
    let table = golden("b4748-cpu.md");
    let jsonl = golden("b4748-cpu.jsonl");
    let mut text = String::new();
    let mut rows = table.lines();
    text.extend(rows.by_ref().take(2).map(|line| format!("{line}\n")));
    for row in jsonl.lines() {
        text.extend([row, "\n", rows.next().unwrap(), "\n"]);
    }
    text.extend(rows.map(|line| format!("{line}\n")));
    sandbox.run_with_input(["add"], text.as_bytes()).ok();
    assert_one(&sandbox, "b4748-cpu.jsonl");
}

#[test]
fn a_document_that_is_cut_off_is_an_error_unless_its_whole_tests_are_wanted() {
    let document = golden("b4748-cpu.json");
    let sandbox = Sandbox::new();
    sandbox.file("cut.json", &document[..document.len() - 20]);
    let ran = sandbox.run(["add", "cut.json"]);
    assert_eq!(ran.failed(), "cut.json:108: cut off after 2 whole tests");
    assert!(
        ran.stderr
            .contains("hint: localstore add --partial cut.json")
    );
    let ran = sandbox.run(["add", "--partial", "cut.json"]);
    ran.ok();
    assert!(ran.text().contains("2 tests"), "{}", ran.text());
}

#[test]
fn an_invalid_run_does_not_keep_the_others_away() {
    let sandbox = Sandbox::new();
    let two = golden("b6065-two-models.jsonl");
    let bad = two.replacen("\"n_gen\": 0", "\"n_gen\": \"none\"", 1);
    sandbox.file("two.jsonl", bad);
    let ran = sandbox.run(["add", "two.jsonl"]);
    assert_eq!(ran.code, Some(1));
    let errors: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("localstore: "))
        .collect();
    assert_eq!(
        errors,
        ["localstore: two.jsonl:1: n_gen is not a number: 'none'"]
    );
    let stored = sandbox.run(["list", "-o", "jsonl"]).text();
    assert_eq!(stored.lines().count(), 2, "{stored}");
}

#[test]
fn other_benchmarks_are_named() {
    let sandbox = Sandbox::new();
    let other = "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |    S t/s |\n";
    sandbox.file("other.log", other);
    let ran = sandbox.run(["add", "other.log"]);
    assert_eq!(
        ran.failed(),
        "other.log:1: this is llama-batched-bench output"
    );
    sandbox.file("both.log", golden("b4748-cpu.jsonl") + other);
    let ran = sandbox.run(["-v", "add", "both.log"]);
    ran.ok();
    let note = "both.log:4: passed over llama-batched-bench output";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);
    let ran = sandbox.run(["add", "both.log"]);
    ran.ok();
    assert!(!ran.stderr.contains("batched"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_recorded_program_may_print_any_of_them() {
    for name in ["b4748-cpu.json", "b4748-cpu.jsonl"] {
        let sandbox = Sandbox::new();
        let script = format!(
            "echo 'llama-bench: benchmark 1/3: starting' >&2; {}; exit 3",
            cat(name)
        );
        let ran = sandbox.run(["record", "--", "/bin/sh", "-c", &script]);
        assert_eq!(ran.code, Some(3));
        assert_eq!(ran.stdout, golden(name).as_bytes());
        assert_one(&sandbox, name);
    }
    let sandbox = Sandbox::new();
    let script = format!("{}; {} >&2", cat("b4748-cpu.md"), cat("b4748-cpu.jsonl"));
    sandbox.run(["record", "--", "/bin/sh", "-c", &script]).ok();
    assert_one(&sandbox, "b4748-cpu.jsonl");
}

#[test]
fn bytes_that_json_loses_are_those_of_any_other_capture() {
    // The names of the model and of a setting, as json and the others print them.
    let told = |text: String| {
        let text = text.replace("qwen3moe", "qw\u{e9}n3moe");
        text.replace("\"none\"", "\"blk\u{fc}=CPU\"")
    };
    let lost = |text: String| text.replace(['\u{e9}', '\u{fc}'], "\\ufffff\\ufffff");
    for (format, is_restored) in [("csv", true), ("md", false)] {
        let sandbox = Sandbox::new();
        sandbox.file("run.json", lost(told(golden("b6700-moe.json"))));
        sandbox.file("other", told(golden(&format!("b6700-moe.{format}"))));
        sandbox.run(["add", "run.json"]).ok();
        let added = sandbox.run(["add", "other"]);
        assert!(
            added.text().starts_with("run 1, completed:"),
            "{}",
            added.text()
        );
        let again = sandbox.run(["add", "other"]);
        assert!(
            again.text().starts_with("already stored as run 1:"),
            "{}",
            again.text()
        );
        let exported = sandbox.run(["export", "1", "-o", "csv"]);
        let exported = exported.text();
        assert!(exported.contains("qw\u{e9}n3moe"), "{exported}");
        assert_eq!(
            exported.contains("blk\u{fc}=CPU"),
            is_restored,
            "{exported}"
        );
        sandbox.run(["check"]).ok();
    }
    // Settings alone.
    let sandbox = Sandbox::new();
    let told = |text: String| text.replace("\"none\"", "\"blk\u{fc}=CPU\"");
    sandbox.file("run.json", lost(told(golden("b6700-moe.json"))));
    sandbox.file("run.csv", told(golden("b6700-moe.csv")));
    sandbox.run(["add", "run.json", "run.csv"]).ok();
    let exported = sandbox.run(["export", "1", "-o", "csv"]);
    assert!(
        exported.text().contains("blk\u{fc}=CPU"),
        "{}",
        exported.text()
    );
}

#[test]
fn a_table_whose_tests_have_names_of_their_own_is_the_same_run() {
    let sandbox = Sandbox::new();
    let row = |name: &str, n_prompt: u32, n_gen: u32, speed: &str| {
        format!(
            "{{\"build_commit\": \"1c1409e1\", \"build_number\": 3900, \"cpu_info\": \"EPYC\", \"gpu_info\": \"\", \"backends\": \"CPU\", \
             \"model_filename\": \"m.gguf\", \"model_type\": \"llama 8B Q4_0\", \"model_size\": 4920733824, \
             \"model_n_params\": 8030261312, \"n_prompt\": {n_prompt}, \"n_gen\": {n_gen}, \
             \"avg_ts\": {speed}, \"stddev_ts\": 0.500000, \"test\": \"{name}\"}}\n"
        )
    };
    let rows = [
        row("pp512+tg64", 512, 64, "150.000000"),
        row("tg64@pp512", 512, 64, "20.000000"),
    ];
    sandbox.file("run.jsonl", rows.concat());
    sandbox.file(
        "run.md",
        "| model | size | params | backend | test | t/s |\n|---|---|---|---|---|---|\n\
         | llama 8B Q4_0 | 4.58 GiB | 8.03 B | CPU | pp512+tg64 | 150.00 ± 0.50 |\n\
         | llama 8B Q4_0 | 4.58 GiB | 8.03 B | CPU | tg64@pp512 | 20.00 ± 0.50 |\n\n\
         build: 1c1409e1 (3900)\n",
    );
    let added = sandbox.run(["add", "run.md"]);
    assert!(added.text().contains("2 tests"), "{}", added.text());
    let shown = sandbox.run(["show", "1"]);
    assert!(shown.text().contains("tg64@pp512"), "{}", shown.text());
    let added = sandbox.run(["add", "run.jsonl"]);
    assert!(
        added.text().starts_with("run 1, completed:"),
        "{}",
        added.text()
    );
}

#[test]
fn what_only_a_later_capture_tells_completes_the_run() {
    let sandbox = Sandbox::new();
    let table = golden("b6700-moe.md");
    let (rows, _) = table.split_once("\nbuild: ").unwrap();
    sandbox.file("rows.md", rows);
    sandbox.file("table.md", &table);
    sandbox.run(["add", "rows.md", "table.md"]).ok();
    assert_one(&sandbox, "b6700-moe.md");
    sandbox.run(["check"]).ok();
    let again = sandbox.run(["add", "rows.md", "table.md"]);
    assert_eq!(again.text().matches("already stored as run 1:").count(), 2);

    // json of another program, which has no samples.
    let json = golden("b6700-moe.json");
    let lines = json.lines().filter(|line| !line.contains("\"samples_"));
    let without: Vec<&str> = lines.collect();
    let without = without.join("\n").replace("000,\n  }", "000\n  }");
    sandbox.file("without.json", &without);
    sandbox.file("run.json", &json);
    for name in ["without.json", "run.json"] {
        let added = sandbox.run(["add", name]);
        assert!(
            added.text().starts_with("run 1, completed:"),
            "{}",
            added.text()
        );
    }
    assert_one(&sandbox, "b6700-moe.json");
    let again = sandbox.run(["add", "without.json", "run.json"]);
    assert_eq!(again.text().matches("already stored as run 1:").count(), 2);
    sandbox.run(["check"]).ok();
}
