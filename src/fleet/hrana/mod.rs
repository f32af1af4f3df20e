//! Hrana over HTTP, the protocol of libSQL servers: values, batches of statements, their answers.
//!
//! A batch is one request and one transaction, so none stays open when a client goes away. Whoever
//! makes one must make it safe to repeat: an answer that is lost is asked for again.

mod answer;
mod batch;
mod client;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use answer::{Answer, Failed, Row, Rows, StepError};
pub(crate) use batch::Batch;
pub(crate) use client::{Failure, Kind, Remote};
pub(crate) use value::{BASE64, Value};
