use std::path::Path;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use proptest::prelude::*;

use super::read::{At, MOST_SAMPLES, Reader};
use super::write::Writer;
use super::*;
use crate::capture::{Capture, Found, Options};
use crate::formats::grouping::MAX_TESTS;
use crate::formats::lexer::Lexer;
use crate::model::{Environment, HeaderField, Kind, NewValue, Run, Source, Test, Tool};
use crate::store::bench::{Adding, Reader as Rows, StoredDocument};
use crate::store::foreign::{Foreign, add_foreign, lookup_foreign, read_foreign};
use crate::store::members::More;
use crate::store::{Dated, ForeignRun, Location, Measured, Store, Stored, bench, runs};

/// A new store in this folder.
fn store(folder: &Path, name: &str) -> Store {
    let path = folder.join(name);
    Store::open(&Location {
        path,
        startup_sql: "PRAGMA journal_mode=MEMORY;PRAGMA synchronous=OFF;".to_owned(),
    })
    .unwrap()
}

/// Adds the runs of a capture.
fn add(store: &mut Store, text: &[u8], measured: Measured) {
    for found in Capture::new(text, Options::default()) {
        match found.unwrap() {
            Found::Run(document) => {
                let run = document.run;
                let dated = Dated { run, measured };
                store.write(|db| runs::add_all(db, [&dated], None)).unwrap();
            }
            Found::Bench(mut document) => {
                let adding = Adding {
                    measured,
                    machine: &Environment::default(),
                    tag: None,
                };
                store
                    .write(|db| bench::add(db, &mut document, adding))
                    .unwrap();
            }
            _ => {}
        }
    }
}

fn ids(store: &Store) -> Vec<i64> {
    let ids = store.read(|db| {
        let mut statement = db.prepare("SELECT run_id FROM localstore_runs ORDER BY run_id")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    });
    ids.unwrap()
}

fn read(store: &Store, id: i64) -> Foreign {
    store.read(|db| read_foreign(db, id)).unwrap()
}

/// All that the formats print of a run, and when it was measured and added.
fn shown(store: &Store, id: i64) -> String {
    let all = store.read(|db| {
        let mut rows = Vec::new();
        let run = runs::read(db, id)?;
        if run.tool == Tool::LlamaBench {
            let document = StoredDocument { runs: vec![id] };
            Rows::default().each_row(db, &document, |row| {
                let mut row = row.clone();
                row.run = 0;
                rows.push(row);
                Ok::<(), db::Error>(())
            })?;
        }
        let times: (i64, bool, Option<String>, Option<String>) = db
            .prepare(
                "SELECT measured_at, measured_guessed, b.created_at, x.added_at
                 FROM localstore_runs r LEFT JOIN benchmark_runs b ON b.id = r.run_id
                 LEFT JOIN localstore_bench_runs x ON x.run_id = r.run_id WHERE r.run_id = ?1",
            )?
            .query_row([id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })?;
        Ok(format!("{} {rows:?} {times:?}", bits(&run)))
    });
    all.unwrap()
}

/// A run with its numbers bit for bit, as `Debug` does not show the sign of nan.
fn bits(run: &Run) -> String {
    let value = |value: Value<'_>| match value {
        Value::Number(number) => format!("{:016x}", number.to_bits()),
        value => format!("{value:?}"),
    };
    let header = HeaderField::ALL.iter().map(|f| f.get(&run.environment));
    let mut all: Vec<String> = header.map(value).collect();
    for test in &run.tests {
        all.extend(Field::ALL.iter().map(|field| value(field.get(test))));
        all.push(format!("{:?} {:?}", test.samples_ns, test.reps));
    }
    all.push(format!("{:?} {:?}", run.source, run.tool));
    all.join(" ")
}

fn encoded(foreign: &mut Foreign) -> Encoded {
    encode(foreign).unwrap()
}

/// The same run from its body.
fn decoded(foreign: &mut Foreign) -> Foreign {
    let body = encoded(foreign).body;
    let back = decode(foreign.tool(), foreign.source(), &body)
        .unwrap_or_else(|why| panic!("{why}: {}", json(&body)));
    assert_eq!(*more(&back), More::default());
    back
}

fn more(foreign: &Foreign) -> &More {
    match foreign {
        Foreign::Run(run) => &run.more,
        Foreign::Bench(bench) => &bench.part.more,
    }
}

fn json(body: &[u8]) -> String {
    String::from_utf8(decompress_to_vec_zlib(body).unwrap()).unwrap()
}

/// The captures of the repository of which each gives a run or more.
fn captures() -> Vec<std::path::PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files = Vec::new();
    for folder in ["captures", "golden", "golden/llama-bench"] {
        let folder = std::fs::read_dir(fixtures.join(folder)).unwrap();
        files.extend(folder.map(|file| file.unwrap().path()));
    }
    files.retain(|file| file.is_file());
    files.sort();
    files
}

#[test]
fn every_capture_comes_back_from_another_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = [0, 0];
    for (index, file) in captures().into_iter().enumerate() {
        let mut from = store(folder.path(), &format!("{index}-from"));
        let mut to = store(folder.path(), &format!("{index}-to"));
        add(
            &mut from,
            &std::fs::read(&file).unwrap(),
            Measured::guessed(1),
        );
        let ids = ids(&from);
        for &id in &ids {
            let mut foreign = read(&from, id);
            all[usize::from(foreign.tool() == Tool::LlamaBench)] += 1;
            let mut back = decoded(&mut foreign);
            assert_eq!(back.keys().fingerprint, foreign.keys().fingerprint);
            assert_eq!(back.keys().core, foreign.keys().core);
            assert_eq!(back.is_poor(), foreign.is_poor());
            assert_eq!(back.measured(), foreign.measured());
            assert_eq!(encoded(&mut back).body, encoded(&mut foreign).body);
            let mut back = [decoded(&mut foreign)];
            let looked = to.read(|db| lookup_foreign(db, &back[0])).unwrap();
            assert_eq!(looked, (None, Stored::New));
            let added = to.write(|db| add_foreign(db, &mut back)).unwrap();
            assert_eq!(added[0].stored, Stored::New, "{}", file.display());
            let there = added[0].id;
            assert_eq!(shown(&to, there), shown(&from, id), "{}", file.display());
            let mut again = read(&to, there);
            assert_eq!(
                json(&encoded(&mut again).body),
                json(&encoded(&mut foreign).body),
                "{}",
                file.display()
            );
            let added = to.write(|db| add_foreign(db, &mut back)).unwrap();
            assert_eq!(added[0].stored, Stored::Already);
        }
        let documents = |store: &Store, ids: &[i64]| {
            let documents = store.read(|db| bench::documents(db, ids)).unwrap();
            let sizes = documents.iter().map(|document| document.runs.len());
            sizes.collect::<Vec<usize>>()
        };
        let there = self::ids(&to);
        assert_eq!(documents(&to, &there), documents(&from, &ids));
    }
    assert!(all[0] > 50 && all[1] > 40, "{all:?}");
}

#[test]
fn the_digest_tells_what_was_measured_and_not_when_it_was_added() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    for (name, is_dated) in [
        ("gpu-rtx4090-8b.csv", true),
        ("gpu-rtx4090-8b.md", false),
        ("llama-bench/v-b11500-default.csv", true),
        ("llama-bench/v-b11500-default.md", false),
    ] {
        let text = std::fs::read(fixtures.join(name)).unwrap();
        let dates = [
            Measured::guessed(1),
            Measured::guessed(2),
            Measured::known(3),
        ];
        let digests = dates.map(|measured| {
            let folder = tempfile::tempdir().unwrap();
            let mut one = store(folder.path(), "store");
            add(&mut one, &text, measured);
            let id = ids(&one)[0];
            encoded(&mut read(&one, id)).digest
        });
        assert_eq!(digests[0], digests[1], "{name}");
        // A date that the tests tell is the date.
        assert_eq!(digests[0] == digests[2], is_dated, "{name}");
    }
}

#[test]
fn members_that_are_not_known_stay_as_they_came() {
    let text = r#"{"runtime_info":{"name":"a","x":[1e400, {"y":"é\u0000"}]},
        "new" : {"deep":18446744073709551616000000000.10},"new":-0.0,
        "results":[{"name":"t","n_prompt":1,"n_gen":0},
            {"name":"u","n_prompt":2,"n_gen":0,"unit":null,"tps\"":"x"}],
        "added_at":"2026-01-02 03:04:05","measured_at":7}"#;
    let decode = |text: &str| decode(Tool::LocalScore, Source::Json, &zlib(text)).unwrap();
    let mut foreign = decode(text);
    let kept = more(&foreign).to_text().unwrap();
    assert_eq!(
        kept,
        r#"{"":{"new":{"deep":18446744073709551616000000000.10},"new":-0.0},"results[1]":{"unit":null,"tps\"":"x"},"runtime_info":{"x":[1e400, {"y":"é\u0000"}]}}"#
    );
    assert_eq!(More::from_text(&kept).unwrap(), *more(&foreign));
    let again = encoded(&mut foreign);
    assert_eq!(
        json(&again.body),
        r#"{"runtime_info":{"name":"a","x":[1e400, {"y":"é\u0000"}]},"system_info":{},"accelerator_info":{},"results":[{"name":"t","n_prompt":1,"n_gen":0},{"n_prompt":2,"n_gen":0,"name":"u","unit":null,"tps\"":"x"}],"measured_at":7,"new":{"deep":18446744073709551616000000000.10},"new":-0.0,"added_at":"2026-01-02 03:04:05"}"#
            .replace(r#"{"name":"t","n_prompt":1,"n_gen":0}"#, r#"{"n_prompt":1,"n_gen":0,"name":"t"}"#)
    );
    let mut back = decode(&json(&again.body));
    assert_eq!(more(&back), more(&foreign));
    let Foreign::Run(run) = &mut back else {
        unreachable!("it is a run of LocalScore")
    };
    run.more = More::default();
    assert_ne!(again.digest, encoded(&mut back).digest);
    assert_eq!(More::default().to_text(), None);
    for text in ["", "[]", "{\"a\":1}", "{\"a\":{\"b\":1}"] {
        assert!(More::from_text(text).is_err(), "{text}");
    }
}

fn zlib(text: impl AsRef<[u8]>) -> Vec<u8> {
    compress_to_vec_zlib(text.as_ref(), 1)
}

const TEST: &str = r#""name":"t","n_prompt":1,"n_gen":0"#;

#[test]
fn a_wrong_body_is_named_in_words() {
    let run = |test: &str| {
        format!(
            r#"{{"results":[{{{TEST}}},{{{test}}}],"measured_at":1,"added_at":"2026-01-02 03:04:05"}}"#
        )
    };
    let with = |member: &str| run(&format!("{TEST},{member}"));
    let top = |end: &str| format!(r#"{{"results":[]{end}}}"#);
    for (text, why) in [
        (
            String::new(),
            "not JSON: EOF while parsing a value at line 1 column 0",
        ),
        ("[]".to_owned(), "not an object"),
        ("{}".to_owned(), "results: is missing"),
        (top(""), "measured_at: is missing"),
        (top(r#","measured_at":1"#), "added_at: is missing"),
        (top(r#","measured_at":"x""#), "measured_at: not an integer"),
        (top(r#","measured_at":1e30"#), "measured_at: not an integer"),
        (
            top(r#","measured_at":9223372036854775808"#),
            "measured_at: out of range",
        ),
        (top(r#","added_at":"now""#), "added_at: not a date"),
        (
            top(r#","added_at":"2026-02-30 00:00:00""#),
            "added_at: not a date",
        ),
        (top(r#","results":[]"#), "results: is there twice"),
        (top(r#","system_info":[]"#), "system_info: not an object"),
        (
            top(r#","system_info":{"ram_gb":true}"#),
            "system_info.ram_gb: not a number",
        ),
        (r#"{"results":{}}"#.to_owned(), "results: not an array"),
        (r#"{"results":[1]}"#.to_owned(), "results[0]: not an object"),
        (
            run(r#""n_prompt":1,"n_gen":0"#),
            "results[1].name: is missing",
        ),
        (
            with(r#""prompt_tps":"fast""#),
            "results[1].prompt_tps: not a number",
        ),
        (
            with(r#""prompt_tps":null"#),
            "results[1].prompt_tps: not a number",
        ),
        (
            with(r#""model_name":5"#),
            "results[1].model_name: not a text",
        ),
        (
            with(r#""model_name":{"base64":"*"}"#),
            "results[1].model_name: not a text in base64",
        ),
        (
            with(r#""model_size":-1"#),
            "results[1].model_size: out of range",
        ),
        (
            with(r#""samples_ns":[1,"x"]"#),
            "results[1].samples_ns: not an integer",
        ),
        (
            with(r#""samples_ns":[-1]"#),
            "results[1].samples_ns: out of range",
        ),
        (with(r#""name":"t""#), "results[1].name: is there twice"),
    ] {
        let found = decode(Tool::LocalScore, Source::Json, &zlib(&text)).unwrap_err();
        assert_eq!(found, why, "{text}");
    }
    let deep = with(&format!(r#""x":{}{}"#, "[".repeat(500), "]".repeat(500)));
    let found = decode(Tool::LocalScore, Source::Json, &zlib(deep)).unwrap_err();
    assert!(
        found.contains("deep") || found.contains("recursion"),
        "{found}"
    );
    let bomb = compress_to_vec_zlib(&vec![b' '; MOST_JSON + 1], 9);
    let found = decode(Tool::LocalScore, Source::Json, &bomb).unwrap_err();
    assert_eq!(found, "it is larger than 8 MiB");
    for body in [&b""[..], b"{}", &bomb[..100]] {
        let found = decode(Tool::LocalScore, Source::Json, body).unwrap_err();
        assert_eq!(found, "it cannot be inflated");
    }
    let tests = vec![format!("{{{TEST}}}"); MAX_TESTS + 1].join(",");
    let many = format!(r#"{{"results":[{tests}]}}"#);
    let found = decode(Tool::LocalScore, Source::Json, &zlib(many)).unwrap_err();
    assert_eq!(found, "results: more than 4096 tests");
    let samples = vec!["1"; MOST_SAMPLES + 1].join(",");
    let many = with(&format!(r#""samples_ns":[{samples}]"#));
    let found = decode(Tool::LocalScore, Source::Json, &zlib(many)).unwrap_err();
    assert_eq!(
        found,
        "results[1].samples_ns: more than 1000000 samples in a run"
    );
}

#[test]
#[allow(clippy::too_many_lines, reason = "a list of wrong bodies")]
fn a_wrong_body_of_llama_bench_is_named_in_words() {
    let body = |change: &[(&str, &str)]| {
        let mut text = r#"{"identity":{"build_commit":"c","build_number":"1"},"schemas":[{"fields":[["build_commit","text"],["build_number","integer"],["n_batch","integer"],["n_prompt","integer"],["n_gen","integer"],["avg_ts","real"]]}],"settings":[[0,"2048"]],"results":[{"settings":0,"n_prompt":512,"n_gen":0,"avg_ts":"1.000000"}],"measured_guess":1,"added_at":"2026-01-02 03:04:05"}"#.to_owned();
        for (old, new) in change {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        zlib(text)
    };
    let decode = |body: &[u8]| decode(Tool::LlamaBench, Source::Json, body);
    let mut foreign = decode(&body(&[])).unwrap();
    let again = encoded(&mut foreign).body;
    assert_eq!(
        json(&again),
        json(&encoded(&mut decode(&again).unwrap()).body)
    );
    let row = r#"{"settings":0,"n_prompt":512,"n_gen":0,"avg_ts":"1.000000"}"#;
    for (old, new, why) in [
        (row, "", "its tests are those of 0 runs"),
        (
            row,
            &*format!("{row},{row}"),
            "its tests are those of 2 runs",
        ),
        (
            r#""settings":0"#,
            r#""settings":7"#,
            "results[0]: there are no such settings",
        ),
        (r"[[0,", r"[[4,", "settings: there are no such fields"),
        (
            r#"[[0,"2048"]]"#,
            r"[[0]]",
            "settings: not as many as there are fields",
        ),
        (
            r#"[[0,"2048"]]"#,
            r#"[[0,"x"]]"#,
            "results[0]: n_batch is not a number: 'x'",
        ),
        (
            r#""n_prompt":512"#,
            r#""n_prompt":"512 ""#,
            "results[0].n_prompt: not an integer",
        ),
        (r#""n_prompt":512,"#, "", "results[0].n_prompt: is missing"),
        (
            r#""n_prompt":512"#,
            r#""n_prompt":-1"#,
            "results[0]: n_prompt is not a number: '-1'",
        ),
        (
            r#","avg_ts":"1.000000""#,
            "",
            "results[0]: a row without avg_ts",
        ),
        (
            r#""build_commit":"c""#,
            r#""build_commit":"c","blas":"1""#,
            "identity: not that of the tests",
        ),
        (
            r#"["n_batch","integer"]"#,
            r#"["n_batch","whole"]"#,
            "schemas.fields: not a field",
        ),
        (
            r#"["n_batch","integer"]"#,
            r#"["n_batch","integer",5]"#,
            "schemas.fields: not a field",
        ),
        (
            r#""measured_guess":1"#,
            r#""document":"x""#,
            "document: not a fingerprint",
        ),
        (
            r#""measured_guess":1"#,
            r#""positions":[1,1]"#,
            "positions: not in order",
        ),
        (
            r#""measured_guess":1"#,
            r#""positions":[-1]"#,
            "positions: not in order",
        ),
        (
            r#""measured_guess":1"#,
            r#""positions":[1,9223372036854775807,1]"#,
            "positions: not in order",
        ),
        (
            r#""measured_guess":1"#,
            r#""positions":[1,2]"#,
            "positions: not as many as there are tests",
        ),
        (
            r#""measured_guess":1"#,
            r#""tells_bytes":1"#,
            "tells_bytes: neither true nor false",
        ),
        (r#""measured_guess":1,"#, "", "measured_at: is missing"),
    ] {
        let found = decode(&body(&[(old, new)])).unwrap_err();
        assert_eq!(found, why, "{old} {new}");
    }
    let found = super::decode(Tool::LlamaBench, Source::Console, &body(&[])).unwrap_err();
    assert_eq!(found, "results[0]: its fields are not those of a row");
    let found = super::decode(Tool::LlamaBench, Source::Site, &body(&[])).unwrap_err();
    assert_eq!(found, "no run of llama-bench has the source 'site'");
}

#[test]
fn a_body_of_nine_tests_is_small() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    let folder = tempfile::tempdir().unwrap();
    let mut one = store(folder.path(), "store");
    let text = std::fs::read(fixtures.join("gpu-rtx4090-8b.json")).unwrap();
    add(&mut one, &text, Measured::guessed(1));
    let encoded = encoded(&mut read(&one, 1));
    assert!(encoded.body.len() <= 1100, "{}", encoded.body.len());
}

fn text_strategy() -> impl Strategy<Value = Text> {
    prop_oneof![
        any::<String>().prop_map(|text| text.as_str().into()),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Text::from),
        Just(Text::from("a\u{ffff}f\0\"\\\n\u{2028}")),
    ]
}

fn new_value(kind: Kind) -> BoxedStrategy<Option<NewValue>> {
    let value = match kind {
        Kind::Text => text_strategy().prop_map(NewValue::Text).boxed(),
        Kind::Integer => any::<i64>()
            .prop_map(|integer| NewValue::Integer(integer.into()))
            .boxed(),
        Kind::Unsigned => prop_oneof![any::<u64>(), Just(u64::MAX)]
            .prop_map(|integer| NewValue::Integer(integer.into()))
            .boxed(),
        Kind::Number => any::<u64>()
            .prop_map(|bits| {
                let number = f64::from_bits(bits);
                let nan = f64::NAN.copysign(number);
                NewValue::Number(if number.is_nan() { nan } else { number })
            })
            .boxed(),
    };
    proptest::option::weighted(0.8, value).boxed()
}

fn run_strategy() -> impl Strategy<Value = Run> {
    let header: Vec<_> = HeaderField::ALL
        .iter()
        .map(|f| new_value(f.kind()))
        .collect();
    let test: Vec<_> = Field::ALL.iter().map(|f| new_value(f.kind())).collect();
    let samples = proptest::option::of(proptest::collection::vec(any::<u64>(), 0..17));
    let tests = proptest::collection::vec((test, samples, any::<Option<u64>>()), 0..4);
    let sources = prop_oneof![
        Just(Source::Console),
        Just(Source::Site),
        Just(Source::Csv),
        Just(Source::Json)
    ];
    (header, tests, sources).prop_map(|(header, tests, source)| {
        let mut run = Run {
            source,
            ..Run::default()
        };
        for (field, value) in HeaderField::ALL.iter().zip(header) {
            field.set(&mut run.environment, value);
        }
        for (values, samples_ns, reps) in tests {
            let mut test = Test {
                samples_ns,
                reps,
                ..Test::default()
            };
            for (field, value) in Field::ALL.iter().zip(values) {
                field.set(&mut test, value);
            }
            run.tests.push(test);
        }
        run
    })
}

proptest! {
    #[test]
    fn any_run_comes_back_bit_for_bit(run in run_strategy(), at in any::<i64>(), guessed in any::<bool>()) {
        let measured = if guessed { Measured::guessed(at) } else { Measured::known(at) };
        let run = ForeignRun {
            dated: Dated { run, measured },
            created_at: "2026-01-02 03:04:05".to_owned(),
            tags: Vec::new(),
            submission: None,
            more: More::default(),
        };
        let before = bits(&run.dated.run);
        let mut foreign = Foreign::Run(run);
        let back = decoded(&mut foreign);
        prop_assert_eq!(back.measured(), foreign.measured());
        let Foreign::Run(back) = back else { unreachable!() };
        prop_assert_eq!(bits(&back.dated.run), before);
        prop_assert_eq!(back.created_at, "2026-01-02 03:04:05");
    }

    #[test]
    fn numbers_come_back_bit_for_bit(all in proptest::collection::vec(any::<u64>(), 256)) {
        for bits in all {
            let number = f64::from_bits(bits);
            let mut writer = Writer { json: Vec::new() };
            writer.number(number);
            writer.raw(" ");
            let text = String::from_utf8(writer.json).unwrap();
            let mut reader = Reader {
                text: &text,
                lexer: Lexer::new(text.as_bytes()),
                more: More::default(),
                samples: 0,
            };
            let back = reader.number(&At("", "")).unwrap();
            if number.is_nan() {
                prop_assert!(back.is_nan() && back.is_sign_negative() == number.is_sign_negative());
            } else {
                prop_assert_eq!(back.to_bits(), bits, "{}", text);
            }
        }
    }

    #[test]
    fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for tool in Tool::ALL {
            let _ = decode(tool, Source::Json, &bytes);
            let _ = decode(tool, Source::Json, &zlib(&bytes));
        }
        let _ = More::from_text(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn no_damaged_body_stops_the_reader() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden");
    let mut bodies = Vec::new();
    for name in [
        "single-test.json",
        "llama-bench/v-b6065-two-models.json",
        "llama-bench/v-b6700-moe.md",
    ] {
        let mut one = store(folder.path(), &name.replace('/', "-"));
        let text = std::fs::read(fixtures.join(name)).unwrap();
        add(&mut one, &text, Measured::guessed(1));
        for id in ids(&one) {
            let mut foreign = read(&one, id);
            let body = encoded(&mut foreign).body;
            bodies.push((foreign.tool(), foreign.source(), body));
        }
    }
    assert!(bodies.len() >= 4);
    let mut random: u64 = 1;
    let mut below = |end: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(random >> 33).unwrap() % end
    };
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "null",
        "-1",
        "1e999",
        "9223372036854775807",
        "18446744073709551615",
        "\\u0000",
        "\\ud800",
        "true",
        "{\"base64\":\"/w\"}",
        "é",
        "0",
    ];
    let mut good = 0;
    for _ in 0..3000 {
        let (tool, source, body) = &bodies[below(bodies.len())];
        let mut text = decompress_to_vec_zlib(body).unwrap();
        for _ in 0..=below(3) {
            let (start, length) = (below(text.len()), below(8));
            let end = text.len().min(start + length);
            let piece = pieces[below(pieces.len())].bytes();
            text.splice(start..end, piece);
        }
        good += u32::from(decode(*tool, *source, &zlib(&text)).is_ok());
        let mut cut = body.clone();
        let place = below(cut.len());
        cut[place] ^= 1 << below(8);
        let _ = decode(*tool, *source, &cut);
        let _ = decode(*tool, *source, &body[..place]);
    }
    assert!(good > 50, "{good}");
}
