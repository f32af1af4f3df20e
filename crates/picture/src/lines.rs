//! Speed against the length of the context: a panel for each metric, a line for each run.

use maud::{Markup, html};

use crate::WIDTH;
use crate::axis::{Base, Scale, is_drawable};
use crate::series::{Caption, Legend, Sample, Series, class, dashed, mark, stacked};
use crate::svg::{Anchor, Picture, better, label, line, path, text};
use crate::text::{SIZE, TITLE_SIZE, fit};
use base::number::amount;

/// Metrics of runs against numbers of tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// What it says.
    pub caption: Caption,
    /// The runs.
    pub runs: Vec<Series>,
    /// The metrics.
    pub panels: Vec<LinesPanel>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq)]
pub struct LinesPanel {
    /// The metric, with its unit.
    pub unit: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The label of the axis of tokens.
    pub tokens: String,
    /// Whether this axis begins at 0; else it is logarithmic.
    pub is_from_zero: bool,
    /// Whether the axis of the values is logarithmic: for values that grow with the tokens.
    pub is_log: bool,
    /// The tests of each run, in the order of the runs.
    pub series: Vec<Vec<LinePoint>>,
}

/// A test of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LinePoint {
    /// The number of tokens; points without tokens are drawn only on an axis that begins at 0.
    pub tokens: f64,
    /// The value.
    pub value: f64,
    /// The test's name.
    pub test: String,
}

/// The height of the plot of a panel.
const HEIGHT: f64 = 190.0;

impl Lines {
    /// Draws the picture; `None` if there are no values to draw.
    #[must_use]
    pub fn draw(&self) -> Option<Picture> {
        let runs = &self.runs;
        let draw = |panel: &LinesPanel, top| Some((panel.draw(runs, top)?, top + HEIGHT + 80.0));
        let legend = Legend {
            runs,
            sample: Sample::Line,
            tick: None,
        };
        stacked(&self.caption, &legend, &self.panels, draw)
    }
}

impl LinesPanel {
    fn draw(&self, runs: &[Series], top: f64) -> Option<Markup> {
        let drawn = || {
            self.series
                .iter()
                .flatten()
                .filter(|point| self.is_drawn(point))
        };
        let (first, bottom) = (top + 34.0, top + 34.0 + HEIGHT);
        let values = drawn().map(|point| point.value);
        let y = if self.is_log {
            Scale::log(values, Base::Ten, (bottom, first))?
        } else {
            Scale::from_zero(values, (bottom, first))?
        };
        let (left, right) = (y.left(), WIDTH - 28.0);
        let tokens = drawn().map(|point| point.tokens);
        let x = if self.is_from_zero {
            Scale::from_zero(tokens, (left + 12.0, right))?
        } else {
            Scale::log(tokens, Base::Two, (left + 12.0, right))?
        };
        let title = format!("{}, {}", self.unit, better(self.higher_is_better));
        Some(html! {
            (text(16.0, top + 20.0, Anchor::Start, "title", &fit(&title, WIDTH - 32.0, TITLE_SIZE)))
            (y.grid(left, right))
            @for tick in &x.ticks {
                @let at = x.at(tick.value);
                (line((at, bottom), (at, bottom + 4.0), "axis"))
                (label(at, bottom + 17.0, WIDTH, &tick.label))
            }
            (text(f64::midpoint(left, right), bottom + 34.0, Anchor::Middle, "soft", &self.tokens))
            @for (index, points) in self.series.iter().enumerate() {
                @let points: Vec<&LinePoint> = points.iter().filter(|point| self.is_drawn(point)).collect();
                @let places = medians(&points).into_iter().map(|(tokens, value)| (x.at(tokens), y.at(value)));
                g class=(class(index)) {
                    path class=(dashed(index)) d=(path(places)) {}
                    @for point in points {
                        (mark(index, (x.at(point.tokens), y.at(point.value)), 4.0, Some(&describe(point, runs.get(index)))))
                    }
                }
            }
        })
    }

    fn is_drawn(&self, point: &LinePoint) -> bool {
        let is_drawable = is_drawable(point.value) && is_drawable(point.tokens);
        let has_place = point.tokens > 0.0 || (self.is_from_zero && point.tokens == 0.0);
        is_drawable && has_place && (point.value > 0.0 || !self.is_log)
    }
}

/// The median for each number of tokens, which several tests may share, in ascending order.
fn medians(points: &[&LinePoint]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    let order = |a: &&LinePoint, b: &&LinePoint| {
        let by_tokens = a.tokens.total_cmp(&b.tokens);
        by_tokens.then(a.value.total_cmp(&b.value))
    };
    sorted.sort_by(order);
    let groups = sorted.chunk_by(|a, b| a.tokens == b.tokens);
    let median = |group: &[&LinePoint]| {
        let upper = group.get(group.len() / 2)?;
        let lower = group.get((group.len() - 1) / 2)?;
        Some((upper.tokens, f64::midpoint(lower.value, upper.value)))
    };
    groups.filter_map(median).collect()
}

fn describe(point: &LinePoint, run: Option<&Series>) -> String {
    let key = run.map_or("", |run| run.key.as_str());
    let (key, test) = (fit(key, 200.0, SIZE), fit(&point.test, 400.0, SIZE));
    format!("{key}, {test}: {}", amount(point.value))
}
