//! Counts over the parts of a piece of work: a line for each series, which goes on until its next value.

use maud::{Markup, html};

use crate::WIDTH;
use crate::axis::{Scale, is_drawable};
use crate::series::{Caption, Legend, MAX_SERIES, Sample, Series, class, dashed, mark};
use crate::svg::{Anchor, Heading, Picture, count, label, line, path, text};
use crate::text::{SIZE, TITLE_SIZE, fit, fixed, wrapped};

/// Counts over parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// What it says.
    pub caption: Caption,
    /// What is counted.
    pub unit: String,
    /// The number of the last part.
    pub parts: u64,
    /// What is counted of each: those beyond [`MAX_SERIES`] have plots of their own.
    pub lines: Vec<CourseLine>,
}

/// The counts of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct CourseLine {
    /// What it is.
    pub series: Series,
    /// The parts with a value, in their order.
    pub points: Vec<CoursePoint>,
}

/// A value that holds from a part on.
#[derive(Debug, Clone, PartialEq)]
pub struct CoursePoint {
    /// The number of the part.
    pub part: u64,
    /// The value; it is not drawn unless it is finite and not negative.
    pub value: f64,
    /// The value as people read it.
    pub shown: String,
}

/// The height of a plot.
const HEIGHT: f64 = 220.0;

/// The least distance between two marks of a line, and how much it is for each line.
const MARKS: (f64, f64) = (9.0, 4.0);

impl Course {
    /// Draws the picture; `None` if there are no values to draw.
    #[must_use]
    pub fn draw(&self) -> Option<Picture> {
        let heading = Heading::new(&self.caption.title, &self.caption.sentence, WIDTH);
        let drawn: Vec<&CourseLine> = self
            .lines
            .iter()
            .filter(|line| line.drawn().next().is_some())
            .collect();
        if drawn.is_empty() {
            return None;
        }
        let mut bottom = heading.bottom + 4.0;
        let mut plots = Vec::new();
        for lines in drawn.chunks(MAX_SERIES) {
            let series: Vec<Series> = lines.iter().map(|line| line.series.clone()).collect();
            let legend = Legend {
                runs: &series,
                sample: Sample::Line,
                tick: None,
            };
            let (legend, height) = legend.draw(bottom);
            let top = bottom + height;
            plots.push(html! { (legend) (self.plot(lines, top)?) });
            bottom = top + 34.0 + HEIGHT + 46.0;
        }
        let notes = wrapped(&self.caption.note, WIDTH - 32.0, SIZE);
        let height = bottom + 16.0 * count(notes.len()) + 12.0;
        let body = html! {
            @for plot in plots { (plot) }
            @for (index, line) in notes.iter().enumerate() {
                (text(16.0, bottom + 14.0 + 16.0 * count(index), Anchor::Start, "soft", line))
            }
        };
        Some(Picture::new(heading, WIDTH, height, &body))
    }

    fn plot(&self, lines: &[&CourseLine], top: f64) -> Option<Markup> {
        let (first, bottom) = (top + 34.0, top + 34.0 + HEIGHT);
        let values = lines.iter().flat_map(|line| line.drawn());
        let mut y = Scale::from_zero(values.map(|point| point.value), (bottom, first))?;
        whole_ticks(&mut y);
        let (left, right) = (y.left(), WIDTH - 28.0);
        let last = number(self.parts.max(1));
        let mut x = Scale::from_zero(std::iter::once(last), (left + 12.0, right))?;
        whole_ticks(&mut x);
        // There is no part 0.
        x.ticks.retain(|tick| tick.value > 0.0);
        let distance = MARKS.0.max(MARKS.1 * count(lines.len()));
        let end = x.at(last);
        Some(html! {
            (text(16.0, top + 20.0, Anchor::Start, "title", &fit(&self.unit, WIDTH - 32.0, TITLE_SIZE)))
            (y.grid(left, right))
            @for tick in &x.ticks {
                @let at = x.at(tick.value);
                (line((at, bottom), (at, bottom + 4.0), "axis"))
                (label(at, bottom + 17.0, WIDTH, &tick.label))
            }
            (text(f64::midpoint(left, right), bottom + 34.0, Anchor::Middle, "soft", "part"))
            @for (index, one) in lines.iter().enumerate() {
                g class=(class(index)) {
                    path class=(dashed(index)) d=(path(one.corners(&x, &y, end))) {}
                    @for (place, point) in one.marks(&x, &y, distance) {
                        (mark(index, place, 4.0, Some(&one.describe(point))))
                    }
                }
            }
        })
    }
}

impl CourseLine {
    fn drawn(&self) -> impl Iterator<Item = &CoursePoint> {
        let points = self.points.iter();
        points.filter(|point| is_drawable(point.value) && point.value >= 0.0)
    }

    /// The points at which the value changes.
    fn changes(&self) -> Vec<&CoursePoint> {
        let mut points: Vec<&CoursePoint> = self.drawn().collect();
        points.dedup_by(|point, before| point.value == before.value);
        points
    }

    /// The corners of the line, which ends at `end`.
    fn corners(&self, x: &Scale, y: &Scale, end: f64) -> Vec<(f64, f64)> {
        let mut corners: Vec<(f64, f64)> = Vec::new();
        for point in self.changes() {
            let place = (x.at(number(point.part)), y.at(point.value));
            if let Some(&(_, before)) = corners.last() {
                corners.push((place.0, before));
            }
            corners.push(place);
        }
        if let Some(&(_, last)) = corners.last() {
            corners.push((end, last));
        }
        corners
    }

    /// The points with a mark: where the value changes, at this distance at least.
    fn marks(&self, x: &Scale, y: &Scale, distance: f64) -> Vec<((f64, f64), &CoursePoint)> {
        let mut marks: Vec<((f64, f64), &CoursePoint)> = Vec::new();
        for point in self.changes() {
            let place = (x.at(number(point.part)), y.at(point.value));
            if marks
                .last()
                .is_none_or(|((before, _), _)| place.0 - before >= distance)
            {
                marks.push((place, point));
            }
        }
        marks
    }

    fn describe(&self, point: &CoursePoint) -> String {
        let name = fit(&self.series.name, 300.0, SIZE);
        let shown = fit(&point.shown, 200.0, SIZE);
        format!("{name}, part {}: {shown}", point.part)
    }
}

/// Leaves only the ticks of whole numbers: there are no parts of tests.
fn whole_ticks(scale: &mut Scale) {
    scale.ticks.retain(|tick| tick.value.fract().abs() < 1e-9);
    for tick in &mut scale.ticks {
        if tick.value.abs() < 1e7 {
            tick.label = fixed(tick.value, 0);
        }
    }
}

/// The number of a part as a place on an axis.
#[allow(
    clippy::cast_precision_loss,
    reason = "no number of a part is near 2^53"
)]
fn number(part: u64) -> f64 {
    part as f64
}
