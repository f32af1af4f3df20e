//! The report in Chromium: what a person would see of it.
//!
//! Skipped where there is no Chromium, unless `LOCALSTORE_REQUIRE_CHROMIUM` is set.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, days, store};
use crate::sandbox::Sandbox;

/// How long Chromium may take.
const PATIENCE: Duration = Duration::from_mins(2);

const HOSTILE: &str = "</title></style><script>document.title='x'</script><img src=x \
onerror=\"document.title='x'\"><b>bold</b> &lt; \u{1b}[2J\u{202e} WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW";

/// The program; `None` if it is not here and need not be.
fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LOCALSTORE_CHROMIUM") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file());
    assert!(
        found.is_some() || std::env::var_os("LOCALSTORE_REQUIRE_CHROMIUM").is_none(),
        "there is no chromium on PATH"
    );
    if found.is_none() {
        // Not println!, which the test harness would keep to itself.
        let line = "skipped: there is no chromium on PATH; LOCALSTORE_CHROMIUM names one\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// Has Chromium do something with a page; gives what it prints.
fn run(chromium: &Path, sandbox: &Sandbox, page: &str, options: &[String]) -> String {
    // A pipe that nobody reads would stop it.
    let (out, err) = (sandbox.path().join("dom"), sandbox.path().join("stderr"));
    let profile = tempfile::tempdir_in(sandbox.path()).unwrap();
    let mut child = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--window-size=1400,900",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}/{page}", sandbox.path().display()))
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("chromium: {}", std::fs::read_to_string(err).unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::read_to_string(out).unwrap()
}

/// What the script of `browser.html` found in the page, as a phone and as a wide window show it, with
/// everything open or as it is, and in the pictures.
fn look(chromium: &Path, sandbox: &Sandbox, dark: bool, open: bool) -> Vec<Value> {
    sandbox.file("look.html", include_str!("browser.html"));
    let page = if open { "look.html?open" } else { "look.html" };
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
    let patience = "--virtual-time-budget=10000".to_owned();
    let dom = run(
        chromium,
        sandbox,
        page,
        &["--dump-dom".to_owned(), patience, scheme],
    );
    let found = dom.split_once("<pre id=\"found\">").unwrap().1;
    let found = found.split_once("</pre>").unwrap().0;
    serde_json::from_str(found).unwrap_or_else(|error| panic!("{error}: {found}"))
}

/// A folder with a store, its report and pictures, and with hostile names in all of them.
fn made_up() -> Sandbox {
    let mut benches = days(1..=12);
    for bench in &mut benches[6..] {
        bench.speed = 0.8;
        bench.version = HOSTILE;
    }
    benches.push(Bench {
        model: HOSTILE,
        quant: HOSTILE,
        accelerator: HOSTILE,
        day: 20,
        ..Bench::default()
    });
    let sandbox = store(&benches);
    sandbox.add([
        "golden/long-names.json",
        "golden/utf8-model.csv",
        "golden/single-test.json",
    ]);
    sandbox.run(["tag", "<i>tag</i>", "12"]).ok();
    for command in [
        "report --out report.html",
        "plot history 13 --out trend.svg",
        "plot compare 1 12 13 14 --out bars.svg",
        "plot context 1 13 14 15 --out lines.svg",
    ] {
        sandbox.run(command.split(' ')).ok();
    }
    sandbox
}

#[test]
fn the_page_is_seen_as_the_store_has_it() {
    let Some(chromium) = chromium() else {
        return;
    };
    let sandbox = made_up();
    let light = look(&chromium, &sandbox, false, true);
    let dark = &look(&chromium, &sandbox, true, true)[1];
    let closed = look(&chromium, &sandbox, false, false);
    let (narrow, wide) = (&light[0], &light[1]);

    for page in [narrow, wide, &closed[0], &closed[1]] {
        assert_eq!(page["title"], "LocalScore runs");
        assert_nothing(
            page,
            &["foreign", "handlers", "loaded", "doubled_ids", "dead_links"],
        );
        assert_eq!(page["width"], page["scroll_width"], "sideways scrolling");
        assert_eq!(page["background"], "rgb(255, 255, 255)");
    }
    assert_eq!(narrow["width"], 360);
    assert_eq!(wide["pictures"], 4, "one configuration has a trend");
    assert_eq!(dark["background"], "rgb(13, 17, 23)");
    assert_eq!(dark["paper"], "rgb(13, 17, 23)");
    for page in [wide, dark] {
        let lowest = page["contrast"].as_f64().unwrap();
        assert!(lowest >= 4.5, "contrast {lowest}");
    }
    for picture in &light {
        assert_nothing(picture, &["clipped", "overlapping"]);
    }
    for (page, open) in [(&light, true), (&closed, false)] {
        let smallest = page[0]["smallest_text"].as_f64().unwrap();
        assert!(smallest >= 11.0, "text of {smallest} px");
        for table in page[..2]
            .iter()
            .flat_map(|page| page["tables"].as_array().unwrap())
        {
            assert_eq!(table["is_cut"], table["has_cue"], "{table}");
            assert_eq!(table["moved"], Value::Array(Vec::new()), "{table}");
        }
        let cut = |page: &Value| {
            let tables = page["tables"].as_array().unwrap();
            tables
                .iter()
                .filter(|table| table["is_cut"] == true)
                .count()
        };
        assert!(cut(&page[0]) > 0, "open: {open}");
    }
    for picture in &light[2..] {
        assert_eq!(picture["pictures"], 1);
    }

    // The hostile model is there, word for word but for what no eye should meet.
    let printable = HOSTILE
        .replace('\u{1b}', "\\x1b")
        .replace('\u{202e}', "\\u{202e}");
    let hostile = format!("{printable}, {printable}, ");
    let headings = wide["headings"].as_array().unwrap();
    let is_hostile = |heading: &Value| heading.as_str().unwrap().starts_with(&hostile);
    assert!(headings.iter().any(is_hostile), "{headings:#?}");
    let seen = assert_runs_are_those_of_the_store(wide, &sandbox);
    assert_eq!(seen, (1..=16).collect(), "{seen:?}");
}

/// As many runs as a person measures in a year, of 18 configurations.
fn a_year() -> Sandbox {
    const MODELS: [&str; 18] = [
        "Llama 3.2 1B Instruct",
        "Meta Llama 3.1 8B Instruct",
        "Qwen2.5 14B Instruct",
        "DeepSeek R1 Distill Qwen 32B",
        "Gemma 3 27B It",
        "Mixtral 8x7B Instruct v0.1",
        "Phi 4 14B",
        "m8",
        "m9",
        "m10",
        "m11",
        "m12",
        "m13",
        "m14",
        "m15",
        "m16",
        "m17",
        "m18",
    ];
    let mut benches = Vec::new();
    for (index, model) in MODELS.into_iter().enumerate() {
        let runs = match index {
            0 => 27,
            1 => 8,
            2..9 => 3,
            _ => 1,
        };
        for day in 1..=runs {
            benches.push(Bench {
                model,
                day,
                speed: if day > 15 { 0.9 } else { 1.0 },
                accelerator: "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
                ..Bench::default()
            });
        }
    }
    store(&benches)
}

#[test]
fn a_year_is_printed_on_four_pages() {
    let Some(chromium) = chromium() else {
        return;
    };
    let sandbox = a_year();
    sandbox.run(["report", "report.html"]).ok();
    let pdf = sandbox.path().join("report.pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    run(&chromium, &sandbox, "report.html", &[print]);
    let pdf = std::fs::read(pdf).unwrap();
    let page = b"/Type /Page\n";
    let pages = pdf.windows(page.len()).filter(|part| part == page).count();
    assert!((2..=4).contains(&pages), "{pages} pages");
}

#[track_caller]
fn assert_nothing(page: &Value, names: &[&str]) {
    for name in names {
        assert_eq!(page[name], Value::Array(Vec::new()), "{name}");
    }
}

/// A speed or a time as people read it.
fn amount(value: f64) -> String {
    match value {
        large if large >= 9999.95 => format!("{value:.0}"),
        large if large >= 999.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Every run that a table shows is the run of the list; gives their ids.
fn assert_runs_are_those_of_the_store(page: &Value, sandbox: &Sandbox) -> BTreeSet<i64> {
    let list = sandbox.run(["list", "-o", "json"]).ok();
    let list: Vec<Value> = serde_json::from_slice(&list).unwrap();
    let mut seen = BTreeSet::new();
    for run in page["runs"].as_array().unwrap() {
        let id: i64 = run["id"].as_str().unwrap().parse().unwrap();
        let stored = list.iter().find(|stored| stored["id"] == id);
        let stored = stored.unwrap_or_else(|| panic!("run {id} is not in the store"));
        let number = |name: &str| stored[name].as_f64().unwrap();
        let partial = if stored["partial"] == true { "p" } else { "" };
        let score = number("score").trunc();
        assert_eq!(run["score"], format!("{score}{partial}"), "run {id}");
        assert_eq!(run["pp t/s"], amount(number("avg_prompt_tps")));
        assert_eq!(run["tg t/s"], amount(number("avg_gen_tps")));
        assert_eq!(run["ttft ms"], amount(number("avg_ttft_ms")));
        let measured = stored["measured_at"].as_str().unwrap();
        assert_eq!(run["date"], measured[..10]);
        seen.insert(id);
    }
    seen
}
