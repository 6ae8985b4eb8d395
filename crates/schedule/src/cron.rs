//! Cron schedules of workflows: five fields, `@daily` and the like, `@every 1h30m`, with `CRON_TZ=` or `TZ=` before.
//!
//! This is the classic language: day and weekday are alternatives, fields that are not given do not exist. The cron
//! strings of schedules are another one; see [`crate::canonical_spec`].

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    pattern::{Pattern, all_to},
    period,
    steps::Steps,
    zone,
};

/// Years to search for the next time: a leap day may be eight years away.
const HORIZON: i16 = 9;

/// Is the schedule one that is understood? The empty one is: it is none. The error says what is wrong.
pub fn validate(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Ok(());
    }
    let parsed = parse(schedule).map_err(|reason| format!("Invalid CronSchedule \"{schedule}\": {reason}."))?;
    match parsed.next_from(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH) {
        Some(_) => Ok(()),
        None => Err(format!("Invalid CronSchedule \"{schedule}\": there is no such date.")),
    }
}

/// How long after `now` the next turn is due, counting turns from `anchor`, when the last one was. Rounded up to
/// seconds. Turns that were missed are not made up for. `None` if there is no schedule, or no next turn.
pub fn backoff(schedule: &str, anchor: Timestamp, now: Timestamp) -> Option<Duration> {
    if schedule.is_empty() {
        return None;
    }
    let schedule = parse(schedule).ok()?;
    let due = if now < anchor {
        anchor
    } else {
        schedule.next_from(anchor, now)?
    };
    let wait = due.duration_since(now).unsigned_abs();
    Some(Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)))
}

#[derive(Debug, PartialEq)]
enum Schedule {
    Every(Duration),
    Clock(Box<Pattern>, TimeZone),
}

impl Schedule {
    /// The first time of the row that begins after `anchor` which is not before `now`.
    fn next_from(&self, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => {
                let since = now.duration_since(anchor).unsigned_abs().as_nanos();
                let missed = since.div_ceil(period.as_nanos()).max(1);
                let wait = u64::try_from(missed.checked_mul(period.as_nanos())?).ok()?;
                anchor.checked_add(Duration::from_nanos(wait)).ok()
            }
            // A clock's times do not depend on where one begins to count.
            Self::Clock(pattern, zone) => {
                let after = if now > anchor {
                    now.as_second() - i64::from(now.subsec_nanosecond() == 0)
                } else {
                    now.as_second()
                };
                let last_year = zone.to_datetime(now).year() + HORIZON;
                let next = pattern.next(zone, after, last_year, &mut Steps::default()).ok()??;
                Timestamp::from_second(next).ok()
            }
        }
    }
}

fn parse(schedule: &str) -> Result<Schedule, String> {
    let (zone, schedule) = split_zone(schedule.trim())?;
    if let Some(period) = schedule.strip_prefix("@every ") {
        let text = period.trim();
        let period = period::parse(text)
            .filter(|period| !period.is_zero())
            .ok_or_else(|| format!("{text} is not a period like 1h30m"))?;
        // Below a second there is no pace to keep: turns are rounded up to seconds.
        return Ok(Schedule::Every(period.max(Duration::from_secs(1))));
    }
    let fields = match schedule {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    let mut each = fields.split_whitespace();
    let five = [each.next(), each.next(), each.next(), each.next(), each.next()];
    let ([Some(minutes), Some(hours), Some(days), Some(months), Some(weekdays)], None) = (five, each.next()) else {
        return Err(format!(
            "it has {} fields, 5 are expected: minute, hour, day, month, weekday",
            fields.split_whitespace().count()
        ));
    };
    let mut weekday_set = parse_field(weekdays, 0, 7, WEEKDAYS)?;
    // Sunday may be written 0 or 7.
    weekday_set |= weekday_set >> 7 & 1;
    let pattern = Pattern {
        seconds: 1,
        minutes: parse_field(minutes, 0, 59, &[])?,
        hours: parse_field(hours, 0, 23, &[])?,
        days: parse_field(days, 1, 31, &[])?,
        months: parse_field(months, 1, 12, MONTHS)?,
        weekdays: weekday_set & all_to(6),
        years: None,
        either_day: !is_any(days) && !is_any(weekdays),
    };
    Ok(Schedule::Clock(Box::new(pattern), zone))
}

/// A field that does not restrict anything. A star with a step does.
fn is_any(field: &str) -> bool {
    field.split(',').any(|part| matches!(part, "*" | "?" | "*/1" | "?/1"))
}

const MONTHS: &[&str] = &[
    "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn split_zone(schedule: &str) -> Result<(TimeZone, &str), String> {
    let Some(rest) = schedule
        .strip_prefix("CRON_TZ=")
        .or_else(|| schedule.strip_prefix("TZ="))
    else {
        return Ok((TimeZone::UTC, schedule));
    };
    let (zone, rest) = rest
        .split_once(char::is_whitespace)
        .ok_or("it names a time zone and nothing else")?;
    Ok((zone::by_name(zone)?, rest.trim()))
}

fn parse_field(field: &str, min: i64, max: i64, names: &[&str]) -> Result<u64, String> {
    field
        .split(',')
        .try_fold(0, |set, part| Ok(set | parse_part(part, min, max, names)?))
}

fn parse_part(part: &str, min: i64, max: i64, names: &[&str]) -> Result<u64, String> {
    let (range, step) = match part.split_once('/') {
        None => (part, None),
        Some((range, step)) => {
            let step: i64 = step
                .parse()
                .ok()
                .filter(|step| *step > 0)
                .ok_or(format!("step {step} in {part}"))?;
            (range, Some(step))
        }
    };
    let value = |text: &str| {
        let by_name = names
            .iter()
            .position(|name| !name.is_empty() && name.eq_ignore_ascii_case(text));
        let number = by_name
            .and_then(|at| i64::try_from(at).ok())
            .or_else(|| text.parse().ok());
        number
            .filter(|n| (min..=max).contains(n))
            .ok_or(format!("{text} is not within {min} to {max}"))
    };
    let (first, last) = match (range, range.split_once('-')) {
        ("*" | "?", _) => (min, if names.len() == 7 { 6 } else { max }),
        (_, Some((first, last))) => (value(first)?, value(last)?),
        // "5/15" means from 5 on.
        (_, None) => (value(range)?, if step.is_some() { max } else { value(range)? }),
    };
    if first > last {
        return Err(format!("range {range} runs backwards"));
    }
    let step = usize::try_from(step.unwrap_or(1)).unwrap_or(usize::MAX);
    Ok((first..=last).step_by(step).fold(0, |set, n| set | 1 << n))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;

    /// 2023-11-14T22:13:20Z, a Tuesday.
    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn next(schedule: &str) -> i64 {
        backoff(schedule, now(), now()).unwrap().as_secs() as i64
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn schedules_are_read_as_people_write_them() {
        let until_midnight = HOUR + 46 * MINUTE + 40;
        for (schedule, expected) in [
            ("* * * * *", 40),
            ("*/5 * * * *", MINUTE + 40),
            ("0 * * * *", 46 * MINUTE + 40),
            ("@hourly", 46 * MINUTE + 40),
            ("30 22 * * *", 16 * MINUTE + 40),
            ("0 0 * * *", until_midnight),
            ("@daily", until_midnight),
            ("CRON_TZ=UTC @daily", until_midnight),
            // Midnight comes an hour earlier in Berlin.
            ("CRON_TZ=Europe/Berlin 0 0 * * *", until_midnight - HOUR),
            ("TZ=America/New_York 30 17 * * *", 16 * MINUTE + 40),
            ("0 0 * * SUN", until_midnight + 4 * DAY),
            ("0 0 * * 7", until_midnight + 4 * DAY),
            ("@weekly", until_midnight + 4 * DAY),
            ("0 0 1 * *", until_midnight + 16 * DAY),
            ("0 0 15,20 * *", until_midnight),
            ("0 0 1 jan *", until_midnight + 47 * DAY),
            ("@yearly", until_midnight + 47 * DAY),
            // Either one of day and weekday will do: the 13th, or Thursday the 16th.
            ("0 0 13 * thu", until_midnight + DAY),
            // A star with a step restricts: the 15th is an odd day.
            ("0 0 */2 * thu", until_midnight),
            // 2024 is a leap year.
            ("0 0 29 2 *", until_midnight + 106 * DAY),
            ("@every 90s", 90),
            ("@every 1h30m", 5400),
            ("@every 10ms", 1),
        ] {
            validate(schedule).unwrap();
            assert_eq!(next(schedule), expected, "{schedule}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (schedule, reason) in [
            ("* * * *", "4 fields"),
            ("60 * * * *", "60 is not within 0 to 59"),
            ("* * 0 * *", "0 is not within 1 to 31"),
            ("*/0 * * * *", "step 0"),
            ("5-1 * * * *", "runs backwards"),
            ("0 0 31 2 *", "no such date"),
            ("@every soon", "not a period"),
            ("@every 5", "not a period"),
            ("@sometimes", "1 fields"),
            ("CRON_TZ=Europe/Atlantis 0 0 * * *", "unknown time zone Europe/Atlantis"),
            ("TZ=UTC", "nothing else"),
        ] {
            let error = validate(schedule).unwrap_err();
            assert!(error.contains(reason), "{schedule}: {error}");
            assert_eq!(backoff(schedule, now(), now()), None);
        }
    }

    #[test]
    fn missed_turns_are_skipped_not_made_up_for() {
        let late = later(3 * HOUR);
        assert_eq!(backoff("0 * * * *", now(), late).unwrap().as_secs(), 46 * 60 + 40);
        assert_eq!(
            backoff("@every 1h", now(), later(3 * HOUR + 600)).unwrap().as_secs(),
            50 * 60
        );
        assert_eq!(
            backoff("0 * * * *", late, now()).unwrap().as_secs(),
            3 * 3600,
            "its turn has not come yet"
        );
    }

    #[test]
    fn a_turn_that_is_due_this_very_second_is_not_missed() {
        let due = later(46 * MINUTE + 40);
        assert_eq!(backoff("0 * * * *", now(), due), Some(Duration::ZERO));
        let just_after = due.checked_add(Duration::from_millis(1)).unwrap();
        assert_eq!(backoff("0 * * * *", now(), just_after), Some(Duration::from_secs(3600)));
    }
}
