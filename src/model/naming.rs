//! Short names, and what tells runs apart.

use super::Tool;
use base::time::{date, utc};

/// A quantisation as people write it: `Q4_K - Medium` is `Q4_K_M`, `IQ3_XXS - 3.0625 bpw` is
/// `IQ3_XXS`. `Q2_K - Medium` is `Q2_K`, as the files are called.
#[must_use]
pub(crate) fn short_quant(quant: &str) -> String {
    let Some((name, kind)) = quant.split_once(" - ") else {
        return quant.to_owned();
    };
    let starts_with_number = || kind.starts_with(|c: char| c.is_ascii_digit());
    match kind {
        "Medium" if name == "Q2_K" => name.to_owned(),
        "Small" => format!("{name}_S"),
        "Medium" => format!("{name}_M"),
        "Large" => format!("{name}_L"),
        _ if kind.contains(" bpw") && starts_with_number() => name.to_owned(),
        _ => quant.to_owned(),
    }
}

impl Tool {
    /// The model's name without its quantisation, which stands behind it in llama-bench: `llama 8B`.
    #[must_use]
    pub(crate) fn plain_model<'a>(self, model: &'a str, quant: &str) -> &'a str {
        let plain = model.strip_suffix(quant).and_then(|rest| {
            let rest = rest.strip_suffix("mostly ").unwrap_or(rest);
            rest.strip_suffix(' ')
        });
        match self {
            Self::LocalScore => model,
            Self::LlamaBench => plain.filter(|plain| !plain.is_empty()).unwrap_or(model),
        }
    }
}

/// The makers and series that a short name leaves out.
const MAKERS: [&str; 5] = [
    "NVIDIA GeForce ",
    "NVIDIA ",
    "AMD Radeon ",
    "AMD ",
    "Intel ",
];

/// The name of a GPU or CPU without its maker and what all its kind have: `RTX 4090`,
/// `Ryzen 9 7950X`. Of several, which llama-bench names with their makers, `2× RTX 4090, RTX 3090`.
#[must_use]
pub(crate) fn short_device(device: &str) -> String {
    let has_maker = |name: &&str| MAKERS.iter().any(|maker| name.starts_with(maker));
    for between in [", ", "/"] {
        let names: Vec<&str> = device.split(between).collect();
        if names.len() > 1 && names.iter().all(has_maker) {
            let same = names.chunk_by(|one, other| one == other);
            let short = same.map(|same| match same.len() {
                1 => short_name(same[0]),
                count => format!("{count}× {}", short_name(same[0])),
            });
            return short.collect::<Vec<_>>().join(", ");
        }
    }
    short_name(device)
}

fn short_name(device: &str) -> String {
    let plain = device.replace("(R)", "").replace("(TM)", "");
    let shortest = MAKERS.iter().find_map(|maker| {
        let rest = plain.strip_prefix(maker)?;
        // `AMD Radeon Graphics` has no other name.
        rest.contains(|c: char| c.is_ascii_digit()).then_some(rest)
    });
    let name = shortest.unwrap_or(&plain);
    let words: Vec<&str> = name.split(' ').collect();
    let end = words.iter().enumerate().position(|(index, &word)| {
        let cores = word.strip_suffix("-Core").or(word.strip_suffix("-Cores"));
        let is_count = |count: &str| count.bytes().all(|byte| byte.is_ascii_digit());
        let next = words.get(index + 1);
        cores.is_some_and(is_count) || (word == "CPU" && next == Some(&"@"))
    });
    match end {
        Some(end) if end > 0 => words[..end].join(" "),
        _ => name.to_owned(),
    }
}

/// The traits by which a run is named among others, the most telling first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Its id; `None` for a run that is not stored.
    pub id: Option<i64>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The quantisation.
    pub quant: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// The accelerator's name.
    pub accelerator: Option<String>,
    /// The runtime's name.
    pub runtime: Option<String>,
    /// The runtime's version.
    pub version: Option<String>,
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
}

/// What a trait is called, and its value in a run.
type Trait = (&'static str, fn(&Traits) -> Option<String>);

/// How runs that are shown together are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// What all of them have: model, quantisation, accelerator, runtime and version.
    pub title: String,
    /// What tells each from the others, without its id: `Q4_K_M`, `v0.9.3`. Empty where only the id
    /// does.
    pub each: Vec<String>,
    /// What these names consist of: `quant`, `version`.
    pub by: Vec<&'static str>,
}

impl Names {
    /// The names of these runs.
    #[must_use]
    pub(crate) fn of(runs: &[Traits]) -> Self {
        let short = |text: &Option<String>, short: fn(&str) -> String| text.as_deref().map(short);
        let columns: [Trait; 7] = [
            ("tag", |run| {
                (!run.tags.is_empty()).then(|| run.tags.join(" "))
            }),
            ("quant", |run| run.quant.as_deref().map(short_quant)),
            ("model", |run| run.model.clone()),
            ("accelerator", |run| {
                run.accelerator.as_deref().map(short_device)
            }),
            ("version", |run| run.version.as_deref().map(with_v)),
            ("date", |run| Some(date(run.measured_at))),
            ("time", |run| {
                Some(utc(run.measured_at)?.get(11..16)?.to_owned())
            }),
        ];
        let mut by = Vec::new();
        let mut each: Vec<Vec<String>> = vec![Vec::new(); runs.len()];
        for (trait_name, column) in columns {
            let all_differ = (1..each.len()).all(|index| !each[..index].contains(&each[index]));
            if all_differ && runs.len() > 1 {
                break;
            }
            let values: Vec<Option<String>> = runs.iter().map(column).collect();
            if values.iter().any(|value| *value != values[0]) {
                by.push(trait_name);
                for (name, value) in each.iter_mut().zip(values) {
                    name.extend(value);
                }
            }
        }
        let version = shared(runs, |run| run.version.clone());
        let runtime = shared(runs, |run| run.runtime.clone());
        let runtime = match (runtime, version) {
            (Some(runtime), Some(version)) => Some(format!("{runtime} {version}")),
            (runtime, _) => runtime,
        };
        let title = [
            shared(runs, |run| run.model.clone()),
            shared(runs, |run| short(&run.quant, short_quant)),
            shared(runs, |run| run.accelerator.clone()),
            runtime,
        ];
        Self {
            title: title.into_iter().flatten().collect::<Vec<_>>().join(", "),
            each: each.into_iter().map(|name| name.join(" ")).collect(),
            by,
        }
    }
}

/// The value that all runs have.
fn shared(runs: &[Traits], value: impl Fn(&Traits) -> Option<String>) -> Option<String> {
    let first = value(runs.first()?)?;
    runs.iter()
        .all(|run| value(run).as_ref() == Some(&first))
        .then_some(first)
}

fn with_v(version: &str) -> String {
    if version.starts_with(|c: char| c.is_ascii_digit()) {
        format!("v{version}")
    } else {
        version.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantisation_is_called_as_its_files_are() {
        for (long, short) in [
            ("Q4_K - Medium", "Q4_K_M"),
            ("Q3_K - Small", "Q3_K_S"),
            ("Q3_K - Large", "Q3_K_L"),
            ("Q2_K - Medium", "Q2_K"),
            ("Q2_K - Small", "Q2_K_S"),
            ("IQ3_XXS - 3.0625 bpw", "IQ3_XXS"),
            ("TQ1_0 - 1.69 bpw ternary", "TQ1_0"),
            ("IQ3_S mix - 3.66 bpw", "IQ3_S mix"),
            ("Q8_0", "Q8_0"),
            ("F16", "F16"),
            ("my own - quant", "my own - quant"),
            ("", ""),
        ] {
            assert_eq!(short_quant(long), short);
        }
    }

    #[test]
    fn a_model_of_llama_bench_loses_its_quantisation() {
        for (model, quant, plain) in [
            ("llama 8B Q4_K - Medium", "Q4_K - Medium", "llama 8B"),
            ("LLaMA 7B mostly Q4_0", "Q4_0", "LLaMA 7B"),
            ("qwen3moe 30B.A3B Q8_0", "Q8_0", "qwen3moe 30B.A3B"),
            ("llama 8B", "", "llama 8B"),
            ("llama8BQ4_0", "Q4_0", "llama8BQ4_0"),
            ("Q4_0", "Q4_0", "Q4_0"),
            (" Q4_0", "Q4_0", " Q4_0"),
        ] {
            assert_eq!(Tool::LlamaBench.plain_model(model, quant), plain);
            assert_eq!(Tool::LocalScore.plain_model(model, quant), model);
        }
    }

    #[test]
    fn a_device_loses_its_maker() {
        for (long, short) in [
            ("NVIDIA GeForce RTX 4090", "RTX 4090"),
            ("NVIDIA GeForce RTX 5090 显卡", "RTX 5090 显卡"),
            ("NVIDIA RTX PRO 6000 Blackwell", "RTX PRO 6000 Blackwell"),
            ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
            ("AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
            ("AMD Radeon Graphics", "AMD Radeon Graphics"),
            (
                "AMD Ryzen 9 7950X 16-Core Processor (znver4)",
                "Ryzen 9 7950X",
            ),
            ("AMD EPYC 7352 24-Core Processor", "EPYC 7352"),
            (
                "Intel(R) Core(TM) i7-7700K CPU @ 4.20GHz (skylake)",
                "Core i7-7700K",
            ),
            ("Apple M4 Max 12P+4E+40GPU", "Apple M4 Max 12P+4E+40GPU"),
            (
                "NVIDIA GeForce RTX 4090, NVIDIA GeForce RTX 3090",
                "RTX 4090, RTX 3090",
            ),
            (
                "NVIDIA A100-SXM4-80GB/NVIDIA A100-SXM4-80GB",
                "2× A100-SXM4-80GB",
            ),
            (
                "AMD Ryzen 7 7840U w/ Radeon 780M Graphics",
                "Ryzen 7 7840U w/ Radeon 780M Graphics",
            ),
            ("", ""),
        ] {
            assert_eq!(short_device(long), short);
        }
    }

    fn run(quant: &str, version: &str, tags: &[&str]) -> Traits {
        Traits {
            quant: Some(quant.to_owned()),
            model: Some("Llama 8B".to_owned()),
            accelerator: Some("NVIDIA GeForce RTX 4090".to_owned()),
            runtime: Some("llamafile".to_owned()),
            version: Some(version.to_owned()),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            ..Traits::default()
        }
    }

    #[test]
    fn runs_are_called_by_what_tells_them_apart() {
        let medium = "Q4_K - Medium";
        let names = Names::of(&[run(medium, "0.9.3", &[]), run(medium, "0.9.4", &[])]);
        assert_eq!(names.each, ["v0.9.3", "v0.9.4"]);
        assert_eq!(
            names.title,
            "Llama 8B, Q4_K_M, NVIDIA GeForce RTX 4090, llamafile"
        );
        let names = Names::of(&[run(medium, "0.9.3", &[]), run("F16", "0.9.4", &[])]);
        assert_eq!(names.each, ["Q4_K_M", "F16"]);
        assert_eq!(names.title, "Llama 8B, NVIDIA GeForce RTX 4090, llamafile");
        let names = Names::of(&[run(medium, "1", &["old"]), run("F16", "1", &[])]);
        assert_eq!(names.each, ["old", ""]);
        let three = [("Q8_0", &["a"][..]), ("Q8_0", &[]), ("F16", &[])];
        let names = Names::of(&three.map(|(quant, tags)| run(quant, "1", tags)));
        assert_eq!(names.each, ["a Q8_0", "Q8_0", "F16"]);
        let mut later = run("F16", "1", &[]);
        later.measured_at = 90_000;
        let names = Names::of(&[run("F16", "1", &[]), later]);
        assert_eq!(names.each, ["1970-01-01", "1970-01-02"]);
        assert_eq!(
            Names::of(&[run("F16", "1", &[]), run("F16", "1", &[])]).each,
            ["", ""]
        );
        assert_eq!(Names::of(&[]), Names::default());
    }
}
