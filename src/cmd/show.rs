use std::io::Write;

use super::{Context, submission};
use crate::formats::console;
use crate::formats::score_display as score;
use crate::store::{Store, runs, select, submissions};
use base::{Error, Result};
use base::{color_wanted, note};

/// Show a run as LocalScore ends: the table and the score
///
/// Colour only on a terminal, and not with NO_COLOR.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore show last~1")]
pub struct Args {
    /// An id, 'last', 'last~N' or a tag
    #[arg(default_value = "last")]
    run: String,
    /// A line of text in place of the logo and the large digits
    #[arg(long)]
    plaintext: bool,
}

pub fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let id = store.read(|db| select::resolve(db, &args.run))?;
    let run = store.read(|db| runs::read(db, id))?;
    let out = &mut context.out;
    console::write(out, &run).map_err(|error| Error::stdout(&error))?;
    let style = score::Style {
        color: out.is_terminal() && color_wanted(),
        plaintext: args.plaintext,
    };
    let mut display = Vec::new();
    score::write(&mut display, &run.summary(), style).map_err(|error| Error::stdout(&error))?;
    out.styled(&display)?;
    if let Some(remark) = partial_remark(id, &run) {
        out.flush().map_err(|error| Error::stdout(&error))?;
        note(&remark);
    }
    if let Some(found) = store.read(|db| submissions::submission(db, id))? {
        out.flush().map_err(|error| Error::stdout(&error))?;
        note(&submission::remark(id, &found));
    }
    Ok(())
}

/// What is to be said beside the score of a partial run.
pub fn partial_remark(id: i64, run: &crate::model::Run) -> Option<String> {
    run.is_partial().then(|| {
        format!(
            "run {id} is partial, it has {} of the 9 tests: its score is not comparable",
            run.baseline_tests()
        )
    })
}
