//! What people type first, and what they type wrong. Hints that are commands are run as printed.

use std::path::Path;

use crate::bench::{Bench, days, store};
use crate::sandbox::{Ran, Sandbox, fixture, read_fixture, slashed};

/// Five runs, of which two have tags.
fn sandbox() -> Sandbox {
    let sandbox = store(&days(1..=5));
    sandbox.run(["tag", "q8", "2"]).ok();
    sandbox.run(["tag", "baseline", "1"]).ok();
    sandbox
}

/// Runs the program as a shell splits the line.
fn typed(sandbox: &Sandbox, line: &str) -> Ran {
    sandbox.run(words(line))
}

/// The words of a command line with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        let mut pieces = part.split(if index % 2 == 0 { " " } else { "\0" });
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Asserts the error and the hint, exit code 1 and an empty standard output.
#[track_caller]
fn assert_wrong(ran: &Ran, what: &str, error: &str, hint: &str) {
    assert_eq!(
        ran.stderr,
        format!("localstore: {error}\nhint: {hint}\n"),
        "{what}"
    );
    assert_eq!((ran.code, ran.text().as_str()), (Some(1), ""), "{what}");
}

/// What is typed, the error and the hint.
const MISTAKES: &[(&str, &str, &str)] = &[
    (
        "lsit",
        "invalid parameter for: lsit",
        "did you mean 'list'?",
    ),
    (
        "help lsit",
        "invalid parameter for: lsit",
        "did you mean 'list'?",
    ),
    ("frob", "invalid parameter for: frob", "localstore --help"),
    (
        "list --modle x",
        "invalid parameter for: --modle",
        "did you mean '--model'?",
    ),
    (
        "list --json",
        "invalid parameter for: --json",
        "localstore list -o json",
    ),
    (
        "list --model 'Llama 3' --csv",
        "invalid parameter for: --csv",
        "localstore list --model 'Llama 3' -o csv",
    ),
    (
        "list --score",
        "invalid parameter for: --score",
        "localstore list --sort score",
    ),
    (
        "list --limit ten",
        "invalid parameter for: --limit",
        "'ten' is not a number; 0 shows all",
    ),
    (
        "best --limit ten",
        "invalid parameter for: --limit",
        "'ten' is not a number; 0 shows all",
    ),
    (
        "list --since soon",
        "invalid parameter for: --since",
        "2025-06-15, 2025-06-15T15:06, 7d, 12h, today, yesterday",
    ),
    (
        "export --md",
        "invalid parameter for: --md",
        "localstore export -o md",
    ),
    (
        "compare 1 2 --min-change x",
        "invalid parameter for: --min-change",
        "a percentage, such as 5",
    ),
    (
        "compare 1 2 --metric speed",
        "invalid parameter for: --metric",
        "pp, tg, ttft, time; of llama-bench t/s, pp, tg, time",
    ),
    (
        "list --sort speed",
        "invalid parameter for: --sort",
        "added, date, model, quant, accelerator, score, pp, tg, ttft",
    ),
    (
        "list --since",
        "missing value for: --since",
        "2025-06-15, 2025-06-15T15:06, 7d, 12h, today, yesterday",
    ),
    (
        "list -o",
        "missing value for: -o",
        "table, csv, json, jsonl, md",
    ),
    (
        "--db",
        "missing value for: --db",
        "--db FILE names the store",
    ),
    (
        "list --db",
        "missing value for: --db",
        "--db FILE names the store",
    ),
    (
        "--db x list",
        "x: there is no store",
        "'localstore --db x add FILE' makes it",
    ),
    (
        "--db 'a b' list",
        "a b: there is no store",
        "'localstore --db 'a b' add FILE' makes it",
    ),
    (
        "add notes.txt",
        "notes.txt: no benchmark result",
        "LocalScore or llama-bench output is read",
    ),
    (
        "add cut.json",
        "cut.json:95: cut off after 2 of 9 tests",
        "localstore add --partial cut.json",
    ),
    (
        "add other.sqlite3",
        "other.sqlite3: a store",
        "localstore merge other.sqlite3",
    ),
    (
        "merge x.json",
        "x.json: not a store",
        "localstore add x.json",
    ),
    (
        "show 999",
        "run 999: no such run",
        "the last is 5; 'localstore list' shows all",
    ),
    (
        "show last~9",
        "last~9: no such run",
        "the last is 5; 'localstore list' shows all",
    ),
    (
        "show nope",
        "nope: no such run or tag",
        "tags: baseline, q8",
    ),
    (
        "compare",
        "missing parameter: BASE",
        "localstore compare last~1 last",
    ),
    (
        "compare 1",
        "missing parameter: NEW",
        "localstore compare 1 last",
    ),
    (
        "compare 3 3",
        "run 3: on both sides",
        "localstore compare last~1 last",
    ),
    (
        "plot history --out x.png",
        "x.png: only SVG is drawn",
        "localstore plot history --out x.svg",
    ),
    (
        "plot history --model llama --out='a b.PNG'",
        "a b.PNG: only SVG is drawn",
        "localstore plot history --model llama '--out=a b.svg'",
    ),
    (
        "rm",
        "missing parameter: RUN",
        "localstore rm --dry-run last",
    ),
    (
        "--db 'a b' rm",
        "missing parameter: RUN",
        "localstore --db 'a b' rm --dry-run last",
    ),
    (
        "rm last",
        "run 5: not removed: no terminal to ask on",
        "localstore rm -y 5",
    ),
    (
        "rm 4 last",
        "runs 4, 5: not removed: no terminal to ask on",
        "localstore rm -y 4 5",
    ),
    (
        "record",
        "missing parameter: CMD",
        "localstore record localscore -m model.gguf",
    ),
];

#[test]
fn each_mistake_is_told_with_what_helps() {
    let sandbox = sandbox();
    sandbox.file("notes.txt", "buy milk\n");
    sandbox.file("cut.json", &read_fixture("golden/gpu-reps4.json")[..3000]);
    std::fs::copy(
        fixture("golden/second-gpu.json"),
        sandbox.path().join("x.json"),
    )
    .unwrap();
    std::fs::copy(sandbox.store(), sandbox.path().join("other.sqlite3")).unwrap();
    sandbox.file("tool", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0");
    for (line, error, hint) in MISTAKES {
        assert_wrong(&typed(&sandbox, line), line, error, hint);
    }
    for (line, error) in [
        ("add y.json", "y.json: no such file"),
        ("merge y.sqlite3", "y.sqlite3: no such file"),
        ("add tool", "tool: not text"),
        ("record nowhere", "nowhere: no such program"),
    ] {
        let ran = typed(&sandbox, line);
        assert_eq!(ran.stderr, format!("localstore: {error}\n"), "{line}");
        assert_eq!(ran.code, Some(1), "{line}");
    }
    assert_eq!(
        sandbox.run(["list", "-o", "jsonl"]).text().lines().count(),
        5
    );
    assert!(!sandbox.path().join("x").exists());
}

#[test]
fn hints_that_are_commands_run_as_printed() {
    for line in [
        "list --json",
        "list --score",
        "list --model 'Llama 3' --csv",
        "add cut.json",
        "add other.sqlite3",
        "merge x.json",
        "compare",
        "compare 1",
        "compare 3 3",
        "plot history --out x.png",
        "plot history --model llama --out 'a b.PNG'",
        "rm",
        "rm last",
        "rm 4 last",
        "frob",
        "show 1 2",
    ] {
        let sandbox = sandbox();
        sandbox.file("cut.json", &read_fixture("golden/gpu-reps4.json")[..3000]);
        std::fs::copy(
            fixture("golden/second-gpu.json"),
            sandbox.path().join("x.json"),
        )
        .unwrap();
        std::fs::copy(sandbox.store(), sandbox.path().join("other.sqlite3")).unwrap();
        let ran = typed(&sandbox, line);
        let (_, hint) = ran.stderr.split_once("\nhint: localstore ").expect(line);
        typed(&sandbox, hint.trim_end()).ok();
    }
    let sandbox = sandbox();
    sandbox.move_store("a b");
    for line in ["--db 'a b' rm", "--db='a b' rm last", "rm 2 --db 'a b'"] {
        let ran = typed(&sandbox, line);
        let (_, hint) = ran.stderr.split_once("\nhint: localstore ").expect(line);
        typed(&sandbox, hint.trim_end()).ok();
    }
    let left = typed(&sandbox, "list --db 'a b' -o jsonl").text();
    assert_eq!(left.lines().count(), 3);
    assert!(!sandbox.store().exists());
}

#[test]
fn what_is_typed_first_works() {
    let sandbox = sandbox();
    for line in [
        "help",
        "help help",
        "help chat export",
        "version",
        "list llama",
        "tag",
        "list --since yesterday",
        "list --until today",
    ] {
        typed(&sandbox, line).ok();
    }
    let text = |line| typed(&sandbox, line).text();
    assert_eq!(text("help list"), text("list --help"));
    assert_eq!(text("help plot history"), text("plot history --help"));
    assert_eq!(text("version"), text("--version"));
    assert_eq!(text("list --since today -o jsonl"), "");
    assert_eq!(text("list llama -o jsonl").lines().count(), 5);
    let tags: Vec<String> = text("tag")
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(tags, ["q8", "baseline"]);
    std::fs::create_dir(sandbox.path().join("captures")).unwrap();
    sandbox.file("captures/one.json", read_fixture("golden/second-gpu.json"));
    assert!(text("add captures").starts_with("run 6: "));
}

#[cfg(unix)]
#[test]
fn record_needs_no_hyphens() {
    let sandbox = Sandbox::new();
    let capture = fixture("golden/gpu-reps4.json");
    let ran = sandbox.run(["record".as_ref(), "cat".as_ref(), capture.as_os_str()]);
    ran.ok();
    assert!(ran.stderr.contains("run 1: "), "{}", ran.stderr);
    // The options behind the program are its own.
    let ran = sandbox.run(["record", "printf", "%s\n", "--db", "--help"]);
    assert_eq!(ran.text(), "--db\n--help\n");
}

/// The text with the path of the sandbox as `~`.
fn shown(text: &str, home: &Path) -> String {
    text.replace(home.to_str().unwrap(), "~")
}

#[test]
fn without_a_command_the_most_used_ones_are_shown() {
    let sandbox = sandbox();
    let ran = sandbox.run::<&str>([]);
    insta::assert_snapshot!(ran.snapshot(&sandbox), @r"
    exit 1
    --- stdout
    --- stderr
    localstore keeps benchmark runs of local LLMs in one SQLite file.
    
      localstore record localscore -m model.gguf    run a benchmark and keep it
      localstore add FILE…                          keep output you already have
      localstore list                               what is there
      localstore compare last~1 last                did it get slower?
      localstore history                            since when?
      localstore report out.html                    everything on one page
    
    More: show best export score plot submit tag rm merge check backup path chat
    Many machines: push pull
    Overrides of prompts: prompt
    Records of coding agents: trace
    One address for every model: serve model key agent usage
    'localstore help COMMAND' explains one, 'localstore --help' lists all.
    Store: ~/.llamafile/llamafile.sqlite3, 5 runs
    ");
    for line in ["help", "-h", "-v -h"] {
        let other = typed(&sandbox, line);
        assert_eq!(slashed(other.text()), ran.stderr, "{line}");
        assert_eq!((other.code, other.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(
        typed(&sandbox, "-h list").text(),
        typed(&sandbox, "list --help").text()
    );
}

#[test]
fn the_store_is_named_if_it_can_be_read_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    let last = |line: &str| {
        let text = typed(&sandbox, line).stderr;
        shown(text.lines().last().unwrap(), sandbox.path())
    };
    let all = "'localstore help COMMAND' explains one, 'localstore --help' lists all.";
    assert_eq!(last(""), all);
    assert!(!sandbox.path().join(".llamafile").exists());
    sandbox.file("text", "a letter to a friend, which is not a database");
    assert_eq!(last("--db text"), all);
    sandbox.file("empty", "");
    assert_eq!(last("--db empty"), "Store: empty, 0 runs");
    sandbox.add(["golden/gpu-reps4.json"]);
    assert_eq!(last(""), "Store: ~/.llamafile/llamafile.sqlite3, 1 run");
    // One of an older version is not brought up to date.
    std::fs::copy(
        fixture("stores/version-1.sqlite3"),
        sandbox.path().join("old"),
    )
    .unwrap();
    let before = std::fs::read(sandbox.path().join("old")).unwrap();
    assert_eq!(last("--db old"), "Store: old, 6 runs");
    assert_eq!(std::fs::read(sandbox.path().join("old")).unwrap(), before);
}

#[test]
fn an_empty_store_says_how_to_fill_it() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.run(["rm", "-y", "1"]).ok();
    for name in ["1", "last", "nope"] {
        assert_wrong(
            &sandbox.run(["show", name]),
            name,
            "the store is empty",
            "localstore record localscore -m model.gguf",
        );
    }
}

#[test]
fn a_hint_names_at_most_twelve_tags() {
    let sandbox = store(&[Bench::default()]);
    for index in 1..=14 {
        sandbox.run(["tag", &format!("t{index:02}"), "1"]).ok();
    }
    assert_wrong(
        &sandbox.run(["show", "nope"]),
        "nope",
        "nope: no such run or tag",
        "tags: t01, t02, t03, t04, t05, t06, t07, t08, t09, t10, t11, t12, … (14)",
    );
}

#[test]
fn what_is_said_on_stderr_fits_the_screen() {
    let sandbox = sandbox();
    let at = |columns: &str, line: &str| {
        let mut command = sandbox.command(words(line));
        Ran::from(command.env("COLUMNS", columns).output().unwrap()).stderr
    };
    for columns in ["40", "60", "80", "120"] {
        let width: usize = columns.parse().unwrap();
        for line in [
            "",
            "--db a list",
            "list --limit ten",
            "list --since soon",
            "show nope",
        ] {
            let told = at(columns, line);
            // A path is one word.
            let mut told = told.lines().filter(|line| !line.contains(".llamafile"));
            assert!(
                told.all(|line| line.chars().count() <= width),
                "{columns}: {line}"
            );
        }
    }
    let told = at("40", "");
    let (commands, _) = told.split_once("Store:").unwrap();
    insta::assert_snapshot!(commands, @r"
    localstore keeps benchmark runs of local
    LLMs in one SQLite file.

      localstore record localscore -m
      model.gguf
        run a benchmark and keep it
      localstore add FILE…
        keep output you already have
      localstore list
        what is there
      localstore compare last~1 last
        did it get slower?
      localstore history
        since when?
      localstore report out.html
        everything on one page

    More: show best export score plot submit
    tag rm merge check backup path chat
    Many machines: push pull
    Overrides of prompts: prompt
    Records of coding agents: trace
    One address for every model: serve model
    key agent usage
    'localstore help COMMAND' explains one,
    'localstore --help' lists all.
    ");
}
