//! How several commands print a run, in words and in columns.

use crate::model::{Text, Traits};
use crate::store::Listed;
use base::number::amount;
use base::time::date;
use base::{Column, ColumnOf};

/// The columns of tables of runs.
pub(crate) const ID: ColumnOf<Listed> = ("id", Column::Number, |run| run.id.to_string());
pub(crate) const MEASURED: ColumnOf<Listed> = ("measured", Column::Whole, measured);
pub(crate) const SCORE: ColumnOf<Listed> = ("score", Column::Number, score);
pub(crate) const PROMPT_TPS: ColumnOf<Listed> = ("pp t/s", Column::Number, |run| {
    amount(run.summary.avg_prompt_tps)
});
pub(crate) const GEN_TPS: ColumnOf<Listed> = ("tg t/s", Column::Number, |run| {
    amount(run.summary.avg_gen_tps)
});
pub(crate) const TTFT_MS: ColumnOf<Listed> = ("ttft ms", Column::Number, |run| {
    amount(run.summary.avg_ttft_ms)
});

/// The score in a table: `~` marks one that was computed from rounded values, `p` that of a partial
/// run.
pub(crate) fn score(run: &Listed) -> String {
    let rounded = if run.source.is_rounded() { "~" } else { "" };
    let partial = if run.partial { "p" } else { "" };
    format!("{rounded}{}{partial}", run.summary.listed_score())
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

/// What may tell the run from others.
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

/// `1 run`, `2 runs`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
