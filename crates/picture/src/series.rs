//! The series of a picture: colours, dashes, marks and the legend.

use maud::{Markup, html};

use crate::WIDTH;
use crate::svg::{Anchor, Heading, Picture, Px, count, line, path, text};
use crate::text::{SIZE, fit, width, wrapped};

/// The maximum number of distinguishable series in one picture.
pub const MAX_SERIES: usize = 8;

/// The number of colours; more series differ in dash, mark and strength.
const COLORS: usize = 4;

/// A run in a picture that shows several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What tells it from the others, such as `Q4_K_M`; may be empty.
    pub name: String,
    /// The run, such as `run 12`.
    pub key: String,
}

/// What a picture of several runs says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caption {
    /// What the runs have in common.
    pub title: String,
    /// What the picture says, in a sentence.
    pub sentence: String,
    /// Remarks below; may be empty.
    pub note: String,
}

/// The sample of a series in a legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Bar,
    Line,
}

/// The legend of a picture: its runs, and the name of a tick across their bars if there is one.
pub(crate) struct Legend<'a> {
    pub runs: &'a [Series],
    pub sample: Sample,
    pub tick: Option<&'a str>,
}

/// A picture of several runs: the title, the legend, and below each other the panels that are not
/// empty; `None` if all are empty. `draw` gets the top of a panel, and returns the panel and its
/// bottom.
///
/// In a narrow picture the legend is below.
pub(crate) fn stacked<P>(
    caption: &Caption,
    legend: &Legend<'_>,
    panels: &[P],
    draw: impl Fn(&P, f64) -> Option<(Markup, f64)>,
) -> Option<Picture> {
    let heading = Heading::new(&caption.title, &caption.sentence, WIDTH);
    let top = heading.bottom + 4.0;
    let (legend, height) = legend.draw(top);
    let mut bottom = top + height;
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
    let notes = wrapped(&caption.note, WIDTH - 32.0, SIZE);
    let down = Px(bottom - top - height);
    let body = html! {
        g style={ "--down:" (down) "px;--up:-" (Px(height)) "px" } {
            g class="legend" { (legend) }
            g class="panels" { @for panel in drawn { (panel) } }
        }
        @for (index, line) in notes.iter().enumerate() {
            (text(16.0, bottom + 14.0 + 16.0 * count(index), Anchor::Start, "soft", line))
        }
    };
    let height = bottom + 16.0 * count(notes.len()) + 12.0;
    Some(Picture::new(heading, WIDTH, height, &body))
}

/// The height of a line of the legend.
const LINE: f64 = 18.0;

impl Legend<'_> {
    /// The legend and its height.
    pub(crate) fn draw(&self, top: f64) -> (Markup, f64) {
        let mut bottom = top;
        let mut drawn = Vec::new();
        for (index, run) in self.runs.iter().enumerate() {
            let y = bottom + LINE / 2.0;
            drawn.push(html! {
                g class=(class(index)) {
                    @if self.sample == Sample::Line {
                        (line((16.0, y), (44.0, y), &dashed(index)))
                        (mark(index, (30.0, y), 4.0, Some(&fit(&run.key, 200.0, SIZE))))
                    } @else {
                        rect class="bar" x="16" y=(Px(y - 6.0)) width="28" height="12" {}
                    }
                }
            });
            let room = WIDTH - 68.0;
            let key = fit(&run.key, room, SIZE);
            let mut words = wrapped(&run.name, room, SIZE);
            match words.last_mut() {
                Some(last) if width(&format!("{last}  {key}"), SIZE) <= room => {
                    last.extend(["  ", &key]);
                }
                _ => words.push(key),
            }
            for words in words {
                let y = bottom + LINE / 2.0;
                drawn.push(text(52.0, y + 4.0, Anchor::Start, "", &words));
                bottom += LINE;
            }
        }
        if let Some(tick) = self.tick {
            let y = bottom + LINE / 2.0;
            drawn.push(html! {
                (line((30.0, y - 7.0), (30.0, y + 7.0), "tick"))
                (text(52.0, y + 4.0, Anchor::Start, "", &fit(tick, WIDTH - 68.0, SIZE)))
            });
            bottom += LINE;
        }
        (html! { @for one in drawn { (one) } }, bottom + 8.0 - top)
    }
}

/// The class that gives a series its colour.
pub(crate) fn class(series: usize) -> String {
    let again = if series < COLORS { "" } else { " again" };
    format!("c{}{again}", series % COLORS)
}

/// The classes of the line of a series.
pub(crate) fn dashed(series: usize) -> String {
    format!("line d{}", series % MAX_SERIES)
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
pub(crate) fn mark(series: usize, (x, y): (f64, f64), r: f64, label: Option<&str>) -> Markup {
    let shape = series % MAX_SERIES;
    let title = html! { @if let Some(label) = label { title { (label) } } };
    if shape == 0 {
        return html! {
            circle class="mark" cx=(Px(x)) cy=(Px(y)) r=(Px(r)) { (title) }
        };
    }
    let d = if let Some(corners) = OUTLINES.get(shape - 1) {
        path(corners.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)))
    } else {
        let turn = r * std::f64::consts::FRAC_1_SQRT_2;
        path(CROSS.map(|(dx, dy)| (x + turn * (dx - dy), y + turn * (dx + dy))))
    };
    html! {
        path class="mark" d=(d + "Z") { (title) }
    }
}
