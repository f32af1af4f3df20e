//! When an attempt is repeated.

use std::time::Duration;

use super::Outcome;

/// How often a run is sent, as by the C tool.
pub const ATTEMPTS: u32 = 3;

/// The longest wait that a site can ask for; one that asks for more is left alone.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Makes attempts until one ends otherwise than [`Outcome::Again`], and gives its end, or that of
/// the last. `wait` gets the number of the attempt to come, and waits.
///
/// The waits are those of `submitBenchmarkResults` in the C tool's localscore.cpp, 2 and 4 seconds,
/// unless the site tells how long. An attempt of which it is not known whether the site took it is
/// not repeated, unlike there: the site would show the run twice.
pub fn persist<E>(
    mut attempt: impl FnMut() -> Result<Outcome, E>,
    mut wait: impl FnMut(u32, Duration),
) -> Result<Outcome, E> {
    let mut made = 1;
    loop {
        let outcome = attempt()?;
        let Outcome::Again { after, .. } = &outcome else {
            return Ok(outcome);
        };
        let pause = after.unwrap_or(Duration::from_secs(1 << made));
        if made == ATTEMPTS || pause > MAX_WAIT {
            return Ok(outcome);
        }
        made += 1;
        wait(made, pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits, in seconds, and the end.
    fn run(outcomes: Vec<Outcome>) -> (Vec<(u32, u64)>, Outcome) {
        let mut waits = Vec::new();
        let mut outcomes = outcomes.into_iter();
        let end = persist(
            || outcomes.next().ok_or("too many attempts"),
            |attempt, pause| waits.push((attempt, pause.as_secs())),
        );
        assert_eq!(outcomes.next(), None, "too few attempts");
        (waits, end.unwrap())
    }

    fn again(after: Option<u64>) -> Outcome {
        Outcome::Again {
            why: "busy".into(),
            after: after.map(Duration::from_secs),
        }
    }

    #[test]
    fn three_attempts_with_waits_of_2_and_4_seconds() {
        let (waits, end) = run(vec![again(None), again(None), again(None)]);
        assert_eq!(waits, [(2, 2), (3, 4)]);
        assert_eq!(end, again(None));
        let (waits, end) = run(vec![again(None), Outcome::Taken { id: 7 }]);
        assert_eq!(waits, [(2, 2)]);
        assert_eq!(end, Outcome::Taken { id: 7 });
    }

    #[test]
    fn the_site_may_tell_how_long_to_wait_up_to_a_minute() {
        let (waits, _) = run(vec![again(Some(0)), again(Some(60)), again(Some(1))]);
        assert_eq!(waits, [(2, 0), (3, 60)]);
        let (waits, end) = run(vec![again(Some(61))]);
        assert!(waits.is_empty());
        assert_eq!(end, again(Some(61)));
    }

    #[test]
    fn nothing_else_is_repeated() {
        let why = String::new;
        for outcome in [
            Outcome::Taken { id: 1 },
            Outcome::Later { why: why() },
            Outcome::Refused { why: why() },
            Outcome::Unknown { why: why() },
        ] {
            assert_eq!(run(vec![outcome.clone()]), (vec![], outcome));
        }
    }
}
