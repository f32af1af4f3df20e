//! Tests of the whole comparison, on runs made by hand and on simulated stores.

mod compare;
mod simulation;
