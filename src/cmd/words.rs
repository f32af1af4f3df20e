//! How several commands print a run, in words and in columns.

use crate::model::bench::DocumentRun;
use crate::model::{Run, Text, Traits, listed_score, short_device, short_quant};
use crate::store::Listed;
use base::number::amount;
use base::time::date;
use base::{Column, ColumnOf};

/// The columns of tables of runs.
pub(crate) const ID: ColumnOf<Listed> = ("id", Column::Number, |run| run.id.to_string());
pub(crate) const MEASURED: ColumnOf<Listed> = ("measured", Column::Whole, measured);
pub(crate) const SCORE: ColumnOf<Listed> = ("score", Column::Number, score);
pub(crate) const PROMPT_TPS: ColumnOf<Listed> = ("pp t/s", Column::Number, |run| {
    run.figures.prompt_tps.map_or_else(String::new, amount)
});
pub(crate) const GEN_TPS: ColumnOf<Listed> = ("tg t/s", Column::Number, |run| {
    run.figures.gen_tps.map_or_else(String::new, amount)
});
pub(crate) const TTFT_MS: ColumnOf<Listed> = ("ttft ms", Column::Number, |run| {
    run.figures.ttft_ms.map_or_else(String::new, amount)
});

/// The score in a table: `~` marks one that was computed from rounded values, `p` that of a partial
/// run.
pub(crate) fn score(run: &Listed) -> String {
    let score = run.figures.score;
    score.map_or_else(String::new, |score| {
        marked_score(score, run.source.is_rounded(), run.partial)
    })
}

fn marked_score(score: f64, is_rounded: bool, is_partial: bool) -> String {
    let rounded = if is_rounded { "~" } else { "" };
    let partial = if is_partial { "p" } else { "" };
    format!("{rounded}{}{partial}", listed_score(score))
}

/// When it was measured; `~` marks a date that was guessed.
pub(crate) fn measured(run: &Listed) -> String {
    let about = if run.measured_guessed { "~" } else { "" };
    format!("{about}{}", date(run.measured_at))
}

/// The text, or a placeholder such as `unknown model`.
pub(crate) fn known(text: &Option<Text>, name: &str) -> String {
    text_or(text, &format!("unknown {name}"))
}

/// The text in a table, or `?`.
pub(crate) fn cell(text: &Option<Text>) -> String {
    text_or(text, "?")
}

/// The text, or `unknown` in its place.
pub(crate) fn text_or(text: &Option<Text>, unknown: &str) -> String {
    let text = text.as_ref().map(Text::to_string);
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| unknown.to_owned())
}

/// The traits by which the run is named among others.
pub(crate) fn traits(run: &Listed) -> Traits {
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    Traits {
        id: Some(run.id),
        tags: run.tags.clone(),
        quant: text(&run.quant),
        model: text(&run.model),
        accelerator: text(&run.accelerator),
        runtime: text(&run.runtime),
        version: text(&run.runtime_version),
        measured_at: run.measured_at,
    }
}

/// The run on one line: model, quantisation, accelerator, score.
pub(crate) fn describe(run: &Run) -> String {
    let model = run.model();
    let name = model.and_then(|model| model.model_name.clone());
    let quant = model.and_then(|model| model.model_quant_str.as_ref());
    let accelerator = known(&run.environment.accelerator.name, "accelerator");
    let score = run.suite().score(&run.tests).map(|score| {
        let score = marked_score(score, run.source.is_rounded(), run.is_partial());
        format!("score {score}")
    });
    let partial = run.is_partial().then(|| {
        let expected = run.suite().expected().len();
        format!("partial: {} of {expected} tests", run.present_tests())
    });
    let parts = [
        Some(known(&name, "model")),
        quant.map(|quant| short_quant(&quant.to_string())),
        Some(short_device(&accelerator)),
        score,
        partial,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A run of llama-bench on one line: model, accelerator, speeds.
pub(crate) fn describe_bench(run: &DocumentRun) -> String {
    let identity = &run.identity;
    let model = known(&identity.get("model_type").cloned(), "model");
    let accelerator = known(&identity.accelerator().cloned(), "accelerator");
    let speed =
        |name: &str, speed: Option<f64>| speed.map(|speed| format!("{name} {} t/s", amount(speed)));
    let parts = [
        Some(model),
        Some(short_device(&accelerator)),
        speed("pp", run.speeds.prompt),
        speed("tg", run.speeds.generation),
        Some(counted(run.tests, "test")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `1 run`, `2 runs`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
