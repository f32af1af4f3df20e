//! Pictures of runs as SVG, drawn from plain data: nothing here knows the store.
//!
//! Every picture follows its reader's light or dark setting, and is light on paper; it scales to
//! any width. Colour never speaks alone: series differ in marks and dashes too, verdicts are words.
//! Names are escaped by the templates, and made printable before.

#![forbid(unsafe_code)]

mod axis;
mod bars;
mod lines;
mod series;
mod svg;
mod text;
mod trend;

#[cfg(test)]
mod tests;

pub use bars::{Bar, Bars, BarsPanel, Group, Tone};
pub use lines::{LinePoint, Lines, LinesPanel};
pub use series::{MAX_SERIES, Series};
pub use svg::{Picture, STYLE};
pub use trend::{LevelChange, Point, Trend};

/// The width of a picture that stands for itself, in pixels before it is scaled.
pub const WIDTH: f64 = 760.0;

/// The width of a picture in a column of a page: narrow, so that its text stays readable when a
/// phone scales it down.
pub const COLUMN: f64 = 420.0;
