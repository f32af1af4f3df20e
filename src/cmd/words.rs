//! How several commands print a run, in words and in columns.

use crate::model::bench::DocumentRun;
use crate::model::{
    Figures, Model, Run, Source, Text, Tool, Traits, listed_score, short_device, short_quant,
};
use crate::store::Listed;
#[cfg(feature = "network")]
use crate::store::foreign::Foreign;
use base::number::amount;
use base::time::date;
use base::{Column, ColumnOf, counted};

/// The columns of tables of runs.
pub(crate) const ID: ColumnOf<Listed> = ("id", Column::Number, |run| run.id.to_string());
pub(crate) const MEASURED: ColumnOf<Listed> = ("measured", Column::Whole, measured);
pub(crate) const SCORE: ColumnOf<Listed> = ("score", Column::Number, score);
pub(crate) const PROMPT_TPS: ColumnOf<Listed> = ("pp t/s", Column::Number, |run| {
    speed(run, run.figures.prompt_tps)
});
pub(crate) const GEN_TPS: ColumnOf<Listed> = ("tg t/s", Column::Number, |run| {
    speed(run, run.figures.gen_tps)
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

/// The speed in a table: `~` marks one that was rounded, where there is no score that could be marked.
fn speed(run: &Listed, speed: Option<f64>) -> String {
    let is_marked = run.tool == Tool::LlamaBench && run.source.is_rounded();
    let about = if is_marked { "~" } else { "" };
    speed.map_or_else(String::new, |speed| format!("{about}{}", amount(speed)))
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
        model: model_name(run.tool, &run.model, &run.quant),
        accelerator: text(&run.accelerator),
        runtime: text(&run.runtime),
        version: text(&run.runtime_version),
        measured_at: run.measured_at,
    }
}

/// The run on one line: model, quantisation, accelerator, and its score or speeds.
pub(crate) fn describe(run: &Run) -> String {
    let unknown = Model::default();
    let model = run.model().unwrap_or(&unknown);
    let names = Names {
        tool: run.tool,
        model: &model.model_name,
        quant: &model.model_quant_str,
        accelerator: &run.environment.accelerator.name,
    };
    if run.tool == Tool::LlamaBench {
        let tests = run.tests.len() as u64;
        return names.with(&speeds(run.figures(), run.source, tests));
    }
    let score = run.suite().score(&run.tests).map(|score| {
        let score = marked_score(score, run.source.is_rounded(), run.is_partial());
        format!("score {score}")
    });
    let partial = run.is_partial().then(|| {
        let expected = run.suite().expected().len();
        format!("partial: {} of {expected} tests", run.present_tests())
    });
    names.with(&[score, partial])
}

/// Model, quantisation and accelerator of a stored run, in full.
pub(crate) fn full_names(run: &Listed) -> String {
    let model = model_name(run.tool, &run.model, &run.quant);
    let parts = [
        Some(model.unwrap_or_else(|| "unknown model".to_owned())),
        run.quant.as_ref().map(Text::to_string),
        Some(known(&run.accelerator, "accelerator")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A stored run on one line.
pub(crate) fn describe_listed(run: &Listed) -> String {
    let names = Names {
        tool: run.tool,
        model: &run.model,
        quant: &run.quant,
        accelerator: &run.accelerator,
    };
    match run.tool {
        Tool::LocalScore => names.with(&[
            Some(format!("score {}", score(run))),
            run.partial.then(|| "partial".to_owned()),
        ]),
        Tool::LlamaBench => names.with(&speeds(run.figures, run.source, run.tests.unsigned_abs())),
    }
}

/// Describes a run that is sent, or came, from a store to another.
#[cfg(feature = "network")]
pub(crate) fn describe_foreign(foreign: &Foreign) -> String {
    match foreign {
        Foreign::Run(run) => describe(&run.dated.run),
        Foreign::Bench(bench) => {
            let document = &bench.part.document;
            let run = document.runs.first();
            run.map_or_else(String::new, |run| describe_bench(run, document.source))
        }
    }
}

/// Whether `-v` asks for every line.
pub(crate) fn is_verbose() -> bool {
    tracing::enabled!(tracing::Level::INFO)
}

/// A run of a document of llama-bench on one line.
pub(crate) fn describe_bench(run: &DocumentRun, source: Source) -> String {
    let model = run.identity.model();
    let names = Names {
        tool: Tool::LlamaBench,
        model: &model.model_name,
        quant: &model.model_quant_str,
        accelerator: &run.identity.accelerator().cloned(),
    };
    let figures = Figures {
        prompt_tps: run.speeds.prompt,
        gen_tps: run.speeds.generation,
        ..Figures::default()
    };
    names.with(&speeds(figures, source, run.tests))
}

/// The names in the line of a run.
struct Names<'a> {
    tool: Tool,
    model: &'a Option<Text>,
    quant: &'a Option<Text>,
    accelerator: &'a Option<Text>,
}

impl Names<'_> {
    /// They and what follows them.
    fn with(&self, more: &[Option<String>]) -> String {
        let model = model_name(self.tool, self.model, self.quant);
        let quant = self.quant.as_ref().map(Text::to_string);
        let parts = [
            Some(model.unwrap_or_else(|| "unknown model".to_owned())),
            quant.as_deref().map(short_quant),
            Some(short_device(&known(self.accelerator, "accelerator"))),
        ];
        let parts = parts.into_iter().chain(more.iter().cloned());
        parts.flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The model's name without its quantisation, which llama-bench has in it; `None` if it is not known.
pub(crate) fn model_name(tool: Tool, model: &Option<Text>, quant: &Option<Text>) -> Option<String> {
    let model = model.as_ref()?.to_string();
    let quant = quant.as_ref().map(Text::to_string).unwrap_or_default();
    let name = tool.plain_model(&model, &quant).to_owned();
    Some(name).filter(|name| !name.is_empty())
}

/// What llama-bench measured.
fn speeds(figures: Figures, source: Source, tests: u64) -> [Option<String>; 3] {
    let about = if source.is_rounded() { "~" } else { "" };
    let speed = |name: &str, speed: Option<f64>| {
        speed.map(|speed| format!("{name} {about}{} t/s", amount(speed)))
    };
    [
        speed("pp", figures.prompt_tps),
        speed("tg", figures.gen_tps),
        Some(counted(tests, "test")),
    ]
}
