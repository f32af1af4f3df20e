//! The result of a statistical test of a difference.

use super::special::{student_upper, student_upper_quantile};

/// A difference of logarithms with its interval and its probabilities.
///
/// All tests here work on logarithms: a speed and the time that is its inverse then give the same
/// answer, and a difference is a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// ln(new / base) as the method estimates it.
    pub ln_ratio: f64,
    /// Lower end of its interval; may be negative infinity.
    pub low: f64,
    /// Upper end of its interval; may be infinite.
    pub high: f64,
    /// The probability of a difference at least as large in either direction by chance.
    pub p: f64,
    /// The same for each direction.
    pub tails: Tails,
}

/// The probabilities of a difference at least as large in one direction by chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tails {
    /// Of a rise.
    pub rise: f64,
    /// Of a fall.
    pub fall: f64,
}

impl Tails {
    /// For a difference whose error follows Student's t; `None` if a number is not finite.
    pub(crate) fn student(ln_ratio: f64, error: f64, df: f64) -> Option<Self> {
        let usable = ln_ratio.is_finite() && error.is_finite() && error > 0.0 && df > 0.0;
        if !usable {
            return None;
        }
        let t = ln_ratio / error;
        Some(Self {
            rise: student_upper(t, df),
            fall: student_upper(-t, df),
        })
    }
}

impl Estimate {
    /// A difference whose error follows Student's t.
    ///
    /// `alpha` is one minus the confidence of the interval. `None` if a number is not finite.
    pub(crate) fn student(ln_ratio: f64, error: f64, df: f64, alpha: f64) -> Option<Self> {
        let tails = Tails::student(ln_ratio, error, df)?;
        let half_width = error * student_upper_quantile(alpha / 2.0, df);
        (!half_width.is_nan()).then_some(Self {
            ln_ratio,
            low: ln_ratio - half_width,
            high: ln_ratio + half_width,
            p: (2.0 * tails.rise.min(tails.fall)).min(1.0),
            tails,
        })
    }
}
