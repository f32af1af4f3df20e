use super::Context;
use super::show::partial_remark;
use crate::formats::score_display as score;
use crate::store::{Store, runs, select};
use base::{Error, Result};
use base::{color_wanted, note};

/// Print the score display of LocalScore
///
/// As in LocalScore, colour is on even in a pipe, unless NO_COLOR is set to something that is
/// neither empty nor begins with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: NO_COLOR=1 localstore score last --plaintext")]
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
    let style = score::Style {
        color: color_wanted(),
        plaintext: args.plaintext,
    };
    let mut display = Vec::new();
    score::write(&mut display, &run.summary(), style).map_err(|error| Error::stdout(&error))?;
    context.out.styled(&display)?;
    if let Some(remark) = partial_remark(id, &run) {
        context.out.finish()?;
        note(&remark);
    }
    Ok(())
}
