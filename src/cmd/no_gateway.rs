//! Replaces the commands of the gateway in a build without the feature `serve`.

use std::ffi::OsString;

use base::{Error, ExitStatus, Result};

/// What the commands of the gateway work with: nothing, since they only fail.
pub(crate) struct Absent;

/// A command that takes any arguments, and fails with an error that names the feature.
macro_rules! absent {
    ($($module:ident, $help:literal, $example:literal;)*) => {
        $(pub(super) mod $module {
            #[doc = $help]
            ///
            /// Needs the feature 'serve', without which this program was built.
            #[derive(Debug, clap::Args)]
            #[command(after_help = concat!("Example: localstore ", $example))]
            pub(crate) struct Args {
                #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
                _arguments: Vec<super::OsString>,
            }

            impl Args {
                /// Always returns an error.
                #[allow(clippy::unused_self, reason = "the same call as with the feature")]
                pub(crate) fn run(&self, _: &mut super::Absent) -> super::Result<super::ExitStatus> {
                    let why = "this program was built without the feature 'serve'";
                    Err(super::Error::new(concat!("cannot run '", stringify!($module), "'"), why))
                }
            }
        })*
    };
}

absent! {
    serve, "Serve all models at one address, each by its fastest backend", "serve --addr 0.0.0.0:8000";
    model, "The models that the gateway serves, and their backends", "model list -o json";
    key, "Keys, which let clients in", "key create anna";
    agent, "Start a model server, and register it with a gateway", "agent --model llama8 -- llama-server --port '${PORT}'";
    usage, "Show requests, tokens and times by model, key, backend or day", "usage --since 7d";
}
