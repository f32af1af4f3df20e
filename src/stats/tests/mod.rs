//! What the comparison as a whole says, of runs by hand and of simulated stores.

mod compare;
mod simulation;
