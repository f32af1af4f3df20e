use super::{Context, Other, Output, name, other, print_changed, say};
use crate::document::Documents;
use crate::name::Name;
use crate::record::{Bom, Record};
use base::{Error, Result};

/// Copy a record to another tag or prompt: promote it
///
/// The overrides are the same, the header is that of the new place. What is there and different is
/// replaced with --force only.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt copy demo/welcome@candidate @stable")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG
    #[arg(value_name = "NAME", value_parser = name)]
    name: Name,
    /// Where to: @TAG of the same prompt, or another NAME
    #[arg(value_name = "NAME2", value_parser = other)]
    to: Other,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    /// The output format; json and jsonl print the record as it is then
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let (name, to) = (&args.name, args.to.relative_to(&args.name));
    let source = context.overrides.required(name)?;
    let known = context.known(None);
    known.check(&source)?;
    let documents = if to.prompt == name.prompt {
        Documents::default()
    } else {
        context.documents(Some(&to.prompt))?
    };
    let file = context.overrides.file(&to);
    let record = source.renamed(file.clone(), &to, documents.find(&to.prompt));
    known.check(&record)?;
    let bytes = record.to_bytes();
    let is_changed = context.overrides.replace(&record, |there| {
        match Record::read(&file, &to, there, Bom::Ignore) {
            Ok(there) if there.to_bytes() == bytes => Ok(false),
            _ if args.force => Ok(true),
            Ok(_) => Err(
                Error::new(&to, "there already, and different").hint(format!(
                    "'localstore prompt diff {name} {to}' shows it, --force replaces it"
                )),
            ),
            Err(problem) => Err(problem.error(&file).hint("--force replaces it")),
        }
    })?;
    if is_changed {
        say(&to, format_args!("copied from {name}"));
    } else {
        say(&to, format_args!("the same as {name} already"));
    }
    print_changed(Some(record), args.output, context.out)
}
