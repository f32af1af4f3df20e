//! What the program does, seen from outside: one process after another, each in a sandbox.

mod behind;
mod random;
mod sandbox;
#[cfg(any(feature = "network", feature = "serve"))]
mod server;

mod add;
#[cfg(feature = "network")]
mod again;
mod backup;
mod bench;
mod browser;
mod changes;
mod chat;
mod check;
mod cli;
mod compare;
mod completions;
mod export;
#[cfg(feature = "network")]
mod fleet;
#[cfg(feature = "serve")]
#[cfg_attr(
    windows,
    allow(
        dead_code,
        unused_imports,
        reason = "what ends the gateway by a signal is left out there"
    )
)]
mod gateway;
mod goldens;
mod history;
mod list;
mod llama_compare;
mod llama_history;
mod llama_json;
mod llama_list;
mod llama_print;
mod llama_store;
mod logs;
mod merge;
mod message;
mod mistakes;
#[cfg(feature = "network")]
mod network;
#[cfg(unix)]
mod pager;
mod plot;
mod prompt;
#[cfg(feature = "network")]
mod queue;
mod record;
#[cfg(all(unix, feature = "network"))]
mod record_submit;
mod report;
mod rm;
#[cfg(feature = "network")]
mod sending;
#[cfg(feature = "network")]
mod settle;
mod show;
mod site;
mod store;
mod submit;
mod tag;
mod torture;
// Its agents are scripts of a shell, and its repositories are made by git.
#[cfg(unix)]
mod trace;
mod views;
#[cfg(windows)]
mod windows;

/// Prints what a long test has done, for `--nocapture`.
#[allow(clippy::print_stdout, reason = "the result of a measurement")]
fn report(line: &str) {
    println!("{line}");
}

/// Every file beside this one and below is in a list of modules: one that is not tests nothing.
#[test]
fn every_test_file_is_listed() {
    check_folder(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it").as_ref(),
        "main",
    );
}

fn check_folder(folder: &std::path::Path, list: &str) {
    let modules = std::fs::read_to_string(folder.join(list).with_extension("rs"));
    let modules = modules.unwrap_or_default();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_module = if path.is_dir() {
            check_folder(&path, "mod");
            path.join("mod.rs").exists()
        } else {
            path.extension().is_some_and(|ending| ending == "rs") && name != list
        };
        let line = format!("mod {name};");
        let is_listed = modules.lines().any(|other| other == line);
        assert!(!is_module || is_listed, "{} is not listed", path.display());
    }
}
