//! Records of coding agents: what an agent did, part by part, and the code as it was at each part.
//!
//! A trajectory is a folder with two files: `agent_trace.json` and the git history `repo.bundle`. They are
//! the truth; the tables in the store are an index of them. `stream` reads what agents print, `repo` keeps
//! the code, `cmd` are the commands.

#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

mod cmd;
mod eval;
mod events;
mod exchange;
mod index;
mod model;
mod place;
mod record;
mod repo;
#[cfg_attr(not(feature = "s3"), path = "no_s3.rs")]
mod s3;
mod secrets;
mod stream;
mod suggest;
mod verify;

pub use cmd::Args;
pub use index::ROOM;
pub use suggest::suggestions;
