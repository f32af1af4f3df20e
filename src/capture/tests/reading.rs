//! Properties of the readers, in this process: no panic, nothing invented, nothing changed.

use proptest::prelude::*;

use super::{cuts, read_fixture};
use crate::capture::{Capture, Found, Options};
use crate::formats::{console, csv, json};
use crate::model::Run;

/// The runs in a text, and the number of messages.
fn read(text: &[u8]) -> (Vec<Run>, usize) {
    let mut runs = Vec::new();
    let mut remarks = 0;
    for found in Capture::new(text, Options::default()) {
        match found.unwrap() {
            Found::Run(document) => runs.push(document.run),
            Found::Bench(mut document) => runs.extend(document.read_runs().unwrap()),
            Found::Bad { .. } | Found::Nothing(_) => remarks += 1,
            Found::Link(_) | Found::Note { .. } => {}
            Found::Pause => unreachable!(),
        }
    }
    (runs, remarks)
}

fn to_json(run: &Run) -> Vec<u8> {
    let mut out = Vec::new();
    json::write(&mut out, run).unwrap();
    out
}

fn to_csv(run: &Run) -> Vec<u8> {
    let mut out = Vec::new();
    csv::write_header(&mut out).unwrap();
    csv::write_tests(&mut out, run).unwrap();
    out
}

/// Any bytes of a model's string, except lost ones, which have tests of their own.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "\\PC{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(1..=255_u8, 0..20),
    ]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0.0..1e9_f64).prop_map(six_decimals),
        1 => proptest::num::f64::NORMAL.prop_map(six_decimals),
        1 => Just(f64::NAN),
        1 => Just(-f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-0.0),
    ]
}

/// A number rounded as C prints it.
fn six_decimals(value: f64) -> f64 {
    format!("{value:.6}").parse().unwrap()
}

prop_compose! {
    fn run()(
        names in proptest::collection::vec(name(), 6),
        header in proptest::collection::vec("[ !#-\\[\\]-~é®]{0,30}", 8),
        memory in 0.0..1e6_f64,
        size in any::<u64>(),
        numbers in proptest::collection::vec(proptest::collection::vec(number(), 10), 0..12),
        samples in proptest::collection::vec(any::<u64>(), 0..20),
        gpu in -1..8_i64,
    ) -> Run {
        let mut run = Run::default();
        let text = |index: usize| Some(header[index].as_str().into());
        run.environment.runtime.name = text(0);
        run.environment.runtime.version = text(1);
        run.environment.runtime.commit = text(2);
        run.environment.system.cpu_name = text(3);
        run.environment.system.cpu_arch = text(4);
        run.environment.system.ram_gb = Some(format!("{memory:.2}").parse().unwrap());
        run.environment.system.kernel_type = text(5);
        run.environment.system.kernel_release = text(6);
        run.environment.system.version = text(7);
        run.environment.accelerator.name = text(3);
        run.environment.accelerator.manufacturer = text(4);
        run.environment.accelerator.memory_gb = Some(format!("{memory:.2}").parse().unwrap());
        run.environment.accelerator.kind = Some("GPU".into());
        for (index, numbers) in numbers.iter().enumerate() {
            let mut test = crate::model::Test::default();
            let name = |index: usize| Some(names[index].clone().into());
            test.model.build_commit = name(0);
            test.model.build_number = Some(1500);
            test.model.model_name = name(1);
            test.model.model_quant_str = name(2);
            test.model.model_params_str = name(3);
            test.model.model_filename = name(4);
            test.model.model_type = name(5);
            test.model.model_size = Some(size);
            test.model.model_n_params = Some(!size);
            test.model.main_gpu = Some(gpu);
            test.name = format!("pp{index}").as_str().into();
            test.n_prompt = i64::try_from(index).unwrap();
            test.n_gen = 16;
            test.test_time = Some("2025-06-15T15:06:40Z".into());
            let mut values = numbers.iter().copied();
            let mut number = || values.next();
            test.avg_time_ms = number();
            test.stddev_time_ms = number();
            test.prompt_tps = number();
            test.prompt_tps_watt = number();
            test.prompt_tps_stddev = number();
            test.gen_tps = number();
            test.gen_tps_watt = number();
            test.gen_tps_stddev = number();
            test.power_watts = number();
            test.ttft_ms = number();
            test.samples_ns = Some(samples.clone());
            run.tests.push(test);
        }
        run
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_and_prints_the_same(run in run()) {
        let text = to_json(&run);
        let (runs, remarks) = read(&text);
        prop_assert_eq!((runs.len(), remarks), (1, 0));
        prop_assert_eq!(to_json(&runs[0]), text);
        if !run.tests.is_empty() {
            let text = to_csv(&run);
            let (runs, remarks) = read(&text);
            prop_assert_eq!((runs.len(), remarks), (1, 0));
            prop_assert_eq!(to_csv(&runs[0]), text);
        }
        let mut table = Vec::new();
        console::write(&mut table, &run).unwrap();
        prop_assert_eq!(table.split(|&b| b == b'\n').next().unwrap().len(), 101);
    }

    #[test]
    fn other_text_between_documents_changes_nothing(
        run in run(),
        before in "([a-zA-Z .:|+\\-=]{0,60}\n){0,5}",
        after in "(\n[a-zA-Z .:|+\\-=]{0,60}){0,5}",
    ) {
        let text = [before.as_bytes(), &to_json(&run), after.as_bytes()].concat();
        let (runs, remarks) = read(&text);
        prop_assert_eq!((runs.len(), remarks), (1, 0));
        prop_assert_eq!(to_json(&runs[0]), to_json(&run));
    }

    #[test]
    fn any_bytes_end_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read(&text);
    }

    #[test]
    fn words_of_the_formats_in_any_order_end_without_a_panic(
        words in proptest::collection::vec(prop_oneof![
            Just("{"), Just("}"), Just("["), Just("]"), Just(":"), Just(","), Just("\n"), Just(" "),
            Just("\""), Just("\\"), Just("\"results\""), Just("\"runtime_info\""), Just("\"name\""),
            Just("n_prompt,n_gen,name"), Just("1"), Just("-nan"), Just("null"), Just("\\u12"), Just("\u{feff}"),
        ], 0..200)
    ) {
        let _ = read(words.concat().as_bytes());
    }

    #[test]
    fn a_changed_byte_never_ends_in_a_panic(index in 0..8000_usize, byte in any::<u8>()) {
        let mut text = read_fixture("golden/gpu-reps4.json");
        let index = index % text.len();
        text[index] = byte;
        let _ = read(&text);
    }
}

/// A document that is cut off is read completely or not at all.
#[test]
fn a_document_cut_at_any_byte_is_never_taken_for_a_complete_one() {
    let whole = read_fixture("golden/gpu-reps4.json");
    for end in cuts(whole.len()) {
        let (runs, remarks) = read(&whole[..end]);
        assert!(runs.is_empty(), "a run at {end}");
        assert_eq!(remarks, 1, "at {end}");
    }
    let whole = read_fixture("golden/gpu-reps4.csv");
    let tests = read(&whole).0.remove(0).tests;
    for end in cuts(whole.len()) {
        let (runs, _) = read(&whole[..end]);
        assert!(runs.len() <= 1);
        for run in runs {
            assert!(tests.starts_with(&run.tests), "at {end}");
        }
    }
}

/// The same document in the layouts of other programs.
#[test]
fn spacing_order_and_line_ends_do_not_matter() {
    let golden = read_fixture("golden/gpu-reps4.json");
    let value: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    let text = String::from_utf8(golden.clone()).unwrap();
    let layouts = [
        // serde_json sorts the keys.
        serde_json::to_string(&value).unwrap(),
        serde_json::to_string_pretty(&value).unwrap(),
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.replace("\n  ", "\n\t"),
        text.replace(": 1024,", ": 1.024e3,")
            .replace(": 1500", ": 1500.0"),
        text.replace('\n', ""),
    ];
    for layout in layouts {
        let (runs, remarks) = read(layout.as_bytes());
        assert_eq!((runs.len(), remarks), (1, 0), "{layout}");
        assert!(to_json(&runs[0]) == golden, "{layout}");
    }
}

#[test]
fn columns_of_a_csv_are_found_by_name() {
    let golden = String::from_utf8(read_fixture("golden/gpu-reps4.csv")).unwrap();
    let (expected, _) = read(golden.as_bytes());
    let reversed: String = golden
        .lines()
        .map(|line| line.split(',').rev().collect::<Vec<_>>().join(",") + "\r\n")
        .collect();
    assert_eq!(read(format!("\u{feff}{reversed}").as_bytes()).0, expected);

    let few = "test,n_prompt,n_gen,prompt_tps,gen_tps,color\nx,1,2,3,4,red\n";
    let (runs, _) = read(few.as_bytes());
    assert_eq!(runs[0].tests[0].prompt_tps, Some(3.0));
    assert_eq!(runs[0].tests[0].ttft_ms, None);
}

/// Quotes and backslashes in a header string, which the C tool prints as they are.
#[test]
fn an_unescaped_header_is_read_as_the_c_tool_meant_it() {
    let golden = String::from_utf8(read_fixture("golden/gpu-reps4.json")).unwrap();
    for name in [
        "the \"fast\" one",
        "C:\\new\\table",
        "x\", \"memory_gb\": 7, \"y\": \"z",
        "ends\\",
        "two\nlines",
        "\u{7f}\u{1b}[0m",
    ] {
        let text = golden.replace("NVIDIA GeForce RTX 4090", name);
        let (runs, remarks) = read(text.as_bytes());
        assert_eq!((runs.len(), remarks), (1, 0), "{name}");
        let read = runs[0].environment.accelerator.name.clone().unwrap();
        assert_eq!(read.as_bytes(), name.as_bytes());
        assert!(to_json(&runs[0]) == text.as_bytes());
    }
}

/// Deep, long and wide: an error or nothing, in time that grows with the size alone.
#[test]
fn hostile_inputs_end() {
    let cases = [
        "[".repeat(3_000_000),
        "{".repeat(3_000_000),
        "{\"a\":".repeat(1_000_000),
        "{\n".repeat(1_000_000),
        format!("{{\"results\":[{}", "[".repeat(1_000_000)),
        format!("{{\"x\":\"{}", "a".repeat(20_000_000)),
        format!(
            "n_prompt,n_gen,{}\n{}",
            "x,".repeat(100_000),
            "1,".repeat(100_000)
        ),
        format!("name,n_prompt,n_gen\n\"{}", "\n".repeat(1_000_000)),
        "\"".repeat(3_000_000),
        "{}".repeat(200_000),
        "[{\n  \"results\": [\nx\n".repeat(30_000),
        "{\"level\":\"info\",\n".repeat(100_000),
        "n_prompt,n_gen,prompt_tps,".repeat(1_000_000),
        "+----------------------------------------------------------------------+\n".repeat(50_000),
    ];
    for text in cases {
        let (runs, _) = read(text.as_bytes());
        assert!(runs.is_empty());
    }
    let rows = (0..200_000).fold(String::new(), |rows, index| {
        rows + &format!("t{index},{index},1,1,1\n")
    });
    let (runs, remarks) =
        read(format!("name,n_prompt,n_gen,prompt_tps,gen_tps\n{rows}").as_bytes());
    assert_eq!((runs.len(), remarks), (0, 1));
}
