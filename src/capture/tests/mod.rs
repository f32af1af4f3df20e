//! Several documents in one text.

#[path = "../../../tests/it/behind.rs"]
mod behind;
mod bench;
mod fuzz;
mod logs;
#[path = "../../../tests/it/random.rs"]
mod random;
mod reading;
mod tables;
mod wrapped;

use std::path::{Path, PathBuf};

use super::*;
use crate::model::{LocalScore, Suite};

/// The path of a fixture.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The content of a fixture.
fn read_fixture(name: &str) -> Vec<u8> {
    let path = fixture(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(read_fixture(name)).unwrap()
}

/// Where a text of this length is cut: everywhere if `LOCALSTORE_EVERY_CUT` is set, as `.ci/run` does,
/// else at every seventh byte.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let every = std::env::var_os("LOCALSTORE_EVERY_CUT").is_some();
    (0..length).step_by(if every { 1 } else { 7 })
}

fn all(text: &[u8]) -> Vec<String> {
    let describe = |found| match found {
        Found::Run(document) => format!("run of {} tests", document.run.tests.len()),
        Found::Bench(document) => format!("document of {} rows", document.rows()),
        Found::Bad { line, why, .. } | Found::Nothing(Nothing::Foreign { line, why }) => {
            format!("{line}: {why}")
        }
        Found::Nothing(nothing) => format!("{nothing:?}"),
        Found::Link(link) => link.url,
        Found::Note { line, message } => format!("{line}: note: {message}"),
        Found::Pause => unreachable!("the text is not live"),
    };
    Capture::new(text, Options::default())
        .map(|found| describe(found.unwrap()))
        .collect()
}

const TEST: &str = r#"{"name":"a","n_prompt":1,"n_gen":1,"prompt_tps":1,"gen_tps":1}"#;

#[test]
fn documents_may_follow_one_another_in_any_order() {
    let one = format!("{{\"results\":[{TEST}]}}");
    for between in ["", "\n", "\n\n", ",\n", "\r\n \u{feff}"] {
        let text = format!("[{one}{between}{one}]");
        assert_eq!(all(text.as_bytes()), ["run of 1 tests"; 2], "{between:?}");
    }
}

#[test]
fn a_document_that_is_cut_off_does_not_swallow_the_next_one() {
    let text = format!("{{\n  \"results\": [\n    {{\n{{\n  \"results\": [{TEST}]\n}}\n");
    let found = all(text.as_bytes());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "run of 1 tests");
}

#[test]
fn a_compact_document_that_is_cut_off_ends_with_its_line() {
    let text = format!("{{\"results\":[{{\"name\":\"a\",\n{{\"results\":[\n{TEST},\n{TEST}]}}\n");
    let found = all(text.as_bytes());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "run of 2 tests");
}

#[test]
fn the_documents_of_an_indented_array_are_all_found() {
    let one = format!("  {{\n    \"results\": [\n      {TEST}\n    ]\n  }}");
    let text = format!("[\n{one},\n{one},\n{one}\n]\n");
    assert_eq!(all(text.as_bytes()), ["run of 1 tests"; 3]);
}

#[test]
fn a_csv_ends_where_its_rows_end_and_splits_where_tests_repeat() {
    let text = "noise\nname,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1,1\nb,2,1,1,1\n\
                a,1,1,1,1\n\nLocalScore: 7\n";
    assert_eq!(all(text.as_bytes()), ["run of 2 tests", "run of 1 tests"]);
}

#[test]
fn an_invalid_row_invalidates_only_its_run() {
    let text = "name,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1,1\nb,x,1,1,1\na,1,1,1,1\n";
    let found = all(text.as_bytes());
    assert_eq!(
        found,
        ["3: \"n_prompt\" is 'x', not an integer", "run of 1 tests"]
    );
}

#[test]
fn a_text_without_runs_is_reported_once() {
    assert_eq!(all(b""), ["Empty"]);
    assert_eq!(all(b"hello\nworld\n"), ["Other"]);
    assert_eq!(all(b"hel\0lo\nworld\n"), ["Binary"]);
    assert_eq!(all(&vec![0; 200_000]), ["Binary"]);
    // UTF-16 is text.
    assert_eq!(all(b"h\0e\0l\0l\0o\0"), ["Other"]);
    assert!(all(b"{}")[0].starts_with("1: no \"results\""));
}

#[test]
fn a_run_whose_first_row_is_bad_does_not_take_rows_of_the_next() {
    let header = "name,n_prompt,n_gen,prompt_tps,gen_tps\n";
    let rows = LocalScore.expected().iter();
    let rows = rows.map(|(pp, tg)| format!("pp{pp}+tg{tg},{pp},{tg},1,1\n"));
    let run = rows.collect::<Vec<_>>().concat();
    let bad = run.replacen(",1,1", ",fast,1", 1);
    let text = [header, &run, &bad, &run, &run].concat();
    let good = "run of 9 tests";
    let error = "11: \"prompt_tps\" is 'fast', not a number";
    assert_eq!(all(text.as_bytes()), [good, error, good, good]);
}

#[test]
fn a_row_that_lacks_a_cell_is_an_error_not_the_end() {
    let text = "name,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1\na,1,1,1,1\n# sum,1\n";
    assert_eq!(all(text.as_bytes()), ["2: 4 values for 5 columns"]);
    let text = "name,n_prompt,n_gen,prompt_tps,gen_tps\na,1,1,1,1\nb,1,2,1\na,1,1,1,1\n";
    let found = all(text.as_bytes());
    assert_eq!(found, ["3: 4 values for 5 columns", "run of 1 tests"]);
}
