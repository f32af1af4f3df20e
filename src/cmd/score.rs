use super::Context;
use super::show::partial_remark;
use crate::formats::score_display;
use crate::store::{Store, runs, select};
use base::{Result, color_wanted};

/// Print the score display of LocalScore
///
/// As in LocalScore, colour is on even in a pipe, unless NO_COLOR is set to something that is
/// neither empty nor begins with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: NO_COLOR=1 localstore score last --plaintext")]
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
