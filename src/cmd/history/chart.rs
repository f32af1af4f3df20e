//! A trend in text: a point a run.

use std::fmt::Write as _;

use base::{Screen, Style};

use crate::stats;

/// A run in the chart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dot {
    /// Its id.
    pub(crate) id: i64,
    /// Its value; it is not drawn unless it is finite.
    pub(crate) value: f64,
    /// Whether its date is a guess.
    pub(crate) is_guessed: bool,
    /// Whether a change of level begins with it, and it is for the better.
    pub(crate) change: Option<bool>,
}

/// The signs of changes for the worse and for the better.
pub(crate) fn sign(is_better: bool) -> &'static str {
    if is_better { "▲" } else { "▼" }
}

pub(crate) fn style(is_better: bool) -> Style {
    if is_better {
        Style::Better
    } else {
        Style::Worse
    }
}

/// The narrowest screen that gets a chart, in columns.
const NARROWEST: usize = 50;

/// The width where any is possible.
const WIDTH: usize = 120;

/// The most lines of the chart.
const LINES: f64 = 8.0;

/// The longest label.
const LONGEST: usize = "0.000000001".len();

/// The least range of the chart, as a share of the values, so that noise is not exaggerated.
const LEAST_RANGE: f64 = 0.05;

/// The runs as points, with their values on the left, and below them the changes of level. Empty for
/// fewer than two values, or where the screen is too narrow.
pub(crate) fn chart(dots: &[Dot], screen: Screen) -> String {
    let dots: Vec<Dot> = dots
        .iter()
        .copied()
        .filter(|dot| dot.value.is_finite())
        .collect();
    let width = screen.width.unwrap_or(WIDTH);
    if dots.len() < 2 || width < NARROWEST {
        return String::new();
    }
    let wide = |grid: &Grid| {
        let labels = grid.lines().map(|line| grid.label(line).len());
        labels.max().unwrap_or(0) + 3
    };
    let room = width - wide(&Grid::of(&dots)) - 1;
    let (cell, share) = match dots.len() {
        few if 2 * few <= room => (2, 1),
        more if more <= room => (1, 1),
        // The labels of medians may be longer.
        runs => (1, runs.div_ceil(width - LONGEST - 4)),
    };
    let mut columns: Vec<Dot> = dots.chunks(share).map(together).collect();
    if let (Some(column), Some(last)) = (columns.last_mut(), dots.last())
        && column.change.is_none()
    {
        column.id = last.id;
    }
    let grid = Grid::of(&columns);
    let wide = wide(&grid);
    let mut text = String::new();
    for line in grid.lines() {
        let label = grid.label(line);
        let mut row = format!("{label:>width$} ┤", width = wide - 1);
        for column in &columns {
            let point = match grid.line(column.value) {
                at if at != line => " ",
                _ if column.is_guessed => "○",
                _ => "●",
            };
            row += point;
            row += &" ".repeat(cell - 1);
        }
        text += row.trim_end();
        text.push('\n');
    }
    let indent = " ".repeat(wide);
    text.extend([&indent, "└"]);
    for column in &columns {
        text += &match column.change {
            Some(is_better) => screen.paint(style(is_better), sign(is_better)),
            None => "─".to_owned(),
        };
        text += &"─".repeat(cell - 1);
    }
    text.extend(["\n", &indent, " ", &ids(&columns, cell), "\n"]);
    if share > 1 {
        let _ = writeln!(text, "{indent} {} runs, {share} a column", dots.len());
    }
    text
}

/// Neighbours as one point, at their median.
fn together(dots: &[Dot]) -> Dot {
    let values: Vec<f64> = dots.iter().map(|dot| dot.value).collect();
    let change = dots.iter().rev().find(|dot| dot.change.is_some());
    let named = change.or(dots.first());
    Dot {
        id: named.map_or(0, |dot| dot.id),
        value: stats::median(&values).unwrap_or(f64::NAN),
        is_guessed: dots.iter().all(|dot| dot.is_guessed),
        change: change.and_then(|dot| dot.change),
    }
}

/// The ids of the last run, of those with which a change begins, and of the first, below their points, as
/// far as there is room.
fn ids(columns: &[Dot], cell: usize) -> String {
    let last = columns.len() - 1;
    let changes = (0..last).rev().filter(|&at| columns[at].change.is_some());
    let mut line = vec![b' '; columns.len() * cell];
    for at in std::iter::once(last).chain(changes).chain([0]) {
        let id = columns[at].id.to_string();
        let from = (at * cell).min(line.len().saturating_sub(id.len()));
        let to = from + id.len();
        let around = from.saturating_sub(1)..(to + 1).min(line.len());
        if to <= line.len() && line[around].iter().all(|&byte| byte == b' ') {
            line[from..to].copy_from_slice(id.as_bytes());
        }
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// The lines of a chart: each stands for a multiple of a round number.
struct Grid {
    step: f64,
    low: i64,
    high: i64,
}

impl Grid {
    fn of(dots: &[Dot]) -> Self {
        let values = || dots.iter().map(|dot| dot.value);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        // Halved, since the difference of two huge values may be infinite.
        let range = 2.0 * ((high / 2.0 - low / 2.0) / LINES);
        let least = LEAST_RANGE * low.abs().max(high.abs()) / LINES;
        let mut step = round_up(range.max(least));
        loop {
            let grid = Self {
                step,
                low: line(low, step),
                high: line(high, step),
            };
            #[allow(clippy::cast_precision_loss, reason = "a few hundred at most")]
            let lines = (grid.high - grid.low) as f64 + 1.0;
            if lines <= LINES || !step.is_finite() {
                return grid;
            }
            step = round_up(step * 1.5);
        }
    }

    /// From the highest to the lowest.
    fn lines(&self) -> impl Iterator<Item = i64> + use<> {
        (self.low..=self.high).rev()
    }

    fn line(&self, value: f64) -> i64 {
        line(value, self.step)
    }

    fn label(&self, line: i64) -> String {
        #[allow(clippy::cast_precision_loss, reason = "a few hundred at most")]
        let value = line as f64 * self.step;
        if value.abs() >= 1e9 {
            return format!("{value:.2e}");
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 9"
        )]
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{value:.decimals$}")
    }
}

#[allow(clippy::cast_possible_truncation, reason = "`as` saturates")]
fn line(value: f64, step: f64) -> i64 {
    (value / step).round() as i64
}

/// The next number up that is 1, 2 or 5 times a power of ten; 1 for zero.
fn round_up(value: f64) -> f64 {
    if value <= f64::MIN_POSITIVE {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let rounds = [1.0, 2.0, 5.0].map(|round| round * power);
    let next = rounds
        .into_iter()
        .find(|&round| value <= round * (1.0 + 1e-9));
    next.unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn screen(width: usize) -> Screen {
        Screen {
            width: Some(width),
            color: false,
        }
    }

    fn dots(values: &[f64]) -> Vec<Dot> {
        let dot = |(id, &value): (i64, &f64)| Dot {
            id,
            value,
            is_guessed: false,
            change: None,
        };
        (1..).zip(values).map(dot).collect()
    }

    #[test]
    fn a_run_is_a_point_and_a_change_a_sign_on_the_axis() {
        let mut dots = dots(&[1884.0, 1820.0, 1650.0, 1626.0, f64::NAN, 1912.0, 1925.0]);
        dots[1].is_guessed = true;
        dots[2].change = Some(false);
        dots[5].change = Some(true);
        insta::assert_snapshot!(chart(&dots, screen(60)), @r"
        1950 ┤          ●
        1900 ┤●       ●
        1850 ┤
        1800 ┤  ○
        1750 ┤
        1700 ┤
        1650 ┤    ● ●
             └────▼───▲───
              1   3   6 7
        ");
        let mut colors = screen(60);
        colors.color = true;
        let painted = chart(&dots, colors);
        assert!(painted.contains("\x1b[31m▼\x1b[0m") && painted.contains("\x1b[32m▲\x1b[0m"));
        assert_eq!(chart(&dots, screen(40)), "");
        assert_eq!(chart(&dots[..1], screen(60)), "");
    }

    #[test]
    fn many_runs_share_columns_at_their_median() {
        let mut values = vec![100.0; 119];
        values.extend([200.0, 100.0, 100.0]);
        let mut dots = dots(&values);
        dots[100].change = Some(true);
        insta::assert_snapshot!(chart(&dots, screen(60)), @r"
        100 ┤●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●
            └─────────────────────────────────▲───────
             1                                101  122
             122 runs, 3 a column
        ");
    }

    #[test]
    fn noise_is_not_exaggerated() {
        let values: Vec<f64> = (0..9).map(|index| 1000.0 + f64::from(index)).collect();
        insta::assert_snapshot!(chart(&dots(&values), screen(60)), @r"
        1010 ┤          ● ● ● ●
        1000 ┤● ● ● ● ●
             └──────────────────
              1               9
        ");
    }

    proptest! {
        #[test]
        fn whatever_the_values_the_chart_fits(
            values in prop::collection::vec(
                prop_oneof![any::<f64>(), 1.0..2000.0_f64, Just(0.0), Just(1e-300)], 0..300),
            width in 50..130_usize,
        ) {
            let text = chart(&dots(&values), screen(width));
            prop_assert!(text.lines().count() <= 11, "{text}");
            for line in text.lines() {
                prop_assert!(line.chars().count() <= width, "{line}");
            }
        }
    }
}
