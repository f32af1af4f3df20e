//! What people see of `push`, `pull` and `rm --remote`.

use crate::bench::{days, store};
use crate::fleet::sqld::{self, Sqld};
use crate::fleet::{machines, url};
#[cfg(unix)]
use crate::pager::seen;
use crate::sandbox::Sandbox;

/// Two machines, the first of which has three runs, and their remote.
fn fleet() -> (Sqld, Sandbox, Sandbox) {
    let server = Sqld::start();
    let mut first = store(&days(1..=3));
    first.set("LOCALSTORE_REMOTE", url(server.address()));
    first.run(["push", "--init"]).ok();
    let second = machines(1, server.address()).remove(0);
    (server, first, second)
}

/// What a program printed, with a name instead of the server's address.
fn shown(sandbox: &Sandbox, server: &Sqld, args: &[&str]) -> String {
    let text = sandbox.run(args).snapshot(sandbox);
    text.replace(&server.address().to_string(), "HOST")
}

#[test]
fn a_first_push_says_what_leaves_the_machine() {
    if sqld::is_missing() {
        return;
    }
    let (server, first, second) = fleet();
    insta::assert_snapshot!(shown(&first, &server, &["push", "--dry-run"]), @r"
    exit 0
    --- stdout
    would send run 1: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
    would send run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    would send run 3: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1796
    3 runs: 3 new, 0 completed, 0 known
    --- stderr
    ");
    insta::assert_snapshot!(shown(&first, &server, &["push"]), @r"
    exit 0
    --- stdout
    run 1: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
    run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    run 3: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1796
    3 runs: 3 new, 0 completed, 0 known
    --- stderr
    localstore: first push to HOST: with each run go its CPU, kernel, memory and accelerator, the model and its file name as the benchmark printed it, dates, tags and the link of a submission; chats, host names and user names do not
    ");
    insta::assert_snapshot!(shown(&first, &server, &["push"]), @r"
    exit 0
    --- stdout
    0 runs: 0 new, 0 completed, 0 known
    --- stderr
    ");
    first.add(["golden/gpu-reps4.json"]);
    insta::assert_snapshot!(shown(&first, &server, &["push"]), @r"
    exit 0
    --- stdout
    run 4: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    1 run: 1 new, 0 completed, 0 known
    --- stderr
    ");
    // Where nothing is sent, nothing is said of it.
    insta::assert_snapshot!(shown(&second, &server, &["push"]), @r"
    exit 0
    --- stdout
    0 runs: 0 new, 0 completed, 0 known
    --- stderr
    localstore: ~/.llamafile/llamafile.sqlite3: a new store, with nothing to send
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull", "--dry-run"]), @r"
    exit 0
    --- stdout
    would take over: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
    would take over: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    would take over: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1796
    would take over: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    4 runs: 4 new, 0 completed, 0 known
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull", "--model", "8B"]), @r"
    exit 0
    --- stdout
    0 runs: 0 new, 0 completed, 0 known
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull"]), @r"
    exit 0
    --- stdout
    run 1: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1832
    run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    run 3: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1796
    run 4: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986
    4 runs: 4 new, 0 completed, 0 known
    --- stderr
    ");
    // Another remote is another first time.
    let other = Sqld::start();
    let address = url(other.address());
    insta::assert_snapshot!(shown(&second, &other, &["push", "--init", &address]), @r"
    exit 0
    --- stdout
    HOST: prepared
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &other, &["push", "--init", &address]), @r"
    exit 0
    --- stdout
    HOST: was prepared before
    --- stderr
    ");
    let told = shown(&second, &other, &["push", &address]);
    assert!(told.contains("localstore: first push to HOST: "), "{told}");
}

#[test]
fn a_withdrawn_run_is_described_where_it_goes() {
    if sqld::is_missing() {
        return;
    }
    let (server, first, second) = fleet();
    first.run(["push"]).ok();
    second.run(["pull"]).ok();
    second.add(["golden/gpu-reps4.json"]);
    second.run(["push"]).ok();
    first.run(["pull"]).ok();
    first.add(["golden/single-test.json"]);
    let remote = url(server.address());
    let rm = |more: &[&str]| {
        let args = [&["rm", "--remote", &remote, "2", "4-5"][..], more].concat();
        shown(&first, &server, &args)
    };
    insta::assert_snapshot!(rm(&["--dry-run"]), @r"
    exit 0
    --- stdout
    would remove run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817; also from HOST
    would remove run 4: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986; it stays on HOST: another store has sent it
    would remove run 5: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 2044p, partial; it is not on HOST
    --- stderr
    ");
    insta::assert_snapshot!(rm(&[]), @r"
    exit 1
    --- stdout
    --- stderr
    localstore: runs 2, 4, 5: not removed: no terminal to ask on
    hint: localstore rm --remote http://HOST -y 2 4 5
    ");
    insta::assert_snapshot!(rm(&["-y"]), @r"
    exit 0
    --- stdout
    removed run 2: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817; also from HOST
    removed run 4: Llama 3.2 1B Instruct, Q4_K_M, RTX 4090, score 6986; it stays on HOST: another store has sent it
    removed run 5: Meta Llama 3.1 8B Instruct, Q4_K_M, RTX 4090, score 2044p, partial; it is not on HOST
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull", "--dry-run"]), @r"
    exit 0
    --- stdout
    would remove run 2, withdrawn: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    0 runs: 0 new, 0 completed, 0 known, 1 withdrawn
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull"]), @r"
    exit 0
    --- stdout
    removed run 2, withdrawn: Llama 3.2 1B Instruct, Q4_K_M, GPU One, score 1817
    0 runs: 0 new, 0 completed, 0 known, 1 withdrawn
    --- stderr
    ");
    insta::assert_snapshot!(shown(&second, &server, &["pull"]), @r"
    exit 0
    --- stdout
    0 runs: 0 new, 0 completed, 0 known
    --- stderr
    ");
}

#[cfg(unix)]
#[test]
fn progress_is_shown_on_a_terminal_alone() {
    if sqld::is_missing() {
        return;
    }
    let server = Sqld::start();
    let mut first = store(&days(1..=28));
    first.set("LOCALSTORE_REMOTE", url(server.address()));
    first.run(["push", "--init"]).ok();
    let term = [("TERM", "xterm")];
    let (text, code) = seen(&first, "push", &term);
    let sum = "28 runs: 28 new, 0 completed, 0 known\n";
    assert!(
        text.contains(" of 28 runs, ") && text.contains(" kB"),
        "{text:?}"
    );
    assert!(text.ends_with(sum) && !text.contains("run 7: "), "{text:?}");
    assert_eq!(code, Some(0));
    let [second, third] = &machines(2, server.address())[..] else {
        unreachable!("two were asked for")
    };
    let (text, _) = seen(second, "pull", &term);
    assert!(
        text.contains(" of 28 runs, ") && text.ends_with(sum),
        "{text:?}"
    );
    // With -v all lines are there, and in a pipe.
    let (text, _) = seen(second, "pull -v --dry-run", &term);
    assert!(
        text.ends_with("0 runs: 0 new, 0 completed, 0 known\n"),
        "{text:?}"
    );
    let ran = third.run(["pull"]);
    assert_eq!(ran.stderr, "");
    let text = String::from_utf8(ran.ok()).unwrap();
    assert!(text.contains("run 7: ") && text.ends_with(sum), "{text}");
}

#[test]
fn a_remote_must_be_named() {
    let sandbox = store(&days(1..=1));
    for command in ["push", "pull"] {
        let ran = sandbox.run([command]);
        assert_eq!(ran.failed(), "missing parameter: REMOTE");
        assert!(
            ran.stderr.contains("set LOCALSTORE_REMOTE"),
            "{}",
            ran.stderr
        );
    }
}

/// An address that is refused is not repeated: it may contain a password.
#[test]
fn a_wrong_argument_is_told_with_what_helps() {
    let mut sandbox = store(&days(1..=1));
    let form = "it does not begin with libsql://, https:// or http://";
    for (line, error, hint) in [
        (
            "push fleet.example.org",
            "invalid parameter for: REMOTE",
            form,
        ),
        ("pull /secret", "invalid parameter for: REMOTE", form),
        (
            "rm 1 --remote http://user:secret@a.org",
            "invalid parameter for: --remote",
            "a user or a password cannot be in an address",
        ),
        (
            "pull https://a.org?authToken=secret",
            "invalid parameter for: REMOTE",
            "a query cannot be in an address",
        ),
        (
            "push http://a.org http://user:secret@a.org",
            "invalid parameter for: http://…",
            "localstore push --help",
        ),
        (
            "push --int",
            "invalid parameter for: --int",
            "did you mean '--init'?",
        ),
        (
            "push --init --dry-run http://a.org",
            "invalid parameter for: --init",
            "not together with '--dry-run'",
        ),
        (
            "pull --init",
            "invalid parameter for: --init",
            "localstore pull --help",
        ),
        (
            "rm 1 --remote",
            "missing value for: --remote",
            "localstore rm --help",
        ),
    ] {
        let ran = sandbox.run(line.split(' '));
        assert_eq!(ran.failed(), error, "{line}");
        assert!(
            ran.stderr.ends_with(&format!("\nhint: {hint}\n")),
            "{line}: {}",
            ran.stderr
        );
    }
    sandbox.set("LOCALSTORE_REMOTE", "http://user:secret@a.org");
    for command in ["push", "pull"] {
        let ran = sandbox.run([command, "-vvv"]);
        let why = "localstore: LOCALSTORE_REMOTE: a user or a password cannot be in an address\n";
        assert!(
            ran.stderr.contains(why) && !ran.stderr.contains("secret"),
            "{}",
            ran.stderr
        );
    }
}
