//! Tails and quantiles of the normal distribution and of Student's t.
//!
//! The gamma and the error function come from `libm`; Student's t also needs the incomplete beta
//! function. The quantile of an invalid probability is `NaN`.

use libm::{erfc, lgamma};

/// The maximum number of terms of a continued fraction; it takes about the square root of its
/// parameters.
const MAX_TERMS: u32 = 10_000;

/// Relative size of a term that no longer matters.
const EPSILON: f64 = 1e-15;

/// Replaces a zero divisor (Lentz's method).
const TINY: f64 = 1e-300;

/// Natural logarithm of the complete beta function.
fn ln_beta(a: f64, b: f64) -> f64 {
    lgamma(a) + lgamma(b) - lgamma(a + b)
}

/// The regularised incomplete beta function for a, b > 0 and x from 0 to 1, given with 1 - x so
/// that no digit of either is lost, and with the complete beta function.
///
/// The usual continued fraction, evaluated by Lentz's method.
fn beta_regularized(ln_beta: f64, a: f64, b: f64, x: f64, complement: f64) -> f64 {
    if x == 0.0 || complement <= 0.0 {
        return if x == 0.0 { 0.0 } else { 1.0 };
    }
    let front = (a * x.ln() + b * complement.ln() - ln_beta).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, complement) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut upper = 1.0;
    let mut lower = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = lower;
    for term in 1..MAX_TERMS {
        let m = f64::from(term);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for factor in [even, odd] {
            lower = 1.0 / guard(1.0 + factor * lower);
            upper = guard(1.0 + factor / upper);
            fraction *= lower * upper;
        }
        if (lower * upper - 1.0).abs() < EPSILON {
            break;
        }
    }
    fraction
}

/// The probability that Student's t with `df` degrees of freedom exceeds `t`.
///
/// `NaN` unless `df` is above zero and `t` is a number.
pub(crate) fn student_upper(t: f64, df: f64) -> f64 {
    if t.is_nan() || df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    // Close enough to the normal distribution.
    if df > 1e7 {
        return normal_upper(t);
    }
    student_tail(t, df, ln_beta(df / 2.0, 0.5))
}

fn student_tail(t: f64, df: f64, ln_beta: f64) -> f64 {
    let square = t * t;
    let tail = if square.is_infinite() {
        0.0
    } else {
        let x = df / (df + square);
        0.5 * beta_regularized(ln_beta, df / 2.0, 0.5, x, square / (df + square))
    };
    if t < 0.0 { 1.0 - tail } else { tail }
}

/// The value that Student's t with `df` degrees of freedom exceeds with probability `p`.
///
/// `NaN` unless `p` is between 0 and 1 (both excluded) and `df` above zero.
pub(crate) fn student_upper_quantile(p: f64, df: f64) -> f64 {
    if df.is_nan() || df <= 0.0 {
        return f64::NAN;
    }
    if df > 1e7 {
        return normal_upper_quantile(p);
    }
    let ln_beta = ln_beta(df / 2.0, 0.5);
    let density = |t: f64| {
        let exponent = -f64::midpoint(df, 1.0);
        (exponent * (t * t / df).ln_1p() - ln_beta - 0.5 * df.ln()).exp()
    };
    upper_quantile(p, |t| student_tail(t, df, ln_beta), density)
}

/// The probability that a standard normal value exceeds `z`.
pub(crate) fn normal_upper(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// The value that a standard normal value exceeds with probability `p`; `NaN` unless `p` is
/// between 0 and 1 (both excluded).
pub(crate) fn normal_upper_quantile(p: f64) -> f64 {
    let density = |z: f64| (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    upper_quantile(p, normal_upper, density)
}

/// Solves `tail(x) = p` for a symmetric distribution: Newton's method on logarithms, in which a
/// tail is nearly straight, inside a bracket that ensures convergence.
fn upper_quantile(p: f64, tail: impl Fn(f64) -> f64, density: impl Fn(f64) -> f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -upper_quantile(1.0 - p, tail, density);
    }
    let mut low = 0.0;
    let mut high = f64::INFINITY;
    let mut x = 2.0;
    for _ in 0..2000 {
        let at_x = tail(x);
        let miss = at_x.ln() - p.ln();
        if miss.abs() < 1e-12 {
            break;
        }
        if miss > 0.0 {
            low = x;
        } else {
            high = x;
        }
        let step = x + miss * at_x / density(x);
        let next = if step > low && step < high.min(8.0 * x) {
            step
        } else if high.is_finite() {
            f64::midpoint(low, high)
        } else {
            4.0 * x
        };
        if next == x || !next.is_finite() {
            break;
        }
        x = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= 1e-9 * right.abs().max(1e-12)
    }

    /// With one and with two degrees of freedom there are closed forms; the others are the table
    /// that every textbook has, at more digits.
    #[test]
    fn student_quantiles_are_those_of_the_tables() {
        for p in [0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.0005, 1e-8] {
            let cauchy = 1.0 / (std::f64::consts::PI * p).tan();
            assert!(close(student_upper_quantile(p, 1.0), cauchy));
            let two = (1.0 - 2.0 * p) / (2.0 * p * (1.0 - p)).sqrt();
            assert!(close(student_upper_quantile(p, 2.0), two));
        }
        let table = [
            (0.05, 3.0, 2.353),
            (0.025, 4.0, 2.776),
            (0.025, 9.0, 2.262),
            (0.01, 9.0, 2.821),
            (0.005, 6.0, 3.707),
            (0.0005, 9.0, 4.781),
            (0.005, 30.0, 2.750),
            (0.025, 120.0, 1.980),
        ];
        for (p, df, value) in table {
            assert!((student_upper_quantile(p, df) - value).abs() < 6e-4);
        }
    }

    #[test]
    fn normal_tails_are_those_of_the_tables() {
        let table = [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931_457_05),
            (1.959_963_984_540_054, 0.025),
            (3.0, 0.001_349_898_031_630_094_6),
            (6.0, 9.865_876_450_376_946e-10),
            (-1.0, 0.841_344_746_068_542_9),
        ];
        for (z, p) in table {
            assert!(close(normal_upper(z), p), "{z}");
        }
        assert!(close(normal_upper_quantile(0.025), 1.959_963_984_540_054));
        assert_eq!(normal_upper(f64::INFINITY), 0.0);
        assert_eq!(normal_upper(f64::NEG_INFINITY), 1.0);
    }

    #[test]
    fn what_is_not_a_probability_has_no_quantile() {
        for p in [0.0, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert!(normal_upper_quantile(p).is_nan());
            assert!(student_upper_quantile(p, 5.0).is_nan());
        }
        assert!(student_upper(1.0, 0.0).is_nan());
        assert!(student_upper(f64::NAN, 5.0).is_nan());
    }

    proptest! {
        #[test]
        fn a_quantile_goes_back_to_its_probability(p in 1e-12..1.0_f64, df in 0.3..1e9_f64) {
            let back = student_upper(student_upper_quantile(p, df), df);
            prop_assert!((back - p).abs() <= 1e-8 * p.min(1.0 - p).max(1e-8));
        }

        #[test]
        fn tails_never_panic_and_never_leave_0_to_1(t in any::<f64>(), df in any::<f64>()) {
            let p = student_upper(t, df);
            prop_assert!(p.is_nan() || (0.0..=1.0).contains(&p));
            let _ = student_upper_quantile(t, df);
        }
    }
}
