//! `list`: the table, the formats for programs, filters, order.

use unicode_width::UnicodeWidthStr;

use crate::bench::{self, Bench};
use crate::sandbox::{Ran, Sandbox, fixture, read_fixture};

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add([
        "golden/cpu-i7-14b.json",
        "golden/gpu-reps4.json",
        "golden/second-gpu.json",
        "golden/utf8-model.csv",
        "golden/single-test.json",
    ]);
    sandbox.run(["tag", "Baseline", "2", "3"]).ok();
    sandbox
}

/// The ids that are listed with these arguments.
fn ids(sandbox: &Sandbox, args: &[&str]) -> Vec<u64> {
    let mut all = vec!["list", "-o", "jsonl"];
    all.extend(args);
    let text = sandbox.run(all).text();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|run| run["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn the_table_is_for_people() {
    let sandbox = store();
    insta::assert_snapshot!(sandbox.run(["list"]).snapshot(&sandbox), @r"
    exit 0
    --- stdout
    id  measured    model                       quant   accelerator    score   pp t/s  tg t/s  ttft ms  tags      submission
     5  2025-06-15  Meta Llama 3.1 8B Instruct  Q4_K_M  RTX 4090        2044p  8338.2  133.51   130.26
     4  2025-06-15  Qwen2.5‑7B 中文 é           Q4_K_M  ?               1884   8342.6  133.35   166.16
     3  2025-06-15  Meta Llama 3.1 8B Instruct  Q4_K_M  RX 7900 XTX     1875   8305.3  133.32   167.96  Baseline
     2  2025-06-15  Llama 3.2 1B Instruct       Q4_K_M  RTX 4090        6986    32035  476.19    44.73  Baseline
     1  2025-06-15  Qwen2.5 14B Instruct        Q4_K_M  Core i7-7700K     26    52.61    8.48    25320
    --- stderr
    localstore: p partial, not comparable
    ");
}

#[test]
fn the_formats_hold_the_same_runs() {
    let sandbox = store();
    let csv = sandbox.run(["list", "-o", "csv"]).text();
    assert_eq!(csv.lines().count(), 6);
    assert!(csv.starts_with("id,measured_at,added_at,model,quant,accelerator,"));
    let json: serde_json::Value =
        serde_json::from_slice(&sandbox.run(["list", "-o", "json"]).ok()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 5);
    assert_eq!(json[0]["id"], 5);
    assert_eq!(json[0]["partial"], true);
    assert_eq!(json[1]["accelerator"], serde_json::Value::Null);
    assert_eq!(json[2]["tags"][0], "Baseline");
    assert_eq!(json[4]["measured_at"], "2025-06-15T15:06:40Z");
    let md = sandbox.run(["list", "-o", "md"]).text();
    assert_eq!(md.lines().count(), 7);
    assert!(md.lines().nth(1).unwrap().starts_with("|---:|"), "{md}");
}

#[test]
fn filters_match_anywhere_whatever_the_case() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &[]), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&sandbox, &["--model", "QWEN"]), [4, 1]);
    assert_eq!(ids(&sandbox, &["--model", "中文 É"]), [4]);
    assert_eq!(
        ids(&sandbox, &["--quant", "medium", "--accelerator", "rtx"]),
        [5, 2]
    );
    assert_eq!(ids(&sandbox, &["--accelerator", "%"]), [0; 0]);
    assert_eq!(ids(&sandbox, &["--runtime", "llamafile 0.9"]), [5, 3, 2, 1]);
    for quant in ["q4_k_m", "Q4_K - Medium", "K - M"] {
        assert_eq!(
            ids(&sandbox, &["--quant", quant]),
            [5, 4, 3, 2, 1],
            "{quant}"
        );
    }
    assert_eq!(ids(&sandbox, &["--quant", "Q4_K_S"]), [0; 0]);
}

#[test]
fn a_tag_is_meant_as_a_whole_unless_it_is_a_pattern() {
    let sandbox = store();
    sandbox.run(["tag", "a[1]", "1"]).ok();
    for (tag, expected) in [
        ("baseline", &[3, 2][..]),
        ("base", &[]),
        ("BASE*", &[3, 2]),
        ("*line", &[3, 2]),
        ("base????", &[3, 2]),
        ("base?", &[]),
        ("a[1]", &[1]),
        ("a[0-9]", &[]),
        ("*", &[3, 2, 1]),
    ] {
        assert_eq!(ids(&sandbox, &["--tag", tag]), expected, "{tag}");
    }
}

#[test]
fn words_are_looked_for_in_names_and_tags() {
    let sandbox = store();
    for (words, expected) in [
        (&["llama"][..], &[5, 3, 2][..]),
        (&["llama", "RTX"], &[5, 2]),
        (&["llama", "3.2"], &[2]),
        (&["q4_k_m", "radeon"], &[3]),
        (&["line"], &[3, 2]),
        (&["line", "--accelerator", "amd"], &[3]),
        (&["%"], &[]),
    ] {
        assert_eq!(ids(&sandbox, words), expected, "{words:?}");
    }
}

#[test]
fn times_are_those_of_the_measurement() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &["--since", "2025-06-15"]).len(), 5);
    assert_eq!(ids(&sandbox, &["--since", "2025-06-16"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--until", "2025-06-15"]).len(), 5);
    assert_eq!(ids(&sandbox, &["--until", "2025-06-15T15:06:39Z"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--since", "1d"]).len(), 0);
    assert_eq!(ids(&sandbox, &["--until", "1d"]).len(), 5);
}

#[test]
fn the_order_can_be_chosen_and_the_length() {
    let sandbox = store();
    assert_eq!(ids(&sandbox, &["--sort", "score"])[0], 2);
    assert_eq!(ids(&sandbox, &["--sort", "ttft"])[0], 2);
    assert_eq!(ids(&sandbox, &["--sort", "tg"])[4], 1);
    assert_eq!(ids(&sandbox, &["--sort", "model"])[0], 2);
    assert_eq!(ids(&sandbox, &["--limit", "2"]), [5, 4]);
    assert_eq!(ids(&sandbox, &["--limit", "0"]).len(), 5);
}

#[test]
fn an_empty_list_says_what_there_is_and_is_no_error() {
    let sandbox = store();
    let mut said = String::new();
    for args in [
        "--model gpt",
        "--quant q9 --model llama",
        "--accelerator tpu",
        "--runtime ollama",
        "--tag base",
        "--since 2030-01-01",
        "--until 2020-01-01T12:00",
        "gpt 4090",
        "--model llama --accelerator i7",
    ] {
        let ran = sandbox.run(["list"].into_iter().chain(args.split(' ')));
        assert_eq!(ran.ok(), b"");
        said += &ran.stderr;
    }
    insta::assert_snapshot!(said, @r"
    localstore: no run matches --model gpt
    hint: models: Llama 3.2 1B Instruct, Meta Llama 3.1 8B Instruct, … (4)
    localstore: no run matches --model llama --quant q9
    hint: quants: Q4_K_M (1)
    localstore: no run matches --accelerator tpu
    hint: accelerators: AMD Radeon RX 7900 XTX, … (3)
    localstore: no run matches --runtime ollama
    hint: runtimes: llamafile (1)
    localstore: no run matches --tag base
    hint: tags: Baseline (1)
    localstore: no run matches --since 2030-01-01
    hint: the runs were measured 2025-06-15 to 2025-06-15
    localstore: no run matches --until 2020-01-01T12:00
    hint: the runs were measured 2025-06-15 to 2025-06-15
    localstore: no run matches gpt 4090
    hint: models: Llama 3.2 1B Instruct, Meta Llama 3.1 8B Instruct, … (4)
    localstore: no run matches --model llama --accelerator i7
    ");
    assert_eq!(
        sandbox.run(["list", "--model", "gpt", "-o", "json"]).text(),
        "[]\n"
    );
    sandbox.run(["rm", "-y", "1", "2", "3", "4", "5"]).ok();
    for command in ["list", "best"] {
        let ran = sandbox.run([command]);
        assert_eq!(ran.ok(), b"");
        insta::allow_duplicates!(insta::assert_snapshot!(ran.stderr, @r"
        localstore: the store is empty
        hint: localstore record localscore -m model.gguf
        "));
    }
}

#[test]
fn a_name_that_is_empty_or_very_long_is_told_of() {
    let sandbox = bench::store(&["", "x".repeat(5000).leak()].map(|model| Bench {
        model,
        ..Bench::default()
    }));
    let ran = sandbox.run(["list", "--limit", "1", "--model", "gpt"]);
    assert!(ran.stderr.len() < 200, "{}", ran.stderr);
    let ran = sandbox.run(["show", "1"]);
    assert_eq!(
        ran.text().lines().nth(1),
        Some("unknown model, Q4_K - Medium, GPU One (24.0 GiB)")
    );
}

/// Runs of many names, one a day, and a partial one at the end.
fn mixed() -> Sandbox {
    let names = [
        (
            "Llama 3.2 1B Instruct",
            "Q4_K - Medium",
            "AMD EPYC 7352 24-Core Processor",
        ),
        (
            "Qwen2.5 14B Instruct",
            "IQ3_XXS - 3.0625 bpw",
            "Apple M4 Max 12P+4E+40GPU",
        ),
        ("Qwen2.5 14B Instruct", "Q8_0", "Apple M4 Max 12P+4E+32GPU"),
        (
            "通义千问 Qwen3 🚀 14B Chat",
            "Q4_K - Medium",
            "NVIDIA GeForce RTX 5090 显卡",
        ),
        (
            "DeepSeek R1 Distill Qwen 14B",
            "Q2_K - Medium",
            "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        ),
        (
            "Meta Llama 3.1 8B Instruct",
            "Q4_K - Medium",
            "NVIDIA GeForce RTX 4090",
        ),
    ];
    let mut benches: Vec<Bench> = names
        .into_iter()
        .zip(1..)
        .map(|((model, quant, accelerator), day)| Bench {
            model,
            quant,
            accelerator,
            day,
            speed: f64::from(day) / 4.0,
            ..Bench::default()
        })
        .collect();
    benches[5].tests = 4;
    let sandbox = bench::store(&benches);
    sandbox.add(["captures/capture-console.stdout.txt"]);
    sandbox.run(["tag", "rec", "2"]).ok();
    sandbox
}

/// The output on a screen of this width, of which no line is wider.
fn on_screen(sandbox: &Sandbox, width: usize, args: &str) -> String {
    let mut command = sandbox.command(args.split(' '));
    command.env("COLUMNS", width.to_string());
    let ran = Ran::from(command.output().unwrap());
    ran.ok();
    for line in ran.text().lines().chain(ran.stderr.lines()) {
        assert!(line.width() <= width, "{args}, {width}: {line}");
    }
    ran.text() + &ran.stderr
}

/// With all columns the table is wider than the screen, whatever becomes of the times.
#[test]
fn times_stay_where_all_columns_are_asked_for() {
    let faster = Bench {
        speed: 1.1,
        ..Bench::default()
    };
    let sandbox = bench::store(&[Bench::default(), faster]);
    let list = on_screen(&sandbox, 40, "list --columns measured,tg");
    assert!(list.contains("\n2025-01-01 12:00  "), "{list}");
}

#[test]
fn the_columns_that_matter_most_stay() {
    let sandbox = mixed();
    let list = |width| on_screen(&sandbox, width, "list --until 2025-12-31");
    insta::assert_snapshot!(list(40), @r"
    id  measured    quant    score
     6  2025-01-06  Q4_K_M    2267p
     5  2025-01-05  Q2_K      2263
     4  2025-01-04  Q4_K_M    1825
     3  2025-01-03  Q8_0      1347
     2  2025-01-02  IQ3_XXS    908
     1  2025-01-01  Q4_K_M     458
    localstore: p partial, not comparable
    localstore: hidden: accelerator, model,
    tags, tg, pp, ttft; '--columns all'
    shows them
    ");
    insta::assert_snapshot!(list(60), @r"
    id  measured    model         quant    accelerator   score
     6  2025-01-06  Meta Llama…   Q4_K_M   RTX 4090       2267p
     5  2025-01-05  DeepSeek R1…  Q2_K     RTX PRO…       2263
     4  2025-01-04  通义千问…     Q4_K_M   RTX 5090…      1825
     3  2025-01-03  Qwen2.5 14B…  Q8_0     Apple…+32GPU   1347
     2  2025-01-02  Qwen2.5 14B…  IQ3_XXS  Apple…+40GPU    908
     1  2025-01-01  Llama 3.2…    Q4_K_M   EPYC 7352       458
    localstore: p partial, not comparable
    localstore: hidden: tags, tg, pp, ttft; '--columns all'
    shows them
    ");
    insta::assert_snapshot!(list(80), @r"
    id  measured    model                   quant    accelerator      score   tags
     6  2025-01-06  Meta Llama 3.1 8B…      Q4_K_M   RTX 4090          2267p
     5  2025-01-05  DeepSeek R1 Distill…    Q2_K     RTX PRO 6000…     2263
     4  2025-01-04  通义千问 Qwen3 🚀 14B…  Q4_K_M   RTX 5090 显卡     1825
     3  2025-01-03  Qwen2.5 14B Instruct    Q8_0     Apple M4…+32GPU   1347
     2  2025-01-02  Qwen2.5 14B Instruct    IQ3_XXS  Apple M4…+40GPU    908   rec
     1  2025-01-01  Llama 3.2 1B Instruct   Q4_K_M   EPYC 7352          458
    localstore: p partial, not comparable
    localstore: hidden: tg, pp, ttft; '--columns all' shows them
    ");
    insta::assert_snapshot!(list(120), @r"
    id  measured    model                         quant    accelerator                          score   pp t/s  tg t/s  tags
     6  2025-01-06  Meta Llama 3.1 8B Instruct    Q4_K_M   RTX 4090                              2267p   11928  193.83
     5  2025-01-05  DeepSeek R1 Distill Qwen 14B  Q2_K     RTX PRO 6000 Blackwell Workstation…   2263   9980.0  162.17
     4  2025-01-04  通义千问 Qwen3 🚀 14B Chat    Q4_K_M   RTX 5090 显卡                         1825   8048.0  130.78
     3  2025-01-03  Qwen2.5 14B Instruct          Q8_0     Apple M4 Max 12P+4E+32GPU             1347   5940.0   96.52
     2  2025-01-02  Qwen2.5 14B Instruct          IQ3_XXS  Apple M4 Max 12P+4E+40GPU              908   4008.0   65.13  rec
     1  2025-01-01  Llama 3.2 1B Instruct         Q4_K_M   EPYC 7352                              458   2020.0   32.82
    localstore: p partial, not comparable
    localstore: hidden: ttft; '--columns all' shows them
    ");
    let best = |width| on_screen(&sandbox, width, "best --limit 3 --until 2025-12-31");
    insta::assert_snapshot!(best(40), @r"
    id  measured    quant   score
     5  2025-01-05  Q2_K     2263
     4  2025-01-04  Q4_K_M   1825
     3  2025-01-03  Q8_0     1347
    localstore: hidden: accelerator, model,
    tg, pp, ttft; '--columns all' shows them
    localstore: 3 of 5; '--limit 0' shows
    all
    ");
    insta::assert_snapshot!(best(80), @r"
    id  measured    model                         quant   accelerator    score
     5  2025-01-05  DeepSeek R1 Distill Qwen 14B  Q2_K    RTX PRO 6000…   2263
     4  2025-01-04  通义千问 Qwen3 🚀 14B Chat    Q4_K_M  RTX 5090 显卡   1825
     3  2025-01-03  Qwen2.5 14B Instruct          Q8_0    Apple M4 Max…   1347
    localstore: hidden: tg, pp, ttft; '--columns all' shows them
    localstore: 3 of 5; '--limit 0' shows all
    ");
}

#[test]
fn a_guessed_date_is_marked_and_told_of() {
    let sandbox = mixed();
    let file = sandbox.file(
        "run.txt",
        read_fixture("captures/capture-console.stdout.txt"),
    );
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_hours(482_484);
    let opened = std::fs::File::options().append(true).open(&file).unwrap();
    opened.set_modified(date).unwrap();
    drop(opened);
    sandbox.run(["rm", "-y", "7"]).ok();
    sandbox.run(["add".as_ref(), file.as_os_str()]).ok();
    sandbox.run(["tag", "old", "last"]).ok();
    let list = |args| on_screen(&sandbox, 80, args);
    insta::assert_snapshot!(list("list --since 2025-01-05"), @r"
    id   measured    model                       quant   accelerator    score   tags
     8  ~2025-01-15  Meta Llama 3.1 8B Instruct  Q4_K_M  RTX 4090       ~1876   old
     6   2025-01-06  Meta Llama 3.1 8B Instruct  Q4_K_M  RTX 4090        2267p
     5   2025-01-05  DeepSeek R1 Distill Qwen…   Q2_K    RTX PRO 6000…   2263
    localstore: ~ about (rounded, or a guessed date); p partial, not comparable
    localstore: hidden: tg, pp, ttft; '--columns all' shows them
    localstore: 1 run with a guessed date (~) is among them
    ");
    insta::assert_snapshot!(list("list --columns id,measured --until yesterday --limit 1"), @r"
    id   measured
     8  ~2025-01-15
    localstore: ~ about (rounded, or a guessed date)
    localstore: 1 run with a guessed date (~) is among them
    localstore: 1 of 7; '--limit 0' shows all
    ");
    assert!(!list("list --until 2025-01-06").contains('~'));
    assert!(!list("list").contains("among them"));
    assert!(list("best --since 2025-01-01").contains("among them"));
    let tags = list("tag");
    assert!(
        tags.contains(", ~2025-01-15\n") && tags.contains("localstore: ~ about"),
        "{tags}"
    );
    let shown = list("show");
    assert!(
        shown.contains("\nmeasured    ~2025-01-15 12:00:00 UTC, added 20"),
        "{shown}"
    );
}

#[test]
fn a_mark_is_explained_where_it_is() {
    let sandbox = mixed();
    let marks = |args: &str| {
        let ran = sandbox.run(args.split(' '));
        let text = ran.text();
        assert_eq!(ran.stderr.contains("~ about"), text.contains('~'), "{args}");
        assert_eq!(
            ran.stderr.contains("p partial"),
            text.contains("2267p"),
            "{args}"
        );
        text
    };
    assert!(marks("list").contains(" ~1876 "));
    assert!(marks("best").contains(" ~1876 "));
    assert!(marks("list -o md").contains(" 2267p "));
    assert!(!marks("list --columns id,pp,model").contains('~'));
    assert!(!marks("list qwen").contains('~'));
    marks("list -o csv");
}

#[test]
fn the_column_that_is_sorted_by_is_always_there() {
    let sandbox = mixed();
    for (sort, head) in [
        ("added", "id"),
        ("date", "measured"),
        ("model", "model"),
        ("quant", "quant"),
        ("accelerator", "accelerator"),
        ("score", "score"),
        ("pp", "pp t/s"),
        ("tg", "tg t/s"),
        ("ttft", "ttft ms"),
    ] {
        for width in [10, 40, 47, 48, 60, 80, 100, 120, 200] {
            let args = format!("list --sort {sort}");
            let text = on_screen(&sandbox, width.max(40), &args);
            let heads = text.lines().next().unwrap();
            assert!(heads.contains(head), "{sort}, {width}: {heads}");
            for always in ["id", "quant", "score"] {
                assert!(heads.contains(always), "{sort}, {width}: {heads}");
            }
        }
    }
    insta::assert_snapshot!(on_screen(&sandbox, 40, "list --sort tg --limit 2"), @r"
    id  quant   score   tg t/s
     6  Q4_K_M   2267p  193.83
     5  Q2_K     2263   162.17
    localstore: p partial, not comparable
    localstore: hidden: measured,
    accelerator, model, pp, ttft; '--columns
    all' shows them
    localstore: 2 of 7; '--limit 0' shows
    all
    ");
}

#[test]
fn runs_of_one_day_have_their_time() {
    let quants = ["Q2_K - Medium", "Q4_K - Medium", "Q6_K", "F16"];
    let sweep = quants.map(|quant| Bench {
        quant,
        model: "Meta Llama 3.1 8B Instruct",
        accelerator: "NVIDIA GeForce RTX 4090",
        ..Bench::default()
    });
    let sandbox = bench::store(&sweep);
    insta::assert_snapshot!(on_screen(&sandbox, 80, "list --sort tg"), @r"
    id  measured          model               quant   accelerator  score  tg t/s
     4  2025-01-01 12:00  Meta Llama 3.1 8B…  F16     RTX 4090      1832  131.30
     3  2025-01-01 12:00  Meta Llama 3.1 8B…  Q6_K    RTX 4090      1832  131.30
     2  2025-01-01 12:00  Meta Llama 3.1 8B…  Q4_K_M  RTX 4090      1832  131.30
     1  2025-01-01 12:00  Meta Llama 3.1 8B…  Q2_K    RTX 4090      1832  131.30
    localstore: hidden: pp, ttft; '--columns all' shows them
    ");
    insta::assert_snapshot!(on_screen(&sandbox, 40, "list"), @r"
    id  measured          quant   score
     4  2025-01-01 12:00  F16      1832
     3  2025-01-01 12:00  Q6_K     1832
     2  2025-01-01 12:00  Q4_K_M   1832
     1  2025-01-01 12:00  Q2_K     1832
    localstore: hidden: accelerator, model,
    tg, pp, ttft; '--columns all' shows them
    ");
    // A long quantisation is cut where a row would be wider than the screen.
    let long = ["MXFP4 MoE XL", "Q4_K - Medium"].map(|quant| Bench {
        quant,
        tests: 4,
        ..Bench::default()
    });
    let long = on_screen(&bench::store(&long), 40, "list --sort date");
    assert!(long.contains("  MXFP4 MoE…  "), "{long}");
    let mut command = sandbox.command(["list", "--local", "--columns", "id,measured"]);
    command.env("TZ", "CET-1CEST,M3.5.0,M10.5.0/3");
    let ran = Ran::from(command.output().unwrap());
    insta::assert_snapshot!(ran.text(), @r"
    id  measured (CET)
     4  2025-01-01 13:00
     3  2025-01-01 13:00
     2  2025-01-01 13:00
     1  2025-01-01 13:00
    ");
}

#[test]
fn columns_can_be_chosen() {
    let sandbox = mixed();
    insta::assert_snapshot!(on_screen(&sandbox, 40, "list --columns id,tags,tg --limit 2"), @r"
    id  tags  tg t/s
     7        133.32
     6        193.83
    localstore: 2 of 7; '--limit 0' shows
    all
    ");
    let all = sandbox.run(["list", "--columns", "all"]).text();
    assert_eq!(all, sandbox.run(["list"]).text());
    let narrow = sandbox
        .command(["list", "--columns", "all"])
        .env("COLUMNS", "80")
        .output();
    let narrow = Ran::from(narrow.unwrap());
    assert_eq!(
        narrow
            .text()
            .lines()
            .next()
            .unwrap()
            .split("  ")
            .filter(|head| !head.is_empty())
            .count(),
        11
    );
    assert!(!narrow.stderr.contains("hidden"), "{}", narrow.stderr);
    for args in [
        &["list", "--columns", "id,size"][..],
        &["list", "--columns", "id", "-o", "csv"],
    ] {
        let said = sandbox.run(args).failed();
        assert_eq!(said, "invalid parameter for: --columns", "{args:?}");
    }
}

#[test]
fn the_runs_of_a_csv_keep_their_order() {
    let sandbox = Sandbox::new();
    let files = ["golden/second-gpu.csv", "golden/gpu-reps4.csv"].map(fixture);
    sandbox
        .run(["add".as_ref(), files[0].as_os_str(), files[1].as_os_str()])
        .ok();
    assert_eq!(ids(&sandbox, &["--model", "Llama 3.2"]), [2]);
}
