//! Which series is which.

use maud::{Markup, html};

use super::marks::mark;
use super::svg::{Anchor, line, text};
use super::text::{SIZE, fit};

/// So many series can be told apart in one picture.
pub const MAX_SERIES: usize = 8;

/// A run in a picture that shows several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What it is called in the picture, such as `run 12`: short.
    pub key: String,
    /// What it is: model, accelerator, date.
    pub name: String,
}

/// The height of a line of text.
pub(super) const LINE: f64 = 18.0;

/// How the series is drawn in a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    Bar,
    Line,
}

/// A line for each series; as high as [`LINE`] times their number.
pub(super) fn legend(series: &[Series], top: f64, width: f64, sample: Sample) -> Markup {
    html! {
        @for (index, one) in series.iter().enumerate() {
            @let y = top + LINE * (crate::stats::basic::number(index) + 0.5);
            g class=(class(index)) {
                @if sample == Sample::Line {
                    (line((16.0, y), (44.0, y), &dashed(index)))
                    (mark(index, (30.0, y), 4.0, &fit(&one.key, 200.0, SIZE)))
                } @else {
                    rect class="bar" x="16" y=(super::svg::Px(y - 6.0)) width="28" height="12" {}
                }
            }
            (text(52.0, y + 4.0, Anchor::Start, "", &fit(
                &format!("{}: {}", one.key, one.name), width - 68.0, SIZE
            )))
        }
    }
}

/// The class that gives a series its colour.
pub(super) fn class(series: usize) -> String {
    format!("c{}", series % MAX_SERIES)
}

/// The classes of its line.
pub(super) fn dashed(series: usize) -> String {
    format!("line d{}", series % 4)
}

/// What a picture of several runs shows, for those who do not see it.
pub(super) fn spoken(title: &str, runs: usize) -> String {
    let runs = if runs == 1 {
        "1 run".to_owned()
    } else {
        format!("{runs} runs")
    };
    format!("{title}: {runs}")
}
