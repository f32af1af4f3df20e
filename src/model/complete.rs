//! Completes a run with the values of another capture of it.

use super::{Environment, Field, HeaderField, Kind, Run, Source, Test, Value};

impl Run {
    /// How complete this capture of the run is: greater is better.
    fn completeness(&self) -> (u8, bool) {
        let detail = match self.source {
            Source::Console => 0,
            Source::Site => 1,
            Source::Csv => 2,
            Source::Json => 3,
        };
        (detail, !self.has_two_decimals_only())
    }

    /// Whether the capture has fewer values than a csv of LocalScore, or rounded ones: another
    /// capture of the same run may be better.
    #[must_use]
    pub(crate) fn is_poor(&self) -> bool {
        let missing = |test: &Test| {
            Field::IDENTITY
                .iter()
                .any(|field| field.get(test) == Value::Missing)
        };
        matches!(self.source, Source::Console | Source::Site) || self.tests.iter().any(missing)
    }

    /// The run completed by another capture of it; `None` if the other one adds nothing.
    ///
    /// The values of the more complete capture count. Those that are missing in it, and strings of
    /// which the C tool lost bytes, are copied from the other one.
    #[must_use]
    pub(crate) fn completed_by(&self, other: &Self) -> Option<Self> {
        let other_is_better = other.completeness() > self.completeness();
        let (better, poorer) = if other_is_better {
            (other, self)
        } else {
            (self, other)
        };
        let mut run = better.clone();
        let mut more = run.environment.complete(&poorer.environment);
        for (test, other) in run.tests.iter_mut().zip(&poorer.tests) {
            more |= test.complete(other);
        }
        (more || other_is_better).then_some(run)
    }

    /// Whether the captures name two different machines: then their numbers are equal by chance. A csv
    /// does not name the machine; if it is known, the user gave it.
    #[must_use]
    pub(crate) fn is_on_other_machine(&self, other: &Self) -> bool {
        self.source != Source::Csv
            && other.source != Source::Csv
            && !self.environment.is_same_machine(&other.environment)
    }

    /// Whether two captures, one of them poor, may be of the same run: all values that both have are
    /// equal, or equal when rounded as in the console table.
    #[must_use]
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        let rounded = self.source.is_rounded() || other.source.is_rounded();
        let same = |a: Value<'_>, b: Value<'_>| match (a, b) {
            (Value::Missing, _) | (_, Value::Missing) => true,
            (Value::Text(a), Value::Text(b)) => a.is_alike(b),
            (Value::Number(a), Value::Number(b)) if rounded => is_rounded_alike(a, b),
            (Value::Number(a), Value::Number(b)) => {
                a == b
                    || !(a.is_finite() || b.is_finite())
                    || (has_two_decimals(a) || has_two_decimals(b)) && (a - b).abs() <= 0.005_000_1
            }
            (a, b) => a == b,
        };
        !self.is_on_other_machine(other)
            && self.tests.len() == other.tests.len()
            && self.tests.iter().zip(&other.tests).all(|(a, b)| {
                Field::ALL
                    .iter()
                    .all(|field| same(field.get(a), field.get(b)))
            })
    }

    /// Whether all numbers have at most two decimals, to which other clients round.
    fn has_two_decimals_only(&self) -> bool {
        let numbers = Field::ALL
            .iter()
            .filter(|field| field.kind() == Kind::Number);
        let mut values = numbers.flat_map(|field| self.tests.iter().map(|test| field.get(test)));
        values.all(|value| match value {
            Value::Number(number) => !number.is_finite() || has_two_decimals(number),
            _ => true,
        })
    }
}

fn has_two_decimals(number: f64) -> bool {
    (number * 100.0).round() / 100.0 == number
}

/// Whether two numbers are equal when rounded as in the console table: to two decimals, times from
/// one second on in seconds.
fn is_rounded_alike(a: f64, b: f64) -> bool {
    let seconds = a.abs().max(b.abs()) >= 1000.0;
    let step = if seconds { 10.0 } else { 0.01 };
    // Times are converted to a 32-bit float first.
    let float = a.abs().max(b.abs()) * f64::from(f32::EPSILON);
    (a - b).abs() <= step / 2.0 + float || !(a.is_finite() || b.is_finite())
}

impl Environment {
    /// Copies missing values from the other; returns whether there were any.
    pub(crate) fn complete(&mut self, other: &Self) -> bool {
        let mut more = false;
        for field in HeaderField::ALL {
            more |= field.complete(self, other);
        }
        more
    }
}

impl Test {
    /// Copies missing values from the other; returns whether there were any.
    pub(crate) fn complete(&mut self, other: &Self) -> bool {
        let mut more = false;
        for field in Field::ALL {
            more |= field.complete(self, other);
        }
        if self.samples_ns.is_none() && other.samples_ns.is_some() {
            self.samples_ns.clone_from(&other.samples_ns);
            return true;
        }
        if self.samples_ns.is_none() && self.reps.is_none() && other.reps.is_some() {
            self.reps = other.reps;
            return true;
        }
        more
    }
}
