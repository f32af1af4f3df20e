//! Times, in UTC unless a clock says otherwise.

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Seconds since 1970 as RFC 3339; `None` if it is out of range.
#[must_use]
pub fn utc(seconds: i64) -> Option<String> {
    let time = Timestamp::from_second(seconds).ok()?;
    Some(time.to_string())
}

/// The date of this time, such as `2025-06-15`; empty if it is out of range.
#[must_use]
pub fn date(seconds: i64) -> String {
    let mut time = utc(seconds).unwrap_or_default();
    time.truncate(10);
    time
}

/// What times are shown by.
#[derive(Debug, Clone)]
pub struct Clock(TimeZone);

impl Clock {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The time zone of this computer, or that of `TZ`.
    #[must_use]
    pub fn local() -> Self {
        Self(TimeZone::system())
    }

    /// This time to the minute: `2025-06-15 15:06`; empty if it is out of range.
    #[must_use]
    pub fn minute(&self, seconds: i64) -> String {
        self.format(seconds, "%Y-%m-%d %H:%M")
    }

    /// What the time zone is called at this time: `CET`.
    #[must_use]
    pub fn name(&self, seconds: i64) -> String {
        self.format(seconds, "%Z")
    }

    fn format(&self, seconds: i64, format: &str) -> String {
        let time = Timestamp::from_second(seconds).ok();
        let time = time.map(|time| time.to_zoned(self.0.clone()));
        time.map_or_else(String::new, |time| time.strftime(format).to_string())
    }
}

/// SQLite's `YYYY-MM-DD HH:MM:SS` as RFC 3339.
#[must_use]
pub fn rfc3339(time: &str) -> String {
    format!("{}Z", time.replacen(' ', "T", 1))
}

/// What a time may look like, for hints.
pub const TIMES: &str = "2025-06-15, 2025-06-15T15:06, 7d, 12h, today, yesterday";

/// The first and the last second of a date, a time, an age such as `7d`, `today` or `yesterday`; else
/// what may stand there.
pub fn moment(text: &str) -> Result<(i64, i64), String> {
    moment_at(text, Timestamp::now())
}

fn moment_at(text: &str, now: Timestamp) -> Result<(i64, i64), String> {
    if let Some(age) = age(text) {
        let second = now
            .checked_sub(age)
            .map_err(|_| format!("'{text}' is too long ago"))?
            .as_second();
        return Ok((second, second));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok((time.as_second(), time.as_second()));
    }
    let today = || now.to_zoned(TimeZone::UTC).date();
    let time = match text {
        "today" => Some(today().to_datetime(Time::midnight())),
        "yesterday" => today()
            .yesterday()
            .ok()
            .map(|date| date.to_datetime(Time::midnight())),
        _ => text.parse::<DateTime>().ok(),
    };
    let time = time.and_then(|time| time.to_zoned(TimeZone::UTC).ok());
    let first = time.map(|time| time.timestamp().as_second());
    let is_date = text.len() <= "2025-06-15".len();
    let length = if is_date { DAY - 1 } else { 0 };
    first
        .map(|first| (first, first + length))
        .ok_or_else(|| TIMES.to_owned())
}

/// What a duration may look like, for hints.
pub const DURATIONS: &str = "90s, 10m, 12h, 7d, or a number of seconds";

/// The longest duration in seconds: a clock that adds a much longer one overflows.
const LONGEST: u64 = 100 * 365 * 24 * 60 * 60;

/// A duration such as `90s`, `10m`, `12h` or `7d`, a bare number in seconds, 100 years at most; else what may
/// stand there.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let seconds = match text.parse() {
        Ok(seconds) => Some(seconds),
        Err(_) => age(text).and_then(|age| u64::try_from(age.as_secs()).ok()),
    };
    seconds
        .map(|seconds| std::time::Duration::from_secs(seconds.min(LONGEST)))
        .ok_or_else(|| DURATIONS.to_owned())
}

const DAY: i64 = 24 * 60 * 60;

/// A number and a unit: s, m (minutes), h, d, w or y (365 days).
fn age(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        'w' => 7 * DAY,
        'y' => 365 * DAY,
        _ => return None,
    };
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    (number >= 0).then(|| SignedDuration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<(i64, i64), String> {
        moment_at(text, "2025-06-15T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn dates_times_and_ages_are_understood() {
        let noon = 1_749_988_800;
        let midnight = noon - 12 * 3600;
        assert_eq!(at("2025-06-15"), Ok((midnight, midnight + 86_399)));
        assert_eq!(at("2025-06-15T12:00:00Z"), Ok((noon, noon)));
        assert_eq!(at("2025-06-15 12:00"), Ok((noon, noon)));
        assert_eq!(at("2025-06-15T14:00+02:00"), Ok((noon, noon)));
        assert_eq!(at("12h"), Ok((midnight, midnight)));
        assert_eq!(at("0s"), Ok((noon, noon)));
        assert_eq!(at("today"), at("2025-06-15"));
        assert_eq!(at("yesterday"), at("2025-06-14"));
        for bad in [
            "",
            "tomorrow",
            "2025-13-01",
            "7x",
            "-3d",
            "d",
            "é",
            "99999999999999y",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_seconds() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(
            ["90s", "10m", "12h", "7d", "30"].map(seconds),
            [90, 600, 43_200, 604_800, 30].map(Ok)
        );
        for bad in ["", "-1", "1.5", "1h30m", "s", "10 m"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_clock_can_add_every_duration() {
        for long in ["18446744073709551615", "9223372036854775807y"] {
            let end = std::time::Instant::now().checked_add(duration(long).unwrap());
            assert!(end.is_some(), "{long}");
        }
    }

    #[test]
    fn a_clock_shows_its_own_time_and_has_a_name() {
        let noon = 1_749_988_800;
        assert_eq!(Clock::utc().minute(noon), "2025-06-15 12:00");
        assert_eq!(Clock::utc().name(noon), "UTC");
        let east = Clock(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        assert_eq!(east.minute(noon), "2025-06-15 14:00");
        let half_a_year = 183 * DAY;
        assert_eq!(east.name(noon), "CEST");
        assert_eq!(east.name(noon + half_a_year), "CET");
        assert_eq!(east.minute(i64::MAX), "");
    }
}
