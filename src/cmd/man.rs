use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::Context;
use crate::arguments::unknown_command;
use base::Result;

/// Print a manual page
///
/// Each command has its own: 'localstore man list', 'localstore man plot history'.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore man | man -l -
  localstore man compare > ~/.local/share/man/man1/localstore-compare.1")]
pub(crate) struct Args {
    /// The command to describe [default: the program]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let mut root = super::command();
    root.build();
    let mut command = &root;
    for name in &args.command {
        command = command
            .find_subcommand(name)
            .ok_or_else(|| unknown_command(name, command))?;
    }
    context.out.styled(&page(command)?)
}

fn page(command: &clap::Command) -> Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or("localstore");
    let man = clap_mangen::Man::new(command.clone());
    let title = name.to_uppercase();
    let version = env!("CARGO_PKG_VERSION");
    // The date is empty, which `Roff` cannot write.
    let head = format!(".TH {title} 1 \"\" \"localstore {version}\" \"localstore\"\n");
    let mut page = head.into_bytes();
    man.render_name_section(&mut page)?;
    own(&mut page, |roff| synopsis(command, roff))?;
    own(&mut page, |roff| description(command, roff))?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    own(&mut page, |roff| {
        examples(command, roff);
        rest(command, roff);
    })?;
    Ok(page)
}

fn own(page: &mut Vec<u8>, write: impl FnOnce(&mut Roff)) -> Result<()> {
    let mut roff = Roff::new();
    write(&mut roff);
    Ok(roff.to_writer(page)?)
}

/// The usage with each option and its value.
fn synopsis(command: &clap::Command, roff: &mut Roff) {
    roff.control("SH", ["SYNOPSIS"]);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let name = command.get_bin_name().unwrap_or("localstore");
    let is_root = !name.contains(' ');
    for line in usage.lines() {
        let mut parts = vec![bold(name)];
        let line = line.trim();
        for word in line.strip_prefix(name).unwrap_or(line).split_whitespace() {
            parts.push(roman(" "));
            if word == "[OPTIONS]" {
                let options = command.get_arguments();
                let options = options.filter(|option| {
                    !option.is_positional() && (is_root || !option.is_global_set())
                });
                for (index, option) in options.enumerate() {
                    if index > 0 {
                        parts.push(roman(" "));
                    }
                    parts.extend(in_brackets(option));
                }
            } else if word.starts_with('-') {
                parts.push(bold(word));
            } else {
                parts.push(italic(word));
            }
        }
        roff.text(parts);
        roff.control("br", []);
    }
}

/// `[-o FORMAT]`
fn in_brackets(option: &clap::Arg) -> Vec<Inline> {
    let name = match (option.get_short(), option.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    };
    let mut parts = vec![roman("["), bold(name)];
    if option.get_action().takes_values() {
        for value in option.get_value_names().unwrap_or_default() {
            parts.extend([roman(" "), italic(value.as_str())]);
        }
    }
    parts.push(roman("]"));
    parts
}

/// Lines that begin with spaces are a table or a command, which stays as it is.
fn description(command: &clap::Command, roff: &mut Roff) {
    roff.control("SH", ["DESCRIPTION"]);
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    // Its first line is the name's already, if there are more.
    let about = about
        .split_once("\n\n")
        .map_or(about.as_str(), |(_, rest)| rest);
    let mut is_table = false;
    for line in about.lines() {
        let is_row = line.starts_with(' ');
        if is_row != is_table && !line.is_empty() {
            is_table = is_row;
            roff.control(if is_row { "nf" } else { "fi" }, []);
        }
        match line {
            "" => roff.control("PP", []),
            line => roff.text([roman(line)]),
        };
    }
    if is_table {
        roff.control("fi", []);
    }
}

fn examples(command: &clap::Command, roff: &mut Roff) {
    let Some(help) = command.get_after_help() else {
        return;
    };
    let help = help.to_string();
    let examples = help.split_once(':').map_or(help.as_str(), |(_, rest)| rest);
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for line in examples.lines().filter(|line| !line.trim().is_empty()) {
        let line = line.strip_prefix("  ").unwrap_or(line.trim_start());
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

/// A name and what it means.
type Entry = (&'static str, &'static str);

const EXIT: [Entry; 2] = [
    ("0", "Success, also if a list is empty."),
    (
        "1",
        "A failure, or an invalid argument: it is named on standard error.",
    ),
];

const EXIT_OF_COMPARE: [Entry; 2] = [
    ("2", "With --fail-on-regression: something got worse."),
    (
        "3",
        "With --fail-on-regression: the runs cannot be compared, or nothing could be decided.",
    ),
];

const EXIT_OF_RECORD: [Entry; 1] = [(
    "N",
    "The exit code of the program, if it is not 0; 128 plus the number of the signal that ended it.",
)];

const ENVIRONMENT: [Entry; 17] = [
    ("LOCALSTORE_DB", "The store, if --db does not name it."),
    (
        "SQLITE_DB_PATH",
        "The store of serve, model, key, agent and usage, if LOCALSTORE_DB does not name it either.",
    ),
    ("HOME", "The folder of the default store."),
    (
        "LOCALSCORE_URL",
        "The site to which runs are submitted, if --url does not name it.",
    ),
    (
        "https_proxy, http_proxy, all_proxy, no_proxy",
        "The proxy between this machine and the site or the remote.",
    ),
    (
        "LOCALSTORE_REMOTE",
        "The remote of push and pull, if none is named.",
    ),
    (
        "LOCALSTORE_TOKEN, LOCALSTORE_TOKEN_FILE",
        "The token for the remote, or a file whose first line it is. Programs that are started do not see \
         these two.",
    ),
    (
        "LOCALSTORE_KEY, LOCALSTORE_KEY_FILE",
        "The key of an agent, or a file whose first line it is.",
    ),
    (
        "EXTERNAL_<PROVIDER>_KEY",
        "The key of a provider, such as EXTERNAL_OPENAI_KEY, for serve and model test. It is stored nowhere.",
    ),
    (
        "EXTERNAL_<PROVIDER>_URL",
        "The base URL of a provider, in the place of the known one.",
    ),
    (
        "LLMD_ENDPOINT",
        "The cluster that serve sends models to whose names begin with llmd-.",
    ),
    (
        "REDIS_URL, CACHE_TTL",
        "The cache of serve, and the seconds that answers stay in it.",
    ),
    (
        "LOCALSTORE_PAGER, PAGER",
        "What shows text that is longer than the terminal; 'less' if neither is set.",
    ),
    (
        "COLUMNS",
        "The width of the output, if it is not a terminal.",
    ),
    (
        "NO_COLOR",
        "Not empty, and not beginning with 0: no colours.",
    ),
    ("TERM", "'dumb': no colours."),
    ("COMPLETE", "The shell that asks for completions."),
];

const FILES: [Entry; 2] = [
    (
        "~/.llamafile/llamafile.sqlite3",
        "The store, a SQLite file, in which llamafile keeps its chats. Without a home folder it is \
         llamafile.sqlite3 in the current folder.",
    ),
    (
        "llamafile.sqlite3-wal, llamafile.sqlite3-shm",
        "Beside the store while it is open; a part of it.",
    ),
];

/// What is the same on each page, or nearly so.
fn rest(command: &clap::Command, roff: &mut Roff) {
    // `plot compare` has none of the codes of `compare`.
    let name = command.get_display_name().unwrap_or("localstore");
    let mut exit = EXIT.to_vec();
    match name {
        "localstore-compare" => exit.extend(EXIT_OF_COMPARE),
        "localstore-record" => exit.extend(EXIT_OF_RECORD),
        "localstore" => {
            roff_entries(roff, "EXIT STATUS", &EXIT);
            roff.text([
                roman("compare and record have more: see "),
                bold("localstore-compare"),
                roman("(1) and "),
                bold("localstore-record"),
                roman("(1)."),
            ]);
        }
        _ => {}
    }
    if name != "localstore" {
        roff_entries(roff, "EXIT STATUS", &exit);
    }
    roff_entries(roff, "ENVIRONMENT", &ENVIRONMENT);
    roff_entries(roff, "FILES", &FILES);
    if name != "localstore" {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("localstore"), roman("(1)")]);
    }
}

fn roff_entries(roff: &mut Roff, title: &str, entries: &[Entry]) {
    roff.control("SH", [title]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
}
