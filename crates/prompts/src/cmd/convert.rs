use super::{Context, format, name, say};
use crate::name::Name;
use crate::overrides::Known;
use crate::record::{Bom, Format, Record};
use base::{Error, ExitStatus, Result, Stderr, counted, note};

/// Change the format of records, for another version of weakincentives
///
/// Format 1 is that of weakincentives up to 0.18, format 2 that of 0.19 and later. All records are read
/// and checked before the first is written. A summary, a visibility and overrides of examples have no
/// place in format 1: then nothing is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore prompt convert --to 2")]
pub(super) struct Args {
    /// NS/KEY or NS/KEY@TAG [default: all]
    #[arg(value_name = "NAME", value_parser = name)]
    names: Vec<Name>,
    /// The new format, 1 or 2
    #[arg(long, value_name = "FORMAT", value_parser = format, required = true)]
    to: Format,
    /// Print what would be converted without writing it
    #[arg(long)]
    dry_run: bool,
}

/// What is not written, and why.
type Refused = Vec<Error>;

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    let overrides = &context.overrides;
    let mut names = Vec::new();
    if args.names.is_empty() {
        for found in overrides.find_all()? {
            match found.name {
                Ok(name) => names.push(name),
                Err(why) => note(&format!("{}: {why}; passed over", found.file.display())),
            }
        }
    } else {
        names.clone_from(&args.names);
        names.sort();
        names.dedup();
    }
    let mut others = Vec::new();
    let mut refused = Refused::new();
    for name in &names {
        let record = overrides.read(name, Bom::Ignore);
        let record = record.and_then(|record| record.ok_or_else(|| overrides.missing(name)));
        let converted = record.map_err(|error| vec![error]);
        match converted.and_then(|record| args.converted(&record)) {
            Ok(Some(_)) => others.push(name),
            Ok(None) => tracing::info!("{name}: format {} already", args.to),
            Err(errors) => refused.extend(errors),
        }
    }
    if !refused.is_empty() {
        refused.iter().for_each(Stderr::error);
        note("nothing was converted");
        return Ok(ExitStatus::Failure);
    }
    for name in &others {
        if !args.dry_run {
            overrides.update(name, UNKNOWN, |record| {
                let record = record.ok_or_else(|| overrides.missing(name))?;
                args.converted(&record)
                    .map_err(|mut errors| errors.remove(0))
            })?;
        }
        let verb = if args.dry_run {
            "would be converted"
        } else {
            "converted"
        };
        say(name, format_args!("{verb} to format {}", args.to));
    }
    if others.is_empty() {
        let count = counted(names.len(), "record");
        note(&format!("{count}, none of another format than {}", args.to));
    }
    Ok(ExitStatus::Success)
}

/// No document: what is converted is the file.
const UNKNOWN: Known<'_> = Known {
    document: None,
    format: None,
};

impl Args {
    /// The record in the new format; `None` if it has it already.
    fn converted(&self, record: &Record) -> Result<Option<Record>, Refused> {
        let error = |error| vec![error];
        UNKNOWN.check(record).map_err(error)?;
        if record.format == self.to {
            return Ok(None);
        }
        let converted = record.converted(self.to).map_err(|problems| {
            let errors = problems
                .iter()
                .map(|problem| Error::new(record.file.display(), problem));
            errors.collect::<Refused>()
        })?;
        UNKNOWN.check(&converted).map_err(error)?;
        Ok(Some(converted))
    }
}
