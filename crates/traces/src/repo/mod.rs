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

/// Whether the folder lies in a repository. An error if it is a git directory itself.
pub(crate) fn is_in_repository(dir: &std::path::Path) -> base::Result<bool> {
    user::User::find(dir).map(|user| user.is_some())
}
