//! The options that choose runs, shared by the commands that take them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::store::Filter;

/// Which runs: all of these must match.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Filters (text matches anywhere, whatever the case)")]
pub struct Filters {
    /// Runs of models with this in their name
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Runs with this in their quantisation
    #[arg(long, value_name = "TEXT")]
    quant: Option<String>,
    /// Runs on accelerators with this in their name
    #[arg(long, value_name = "TEXT")]
    accelerator: Option<String>,
    /// Runs with this in the name and version of their runtime
    #[arg(long, value_name = "TEXT")]
    runtime: Option<String>,
    /// Runs with this in one of their tags
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// Runs measured then or later: a date, a time (UTC) or an age such as 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Runs measured then or before; a date includes its whole day
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<i64>,
}

impl From<&Filters> for Filter {
    fn from(filters: &Filters) -> Self {
        let filters = filters.clone();
        Self {
            model: filters.model,
            quant: filters.quant,
            accelerator: filters.accelerator,
            runtime: filters.runtime,
            tag: filters.tag,
            since: filters.since,
            until: filters.until,
            configuration: None,
        }
    }
}

impl Filters {
    /// `model llama, since 2025-06-15T12:00:00Z`.
    pub fn in_words(&self) -> String {
        let time = |time: Option<i64>| time.and_then(super::time);
        let parts = [
            ("model", self.model.clone()),
            ("quant", self.quant.clone()),
            ("accelerator", self.accelerator.clone()),
            ("runtime", self.runtime.clone()),
            ("tag", self.tag.clone()),
            ("since", time(self.since)),
            ("until", time(self.until)),
        ];
        let known = parts.into_iter();
        let known = known.filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        known.collect::<Vec<_>>().join(", ")
    }
}

fn since(text: &str) -> Result<i64, String> {
    moment(text, Timestamp::now()).map(|(first, _)| first)
}

fn until(text: &str) -> Result<i64, String> {
    moment(text, Timestamp::now()).map(|(_, last)| last)
}

/// The first and the last second that the text means.
fn moment(text: &str, now: Timestamp) -> Result<(i64, i64), String> {
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
    let utc = |time: DateTime| {
        let zoned = time.to_zoned(TimeZone::UTC);
        zoned.map(|zoned| zoned.timestamp().as_second()).ok()
    };
    // A DateTime parses a date too, so a date is tried first.
    let whole_day = text.len() <= "2025-06-15".len();
    let found = if whole_day {
        text.parse::<Date>().ok().and_then(|date| {
            let first = utc(date.to_datetime(jiff::civil::Time::midnight()))?;
            Some((first, first + 24 * 60 * 60 - 1))
        })
    } else {
        let time = text.parse::<DateTime>().ok();
        time.and_then(utc).map(|second| (second, second))
    };
    found.ok_or_else(|| {
        format!("'{text}' is no date (2025-06-15), time (2025-06-15T15:06) or age (7d, 12h, 30m)")
    })
}

/// A number and a unit: s, m (minutes), h, d, w or y (365 days).
fn age(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        'y' => 365 * 24 * 60 * 60,
        _ => return None,
    };
    let number: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    (number >= 0).then(|| SignedDuration::from_secs(number.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<(i64, i64), String> {
        moment(text, "2025-06-15T12:00:00Z".parse().unwrap())
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
        for bad in [
            "",
            "yesterday",
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
}
