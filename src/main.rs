//! The program. Everything else is in the library.

use std::process::ExitCode;

/// Before `main`, Rust replaces a closed standard output with `/dev/null`, and the output would be
/// lost without an error. So this check runs even earlier.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[allow(unsafe_code, reason = "the only way to run before Rust's own start")]
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static BEFORE_MAIN: extern "C" fn() = base::check_stdout_is_open;

fn main() -> ExitCode {
    localstore::main(std::env::args_os())
}
