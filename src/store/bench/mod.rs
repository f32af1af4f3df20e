//! The runs of llama-bench: each row as it was printed, found again by document and place.

mod read;
mod values;
mod write;

pub(crate) use read::{
    Reader, StoredDocument, StoredRow, documents, first_rows, head, settings, tables,
};
pub(super) use read::{derived, identity_of, tests};
pub(crate) use write::{Adding, add, lookup};
pub(super) use write::{Writer, add_part, add_table, derive, has_table, header, level, remove};
