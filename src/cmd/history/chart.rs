//! A trend in text: a line of blocks, and a chart of several.

use crate::stats::heights;
use base::number::label;

/// From one eighth of a cell to all of it.
const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Lines of a chart.
const LINES: u8 = 8;

/// The width if there is no terminal.
const WIDTH: u16 = 80;

/// Columns of the labels in front of a chart or sparkline, and of the numbers behind a sparkline.
const LABEL: usize = 9;
const RANGE: usize = 22;

/// `name  ▁▂▄█  lowest to highest`, a line; empty if there is no value.
pub(crate) fn sparkline(name: &str, values: &[f64], width: Option<u16>) -> String {
    let Some((low, high)) = range(values) else {
        return String::new();
    };
    let room = usize::from(width.unwrap_or(WIDTH)).saturating_sub(LABEL + RANGE);
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

/// The values as bars above their lowest, a change of level marked below; empty if there are not
/// two values.
pub(crate) fn chart(
    name: &str,
    values: &[f64],
    changes: &[usize],
    width: Option<u16>,
    color: bool,
) -> String {
    let Some((low, high)) = range(values) else {
        return String::new();
    };
    if values.iter().filter(|value| value.is_finite()).count() < 2 {
        return String::new();
    }
    let room = usize::from(width.unwrap_or(WIDTH)).saturating_sub(LABEL + 2);
    let points = squeezed(values, room.max(8));
    // A run is as wide as there is room for, up to three columns.
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
                    // The lowest value has an eighth too, so that it can be seen.
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
        let (start, end) = if color {
            ("\x1b[33m", "\x1b[0m")
        } else {
            ("", "")
        };
        text += &["  changes ", start, marks, end, "\n"].concat();
    }
    text
}

fn range(values: &[f64]) -> Option<(f64, f64)> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let low = finite().reduce(f64::min)?;
    Some((low, finite().reduce(f64::max)?))
}

/// The values, reduced to this many points: each the mean of its share of them.
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
    use super::*;

    #[test]
    fn a_sparkline_has_a_block_a_run() {
        assert_eq!(
            sparkline("score", &[1.0, f64::NAN, 8.0], None),
            "score    ▁ █  1.00 to 8.00\n"
        );
        assert_eq!(sparkline("score", &[5.0, 5.0], None), "score    ▄▄  5.00\n");
        assert_eq!(sparkline("score", &[f64::NAN], None), "");
    }

    #[test]
    fn many_runs_are_squeezed_into_the_width() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        let line = sparkline("score", &values, Some(60));
        assert!(line.trim_end().chars().count() <= 60, "{line}");
        for line in chart("score", &values, &[999, 500], Some(60), false).lines() {
            assert!(line.chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn a_chart_marks_changes_of_level() {
        let values = [10.0, 10.0, 10.0, 20.0, 20.0, 20.0];
        let text = chart("score", &values, &[3], Some(40), false);
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
}
