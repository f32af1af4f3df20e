//! `record` and `add --tee`: what passes through, what is stored, and what is left when that fails.
#![cfg(unix)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};

const JSON: &str = "captures/capture-json.stdout.txt";

/// Runs a script under `record`.
fn record(sandbox: &Sandbox, script: &str) -> Ran {
    sandbox.run(["record", "--", "/bin/sh", "-c", script])
}

/// Starts a script under `record`, in a process group of its own.
fn start(sandbox: &Sandbox, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = sandbox
        .command(["record", "--", "/bin/sh", "-c", script])
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// The script's command that prints a fixture.
pub(crate) fn cat(name: &str) -> String {
    format!("cat '{}'", fixture(name).display())
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

/// The rest of what the program prints, and how it ends.
fn end(child: Child, mut stdout: BufReader<ChildStdout>) -> Ran {
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    let mut ran = Ran::from(child.wait_with_output().unwrap());
    ran.stdout = rest;
    ran
}

/// Reads until a line that contains this.
fn read_until(stdout: &mut impl BufRead, text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let from = all.len();
        let length = stdout.read_until(b'\n', &mut all).unwrap();
        assert!(length > 0, "ended without {text}");
        if String::from_utf8_lossy(&all[from..]).contains(text) {
            return all;
        }
    }
}

fn count(sandbox: &Sandbox) -> usize {
    if !sandbox.store().is_file() {
        return 0;
    }
    sandbox.run(["list", "-o", "jsonl"]).text().lines().count()
}

/// The outputs that were saved.
fn saved(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
        .collect()
}

/// Asserts that one output was saved, that it is named, and what is in it.
#[track_caller]
fn assert_saved(sandbox: &Sandbox, stderr: &str, content: &[u8]) {
    let files = saved(sandbox);
    assert_eq!(files.len(), 1, "{stderr}");
    assert!(std::fs::read(&files[0]).unwrap() == content, "{stderr}");
    let name = files[0].file_name().unwrap().to_str().unwrap();
    let line = stderr.lines().find(|line| line.contains("was saved: "));
    assert!(line.is_some_and(|line| line.ends_with(name)), "{stderr}");
}

/// The golden run of the captures, as json.
fn assert_stored(sandbox: &Sandbox, name: &str) {
    let exported = sandbox.run(["export", "-o", "json"]).ok();
    let capture = read_fixture(name);
    let found = memchr::memmem::find(&capture, exported.trim_ascii_end());
    assert!(found.is_some());
}

#[test]
fn what_a_program_prints_passes_through_and_is_stored() {
    let sandbox = Sandbox::new();
    let script = cat("captures/capture-json.stderr.txt") + " >&2; " + &cat(JSON);
    let ran = record(&sandbox, &script);
    assert_eq!(ran.ok(), read_fixture(JSON));
    let banners = String::from_utf8(read_fixture("captures/capture-json.stderr.txt")).unwrap();
    let messages = ran.stderr.strip_prefix(&banners).expect("its stderr first");
    assert!(messages.starts_with("run 1: Meta Llama"));
    assert_eq!(messages.lines().count(), 1);
    assert_stored(&sandbox, JSON);
    assert!(saved(&sandbox).is_empty());
}

#[test]
fn every_byte_passes() {
    let sandbox = Sandbox::new();
    let bytes: Vec<u8> = (0..300_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    sandbox.file("bytes", &bytes);
    let ran = record(&sandbox, "cat bytes");
    assert!(ran.stdout == bytes);
    // There is no run in it, so it is kept.
    assert_eq!(ran.code, Some(1));
    assert_saved(&sandbox, &ran.stderr, &bytes);
}

#[test]
fn a_tag_comes_with_the_run() {
    let sandbox = Sandbox::new();
    let script = cat(JSON);
    let args = ["record", "--tag", "base", "--", "/bin/sh", "-c", &script];
    sandbox.run(args).ok();
    let listed = sandbox.run(["list", "--tag", "base", "-o", "jsonl"]).text();
    assert_eq!(listed.lines().count(), 1);
    let ran = sandbox.run(["record", "--tag", "12", "--", "/bin/sh", "-c", "echo no"]);
    assert!(ran.failed().starts_with("tag '12': "));
    assert!(ran.stdout.is_empty());
}

#[test]
fn the_arguments_are_the_programs_own() {
    let sandbox = Sandbox::new();
    let script = format!("printf '%s|' \"$@\" >args; {}", cat(JSON));
    let program = ["/bin/sh", "-c", &script, "sh"];
    let own = "--send_results|-v|--db|x|--|-|--baseline|median-of|5|";
    // Behind the name of the program they are its own even without '--'.
    for record in [&["record", "--"][..], &["record"]] {
        let words = own.trim_end_matches('|').split('|');
        sandbox
            .run(record.iter().copied().chain(program).chain(words))
            .ok();
        let typed = std::fs::read_to_string(sandbox.path().join("args")).unwrap();
        assert_eq!(typed, own);
    }
}

#[test]
fn its_exit_code_becomes_ours() {
    let sandbox = Sandbox::new();
    for code in [1, 2, 7, 255] {
        let ran = record(&sandbox, &format!("{}; exit {code}", cat(JSON)));
        assert_eq!(ran.code, Some(code));
        assert!(ran.stderr.contains("run 1: "), "{}", ran.stderr);
        assert!(saved(&sandbox).is_empty());
    }
    let ran = record(&sandbox, &format!("{}; kill -KILL $$", cat(JSON)));
    assert_eq!(ran.code, Some(137), "{}", ran.stderr);
    assert_eq!(count(&sandbox), 1);
}

#[test]
fn the_programs_code_comes_before_ours() {
    let sandbox = Sandbox::new();
    let ran = record(&sandbox, "echo hello; exit 3");
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains(": no benchmark result\n"));
    assert_saved(&sandbox, &ran.stderr, b"hello\n");
    // Of nothing, nothing is kept.
    let sandbox = Sandbox::new();
    assert_eq!(record(&sandbox, "exit 3").code, Some(3));
    assert!(saved(&sandbox).is_empty());
}

#[test]
fn a_program_that_does_not_exist_is_one_line() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(["record", "--", "no-such-program", "x"]);
    assert_eq!(ran.failed(), "no-such-program: no such program");
    assert_eq!(ran.stderr.lines().count(), 1);
    assert!(saved(&sandbox).is_empty());
    assert!(!sandbox.store().exists());
    assert_eq!(sandbox.run(["record"]).failed(), "missing parameter: CMD");
    let ran = sandbox.run(["record", "--frob", "true"]);
    assert_eq!(ran.failed(), "invalid parameter for: --frob");
}

#[test]
fn a_question_is_asked_and_answered() {
    let sandbox = Sandbox::new();
    let script = format!(
        "printf 'Submit (y/n)? '; read answer; echo \"it was $answer\"; {}",
        cat(JSON)
    );
    let ran = sandbox.run_with_input(["record", "--", "/bin/sh", "-c", &script], b"yes\n");
    let text = String::from_utf8(ran.ok()).unwrap();
    assert!(text.starts_with("Submit (y/n)? it was yes\n"), "{text}");
    assert_stored(&sandbox, JSON);
}

/// Of two streams that come in pieces.
#[test]
fn a_message_in_the_midst_of_a_document_does_not_spoil_it() {
    let sandbox = Sandbox::new();
    let text = read_fixture(JSON);
    let middle = memchr::memmem::find(&text, b"\"avg_prompt_tps\"").map_or(2000, |at| at + 5);
    sandbox.file("first", &text[..middle]);
    sandbox.file("second", &text[middle..]);
    // The reader must have had the first part before the message comes.
    let script = "cat first; read x; echo message >&2; cat second";
    let mut child = sandbox
        .command(["record", "--", "/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = vec![0; middle];
    stdout.read_exact(&mut first).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let ran = end(child, BufReader::new(stdout));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!([first, ran.stdout].concat(), text);
    assert!(ran.stderr.starts_with("message\n"));
    assert_stored(&sandbox, JSON);
}

#[test]
fn a_store_that_is_refused_is_found_before_the_start() {
    let sandbox = Sandbox::new();
    let store = sandbox.file("foreign", "this is no database");
    let args = ["record", "--db", "foreign", "--", "/bin/sh", "-c"];
    let ran = sandbox.run(args.into_iter().chain(["echo started"]));
    ran.failed();
    assert!(ran.stdout.is_empty());
    assert_eq!(std::fs::read(store).unwrap(), b"this is no database");
}

#[test]
fn what_cannot_be_stored_is_saved() {
    // The store turns bad while the benchmark runs.
    for bad in [
        "mkdir -p .llamafile/llamafile.sqlite3",
        "mkdir .llamafile; echo 'this is no database' >.llamafile/llamafile.sqlite3",
        "echo 'no folder' >.llamafile",
    ] {
        let sandbox = Sandbox::new();
        let ran = record(&sandbox, &format!("{bad}; {}", cat(JSON)));
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.stdout, read_fixture(JSON));
        assert_saved(&sandbox, &ran.stderr, &read_fixture(JSON));
        // The hint helps.
        let path = saved(&sandbox).remove(0);
        let args = ["add".as_ref(), "--db=other".as_ref(), path.as_os_str()];
        sandbox.run(args).ok();

        let sandbox = Sandbox::new();
        let ran = record(&sandbox, &format!("{bad}; {}; exit 9", cat(JSON)));
        assert_eq!(ran.code, Some(9), "{}", ran.stderr);
        assert_saved(&sandbox, &ran.stderr, &read_fixture(JSON));
    }
}

#[test]
fn a_document_that_is_cut_off_leaves_the_whole_output() {
    let sandbox = Sandbox::new();
    let cut = "captures/capture-json-interrupted.stdout.txt";
    let ran = record(&sandbox, &format!("{}; {}", cat(JSON), cat(cut)));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(count(&sandbox), 1);
    let all = [read_fixture(JSON), read_fixture(cut)].concat();
    assert_saved(&sandbox, &ran.stderr, &all);
}

#[test]
fn ctrl_c_reaches_the_program_and_what_was_finished_is_kept() {
    let sandbox = Sandbox::new();
    let script = format!("{}; echo running; exec sleep 60", cat(JSON));
    let (child, mut stdout) = start(&sandbox, &script);
    read_until(&mut stdout, "running");
    kill_process_group(pid(&child), Signal::INT).unwrap();
    let ran = end(child, stdout);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("run 1: "), "{}", ran.stderr);
    assert_stored(&sandbox, JSON);
}

#[test]
fn a_program_may_take_its_time_after_ctrl_c() {
    let sandbox = Sandbox::new();
    let script = format!(
        "trap 'echo ending; {}; exit 5' INT; echo running; while :; do sleep 0.05; done",
        cat(JSON)
    );
    let (child, mut stdout) = start(&sandbox, &script);
    read_until(&mut stdout, "running");
    kill_process_group(pid(&child), Signal::INT).unwrap();
    read_until(&mut stdout, "ending");
    kill_process_group(pid(&child), Signal::INT).unwrap();
    let ran = end(child, stdout);
    assert_eq!(ran.code, Some(5), "{}", ran.stderr);
    assert_stored(&sandbox, JSON);
}

#[test]
fn a_request_to_end_is_passed_on() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = Sandbox::new();
        let script = format!("{}; echo running; exec sleep 60", cat(JSON));
        let (child, mut stdout) = start(&sandbox, &script);
        read_until(&mut stdout, "running");
        kill_process(pid(&child), signal).unwrap();
        let ran = end(child, stdout);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert_eq!(count(&sandbox), 1);
    }
}

#[test]
fn signals_that_we_were_told_to_ignore_stay_ignored() {
    let sandbox = Sandbox::new();
    // As nohup does, and a shell for what runs in the background.
    let program = sandbox.command(["path"]).get_program().to_owned();
    let script = format!(
        "trap '' HUP INT; exec {} record -- /bin/sh -c 'echo running; read x; {}'",
        Path::new(&program).display(),
        cat(JSON).replace('\'', "")
    );
    let mut child = Command::new("/bin/sh")
        .args(["-c", &script])
        .env_clear()
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut stdout, "running");
    kill_process_group(pid(&child), Signal::HUP).unwrap();
    kill_process_group(pid(&child), Signal::INT).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let ran = end(child, stdout);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_stored(&sandbox, JSON);
}

#[test]
fn who_still_holds_the_output_after_the_end_is_not_waited_for() {
    let sandbox = Sandbox::new();
    let script = format!("sleep 60 & echo $! >pid; {}", cat(JSON));
    record(&sandbox, &script).ok();
    assert_stored(&sandbox, JSON);
    let left = std::fs::read_to_string(sandbox.path().join("pid")).unwrap();
    let left = Pid::from_raw(left.trim().parse().unwrap()).unwrap();
    kill_process(left, Signal::KILL).unwrap();
}

#[test]
fn it_is_stored_when_nobody_reads_the_output() {
    for args in [&["record", "--", "/bin/sh", "-c"][..], &["add", "--tee"]] {
        let sandbox = Sandbox::new();
        let mut command = sandbox.command(args);
        if args[0] == "record" {
            // Larger than a pipe holds, and the document comes last.
            command.arg(format!("yes | head -c 300000; {}", cat(JSON)));
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        if args[0] == "add" {
            stdin.write_all(&b"y\n".repeat(150_000)).unwrap();
            stdin.write_all(&read_fixture(JSON)).unwrap();
        }
        drop(stdin);
        let ran = Ran::from(child.wait_with_output().unwrap());
        ran.ok();
        assert!(ran.stderr.starts_with("run 1: "));
        assert_stored(&sandbox, JSON);
    }
}

#[test]
fn a_full_disk_behind_stdout_does_not_lose_the_run() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let sandbox = Sandbox::new();
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = sandbox
        .command(["record", "--", "/bin/sh", "-c", &cat(JSON)])
        .stdout(full)
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(ran.code, Some(1));
    let error = "localstore: standard output: no space left on device\n";
    assert!(ran.stderr.starts_with(error), "{}", ran.stderr);
    assert_eq!(count(&sandbox), 1);
}

#[test]
fn tee_copies_its_input_and_stores_it() {
    let sandbox = Sandbox::new();
    let mut input = read_fixture(JSON);
    input.extend((0..=255).cycle().take(200_000));
    let ran = sandbox.run_with_input(["add", "--tee", "--tag", "x"], &input);
    assert!(ran.ok() == input);
    assert!(ran.stderr.starts_with("run 1: "));
    assert_stored(&sandbox, JSON);
    assert!(saved(&sandbox).is_empty());
    // What cannot be stored is saved, and passes all the same.
    let ran = sandbox.run_with_input(["add", "--tee"], b"hello\n");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, b"hello\n");
    assert_saved(&sandbox, &ran.stderr, b"hello\n");
    let ran = sandbox.run(["add", "--tee", "file"]);
    assert_eq!(ran.failed(), "invalid parameter for: --tee");
}

#[test]
fn tee_copies_as_it_comes_and_outlives_ctrl_c() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(["add", "--tee"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let text = read_fixture(JSON);
    stdin.write_all(&text).unwrap();
    let mut copy = vec![0; text.len()];
    stdout.read_exact(&mut copy).unwrap();
    assert_eq!(copy, text);
    kill_process(pid(&child), Signal::INT).unwrap();
    drop(stdin);
    let ran = end(child, BufReader::new(stdout));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_stored(&sandbox, JSON);
}

/// A terminal: its two ends, the one that a person sees first.
pub(crate) fn terminal() -> (std::fs::File, std::fs::File) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::io::fcntl_setfd(&person, rustix::io::FdFlags::CLOEXEC).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = rustix::fs::open(name, flags, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 41,
        ws_col: 137,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&person, size).unwrap();
    (person.into(), program.into())
}

#[test]
fn on_a_terminal_the_program_has_one_and_its_output_comes_at_once() {
    let sandbox = Sandbox::new();
    let (mut person, program) = terminal();
    let mut script = "test -t 0 && test -t 1 && test -t 2 && echo three terminals\n".to_owned();
    let _ = write!(
        script,
        "stty size <&1; printf 'one\\033[A\\033[2Ktwo\\n'; printf 'Submit (y/n)? '
         read answer; echo \"it was $answer\" >&2; {}",
        cat(JSON)
    );
    let mut command = sandbox.command(["record", "--", "/bin/sh", "-c", &script]);
    command
        .stdin(program.try_clone().unwrap())
        .stdout(program.try_clone().unwrap())
        .stderr(program);
    let mut child = command.spawn().unwrap();
    drop(command);
    // The question comes while the program waits: it is not the end that brings it.
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !seen.ends_with(b"(y/n)? ") {
        let length = person.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(
        String::from_utf8_lossy(&seen),
        "three terminals\r\n41 137\r\none\u{1b}[A\u{1b}[2Ktwo\r\nSubmit (y/n)? "
    );
    person.write_all(b"yes\n").unwrap();
    let mut rest = Vec::new();
    // On Linux the end of a terminal is an error.
    while let Ok(length @ 1..) = person.read(&mut buffer) {
        rest.extend_from_slice(&buffer[..length]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let rest = String::from_utf8_lossy(&rest).replace("\r\n", "\n");
    let capture = String::from_utf8(read_fixture(JSON)).unwrap();
    let expected = format!("yes\nit was yes\n{capture}run 1: ");
    assert!(rest.starts_with(&expected), "{rest}");
    assert_stored(&sandbox, JSON);
}

/// What passes through the terminal of the program is not altered by it.
#[test]
fn a_terminal_alters_no_byte_of_the_capture() {
    let sandbox = Sandbox::new();
    let (mut person, program) = terminal();
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    sandbox.file("bytes", &bytes);
    let mut command = sandbox.command(["record", "--", "/bin/cat", "bytes"]);
    command.stdout(program).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(1..) = person.read(&mut buffer) {}
    });
    let ran = Ran::from(child.wait_with_output().unwrap());
    reader.join().unwrap();
    assert_eq!(ran.code, Some(1));
    assert_saved(&sandbox, &ran.stderr, &bytes);
}

#[test]
fn a_terminal_that_is_closed_loses_nothing() {
    let sandbox = Sandbox::new();
    let (mut person, program) = terminal();
    let script = format!("echo running; read x; {}", cat(JSON));
    let mut command = sandbox.command(["record", "--", "/bin/sh", "-c", &script]);
    command
        .stdin(Stdio::piped())
        .stdout(program)
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = [0; 9];
    person.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"running\r\n");
    drop(person);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_stored(&sandbox, JSON);
    assert!(saved(&sandbox).is_empty());
}

/// Whatever ends us, what came so far is in a file with a name.
#[test]
fn a_kill_leaves_the_output() {
    let sandbox = Sandbox::new();
    let script = format!("{}; echo running; exec sleep 60", cat(JSON));
    let (child, mut stdout) = start(&sandbox, &script);
    let seen = read_until(&mut stdout, "running");
    // The line passes on before it is written to the file: the one before it is there.
    kill_process_group(pid(&child), Signal::KILL).unwrap();
    assert_eq!(end(child, stdout).code, None);
    let files = saved(&sandbox);
    assert_eq!(files.len(), 1);
    assert!(seen.starts_with(&std::fs::read(&files[0]).unwrap()));
}

#[test]
fn where_nothing_can_be_written_the_output_is_saved_elsewhere() {
    if !Path::new("/proc/self").exists() {
        return;
    }
    let sandbox = Sandbox::new();
    let run = |folder: &Path| {
        let mut command = sandbox.command(["record", "--", "/bin/sh", "-c", "echo hello"]);
        command.current_dir("/proc").env("TMPDIR", folder);
        Ran::from(command.output().unwrap())
    };
    let ran = run(sandbox.path());
    assert_eq!(ran.code, Some(1));
    assert_saved(&sandbox, &ran.stderr, b"hello\n");
    // Nowhere: better found before the benchmark than after it.
    let ran = run(Path::new("/proc"));
    assert!(ran.failed().starts_with("/proc: "), "{}", ran.stderr);
    assert!(ran.stdout.is_empty());
}
