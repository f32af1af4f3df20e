//! What is read of an answer while it passes by.

mod events;
mod source;
mod tokens;

pub(crate) use source::{Cut, Next, Source, is_framed, is_stream};
pub(crate) use tokens::Tokens;
