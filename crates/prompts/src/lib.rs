//! Overrides of prompts, as files in the project: the same files that the Python library
//! weakincentives reads and writes, in both of its formats.
//!
//! An override replaces the text of a section, or the descriptions of a tool, and is tied to the hash of
//! what it replaces. `Overrides` offers what the library's store does; `cmd` are the commands.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

mod cmd;
mod document;
mod example;
mod hash;
mod input;
mod json;
mod judge;
mod name;
mod overrides;
mod place;
mod problem;
#[cfg(test)]
mod properties;
mod record;
mod render;
mod suggest;
mod templates;
mod write;

pub use cmd::Args;
pub use suggest::{Wanted, suggestions};
