//! A comparison of runs: for each metric a panel, for each test a group, for each run a bar.
//!
//! The bars are horizontal, which leaves room for the names of tests and the verdicts. They begin at
//! zero, so that their lengths can be compared.

use maud::{Markup, html};

use crate::WIDTH;
use crate::axis::{Scale, is_drawable};
use crate::series::{Caption, Legend, Sample, Series, class, stacked};
use crate::svg::{Anchor, Picture, Px, better, count, label, line, text};
use crate::text::{BOLD, SIZE, TITLE_SIZE, column, fit, widest, width};
use base::number::amount;

/// A comparison of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What it says.
    pub caption: Caption,
    /// The runs, the base first.
    pub runs: Vec<Series>,
    /// The metrics.
    pub panels: Vec<BarsPanel>,
    /// What the ticks of the groups are, such as `level of 13 runs`; without it there are none.
    pub tick: Option<String>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq)]
pub struct BarsPanel {
    /// The metric, with its unit.
    pub unit: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The tests.
    pub groups: Vec<Group>,
}

/// A test.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The value that the changes are measured from, if it is not that of the base.
    pub tick: Option<f64>,
    /// A bar for each run, in the order of the runs; `None` if the run lacks the value.
    pub bars: Vec<Option<Bar>>,
}

/// A value of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// The value.
    pub value: f64,
    /// Its interval, if one is known.
    pub interval: Option<(f64, f64)>,
    /// The verdict; may be empty.
    pub verdict: String,
    /// The tone of the verdict.
    pub tone: Tone,
}

/// Whether a verdict is favourable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Better than the base.
    Better,
    /// Worse.
    Worse,
    /// Neither.
    #[default]
    Neutral,
}

/// The thickness of a bar.
const BAR: f64 = 14.0;
/// The distance from one bar to the next.
const STEP: f64 = 16.0;
/// The most room for the name of a bar.
const KEY: f64 = 110.0;
/// The gap between groups.
const GAP: f64 = 10.0;

impl Bars {
    /// Draws the picture; `None` if there are no values to draw.
    #[must_use]
    pub fn draw(&self) -> Option<Picture> {
        let runs = &self.runs;
        let draw = |panel: &BarsPanel, top| panel.draw(runs, top);
        let legend = Legend {
            runs,
            sample: Sample::Bar,
            tick: self.tick.as_deref(),
        };
        stacked(&self.caption, &legend, &self.panels, draw)
    }
}

impl BarsPanel {
    /// The panel and its bottom.
    fn draw(&self, runs: &[Series], top: f64) -> Option<(Markup, f64)> {
        let bars = || {
            self.groups
                .iter()
                .flat_map(|group| group.bars.iter().flatten())
        };
        let drawn = || bars().filter(|bar| is_drawable(bar.value));
        let names = self.groups.iter().map(|group| group.name.as_str());
        let (names, room) = column(names, WIDTH * 0.3, SIZE);
        // Names that are too long are in the legend alone.
        let has_names = runs.iter().all(|run| !run.name.is_empty());
        let (mut keys, mut keys_room) =
            column(runs.iter().map(|run| run.name.as_str()), WIDTH, SIZE);
        if !has_names || keys_room > KEY {
            (keys, keys_room) = column(runs.iter().map(|run| run.key.as_str()), KEY, SIZE);
        }
        let left = 16.0 + room + 12.0 + keys_room + 8.0;
        let words = widest(bars().map(|bar| width(&bar_label(bar), BOLD))).min(WIDTH * 0.35);
        let right = WIDTH - 24.0 - words;
        let ends = drawn().map(|bar| {
            bar.interval
                .map_or(bar.value, |(_, high)| high.max(bar.value))
        });
        let ticks = self.groups.iter().filter_map(|group| group.tick);
        let ends = ends.chain(ticks.filter(|tick| is_drawable(*tick)));
        // A very long whisker must not shrink the bars too much.
        let longest = widest(drawn().map(|bar| bar.value));
        let x = Scale::from_zero(ends.map(|end| end.min(1.5 * longest)), (left, right))?;
        let first = top + 36.0;
        let group = STEP * count(runs.len()) + GAP;
        let bottom = first + group * count(self.groups.len());
        let title = format!("{}, {}", self.unit, better(self.higher_is_better));
        let markup = html! {
            (text(16.0, top + 20.0, Anchor::Start, "title", &fit(&title, WIDTH - 32.0, TITLE_SIZE)))
            @for tick in &x.ticks {
                @let at = x.at(tick.value);
                (line((at, first - 4.0), (at, bottom), "grid"))
                (label(at, bottom + 15.0, WIDTH, &tick.label))
            }
            @for (index, (test, name)) in self.groups.iter().zip(&names).enumerate() {
                @let y = first + group * count(index);
                (text(16.0, y + 11.0, Anchor::Start, "", name))
                @for (series, (bar, (run, key))) in test.bars.iter().zip(runs.iter().zip(&keys)).enumerate() {
                    @let y = y + STEP * count(series);
                    (text(left - 8.0, y + 11.0, Anchor::End, "soft", key))
                    (draw_bar(bar.as_ref(), series, &x, y, test, run))
                }
                @if let Some(tick) = test.tick.filter(|tick| is_drawable(*tick)) {
                    @let (at, end) = (x.at(tick), y + STEP * count(runs.len()) - STEP + BAR);
                    @for class in ["halo", "tick"] {
                        (line((at, y - 3.0), (at, end + 3.0), class))
                    }
                }
            }
            (line((left, first - 4.0), (left, bottom), "axis"))
        };
        Some((markup, bottom + 24.0))
    }
}

fn draw_bar(
    bar: Option<&Bar>,
    series: usize,
    x: &Scale,
    y: f64,
    test: &Group,
    run: &Series,
) -> Markup {
    let zero = x.at(0.0);
    let Some(bar) = bar.filter(|bar| is_drawable(bar.value)) else {
        return text(zero + 6.0, y + 11.0, Anchor::Start, "soft", "no value");
    };
    let length = (x.at(bar.value) - zero).max(0.0);
    let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
    let (low, high) = (x.at(low.max(0.0)), x.at(high));
    let tone = match bar.tone {
        Tone::Better => "better",
        Tone::Worse => "worse",
        Tone::Neutral => "soft",
    };
    // The words are clear of the tick.
    let tick = test.tick.filter(|tick| is_drawable(*tick));
    let tick = tick.map_or(0.0, |tick| x.at(tick));
    let words = bar_label(bar);
    let middle = y + BAR / 2.0;
    html! {
        g class=(class(series)) {
            rect class="bar" x=(Px(zero)) y=(Px(y)) width=(Px(length)) height=(Px(BAR)) {
                title {
                    (fit(&test.name, 400.0, SIZE)) ", " (fit(&run.key, 200.0, SIZE)) ": " (words)
                }
            }
        }
        @if bar.interval.is_some() {
            @for class in ["halo", "whisker"] {
                (line((low, middle), (high, middle), class))
                @for end in [low, high] {
                    (line((end, middle - 4.0), (end, middle + 4.0), class))
                }
            }
        }
        (text(high.max(zero + length).max(tick) + 6.0, y + 11.0, Anchor::Start, tone, &words))
    }
}

/// The value and the verdict.
fn bar_label(bar: &Bar) -> String {
    let value = amount(bar.value);
    if bar.verdict.is_empty() {
        value
    } else {
        fit(&format!("{value}, {}", bar.verdict), WIDTH * 0.35, BOLD)
    }
}
