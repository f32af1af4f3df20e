use super::{Context, submission};
use crate::formats::{console, score_display};
use crate::model::Run;
use crate::store::{Store, runs, select, submissions};
use base::{Result, color_wanted};

/// Show the table and the score of a run, as LocalScore prints them at its end
///
/// Colour only on a terminal, and not with NO_COLOR.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore show last~1")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N' or a tag
    #[arg(default_value = "last")]
    run: String,
    /// Print a line of text instead of the logo and the large digits
    #[arg(long)]
    plaintext: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let id = store.read(|db| select::resolve(db, &args.run))?;
    let run = store.read(|db| runs::read(db, id))?;
    let out = &mut context.out;
    console::write(out, &run)?;
    let style = score_display::Style {
        color: out.is_terminal() && color_wanted(),
        plaintext: args.plaintext,
    };
    let mut display = Vec::new();
    score_display::write(&mut display, &run.summary(), style)?;
    out.styled(&display)?;
    if let Some(remark) = partial_remark(id, &run) {
        context.note(&remark);
    }
    if let Some(found) = store.read(|db| submissions::submission(db, id))? {
        context.note(&submission::remark(id, &found));
    }
    Ok(())
}

/// The remark on the score of a partial run.
pub(crate) fn partial_remark(id: i64, run: &Run) -> Option<String> {
    run.is_partial().then(|| {
        format!(
            "run {id} is partial, it has {} of the {} tests: its score is not comparable",
            run.present_tests(),
            run.suite().expected().len()
        )
    })
}
