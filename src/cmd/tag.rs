use std::io::Write;

use super::list::ABOUT;
use super::{Context, resolve_all, words};
use crate::store::{Store, select, tags};
use base::{Column, Error, Result, Stderr, Table, printable};

/// Tag runs, or list the tags
///
/// Without arguments it lists the tags, that of the newest run first. Many runs can have the same
/// tag. Where a command expects a run, a tag stands for the most recently added run that has it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore tag
  localstore tag baseline
  localstore tag driver-580 12 13 14")]
pub(crate) struct Args {
    /// The tag
    tag: Option<String>,
    /// Ids, 'last', 'last~N', 'best', tags, ranges (3-7) or lists (3,5)
    #[arg(value_name = "RUN", default_value = "last")]
    runs: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let Some(tag) = &args.tag else {
        return list(context);
    };
    let Names { tag, runs } = Names::parse(tag, &args.runs);
    // An invalid name is reported before the store is opened for writing.
    let store = Store::open_readonly(&context.location)?;
    let ids = resolve_all(&store, &runs)?;
    drop(store);
    Store::open(&context.location)?.write(|db| tags::tag(db, tag, &ids))?;
    for id in ids {
        writeln!(context.out, "run {id}: {}", printable(tag))?;
    }
    Ok(())
}

/// Prints each tag, how many runs have it, and the one added last of them.
fn list(context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let tags = store.read(tags::all)?;
    if tags.is_empty() {
        Stderr::error(&Error::plain("no tags").hint("localstore tag NAME RUN"));
        return Ok(());
    }
    let widest = tags.iter().map(|(_, runs, _)| runs.to_string().len()).max();
    let widest = widest.unwrap_or(0);
    let columns = [Column::Text, Column::Whole, Column::Whole];
    let mut table = Table::new(&columns.map(|column| ("", column)));
    let mut has_guesses = false;
    for (tag, runs, last) in tags {
        let last = store.read(|db| select::listed(db, last))?;
        has_guesses |= last.measured_guessed;
        let noun = if runs == 1 { "run " } else { "runs" };
        table.row(&[
            tag,
            format!("{runs:>widest$} {noun}"),
            format!("last: {}, {}", last.id, words::measured(&last)),
        ]);
    }
    let table = table.render(context.out.screen());
    // The columns have no heads.
    context
        .out
        .styled(table.trim_start_matches('\n').as_bytes())?;
    if has_guesses {
        context.note(ABOUT);
    }
    Ok(())
}

/// A tag and runs. The tag comes first, but `tag RUN TAG` works too, since `last` or a number cannot
/// be a tag.
pub(crate) struct Names<'a> {
    /// The tag.
    pub(crate) tag: &'a str,
    /// The runs.
    pub(crate) runs: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Finds the tag among the names.
    pub(crate) fn parse(first: &'a str, rest: &'a [String]) -> Self {
        let mut runs: Vec<&str> = rest.iter().map(String::as_str).collect();
        if is_run(first)
            && let Some(&last) = runs.last()
            && !is_run(last)
        {
            runs.pop();
            runs.insert(0, first);
            return Self { tag: last, runs };
        }
        Self { tag: first, runs }
    }
}

fn is_run(name: &str) -> bool {
    name == "last" || name.starts_with("last~") || name.bytes().all(|byte| byte.is_ascii_digit())
}
