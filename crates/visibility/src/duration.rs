//! Durations as filters write them: nanoseconds, `1h30m`, `hh:mm:ss`.

/// In nanoseconds. The units are those of Go, and `d` for 24 hours.
pub(crate) fn parse(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| units(text)).or_else(|| clock(text))
}

fn units(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        nanos += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "d" => 86_400e9,
                _ => return None,
            };
        rest = tail;
    }
    in_range(sign * nanos)
}

fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || ![hours, minutes, seconds].into_iter().all(is_number) {
        return None;
    }
    let (minutes, seconds): (i64, i64) = (minutes.parse().ok()?, seconds.parse().ok()?);
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let hours: i64 = hours.parse().ok()?;
    hours
        .checked_mul(3600)?
        .checked_add(minutes * 60 + seconds)?
        .checked_mul(1_000_000_000)
}

fn in_range(nanos: f64) -> Option<i64> {
    // The largest integer is not a floating-point number; the next one above it is.
    (nanos.abs() < i64::MAX as f64).then_some(nanos.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_form() {
        for (text, nanos) in [
            ("1000", 1000),
            ("300ms", 300_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("2h45m", 9_900_000_000_000),
            ("1d", 86_400_000_000_000),
            ("01:00:10", 3_610_000_000_000),
        ] {
            assert_eq!(parse(text), Some(nanos), "{text}");
        }
        for text in [
            "",
            "-",
            "1 day",
            "1",
            "abc",
            "1h30",
            "1:2",
            "00:61:00",
            "9999999999h",
            "99999999999:00:00",
            "1e5s",
        ] {
            let expected = (text == "1").then_some(1);
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
