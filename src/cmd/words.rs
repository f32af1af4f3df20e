//! What several commands say of a run.

use crate::model::{Source, Text};
use crate::store::Listed;

/// The text, or `unknown model`.
pub(crate) fn known(text: Option<&Text>, name: &str) -> String {
    text.map_or_else(|| format!("unknown {name}"), Text::to_string)
}

/// `Llama 3.2 1B Instruct - Q4_K`.
pub(crate) fn with_quant(model: &str, quant: Option<&Text>) -> String {
    quant.map_or_else(|| model.to_owned(), |quant| format!("{model} - {quant}"))
}

/// The score in a table: `~` marks one of rounded values.
pub(crate) fn score(run: &Listed) -> String {
    let rounded = if run.source == Source::Console {
        "~"
    } else {
        ""
    };
    let partial = if run.partial { " partial" } else { "" };
    format!("{rounded}{}{partial}", run.summary.listed_score())
}
