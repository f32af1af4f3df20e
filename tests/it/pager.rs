//! The pager, on a terminal of 41 lines.

use std::io::Read;

use crate::bench::{self, Bench, days};
use crate::record::terminal;
use crate::sandbox::Sandbox;

/// More runs than the terminal has lines, the last half as fast.
fn store() -> Sandbox {
    let mut benches: Vec<Bench> = days(1..=28).into_iter().chain(days(1..=28)).collect();
    for (index, bench) in benches.iter_mut().enumerate() {
        bench.speed = if index < 28 { 1.0 } else { 1.1 };
    }
    benches[55].speed = 0.5;
    bench::store(&benches)
}

/// What a person sees, and the exit code.
pub(crate) fn seen(
    sandbox: &Sandbox,
    args: &str,
    variables: &[(&str, &str)],
) -> (String, Option<i32>) {
    let (mut person, program) = terminal();
    let mut command = sandbox.command(args.split(' '));
    command
        .envs(variables.iter().copied())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdout(program.try_clone().unwrap())
        .stderr(program);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    // On Linux the end of a terminal is an error.
    while let Ok(length @ 1..) = person.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
    }
    let code = child.wait().unwrap().code();
    (String::from_utf8(seen).unwrap().replace("\r\n", "\n"), code)
}

#[test]
fn long_output_goes_through_the_pager() {
    let sandbox = store();
    let plain = seen(&sandbox, "list --no-pager", &[("PAGER", "false")]);
    assert_eq!(plain.1, Some(0));
    assert_eq!(plain.0.lines().count(), 57);
    // The words of a command, and a line for a shell.
    for (variables, mark) in [
        (
            &[("LOCALSTORE_PAGER", "grep -n ."), ("PAGER", "false")][..],
            "1:",
        ),
        (&[("PAGER", "sed 's/^/> /'")], "> "),
    ] {
        let (text, code) = seen(&sandbox, "list", variables);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.starts_with(&format!("{mark}id  measured")), "{text}");
        assert_eq!(text.lines().count(), 57, "{text}");
    }
    // None is wanted, or known, or there.
    for variables in [
        &[("LOCALSTORE_PAGER", ""), ("PAGER", "false")][..],
        &[],
        &[("TERM", "dumb")],
        &[("PAGER", "/no/such/program -x")],
    ] {
        assert_eq!(seen(&sandbox, "list", variables), plain, "{variables:?}");
    }
    let (text, code) = seen(&sandbox, "list", &[("PAGER", "no-such-program '1'")]);
    assert_eq!(code, Some(0));
    assert!(text.ends_with(&plain.0), "{text}");
    // What is short, or no output for people to read on.
    for args in ["list --limit 39", "export --all -o csv"] {
        let (text, code) = seen(&sandbox, args, &[("PAGER", "false")]);
        assert_eq!(code, Some(0));
        assert!(text.lines().count() > 40, "{text}");
    }
}

#[test]
fn a_pager_that_is_quit_changes_nothing_and_notes_come_after_it() {
    let sandbox = store();
    sandbox.add(["golden/single-test.json"]);
    let (text, code) = seen(&sandbox, "list", &[("PAGER", "head -n 1")]);
    assert_eq!(code, Some(0));
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("id  measured"), "{text}");
    let note = "localstore: p partial, not comparable";
    assert!(lines.next().unwrap().contains(note), "{text}");
    let compare = "compare 1 56 -o json --fail-on-regression";
    let (text, code) = seen(&sandbox, compare, &[("PAGER", "head -n 1")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.starts_with("{\n"), "{text}");
}
