//! What a shell offers: asked for as its script asks, and in the shell itself where it is installed.

#[cfg(unix)]
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::{Bench, days, store};
use crate::sandbox::{Ran, Sandbox, fixture};

/// Five runs of a configuration and one of another, with two tags.
fn sandbox() -> Sandbox {
    let mut benches = days(1..=5);
    benches.push(Bench {
        day: 6,
        model: "Qwen 3: it's 14B",
        quant: "Q8_0",
        accelerator: "NVIDIA GeForce RTX 4090",
        ..Bench::default()
    });
    let sandbox = store(&benches);
    sandbox.run(["tag", "q8", "2"]).ok();
    sandbox.run(["tag", "baseline", "1"]).ok();
    sandbox
}

/// What the program answers to a shell for these words behind its name.
fn ask(sandbox: &Sandbox, shell: &str, words: &[&str]) -> Ran {
    let mut command = sandbox.command(["--", "localstore"]);
    command.args(words).env("COMPLETE", shell);
    Ran::from(command.output().unwrap())
}

/// The words with what they are. On a busy machine the store may not be read in the 60 ms that a shell
/// waits, and nothing is offered: then it is asked again.
pub(crate) fn offered(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    for _ in 0..5 {
        let start = Instant::now();
        let ran = ask(sandbox, "fish", words);
        assert_eq!(ran.stderr, "", "{words:?}");
        let lines: Vec<String> = ran.text().lines().map(str::to_owned).collect();
        if !lines.is_empty() || start.elapsed() < Duration::from_millis(60) {
            return lines;
        }
    }
    Vec::new()
}

#[cfg(feature = "serve")]
#[test]
fn models_and_keys_are_offered_by_their_names() {
    let mut sandbox = Sandbox::new();
    sandbox.set("SQLITE_DB_PATH", "gateway.sqlite3");
    assert!(offered(&sandbox, &["model", "rm", "l"]).is_empty());
    for name in ["llama8", "qwen"] {
        let add = ["model", "add", name, "--url", "http://127.0.0.1:9"];
        sandbox.run(add).ok();
    }
    sandbox.run(["model", "alias", "llama8", "fast"]).ok();
    for name in ["alice", "bob"] {
        sandbox.run(["key", "create", name]).ok();
    }
    sandbox.run(["key", "revoke", "bob"]).ok();
    let words = |typed: &[&str]| -> Vec<String> {
        let lines = offered(&sandbox, typed).into_iter();
        let word = |line: String| line.split('\t').next().unwrap_or_default().to_owned();
        lines.map(word).collect()
    };
    for (typed, expected) in [
        (&["model", "rm", ""][..], &["llama8", "qwen"][..]),
        (&["model", "rm", "q"], &["qwen"]),
        (&["model", "test", "l"], &["llama8"]),
        (&["model", "fallback", "qwen", "l"], &["llama8"]),
        (&["model", "alias", "--rm", ""], &["fast"]),
        (
            &["model", "rm", "qwen", "--url", ""],
            &["http://127.0.0.1:9/v1"],
        ),
        (&["key", "revoke", ""], &["alice"]),
        (&["key", "create", "a"], &[]),
        (&["agent", "--model", "l"], &["llama8"]),
    ] {
        assert_eq!(words(typed), expected, "{typed:?}");
    }
}

#[test]
fn runs_are_offered_with_what_they_are() {
    let sandbox = sandbox();
    let all = [
        "last\tthe run added last",
        "best\tthe run with the highest score",
        "q8\ttag of run 2",
        "baseline\ttag of run 1",
        "6\tQ8_0 Qwen 3: it's 14B, RTX 4090, 2025-01-06",
        "5\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-05",
        "4\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-04",
        "3\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-03",
        "2\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-02",
        "1\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-01",
    ];
    for words in [
        &["show", ""][..],
        &["compare", ""],
        &["compare", "1", ""],
        &["export", ""],
        &["submit", "-y", ""],
        &["rm", "3", ""],
        &["tag", "x", ""],
        &["plot", "compare", ""],
    ] {
        assert_eq!(offered(&sandbox, words), all, "{words:?}");
    }
    assert_eq!(offered(&sandbox, &["show", "la"]), all[..1]);
    assert_eq!(offered(&sandbox, &["show", "q"]), all[2..3]);
    // An id for each configuration.
    for words in [&["history", ""][..], &["plot", "history", ""]] {
        assert_eq!(offered(&sandbox, words), all[..6], "{words:?}");
    }
}

#[test]
fn only_the_last_thirty_ids_are_offered() {
    let benches = days(1..=31).into_iter().chain(days(1..=4));
    let mut versions = ["a", "b"].iter().cycle();
    let benches: Vec<Bench> = benches
        .enumerate()
        .map(|(index, bench)| Bench {
            version: if index < 31 {
                "a"
            } else {
                versions.next().unwrap()
            },
            accelerator: if index < 31 { "GPU One" } else { "GPU Two" },
            ..bench
        })
        .collect();
    let sandbox = store(&benches);
    let ids = offered(&sandbox, &["show", ""]);
    let ids: Vec<&str> = ids
        .iter()
        .map(|word| word.split('\t').next().unwrap())
        .collect();
    let expected: Vec<String> = (6..=35).rev().map(|id: u32| id.to_string()).collect();
    assert_eq!(ids[2..], expected);
}

#[test]
fn stored_values_are_offered_for_filters() {
    let sandbox = sandbox();
    for (words, values) in [
        (
            &["list", "--model", ""][..],
            &["Llama 3.2 1B Instruct", "Qwen 3: it's 14B"][..],
        ),
        (&["best", "--model", "qwen"], &["Qwen 3: it's 14B"]),
        (
            &["history", "--model=L"],
            &["--model=Llama 3.2 1B Instruct"],
        ),
        (&["list", "--quant", ""], &["Q4_K - Medium", "Q8_0"]),
        (&["list", "--quant", "Q4_K_"], &["Q4_K_M"]),
        (
            &["report", "--accelerator", ""],
            &["GPU One", "NVIDIA GeForce RTX 4090"],
        ),
        (&["list", "--runtime", ""], &["llamafile"]),
        (
            &["list", "--tag", ""],
            &["q8\ttag of run 2", "baseline\ttag of run 1"],
        ),
        (&["untag", "b"], &["baseline\ttag of run 1"]),
    ] {
        assert_eq!(offered(&sandbox, words), values, "{words:?}");
    }
    let commands = offered(&sandbox, &[""]);
    assert!(commands[0].starts_with("record\t"), "{commands:?}");
    assert!(!commands.iter().any(|word| word.starts_with('-')));
    assert!(offered(&sandbox, &["list", "--so"])[0].starts_with("--sort\t"));
}

#[cfg(feature = "network")]
#[test]
fn the_remote_of_the_environment_is_offered_and_nothing_else() {
    let mut sandbox = sandbox();
    let places = [&["push", ""][..], &["pull", ""], &["rm", "--remote", ""]];
    // An address with a password is none.
    for remote in ["", "https://user:secret@a.org"] {
        sandbox.set("LOCALSTORE_REMOTE", remote);
        for words in places {
            let offered = offered(&sandbox, words);
            assert!(
                offered.iter().all(|word| word.starts_with("--")),
                "{offered:?}"
            );
        }
    }
    sandbox.set("LOCALSTORE_REMOTE", "http://127.0.0.1:8080");
    for words in places {
        assert_eq!(offered(&sandbox, words), ["http://127.0.0.1:8080"]);
    }
    assert!(offered(&sandbox, &["push", "libsql"]).is_empty());
    assert_eq!(
        offered(&sandbox, &["rm", "--remote=http:"]),
        ["--remote=http://127.0.0.1:8080"]
    );
}

#[test]
fn names_sections_and_tools_of_prompts_are_offered() {
    let sandbox = Sandbox::new();
    let document = r#"{"ns": "demo", "prompt_key": "other", "tools": [{"name": "search", "contract_hash": "HASH"}],
        "sections": [{"path": ["system", "intro"], "body": ""}]}"#;
    let hash = "0".repeat(64);
    let folder = sandbox.path().join("project/.weakincentives/prompts");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        sandbox.file(&format!("project/.weakincentives/prompts/{name}"), text);
    };
    write("prompts.jsonl", &document.replace("HASH", &hash));
    // Outside of a project there is nothing to offer, and that is no error.
    let nothing = |words: &[&str]| {
        let offered = offered(&sandbox, words);
        assert!(
            offered.iter().all(|word| word.starts_with("--")),
            "{offered:?}"
        );
    };
    nothing(&["prompt", "set", ""]);
    let set = [
        "demo/web/x@v1",
        "demo/welcome@stable",
        "demo/welcome@candidate",
    ];
    for name in set {
        let words = [
            "prompt",
            "--root",
            "project",
            "set",
            name,
            "--section",
            "ä/b c",
            "-",
        ];
        let more = ["--hash", &hash, "--format", "2"];
        sandbox.run(words.into_iter().chain(more)).ok();
    }
    let root = ["prompt", "--root=project"];
    for (words, values) in [
        (
            &["path", ""][..],
            &[
                "demo/other",
                "demo/web/x@v1",
                "demo/welcome@candidate",
                "demo/welcome@stable",
            ][..],
        ),
        (&["check", "demo/welcome@stable", "demo/o"], &["demo/other"]),
        (&["resolve", "demo/welcome@s"], &["demo/welcome@stable"]),
        (&["set", "demo/welcome@stable", "--section", ""], &["ä/b c"]),
        (
            &["set", "demo/other@new", "--section", ""],
            &["system/intro"],
        ),
        (
            &["set", "demo/other@new", "--section=sys"],
            &["--section=system/intro"],
        ),
        (&["set", "demo/other", "--tool", ""], &["search"]),
    ] {
        let words = [&root, words].concat();
        assert_eq!(offered(&sandbox, &words), values, "{words:?}");
    }
    nothing(&["prompt", "--root", "nowhere", "set", ""]);
    nothing(&[
        "prompt",
        "--root",
        "project",
        "set",
        "Demo",
        "--section",
        "",
    ]);
    // What cannot be read is as if it were not there.
    write("prompts.jsonl", "{");
    write("overrides/demo/welcome/stable.json", "{");
    let words = [&root[..], &["set", "demo/welcome@stable", "--section", ""]].concat();
    nothing(&words);
    let words = [&root[..], &["path", "demo/welcome@s"]].concat();
    assert_eq!(offered(&sandbox, &words), ["demo/welcome@stable"]);
}

#[cfg(unix)]
#[test]
fn ids_of_trajectories_are_offered() {
    let mut sandbox = Sandbox::new();
    sandbox.set("PATH", std::env::var_os("PATH").unwrap_or_default());
    let nothing = |words: &[&str]| {
        let offered = offered(&sandbox, words);
        let is_id = |word: &&String| word.starts_with("last") || word.starts_with("fix");
        assert_eq!(offered.iter().find(is_id), None, "{words:?}");
    };
    nothing(&["trace", "show", ""]);
    let part = r#"echo '{"event":"part.completed","part_type":"text"}'"#;
    for id in ["fix-it", "fix-more"] {
        let words = ["trace", "record", "--repo", ".", "--id", id, "--"];
        let agent = ["sh", "-c", part];
        sandbox.run(words.into_iter().chain(agent)).ok();
    }
    // One that is not indexed, and what is no trajectory.
    let root = sandbox.store().parent().unwrap().join("trajectories");
    std::fs::create_dir(root.join("fix-elsewhere")).unwrap();
    std::fs::create_dir(root.join(".fix-hidden")).unwrap();
    std::fs::File::create(root.join("fix-file")).unwrap();
    for words in [
        &["trace", "show", "fix"][..],
        &["trace", "verify", "fix"],
        &["trace", "rm", "fix-it", "fix"],
        &["trace", "record", "--continue", "fix"],
    ] {
        let found = offered(&sandbox, words);
        let ids = found.iter().map(|word| word.split('\t').next().unwrap());
        let ids: Vec<&str> = ids.collect();
        assert_eq!(ids, ["fix-more", "fix-it", "fix-elsewhere"], "{words:?}");
        assert!(found[0].contains("\tgeneric, 1 part, 20"), "{found:?}");
        assert_eq!(found[2], "fix-elsewhere");
    }
    let found = offered(&sandbox, &["trace", "show", "la"]);
    assert_eq!(found, ["last\tthe newest trajectory"]);
    // A new id, and one of another place.
    nothing(&["trace", "record", "--id", "fix"]);
    nothing(&["trace", "pull", "fix"]);
}

#[test]
fn each_shell_gets_its_own_form() {
    let sandbox = sandbox();
    let ask = |shell, words: &[&str]| ask(&sandbox, shell, words).text();
    let model = ["list", "--model", "Q"];
    assert_eq!(ask("bash", &["show", "q"]), "q8");
    assert_eq!(ask("bash", &model), "Qwen 3: it's 14B");
    assert_eq!(ask("elvish", &model), "Qwen 3: it's 14B");
    assert_eq!(ask("zsh", &["show", "q"]), "q8:tag of run 2");
    assert_eq!(ask("/bin/zsh", &model), "Qwen 3\\: it's 14B");
    assert_eq!(ask("powershell", &["show", "q"]), "q8\ttag of run 2");
    assert_eq!(ask("pwsh", &model), "'Qwen 3: it''s 14B'");
    assert_eq!(
        ask("nushell", &["show", "q"]),
        r#"[{"value":"q8","description":"tag of run 2"}]"#
    );
    assert_eq!(
        ask("nu", &model),
        r#"[{"value":"\"Qwen 3: it's 14B\"","description":""}]"#
    );
}

#[test]
fn the_store_is_the_one_that_is_named_and_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    let copy = |version: &str, name: &str| {
        let store = fixture(&format!("stores/version-{version}.sqlite3"));
        std::fs::copy(store, sandbox.path().join(name)).unwrap();
        std::fs::read(sandbox.path().join(name)).unwrap()
    };
    sandbox.add(["golden/gpu-reps4.json"]);
    sandbox.move_store("here");
    for words in [
        &["--db", "here", "show", "1"][..],
        &["--db=here", "show", "1"],
        &["show", "--db", "here", "1"],
    ] {
        let words = offered(&sandbox, words);
        assert_eq!(
            words,
            ["1\tQ4_K_M Llama 3.2 1B Instruct, RTX 4090, 2025-06-15"]
        );
    }
    // There is none, it is another program's file, or one of an older version.
    let before = copy("1", "old");
    sandbox.file("text", "not a database");
    for name in ["none", "text", "old", "."] {
        assert!(
            offered(&sandbox, &["--db", name, "list", "--model", ""]).is_empty(),
            "{name}"
        );
    }
    assert_eq!(std::fs::read(sandbox.path().join("old")).unwrap(), before);
    assert!(!sandbox.path().join("none").exists());
    assert!(!sandbox.store().exists());
}

#[test]
fn a_store_that_is_locked_offers_nothing() {
    let sandbox = sandbox();
    let db = sandbox.db();
    db.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE",
    )
    .unwrap();
    assert!(offered(&sandbox, &["list", "--model", ""]).is_empty());
}

#[test]
fn what_cannot_be_answered_is_silent() {
    let sandbox = sandbox();
    for words in [
        &[][..],
        &["frob", ""],
        &["list", "--frob", "x", "y"],
        &["show", "zzz"],
    ] {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell", "nushell"] {
            let mut command = sandbox.command(["--", "localstore"]);
            command
                .args(words)
                .env("COMPLETE", shell)
                .env("_CLAP_COMPLETE_INDEX", "99");
            let ran = Ran::from(command.output().unwrap());
            ran.ok();
            assert_eq!(ran.stderr, "");
        }
    }
    // A variable of that name that means something else changes nothing.
    for value in ["", "1", "tcsh", "bash"] {
        let mut command = sandbox.command(["path"]);
        let ran = Ran::from(command.env("COMPLETE", value).output().unwrap());
        assert!(ran.text().ends_with("llamafile.sqlite3\n"), "{value}");
    }
}

/// Runs a script in a shell that finds the program; `None` where there is no such shell.
#[cfg(unix)]
fn in_shell(sandbox: &Sandbox, shell: &str, script: &str) -> Option<String> {
    let program = assert_cmd::cargo::cargo_bin!("localstore");
    let folder = program.parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    let file = sandbox.file("script", script);
    let output = Command::new(shell)
        .arg(file)
        .env_clear()
        .env("PATH", format!("{folder}:{path}"))
        .env("HOME", sandbox.path())
        .current_dir(sandbox.path())
        .output()
        .ok()?;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[cfg(unix)]
#[test]
fn bash_completes_words_as_it_needs_them_quoted() {
    let sandbox = sandbox();
    let script = r#"
        set -u
        source <(localstore completions bash)
        offer() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _localstore localstore "${COMP_WORDS[COMP_CWORD]}"
            for word in "${COMPREPLY[@]}"; do printf '[%s]' "$word"; done; echo
        }
        offer localstore show ''
        offer localstore show b
        offer localstore list --model ''
        offer localstore list --model Q
        offer localstore list --model 'Llama\ 3'
        offer localstore list --model = Ll
        offer localstore list --model =
        offer localstore list --db nowhere --model ''
        offer localstore li
        export LOCALSTORE_REMOTE=http://localhost:8080
        offer localstore push ''
        offer localstore push http :
        offer localstore push http : //lo
        offer localstore rm --remote = http : //lo
        mkdir .git
        localstore prompt set demo/welcome@stable --section a/b script --hash $(printf '%064d' 0) 2> /dev/null
        offer localstore prompt path d
        offer localstore prompt path demo/welcome @
        offer localstore prompt path demo/welcome @ st
        PATH=/nowhere
        offer localstore show ''
    "#;
    let Some(text) = in_shell(&sandbox, "bash", script) else {
        return;
    };
    insta::assert_snapshot!(text, @r"
    [last][best][q8][baseline][6][5][4][3][2][1]
    [best][baseline]
    [Llama\ 3.2\ 1B\ Instruct][Qwen\ 3:\ it\'s\ 14B]
    [Qwen\ 3:\ it\'s\ 14B]
    [Llama\ 3.2\ 1B\ Instruct]
    [Llama\ 3.2\ 1B\ Instruct]
    [Llama\ 3.2\ 1B\ Instruct][Qwen\ 3:\ it\'s\ 14B]

    [list]
    [http://localhost:8080]
    [//localhost:8080]
    [//localhost:8080]
    [//localhost:8080]
    [demo/welcome@stable]
    [stable]
    [stable]
    ");
}

#[cfg(unix)]
#[test]
fn fish_shows_what_a_run_is() {
    let sandbox = sandbox();
    let script = "localstore completions fish | source\n\
                  complete -C 'localstore show l'\n\
                  complete -C 'localstore list --model L'\n\
                  complete -C 'localstore history 5'\n";
    let Some(text) = in_shell(&sandbox, "fish", script) else {
        return;
    };
    assert_eq!(
        text,
        "last\tthe run added last\n\
         Llama 3.2 1B Instruct\n\
         5\tQ4_K_M Llama 3.2 1B Instruct, GPU One, 2025-01-05\n"
    );
}

#[cfg(unix)]
#[test]
fn nushell_keeps_the_completer_of_other_programs() {
    let sandbox = sandbox();
    let script = sandbox.run(["completions", "nushell"]).text();
    sandbox.file("localstore.nu", script);
    let script = "\
        $env.config.completions.external.completer = {|spans| [$\"other ($spans.0)\"] }\n\
        source localstore.nu\n\
        let completer = $env.config.completions.external.completer\n\
        print (do $completer [localstore show l] | to json -r)\n\
        print (do $completer [localstore show zzz] | to json -r)\n\
        print (do $completer [git st] | to json -r)\n";
    let Some(text) = in_shell(&sandbox, "nu", script) else {
        return;
    };
    assert_eq!(
        text,
        "[{\"value\":\"last\",\"description\":\"the run added last\"}]\n\
         null\n\
         [\"other git\"]\n"
    );
}

/// Without an interactive shell only what would be offered can be seen.
#[cfg(unix)]
#[test]
fn zsh_hands_over_words_with_what_they_are() {
    let sandbox = sandbox();
    let script = "compdef() { echo \"$1 for $2\" }\n\
                  _describe() { print -r -- ${(P)3} }\n\
                  source <(localstore completions zsh)\n\
                  words=(localstore show l) CURRENT=3\n\
                  _clap_dynamic_completer_localstore\n\
                  words=(localstore list --model 'Qwen\\ 3') CURRENT=4\n\
                  _clap_dynamic_completer_localstore\n";
    let Some(text) = in_shell(&sandbox, "zsh", script) else {
        return;
    };
    assert_eq!(
        text,
        "_clap_dynamic_completer_localstore for localstore\n\
         last:the run added last\n\
         Qwen 3\\: it's 14B\n"
    );
}

#[test]
fn the_script_of_each_shell_asks_this_program() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "nushell", "powershell", "zsh"] {
        let script = sandbox.run(["completions", shell]).text();
        assert!(script.contains("COMPLETE"), "{shell}: {script}");
        assert!(!script.contains("COMPLETER"), "{shell}: {script}");
        // The same as asked for by the variable, but for the path of the program.
        let mut command = sandbox.command::<&str>([]);
        let asked = Ran::from(command.env("COMPLETE", shell).output().unwrap());
        assert_eq!(asked.text().lines().count(), script.lines().count());
    }
}

#[test]
fn a_guessed_date_is_marked() {
    let sandbox = Sandbox::new();
    sandbox.add(["golden/gpu-reps4.md"]);
    let about = &offered(&sandbox, &["show", "1"])[0];
    assert!(about.contains(", ~20"), "{about}");
}
