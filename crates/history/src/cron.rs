//! Cron schedules, as Temporal writes them: five fields, `@daily` and the like, `@every 1h30m`. In UTC.

use std::time::Duration;

use crate::Timestamp;

const SECONDS_PER_DAY: i64 = 86_400;
/// Days to search for the next time: a leap day may be eight years away.
const HORIZON_DAYS: i64 = 9 * 366;

/// Is the schedule one this engine understands? The empty one is: it is none.
pub(crate) fn validate(schedule: &str) -> Result<(), String> {
    if schedule.is_empty() {
        return Ok(());
    }
    let parsed = parse(schedule).map_err(|reason| format!("Invalid CronSchedule \"{schedule}\": {reason}."))?;
    match parsed.next(Timestamp::EPOCH) {
        Some(_) => Ok(()),
        None => Err(format!("Invalid CronSchedule \"{schedule}\": there is no such date.")),
    }
}

/// How long after `now` the next turn is due, counting turns from `anchor`, when the last one was. Rounded up to seconds.
pub(crate) fn backoff(schedule: &str, anchor: Timestamp, now: Timestamp) -> Option<Duration> {
    if schedule.is_empty() {
        return None;
    }
    let schedule = parse(schedule).ok()?;
    let due = if now < anchor {
        anchor
    } else {
        schedule.next_from(anchor, now)?
    };
    let wait = due.since(now);
    Some(Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)))
}

#[derive(Debug, PartialEq)]
enum Schedule {
    Every(Duration),
    Calendar(Calendar),
}

/// Bit sets of allowed values.
#[derive(Debug, PartialEq)]
struct Calendar {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// If both days and weekdays are restricted, either one will do.
    either_day: bool,
}

impl Schedule {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.next_from(after, after)
    }

    /// The first time of the row that begins after `anchor` which is not before `now`.
    fn next_from(&self, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => {
                let missed = now.since(anchor).as_nanos().div_ceil(period.as_nanos()).max(1);
                Some(anchor + Duration::from_nanos(u64::try_from(missed * period.as_nanos()).ok()?))
            }
            // A calendar's times do not depend on where one begins to count.
            Self::Calendar(calendar) => {
                let not_before = if now > anchor {
                    now.as_seconds() - 1
                } else {
                    now.as_seconds()
                };
                calendar.next(not_before).map(Timestamp::from_seconds)
            }
        }
    }
}

impl Calendar {
    /// The first matching time after `seconds`.
    fn next(&self, seconds: i64) -> Option<i64> {
        let from = (seconds + 60).div_euclid(60) * 60;
        let first_day = from.div_euclid(SECONDS_PER_DAY);
        (first_day..first_day + HORIZON_DAYS)
            .filter(|day| self.matches_day(*day))
            .find_map(|day| {
                let earliest = (from - day * SECONDS_PER_DAY).max(0) / 60;
                (earliest..24 * 60)
                    .find(|minute| has(self.hours, minute / 60) && has(self.minutes, minute % 60))
                    .map(|minute| day * SECONDS_PER_DAY + minute * 60)
            })
    }

    fn matches_day(&self, day: i64) -> bool {
        let (month, day_of_month) = civil(day);
        // 1970-01-01 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let (by_day, by_weekday) = (has(self.days, day_of_month), has(self.weekdays, weekday));
        has(self.months, month)
            && if self.either_day {
                by_day || by_weekday
            } else {
                by_day && by_weekday
            }
    }
}

fn has(set: u64, value: i64) -> bool {
    set & (1 << value) != 0
}

/// Month and day of month of a day counted from the epoch, in the proleptic Gregorian calendar.
fn civil(day: i64) -> (i64, i64) {
    // Years are counted from March, so that leap days come last, in eras of 400 years that all have the same length.
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    (
        if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        },
        day_of_month,
    )
}

fn parse(schedule: &str) -> Result<Schedule, String> {
    let schedule = strip_zone(schedule.trim())?;
    if let Some(period) = schedule.strip_prefix("@every ") {
        let period = parse_period(period.trim())?;
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
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields[..] else {
        return Err(format!(
            "it has {} fields, 5 are expected: minute, hour, day, month, weekday",
            fields.len()
        ));
    };
    let is_any = |field: &str| field.starts_with('*') || field == "?";
    let mut weekday_set = parse_field(weekdays, 0, 7, WEEKDAYS)?;
    // Sunday may be written 0 or 7.
    if has(weekday_set, 7) {
        weekday_set |= 1;
    }
    Ok(Schedule::Calendar(Calendar {
        minutes: parse_field(minutes, 0, 59, &[])?,
        hours: parse_field(hours, 0, 23, &[])?,
        days: parse_field(days, 1, 31, &[])?,
        months: parse_field(months, 1, 12, MONTHS)?,
        weekdays: weekday_set,
        either_day: !is_any(days) && !is_any(weekdays),
    }))
}

const MONTHS: &[&str] = &[
    "", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn strip_zone(schedule: &str) -> Result<&str, String> {
    let Some(rest) = schedule
        .strip_prefix("CRON_TZ=")
        .or_else(|| schedule.strip_prefix("TZ="))
    else {
        return Ok(schedule);
    };
    let (zone, rest) = rest
        .split_once(char::is_whitespace)
        .ok_or("it names a time zone and nothing else")?;
    match zone {
        "UTC" | "Etc/UTC" | "GMT" => Ok(rest.trim()),
        _ => Err(format!("time zone {zone} is not supported, only UTC is")),
    }
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

/// A period like `1h30m` or `90s`.
fn parse_period(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text} is not a period like 1h30m");
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let unit = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |length| digits + length);
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        total += number
            * match &rest[digits..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(bad()),
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total)
        .ok()
        .filter(|period| !period.is_zero())
        .ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z, a Tuesday.
    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn next(schedule: &str) -> i64 {
        backoff(schedule, NOW, NOW).unwrap().as_secs() as i64
    }

    #[test]
    fn schedules_are_read_as_people_write_them() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
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
            ("0 0 * * SUN", until_midnight + 4 * DAY),
            ("0 0 * * 7", until_midnight + 4 * DAY),
            ("@weekly", until_midnight + 4 * DAY),
            ("0 0 1 * *", until_midnight + 16 * DAY),
            ("0 0 15,20 * *", until_midnight),
            ("0 0 1 jan *", until_midnight + 47 * DAY),
            ("@yearly", until_midnight + 47 * DAY),
            // Either one of day and weekday will do: the 13th, or Thursday the 16th.
            ("0 0 13 * thu", until_midnight + DAY),
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
            ("CRON_TZ=Europe/Berlin 0 0 * * *", "only UTC"),
        ] {
            let error = validate(schedule).unwrap_err();
            assert!(error.contains(reason), "{schedule}: {error}");
            assert_eq!(backoff(schedule, NOW, NOW), None);
        }
    }

    #[test]
    fn missed_turns_are_skipped_not_made_up_for() {
        let late = NOW + Duration::from_secs(3 * 3600);
        assert_eq!(backoff("0 * * * *", NOW, late).unwrap().as_secs(), 46 * 60 + 40);
        assert_eq!(
            backoff("@every 1h", NOW, late + Duration::from_secs(600))
                .unwrap()
                .as_secs(),
            50 * 60
        );
        assert_eq!(
            backoff("0 * * * *", late, NOW).unwrap().as_secs(),
            3 * 3600,
            "its turn has not come yet"
        );
    }

    #[test]
    fn days_become_dates() {
        for (day, expected) in [
            (0, (1, 1)),
            (58, (2, 28)),
            (59, (3, 1)),
            (-1, (12, 31)),
            (19_782, (2, 29)),
        ] {
            assert_eq!(civil(day), expected, "{day}");
        }
    }
}
