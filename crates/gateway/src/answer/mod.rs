//! What is read of an answer while it passes by.

mod events;
mod source;
mod tokens;

pub(crate) use source::{Cut, Next, Source};
pub(crate) use tokens::Tokens;
