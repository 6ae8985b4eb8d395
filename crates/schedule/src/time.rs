//! Between protobuf's times and jiff's. Out-of-range values saturate.

use jiff::{SignedDuration, Timestamp};

pub(crate) fn timestamp(proto: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    proto.map(|proto| {
        let nanos = i128::from(proto.seconds) * 1_000_000_000 + i128::from(proto.nanos);
        Timestamp::from_nanosecond(nanos).unwrap_or(if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX })
    })
}

pub(crate) fn proto_timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(0),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

pub(crate) fn duration(proto: Option<&prost_types::Duration>) -> SignedDuration {
    proto.map_or(SignedDuration::ZERO, |proto| {
        SignedDuration::from_secs(proto.seconds).saturating_add(SignedDuration::from_nanos(proto.nanos.into()))
    })
}

pub(crate) fn proto_duration(duration: std::time::Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// `time + by`, or the last possible time.
pub(crate) fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}
