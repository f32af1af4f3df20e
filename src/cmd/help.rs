use std::ffi::OsString;
use std::time::Duration;

use super::Context;
use crate::arguments::{self, Stop};
use crate::store::{Location, Store, select};
use base::{Result, Screen, printable};

/// Print the most used commands, or the help of one
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore help list")]
pub(crate) struct Args {
    /// The command, such as 'list' or 'plot history'
    #[arg(value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    if args.command.is_empty() {
        let text = overview(&context.location, context.out.screen());
        return context.out.styled(text.as_bytes());
    }
    let mut arguments = vec![OsString::from("localstore")];
    arguments.extend(args.command.iter().cloned());
    arguments.push("--help".into());
    match arguments::parse(arguments.into_iter()) {
        Err(Stop::Help(text)) => context.out.styled(text.as_bytes()),
        Err(Stop::Invalid(error)) => Err(error),
        // `--help` always stops.
        Ok(_) => Ok(()),
    }
}

const COMMANDS: &str = "\
localstore keeps benchmark runs of local LLMs in one SQLite file.

  localstore record localscore -m model.gguf    run a benchmark and keep it
  localstore add FILE…                          keep output you already have
  localstore list                               what is there
  localstore compare last~1 last                did it get slower?
  localstore history                            since when?
  localstore report out.html                    everything on one page

More: show best export score plot submit tag rm merge check backup path chat
Many machines: push pull
Overrides of prompts: prompt
Records of coding agents: trace
One address for every model: serve model key agent usage
'localstore help COMMAND' explains one, 'localstore --help' lists all.
";

/// The width of the commands with what they are for beside them.
const ROW: usize = 75;

/// How long the number of runs is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most used commands, and the store if it can be read.
pub(crate) fn overview(location: &Location, screen: Screen) -> String {
    let path = location.path.display().to_string();
    let store = match Store::peek(location, PATIENCE, select::count_all) {
        None => String::new(),
        Some(1) => format!("Store: {}, 1 run\n", printable(&path)),
        Some(runs) => format!("Store: {}, {runs} runs\n", printable(&path)),
    };
    let is_narrow = screen.width.is_some_and(|width| width < ROW);
    let lines = COMMANDS.lines().chain(store.lines());
    let lines = lines.map(|line| match line.split_once("   ") {
        Some((command, what)) if is_narrow => {
            let what = format!("    {}", what.trim_start());
            format!("{}\n{}\n", screen.fold(command), screen.fold(&what))
        }
        _ => screen.fold(line) + "\n",
    });
    lines.collect()
}
