//! A value over the runs of one configuration, with its lasting changes.
//!
//! The runs are drawn at equal distances, since changes of level are found in their order; on a time
//! axis, runs of one evening would overlap.

use maud::{Markup, html};

use crate::axis::{Scale, is_drawable};
use crate::series::{class, mark};
use crate::svg::{Anchor, Picture, Px, better, count, label, line, path, text};
use crate::text::{BOLD, DATE, SIZE, TITLE_SIZE, fit, moment, number, percent, width};

/// A value over runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The title: the model and the machine.
    pub title: String,
    /// The metric, with its unit.
    pub unit: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The runs, the oldest first.
    pub points: Vec<Point>,
    /// The lasting changes, the oldest first.
    pub changes: Vec<LevelChange>,
    /// The width of the picture: [`crate::WIDTH`] or [`crate::COLUMN`].
    pub width: f64,
}

/// The value of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The run's id.
    pub run: i64,
    /// The time of the measurement in seconds since 1970.
    pub time: i64,
    /// The value; it is not drawn unless it is finite.
    pub value: f64,
    /// Further text for the run, such as the version of its runtime.
    pub label: String,
}

/// A lasting change of level.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelChange {
    /// Index of the first point at the new level.
    pub index: usize,
    /// The level before.
    pub before: f64,
    /// The level from there on.
    pub after: f64,
    /// The change in percent.
    pub percent: f64,
    /// The cause, such as a new version of the runtime; may be empty.
    pub cause: String,
}

/// The maximum number of changes that are described in words, the last ones.
const MAX_DESCRIBED: usize = 6;

/// The width of a label below the axis, such as `2025-06-15`.
const LABEL: f64 = 90.0;

impl Trend {
    /// Draws the picture; `None` if there are no values to draw.
    #[must_use]
    pub fn draw(&self) -> Option<Picture> {
        let values = self.drawn().map(|(_, point)| point.value);
        let (_, latest) = self.drawn().last()?;
        let latest = format!("latest {}", number(latest.value));
        let top = if self.changes.is_empty() { 56.0 } else { 76.0 };
        let bottom = top + (self.width * 0.38).clamp(150.0, 280.0);
        let y = Scale::around(values, (bottom, top))?;
        let plot = Plot {
            trend: self,
            left: y.left(),
            y,
            right: self.width - 16.0,
            top,
            bottom,
        };
        let captions = plot.changes_in_words();
        let height = bottom + 42.0 + 16.0 * count(captions.len());
        let room = self.width - 44.0 - width(&latest, TITLE_SIZE);
        let subtitle = format!("{}; {}", self.unit, better(self.higher_is_better));
        let body = html! {
            (text(16.0, 22.0, Anchor::Start, "title", &fit(&self.title, room, TITLE_SIZE)))
            (text(plot.right, 22.0, Anchor::End, "title", &latest))
            (text(16.0, 40.0, Anchor::Start, "soft", &fit(&subtitle, self.width - 32.0, SIZE)))
            (plot.axes())
            (plot.series())
            (plot.change_marks())
            @for (index, line) in captions.iter().enumerate() {
                @let y = bottom + 52.0 + 16.0 * count(index);
                (text(line.indent, y, Anchor::Start, line.class, &line.text))
            }
        };
        Some(Picture::new(self.label(), self.width, height, body))
    }

    fn drawn(&self) -> impl Iterator<Item = (usize, &Point)> {
        let points = self.points.iter().enumerate();
        points.filter(|(_, point)| is_drawable(point.value))
    }

    fn label(&self) -> String {
        let count = self.drawn().count();
        let runs = if count == 1 { "run" } else { "runs" };
        let changes = match self.changes.len() {
            0 => "no lasting change".to_owned(),
            1 => "1 lasting change".to_owned(),
            n => format!("{n} lasting changes"),
        };
        let title = fit(&self.title, 900.0, SIZE);
        format!("{title}: {}; {count} {runs}, {changes}", self.unit)
    }

    fn is_better(&self, change: &LevelChange) -> bool {
        (change.percent > 0.0) == self.higher_is_better
    }
}

/// A trend and its position in the picture.
struct Plot<'a> {
    trend: &'a Trend,
    y: Scale,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

/// A line of text below the plot.
struct Caption {
    indent: f64,
    class: &'static str,
    text: String,
}

impl Plot<'_> {
    /// The position of the run at that index; a half index is between two runs.
    fn x(&self, index: f64) -> f64 {
        let last = count(self.trend.points.len().saturating_sub(1));
        let (first, room) = (self.left + 10.0, self.right - self.left - 20.0);
        if last == 0.0 {
            return first + room / 2.0;
        }
        first + room * (index / last).clamp(0.0, 1.0)
    }

    fn axes(&self) -> Markup {
        html! {
            (self.y.grid(self.left, self.right))
            @for (index, point, date) in self.dates() {
                @let x = self.x(count(index));
                (line((x, self.bottom), (x, self.bottom + 4.0), "axis"))
                (label(x, self.bottom + 17.0, self.trend.width, &date))
                (label(x, self.bottom + 32.0, self.trend.width, &format!("run {}", point.run)))
            }
        }
    }

    /// The runs with a date below the axis: the first, the last, and those that fit between them.
    fn dates(&self) -> Vec<(usize, &Point, String)> {
        let points = &self.trend.points;
        let last = points.len().saturating_sub(1);
        let distance = self.x(1.0) - self.x(0.0);
        let is_room = |gaps: &usize| count(last / gaps) * distance >= LABEL;
        let gaps = (1..=last.min(12)).rev().find(is_room).unwrap_or(1);
        let mut chosen: Vec<usize> = (0..=gaps).map(|step| step * last / gaps).collect();
        chosen.dedup();
        // Within a few days, dates alone would be the same.
        let times = || points.iter().map(|point| point.time);
        let span = times()
            .max()
            .unwrap_or(0)
            .saturating_sub(times().min().unwrap_or(0));
        let format = if (1..3 * 24 * 60 * 60).contains(&span) {
            "%m-%d %H:%M"
        } else {
            DATE
        };
        let dated = |index: usize| {
            let point = points.get(index)?;
            Some((index, point, moment(point.time, format)))
        };
        chosen.into_iter().filter_map(dated).collect()
    }

    fn series(&self) -> Markup {
        let at = |(index, point): (usize, &Point)| (self.x(count(index)), self.y.at(point.value));
        let count = self.trend.points.len();
        let radius = match count {
            0..=40 => 4.0,
            41..=150 => 3.0,
            _ => 2.0,
        };
        let (line, dense) = if count > 150 {
            ("line thin", "dense")
        } else {
            ("line", "")
        };
        html! {
            g class=(class(0)) {
                path class=(line) d=(path(self.trend.drawn().map(at))) {}
            }
            g class=(format!("{} {dense}", class(0))) {
                @for (index, point) in self.trend.drawn() {
                    (mark(0, at((index, point)), radius, &describe(point)))
                }
            }
            g class=(class(1)) {
                @for (from, to, level) in self.levels() {
                    path class="line level" d=(path([(from, level), (to, level)])) {}
                }
            }
        }
    }

    /// The levels between the changes: start, end and height.
    fn levels(&self) -> Vec<(f64, f64, f64)> {
        let changes = &self.trend.changes;
        let places = changes.iter().map(|change| self.between(change));
        let starts = std::iter::once(self.x(0.0)).chain(places.clone());
        let ends = places.chain([self.x(f64::INFINITY)]);
        let before = changes.first().map(|change| change.before);
        let levels = before
            .into_iter()
            .chain(changes.iter().map(|change| change.after));
        let levels = starts.zip(ends).zip(levels);
        let drawn = levels.filter(|(_, level)| is_drawable(*level));
        drawn
            .map(|((from, to), level)| (from, to, self.y.at(level)))
            .collect()
    }

    /// The position of a change, before the first run at the new level.
    fn between(&self, change: &LevelChange) -> f64 {
        self.x(count(change.index) - 0.5)
    }

    fn change_marks(&self) -> Markup {
        let mut free = f64::NEG_INFINITY;
        html! {
            @for (index, change) in self.trend.changes.iter().enumerate() {
                @let x = self.between(change);
                (line((x, self.top - 8.0), (x, self.bottom), "change"))
                // Numbers that would overlap are left out.
                @if x >= free {
                    circle class="badge" cx=(Px(x)) cy=(Px(self.top - 16.0)) r="9" {
                        title { (percent(change.percent)) }
                    }
                    (text(x, self.top - 12.0, Anchor::Middle, "number", &(index + 1).to_string()))
                    ({ free = x + 19.0; "" })
                }
            }
        }
    }

    fn changes_in_words(&self) -> Vec<Caption> {
        let trend = self.trend;
        let room = |indent: f64| trend.width - 16.0 - indent;
        let plain = |indent, text: &str| Caption {
            indent,
            class: "soft",
            text: fit(text, room(indent), BOLD),
        };
        let changes = &trend.changes;
        let earlier = changes.len().saturating_sub(MAX_DESCRIBED);
        let mut lines = Vec::new();
        for (index, change) in changes.iter().enumerate().skip(earlier) {
            let better = trend.is_better(change);
            let point = trend.points.get(change.index);
            let place = point.map_or_else(String::new, |point| {
                format!(", run {} of {}", point.run, moment(point.time, DATE))
            });
            let words = format!(
                "{}: {}, {}, {} → {}{place}",
                index + 1,
                percent(change.percent),
                if better { "better" } else { "worse" },
                number(change.before),
                number(change.after),
            );
            lines.push(Caption {
                class: if better { "better" } else { "worse" },
                ..plain(16.0, &words)
            });
            if !change.cause.is_empty() {
                lines.push(plain(30.0, &change.cause));
            }
        }
        if earlier > 0 {
            let were = if earlier == 1 {
                "change is"
            } else {
                "changes are"
            };
            lines.push(plain(
                16.0,
                &format!("{earlier} earlier {were} marked in the picture alone"),
            ));
        }
        lines
    }
}

/// The tooltip of a run.
fn describe(point: &Point) -> String {
    let text = format!(
        "run {}, {}: {}",
        point.run,
        moment(point.time, "%Y-%m-%d %H:%M"),
        number(point.value)
    );
    if point.label.is_empty() {
        text
    } else {
        format!("{text}, {}", fit(&point.label, 600.0, SIZE))
    }
}
