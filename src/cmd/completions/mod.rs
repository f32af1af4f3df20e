//! `completions`, and the words that it makes the shell ask this program for.
//!
//! A shell's script calls the program with `COMPLETE=SHELL` in its environment and the words that
//! were typed behind `--`. The answer is read from the store, quickly or not at all, and nothing is
//! ever reported: the person is in the middle of a line.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{Elvish, EnvCompleter, Powershell, Zsh};
use serde::Serialize;

#[cfg(feature = "network")]
use super::submission::variable;
use super::{Context, store_variables};
use crate::arguments::named_store;
#[cfg(feature = "network")]
use crate::fleet::Address;
use crate::model::short_quant;
use crate::store::suggest::{Suggestion, Wanted, suggestions};
use crate::store::{Location, Store};
use base::{Result, printable};
use db::Schema;

/// Print the completions of a shell
///
/// They offer the names of runs with what they are, the stored models, quantisations, accelerators,
/// runtimes and tags, the names and sections of prompts, and the ids of trajectories. The shell asks 'localstore' for them, which must be in PATH.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore completions bash > ~/.local/share/bash-completion/completions/localstore
  localstore completions zsh > ~/.zfunc/_localstore
  localstore completions fish > ~/.config/fish/completions/localstore.fish
  localstore completions powershell >> $PROFILE
  localstore completions nushell > ~/.config/nushell/localstore.nu")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Nushell,
    Powershell,
    Zsh,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    context.out.styled(&args.shell.script("localstore")?)
}

/// The answer to a shell; `None` if it is not a shell that runs the program.
pub(crate) fn answer(arguments: &[OsString]) -> Option<Vec<u8>> {
    let shell = std::env::var_os("COMPLETE")?;
    let shell = Path::new(&shell).file_stem()?.to_str()?;
    let shell = match shell {
        "pwsh" => Shell::Powershell,
        "nu" => Shell::Nushell,
        name => Shell::from_str(name, false).ok()?,
    };
    match arguments {
        [program] => shell.script(&program.to_string_lossy()).ok(),
        [_, hyphens, words @ ..] if hyphens == "--" => Some(shell.words(words)),
        _ => None,
    }
}

impl Shell {
    /// The script that makes the shell ask the program at this path.
    fn script(self, program: &str) -> std::io::Result<Vec<u8>> {
        const VARIABLE: &str = "COMPLETE";
        const NAME: &str = "localstore";
        let mut script = Vec::new();
        let filled = |text: &str| text.replace("COMPLETER", program).into_bytes();
        let mut write = |completer: &dyn EnvCompleter| {
            completer.write_registration(VARIABLE, NAME, NAME, program, &mut script)
        };
        match self {
            Self::Bash => return Ok(filled(include_str!("localstore.bash"))),
            Self::Fish => return Ok(filled(include_str!("localstore.fish"))),
            Self::Nushell => return Ok(filled(include_str!("localstore.nu"))),
            Self::Elvish => write(&Elvish)?,
            Self::Powershell => write(&Powershell)?,
            Self::Zsh => write(&Zsh)?,
        }
        Ok(script)
    }

    /// What may stand in the place of the word at the cursor.
    fn words(self, typed: &[OsString]) -> Vec<u8> {
        let mut typed = typed.to_vec();
        let index = std::env::var("_CLAP_COMPLETE_INDEX");
        let index = index.ok().and_then(|index| index.parse().ok());
        let index = index.unwrap_or(typed.len().saturating_sub(1));
        if typed.len() == index {
            typed.push(OsString::new());
        }
        let Some(word) = typed.get(index).cloned() else {
            return Vec::new();
        };
        let mut words = typed.iter().filter_map(|word| word.to_str());
        let is_of_gateway = words.any(|word| GATEWAY.contains(&word));
        let variables = store_variables(is_of_gateway);
        let location = Location::resolve(named_store(&typed).map(Into::into), None, variables);
        let mut command = with_values(super::command(), &[], &location, &typed);
        let folder = std::env::current_dir().ok();
        let words = clap_complete::engine::complete(&mut command, typed, index, folder.as_deref());
        let mut words = words.unwrap_or_default();
        let is_option =
            |word: &CompletionCandidate| word.get_value().to_string_lossy().starts_with('-');
        // Options are offered once a hyphen is typed, or if there is nothing else.
        if word.is_empty() && !words.iter().all(is_option) {
            words.retain(|word| !is_option(word));
        }
        self.print(&words)
    }

    fn print(self, words: &[CompletionCandidate]) -> Vec<u8> {
        #[derive(Serialize)]
        struct Word {
            value: String,
            description: String,
        }
        let words = words.iter().map(|word| {
            let help = word.get_help().map(ToString::to_string).unwrap_or_default();
            Word {
                value: word.get_value().to_string_lossy().into_owned(),
                description: printable(help.lines().next().unwrap_or_default()).into_owned(),
            }
        });
        let each = |between: &str, text: &dyn Fn(Word) -> String| {
            let lines: Vec<String> = words.clone().map(text).collect();
            lines.join(between).into_bytes()
        };
        let separator = || std::env::var("_CLAP_IFS").unwrap_or("\n".to_owned());
        let described = |value: String, between: &str, about: String| match about.as_str() {
            "" => value,
            about => [&value, between, about].concat(),
        };
        match self {
            Self::Bash | Self::Elvish => each(&separator(), &|word| word.value),
            Self::Fish => each("\n", &|word| described(word.value, "\t", word.description)),
            Self::Powershell => each("\n", &|word| {
                let value = quoted(word.value, |value| {
                    format!("'{}'", value.replace('\'', "''"))
                });
                described(value, "\t", word.description)
            }),
            Self::Zsh => each(&separator(), &|word| {
                let value = word.value.replace('\\', "\\\\").replace(':', "\\:");
                described(value, ":", word.description.replace('\\', "\\\\"))
            }),
            Self::Nushell => {
                let words = words.map(|word| Word {
                    value: quoted(word.value, |value| format!("{value:?}")),
                    ..word
                });
                serde_json::to_vec(&words.collect::<Vec<_>>()).unwrap_or_default()
            }
        }
    }
}

/// The word as shells want it that insert words as they come.
fn quoted(word: String, quote: impl Fn(&str) -> String) -> String {
    if word.contains([' ', '(', ')', '\'', '"', '$', ',', ';', '&', '|', '#']) {
        return quote(&word);
    }
    word
}

/// The commands of the gateway whose words the store offers.
const GATEWAY: [&str; 3] = ["model", "key", "agent"];

/// The command with what the store, the overrides of prompts or the trajectories offer for its arguments.
fn with_values(
    command: clap::Command,
    path: &[&str],
    location: &Location,
    typed: &[OsString],
) -> clap::Command {
    let name = command.get_name().to_owned();
    let path = [path, &[name.as_str()]].concat();
    if path.get(1) == Some(&"prompt") {
        let command = command.mut_args(|argument| with_prompts(argument, typed));
        return command.mut_subcommands(|command| with_values(command, &path, location, typed));
    }
    if path.get(1) == Some(&"trace") {
        let is_here = path.last() != Some(&"pull");
        let command = command.mut_args(|argument| {
            if is_here && wants_trajectory(&argument) {
                with_trajectories(argument, location)
            } else {
                argument
            }
        });
        return command.mut_subcommands(|command| with_values(command, &path, location, typed));
    }
    let is_history = path.last() == Some(&"history");
    let command = command.mut_args(|argument| match wanted(&argument, is_history) {
        #[cfg(feature = "serve")]
        None if path.get(1).is_some_and(|name| GATEWAY.contains(name)) => {
            with_gateway(argument, &path, location)
        }
        #[cfg(feature = "network")]
        None if value_name(&argument) == Some("REMOTE") => {
            argument.add(ArgValueCompleter::new(remotes))
        }
        Some(wanted) => {
            let location = location.clone();
            argument.add(ArgValueCompleter::new(move |typed: &OsStr| {
                offered(&location, wanted, typed)
            }))
        }
        None => argument,
    });
    command.mut_subcommands(|command| with_values(command, &path, location, typed))
}

/// The argument of a command of `prompt` with what is offered for it.
fn with_prompts(argument: clap::Arg, typed: &[OsString]) -> clap::Arg {
    let wanted = match (argument.get_long(), value_name(&argument)) {
        (None, Some("FILTER")) => prompts::Wanted::Names,
        (None, Some(name)) if name.starts_with("NAME") => prompts::Wanted::Names,
        (Some("section"), _) => prompts::Wanted::Sections,
        (Some("tool"), name) if name != Some("FILE") => prompts::Wanted::Tools,
        _ => return argument,
    };
    let typed = typed.to_vec();
    argument.add(ArgValueCompleter::new(move |begin: &OsStr| {
        let begin = begin.to_string_lossy().replace('\\', "");
        let begin = begin.trim_start_matches(['\'', '"']);
        let words = prompts::suggestions(wanted, &typed).into_iter();
        let is_plain = |word: &String| !word.contains(char::is_control);
        words
            .filter(|word| word.starts_with(begin) && is_plain(word))
            .map(CompletionCandidate::new)
            .collect()
    }))
}

/// Whether the argument of a command of `trace` names a trajectory that is here.
fn wants_trajectory(argument: &clap::Arg) -> bool {
    matches!(
        (argument.get_long(), value_name(argument)),
        (None, Some("ID" | "ID|DIR")) | (Some("continue"), _)
    )
}

fn with_trajectories(argument: clap::Arg, location: &Location) -> clap::Arg {
    let location = location.clone();
    argument.add(ArgValueCompleter::new(move |begin: &OsStr| {
        let begin = begin.to_string_lossy();
        let (sender, receiver) = mpsc::channel();
        let location = location.clone();
        thread::spawn(move || sender.send(traces::suggestions(&location)));
        let words = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        words
            .into_iter()
            .filter(|(id, _)| id.starts_with(&*begin))
            .map(|(id, about)| {
                let about = (!about.is_empty()).then(|| about.into());
                CompletionCandidate::new(id).help(about)
            })
            .collect()
    }))
}

/// The argument of `model`, `key` or `agent` with the names that there are.
#[cfg(feature = "serve")]
fn with_gateway(argument: clap::Arg, path: &[&str], location: &Location) -> clap::Arg {
    let wanted = match (argument.get_long(), value_name(&argument)) {
        (None, Some("NAME")) if path.last() != Some(&"create") => gateway::Wanted::Models,
        (None, Some("OTHER")) if path.last() == Some(&"fallback") => gateway::Wanted::Models,
        (Some("models"), _) | (Some("model"), Some("NAME")) => gateway::Wanted::Models,
        (Some("rm"), _) => gateway::Wanted::Aliases,
        (Some("url"), _) if path.last() == Some(&"rm") => gateway::Wanted::Urls,
        (None, Some(name)) if name.starts_with("ID|NAME") => gateway::Wanted::Keys,
        _ => return argument,
    };
    let location = location.clone();
    argument.add(ArgValueCompleter::new(move |begin: &OsStr| {
        let begin = begin.to_string_lossy();
        let (sender, receiver) = mpsc::channel();
        let location = location.clone();
        thread::spawn(move || sender.send(gateway::suggestions(&location, wanted)));
        let words = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        let words = words
            .into_iter()
            .filter(|(word, _)| word.starts_with(&*begin));
        words
            .map(|(word, about)| {
                let about = (!about.is_empty()).then(|| about.into());
                CompletionCandidate::new(word).help(about)
            })
            .collect()
    }))
}

fn value_name(argument: &clap::Arg) -> Option<&str> {
    let name = argument.get_value_names().and_then(|names| names.first());
    name.map(clap::builder::Str::as_str)
}

/// What the store has for this argument.
fn wanted(argument: &clap::Arg, is_history: bool) -> Option<Wanted> {
    match (argument.get_long(), value_name(argument)) {
        // '--model NAME' of 'agent' is a model of the gateway.
        (Some("model"), Some("NAME")) => None,
        (Some("model" | "results-model"), _) => Some(Wanted::Models),
        (Some("quant"), _) => Some(Wanted::Quants),
        (Some("accelerator"), _) => Some(Wanted::Accelerators),
        (Some("runtime"), _) => Some(Wanted::Runtimes),
        (Some("tag"), _) | (None, Some("TAG")) => Some(Wanted::Tags),
        (None, Some("RUN")) if is_history => Some(Wanted::Configurations),
        (Some("baseline"), _) | (None, Some("RUN" | "BASE" | "NEW")) => Some(Wanted::Runs),
        _ => None,
    }
}

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_millis(60);

/// The words that begin as typed.
fn offered(location: &Location, wanted: Wanted, typed: &OsStr) -> Vec<CompletionCandidate> {
    let words = Store::peek(location, PATIENCE, move |db, schema| match schema {
        Schema::Version(_) => suggestions(db, wanted),
        _ => Ok(Vec::new()),
    });
    // Some shells pass the word as it was quoted.
    let begin = typed.to_string_lossy().replace('\\', "");
    let begin = begin.trim_start_matches(['\'', '"']).to_lowercase();
    let mut offered = Vec::new();
    for Suggestion { word, about } in words.unwrap_or_default() {
        let is_plain = !word.contains(char::is_control);
        let short = short_quant(&word);
        let word = match word.to_lowercase().starts_with(&begin) {
            true => word,
            false if wanted == Wanted::Quants && short.to_lowercase().starts_with(&begin) => short,
            false => continue,
        };
        if is_plain {
            let about = (!about.is_empty()).then(|| about.into());
            offered.push(CompletionCandidate::new(word).help(about));
        }
    }
    if wanted == Wanted::Runs && begin.contains('/') {
        offered.extend(PathCompleter::any().complete(typed));
    }
    offered
}

/// The remote of the environment, if it is an address: then it contains no secret.
#[cfg(feature = "network")]
fn remotes(typed: &OsStr) -> Vec<CompletionCandidate> {
    let remote = variable("LOCALSTORE_REMOTE");
    let remote = remote.filter(|remote| remote.parse::<Address>().is_ok());
    remote
        .filter(|remote| remote.starts_with(&*typed.to_string_lossy()))
        .map(CompletionCandidate::new)
        .into_iter()
        .collect()
}
