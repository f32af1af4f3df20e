//! Pictures of runs as SVG, drawn from plain data, independent of the store.
//!
//! Every picture follows its reader's light or dark setting, is light in print, and scales to any
//! width. Colour is never the only sign: series also differ in marks and dashes, and verdicts are
//! shapes and words. Titles are wrapped, never cut. Names are made printable, and escaped by the templates.

#![forbid(unsafe_code)]

mod axis;
mod bars;
mod course;
mod lines;
mod series;
mod svg;
mod text;
mod trend;

#[cfg(test)]
mod tests;

pub use bars::{Bar, Bars, BarsPanel, Group, Tone};
pub use course::{Course, CourseLine, CoursePoint};
pub use lines::{LinePoint, Lines, LinesPanel};
pub use series::{Caption, MAX_SERIES, Series};
pub use svg::{Picture, STYLE};
pub use trend::{LevelChange, Point, Trend};

/// The width of a standalone picture, in pixels before scaling.
pub const WIDTH: f64 = 760.0;

/// The width of a picture in a column of a page: narrow, so that its text stays readable on a phone.
pub const COLUMN: f64 = 340.0;
