//! What the real library has written, written here byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Project;
use crate::sandbox::fixture;

/// The write cases, by their names.
fn cases() -> Vec<(String, Value, Vec<u8>)> {
    let files = fs::read_dir(fixture("prompt")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension() == Some("json".as_ref()))
        .filter(|file| file.to_str().unwrap().contains("-write-"))
        .collect();
    files.sort();
    let read = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        (name, case, fs::read(file.with_extension("file")).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// Does what the library has done in a step.
fn take(step: &Value, name: &str, project: &Project) {
    let mut args = vec![
        "prompt",
        if step["seed"] == true { "seed" } else { "set" },
        name,
    ];
    let mut input = String::new();
    if let Some(section) = step["section"].as_str() {
        args.extend(["--section", section]);
        step["body"].as_str().unwrap().clone_into(&mut input);
        // A text must be named where it is not the only thing that is set.
        args.push("-");
        for (key, option) in [("summary", "--summary"), ("visibility", "--visibility")] {
            args.extend(
                step[key]
                    .as_str()
                    .map(|text| [option, text])
                    .into_iter()
                    .flatten(),
            );
        }
    }
    if let Some(tool) = step["tool"].as_str() {
        args.extend(["--tool", tool]);
        input = step.to_string();
    }
    let ran = project.sandbox().run_with_input(&args, input.as_bytes());
    assert!(ran.ok().is_empty(), "{args:?}");
}

#[test]
fn what_the_library_writes_is_written_byte_for_byte() {
    let cases = cases();
    assert_eq!(cases.len(), 22);
    for (case, told, wanted) in cases {
        // Windows has no file or folder whose name ends with a point.
        if cfg!(windows) && case.contains("ids-odd") {
            continue;
        }
        let prompt = &told["prompt"];
        let project = Project::with(&prompt.to_string());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let name = format!(
            "{}/{}@{}",
            text(&prompt["ns"]),
            text(&prompt["prompt_key"]),
            text(&told["tag"])
        );
        for step in told["steps"].as_array().unwrap() {
            take(step, &name, &project);
        }
        let file = project
            .root()
            .join(".weakincentives/prompts/overrides")
            .join(Path::new(told["path"].as_str().unwrap()));
        let written = String::from_utf8(fs::read(&file).unwrap()).unwrap();
        assert_eq!(written, String::from_utf8(wanted).unwrap(), "{case}");
    }
}
