//! The code of a trajectory, kept by git. Nothing here touches the user's own git directory.

mod git;
mod history;

pub(crate) use git::{Git, require};
pub(crate) use history::History;
