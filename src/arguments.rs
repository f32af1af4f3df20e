//! Parses the command line, and reports invalid arguments in the words of the C tool.

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cmd::{Cli, command};
use base::Error;

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
    let mut command = command();
    loop {
        let matches = command.try_get_matches_from_mut(&arguments);
        let error = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
            Ok(cli) => return Ok(cli),
            Err(error) => error,
        };
        match with_hyphens(&error, &arguments) {
            Some((index, argument)) => arguments[index] = argument,
            None => return Err(stop(&error, &arguments, &command)),
        }
    }
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

fn stop(error: &clap::Error, arguments: &[OsString], command: &clap::Command) -> Stop {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return Stop::Help(error.render().to_string());
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let help = help_of(arguments, command);
    let invalid = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Error::plain("missing command")
        }
        ErrorKind::MissingRequiredArgument => {
            let name = context(ContextKind::InvalidArg).unwrap_or_default();
            Error::new("missing parameter", name.trim_matches(PUNCTUATION))
        }
        ErrorKind::InvalidUtf8 => {
            let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
            let bad = arguments.find(|argument| argument.contains(char::REPLACEMENT_CHARACTER));
            Error::invalid_parameter(bad.unwrap_or_default())
        }
        _ => {
            let name = context(ContextKind::InvalidArg).unwrap_or_default();
            Error::invalid_parameter(match context(ContextKind::InvalidSubcommand) {
                Some(name) => name,
                None if name.starts_with('-') => as_typed(&name, arguments, command),
                // An argument without a name is identified by its value.
                None => context(ContextKind::InvalidValue)
                    .unwrap_or_else(|| name.trim_matches(PUNCTUATION).to_owned()),
            })
        }
    };
    let suggested = context(ContextKind::SuggestedArg)
        .or_else(|| context(ContextKind::SuggestedSubcommand))
        .or_else(|| context(ContextKind::SuggestedValue))
        .map(|name| format!("did you mean '{name}'? "));
    let reason = std::error::Error::source(error).map(|source| format!("{source}; "));
    let valid = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("it is one of {}; ", values.join(", ")))
        }
        _ => None,
    };
    let hint = [suggested, reason, valid, Some(help)];
    Stop::Invalid(invalid.hint(hint.into_iter().flatten().collect::<String>()))
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

/// The hint to see the help of the command that was typed, as far as it is known.
fn help_of(arguments: &[OsString], command: &clap::Command) -> String {
    let mut help = String::from("localstore");
    let mut command = command;
    for argument in arguments.iter().skip(1) {
        if !command.has_subcommands() {
            break;
        }
        if let Some(name) = argument.to_str()
            && let Some(found) = command.find_subcommand(name)
        {
            help.push(' ');
            help.push_str(found.get_name());
            command = found;
        }
    }
    format!("see '{help} --help'")
}
