//! Periods of time as Go writes them: `1h30m`, `90s`, `1.5h`, and days: `2d`.

use std::time::Duration;

/// Reads a period; `None` if it is none, is negative, or is longer than 290 years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let (mut rest, mut total) = (text, 0_u128);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .map_or(rest.len(), |length| digits + length);
        let nanos: u128 = match &rest[digits..unit] {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(scaled(&rest[..digits], nanos)?)?;
        rest = &rest[unit..];
    }
    u64::try_from(total)
        .ok()
        .filter(|nanos| i64::try_from(*nanos).is_ok())
        .map(Duration::from_nanos)
}

/// `number` (like `1`, `1.5`, `.5`) times `unit`.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let value = |digits: &str| {
        if digits.is_empty() {
            Some(0)
        } else {
            digits.parse::<u128>().ok()
        }
    };
    // More digits than nanoseconds have say nothing.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = value(fraction)?.checked_mul(unit)? / scale;
    value(whole)?.checked_mul(unit)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_go_writes_them() {
        for (text, nanos) in [
            ("1h30m", 5_400_000_000_000),
            ("90s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("2d", 172_800_000_000_000),
            ("1m0.25s", 60_250_000_000),
            ("10ms", 10_000_000),
            ("3us5ns", 3_005),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "5",
            "h",
            ".h",
            "1x",
            "-1h",
            "1h 30m",
            "1..5h",
            "99999999999999999999999999999999999999999h",
            "300000d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
