//! What the files survive: kills, many writers, others that write too, no room, odd files in their place.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Project;
use super::judge::Judge;
use crate::random::{Random, seed};
use crate::sandbox::Ran;
use crate::torture::rounds;

const NAME: &str = "demo/welcome@stable";
const FILE: &str = "demo/welcome/stable";

/// The hash of the empty text: what it replaces does not matter here.
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `set` of a section, from a file.
fn set(section: &str, file: &str) -> String {
    format!("set {NAME} --section {section} --hash {HASH} --format 1 {file}")
}

fn start(project: &Project, line: &str) -> Child {
    let args = ["prompt"].into_iter().chain(line.split_whitespace());
    let mut command = project.sandbox().command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> Ran {
    Ran::from(child.wait_with_output().unwrap())
}

fn record(project: &Project) -> Value {
    let bytes = fs::read(project.record(FILE)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What is in the folder of the record.
fn names(project: &Project) -> BTreeSet<String> {
    let folder = project.record(FILE).parent().unwrap().to_owned();
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_killed_write_leaves_the_old_file_or_the_new_one() {
    let project = Project::new();
    let bodies = ["old", "new"].map(|word| word.repeat(300_000));
    for (name, body) in ["old.txt", "new.txt"].iter().zip(&bodies) {
        project.write(name, body);
    }
    let begin = Instant::now();
    project.run(&set("s", "old.txt")).ok();
    let mut longest = begin.elapsed();
    let old = fs::read(project.record(FILE)).unwrap();
    project.run(&set("s", "new.txt")).ok();
    let new = fs::read(project.record(FILE)).unwrap();
    let rounds = rounds(12);
    let (mut in_time, mut left, mut swept) = (0, 0, 0);
    for round in 0..rounds {
        let mut random = Random::new(seed(), round as u64);
        let file = ["old.txt", "new.txt"][random.below(2)];
        let micros = usize::try_from(longest.as_micros()).unwrap();
        let moment = Duration::from_micros(random.below(micros + 1) as u64);
        let begin = Instant::now();
        let mut child = start(&project, &set("s", file));
        std::thread::sleep(moment.saturating_sub(begin.elapsed()));
        child.kill().unwrap();
        if end(child).code == Some(0) {
            longest = longest.mul_f64(0.95);
        } else {
            in_time += 1;
        }
        let there = fs::read(project.record(FILE)).unwrap();
        assert!(there == old || there == new, "{} bytes", there.len());
        let leftovers = names(&project).len() - 1;
        left += leftovers;
        // They are no records for any command.
        assert_eq!(project.run("list -o jsonl").text().lines().count(), 1);
        project.run("check").ok();
        // What is in the way of nothing stays until somebody writes.
        assert_eq!(names(&project).len() - 1, leftovers);
        project
            .run(&set("t", ["old.txt", "new.txt"][round % 2]))
            .ok();
        assert_eq!(names(&project), BTreeSet::from(["stable.json".to_owned()]));
        swept += leftovers;
        project.run(&format!("rm -y {NAME} --section t")).ok();
    }
    assert!(in_time > 0 && left == swept);
    crate::report(&format!(
        "| kill -9 in prompt set | {rounds}, {in_time} before its end | old or new, {left} leftovers swept |"
    ));
}

#[test]
fn a_leftover_is_swept_and_other_files_are_not() {
    let project = Project::new();
    project.write("body", "x");
    project.run(&set("s", "body")).ok();
    let folder = project.record(FILE).parent().unwrap().to_owned();
    let others = [
        ".stable.json.swp",
        ".gitkeep",
        "notes.tmp",
        ".x.json.ab.tmp",
        "stable.json~",
    ];
    for name in others
        .iter()
        .chain(&[".stable.json.Ab1xYz.tmp", ".other.json.000000.tmp"])
    {
        project.write(folder.join(name), "{");
    }
    let listed = project.run("list -o jsonl").text();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    project.run(&set("t", "body")).ok();
    let mut expected: BTreeSet<String> = others.iter().map(|&name| name.to_owned()).collect();
    expected.insert("stable.json".to_owned());
    assert_eq!(names(&project), expected);
}

#[test]
fn sixteen_writers_of_sixteen_sections_lose_none() {
    let rounds = rounds(2);
    for _ in 0..rounds {
        let project = Project::new();
        for index in 0..16 {
            project.write(format!("body{index}"), format!("text {index}"));
        }
        // The folder is not there yet.
        let line = |index| set(&format!("s{index}/x"), &format!("body{index}"));
        let writers: Vec<Child> = (0..16).map(|index| start(&project, &line(index))).collect();
        for writer in writers {
            end(writer).ok();
        }
        let record = record(&project);
        for index in 0..16 {
            let body = &record["sections"][format!("s{index}/x")]["body"];
            assert_eq!(*body, json!(format!("text {index}")));
        }
        assert_eq!(names(&project).len(), 1);
    }
    crate::report(&format!(
        "| 16 processes of prompt set, a section each | {rounds} rounds | none lost |"
    ));
}

/// The section that others write, and the text of their last write.
const THEIRS: &str = "theirs";

/// What others write while four of our processes write is not lost. `others` write until they have
/// written what they return.
fn assert_others_lose_nothing(what: &str, mut others: impl FnMut(&Project) -> String) {
    let rounds = rounds(6);
    let (mut lost, mut refused) = (0, 0);
    for _ in 0..rounds {
        let project = Project::new();
        project.write("body", "ours");
        project.write("other", "ours too");
        project.run(&set(THEIRS, "body")).ok();
        let is_ended = AtomicBool::new(false);
        let last = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (project, is_ended) = (&project, &is_ended);
                    scope.spawn(move || {
                        let mut refused = 0;
                        let mut index = 0;
                        while !is_ended.load(Ordering::SeqCst) {
                            let file = ["body", "other"][index % 2];
                            let line = set(&format!("w{writer}"), file);
                            let ran = project.run(&line);
                            if ran.code != Some(0) {
                                let message = ran.failed();
                                assert!(message.contains("others changed it"), "{message}");
                                refused += 1;
                            }
                            index += 1;
                        }
                        refused
                    })
                })
                .collect();
            let last = others(&project);
            // Who was about to write then does so before the others are looked for.
            std::thread::sleep(Duration::from_millis(20));
            is_ended.store(true, Ordering::SeqCst);
            refused += writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .sum::<usize>();
            last
        });
        lost += usize::from(record(&project)["sections"][THEIRS]["body"] != json!(last));
        // And what is written now stays.
        project.run(&set("after", "body")).ok();
        assert_eq!(record(&project)["sections"]["after"]["body"], json!("ours"));
    }
    // Elsewhere a moment is left between our last look and the rename.
    if cfg!(any(target_os = "linux", target_vendor = "apple")) {
        assert_eq!(lost, 0, "of {rounds}");
    }
    crate::report(&format!(
        "| prompt set beside {what} | {rounds} | {lost} lost, {refused} refused |"
    ));
}

#[test]
fn what_an_editor_writes_meanwhile_stays() {
    assert_others_lose_nothing("an editor", |project| {
        let file = project.record(FILE);
        let mut last = String::new();
        for index in 0..60 {
            // As editors do: a new file beside the old one, that takes its place.
            let mut record = record(project);
            last = format!("edited {index}");
            record["sections"][THEIRS]["body"] = json!(last);
            let beside = file.with_file_name("beside");
            project.write(&beside, record.to_string());
            fs::rename(&beside, &file).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        last
    });
}

#[test]
fn what_the_library_writes_meanwhile_stays() {
    let Some([mut judge, _]) = Judge::both() else {
        return;
    };
    let section = json!({"key": THEIRS, "body": "", "params": [], "tools": [], "sections": []});
    judge.make(&json!({"ns": "demo", "prompt_key": "welcome", "sections": [section]}));
    assert_others_lose_nothing("the library", |project| {
        let times = 60;
        judge.begin(&json!({
            "op": "loop", "root": project.root(), "tag": "stable", "path": [THEIRS], "body": "theirs ",
            "times": times,
        }));
        judge.answer().unwrap();
        format!("theirs {}", times - 1)
    });
}

#[test]
fn a_reader_sees_whole_files_only() {
    let project = Project::new();
    for (name, word) in [("a.txt", "a"), ("b.txt", "bb")] {
        project.write(name, word.repeat(500_000));
    }
    project.run(&set("s", "a.txt")).ok();
    let file = project.record(FILE);
    let is_ended = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !is_ended.load(Ordering::SeqCst) {
                let bytes = fs::read(&file).expect("it is there at any moment");
                let record: Value = serde_json::from_slice(&bytes).expect("it is whole");
                let body = record["sections"]["s"]["body"].as_str().unwrap();
                assert!([500_000, 1_000_000].contains(&body.len()));
                seen.insert(body.len());
            }
            seen
        });
        for index in 0..rounds(12) {
            project.run(&set("s", ["b.txt", "a.txt"][index % 2])).ok();
        }
        is_ended.store(true, Ordering::SeqCst);
        reader.join().unwrap()
    });
    assert_eq!(seen.len(), 2);
}

/// `rm` takes the folder away in which `set` is about to write.
#[test]
fn a_record_may_be_removed_while_it_is_written() {
    let project = Project::new();
    project.write("body", "x");
    for _ in 0..rounds(6) {
        let lines = (0..8).map(|index| match index % 2 {
            0 => set("s", "body"),
            _ => format!("rm -y {NAME}"),
        });
        let children: Vec<Child> = lines.map(|line| start(&project, &line)).collect();
        for child in children {
            end(child).ok();
        }
        if project.record(FILE).exists() {
            assert_eq!(record(&project)["sections"]["s"]["body"], json!("x"));
        }
        project.run(&format!("rm -y {NAME}")).ok();
        let folder = project.root().join(".weakincentives/prompts/overrides");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    }
}

#[test]
fn a_body_comes_back_byte_for_byte() {
    let project = Project::new();
    let long = "Grüße 😀 \"\\\r\n".repeat(10 << 16);
    for body in [
        "",
        "\n",
        "no newline",
        "one\r\ntwo\rthree\n\n",
        "\u{feff}mark",
        "a\u{0}b\u{7f}\u{85}\u{2028}",
        "😀 👩\u{200d}🚀 e\u{301} \u{10ffff}",
        "  kept  \t",
        "</script>\u{1b}[31m",
        "null",
        &long,
    ] {
        let ran = project.run_with_input(&set("s/t", "-"), body.as_bytes());
        ran.ok();
        assert!(!ran.stderr.contains('\u{1b}'));
        let shown = project.run(&format!("show {NAME} --section s/t")).ok();
        assert!(
            shown == body.as_bytes(),
            "{:?}",
            &body[..body.len().min(30)]
        );
        let bytes = fs::read(project.record(FILE)).unwrap();
        assert!(
            bytes
                .iter()
                .all(|&byte| byte == b'\n' || (b' '..=b'~').contains(&byte))
        );
    }
    let before = fs::read(project.record(FILE)).unwrap();
    for body in [&b"\xff"[..], b"\xed\xa0\xbd", b"\xc3", b"H\0i\0\xff\xfe"] {
        let ran = project.run_with_input(&set("s/t", "-"), body);
        assert!(ran.failed().contains("UTF-8"), "{}", ran.stderr);
    }
    assert!(fs::read(project.record(FILE)).unwrap() == before);
}

/// Half of a pair of surrogates is no text: nothing is written over it, and `rm` does away with it.
#[test]
fn a_lone_surrogate_is_an_error_with_its_place() {
    let project = Project::new();
    project.write("body", "x");
    project.run(&set("s", "body")).ok();
    let text = fs::read_to_string(project.record(FILE)).unwrap();
    let broken = text.replace("\"x\"", "\"\\ud83d x\"");
    project.write(project.record(FILE), &broken);
    for line in [
        set("t", "body"),
        format!("show {NAME}"),
        format!("accept {NAME} --section s"),
    ] {
        let ran = project.run(&line);
        assert_eq!(ran.text(), "");
        ran.failed();
    }
    let message = project.run(&set("t", "body")).failed();
    assert!(message.contains("stable.json: malformed: "), "{message}");
    assert!(message.contains("line 6 column "), "{message}");
    assert_eq!(fs::read_to_string(project.record(FILE)).unwrap(), broken);
    let found = project.run("check");
    assert_eq!((found.code, found.text().lines().count()), (Some(1), 1));
    project.run(&format!("rm -y {NAME}")).ok();
    assert!(!project.record(FILE).exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::torture::{limited, without_privileges};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn without_room_the_old_file_stays_and_nothing_is_left() {
        let project = Project::new();
        project.write("short", "x");
        project.write("long", "y".repeat(40_000));
        project.run(&set("s", "short")).ok();
        let before = fs::read(project.record(FILE)).unwrap();
        for blocks in [0, 1, 20, 70] {
            for line in [
                set("s", "long"),
                set("new", "long"),
                set("new", "long").replace("welcome", "other"),
            ] {
                let ran = limited(project.sandbox(), blocks, &format!("prompt {line}"));
                assert!(!ran.failed().is_empty(), "{line}");
                assert_eq!(ran.text(), "");
            }
            assert!(fs::read(project.record(FILE)).unwrap() == before);
            assert_eq!(names(&project).len(), 1);
            // Nor is the folder that was made for it.
            let other = project.record("demo/other/stable");
            assert!(!other.parent().unwrap().exists());
            assert_eq!(project.run("list -o jsonl").text().lines().count(), 1);
        }
        let ran = limited(
            project.sandbox(),
            200,
            &format!("prompt {}", set("s", "long")),
        );
        ran.ok();
    }

    #[test]
    fn a_new_file_is_for_the_team_and_an_old_one_keeps_its_mode() {
        let project = Project::new();
        project.write("body", "x");
        project.write("other", "y");
        let program = project.sandbox().command([] as [&str; 0]);
        for (umask, file, folder) in [
            ("022", 0o644, 0o755),
            ("027", 0o640, 0o750),
            ("0", 0o666, 0o777),
        ] {
            let script = format!("umask {umask}; exec \"$0\" prompt {}", set("s", "body"));
            let mut shell = Command::new("sh");
            let ran = shell
                .args(["-c".as_ref(), script.as_ref(), program.get_program()])
                .current_dir(project.root())
                .output()
                .unwrap();
            Ran::from(ran).ok();
            let record = project.record(FILE);
            assert_eq!(mode(&record), file, "{umask}");
            assert_eq!(mode(record.parent().unwrap()), folder, "{umask}");
            for odd in [0o600, 0o444, 0o755, 0o4644] {
                set_mode(&record, odd);
                project.run(&set("s", "other")).ok();
                assert_eq!(mode(&record), odd, "{odd:o}");
                project.run(&set("s", "body")).ok();
                assert_eq!(mode(&record), odd, "{odd:o}");
            }
            project.run(&format!("rm -y {NAME}")).ok();
        }
    }

    /// Root, as in a container, may give it back; elsewhere it is the caller's anyway.
    #[test]
    fn a_file_stays_with_its_owner() {
        let project = Project::new();
        project.write("body", "x");
        project.run(&set("s", "body")).ok();
        let file = project.record(FILE);
        let _ = std::os::unix::fs::chown(&file, Some(1), Some(2));
        let owner = || {
            let metadata = fs::metadata(&file).unwrap();
            (metadata.uid(), metadata.gid())
        };
        let before = owner();
        project.run(&set("t", "body")).ok();
        assert_eq!(owner(), before);
    }

    #[test]
    fn where_nothing_may_be_written_reading_works() {
        let project = Project::new();
        project.write("body", "x");
        project.run(&set("s", "body")).ok();
        let before = fs::read(project.record(FILE)).unwrap();
        let record = project.record(FILE);
        let folders: Vec<&Path> = record
            .ancestors()
            .skip(1)
            .take_while(|&folder| folder != project.root())
            .collect();
        let run = |line: &str| {
            let args: Vec<&str> = ["prompt"].into_iter().chain(line.split(' ')).collect();
            let command = without_privileges(project.sandbox(), &args);
            command.map(|mut command| Ran::from(command.output().unwrap()))
        };
        for folder in &folders {
            set_mode(folder, 0o555);
        }
        let lines = [
            "list".to_owned(),
            "check".to_owned(),
            format!("show {NAME} --section s"),
            format!("path {NAME}"),
            "show --all -o jsonl".to_owned(),
            // What would change nothing writes nothing.
            set("s", "body"),
        ];
        for line in lines {
            if let Some(ran) = run(&line) {
                ran.ok();
            }
        }
        for line in [
            set("t", "body"),
            set("s", "body").replace("welcome", "other"),
            format!("rm -y {NAME}"),
            "convert --to 2".to_owned(),
        ] {
            if let Some(ran) = run(&line) {
                let message = ran.failed().to_lowercase();
                assert!(message.contains("permission denied"), "{line}: {message}");
                assert_eq!(ran.text(), "");
            }
        }
        for folder in &folders {
            set_mode(folder, 0o755);
        }
        assert!(fs::read(&record).unwrap() == before);
        // A file that may not be read is named.
        set_mode(&record, 0o000);
        set_mode(record.parent().unwrap(), 0o777);
        for line in [format!("show {NAME}"), set("t", "body")] {
            if let Some(ran) = run(&line) {
                let message = ran.failed().to_lowercase();
                assert!(
                    message.contains("stable.json: permission denied"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let project = Project::new();
        project.write("body", "x");
        project.run(&set("s", "body")).ok();
        let file = project.record(FILE);
        let folder = file.parent().unwrap();
        // A file elsewhere, by an absolute link to a relative one.
        let elsewhere = project.root().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&file, elsewhere.join("real.json")).unwrap();
        symlink("real.json", elsewhere.join("link.json")).unwrap();
        symlink(elsewhere.join("link.json"), &file).unwrap();
        project.run(&set("t", "body")).ok();
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
        assert!(
            fs::symlink_metadata(elsewhere.join("real.json"))
                .unwrap()
                .is_file()
        );
        assert_eq!(record(&project)["sections"]["t"]["body"], json!("x"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 2);
        assert_eq!(names(&project).len(), 1);
        // `rm` takes the link.
        project.run(&format!("rm -y {NAME}")).ok();
        assert!(!folder.exists() && elsewhere.join("real.json").exists());
        // To a file that is not there yet, of a name that leaves no room for a longer one.
        fs::create_dir_all(folder).unwrap();
        let long = elsewhere.join("n".repeat(255));
        symlink(&long, &file).unwrap();
        project.run(&set("s", "body")).ok();
        assert!(long.is_file());
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
        // To a folder that is not there.
        fs::remove_file(&file).unwrap();
        symlink(elsewhere.join("no/such/file"), &file).unwrap();
        project.run(&set("s", "body")).failed();
        assert!(!elsewhere.join("no").exists());
        project.run(&format!("rm -y {NAME}")).ok();
        assert!(!folder.exists());
    }

    #[test]
    fn links_in_a_circle_end_with_an_error() {
        let project = Project::new();
        project.write("body", "x");
        let file = project.record(FILE);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        symlink("other.json", &file).unwrap();
        symlink("stable.json", file.with_file_name("other.json")).unwrap();
        // And a folder that leads back to the one above it.
        symlink("..", file.with_file_name("up")).unwrap();
        for line in [set("s", "body"), format!("show {NAME}")] {
            assert!(project.run(&line).failed().contains("stable.json"));
        }
        let listed = project.run("list");
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        assert_eq!(project.run("check").code, Some(1));
        project.run(&format!("rm -y {NAME}")).ok();
        assert!(fs::symlink_metadata(&file).is_err());
    }

    /// Two names of one file are locked once, and neither becomes a file of its own.
    #[test]
    fn two_names_of_one_file_are_one() {
        let project = Project::new();
        project.write("body", "x");
        let file = project.record(FILE);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        symlink("stable.json", file.with_file_name("also.json")).unwrap();
        let lines = (0..8).map(|index| {
            let line = set(&format!("s{index}"), "body");
            // The header names one of the two: the other is refused.
            line
        });
        let children: Vec<Child> = lines.map(|line| start(&project, &line)).collect();
        for child in children {
            end(child).ok();
        }
        assert_eq!(record(&project)["sections"].as_object().unwrap().len(), 8);
        let message = project
            .run(&set("s", "body").replace("@stable", "@also"))
            .failed();
        assert!(message.contains("also.json: header: "), "{message}");
        assert_eq!(names(&project).len(), 2);
    }

    #[test]
    fn the_overrides_folder_may_be_a_link() {
        let project = Project::new();
        project.write("body", "x");
        let real = project.root().join("real");
        fs::create_dir(&real).unwrap();
        fs::create_dir_all(project.root().join(".weakincentives/prompts")).unwrap();
        symlink(
            &real,
            project.root().join(".weakincentives/prompts/overrides"),
        )
        .unwrap();
        project.run(&set("s", "body")).ok();
        assert!(real.join("demo/welcome/stable.json").is_file());
        assert_eq!(project.run("list -o jsonl").text().lines().count(), 1);
        project.run(&format!("rm -y {NAME}")).ok();
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
    }

    /// A pipe would be waited for for ever.
    #[test]
    fn what_is_no_file_is_an_error_and_never_waited_for() {
        let make: [fn(&Path); 2] = [
            |path| fs::create_dir(path).unwrap(),
            |path| {
                let made = Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            },
        ];
        for make in make {
            let project = Project::new();
            project.write("body", "x");
            let file = project.record(FILE);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            make(&file);
            for line in [
                set("s", "body"),
                format!("show {NAME}"),
                format!("copy {NAME} @other"),
            ] {
                let message = project.run(&line).failed();
                assert!(
                    message.contains("stable.json: not a file"),
                    "{line}: {message}"
                );
            }
            assert_eq!(names(&project).len(), 1);
            assert_eq!(project.run("list").code, Some(0));
            project.run("check");
        }
    }
}
