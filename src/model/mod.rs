//! Plain data: benchmark runs and chats. No SQL, no I/O.
//!
//! Fields have the names that the C tool gives them, with their units. A value that may be missing
//! in a capture is an `Option`.

pub(crate) mod bench;
mod chat;
mod complete;
mod difference;
mod field;
mod localscore;
mod machine;
mod naming;
mod needle;
pub(crate) mod site;
mod submission;
mod suite;
mod summary;
mod text;

pub(crate) use chat::{Chat, ChatActivity, Hit, Message, NewMessage, Role, Sampling};
pub(crate) use difference::{Difference, differences};
pub(crate) use field::{Draft, Field, HeaderField, Kind, NewValue, Value};
pub(crate) use localscore::LocalScore;
pub(crate) use naming::{Names, Traits, short_device, short_quant};
pub(crate) use needle::Needle;
pub(crate) use site::Site;
pub(crate) use submission::{Submission, SubmissionState};
pub(crate) use suite::{Mismatch, Suite, Tool};
pub(crate) use summary::{Figures, Summary, listed_score};
pub(crate) use text::{Piece, Text};

use std::sync::Arc;

/// One benchmark of one model on one machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Run {
    /// Program, computer and accelerator.
    pub environment: Environment,
    /// The tests, in the order in which they were run.
    pub tests: Vec<Test>,
    /// The kind of capture that contained the run.
    pub source: Source,
    /// The program that measured it.
    pub tool: Tool,
}

/// The kind of capture that contained a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// A console table: rounded values, and few properties of the model.
    Console,
    /// A row of a LocalScore database: no samples, no deviations, no file name.
    Site,
    /// A csv document: the tests without samples, and no machine.
    Csv,
    /// A json document: all values.
    #[default]
    Json,
}

impl Source {
    /// The name in the store.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Site => "site",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// The source with this name.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Console, Self::Site, Self::Csv, Self::Json];
        all.into_iter().find(|source| source.name() == name)
    }

    /// Whether the values of these captures are rounded.
    #[must_use]
    pub(crate) fn is_rounded(self) -> bool {
        self == Self::Console
    }
}

/// The header of a json document: runtime, system and accelerator.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Environment {
    /// The benchmark program.
    pub runtime: RuntimeInfo,
    /// The computer.
    pub system: SystemInfo,
    /// The device that ran the model.
    pub accelerator: AcceleratorInfo,
}

/// The benchmark program.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RuntimeInfo {
    /// `llamafile` for the C tool.
    pub name: Option<Text>,
    /// The release of llamafile.
    pub version: Option<Text>,
    /// The commit of llama.cpp.
    pub commit: Option<Text>,
}

/// The computer that a run was measured on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SystemInfo {
    /// Processor name, with its microarchitecture in parentheses.
    pub cpu_name: Option<Text>,
    /// As `uname -m`.
    pub cpu_arch: Option<Text>,
    /// Main memory in GiB.
    pub ram_gb: Option<f64>,
    /// As `uname -s`.
    pub kernel_type: Option<Text>,
    /// As `uname -r`.
    pub kernel_release: Option<Text>,
    /// As `uname -v`.
    pub version: Option<Text>,
}

/// The device that ran the model: a GPU, or the processor.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AcceleratorInfo {
    /// The driver's name for it.
    pub name: Option<Text>,
    /// Its manufacturer.
    pub manufacturer: Option<Text>,
    /// Memory in GiB.
    pub memory_gb: Option<f64>,
    /// `GPU`, `CPU` or `TPU`.
    pub kind: Option<Text>,
}

/// The fields of a test that describe the model and its build.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the names of the C tool")]
pub(crate) struct Model {
    /// Commit of llama.cpp.
    pub build_commit: Option<Text>,
    /// Build number of llama.cpp.
    pub build_number: Option<i64>,
    /// `general.name` of the model file.
    pub model_name: Option<Text>,
    /// Quantisation, such as `Q4_K - Medium`.
    pub model_quant_str: Option<Text>,
    /// Size label, such as `8B`; may be empty.
    pub model_params_str: Option<Text>,
    /// File name without its folder.
    pub model_filename: Option<Text>,
    /// Architecture, size and quantisation in one text.
    pub model_type: Option<Text>,
    /// Bytes of the weights.
    pub model_size: Option<u64>,
    /// Number of parameters.
    pub model_n_params: Option<u64>,
    /// Index of the GPU; -1 for a run on the CPU and on Apple.
    pub main_gpu: Option<i64>,
    /// What llama.cpp computed with, such as `CUDA`. Only llama-bench tells.
    pub backend: Option<Text>,
}

/// One test of a run: one prompt length and one generation length.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the names of the C tool")]
pub(crate) struct Test {
    /// The model.
    pub model: Model,
    /// Such as `pp1024+tg16`.
    pub name: Text,
    /// Prompt tokens.
    pub n_prompt: i64,
    /// Generated tokens.
    pub n_gen: i64,
    /// When the test began: RFC 3339, UTC.
    pub test_time: Option<Text>,
    /// Mean time of the whole test, in milliseconds.
    pub avg_time_ms: Option<f64>,
    /// Its standard deviation as the C tool computes it, which overflows above 4.29 s.
    pub stddev_time_ms: Option<f64>,
    /// Prompt processing, tokens per second.
    pub prompt_tps: Option<f64>,
    /// Prompt processing per watt; 0 means not measured.
    pub prompt_tps_watt: Option<f64>,
    /// Standard deviation of `prompt_tps` over the repetitions.
    pub prompt_tps_stddev: Option<f64>,
    /// Generation, tokens per second.
    pub gen_tps: Option<f64>,
    /// Generation per watt; 0 means not measured.
    pub gen_tps_watt: Option<f64>,
    /// Standard deviation of `gen_tps` over the repetitions.
    pub gen_tps_stddev: Option<f64>,
    /// Power in watts; 0 means not measured.
    pub power_watts: Option<f64>,
    /// Time to first token, in milliseconds.
    pub ttft_ms: Option<f64>,
    /// Time of each repetition of the whole test, in nanoseconds; but see
    /// [`Self::repetition_times`].
    pub samples_ns: Option<Vec<u64>>,
    /// The number of repetitions, if the capture has it without the samples.
    pub reps: Option<u64>,
    /// Tokens that were in the context before the test; LocalScore has none there.
    pub n_depth: i64,
    /// Speed of the whole test, tokens per second. Only llama-bench tells.
    pub tps: Option<f64>,
    /// Standard deviation of `tps` over the repetitions.
    pub tps_stddev: Option<f64>,
    /// How llama-bench was set; `None` for a test of LocalScore.
    pub settings: Option<Arc<bench::Settings>>,
}

impl Environment {
    /// The values that identify a run without tests: its strings, then its numbers. Fingerprints in
    /// stores are hashes of them, so the order must not change.
    pub(crate) fn identity(&self) -> impl Iterator<Item = Value<'_>> {
        let fields_of_kind = |kind| {
            let fields = HeaderField::ALL.iter();
            fields.filter(move |field| field.kind() == kind)
        };
        let fields = fields_of_kind(Kind::Text).chain(fields_of_kind(Kind::Number));
        fields.map(|field| field.get(self))
    }
}

/// The size of the strings among these values.
fn text_bytes<'a>(values: impl Iterator<Item = Value<'a>>) -> usize {
    let lengths = values.map(|value| match value {
        Value::Text(text) => text.as_bytes().len(),
        _ => 0,
    });
    lengths.sum()
}

impl Run {
    /// The model of the first test.
    #[must_use]
    pub(crate) fn model(&self) -> Option<&Model> {
        self.tests.first().map(|test| &test.model)
    }

    /// The suite of its tests.
    #[must_use]
    pub(crate) fn suite(&self) -> &'static dyn Suite {
        self.tool.suite()
    }

    /// The number of tests of its suite that it has.
    #[must_use]
    pub(crate) fn present_tests(&self) -> usize {
        self.suite().present(&self.tests)
    }

    /// Whether a test of its suite is missing, so that its score is not comparable.
    #[must_use]
    pub(crate) fn is_partial(&self) -> bool {
        self.present_tests() < self.suite().expected().len()
    }

    /// Its approximate size in memory, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        let tests: usize = self.tests.iter().map(Test::bytes).sum();
        size_of::<Self>() + text_bytes(self.environment.identity()) + tests
    }

    /// Averages and score of LocalScore.
    #[must_use]
    pub(crate) fn summary(&self) -> Summary {
        Summary::new(&self.tests)
    }

    /// What lists show of it.
    #[must_use]
    pub(crate) fn figures(&self) -> Figures {
        self.suite().figures(&self.tests)
    }
}

impl Test {
    /// The number of repetitions, if it is known.
    ///
    /// Without samples it is one if all deviations are zero, which the C tool prints for a single
    /// repetition.
    #[must_use]
    pub(crate) fn repetitions(&self) -> Option<usize> {
        if self.samples_ns.is_some() {
            return self.repetition_times().map(<[u64]>::len);
        }
        if self.reps.is_some() {
            return self.reps.and_then(|reps| usize::try_from(reps).ok());
        }
        if self.settings.is_some() {
            return (self.tps_stddev == Some(0.0)).then_some(1);
        }
        let deviations = [
            self.stddev_time_ms,
            self.prompt_tps_stddev,
            self.gen_tps_stddev,
        ];
        deviations
            .iter()
            .all(|deviation| *deviation == Some(0.0))
            .then_some(1)
    }

    /// Its approximate size in memory, in bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        let texts = text_bytes(Field::ALL.iter().map(|field| field.get(self)));
        size_of::<Self>() + texts + 8 * self.samples_ns.as_ref().map_or(0, Vec::len)
    }

    /// The samples, if they are the times of the repetitions.
    ///
    /// Another client stores the times of the prompt and the generation of a single repetition there:
    /// then `avg_time_ms` is their sum, not their mean.
    #[must_use]
    pub(crate) fn repetition_times(&self) -> Option<&[u64]> {
        let samples = self.samples_ns.as_deref().filter(|s| !s.is_empty())?;
        match self.avg_time_ms.filter(|time| time.is_finite()) {
            Some(time) if !is_mean(time, samples) => None,
            _ => Some(samples),
        }
    }
}

/// Whether a time is the mean of the samples, which the C tool truncates to whole nanoseconds, and
/// other programs and the console table round by less than 1%. (The sum of two phases is twice their
/// mean.)
fn is_mean(time_ms: f64, samples_ns: &[u64]) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "by far less than 1%")]
    let mean_ms = {
        let sum: u128 = samples_ns.iter().copied().map(u128::from).sum();
        sum as f64 / samples_ns.len() as f64 / 1e6
    };
    (mean_ms - time_ms).abs() <= f64::max(time_ms / 100.0, 1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_repetitions_where_the_time_is_their_mean() {
        let repetitions = |avg_time_ms, samples: &[u64]| {
            let samples_ns = Some(samples.to_vec());
            Test {
                avg_time_ms,
                samples_ns,
                ..Test::default()
            }
            .repetitions()
        };
        let samples = &[242_647_086, 242_647_089, 242_647_090];
        // Truncated as by the C tool, rounded up, exact, and as in the console table.
        for time in [242.647_088, 242.647_089, 242.647_088_333_333, 242.65] {
            assert_eq!(repetitions(Some(time), samples), Some(3), "{time}");
        }
        assert_eq!(repetitions(Some(1010.0), &[1_005_000_001; 4]), Some(4));
        assert_eq!(repetitions(Some(0.0), &[0, 1]), Some(2));
        assert_eq!(repetitions(Some(1.8446e13), &[u64::MAX; 2]), Some(2));
        assert_eq!(repetitions(None, samples), Some(3));
        assert_eq!(repetitions(Some(f64::NAN), samples), Some(3));
        // The phases of a single repetition, and other times.
        assert_eq!(repetitions(Some(242.65), &[122_830_000, 119_820_000]), None);
        assert_eq!(repetitions(Some(242.65), &[242_000_000, 650_000]), None);
        assert_eq!(repetitions(Some(246.0), samples), None);
        assert_eq!(repetitions(Some(f64::MAX), samples), None);
        assert_eq!(repetitions(Some(-1.0), samples), None);
        assert_eq!(repetitions(Some(1.0), &[]), None);
    }
}
