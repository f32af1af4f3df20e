//! A value over the runs of one configuration, with its lasting changes.
//!
//! The runs are drawn at equal distances, since changes of level are found in their order; on a time
//! axis, runs of one evening would overlap.

use maud::{Markup, html};

use crate::axis::{Scale, is_drawable};
use crate::series::{class, mark};
use crate::svg::{Anchor, Heading, Picture, better, count, label, line, path, sign, text, verdict};
use crate::text::{BOLD, DATE, SIZE, fit, moment, width, wrapped};

/// A value over runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The title: the model and the machine.
    pub title: String,
    /// What the picture says, in a sentence.
    pub sentence: String,
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
    /// Whether that is a guess: the mark is hollow then.
    pub is_guessed: bool,
    /// The value; it is not drawn unless it is finite.
    pub value: f64,
    /// The value as people read it.
    pub shown: String,
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
    /// Whether it is for the better.
    pub is_better: bool,
    /// It in words, with its verdict.
    pub words: String,
    /// The cause, such as a new version of the runtime; may be empty.
    pub cause: String,
}

/// The maximum number of changes that are described in words, the last ones.
const MAX_DESCRIBED: usize = 6;

/// The most runs that are drawn one by one; of more, the lowest and the highest of each pixel.
const MAX_DRAWN: usize = 2000;

/// The width of a label below the axis, such as `2025-06-15`.
const LABEL: f64 = 90.0;

impl Trend {
    /// Draws the picture; `None` if there are no values to draw.
    #[must_use]
    pub fn draw(&self) -> Option<Picture> {
        let drawn = self.drawn();
        let y = |ends| Scale::around(drawn.iter().map(|(_, point)| point.value), ends);
        let heading = Heading::new(&self.title, &self.sentence, self.width);
        let known = self.known().count();
        let mut unit = format!("{}; {}", self.unit, better(self.higher_is_better));
        if drawn.iter().any(|(_, point)| point.is_guessed) {
            unit += "; hollow: guessed date";
        }
        let mut units = wrapped(&unit, self.width - 32.0, SIZE);
        if known > drawn.len() {
            units.push(format!("{known} runs, thinned"));
        }
        let mut top = heading.bottom + 16.0 * count(units.len()) + 8.0;
        if !self.changes.is_empty() {
            top += 20.0;
        }
        let bottom = top + (self.width * 0.38).clamp(150.0, 280.0);
        let y = y((bottom, top))?;
        let plot = Plot {
            trend: self,
            drawn,
            left: y.left(),
            y,
            right: self.width - 16.0,
            top,
            bottom,
        };
        let captions = plot.changes_in_words();
        let height = bottom + 46.0 + 16.0 * count(captions.len());
        let body = html! {
            @for (index, line) in units.iter().enumerate() {
                @let y = heading.bottom + 12.0 + 16.0 * count(index);
                (text(16.0, y, Anchor::Start, "soft", line))
            }
            (plot.axes())
            (plot.series())
            (plot.change_marks())
            @for (index, line) in captions.iter().enumerate() {
                @let y = bottom + 52.0 + 16.0 * count(index);
                (text(line.indent, y, Anchor::Start, line.class, &line.text))
            }
        };
        Some(Picture::new(heading, self.width, height, &body))
    }

    /// The runs with a value.
    fn known(&self) -> impl Iterator<Item = (usize, &Point)> {
        let points = self.points.iter().enumerate();
        points.filter(|(_, point)| is_drawable(point.value))
    }

    /// The runs that are drawn.
    fn drawn(&self) -> Vec<(usize, &Point)> {
        let known: Vec<_> = self.known().collect();
        if known.len() <= MAX_DRAWN {
            return known;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the width of a picture"
        )]
        let pixels = self.width as usize;
        let chunks = known.chunks(known.len().div_ceil(pixels));
        let ends = |chunk: &[(usize, &'_ Point)]| {
            let by_value =
                |a: &&(usize, &Point), b: &&(usize, &Point)| a.1.value.total_cmp(&b.1.value);
            let low = chunk.iter().min_by(by_value).map(|(index, _)| *index);
            let high = chunk.iter().max_by(by_value).map(|(index, _)| *index);
            (low.min(high), low.max(high))
        };
        let mut kept: Vec<usize> = Vec::new();
        for chunk in chunks {
            let (first, second) = ends(chunk);
            kept.extend(first.into_iter().chain(second.filter(|_| first != second)));
        }
        let point = |index: usize| Some((index, self.points.get(index)?));
        kept.into_iter().filter_map(point).collect()
    }
}

/// A trend and its position in the picture.
struct Plot<'a> {
    trend: &'a Trend,
    drawn: Vec<(usize, &'a Point)>,
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
        let at = |&(index, point): &(usize, &Point)| (self.x(count(index)), self.y.at(point.value));
        let radius = match self.trend.points.len() {
            0..=40 => 4.0,
            41..=150 => 3.0,
            _ => 2.0,
        };
        let (line, dense) = if self.trend.points.len() > 150 {
            ("line thin", "dense")
        } else {
            ("line", "")
        };
        // A mark that cannot be pointed at tells nothing.
        let is_told = self.drawn.len() < 2 || self.x(1.0) - self.x(0.0) >= 1.0;
        html! {
            g class=(class(0)) {
                path class=(line) d=(path(self.drawn.iter().map(at))) {}
            }
            g class=(format!("{} {dense}", class(0))) {
                @for one in &self.drawn {
                    @let label = is_told.then(|| describe(one.1));
                    @let mark = mark(0, at(one), radius, label.as_deref());
                    @if one.1.is_guessed { g class="guessed" { (mark) } } @else { (mark) }
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
            @for change in &self.trend.changes {
                @let x = self.between(change);
                @let verdict = verdict(change.is_better);
                (line((x, self.top - 8.0), (x, self.bottom), &format!("change {verdict}")))
                (sign(change.is_better, (x, self.top - 14.0)))
                @let run = self.trend.points.get(change.index).map_or(0, |point| point.run);
                @let words = format!("run {run}");
                @let end = x + 10.0 + width(&words, SIZE);
                // Names that would overlap are left out.
                @if x >= free && end <= self.trend.width {
                    (text(x + 9.0, self.top - 10.0, Anchor::Start, "soft", &words))
                    ({ free = end + 8.0; "" })
                }
            }
        }
    }

    fn changes_in_words(&self) -> Vec<Caption> {
        let trend = self.trend;
        let lines = |indent: f64, class: &'static str, words: &str| {
            let room = trend.width - 16.0 - indent;
            let size = if class == "soft" { SIZE } else { BOLD };
            let lines = wrapped(words, room, size).into_iter();
            lines.map(move |text| Caption {
                indent,
                class,
                text,
            })
        };
        let changes = &trend.changes;
        let earlier = changes.len().saturating_sub(MAX_DESCRIBED);
        let mut captions = Vec::new();
        for change in changes.iter().skip(earlier).rev() {
            let sign = if change.is_better { "▲" } else { "▼" };
            let words = format!("{sign} {}", change.words);
            captions.extend(lines(16.0, verdict(change.is_better), &words));
            captions.extend(lines(30.0, "soft", &change.cause));
        }
        if earlier > 0 {
            let were = if earlier == 1 {
                "change is"
            } else {
                "changes are"
            };
            let words = format!("{earlier} earlier {were} marked in the picture alone");
            captions.extend(lines(16.0, "soft", &words));
        }
        captions
    }
}

/// The tooltip of a run.
fn describe(point: &Point) -> String {
    let text = format!(
        "run {}, {}: {}",
        point.run,
        moment(point.time, "%Y-%m-%d %H:%M"),
        point.shown
    );
    if point.label.is_empty() {
        text
    } else {
        format!("{text}, {}", fit(&point.label, 600.0, SIZE))
    }
}
