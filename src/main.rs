//! The program `localstore`: calls the library and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    localstore::main(std::env::args_os())
}
