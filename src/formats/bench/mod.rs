//! The formats of llama-bench, one file each.

pub(crate) mod json;
