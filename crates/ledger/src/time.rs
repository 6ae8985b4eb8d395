//! Points in time: unix milliseconds in the database, RFC 3339 for people and machines.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// Where the ledger gets the time from. Tests bring their own.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A point in time: UTC, to the millisecond. Written and serialised as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

impl Time {
    /// The machine's clock.
    pub fn now() -> Self {
        Time(jiff::Timestamp::now().as_millisecond())
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. What no calendar holds is cut to what one holds.
    pub fn from_millis(millis: i64) -> Self {
        let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        Time(millis.clamp(first.as_millisecond(), last.as_millisecond()))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This much later.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Time::from_millis(self.0.saturating_add(millis))
    }

    /// This much earlier.
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Time::from_millis(self.0.saturating_sub(millis))
    }

    /// Days since 1970-01-01, in UTC.
    pub fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    /// Midnight (UTC) of the n-th day since 1970-01-01.
    pub fn of_day(day: i64) -> Self {
        Time::from_millis(day.saturating_mul(DAY))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.parse::<jiff::Timestamp>()
            .map(|timestamp| Time(timestamp.as_millisecond()))
            .map_err(|_| Error::invalid(format!("`{text}` is no time: write it as 2026-11-22T18:17:00Z")))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
