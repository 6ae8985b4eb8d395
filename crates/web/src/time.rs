//! Times, lengths and numbers for people. All times are UTC; "now" is an argument.

use jiff::Timestamp;
use maud::{Markup, html};

/// Milliseconds since 1970-01-01 in UTC.
pub type Millis = i64;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// `2026-11-22 18:33 UTC`, or with seconds.
pub(crate) fn full(at: Millis) -> String {
    written(at, "%Y-%m-%d %H:%M:%S UTC")
}

/// `22 Nov`.
pub(crate) fn day(at: Millis) -> String {
    written(at, "%-d %b")
}

/// `18:33:03`.
pub(crate) fn clock(at: Millis) -> String {
    written(at, "%H:%M:%S")
}

fn written(at: Millis, format: &str) -> String {
    // A time that no calendar has comes from a broken clock or a hostile file; the page is shown all the same.
    match Timestamp::from_millisecond(at) {
        Ok(at) => at.strftime(format).to_string(),
        Err(_) => "unknown time".to_owned(),
    }
}

/// How long ago or how far ahead, in one unit, with the exact time for machines and on hover.
pub(crate) fn when(now: Millis, at: Millis) -> Markup {
    let exact = written(at, "%Y-%m-%dT%H:%M:%SZ");
    html! { time datetime=(exact) title=(full(at)) { (relative(now, at)) } }
}

/// `now`, `3 min ago`, `in 5 h`, and after a month the date.
pub(crate) fn relative(now: Millis, at: Millis) -> String {
    let apart = now.saturating_sub(at);
    let size = apart.saturating_abs();
    let amount = match size {
        ..10_000 => return "just now".to_owned(),
        10_000..MINUTE => format!("{} s", size / SECOND),
        MINUTE..HOUR => format!("{} min", size / MINUTE),
        HOUR..DAY => format!("{} h", size / HOUR),
        _ if size < 31 * DAY => match size / DAY {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
        _ => return written(at, "%-d %b %Y"),
    };
    if apart < 0 {
        format!("in {amount}")
    } else {
        format!("{amount} ago")
    }
}

/// A length in two units at most: `820 ms`, `12.4 s`, `3 min 12 s`, `2 h 5 min`, `3 days 4 h`.
pub(crate) fn length(millis: i64) -> String {
    let millis = millis.max(0);
    let two = |big: i64, name: &str, rest: i64, small: &str| match rest {
        0 => format!("{big} {name}"),
        rest => format!("{big} {name} {rest} {small}"),
    };
    match millis {
        ..SECOND => format!("{millis} ms"),
        SECOND..MINUTE => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        MINUTE..HOUR => two(millis / MINUTE, "min", millis % MINUTE / SECOND, "s"),
        HOUR..DAY => two(millis / HOUR, "h", millis % HOUR / MINUTE, "min"),
        _ => {
            let name = if millis / DAY == 1 { "day" } else { "days" };
            two(millis / DAY, name, millis % DAY / HOUR, "h")
        }
    }
}

/// `1,234,567`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 finding`, `2 findings`; the plural is given where an `s` does not make it.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// `512 B`, `1.5 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut tenths = u128::from(n) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_unit_that_a_reader_would_choose() {
        let now = 1_795_372_383_000;
        let told = |apart: i64| relative(now, now - apart);
        assert_eq!(told(0), "just now");
        assert_eq!(told(59 * SECOND), "59 s ago");
        assert_eq!(told(90 * SECOND), "1 min ago");
        assert_eq!(told(25 * HOUR), "1 day ago");
        assert_eq!(told(-5 * HOUR), "in 5 h");
        assert_eq!(told(400 * DAY), "18 Oct 2025");
        assert_eq!(full(now), "2026-11-22 18:33:03 UTC");
    }

    #[test]
    fn a_time_that_no_calendar_has_does_not_break_a_page() {
        assert_eq!(relative(0, i64::MAX), "unknown time");
        assert_eq!(relative(i64::MIN, i64::MAX), "unknown time");
        assert_eq!(full(i64::MIN), "unknown time");
    }

    #[test]
    fn lengths_and_sizes_have_two_units_at_most() {
        assert_eq!(length(-1), "0 ms");
        assert_eq!(length(12_450), "12.4 s");
        assert_eq!(length(192_000), "3 min 12 s");
        assert_eq!(length(2 * HOUR), "2 h");
        assert_eq!(length(25 * HOUR), "1 day 1 h");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(999), "999");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
    }
}
