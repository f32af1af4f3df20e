use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A moment, written in UTC with six decimals and `+00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Time {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self::of(Timestamp::now())
    }

    /// This moment, cut to what is written of it.
    pub(crate) fn of(time: Timestamp) -> Self {
        Self(Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time))
    }

    /// Reads ISO 8601 with any offset; without one it is UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            let time: jiff::civil::DateTime = text.parse().ok()?;
            Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        });
        time.map(Self)
    }

    /// The milliseconds since `earlier`; `None` if that is later.
    pub(crate) fn milliseconds_since(self, earlier: Self) -> Option<u64> {
        let passed = self.0.as_millisecond() - earlier.0.as_millisecond();
        u64::try_from(passed).ok()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
