//! The answer of a comparison.

use super::row::{Row, Verdict};

/// What a comparison says of the new run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Certainly slower, in the geometric means, or else in single tests.
    Slower,
    /// Certainly faster.
    Faster,
    /// Certainly slower in one thing and faster in another.
    Mixed,
    /// Every geometric mean is the same.
    Same,
    /// None of these is certain.
    Undecided,
    /// The runs measured different things.
    NotComparable,
}

impl Outcome {
    /// The name in json.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Mixed => "mixed",
            Self::Same => "same",
            Self::Undecided => "undecided",
            Self::NotComparable => "not_comparable",
        }
    }

    /// The verdicts of the rows that make it certain.
    pub(super) fn certain_verdicts(self) -> &'static [Verdict] {
        match self {
            Self::Slower => &[Verdict::Worse],
            Self::Faster => &[Verdict::Better],
            Self::Mixed => &[Verdict::Better, Verdict::Worse],
            Self::Same => &[Verdict::Same],
            Self::Undecided => &[Verdict::Better, Verdict::Worse, Verdict::Same],
            Self::NotComparable => &[],
        }
    }

    /// The geometric means decide; if none of them changed for certain, single tests do.
    pub(super) fn of(rows: &[Row], means: &[Row], is_comparable: bool) -> Self {
        if !is_comparable {
            return Self::NotComparable;
        }
        let changed = |rows: &[Row]| {
            let has = |verdict| rows.iter().any(|row| row.verdict == verdict);
            match (has(Verdict::Worse), has(Verdict::Better)) {
                (true, true) => Some(Self::Mixed),
                (true, false) => Some(Self::Slower),
                (false, true) => Some(Self::Faster),
                (false, false) => None,
            }
        };
        let is_same = || !means.is_empty() && means.iter().all(|row| row.verdict == Verdict::Same);
        changed(means).or_else(|| changed(rows)).unwrap_or_else(|| {
            if is_same() {
                Self::Same
            } else {
                Self::Undecided
            }
        })
    }
}
