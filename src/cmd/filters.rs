//! The options that select runs, shared by several commands.

use super::Context;
use crate::model::Tool;
use crate::store::select::{self, Values};
use crate::store::{Filter, Store};
use base::time::{date, moment, utc};
use base::{Error, Result, cut, shell_word};

/// The runs that match all of these.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Filters (text matches anywhere, ignoring case)")]
pub(crate) struct Filters {
    /// Runs of models with this in their name; of llama-bench, in the name of their file too
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Runs with this in their quantisation, such as Q4_K_M
    #[arg(long, value_name = "TEXT")]
    quant: Option<String>,
    /// Runs on accelerators with this in their name
    #[arg(long, value_name = "TEXT")]
    accelerator: Option<String>,
    /// Runs with this in the name and version of their runtime
    #[arg(long, value_name = "TEXT")]
    runtime: Option<String>,
    /// Runs that this program measured
    #[arg(long, value_name = "TOOL")]
    tool: Option<Tool>,
    /// Runs with this tag; * and ? stand for any text and any character
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Runs measured at this time or later: a date, a time (UTC), an age such as 7d or 12h, today or
    /// yesterday
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Moment>,
    /// Runs measured at this time or before; a date includes its whole day
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Moment>,
}

/// A point in time, and how it was typed.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    typed: String,
    pub(super) second: i64,
}

impl From<&Filters> for Filter {
    fn from(filters: &Filters) -> Self {
        let second = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.second);
        Self {
            since: second(&filters.since),
            until: second(&filters.until),
            model: filters.model.clone(),
            quant: filters.quant.clone(),
            accelerator: filters.accelerator.clone(),
            runtime: filters.runtime.clone(),
            tool: filters.tool,
            tag: filters.tag.clone(),
            ..Self::default()
        }
    }
}

impl Filters {
    /// Says how many runs were selected by a time that is a guess.
    pub(crate) fn note_guessed(
        &self,
        is_guessed: impl Iterator<Item = bool>,
        context: &mut Context,
    ) {
        if self.since.is_none() && self.until.is_none() {
            return;
        }
        match is_guessed.filter(|is_guessed| *is_guessed).count() {
            0 => {}
            1 => context.note("1 run with a guessed date (~) is among them"),
            guessed => context.note(&format!(
                "{guessed} runs with a guessed date (~) are among them"
            )),
        }
    }

    /// `model llama, since 2025-06-15T12:00:00Z`.
    pub(crate) fn in_words(&self) -> String {
        let parts = self.given().into_iter().map(|(name, typed, filter)| {
            let time = filter.since.or(filter.until).and_then(utc);
            format!("{name} {}", time.unwrap_or(typed))
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// The options that are there: name, value as it was typed, and what each says alone.
    fn given(&self) -> Vec<(&'static str, String, Filter)> {
        let typed = |moment: &Option<Moment>| Some(moment.as_ref()?.typed.clone());
        let all = Filter::from(self);
        let none = Filter::default;
        let parts = [
            (
                "model",
                all.model.clone(),
                Filter {
                    model: all.model,
                    ..none()
                },
            ),
            (
                "quant",
                all.quant.clone(),
                Filter {
                    quant: all.quant,
                    ..none()
                },
            ),
            (
                "accelerator",
                all.accelerator.clone(),
                Filter {
                    accelerator: all.accelerator,
                    ..none()
                },
            ),
            (
                "runtime",
                all.runtime.clone(),
                Filter {
                    runtime: all.runtime,
                    ..none()
                },
            ),
            (
                "tool",
                all.tool.map(|tool| tool.name().to_owned()),
                Filter {
                    tool: all.tool,
                    ..none()
                },
            ),
            (
                "tag",
                all.tag.clone(),
                Filter {
                    tag: all.tag,
                    ..none()
                },
            ),
            (
                "since",
                typed(&self.since),
                Filter {
                    since: all.since,
                    ..none()
                },
            ),
            (
                "until",
                typed(&self.until),
                Filter {
                    until: all.until,
                    ..none()
                },
            ),
        ];
        let given = parts.into_iter();
        given
            .filter_map(|(name, typed, filter)| Some((name, typed?, filter)))
            .collect()
    }

    /// What is said where no run matches these and the words: the values that there are instead.
    pub(crate) fn no_match(&self, words: &[String], store: &Store) -> Result<Error> {
        let count = |filter: &Filter| store.read(|db| select::count(db, filter));
        if count(&Filter::default())? == 0 {
            let error = Error::plain("the store is empty");
            return Ok(error.hint("localstore record localscore -m model.gguf"));
        }
        let words = words.iter().map(|word| {
            let words = vec![word.clone()];
            (
                "",
                word.clone(),
                Filter {
                    words,
                    ..Filter::default()
                },
            )
        });
        let given: Vec<_> = words.chain(self.given()).collect();
        let typed = given.iter().map(|(name, typed, _)| match *name {
            "" => shell_word(typed),
            name => format!("--{name} {}", shell_word(typed)),
        });
        let typed = typed.collect::<Vec<_>>().join(" ");
        let error = Error::plain(match typed.as_str() {
            "" => "no run matches".to_owned(),
            typed => format!("no run matches {typed}"),
        });
        // The first that no run matches, whatever the others say.
        for (name, _, filter) in given {
            if count(&filter)? == 0 {
                let hint = match (name, filter.tool) {
                    ("tool", Some(tool)) => Some(record(tool)),
                    _ => hint(name, store)?,
                };
                return Ok(hint.into_iter().fold(error, Error::hint));
            }
        }
        Ok(error)
    }
}

/// How the first run of a tool is stored.
fn record(tool: Tool) -> String {
    match tool {
        Tool::LocalScore => "localstore record localscore -m model.gguf",
        Tool::LlamaBench => "localstore record -- llama-bench -m model.gguf -oe jsonl",
    }
    .to_owned()
}

/// The values that the option could have.
fn hint(name: &str, store: &Store) -> Result<Option<String>> {
    let values = match name {
        "quant" => Values::Quants,
        "accelerator" => Values::Accelerators,
        "runtime" => Values::Runtimes,
        "tag" => Values::Tags,
        "since" | "until" => {
            let period = store.read(select::period)?;
            return Ok(period.map(|(first, last)| {
                format!("the runs were measured {} to {}", date(first), date(last))
            }));
        }
        _ => Values::Models,
    };
    let found = store.read(|db| select::values(db, values))?;
    if found.is_empty() {
        return Ok(None);
    }
    Ok(Some(some_of(values.name(), &found)))
}

/// The longest list of values.
const MOST_CHARS: usize = 70;

/// `models: A, B, … (9)`, of which as many are named as fit on a line, but one at least.
fn some_of(name: &str, values: &[String]) -> String {
    let mut text = format!("{name}: {}", cut(&values[0], MOST_CHARS));
    for value in &values[1..] {
        if text.chars().count() + value.chars().count() > MOST_CHARS {
            text += ", …";
            break;
        }
        text.extend([", ", value]);
    }
    format!("{text} ({})", values.len())
}

pub(super) fn since(text: &str) -> Result<Moment, String> {
    let (second, _) = moment(text)?;
    let typed = text.to_owned();
    Ok(Moment { typed, second })
}

fn until(text: &str) -> Result<Moment, String> {
    let (_, second) = moment(text)?;
    let typed = text.to_owned();
    Ok(Moment { typed, second })
}
