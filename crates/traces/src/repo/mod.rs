//! The code of a trajectory, kept by git. Nothing here touches the user's own git directory.

mod bundle;
mod checkout;
mod entries;
mod git;
mod history;
mod index;
mod left;
mod objects;
mod private;
mod scan;
#[cfg(all(test, unix))]
mod tests;
mod user;

pub(crate) use bundle::write_bundle;
pub(crate) use checkout::check_out;
pub(crate) use git::{Git, bare, leave_repository, require, run, stream};
pub(crate) use history::{History, is_hash};
pub(crate) use left::Left;
pub(crate) use private::{ATTRIBUTES, Private};
pub(crate) use user::User;
