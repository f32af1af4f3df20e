//! A sum of doubles without any rounding, from which each can be taken out again.
//!
//! The score table holds means over all runs of a model on an accelerator. A running sum in
//! doubles would drift with every add and rm, and one huge value would wipe out the others; this
//! one is an integer of 2176 bits that counts the smallest double, so the order of adding does not
//! matter and removing is exact. (The idea is Kulisch's accumulator.)

/// The unit is 2^-1074, the smallest double; the largest is below 2^2098 units, which leaves
/// 77 bits for how many there are and for the sign.
const LIMBS: usize = 34;

/// An exact sum, and how many values are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactSum {
    count: u64,
    /// Two's complement, the lowest first.
    limbs: [u64; LIMBS],
}

impl ExactSum {
    /// Bytes of one sum as it is stored.
    pub const BYTES: usize = 8 * (LIMBS + 1);

    /// The sum of nothing.
    pub const ZERO: Self = Self {
        count: 0,
        limbs: [0; LIMBS],
    };

    /// Adds a finite value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        self.accumulate(value);
    }

    /// Takes out a value that was added.
    pub fn remove(&mut self, value: f64) {
        self.count = self.count.saturating_sub(1);
        self.accumulate(-value);
    }

    fn accumulate(&mut self, value: f64) {
        debug_assert!(value.is_finite());
        let bits = value.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        // The mantissa, and by how many bits it is shifted from the unit.
        let (mantissa, shift) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | (1 << 52), exponent - 1),
        };
        #[allow(clippy::cast_possible_truncation, reason = "below 2046 / 64")]
        let first = (shift / 64) as usize;
        let wide = u128::from(mantissa) << (shift % 64);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let parts = [wide as u64, (wide >> 64) as u64];
        let negative = value.is_sign_negative();

        let mut carry = false;
        for (index, limb) in self.limbs.iter_mut().enumerate().skip(first) {
            let part = parts.get(index - first).copied().unwrap_or(0);
            if index >= first + parts.len() && !carry {
                break;
            }
            let (value, over) = if negative {
                limb.overflowing_sub(part)
            } else {
                limb.overflowing_add(part)
            };
            let (value, over_again) = if negative {
                value.overflowing_sub(carry.into())
            } else {
                value.overflowing_add(carry.into())
            };
            *limb = value;
            carry = over || over_again;
        }
    }

    /// The mean, or `None` if there is nothing in it. The sum is rounded once, to the nearest
    /// double, and divided.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss, reason = "2^53 runs fit no disk")]
        (self.count > 0).then(|| self.rounded() / self.count as f64)
    }

    fn rounded(&self) -> f64 {
        let negative = self.limbs[LIMBS - 1] >> 63 == 1;
        let mut limbs = self.limbs;
        if negative {
            let mut carry = true;
            for limb in &mut limbs {
                let (value, over) = (!*limb).overflowing_add(carry.into());
                *limb = value;
                carry = over;
            }
        }
        let Some(top) = limbs.iter().rposition(|&limb| limb != 0) else {
            return 0.0;
        };
        // The 64 bits from the highest one on, the lowest of them set if anything lies below.
        let zeros = limbs[top].leading_zeros();
        let below = if top > 0 { limbs[top - 1] } else { 0 };
        let pair = (u128::from(limbs[top]) << 64 | u128::from(below)) << zeros;
        #[allow(clippy::cast_possible_truncation, reason = "the two halves")]
        let (mut window, dropped) = ((pair >> 64) as u64, pair as u64);
        let rest = limbs[..top.saturating_sub(1)].iter().any(|&limb| limb != 0);
        window |= u64::from(dropped != 0 || rest);

        // Rounds to 53 bits, to even, as every conversion does; a sum in the range of the
        // subnormal numbers has no more bits than those.
        #[allow(clippy::cast_precision_loss, reason = "that is the rounding")]
        let mantissa = window as f64;
        #[allow(
            clippy::cast_possible_wrap,
            clippy::cast_possible_truncation,
            reason = "small"
        )]
        let exponent = (64 * top) as i32 - zeros.cast_signed() - 1074;
        let magnitude = scale(mantissa, exponent);
        if negative { -magnitude } else { magnitude }
    }

    /// The stored form.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.count.to_le_bytes());
        for limb in self.limbs {
            bytes.extend_from_slice(&limb.to_le_bytes());
        }
    }

    /// Reads the stored form.
    #[must_use]
    pub fn read_from(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let mut words = bytes
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
        let mut sum = Self {
            count: words.next()?,
            ..Self::ZERO
        };
        for limb in &mut sum.limbs {
            *limb = words.next()?;
        }
        Some(sum)
    }
}

/// `value * 2^exponent` without an intermediate overflow or underflow.
fn scale(value: f64, exponent: i32) -> f64 {
    let half = exponent / 2;
    value * 2f64.powi(half) * 2f64.powi(exponent - half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mean(values: &[f64]) -> Option<f64> {
        let mut sum = ExactSum::ZERO;
        for &value in values {
            sum.add(value);
        }
        sum.mean()
    }

    #[test]
    fn small_values_survive_huge_ones() {
        assert_eq!(mean(&[1e300, 3.0, -1e300]), Some(1.0));
        assert_eq!(mean(&[0.1; 10]), Some(0.1));
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[f64::MAX]), Some(f64::MAX));
        assert_eq!(mean(&[5e-324]), Some(5e-324));
    }

    proptest! {
        #[test]
        fn one_value_is_its_own_mean(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(mean(&[value]), Some(value));
        }

        #[test]
        fn what_is_removed_leaves_no_trace(
            kept in proptest::collection::vec(-1e9..1e9f64, 0..20),
            gone in proptest::collection::vec(proptest::num::f64::NORMAL, 0..20),
        ) {
            let mut sum = ExactSum::ZERO;
            for &value in gone.iter().chain(&kept) { sum.add(value); }
            for &value in gone.iter().rev() { sum.remove(value); }
            prop_assert_eq!(sum.mean(), mean(&kept));
            let mut bytes = Vec::new();
            sum.write_to(&mut bytes);
            prop_assert_eq!(ExactSum::read_from(&bytes), Some(sum));
        }
    }
}
