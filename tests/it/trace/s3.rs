//! `push`, `pull` and `record --to`, with a real server of S3: moto.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Work;
use super::made::Made;

/// A server with the bucket `agents`.
struct Moto {
    process: Child,
    /// Host and port.
    address: String,
}

const SECRET: &str = "wJalrXUtnFEMIsecretKEY";

impl Moto {
    /// Starts it; none, and loudly so, where it is not installed. With `LOCALSTORE_NEED_SERVERS=1` it must
    /// be, unless `LOCALSTORE_NO_MOTO=1` says that it cannot.
    fn start() -> Option<Self> {
        let program = folder().join("bin/moto_server");
        let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
        if !program.exists() {
            assert!(
                !is_set("LOCALSTORE_NEED_SERVERS") || is_set("LOCALSTORE_NO_MOTO"),
                "no moto: none in {}",
                folder().display()
            );
            let thread = std::thread::current();
            let name = thread.name().unwrap_or_default();
            // Only what is printed by macros is hidden while a test passes.
            let line = format!("NOT TESTED: no moto: {name}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        }
        let mut process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let running = lines
            .find_map(|line| Some(line.unwrap().split_once("Running on http://")?.1.to_owned()))
            .expect("it says where it runs");
        // What it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let address = running.trim().to_owned();
        let moto = Self { process, address };
        assert!(moto.ask("PUT", "/agents").starts_with("HTTP/1.1 200"));
        Some(moto)
    }

    /// The answer to a request without a body. It looks at no signature, but wants one.
    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=x/20250101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=x\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A place to work that knows the server.
    fn work(&self) -> Work {
        let mut work = Work::new();
        for (name, value) in [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
        ] {
            work.sandbox_mut().set(name, value);
        }
        work
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A virtual environment: `LOCALSTORE_MOTO`, else in the target folder.
fn folder() -> PathBuf {
    let named = std::env::var_os("LOCALSTORE_MOTO").filter(|folder| !folder.is_empty());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    named.map_or_else(|| target.join("moto"), PathBuf::from)
}

fn made<'a>(work: &'a Work, id: &'static str) -> Made<'a> {
    work.write("a", "1");
    let mut made = Made::begin(work, id);
    made.turn("do").part("text", "first");
    work.write("a", "2");
    made.part("patch", "second").end("completed");
    made
}

#[test]
fn what_was_pushed_is_pulled_elsewhere() {
    let Some(moto) = Moto::start() else { return };
    let (work, other) = (moto.work(), moto.work());
    made(&work, "there");
    let text = work.run(&["push", "there", "s3://agents/nightly/"]).text();
    assert_eq!(
        text,
        "TRACE_S3_URI: s3://agents/nightly/trajectories/there/agent_trace.json\n\
         BUNDLE_S3_URI: s3://agents/nightly/trajectories/there/repo.bundle\n"
    );
    let trace = moto.ask("GET", "/agents/nightly/trajectories/there/agent_trace.json");
    let there = fs::read_to_string(work.folder("there").join("agent_trace.json")).unwrap();
    assert!(trace.ends_with(&there), "{trace}");

    other.run(&["pull", "there", "s3://agents/nightly"]).ok();
    other.run(&["verify", "there"]).ok();
    let bundle = |work: &Work| fs::read(work.folder("there").join("repo.bundle")).unwrap();
    assert_eq!(bundle(&other), bundle(&work));
    // Once more is no error.
    other.run(&["pull", "there", "s3://agents/nightly"]).ok();
}

#[test]
fn what_is_not_there_or_damaged_is_not_taken() {
    let Some(moto) = Moto::start() else { return };
    let work = moto.work();
    let mut made = made(&work, "there");
    let error = work.run(&["pull", "there", "s3://agents"]).failed();
    assert_eq!(
        error,
        "s3://agents/trajectories/there/agent_trace.json: no such object"
    );
    let error = work.run(&["push", "there", "s3://nowhere"]).failed();
    assert_eq!(
        error,
        "s3://nowhere/trajectories/there/repo.bundle: the server answered 404 NoSuchBucket"
    );
    // One with something wrong is not sent.
    made.trace["parts"][1]["part"] = 7.into();
    made.save();
    let error = work.run(&["push", "there", "s3://agents"]).failed();
    assert!(error.contains("$.parts[1].part: 7"), "{error}");
    made.trace["parts"][1]["part"] = 2.into();
    made.save();
    work.run(&["push", "there", "s3://agents"]).ok();
    work.run(&["rm", "-y", "there"]).ok();
    moto.ask("DELETE", "/agents/trajectories/there/repo.bundle");
    let error = work.run(&["pull", "there", "s3://agents"]).failed();
    assert_eq!(
        error,
        "s3://agents/trajectories/there/repo.bundle: no such file"
    );
    assert!(!work.folder("there").exists());
}

#[test]
fn a_recorder_sends_both_files_while_the_agent_works() {
    let Some(moto) = Moto::start() else { return };
    let work = moto.work();
    work.write("a", "1");
    // The agent ends when its first change is in the bucket.
    let script = work.sandbox().file(
        "agent",
        format!(
            "echo x > b\n\
             echo '{{\"event\":\"part.completed\",\"part_type\":\"patch\",\"summary\":\"b\"}}'\n\
             for i in $(seq 300); do\n\
               export LOCALSTORE_TRACES=../seen/$i\n\
               {program} trace pull sent s3://agents >&2 && {program} trace checkout sent --part 1 \
                 --dest ../seen/code >&2 && exit 0\n\
               sleep 0.1\n\
             done\n\
             exit 9\n",
            program = assert_cmd::cargo::cargo_bin!("localstore").display()
        ),
    );
    let ran = work.run(&[
        "record",
        "--id",
        "sent",
        "--to",
        "s3://agents",
        "--",
        "sh",
        script.to_str().unwrap(),
    ]);
    ran.ok();
    assert!(
        ran.stderr.contains(
            "TRACE_S3_URI: s3://agents/trajectories/sent/agent_trace.json\n\
             BUNDLE_S3_URI: s3://agents/trajectories/sent/repo.bundle\n"
        ),
        "{}",
        ran.stderr
    );
    assert!(work.sandbox().path().join("seen/code/b").exists());
    let other = moto.work();
    other.run(&["pull", "sent", "s3://agents"]).ok();
    assert_eq!(other.trace("sent")["session_end"]["reason"], "completed");
    other.run(&["verify", "sent"]).ok();
}

#[test]
fn a_failed_upload_is_told_and_stops_nothing() {
    let mut work = Work::new();
    work.write("a", "1");
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ] {
        work.sandbox_mut().set(name, value);
    }
    let lines = work.sandbox().file(
        "lines",
        "{\"event\":\"part.completed\",\"part_type\":\"text\",\"summary\":\"x\"}\n",
    );
    let lines = lines.to_str().unwrap();
    let args = [
        "record",
        "--id",
        "kept",
        "--to",
        "s3://agents",
        "-vvv",
        "--",
        "cat",
        lines,
    ];
    let ran = work.run(&args);
    ran.ok();
    let told = "s3://agents/trajectories/kept/repo.bundle: no connection";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    for secret in [SECRET, "X-Amz-Signature", "AKIAIOSFODNN7EXAMPLE"] {
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
    work.run(&["verify", "kept"]).ok();
}

/// The server takes no byte until the agent has seen all of its commits in the bundle.
#[test]
fn a_slow_server_does_not_hold_up_the_bundle() {
    let mut work = Work::new();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let done = work.sandbox().path().join("done");
    let seen = done.clone();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in server.incoming() {
            held.push(connection);
            while !seen.exists() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            held.clear();
        }
    });
    for (name, value) in [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
    ] {
        work.sandbox_mut().set(name, value);
    }
    let script = format!(
        "for part in 1 2 3; do\n\
           echo $part > a; echo '{{\"event\":\"part.completed\",\"part_type\":\"patch\"}}'; seen=\n\
           for i in $(seq 300); do\n\
             seen=$(git bundle list-heads '{bundle}' HEAD 2>/dev/null)\n\
             [ -n \"$seen\" ] && [ \"$seen\" != \"$last\" ] && break; seen=; sleep 0.1\n\
           done\n\
           last=$seen; [ -n \"$last\" ] || break\n\
         done\n\
         touch '{done}'; [ -n \"$last\" ]",
        bundle = work.folder("t").join("repo.bundle").display(),
        done = done.display(),
    );
    let ran = work.record("t", &["--to", "s3://agents"], &script);
    assert!(
        ran.stderr
            .contains("s3://agents/trajectories/t/repo.bundle: ")
    );
    ran.ok();
}

#[test]
fn without_keys_nothing_begins() {
    let work = Work::new();
    work.write("a", "1");
    made(&work, "there");
    for args in [
        &["push", "there", "s3://agents"][..],
        &["pull", "other", "s3://agents"],
        &["record", "--id", "new", "--to", "s3://agents", "--", "true"],
    ] {
        let error = work.run(args).failed();
        assert_eq!(error, "AWS_ACCESS_KEY_ID: not set");
    }
    assert!(!work.folder("new").exists() && !work.folder("other").exists());
    for address in ["agents", "s3://", "http://x"] {
        let error = work.run(&["push", "there", address]).failed();
        assert!(error.starts_with("invalid parameter for: "), "{error}");
    }
}
