//! The command line as a whole: parity with the C tool, help, exit codes.

#[cfg(feature = "network")]
use std::fmt::Write as _;

use crate::bench::{Bench, store};
use crate::sandbox::{Sandbox, fixture};

#[test]
fn a_wrong_argument_is_named_as_by_the_c_tool() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], &str); 14] = [
        (&["--frob"], "invalid parameter for: --frob"),
        (&["frob"], "invalid parameter for: frob"),
        // A URL may contain a password.
        (
            &["path", "libsql://user:secret@a.org"],
            "invalid parameter for: libsql://…",
        ),
        (&["list", "--fr_ob"], "invalid parameter for: --fr-ob"),
        (&["list", "-x"], "invalid parameter for: -x"),
        (&["list", "-o", "xml"], "invalid parameter for: -o"),
        (
            &["list", "--output", "xml"],
            "invalid parameter for: --output",
        ),
        (&["list", "--output=xml"], "invalid parameter for: --output"),
        (&["export", "-o"], "missing value for: -o"),
        (
            &["list", "--since", "then"],
            "invalid parameter for: --since",
        ),
        (&["show", "1", "2"], "invalid parameter for: 2"),
        (&["show", "1", "a_b"], "invalid parameter for: a_b"),
        (&["rm"], "missing parameter: RUN"),
        (&["chat"], "missing command"),
    ];
    for (args, message) in cases {
        let ran = sandbox.run(args);
        assert_eq!(ran.failed(), message, "{args:?}");
        assert!(ran.stderr.contains("\nhint: "), "{args:?}");
        assert!(ran.stdout.is_empty());
    }
    assert!(!sandbox.path().join(".llamafile").exists());
}

#[test]
fn hyphen_and_underscore_are_one_in_long_options() {
    let sandbox = Sandbox::new();
    let json = fixture("golden/single-test.json");
    let args = ["add".as_ref(), "--dry_run".as_ref(), json.as_os_str()];
    sandbox.run(args).ok();
    assert!(!sandbox.store().exists());
    sandbox
        .run(["path", "--db_startup-sql=", "--db-startup_sql="])
        .ok();
    let ran = sandbox.run(["add", "--dry_rnu"]);
    assert!(
        ran.stderr.contains("did you mean '--dry-run'?"),
        "{}",
        ran.stderr
    );
    // Values keep theirs.
    sandbox
        .run(["--db_startup_sql=SELECT 1 AS a_b", "--db=a_b", "path"])
        .ok();
    assert_eq!(sandbox.run(["--db=a_b", "path"]).text(), "a_b\n");
}

#[test]
fn the_last_of_a_repeated_option_counts() {
    let sandbox = Sandbox::new();
    let text = sandbox
        .run(["--db", "a", "path", "--db", "b", "--db=c"])
        .text();
    assert_eq!(text, "c\n");
    sandbox.add(["golden/single-test.json"]);
    let csv = sandbox.run(["export", "-o", "json", "-o", "csv"]).text();
    assert!(csv.starts_with("build_commit,"));
}

#[test]
fn help_and_version_go_to_stdout() {
    let sandbox = Sandbox::new();
    for args in [
        &["--help"][..],
        &["-h"],
        &["add", "--help"],
        &["-V"],
        &["--version"],
    ] {
        let ran = sandbox.run(args);
        ran.ok();
        assert!(ran.stderr.is_empty());
        assert!(!ran.stdout.is_empty());
    }
    assert_eq!(
        sandbox.run(["--version"]).text(),
        format!("localstore {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_command_has_an_example() {
    let sandbox = Sandbox::new();
    for command in localstore::command().get_subcommands() {
        let help = sandbox.run([command.get_name(), "--help"]).text();
        assert!(help.contains("Example"), "{}", command.get_name());
        assert!(
            help.lines().all(|line| line.chars().count() <= 80),
            "{help}"
        );
    }
}

/// docs/cli.md is the help of every command, so a change of the surface shows in a diff. To accept
/// one: `UPDATE_DOCS=1 cargo test`.
#[cfg(feature = "network")]
#[test]
fn the_reference_of_commands_is_what_help_says() {
    let sandbox = Sandbox::new();
    let mut reference = String::from(
        "# Commands\n\nWhat `localstore --help` and `localstore COMMAND --help` print. A test keeps \
         this page true.\n",
    );
    let mut section = |title: &str, args: &[&str]| {
        let help = sandbox.run(args).text();
        let _ = write!(
            reference,
            "\n## {title}\n\n```text\n{}\n```\n",
            help.trim_end()
        );
    };
    section("localstore", &["--help"]);
    for command in localstore::command().get_subcommands() {
        let name = command.get_name();
        section(&format!("localstore {name}"), &[name, "--help"]);
        for inner in command.get_subcommands() {
            let inner = inner.get_name();
            section(
                &format!("localstore {name} {inner}"),
                &[name, inner, "--help"],
            );
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        use std::io::Write;
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(reference.as_bytes()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference,
        "docs/cli.md is old: UPDATE_DOCS=1 cargo test writes it"
    );
}

#[test]
fn every_command_has_a_manual_page() {
    let sandbox = Sandbox::new();
    let check = |names: &[&str], title: &str| {
        let page = sandbox.run([&["man"], names].concat()).text();
        assert!(
            page.starts_with(&format!(".TH {title} 1 \"\" ")),
            "{title}: {page:.200}"
        );
        let mut from = 0;
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "FILES",
        ] {
            let head = format!("\n.SH {section}\n");
            let at = page[from..].find(&head);
            from += at.unwrap_or_else(|| panic!("{title}: no {section} in its place"));
        }
        assert_eq!(
            page.matches("\n.nf\n").count(),
            page.matches("\n.fi\n").count(),
            "{title}"
        );
    };
    check(&[], "LOCALSTORE");
    for command in localstore::command().get_subcommands() {
        let name = command.get_name();
        let title = format!("LOCALSTORE-{}", name.to_uppercase());
        check(&[name], &title);
        for inner in command.get_subcommands() {
            let inner = inner.get_name();
            check(&[name, inner], &format!("{title}-{}", inner.to_uppercase()));
        }
    }
    for (names, hint) in [
        (&["lsit"][..], "did you mean 'list'?"),
        (&["frob"], "localstore --help"),
        (&["plot", "histroy"], "did you mean 'history'?"),
        (&["plot", "x"], "localstore plot --help"),
    ] {
        let ran = sandbox.run([&["man"], names].concat());
        let name = names.last().unwrap();
        assert_eq!(ran.failed(), format!("invalid parameter for: {name}"));
        assert!(
            ran.stderr.ends_with(&format!("hint: {hint}\n")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_manual_page_has_names_values_and_tables_as_they_are() {
    let sandbox = Sandbox::new();
    let record = sandbox.run(["man", "record"]).text();
    let (_, synopsis) = record.split_once(".SH SYNOPSIS\n").unwrap();
    assert!(
        synopsis.starts_with("\\fBlocalstore record\\fR [\\fB\\-\\-tag\\fR \\fITAG\\fR] "),
        "{synopsis:.200}"
    );
    assert!(record.contains("128 plus the number of the signal"));
    let compare = sandbox.run(["man", "compare"]).text();
    let (_, table) = compare.split_once("\n.nf\n").unwrap();
    assert!(table.starts_with("  better, worse  "), "{table:.200}");
    for code in ["\\fB2\\fR", "\\fB3\\fR"] {
        assert!(compare.contains(&format!("\n{code}\nWith ")), "{code}");
    }
    // No gate has that name there.
    let pictures = sandbox.run(["man", "plot", "compare"]).text();
    assert!(!pictures.contains("\n\\fB2\\fR\n"), "{pictures}");
    let root = sandbox.run(["man"]).text();
    for name in [
        "localstore\\-list(1)",
        "LOCALSTORE_DB",
        "NO_COLOR",
        "\\-\\-db",
    ] {
        assert!(root.contains(name), "{name}");
    }
}

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.add(["golden/single-test.json"]);
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = sandbox.command(["export"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "localstore: standard output: no space left on device\n"
    );
}

#[test]
fn a_note_about_what_could_not_be_printed_is_left_out() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let sandbox = Sandbox::new();
    // Partial: a note on its score. Rounded: a note on a mark.
    sandbox.add(["golden/single-test.json", "golden/gpu-reps4.md"]);
    for args in [&["score", "1"][..], &["show", "2"], &["list"]] {
        assert!(
            sandbox.run(args).stderr.starts_with("localstore: "),
            "{args:?}"
        );
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = sandbox.command(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "localstore: standard output: no space left on device\n",
            "{args:?}"
        );
    }
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.json"]);
    for args in [
        &["export", "-o", "json"][..],
        &["list"],
        &["score"],
        &["--help"],
        &["man"],
        &["list", "-o", "csv"],
    ] {
        let mut command = sandbox.command(args);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

/// More than the buffers hold, so that it is the writer of the format who meets the closed pipe.
#[test]
fn a_pipe_closed_in_the_midst_ends_the_program_quietly_and_the_gate_keeps_its_code() {
    let name = |version: &str, day, speed| Bench {
        version: String::leak(version.repeat(200_000)),
        repetitions: 4,
        day,
        speed,
        ..Bench::default()
    };
    let mut benches = vec![name("v", 1, 1.0)];
    benches.extend((2..=30).map(|day| name("w", day, 0.5)));
    let sandbox = store(&benches);
    let closed = |args: Vec<&str>| {
        let mut command = sandbox.command(&args);
        let mut child = command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let ids: Vec<String> = (1..=30).map(|id: u32| id.to_string()).collect();
    for format in ["table", "csv", "json", "jsonl", "md"] {
        for command in ["list", "history"] {
            let ran = closed(vec![command, "-o", format]);
            assert_eq!(ran, (Some(0), String::new()), "{command} -o {format}");
        }
        let mut compare = vec!["compare", "-o", format];
        compare.extend(ids.iter().map(String::as_str));
        assert_eq!(
            closed(compare.clone()),
            (Some(0), String::new()),
            "{format}"
        );
        compare.push("--fail-on-regression");
        assert_eq!(closed(compare).0, Some(2), "{format}");
    }
}

/// As a shell's `>&-`. Rust would open `/dev/null` in its place.
#[cfg(unix)]
#[test]
fn a_closed_standard_output_is_an_error_once_something_is_printed() {
    let sandbox = Sandbox::new();
    let run = |redirection: &str, args: &[&str]| {
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(format!("exec \"$@\" {redirection}"))
            .arg("sh")
            .arg(assert_cmd::cargo::cargo_bin!("localstore"))
            .args(args)
            .env_clear()
            .env("HOME", sandbox.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let capture = fixture("golden/gpu-reps4.json");
    let message = "localstore: standard output: it is closed\n".to_owned();
    let add = ["add", capture.to_str().unwrap()];
    // What was to be stored is stored.
    assert_eq!(run(">&-", &add), (Some(1), message.clone()));
    assert!(sandbox.run(["list"]).text().contains("Llama 3.2 1B"));
    for args in [&["export"][..], &["list"], &["show", "1"], &["--version"]] {
        assert_eq!(run(">&-", args), (Some(1), message.clone()), "{args:?}");
        assert_eq!(run(">/dev/null", args).0, Some(0), "{args:?}");
        assert_eq!(run("1<>/dev/null", args).0, Some(0), "{args:?}");
    }
}
