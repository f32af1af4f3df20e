//! csv, sql and tables of llama-bench.

use std::fmt::Write;

use super::*;
use crate::model::Text;
use crate::model::bench::Settings;

/// What a golden set of llama-bench is in this format.
fn golden(set: &str, format: &str) -> String {
    text(&format!("golden/llama-bench/{set}.{format}"))
}

const SETS: [&str; 10] = [
    "v-b1065-default",
    "v-b1805-types",
    "v-b3677-threads",
    "v-b4748-cpu",
    "v-b5361-depth",
    "v-b6065-two-models",
    "v-b6700-moe",
    "v-b9437-default",
    "v-b11500-default",
    "v-b11500-utf8",
];

/// The documents and messages in a text, each document with its runs' tests and their values.
fn read(text: &[u8], partial: bool) -> Vec<String> {
    let options = Options {
        partial,
        ..Options::default()
    };
    let describe = |found| match found {
        Found::Run(document) => format!("LocalScore: {} tests", document.run.tests.len()),
        Found::Bench(document) => describe(*document),
        Found::Bad { line, why, .. } | Found::Nothing(Nothing::Foreign { line, why }) => {
            format!("{line}: {why}")
        }
        Found::Nothing(nothing) => format!("{nothing:?}"),
        Found::Link(link) => link.url,
        Found::Note { line, message } => format!("{line}: note: {message}"),
        Found::Pause => unreachable!("the text is not live"),
    };
    Capture::new(text, options)
        .map(|found| describe(found.unwrap()))
        .collect()
}

fn describe(mut document: BenchDocument) -> String {
    let mut out = format!("{:?}", document.source);
    for run in &document.runs {
        let known = run.identity.values.iter().flatten();
        let known: Vec<String> = known.map(Text::to_string).collect();
        let refused = if run.is_refused { "refused " } else { "" };
        let _ = write!(out, "\n{refused}{}: {}", run.tests, known.join(" "));
    }
    let all = document.settings.clone();
    let rows = document.each_row(|row| {
        let settings: &Settings = &all[row.settings];
        let values = settings.known().map(|(column, value)| {
            let kind = column.kind.name();
            format!("{}={value}:{kind}", column.name)
        });
        let values: Vec<String> = values.collect();
        let results = row.results.iter().flatten();
        let results: Vec<String> = results.map(Text::to_string).collect();
        let (run, n_prompt, n_gen, depth) = (row.run, row.n_prompt, row.n_gen, row.n_depth);
        let results = results.join(" ");
        let _ = write!(out, "\n{run} {n_prompt} {n_gen} {depth:?} {results}");
        let _ = write!(out, " {}", values.join(" "));
        Ok::<(), base::Error>(())
    });
    rows.unwrap();
    out
}

/// The number of tests of the runs that a text has, and the messages about others.
fn counts(text: &[u8]) -> Vec<String> {
    let found = read(text, false).into_iter();
    found
        .map(|found| {
            let mut lines = found.lines();
            match lines.next() {
                Some("Csv" | "Json" | "Console") => {}
                _ => return found,
            }
            let runs = lines.filter_map(|line| line.split_once(": "));
            let runs = runs.filter(|(count, _)| !count.contains(' ') || count.contains("refused"));
            let counts: Vec<&str> = runs.map(|(count, _)| count).collect();
            counts.join("+")
        })
        .collect()
}

#[test]
fn csv_and_sql_of_a_document_are_the_same_rows() {
    for set in SETS {
        let csv = read(golden(set, "csv").as_bytes(), false);
        let sql = read(golden(set, "sql").as_bytes(), false);
        assert_eq!(csv.len(), 1, "{set}");
        assert_eq!(csv, sql, "{set}");
    }
}

#[test]
fn columns_in_another_order_and_without_quotes_are_the_same_values() {
    let csv = golden("v-b1065-default", "csv");
    let mut lines = csv.lines().map(|line| {
        let mut values: Vec<&str> = line.split(',').collect();
        values.rotate_left(3);
        values.join(",").replace('"', "")
    });
    let turned = lines.by_ref().collect::<Vec<_>>().join("\n") + "\n";
    let rows = |text: &str| {
        let found = read(text.as_bytes(), false);
        let mut words: Vec<String> = found[0].split_whitespace().map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(rows(&turned), rows(&csv));
}

#[test]
fn documents_are_found_in_logs_of_any_kind() {
    for format in ["csv", "sql", "md"] {
        for set in ["v-b1065-default", "v-b3677-threads", "v-b11500-utf8"] {
            let text = golden(set, format);
            let expected = read(text.as_bytes(), false);
            let with = |prefix: &str| -> String {
                let lines = text.lines();
                lines.flat_map(|line| [prefix, line, "\n"]).collect()
            };
            let utf16: Vec<u8> = "\u{feff}"
                .encode_utf16()
                .chain(text.encode_utf16())
                .flat_map(u16::to_le_bytes)
                .collect();
            let log = format!(
                "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: NVIDIA, compute capability 8.9, VMM: yes\n{text}$ \n"
            );
            for text in [
                text.replace('\n', "\r\n").into_bytes(),
                format!("\u{feff}{text}").into_bytes(),
                utf16,
                with("    ").into_bytes(),
                with("> ").into_bytes(),
                with("bench-1  | ").into_bytes(),
                with("2026-03-01T12:00:00.1234567Z ").into_bytes(),
                with("Jun 15 15:06:40 host bench[12]: ").into_bytes(),
                log.into_bytes(),
            ] {
                let shown = String::from_utf8_lossy(&text);
                assert_eq!(read(&text, false), expected, "{shown}");
            }
        }
    }
}

#[test]
fn log_lines_between_rows_end_no_document() {
    for format in ["csv", "sql", "md"] {
        let text = golden("v-b3677-threads", format);
        let expected = read(text.as_bytes(), false);
        let mut rows = 0;
        let lines = text.lines().map(|line| {
            let is_row = line.starts_with(['"', '|']) || line.starts_with("INSERT");
            rows += usize::from(is_row);
            if is_row && rows > 2 {
                format!("llama-bench: benchmark {rows}/4: starting\nload: a, b, c\n{line}\n")
            } else {
                format!("{line}\n")
            }
        });
        let text: String = lines.collect();
        assert_eq!(read(text.as_bytes(), false), expected, "{text}");
    }
}

#[test]
fn a_table_and_rows_of_another_format_may_take_turns() {
    let md = golden("v-b3677-threads", "md");
    for format in ["csv", "sql", "jsonl", "json"] {
        let other = golden("v-b3677-threads", format);
        let pieces: Vec<String> = match format {
            "json" => other.split_inclusive("},\n").map(str::to_owned).collect(),
            "sql" => {
                let head = other.find("INSERT").unwrap();
                let rows = other[head..].lines().map(|line| format!("{line}\n"));
                std::iter::once(other[..head].to_owned())
                    .chain(rows)
                    .collect()
            }
            _ => other.lines().map(|line| format!("{line}\n")).collect(),
        };
        let lines: Vec<&str> = md.split_inclusive('\n').collect();
        let (head, lines) = lines.split_at(2);
        let mut text = head.concat();
        let count = pieces.len().max(lines.len());
        for place in 0..count {
            text += pieces.get(place).map_or("", String::as_str);
            text += lines.get(place).copied().unwrap_or_default();
        }
        let mut found = read(text.as_bytes(), false);
        let mut expected = read(md.as_bytes(), false);
        expected.extend(read(other.as_bytes(), false));
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_second_header_begins_a_document() {
    for format in ["csv", "sql", "md"] {
        let one = golden("v-b1065-default", format);
        let other = golden("v-b6700-moe", format);
        for between in ["", "\n", "done\n"] {
            let text = format!("{one}{between}{other}{one}");
            assert_eq!(counts(text.as_bytes()), ["2", "4", "2"], "{format}");
        }
    }
}

#[test]
fn a_csv_belongs_to_the_tool_of_its_header() {
    let own = text("golden/gpu-rtx4090-8b.csv");
    let bench = golden("v-b1065-default", "csv");
    let both = ["LocalScore: 9 tests", "2"];
    for (text, expected) in [
        (format!("{own}{bench}"), both),
        (format!("{bench}{own}"), ["2", "LocalScore: 9 tests"]),
    ] {
        assert_eq!(counts(text.as_bytes()), expected);
    }
}

#[test]
fn a_row_with_another_number_of_values_refuses_its_document() {
    let csv = golden("v-b6065-two-models", "csv");
    let line = csv.lines().nth(2).unwrap();
    for (bad, why) in [
        (
            line.replacen("\"CUDA\",", "", 1),
            "3: 35 values for 36 columns",
        ),
        (format!("{line},\"1\""), "3: 37 values for 36 columns"),
        (
            line.replace('"', "").replacen("CUDA,", "", 1),
            "3: 35 values for 36 columns",
        ),
    ] {
        let text = format!(
            "{}\n{}",
            csv.replace(line, &bad),
            golden("v-b1065-default", "csv")
        );
        let found = counts(text.as_bytes());
        assert_eq!(found, [why, "refused 1+refused 2+refused 2", "2"], "{bad}");
    }
    let sql = golden("v-b1065-default", "sql");
    let bad = sql.replacen("'512', '0', '2023", "'512', '2023", 1);
    assert_eq!(
        counts(bad.as_bytes()),
        ["32: 27 values for 28 columns", "refused 1"]
    );
}

#[test]
fn text_for_a_number_refuses_its_run() {
    for (format, bad) in [("csv", "\"x\""), ("sql", "'x'")] {
        let text = golden("v-b6065-two-models", format);
        let speed = text
            .rsplit(&[',', '(', ')'][..])
            .find(|value| value.contains("53.2"));
        let text = text.replacen(speed.unwrap().trim(), bad, 1);
        let found = counts(text.as_bytes());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].ends_with(": avg_ts is not a number: 'x'"),
            "{found:?}"
        );
        assert_eq!(found[1], "2+refused 1+2");
    }
}

#[test]
fn a_column_that_is_there_twice_is_refused_by_name() {
    let csv = golden("v-b5361-depth", "csv").replacen("n_gen,", "n_depth,n_gen,", 1);
    let text = format!("{csv}\n{}", golden("v-b1065-default", "csv"));
    let found = counts(text.as_bytes());
    assert_eq!(found, ["1: the column n_depth is there twice", "2"]);
}

#[test]
fn a_text_that_ends_after_a_row_is_whole_and_in_a_row_cut_off() {
    for (format, row) in [("csv", "\n\""), ("sql", "\nINSERT")] {
        let text = golden("v-b11500-default", format);
        let last = text.rfind(row).unwrap() + 1;
        assert_eq!(counts(&text.as_bytes()[..last]), ["3"]);
        assert_eq!(counts(text.trim_end().as_bytes()), ["4"]);
        for end in [last + 30, last + 40, text.trim_end().len() - 1] {
            let found = counts(&text.as_bytes()[..end]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].ends_with(": cut off after 3 whole tests"),
                "{found:?}"
            );
            let partial = read(&text.as_bytes()[..end], true);
            assert_eq!(partial, read(&text.as_bytes()[..last], false));
        }
    }
    let md = golden("v-b11500-default", "md");
    let last = md.rfind("\n|").unwrap();
    assert_eq!(counts(&md.as_bytes()[..last]), ["3"]);
    assert_eq!(counts(&md.as_bytes()[..last + 40]), ["3"]);
}

#[test]
fn without_quotes_a_number_with_all_its_decimals_ends_the_last_row() {
    let text = golden("v-b11500-default", "csv").replace('"', "");
    let text = text.trim_end();
    assert_eq!(counts(text.as_bytes()), ["4"]);
    let found = counts(&text.as_bytes()[..text.len() - 1]);
    assert!(
        found[0].ends_with(": cut off after 3 whole tests"),
        "{found:?}"
    );
}

#[test]
fn a_table_keeps_its_columns_and_has_a_build_if_one_is_told() {
    let md = golden("v-b5361-depth", "md");
    let found = read(md.as_bytes(), false);
    assert!(found[0].starts_with("Console\n8: "), "{}", found[0]);
    let build = md.lines().last().unwrap();
    let without = md.replace(build, "");
    let told = build.split(' ').nth(1).unwrap();
    assert!(found[0].contains(told));
    assert!(!read(without.as_bytes(), false)[0].contains(told));
}

#[test]
fn tables_that_are_not_of_results_are_passed_over() {
    let derived = "| model | test | t/s master | t/s PR | speedup |\n| --- | --- | ---: | ---: | ---: |\n\
                   | llama | pp512 | 1.0 | 2.0 | 2.0 |\n";
    let note = "note: passed over a table that was computed from results of llama-bench";
    assert_eq!(counts(derived.as_bytes())[0], format!("1: {note}"));
    let no_deviation = "| model | test | t/s |\n| --- | --- | ---: |\n| llama | pp512 | 1.0 |\n";
    assert_eq!(counts(no_deviation.as_bytes())[0], format!("3: {note}"));
    let md = golden("v-b1065-default", "md");
    let text = format!("{md}\n{derived}{md}");
    assert_eq!(counts(text.as_bytes()), ["2", &format!("8: {note}"), "2"]);
    // Rows of the table below do not belong to one that a crash has ended.
    let rows = md.lines().take(3).collect::<Vec<_>>().join("\n");
    let text = format!(
        "{rows}\n| a | b |\n| - | - |\n| 1 | 2 |\n{}",
        md.lines().nth(3).unwrap()
    );
    assert_eq!(counts(text.as_bytes()), ["1"]);
    // The tool crashed before the first test.
    let header = md.lines().take(2).collect::<Vec<_>>().join("\n");
    assert_eq!(counts(header.as_bytes()), ["Other"]);
}

#[test]
fn names_with_quotes_come_as_they_are() {
    let name = "models/o'brien, \"7b\".gguf";
    let csv = golden("v-b1065-default", "csv");
    let csv = csv.replace("models/7b/q4_0.gguf", &name.replace('"', "\"\""));
    let sql = golden("v-b1065-default", "sql");
    let bare = sql.replace("models/7b/q4_0.gguf", name);
    let doubled = sql.replace("models/7b/q4_0.gguf", &name.replace('\'', "''"));
    let expected = read(csv.as_bytes(), false);
    assert!(expected[0].contains(name), "{expected:?}");
    assert_eq!(read(bare.as_bytes(), false), expected);
    assert_eq!(read(doubled.as_bytes(), false), expected);
    let unclear = sql.replace("models/7b/q4_0.gguf", "o', 'b'c");
    let found = counts(unclear.as_bytes());
    let why = "quotes inside of values are not doubled, and cannot be told from theirs";
    assert_eq!(found, [&format!("32: {why}"), ""]);
}

#[test]
fn a_row_longer_than_a_line_of_a_log_is_read_and_a_huge_one_is_refused() {
    let name = "models/8b.gguf";
    let set = "v-b6065-two-models";
    for format in ["csv", "sql"] {
        let text = golden(set, format);
        let long = text.replacen(name, &"x".repeat(100 << 10), 1);
        assert_eq!(counts(long.as_bytes()), ["1+1+2+2"], "{format}");
        let huge = text.replacen(name, &"x".repeat(17 << 20), 1);
        let line = text.lines().position(|line| line.contains(name)).unwrap() + 1;
        let found = counts(huge.as_bytes());
        assert_eq!(found.len(), 2, "{format}");
        assert!(found[0].starts_with(&format!("{line}: ")), "{found:?}");
        assert!(
            found[1].split('+').all(|count| count.contains("refused")),
            "{found:?}"
        );
    }
}

#[test]
fn a_document_of_too_many_columns_is_refused() {
    let names: Vec<String> = (0..1000).map(|place| format!("x{place},")).collect();
    let names = names.concat();
    let csv = format!("{names}n_prompt,n_gen,avg_ts\n{}1\n", "1,".repeat(1002));
    let refused = "1: a row of more than 1000 fields";
    assert_eq!(counts(csv.as_bytes())[0], refused);
    let sql = format!(
        "INSERT INTO test ({names}n_prompt, n_gen, avg_ts) VALUES ({}'1');\n",
        "'1', ".repeat(1002)
    );
    assert_eq!(counts(sql.repeat(2).as_bytes()), [refused, ""]);
}

#[test]
fn a_speed_that_is_no_number_refuses_its_run_alone() {
    let text = golden("v-b6065-two-models", "md");
    let (at, _) = text.match_indices('±').nth(1).unwrap();
    let begin = text[..at].rfind('|').unwrap();
    let end = at + text[at..].find('|').unwrap();
    let text = format!("{}| fast {}", &text[..begin], &text[end..]);
    assert_eq!(
        counts(text.as_bytes()),
        ["4: t/s is not a number: 'fast'", "refused 1+2+2"]
    );
}

#[test]
fn a_row_whose_build_or_model_is_no_number_refuses_its_document() {
    let text = golden("v-b6065-two-models", "csv");
    let text = text.replacen(",\"6065\",", ",\"new\",", 1);
    let found = counts(text.as_bytes());
    assert_eq!(found[0], "2: build_number is not a number: 'new'");
    assert!(
        found[1].split('+').all(|count| count.contains("refused")),
        "{found:?}"
    );
}
