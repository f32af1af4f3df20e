//! The series of a picture: colours, dashes, marks and the legend.

use maud::{Markup, html};

use crate::WIDTH;
use crate::svg::{Anchor, Picture, Px, count, line, path, text};
use crate::text::{SIZE, TITLE_SIZE, fit};

/// The maximum number of distinguishable series in one picture.
pub const MAX_SERIES: usize = 8;

/// A run in a picture that shows several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its short name in the picture, such as `run 12`.
    pub key: String,
    /// Its description: model, accelerator, date.
    pub name: String,
}

/// The sample of a series in a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Bar,
    Line,
}

/// A picture of several runs: the title, the legend, and below each other the panels that are not
/// empty; `None` if all are empty. `draw` gets the top of a panel, and returns the panel and its
/// bottom.
pub(crate) fn stacked<P>(
    title: &str,
    runs: &[Series],
    sample: Sample,
    panels: &[P],
    note: &str,
    draw: impl Fn(&P, f64) -> Option<(Markup, f64)>,
) -> Option<Picture> {
    let legend_top = 34.0;
    let mut bottom = legend_top + LINE * count(runs.len()) + 8.0;
    let mut drawn = Vec::new();
    for panel in panels {
        if let Some((markup, end)) = draw(panel, bottom) {
            drawn.push(markup);
            bottom = end;
        }
    }
    if drawn.is_empty() {
        return None;
    }
    let room = WIDTH - 32.0;
    let title = fit(title, room, TITLE_SIZE);
    let label = match runs.len() {
        1 => format!("{title}: 1 run"),
        several => format!("{title}: {several} runs"),
    };
    let body = html! {
        (text(16.0, 22.0, Anchor::Start, "title", &title))
        (legend(runs, legend_top, sample))
        @for panel in drawn { (panel) }
        @if !note.is_empty() {
            (text(16.0, bottom + 14.0, Anchor::Start, "soft", &fit(note, room, SIZE)))
        }
    };
    let height = bottom + if note.is_empty() { 0.0 } else { 28.0 };
    Some(Picture::new(label, WIDTH, height, body))
}

/// The height of a line of the legend.
const LINE: f64 = 18.0;

fn legend(runs: &[Series], top: f64, sample: Sample) -> Markup {
    html! {
        @for (index, run) in runs.iter().enumerate() {
            @let y = top + LINE * (count(index) + 0.5);
            g class=(class(index)) {
                @if sample == Sample::Line {
                    (line((16.0, y), (44.0, y), &dashed(index)))
                    (mark(index, (30.0, y), 4.0, &fit(&run.key, 200.0, SIZE)))
                } @else {
                    rect class="bar" x="16" y=(Px(y - 6.0)) width="28" height="12" {}
                }
            }
            (text(52.0, y + 4.0, Anchor::Start, "", &fit(
                &format!("{}: {}", run.key, run.name), WIDTH - 68.0, SIZE
            )))
        }
    }
}

/// The class that gives a series its colour.
pub(crate) fn class(series: usize) -> String {
    format!("c{}", series % MAX_SERIES)
}

/// The classes of the line of a series.
pub(crate) fn dashed(series: usize) -> String {
    format!("line d{}", series % 4)
}

/// The corners of the marks, sized to look as large as a circle of radius 1, which is the mark of the
/// first series.
const OUTLINES: [&[(f64, f64)]; MAX_SERIES - 2] = [
    &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
    &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
    &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
    &CROSS,
    &[(-1.3, -0.6), (1.3, -0.6), (1.3, 0.6), (-1.3, 0.6)],
];

const CROSS: [(f64, f64); 12] = [
    (-0.45, -1.35),
    (0.45, -1.35),
    (0.45, -0.45),
    (1.35, -0.45),
    (1.35, 0.45),
    (0.45, 0.45),
    (0.45, 1.35),
    (-0.45, 1.35),
    (-0.45, 0.45),
    (-1.35, 0.45),
    (-1.35, -0.45),
    (-0.45, -0.45),
];

/// The mark of a series at a position; its shape distinguishes the series without colour.
pub(crate) fn mark(series: usize, (x, y): (f64, f64), r: f64, label: &str) -> Markup {
    let shape = series % MAX_SERIES;
    if shape == 0 {
        return html! {
            circle class="mark" cx=(Px(x)) cy=(Px(y)) r=(Px(r)) { title { (label) } }
        };
    }
    let d = if let Some(corners) = OUTLINES.get(shape - 1) {
        path(corners.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)))
    } else {
        let turn = r * std::f64::consts::FRAC_1_SQRT_2;
        path(CROSS.map(|(dx, dy)| (x + turn * (dx - dy), y + turn * (dx + dy))))
    };
    html! {
        path class="mark" d=(d + "Z") { title { (label) } }
    }
}
