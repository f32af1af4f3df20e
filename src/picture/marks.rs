//! Marks of series: shapes that differ without colour.

use maud::{Markup, html};

use super::legend::MAX_SERIES;
use super::svg::{Px, path};

/// A mark of the series with that number, around a place. There are as many shapes as series.
pub(super) fn mark(series: usize, (x, y): (f64, f64), radius: f64, label: &str) -> Markup {
    let r = radius;
    let outline: Vec<(f64, f64)> = match series % MAX_SERIES {
        0 => {
            return html! {
                circle class="mark" cx=(Px(x)) cy=(Px(y)) r=(Px(r)) { title { (label) } }
            };
        }
        1 => square(r * 0.9),
        2 => vec![(0.0, -1.2 * r), (1.1 * r, 0.8 * r), (-1.1 * r, 0.8 * r)],
        3 => vec![
            (0.0, -1.3 * r),
            (1.3 * r, 0.0),
            (0.0, 1.3 * r),
            (-1.3 * r, 0.0),
        ],
        4 => vec![(0.0, 1.2 * r), (1.1 * r, -0.8 * r), (-1.1 * r, -0.8 * r)],
        5 => cross(r),
        6 => vec![
            (-1.3 * r, -0.6 * r),
            (1.3 * r, -0.6 * r),
            (1.3 * r, 0.6 * r),
            (-1.3 * r, 0.6 * r),
        ],
        _ => turned(&cross(r)),
    };
    let d = path(outline.into_iter().map(|(dx, dy)| (x + dx, y + dy))) + "Z";
    html! {
        path class="mark" d=(d) { title { (label) } }
    }
}

fn square(r: f64) -> Vec<(f64, f64)> {
    vec![(-r, -r), (r, -r), (r, r), (-r, r)]
}

/// An upright cross with arms a third as thick as it is wide.
fn cross(r: f64) -> Vec<(f64, f64)> {
    let (long, thin) = (1.35 * r, 0.45 * r);
    vec![
        (-thin, -long),
        (thin, -long),
        (thin, -thin),
        (long, -thin),
        (long, thin),
        (thin, thin),
        (thin, long),
        (-thin, long),
        (-thin, thin),
        (-long, thin),
        (-long, -thin),
        (-thin, -thin),
    ]
}

/// The outline turned by 45 degrees.
fn turned(outline: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let s = std::f64::consts::FRAC_1_SQRT_2;
    outline
        .iter()
        .map(|(x, y)| (s * (x - y), s * (x + y)))
        .collect()
}
