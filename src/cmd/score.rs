use super::show::partial_remark;
use super::{Context, resolve};
use crate::formats::score_display;
use crate::model::Tool;
use crate::store::{Store, runs, select};
use base::{Error, Result, color_wanted};

/// Print the score display of LocalScore
///
/// As in LocalScore, colour is used even in a pipe, unless NO_COLOR is set to a value that is not
/// empty and does not begin with 0. Runs of llama-bench have no score.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: NO_COLOR=1 localstore score last --plaintext")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N', 'best' or a tag
    #[arg(default_value = "last")]
    run: String,
    /// Print a line of text instead of the logo and the large digits
    #[arg(long)]
    plaintext: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let id = resolve(&store, &args.run)?;
    if store.read(|db| select::listed(db, id))?.tool == Tool::LlamaBench {
        let why = "llama-bench measured it, and only LocalScore has one";
        return Err(Error::new(format_args!("run {id}: no score"), why));
    }
    let run = store.read(|db| runs::read(db, id))?;
    let style = score_display::Style {
        color: color_wanted(),
        plaintext: args.plaintext,
    };
    let mut display = Vec::new();
    score_display::write(&mut display, &run.summary(), style)?;
    context.out.styled(&display)?;
    if let Some(remark) = partial_remark(id, &run) {
        context.note(&remark);
    }
    Ok(())
}
