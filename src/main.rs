//! The program; what it does is in the library.

use std::process::ExitCode;

/// Before `main`, Rust opens `/dev/null` in place of a standard output that is closed, and what is
/// printed would be lost without a word. So this looks before that.
#[cfg(any(target_os = "linux", target_os = "macos"))]
#[allow(unsafe_code, reason = "the one way to run before Rust's own start")]
#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static BEFORE_MAIN: extern "C" fn() = base::look_whether_stdout_is_closed;

fn main() -> ExitCode {
    localstore::main(std::env::args_os())
}
