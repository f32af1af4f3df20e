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
