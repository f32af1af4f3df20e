//! The document that is sent: what the C tool would send for the run, byte for byte.

use crate::formats::llamafile_json::Json;
use crate::model::{Field, Run, Test, Text, Value};

/// The fields that the site ignores: deviations. The C tool prints nan in them where all repetitions
/// took the same time, and then refuses its own result.
const IGNORED: [Field; 3] = [
    Field::StddevTimeMs,
    Field::PromptTpsStddev,
    Field::GenTpsStddev,
];

/// The document for a run.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    /// The document of the C tool with `results_summary`. Values that the run lacks are left out.
    pub json: Json,
    /// The fields in which 0 stands for a value that is not a number, and in how many tests.
    pub zeros: Vec<(Field, usize)>,
}

impl Payload {
    /// The payload of a run.
    pub(crate) fn of(run: &Run) -> Self {
        let environment = &run.environment;
        let runtime = &environment.runtime;
        let runtime = object([
            ("name", text(&runtime.name)),
            ("version", text(&runtime.version)),
            ("commit", text(&runtime.commit)),
        ]);
        let system = &environment.system;
        let system = object([
            ("cpu_name", text(&system.cpu_name)),
            ("cpu_arch", text(&system.cpu_arch)),
            ("ram_gb", system.ram_gb.map(Json::Double)),
            ("kernel_type", text(&system.kernel_type)),
            ("kernel_release", text(&system.kernel_release)),
            ("version", text(&system.version)),
        ]);
        let accelerator = &environment.accelerator;
        // The one field that may be null but must not be missing.
        let manufacturer = text(&accelerator.manufacturer).unwrap_or(Json::Null);
        let accelerator = object([
            ("name", text(&accelerator.name)),
            ("manufacturer", Some(manufacturer)),
            ("memory_gb", accelerator.memory_gb.map(Json::Double)),
            ("type", text(&accelerator.kind)),
        ]);
        let summary = run.summary();
        let summary = Json::object([
            ("avg_prompt_tps", Json::Double(summary.avg_prompt_tps)),
            ("avg_gen_tps", Json::Double(summary.avg_gen_tps)),
            ("avg_ttft_ms", Json::Double(summary.avg_ttft_ms)),
            ("performance_score", Json::Double(summary.performance_score)),
        ]);
        let results = run.tests.iter().map(result).collect();
        let zeros = IGNORED.into_iter().map(|field| {
            let is_zero = |test: &&Test| is_not_finite(field.get(test));
            (field, run.tests.iter().filter(is_zero).count())
        });
        Self {
            json: Json::object([
                ("runtime_info", runtime),
                ("system_info", system),
                ("accelerator_info", accelerator),
                ("results", Json::Array(results)),
                ("results_summary", summary),
            ]),
            zeros: zeros.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// The document in one line, without a newline.
    pub(crate) fn text(&self) -> String {
        self.json.compact()
    }
}

fn result(test: &Test) -> Json {
    let fields = Field::ALL.iter().map(|&field| {
        let value = match field.get(test) {
            Value::Missing => None,
            value if IGNORED.contains(&field) && is_not_finite(value) => Some(Json::Double(0.0)),
            Value::Text(value) => Some(Json::String(value.as_bytes().to_vec())),
            Value::Integer(value) => Some(Json::Integer(value)),
            Value::Unsigned(value) => Some(Json::from(value)),
            Value::Number(value) => Some(Json::Double(value)),
        };
        (field.name(), value)
    });
    let samples = test.samples_ns.as_ref().map(|samples| {
        let samples = samples.iter().map(|&sample| Json::from(sample));
        Json::Array(samples.collect())
    });
    object(fields.chain([("samples_ns", samples)]))
}

fn is_not_finite(value: Value<'_>) -> bool {
    matches!(value, Value::Number(value) if !value.is_finite())
}

fn text(value: &Option<Text>) -> Option<Json> {
    let value = value.as_ref()?;
    Some(Json::String(value.as_bytes().to_vec()))
}

/// An object of the members that have a value.
fn object<'a>(members: impl IntoIterator<Item = (&'a str, Option<Json>)>) -> Json {
    let present = |(key, value): (&'a str, Option<Json>)| Some((key, value?));
    Json::object(members.into_iter().filter_map(present))
}
