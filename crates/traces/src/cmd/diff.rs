use std::ffi::OsString;
use std::io::{BufRead, Read};

use base::{Result, note, printable};

use super::{Context, commit_of, part_of};
use crate::model::{Part, Trace};
use crate::repo::{self, History};

/// Show what changed between two parts
///
/// It is git's diff of part P against part Q. With P alone it is what part P itself changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore trace diff last 12
  localstore trace diff last 3 12 --stat -- src")]
pub(super) struct Args {
    /// The trajectory: its id, the beginning of one, 'last' or 'last~N'
    #[arg(value_name = "ID")]
    id: String,
    /// The number of a part
    #[arg(value_name = "P")]
    from: u64,
    /// The number of another part
    #[arg(value_name = "Q")]
    to: Option<u64>,
    /// Only count the changed lines of each file
    #[arg(long)]
    stat: bool,
    /// Only these paths or patterns, from the top of the recorded folder
    #[arg(value_name = "PATH", last = true)]
    paths: Vec<OsString>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let folder = context.root.find(&args.id)?;
    let trace = Trace::read(&folder.trace())?;
    let from = part_of(&trace, args.from)?;
    let commits = match args.to {
        Some(to) => {
            let to = part_of(&trace, to)?;
            Some((Some(commit_of(&trace, from)?), commit_of(&trace, to)?))
        }
        None => own_commits(&trace, from)?,
    };
    let Some((before, after)) = commits else {
        let checkpoint = from.repo_checkpoint.as_ref();
        let why = if checkpoint.is_some_and(|checkpoint| !checkpoint.committed) {
            "its changes were not committed"
        } else {
            "it changed no files"
        };
        note(&format!("part {}: {why}", args.from));
        return Ok(());
    };
    let history = History::open(&folder)?;
    let before = before.map_or_else(|| history.empty_tree(), |before| Ok(before.to_owned()))?;
    let screen = context.out.screen();
    let mut command = history.git.command();
    // Plumbing, since the user's configuration is for the user's own eyes and may run programs.
    command.args(["diff-tree", "-r", "--find-renames"]);
    command.args(["--no-ext-diff", "--no-textconv"]);
    command.arg(if screen.color {
        "--color=always"
    } else {
        "--color=never"
    });
    match (args.stat, screen.width) {
        (false, _) => command.arg("--patch"),
        (true, None) => command.arg("--stat"),
        (true, Some(width)) => command.arg(format!("--stat={width}")),
    };
    command.args([&before, after, "--"]).args(&args.paths);
    let out = &mut *context.out;
    repo::stream(&mut command, |printed| {
        if !out.is_terminal() {
            std::io::copy(printed, out)?;
            return Ok(());
        }
        let mut line = Vec::new();
        while printed.take(LONGEST).read_until(b'\n', &mut line)? > 0 {
            out.styled(displayed(&String::from_utf8_lossy(&line)).as_bytes())?;
            line.clear();
        }
        Ok(())
    })
}

/// The longest piece of a line that is made printable at once, in bytes.
const LONGEST: u64 = 64 << 10;

/// The commits before and after what the part itself changed; `None` if it changed nothing.
fn own_commits<'a>(trace: &Trace, part: &'a Part) -> Result<Option<(Option<&'a str>, &'a str)>> {
    let Some(checkpoint) = &part.repo_checkpoint else {
        return Ok(None);
    };
    let after = commit_of(trace, part)?;
    let before = checkpoint.commit_before.as_deref();
    if !checkpoint.committed || before == Some(after) {
        return Ok(None);
    }
    let before = before
        .map(|before| super::check_commit(part, before))
        .transpose()?;
    Ok(Some((before, after)))
}

/// The line with tabs and git's colours, and all else that a terminal would obey made visible.
fn displayed(line: &str) -> String {
    let mut shown = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['\t', '\n', '\x1b']) {
        shown += &printable(&rest[..at]);
        rest = &rest[at..];
        let length = colour(rest).unwrap_or(1);
        let (first, others) = rest.split_at(length);
        if first == "\x1b" {
            shown += &printable(first);
        } else {
            shown += first;
        }
        rest = others;
    }
    shown + &printable(rest)
}

/// The length of the sequence that sets a colour, with which the text begins. Concealed text is no colour.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let is_colour =
        numbers[end..].starts_with('m') && numbers[..end].split(';').all(|n| n.parse() != Ok(8));
    is_colour.then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_tabs_reach_the_terminal_and_nothing_else_does() {
        for (line, shown) in [
            ("\x1b[32m+\tä\x1b[m\n", "\x1b[32m+\tä\x1b[m\n"),
            ("+\x1b]0;title\x07\r\n", "+\\x1b]0;title\\x07\\r\n"),
            ("+\x1b[8mhidden\x1b[2J", "+\\x1b[8mhidden\\x1b[2J"),
            ("\x1b", "\\x1b"),
            ("\x1b[", "\\x1b["),
        ] {
            assert_eq!(displayed(line), shown);
        }
    }
}
