//! Repeated attempts.

use std::time::Duration;

use jiff::Timestamp;

/// The longest wait that a server can ask for; if it asks for more, there is no other attempt.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Makes up to `attempts` attempts and returns the last outcome. `pause` gets an outcome and the number
/// of attempts made, and returns the time until the next attempt, or `None` to stop. `wait` gets the
/// number of the next attempt, and waits.
pub fn retry<T, E>(
    attempts: u32,
    mut attempt: impl FnMut() -> Result<T, E>,
    pause: impl Fn(&T, u32) -> Option<Duration>,
    mut wait: impl FnMut(u32, Duration),
) -> Result<T, E> {
    let mut made = 1;
    loop {
        let outcome = attempt()?;
        match pause(&outcome, made) {
            Some(pause) if made < attempts && pause <= MAX_WAIT => {
                made += 1;
                wait(made, pause);
            }
            _ => return Ok(outcome),
        }
    }
}

/// The wait after this number of attempts if the server does not ask for one: 2, 4, 8 seconds.
#[must_use]
pub fn backoff(made: u32) -> Duration {
    Duration::from_secs(1 << made)
}

/// Whether a server or proxy that answers with this status may give another answer later.
#[must_use]
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The wait that the header Retry-After asks for, in seconds or as a date.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large means forever.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let until = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
    let seconds = until.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Err` asks for another attempt, after its number of seconds if it has one.
    type Outcome = Result<(), Option<u64>>;

    /// The waits before each attempt, in seconds, and the outcome.
    fn run(outcomes: &[Outcome]) -> (Vec<(u32, u64)>, Outcome) {
        let mut waits = Vec::new();
        let mut rest = outcomes.iter();
        let end = retry(
            3,
            || rest.next().copied().ok_or("too many attempts"),
            |outcome, made| {
                let after = outcome.err()?;
                Some(after.map_or_else(|| backoff(made), Duration::from_secs))
            },
            |attempt, pause| waits.push((attempt, pause.as_secs())),
        );
        assert_eq!(rest.next(), None, "too few attempts");
        (waits, end.unwrap())
    }

    #[test]
    fn three_attempts_with_waits_of_2_and_4_seconds() {
        let (waits, end) = run(&[Err(None), Err(None), Err(None)]);
        assert_eq!((waits, end), (vec![(2, 2), (3, 4)], Err(None)));
        let (waits, end) = run(&[Err(None), Ok(())]);
        assert_eq!((waits, end), (vec![(2, 2)], Ok(())));
        assert_eq!(run(&[Ok(())]), (vec![], Ok(())));
    }

    #[test]
    fn the_server_may_ask_for_a_wait_of_up_to_a_minute() {
        let (waits, _) = run(&[Err(Some(0)), Err(Some(60)), Err(Some(1))]);
        assert_eq!(waits, [(2, 0), (3, 60)]);
        assert_eq!(run(&[Err(Some(61))]), (vec![], Err(Some(61))));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let seconds = |text| retry_after(text, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Fri, 02 Jan 2026 03:04:35 GMT"), Some(30));
        assert_eq!(seconds("Thu, 01 Jan 2026 03:04:35 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        for text in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
