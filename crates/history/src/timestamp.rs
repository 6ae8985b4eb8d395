//! Points in time as the core sees them: nanoseconds since the Unix epoch, always handed in, never read from a clock.

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time, in nanoseconds since the Unix epoch.
///
/// Arithmetic saturates: a deadline beyond the representable range is "never", not a panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The last representable point in time.
    pub const MAX: Self = Self(i64::MAX);

    /// The point `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The point `seconds` seconds after the Unix epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl From<Timestamp> for helve_schedule::Timestamp {
    fn from(value: Timestamp) -> Self {
        // Every number of nanoseconds that fits 64 bits is a time there.
        Self::from_nanosecond(value.0.into()).unwrap_or_default()
    }
}

impl From<prost_types::Timestamp> for Timestamp {
    fn from(value: prost_types::Timestamp) -> Self {
        Self(
            value
                .seconds
                .saturating_mul(NANOS_PER_SECOND)
                .saturating_add(i64::from(value.nanos)),
        )
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(value: Timestamp) -> Self {
        Self {
            seconds: value.as_seconds(),
            nanos: i32::try_from(value.0.rem_euclid(NANOS_PER_SECOND)).expect("a remainder below 1e9 fits"),
        }
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(value: std::time::SystemTime) -> Self {
        match value.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self::EPOCH + after,
            Err(before) => Self::EPOCH - before.duration(),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.as_seconds(), self.0.rem_euclid(NANOS_PER_SECOND))
    }
}

/// A protobuf duration as a [`Duration`]; absent and negative ones are zero, which Temporal reads as "not set".
pub(crate) fn duration(value: Option<&prost_types::Duration>) -> Duration {
    value.map_or(Duration::ZERO, |d| {
        let nanos = i128::from(d.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(d.nanos);
        u64::try_from(nanos).map_or(
            if nanos < 0 {
                Duration::ZERO
            } else {
                Duration::from_nanos(u64::MAX)
            },
            Duration::from_nanos,
        )
    })
}

/// A [`Duration`] as protobuf has it; zero is sent as zero, not left out.
pub(crate) fn proto_duration(value: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(value.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(value.subsec_nanos()).expect("below 1e9"),
    }
}

/// The earlier of two optional points in time.
pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
