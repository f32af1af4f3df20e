use super::Context;
use base::Result;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore completions bash > \
    ~/.local/share/bash-completion/completions/localstore")]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let mut script = Vec::new();
    let mut command = super::command();
    clap_complete::generate(args.shell, &mut command, "localstore", &mut script);
    context.out.styled(&script)
}
