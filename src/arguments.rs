//! Parses the command line, and reports invalid arguments in the words of the C tool.

use std::ffi::{OsStr, OsString};
use std::num::{ParseFloatError, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cmd::{self, Cli, command_for};
use base::time::TIMES;
use base::{Error, set_command_options, shell_word};

/// The reason why there is no command to run.
pub(crate) enum Stop {
    /// Help or the version was requested: text for standard output.
    Help(String),
    /// An argument is invalid.
    Invalid(Error),
}

/// The characters that clap puts around the name of an argument.
const PUNCTUATION: [char; 5] = ['<', '>', '.', '[', ']'];

/// Parses the arguments, the first of which is the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, Stop> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let mut command = command_for(&arguments);
    match Cli::parse(&mut command, &arguments) {
        Ok(cli) => return Ok(cli),
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return Err(stop(&error, &arguments, &command));
        }
        // Help lists all commands, and an error may suggest another one.
        Err(_) => command = cmd::command(),
    }
    loop {
        let error = match Cli::parse(&mut command, &arguments) {
            Ok(cli) => return Ok(cli),
            Err(error) => error,
        };
        let changed = with_hyphens(&error, &arguments).or_else(|| short_help(&error, &arguments));
        if let Some((index, argument)) = changed {
            arguments[index] = argument;
            continue;
        }
        if let Some(store) = named_store(&arguments) {
            name_store(&store);
        }
        return Err(stop(&error, &arguments, &command));
    }
}

/// Lets the commands in hints name this store.
pub(crate) fn name_store(path: &OsStr) {
    let path = path.to_string_lossy();
    set_command_options(format!("--db {}", shell_word(&path)));
}

/// The store that the arguments name, as far as they can be read.
pub(crate) fn named_store(arguments: &[OsString]) -> Option<OsString> {
    let ours = arguments.iter().take_while(|argument| *argument != "--");
    let mut ours = ours.skip(1).peekable();
    let mut store = None;
    while let Some(argument) = ours.next() {
        let text = argument.to_string_lossy();
        if text == "--db" {
            store = ours.peek().map(|&next| next.clone());
        } else if let Some(path) = text.strip_prefix("--db=") {
            store = Some(path.into());
        }
    }
    store
}

/// The index of an unknown option, and that option with `-` for each `_` in its name: as in the C
/// tool, both spellings are accepted.
fn with_hyphens(error: &clap::Error, arguments: &[OsString]) -> Option<(usize, OsString)> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let is_option = name.starts_with("--") && name.contains('_');
    if error.kind() != ErrorKind::UnknownArgument || !is_option {
        return None;
    }
    arguments.iter().enumerate().find_map(|(index, argument)| {
        let rest = argument.to_str()?.strip_prefix(name.as_str())?;
        let is_complete = rest.is_empty() || rest.starts_with('=');
        is_complete.then(|| (index, OsString::from(name.replace('_', "-") + rest)))
    })
}

/// `-h` before a command is the command `help`.
fn short_help(error: &clap::Error, arguments: &[OsString]) -> Option<(usize, OsString)> {
    let index = arguments.iter().position(|argument| argument == "-h")?;
    let before = arguments.get(1..index)?;
    let is_first = error.kind() == ErrorKind::DisplayHelp
        && !before.iter().any(|argument| argument == "--help")
        && Typed::new(&arguments[..index], &cmd::command()).path == "localstore";
    is_first.then(|| (index, "help".into()))
}

fn stop(error: &clap::Error, arguments: &[OsString], command: &clap::Command) -> Stop {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Stop::Help(error.render().to_string());
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _ => "",
    };
    let typed = Typed::new(arguments, command);
    let name = context(ContextKind::InvalidArg);
    let value = context(ContextKind::InvalidValue);
    let (invalid, hint) = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            (Error::plain("missing command"), None)
        }
        ErrorKind::MissingRequiredArgument => {
            let name = name.replace(PUNCTUATION, "");
            (Error::new("missing parameter", name), typed.example())
        }
        ErrorKind::InvalidUtf8 => {
            let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
            let bad = arguments.find(|argument| argument.contains(char::REPLACEMENT_CHARACTER));
            (Error::invalid_parameter(bad.unwrap_or_default()), None)
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand);
            return Stop::Invalid(unknown_command(name, typed.command));
        }
        kind => {
            let is_option = name.starts_with('-');
            // An argument without a name is identified by its value.
            let shown = match (is_option, value) {
                (true, _) => as_typed(name, arguments, command),
                (false, "") => secret_hidden(name.trim_matches(PUNCTUATION)),
                (false, _) if name.contains("REMOTE") => "REMOTE".to_owned(),
                (false, value) => secret_hidden(value),
            };
            if kind == ErrorKind::InvalidValue && is_option && value.is_empty() {
                let hint = missing_value(name, error);
                (Error::new("missing value for", shown), hint)
            } else {
                let hint = match kind {
                    ErrorKind::UnknownArgument if is_option => typed.meant(name, arguments),
                    ErrorKind::ValueValidation => Some(refusal(name, value, error)),
                    ErrorKind::ArgumentConflict => {
                        let other = context(ContextKind::PriorArg);
                        let other = as_typed(other, arguments, command);
                        Some(format!("not together with '{other}'"))
                    }
                    _ => values(error),
                };
                (Error::invalid_parameter(shown), hint)
            }
        }
    };
    Stop::Invalid(invalid.hint(hint.unwrap_or_else(|| format!("{} --help", typed.path))))
}

/// The argument; of a URL, which may contain a password, only the scheme; of a key nothing.
fn secret_hidden(argument: &str) -> String {
    match argument.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…"),
        None if argument.starts_with("sk-") => "a key".to_owned(),
        None => argument.to_owned(),
    }
}

/// The error for a name that none of the commands of this one has.
pub(crate) fn unknown_command(name: &str, command: &clap::Command) -> Error {
    let commands = command.get_subcommands();
    let hint = match closest(name, commands.map(clap::Command::get_name)) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("{} --help", command.get_bin_name().unwrap_or("localstore")),
    };
    Error::invalid_parameter(name).hint(hint)
}

/// The values that an argument can have.
fn values(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => Some(values.join(", ")),
        _ => None,
    }
}

/// The hint for an option without its value: the values, or what it is.
fn missing_value(name: &str, error: &clap::Error) -> Option<String> {
    values(error).or_else(|| match name.split_once(' ') {
        Some(("--db", _)) => Some("--db FILE names the store".to_owned()),
        Some((_, "<TIME>")) => Some(TIMES.to_owned()),
        _ => None,
    })
}

/// Why a value was refused.
fn refusal(name: &str, value: &str, error: &clap::Error) -> String {
    let Some(source) = std::error::Error::source(error) else {
        return String::new();
    };
    let shown = source.to_string();
    if source.is::<ParseIntError>() || source.is::<ParseFloatError>() {
        let zero = if name.starts_with("--limit ") {
            "; 0 shows all"
        } else {
            ""
        };
        return format!("'{value}' is not a number{zero}");
    }
    // clap's words for a number outside of a range.
    match shown
        .split_once(" is not in ")
        .and_then(|(_, range)| range.split_once("..="))
    {
        Some((least, most)) => format!("a number from {least} to {most}"),
        None => shown,
    }
}

/// The command that was typed, as far as it is known.
struct Typed<'a> {
    /// Its name with those of the commands that it belongs to.
    path: String,
    command: &'a clap::Command,
}

impl<'a> Typed<'a> {
    fn new(arguments: &[OsString], mut command: &'a clap::Command) -> Self {
        let mut path = String::from("localstore");
        for argument in arguments.iter().skip(1) {
            if !command.has_subcommands() {
                break;
            }
            if let Some(name) = argument.to_str()
                && let Some(found) = command.find_subcommand(name)
            {
                path.push(' ');
                path.push_str(found.get_name());
                command = found;
            }
        }
        Self { path, command }
    }

    /// The first example of its help.
    fn example(&self) -> Option<String> {
        let help = self.command.get_after_help()?.to_string();
        let at = help.find("localstore ")?;
        help[at..].lines().next().map(str::to_owned)
    }

    /// What an unknown option should be: a value of another option, such as `--json`, or an option
    /// of nearly the same name.
    fn meant(&self, name: &str, arguments: &[OsString]) -> Option<String> {
        let word = name.strip_prefix("--")?;
        let has_value = |option: &&clap::Arg| {
            let values = option.get_possible_values();
            !option.is_positional() && values.iter().any(|value| value.matches(word, false))
        };
        if let Some(option) = self.command.get_arguments().find(has_value) {
            let option = match (option.get_short(), option.get_long()) {
                (Some(short), _) => format!("-{short}"),
                (None, long) => format!("--{}", long?),
            };
            let typed = retyped(arguments, name, &option);
            return Some(typed.replacen(&option, &format!("{option} {word}"), 1));
        }
        let options = self.command.get_arguments();
        let meant = closest(word, options.filter_map(clap::Arg::get_long))?;
        Some(format!("did you mean '--{meant}'?"))
    }
}

/// The command as it was typed, with another word in the place of one.
pub(crate) fn retyped(arguments: &[OsString], word: &str, other: &str) -> String {
    let mut full = String::from("localstore");
    for argument in arguments.iter().skip(1) {
        let argument = argument.to_string_lossy();
        let argument = match argument.strip_suffix(word) {
            Some(before) if before.is_empty() || before.ends_with('=') => [before, other].concat(),
            _ => argument.into_owned(),
        };
        full.push(' ');
        full += &shell_word(&argument);
    }
    full
}

/// The option as it was typed, which is how the C tool repeats it; clap adds the name of its value
/// (`--output <FORMAT>`).
fn as_typed(name: &str, arguments: &[OsString], command: &clap::Command) -> String {
    let name = name.split([' ', '=']).next().unwrap_or_default();
    let name = name.trim_matches(PUNCTUATION);
    let Some(long) = name.strip_prefix("--") else {
        return name.to_owned();
    };
    let short = std::iter::once(command)
        .chain(command.get_subcommands())
        .flat_map(clap::Command::get_arguments)
        .find(|argument| argument.get_long() == Some(long))
        .and_then(clap::Arg::get_short);
    arguments
        .iter()
        .rev()
        .filter_map(|argument| argument.to_str())
        .find(|argument| {
            let is_long = argument.split('=').next() == Some(name);
            let is_short = short.is_some_and(|short| {
                !argument.starts_with("--")
                    && argument.starts_with('-')
                    && argument[1..].starts_with(short)
            });
            is_long || is_short
        })
        .and_then(|argument| argument.split('=').next())
        .unwrap_or(name)
        .to_owned()
}

/// The name that was probably meant; of several, the first.
fn closest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.to_lowercase().chars().collect();
    let near = names.filter_map(|name| {
        let chars: Vec<char> = name.chars().collect();
        let slips = slips(&typed, &chars);
        let allowed = 1 + typed.len().min(chars.len()) / 5;
        // The beginning of a name, such as `hist`, comes before a slip, and another abbreviation,
        // such as `ls`, after one.
        let distance = if typed.len() > 2 && chars.starts_with(&typed) {
            1
        } else if slips <= allowed {
            2 * slips
        } else if is_abbreviation(&typed, &chars) {
            3
        } else {
            return None;
        };
        Some((distance, name))
    });
    near.min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Whether the letters are in the name, in their order and from its first one on.
fn is_abbreviation(typed: &[char], name: &[char]) -> bool {
    let mut rest = name.iter();
    typed.len() > 1 && typed.first() == name.first() && typed.iter().all(|c| rest.any(|n| n == c))
}

/// How many letters are missing, too many, wrong, or swapped with their neighbour.
fn slips(typed: &[char], name: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=name.len()).collect()];
    for (i, c) in typed.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, n) in name.iter().enumerate() {
            let changed = rows[i][j] + usize::from(c != n);
            let mut least = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *c == name[j - 1] && typed[i - 1] == *n {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[typed.len()][name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(typed: &str) -> Option<String> {
        let command = cmd::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        closest(typed, names).map(str::to_owned)
    }

    #[test]
    fn a_command_with_a_slip_is_recognised() {
        for (typed, name) in [
            ("lsit", "list"),
            ("lis", "list"),
            ("lost", "list"),
            ("LIST", "list"),
            ("recrod", "record"),
            ("comapre", "compare"),
            ("repotr", "report"),
            ("histroy", "history"),
            ("shwo", "show"),
            ("tga", "tag"),
            ("sumbit", "submit"),
            ("ls", "list"),
            ("comp", "compare"),
            ("hist", "history"),
            ("rec", "record"),
        ] {
            assert_eq!(meant(typed).as_deref(), Some(name), "{typed}");
        }
        for typed in ["frob", "x", "", "result.json", "benchmark"] {
            assert_eq!(meant(typed), None, "{typed}");
        }
    }

    #[test]
    fn a_swap_is_one_slip() {
        let slips = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
            slips(&a, &b)
        };
        assert_eq!(slips("lsit", "list"), 1);
        assert_eq!(slips("list", "list"), 0);
        assert_eq!(slips("lit", "list"), 1);
        assert_eq!(slips("", "list"), 4);
        assert_eq!(slips("frob", "list"), 4);
    }
}
