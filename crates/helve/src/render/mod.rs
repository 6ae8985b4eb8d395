//! Text for people. Everything here is a function from data to text, so that it can be tested as such.

pub(crate) mod catalog;
pub(crate) mod findings;
pub(crate) mod managed;
pub(crate) mod runs;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod storage;
pub(crate) mod table;
pub(crate) mod verticals;
pub(crate) mod workers;

pub(crate) use helve_runs::text::{count, grouped, millis_between};
use jiff::Timestamp;

/// `0.4 s`, `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `512 B`, `4.1 kB`, `3.2 MB`, in powers of ten as disks are sold.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `2025-01-31 12:34:56` (UTC), or `-`.
pub(crate) fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_naturally() {
        assert_eq!(duration(345), "0.3 s");
        assert_eq!(duration(12_340), "12.3 s");
        assert_eq!(duration(245_000), "4 min 5 s");
        assert_eq!(duration(7_800_000), "2 h 10 min");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(4_100), "4.1 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(time(None), "-");
        assert_eq!(time(Timestamp::new(0, 0).ok()), "1970-01-01 00:00:00");
    }
}
