//! Captures that are damaged in every way: each reader comes to an end, without a panic, in bounded
//! time, and what it takes for a run can be written in every format.
//!
//! `LOCALSTORE_FUZZ` is the number of inputs (default 3000), `LOCALSTORE_SEED` the seed. An input
//! depends on the seed and its index alone; the index of one that fails is printed.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::random::{Random, seed};
use super::{fixture, read_fixture};
use crate::capture::{Capture, Found, Options};
use crate::formats::bench::{Line, Writer, sql};
use crate::formats::{Format, console, csv, json, jsonl};
use crate::model::{Environment, Run, Source, bench};

/// The longest time for an input of some thousand bytes; a reader that hangs is what is looked for.
const PATIENCE: Duration = Duration::from_secs(20);

/// No input grows above this by being damaged.
const MOST: usize = 64 << 10;

/// A long name, or a stretch of nothing, is not longer.
const LONG: usize = 140_000;

#[test]
fn no_input_stops_a_reader() {
    let inputs: u64 = std::env::var("LOCALSTORE_FUZZ")
        .ok()
        .and_then(|inputs| inputs.parse().ok())
        .unwrap_or(3000);
    let seed = seed();
    let corpus = corpus();
    let mut counts = Counts::default();
    let (index, watchdog) = watch();
    let start = Instant::now();
    for number in 0..inputs {
        index.store(number, Ordering::Relaxed);
        let mut random = Random::new(seed, number);
        let input = input(&mut random, &corpus);
        let read = catch_unwind(AssertUnwindSafe(|| read(&input, &mut random)));
        let Ok(runs) = read else {
            panic!("seed {seed}, input {number}");
        };
        counts.add(input.len(), runs);
    }
    watchdog.store(true, Ordering::Relaxed);
    report(&format!(
        "| damaged captures, seed {seed} | {inputs}, {} MB, {:.0}/s | no panic or hang; {} runs \
         read |",
        counts.bytes / 1_000_000,
        counts.inputs / start.elapsed().as_secs_f64(),
        counts.runs,
    ));
    assert!(
        counts.runs > inputs / 50,
        "the inputs are too damaged to test much"
    );
}

/// Prints what was done, for `--nocapture`.
#[allow(clippy::print_stdout, reason = "the result of a measurement")]
fn report(line: &str) {
    println!("{line}");
}

#[derive(Default)]
struct Counts {
    inputs: f64,
    bytes: usize,
    runs: u64,
}

impl Counts {
    fn add(&mut self, bytes: usize, runs: u64) {
        self.inputs += 1.0;
        self.bytes += bytes;
        self.runs += runs;
    }
}

/// Ends the process if the number of the input does not change for too long.
fn watch() -> (Arc<AtomicU64>, Arc<AtomicBool>) {
    let index = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let (watched, ended) = (Arc::clone(&index), Arc::clone(&done));
    std::thread::spawn(move || {
        let mut last = (u64::MAX, Instant::now());
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(100));
            let now = watched.load(Ordering::Relaxed);
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > PATIENCE {
                let _ = writeln!(io::stderr(), "input {now} takes more than {PATIENCE:?}");
                std::process::abort();
            }
        }
    });
    (index, done)
}

/// Documents and captures of each kind, whole ones and short ones.
fn corpus() -> Vec<Vec<u8>> {
    let mut names: Vec<String> = Vec::new();
    for folder in ["golden", "golden/llama-bench", "captures"] {
        for entry in std::fs::read_dir(fixture(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                continue;
            }
            let name = entry.file_name().into_string().unwrap();
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    let whole: Vec<Vec<u8>> = names.iter().map(|name| read_fixture(name)).collect();
    let mut corpus = Vec::new();
    for text in &whole {
        // The same with one or two tests: most of a document repeats itself.
        for tests in 1..=2 {
            for found in Capture::new(&text[..], Options::default()).flatten() {
                // Few lines of the header make room for what else there is.
                match found {
                    Found::Run(mut document) => {
                        document.run.tests.truncate(tests);
                        corpus.append(&mut written(&document.run));
                    }
                    Found::Bench(document) if document.source != Source::Console => {
                        let mut rows = rows(*document);
                        rows.truncate(tests);
                        corpus.append(&mut written_rows(&rows));
                    }
                    _ => {}
                }
            }
        }
    }
    corpus.extend(whole.into_iter().filter(|text| text.len() < 6000));
    corpus
}

/// The run in each format.
fn written(run: &Run) -> Vec<Vec<u8>> {
    let mut texts = vec![Vec::new(); 4];
    let label = jsonl::Label {
        id: 1,
        tags: &["a".to_owned()],
        added_at: "2025-06-15T15:06:40Z".to_owned(),
        link: None,
    };
    json::write(&mut texts[0], run).unwrap();
    csv::write_header(&mut texts[1]).unwrap();
    csv::write_tests(&mut texts[1], run).unwrap();
    console::write(&mut texts[2], run).unwrap();
    jsonl::write(&mut texts[3], &label, run).unwrap();
    texts
}

/// The rows of the runs that are not refused, each with what its run and its settings are.
fn rows(mut document: bench::Document) -> Vec<BenchRow> {
    let (runs, settings) = (document.runs.clone(), document.settings.clone());
    let mut rows = Vec::new();
    let each = document.each_row(|row| {
        let run = &runs[row.run];
        if !run.is_refused {
            rows.push((
                Arc::clone(&run.identity),
                Arc::clone(&settings[row.settings]),
                row,
            ));
        }
        Ok::<(), base::Error>(())
    });
    each.unwrap();
    rows
}

type BenchRow = (Arc<bench::Identity>, Arc<bench::Settings>, bench::Row);

/// The rows in each format that knows all of them, jsonl first.
fn written_rows(rows: &[BenchRow]) -> Vec<Vec<u8>> {
    let lines = || {
        rows.iter().map(|(identity, settings, row)| Line {
            run: i64::try_from(row.run).unwrap(),
            identity,
            settings,
            row,
            tells_bytes: false,
        })
    };
    let formats = [Format::Jsonl, Format::Json, Format::Csv, Format::Sql];
    let written = formats.map(|format| {
        let mut tables = sql::Tables::default();
        lines().for_each(|line| tables.count(line));
        let mut text = Vec::new();
        let mut writer = Writer::new(&mut text, format, tables);
        for line in lines() {
            writer.row(line).unwrap();
        }
        writer.end().unwrap();
        text
    });
    written.into()
}

/// What the readers look for, and what numbers and strings they may not expect.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"\"",
    b"\\",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"|",
    b"+-",
    b"\x1b[A\x1b[2K",
    b"\x1b[0m",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xfe\xff",
    b"\xff",
    b"\xf0\x9f",
    b"\\ufffff",
    b"\\ud800",
    b"\\u12",
    b"\"results\": [",
    b"\"runtime_info\": {",
    b"\"samples_ns\": [",
    b"\"name\": \"",
    b"n_prompt,n_gen,name\n",
    b"n_prompt,n_gen,avg_ts\n",
    b"\"samples_ts\": [",
    b"\"n_depth\": ",
    b"\"avg_ts\": \"",
    b"\"n_prompt\": ",
    b"CREATE TABLE test (\n",
    b"INSERT INTO llama_bench (",
    b"VALUES (",
    b"''",
    b"build: ",
    b" @ d4096 ",
    b"t/s |\n",
    b"\xc2\xb1",
    b"build_commit,build_number,",
    b"null",
    b"true",
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"-",
    b"0",
    b"-0.0",
    b"1e999",
    b"1e-999",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"99999999999999999999999999999999999999999",
    b"0.1e+",
    b"4096",
    b"Warming up",
    b"===> ",
    b"\x1b]0;x\x07",
    b"=cmd|' /C calc'!A0",
    b"'; DROP TABLE localstore_runs; --",
    b"<script>alert(1)</script>",
    b"../../etc/passwd",
    b"\xe2\x80\xae",
    b"https://www.localscore.ai/result/12",
    b"/*",
    b"//",
    b"NaN",
    b"Infinity",
];

impl Random {
    /// One of these.
    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

fn input(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut text = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        damage(random, &mut text, corpus);
        text.truncate(MOST);
    }
    if random.below(3) == 0 {
        dress(random, &mut text, corpus);
    }
    let utf16 = |text: &[u8]| text.iter().flat_map(|&byte| [byte, 0]).collect::<Vec<u8>>();
    match random.below(16) {
        0 => text = utf16(&text),
        1 => text = [&b"\xff\xfe"[..], &utf16(&text)].concat(),
        2 => {
            let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            text = lines.join(&b"\r\n"[..]);
        }
        _ => {}
    }
    text
}

/// What logs put before each line, and where a `#` is, a number that grows.
const PREFIXES: &[&[u8]] = &[
    b"> ",
    b"    ",
    b"\t",
    b"2026-03-01T12:00:0#.1234567Z ",
    b"job\tstep\t2026-03-01T12:00:0#Z ",
    b"Jun 15 15:06:4# host localscore[123]: ",
    b"bench-1  | ",
    b"\x1b[36mbench-1 | \x1b[0m",
    b"#: ",
    b"[    #.123456] ",
    b"2026-03-01 12:00:00,# INFO ",
];

/// What other programs print in the midst of a document.
const LINES: &[&[u8]] = &[
    b"ggml_cuda_init: found 1 CUDA devices:\n",
    b"llama_kv_cache_init: KV self size = 128.00 MiB, K (f16): 64.00 MiB\n",
    b"Version: 2.32.3\nCPU: Intel Xeon\nRAM: 3.1 GiB\n",
    b"=================== LocalScore Runtime Information ===================\n",
    b"Kernel Type:         Linux\n",
    b"======================================================================\n",
    b"\n",
    b"1,2,3\n",
    b"\"a\",\"b\"\n",
    b"{\"level\":\"info\",\"msg\":\"n_prompt,n_gen,prompt_tps\"}\n",
    b"| model | size | t/s |\n",
    b"llama-bench: benchmark 1/8: starting\n",
    b"build: 4227c9b (1)\n",
    b"[\n",
    b"]\n",
    b",\n",
    b"INSERT INTO test_backend_ops (op_name) VALUES ('ADD');\n",
];

/// Puts the text into what real files put it into: prefixes, indentation, other documents, other
/// programs' lines, recordings; or makes a name or a gap in it long.
fn dress(random: &mut Random, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(text.len() + 1);
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    };
    match random.below(7) {
        0 => {
            let prefix = random.one_of(PREFIXES);
            let first = random.below(20);
            let prefixed = lines(text).into_iter().enumerate().map(|(number, line)| {
                let number = (first + number).to_string().into_bytes();
                let mut prefixed: Vec<u8> = Vec::new();
                for &byte in prefix {
                    match byte {
                        b'#' => prefixed.extend(&number),
                        byte => prefixed.push(byte),
                    }
                }
                [prefixed, line].concat()
            });
            *text = prefixed.collect::<Vec<_>>().concat();
        }
        1 => {
            let mut all = lines(text);
            for _ in 0..=random.below(3) {
                let place = random.below(all.len() + 1);
                all.insert(place, random.one_of(LINES).to_vec());
            }
            *text = all.concat();
        }
        2 => {
            let wrappings: [(&[u8], &[u8]); 4] = [
                (b"{\"host\": \"ci\", \"localscore\": ", b"}\n"),
                (b"{\n  \"a\": [\n", b"\n]}\n"),
                (b"[", b"]"),
                (b"{\"results\": [{\"x\": ", b"}]}"),
            ];
            let (before, after) = wrappings[random.below(wrappings.len())];
            *text = [before, text, after].concat();
        }
        3 => {
            let byte = [b'\0', b' ', b'[', b',', b'a', b'{', b'"', 0x1b][random.below(8)];
            let length = random.below(LONG);
            text.splice(at..at, std::iter::repeat_n(byte, length));
        }
        4 => {
            // A string becomes long.
            let quote = text[at..].iter().position(|&byte| byte == b'"');
            let begin = at + quote.map_or(0, |step| step + 1);
            let length = random.below(LONG);
            text.splice(begin..begin, std::iter::repeat_n(b'x', length));
        }
        5 => {
            let string = |text: &[u8]| {
                serde_json::to_string(&String::from_utf8_lossy(text)).expect("a string")
            };
            let recorded: String = if random.below(2) == 0 {
                let lines = lines(text).into_iter();
                let logged = lines.map(|line| format!("{{\"log\":{}}}\n", string(&line)));
                logged.collect()
            } else {
                let pieces = text.chunks(1 + random.below(200));
                let printed = pieces.map(|piece| format!("[1.0, \"o\", {}]\n", string(piece)));
                "{\"version\": 2, \"width\": 80}\n".to_owned() + &printed.collect::<String>()
            };
            *text = recorded.into_bytes();
        }
        _ => {
            // Another document in the midst of this one, as of two programs at once.
            let other = random
                .one_of(&corpus.iter().map(Vec::as_slice).collect::<Vec<_>>())
                .to_vec();
            text.splice(at..at, other);
        }
    }
}

fn damage(random: &mut Random, text: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.below(text.len() + 1);
    let end = (at + random.below(64)).min(text.len());
    match random.below(10) {
        0 if at < text.len() => text[at] = random.byte(),
        1 if at < text.len() => text[at] ^= 1 << random.below(8),
        2 => drop(text.drain(at..end)),
        3 => {
            let piece = text[at..end].to_vec();
            let to = random.below(text.len() + 1);
            text.splice(to..to, piece);
        }
        4 => text.truncate(at),
        5 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            text.truncate(at);
            text.extend_from_slice(&other[from..]);
        }
        6 => {
            // A number becomes another one.
            let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
            if let Some(begin) = text[at..].iter().position(is_number).map(|skip| at + skip) {
                let length = text[begin..]
                    .iter()
                    .take_while(|byte| is_number(byte))
                    .count();
                let word = random.one_of(WORDS).to_vec();
                text.splice(begin..begin + length, word);
            }
        }
        7 => {
            // A line goes, or comes twice.
            let begin = text[..at]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            let length = text[begin..]
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            let line = text[begin..begin + length].to_vec();
            if random.below(2) == 0 {
                text.splice(begin..begin, line);
            } else {
                text.drain(begin..begin + length);
            }
        }
        _ => {
            let word = random.one_of(WORDS);
            let times = if random.below(50) == 0 {
                random.below(2000)
            } else {
                1
            };
            text.splice(at..at, word.repeat(times));
        }
    }
}

/// Reads in pieces of any length, as a pipe gives them.
struct Pieces<'a> {
    rest: &'a [u8],
    random: Random,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (1 + self.random.below(4096))
            .min(buffer.len())
            .min(self.rest.len());
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = later;
        Ok(length)
    }
}

/// Gives the number of runs.
fn read(text: &[u8], random: &mut Random) -> u64 {
    let options = Options {
        live: random.below(2) == 0,
        partial: random.below(2) == 0,
    };
    let pieces = Pieces {
        rest: text,
        random: Random::new(random.next(), 0),
    };
    let mut runs = 0;
    for found in Capture::new(pieces, options) {
        match found.unwrap() {
            Found::Run(document) => {
                runs += 1;
                check(&document.run);
            }
            Found::Bench(mut document) => {
                runs += document.read_runs().unwrap().len() as u64;
                check_bench(*document);
            }
            Found::Bad { line, .. } => assert!(line > 0),
            Found::Nothing(_) | Found::Link(_) | Found::Note { .. } | Found::Pause => {}
        }
    }
    let (document, length, _) = json::read(text);
    assert!(length <= text.len());
    check(&document.run);
    runs
}

/// Each run that was read is read again from json, and one of json is the same run.
fn check_bench(document: bench::Document) {
    let runs = document.runs.clone();
    let is_table = |settings: &Arc<bench::Settings>| settings.schema.is_table();
    if document.settings.iter().any(is_table) {
        return;
    }
    let is_json = document.source == Source::Json;
    let rows = rows(document);
    for (place, run) in runs.iter().enumerate().filter(|(_, run)| !run.is_refused) {
        let rows = rows.iter().filter(|(.., row)| row.run == place);
        let rows: Vec<BenchRow> = rows.cloned().collect();
        let written = written_rows(&rows);
        for text in &written[..2] {
            let shown = String::from_utf8_lossy(text);
            let found = Capture::new(&text[..], Options::default());
            let documents = found.map(|found| match found.unwrap() {
                Found::Bench(document) => document,
                other => panic!("{other:?}: {shown}"),
            });
            let again: Vec<_> = documents.flat_map(|document| document.runs).collect();
            assert!(again.iter().all(|again| !again.is_refused), "{shown}");
            let tests = again.iter().map(|again| again.tests);
            assert_eq!(tests.sum::<u64>(), run.tests, "{shown}");
            if is_json {
                assert_eq!(again.len(), 1, "{shown}");
                assert_eq!(again[0].fingerprint, run.fingerprint, "{shown}");
            }
        }
    }
}

/// What was read can be written; and clean JSON reads as one run whose tests are written the same.
/// (A quote in a header string comes back with the backslash that JSON wants, which C's layout has
/// not.)
fn check(run: &Run) {
    let _ = written(run);
    let speed = |tps: Option<f64>| tps.is_some_and(f64::is_finite);
    if !run
        .tests
        .iter()
        .all(|test| speed(test.prompt_tps) && speed(test.gen_tps))
    {
        // Clean JSON has null for it, and a test without speeds is refused.
        return;
    }
    let run = Run {
        environment: Environment::default(),
        ..run.clone()
    };
    let run = &run;
    let line = written(run).swap_remove(3);
    assert!(!run.summary().avg_prompt_tps.is_nan());
    let runs: Vec<Run> = Capture::new(&line[..], Options::default())
        .filter_map(|found| match found.unwrap() {
            Found::Run(document) => Some(document.run),
            _ => None,
        })
        .collect();
    assert_eq!(runs.len(), 1, "{}", String::from_utf8_lossy(&line));
    let again = written(&runs[0]).swap_remove(3);
    assert!(again == line, "{}", String::from_utf8_lossy(&line));
}
