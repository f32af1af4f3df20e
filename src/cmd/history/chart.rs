//! A trend in text: a line of blocks, and a chart of several.

use base::Screen;
use base::number::label;

/// Blocks from one eighth of a cell to the whole cell.
const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The number of lines of a chart.
const LINES: u8 = 8;

/// The width if there is no terminal.
const WIDTH: usize = 80;

/// The columns of the labels before a chart or sparkline, and of the numbers after a sparkline.
const LABEL: usize = 9;
const RANGE: usize = 22;

/// A line such as `name  ▁▂▄█  lowest to highest`; empty if there is no value.
pub(crate) fn sparkline(name: &str, values: &[f64], screen: Screen) -> String {
    let Some((low, high)) = range(values) else {
        return String::new();
    };
    let room = screen.width.unwrap_or(WIDTH).saturating_sub(LABEL + RANGE);
    let points = squeezed(values, room.max(8));
    let blocks: String = heights(&points, 8)
        .iter()
        .map(|height| height.map_or(" ", |height| BLOCKS[usize::from(height.min(7))]))
        .collect();
    let range = match (label(low), label(high)) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    format!("{name:<LABEL$}{blocks}  {range}\n")
}

/// The values as bars above the lowest one, with the changes of level marked below; empty for fewer
/// than two values.
pub(crate) fn chart(name: &str, values: &[f64], changes: &[usize], screen: Screen) -> String {
    let Some((low, high)) = range(values) else {
        return String::new();
    };
    if values.iter().filter(|value| value.is_finite()).count() < 2 {
        return String::new();
    }
    let room = screen.width.unwrap_or(WIDTH).saturating_sub(LABEL + 2);
    let points = squeezed(values, room.max(8));
    // A run takes up to three columns if there is room.
    let wide = (room / points.len()).clamp(1, 3);
    let heights = heights(&points, LINES * 8);
    let mut text = String::new();
    for line in (0..LINES).rev() {
        let mark = match line {
            0 => label(low),
            line if line == LINES - 1 => label(high),
            line if line == LINES / 2 => name.to_owned(),
            _ => String::new(),
        };
        let cells: String = heights
            .iter()
            .map(|height| {
                let block = match height {
                    // The lowest value has an eighth too, to be visible.
                    Some(height) if *height >= (line + 1) * 8 => "█",
                    Some(height) if *height >= line * 8 => BLOCKS[usize::from(height - line * 8)],
                    _ => " ",
                };
                block.repeat(wide)
            })
            .collect();
        text += format!("{mark:>LABEL$} {cells}").trim_end();
        text.push('\n');
    }
    let mut marks = vec![" ".repeat(wide); points.len()];
    for &change in changes {
        // As squeezed() divides the values.
        let at = change * points.len() / values.len().max(1);
        if let Some(mark) = marks.get_mut(at) {
            "^".clone_into(mark);
            *mark += &" ".repeat(wide - 1);
        }
    }
    let marks = marks.concat();
    let marks = marks.trim_end();
    if !marks.is_empty() {
        let (start, end) = if screen.color {
            ("\x1b[33m", "\x1b[0m")
        } else {
            ("", "")
        };
        text += &["  changes ", start, marks, end, "\n"].concat();
    }
    text
}

/// The height of each value, from 0 for the smallest to `heights - 1` for the largest; the middle
/// if all are equal, `None` for a value that is not finite.
fn heights(values: &[f64], heights: u8) -> Vec<Option<u8>> {
    let Some((low, high)) = range(values) else {
        return vec![None; values.len()];
    };
    let top = heights.saturating_sub(1);
    let height = |value: f64| {
        if low >= high {
            return top / 2;
        }
        // Halved, since the difference of two huge values may be infinite.
        let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 255, and `as` saturates"
        )]
        let height = (share * f64::from(top)).round() as u8;
        height.min(top)
    };
    let finite = |value: &f64| value.is_finite().then(|| height(*value));
    values.iter().map(finite).collect()
}

/// The lowest and the highest of the finite values.
fn range(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().reduce(f64::min)?;
    Some((low, finite().reduce(f64::max)?))
}

/// The values, reduced to this number of points, each the mean of its share of the values.
fn squeezed(values: &[f64], points: usize) -> Vec<f64> {
    if values.len() <= points {
        return values.to_vec();
    }
    let start = |point: usize| point * values.len() / points;
    (0..points)
        .map(|point| {
            let share = &values[start(point)..start(point + 1)];
            let known: Vec<f64> = share.iter().copied().filter(|v| v.is_finite()).collect();
            crate::stats::mean(&known).unwrap_or(f64::NAN)
        })
        .collect()
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

    #[test]
    fn a_sparkline_has_a_block_a_run() {
        assert_eq!(
            sparkline("score", &[1.0, f64::NAN, 8.0], Screen::default()),
            "score    ▁ █  1.00 to 8.00\n"
        );
        assert_eq!(
            sparkline("score", &[5.0, 5.0], Screen::default()),
            "score    ▄▄  5.00\n"
        );
        assert_eq!(sparkline("score", &[f64::NAN], Screen::default()), "");
    }

    #[test]
    fn many_runs_are_squeezed_into_the_width() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let line = sparkline("score", &values, screen(60));
        assert!(line.trim_end().chars().count() <= 60, "{line}");
        for line in chart("score", &values, &[999, 500], screen(60)).lines() {
            assert!(line.chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn a_chart_marks_changes_of_level() {
        let values = [10.0, 10.0, 10.0, 20.0, 20.0, 20.0];
        let text = chart("score", &values, &[3], screen(40));
        insta::assert_snapshot!(text, @r"
          20.00          █████████
                         █████████
                         █████████
          score          █████████
                         █████████
                         █████████
                         █████████
          10.00 ▁▁▁▁▁▁▁▁▁█████████
        changes          ^
        ");
    }

    #[test]
    fn from_the_lowest_to_the_highest() {
        let values = [1.0, f64::NAN, 4.5, 8.0];
        assert_eq!(heights(&values, 8), [Some(0), None, Some(4), Some(7)]);
        assert_eq!(heights(&[5.0, 5.0], 8), [Some(3), Some(3)]);
        assert_eq!(heights(&[f64::MAX, f64::MIN], 8), [Some(7), Some(0)]);
        assert!(heights(&[], 8).is_empty());
    }

    proptest! {
        #[test]
        fn never_above_the_top(values in prop::collection::vec(any::<f64>(), 0..9), top in any::<u8>()) {
            for height in heights(&values, top).into_iter().flatten() {
                prop_assert!(height <= top.saturating_sub(1));
            }
        }
    }
}
