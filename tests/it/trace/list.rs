use serde_json::Value;

use super::Work;
use super::made::Made;

#[test]
fn the_newest_comes_first_and_what_is_damaged_stops_nothing() {
    let work = Work::new();
    work.write("a", "1");
    let mut old = Made::begin(&work, "old");
    old.turn("do it").part("text", "said").end("completed");
    let mut new = Made::begin(&work, "0192aaaa-0000-7000-8000-000000000001");
    new.trace["started_at"] = "2025-10-10T08:00:00+00:00".into();
    new.turn("again").part("reasoning", "thought").end("solved");
    let mut cut_off = Made::begin(&work, "0192aaaa-0000-7000-8000-000000000002");
    cut_off.trace["started_at"] = "2025-10-08T08:00:00+00:00".into();
    cut_off.save();
    for (id, content) in [("empty", "{"), ("other", "[1]")] {
        std::fs::create_dir_all(work.folder(id)).unwrap();
        std::fs::write(work.folder(id).join("agent_trace.json"), content).unwrap();
    }
    std::fs::create_dir_all(work.folder("nothing")).unwrap();
    std::fs::create_dir_all(work.folder(".hidden")).unwrap();

    let ran = work.run(&["list", "-o", "jsonl"]);
    let rows: Vec<Value> = String::from_utf8(ran.ok())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ends: Vec<_> = rows
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["end"].as_str().unwrap()))
        .collect();
    assert_eq!(
        ends,
        [
            (new.id, "solved"),
            ("old", "completed"),
            (cut_off.id, "unfinished"),
            ("other", "damaged"),
            ("nothing", "damaged"),
            ("empty", "damaged"),
        ]
    );
    assert_eq!(rows[0]["commits"], 1);
    assert!(
        rows[3]["error"]
            .as_str()
            .unwrap()
            .contains("$: an object is expected")
    );
    for format in ["csv", "json", "md", "table"] {
        work.run(&["list", "-o", format]).ok();
    }
    // An empty folder has nothing to list, and that is no error.
    std::fs::remove_dir_all(work.sandbox().path().join("traces")).unwrap();
    let ran = work.run(&["list"]);
    assert!(ran.ok().is_empty() && ran.stderr.contains("no trajectories in"));
}

/// Reading a pipe would wait for ever, and a device might have no end.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "made");
    made.turn("do").part("patch", "a").end("completed");
    work.run(&["export", "made", "../from"]).ok();
    for name in [
        "agent_trace.json",
        "repo.bundle",
        "recorder.lock",
        "eval.json",
        "events.jsonl",
    ] {
        let pipe = work.folder("made").join(name);
        let _ = std::fs::remove_file(&pipe);
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
    }
    assert!(work.run(&["list"]).text().contains("damaged"));
    let file = work.folder("made").join("agent_trace.json");
    let told = format!("{}: is not a file\n1 problem\n", file.display());
    assert_eq!(work.run(&["verify", "made"]).text(), told);
    let dir = work.folder("made");
    let error = work.run(&["import", dir.to_str().unwrap()]).failed();
    assert!(error.ends_with("is not a file"), "{error}");
    let from = work.sandbox().path().join("from/agent_trace.json");
    std::fs::copy(from, dir.join("other.json")).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(dir.join("other.json"), &file).unwrap();
    for words in [
        &["analyze", "made"][..],
        &["show", "made", "--part", "1"],
        &["verify", "made"],
    ] {
        let _ = work.run(words);
    }
    let dest = work.sandbox().path().join("dest");
    let dest = dest.to_str().unwrap();
    let error = work
        .run(&["checkout", "made", "--part", "1", "--dest", dest])
        .failed();
    assert!(error.ends_with("is not a file"), "{error}");
}

#[test]
fn one_that_holds_its_lock_is_running() {
    let work = Work::new();
    work.write("a", "1");
    let mut made = Made::begin(&work, "held");
    made.part("text", "said").save();
    let lock = std::fs::File::create(work.folder("held").join("recorder.lock")).unwrap();
    lock.lock().unwrap();
    assert!(work.run(&["list"]).text().contains("running"));
    assert!(
        work.run(&["show", "held"])
            .text()
            .starts_with("held: running: 1 part,")
    );
    drop(lock);
    assert!(work.run(&["list"]).text().contains("unfinished"));
}

#[test]
fn a_narrow_screen_shows_unique_beginnings_that_find_their_trajectories() {
    let mut work = Work::new();
    work.write("a", "1");
    let ids = [
        "0192aaaa-0001-7000-8000-000000000001",
        "0192aaaa-0001-7abc-8000-000000000002",
        "0192bbbb-0000-7000-8000-000000000001",
    ];
    for id in ids {
        Made::begin(&work, id).part("text", "said").end("completed");
    }
    work.sandbox_mut().set("COLUMNS", "80");
    let ran = work.run(&["list"]);
    let table = String::from_utf8(ran.ok()).unwrap();
    for line in table.lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line}");
        let id = line.split_whitespace().next().unwrap();
        let whole = ids.iter().find(|whole| whole.starts_with(id)).unwrap();
        assert!(work.run(&["show", id]).text().starts_with(*whole), "{id}");
    }
    assert!(table.contains("0192bbbb-000  "), "{table}");
}
