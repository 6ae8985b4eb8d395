//! The one form of a spec: cron strings and textual calendars become structured calendars and intervals.

use temporalio_protos::temporal::api::schedule::v1::{
    CalendarSpec, IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec,
};

use crate::{
    fields::{self, Field},
    period,
    time::{duration, proto_duration},
};

/// A spec that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid schedule spec: {0}")]
pub struct SpecError(pub(crate) String);

/// Calendars, excluded calendars and intervals that one spec may have together. The search for the next time asks each.
const MAX_PARTS: usize = 2000;
/// Bytes of a comment of a calendar.
const MAX_COMMENT: usize = 200;
/// Seconds and nanoseconds that `google.protobuf.Duration` allows.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;

/// Brings a spec into its one form, and says what is wrong with it. Doing it again changes nothing.
pub fn canonical_spec(spec: ScheduleSpec) -> Result<ScheduleSpec, SpecError> {
    canonical(spec).map_err(SpecError)
}

#[expect(deprecated, reason = "clients may still send calendars to exclude as text")]
fn canonical(mut spec: ScheduleSpec) -> Result<ScheduleSpec, String> {
    let parts = spec.structured_calendar.len()
        + spec.cron_string.len()
        + spec.calendar.len()
        + spec.interval.len()
        + spec.exclude_calendar.len()
        + spec.exclude_structured_calendar.len();
    if parts > MAX_PARTS {
        return Err(format!(
            "it has {parts} calendars and intervals, {MAX_PARTS} are allowed"
        ));
    }
    for calendar in std::mem::take(&mut spec.calendar) {
        spec.structured_calendar.push(structured(&calendar)?);
    }
    for calendar in std::mem::take(&mut spec.exclude_calendar) {
        spec.exclude_structured_calendar.push(structured(&calendar)?);
    }
    let mut cron_zone: Option<String> = None;
    for text in std::mem::take(&mut spec.cron_string) {
        let (zone, meaning) = cron_string(&text)?;
        if cron_zone.as_ref().is_some_and(|other| *other != zone) {
            return Err(CONFLICTING_ZONES.to_owned());
        }
        cron_zone = Some(zone);
        match meaning {
            CronMeaning::Calendar(calendar) => spec.structured_calendar.push(*calendar),
            CronMeaning::Interval(interval) => spec.interval.push(interval),
        }
    }
    if let Some(zone) = cron_zone.filter(|zone| !zone.is_empty()) {
        if !spec.timezone_data.is_empty() || !(spec.timezone_name.is_empty() || spec.timezone_name == zone) {
            return Err(CONFLICTING_ZONES.to_owned());
        }
        spec.timezone_name = zone;
    }
    for calendar in spec.structured_calendar.iter().chain(&spec.exclude_structured_calendar) {
        check_calendar(calendar)?;
    }
    for interval in &spec.interval {
        check_interval(interval)?;
    }
    Ok(spec)
}

const CONFLICTING_ZONES: &str = "conflicting timezone names";

/// Writes out the defaults of ranges, as answers show them.
pub fn explicit_spec(mut spec: ScheduleSpec) -> ScheduleSpec {
    let calendars = spec.structured_calendar.iter_mut();
    for calendar in calendars.chain(&mut spec.exclude_structured_calendar) {
        for (_, ranges) in fields_of_mut(calendar) {
            for range in ranges {
                range.end = range.end.max(range.start);
                range.step = range.step.max(1);
            }
        }
    }
    spec
}

/// The fields of a calendar with their ranges.
pub(crate) fn fields_of(calendar: &StructuredCalendarSpec) -> [(Field, &[Range]); 7] {
    [
        (Field::Second, &calendar.second),
        (Field::Minute, &calendar.minute),
        (Field::Hour, &calendar.hour),
        (Field::DayOfMonth, &calendar.day_of_month),
        (Field::Month, &calendar.month),
        (Field::Year, &calendar.year),
        (Field::DayOfWeek, &calendar.day_of_week),
    ]
}

fn fields_of_mut(calendar: &mut StructuredCalendarSpec) -> [(Field, &mut Vec<Range>); 7] {
    [
        (Field::Second, &mut calendar.second),
        (Field::Minute, &mut calendar.minute),
        (Field::Hour, &mut calendar.hour),
        (Field::DayOfMonth, &mut calendar.day_of_month),
        (Field::Month, &mut calendar.month),
        (Field::Year, &mut calendar.year),
        (Field::DayOfWeek, &mut calendar.day_of_week),
    ]
}

fn structured(calendar: &CalendarSpec) -> Result<StructuredCalendarSpec, String> {
    let mut wrong = Vec::new();
    let mut read = |field, text: &str| {
        fields::parse(field, text).unwrap_or_else(|error| {
            wrong.push(error);
            Vec::new()
        })
    };
    let structured = StructuredCalendarSpec {
        second: read(Field::Second, &calendar.second),
        minute: read(Field::Minute, &calendar.minute),
        hour: read(Field::Hour, &calendar.hour),
        day_of_month: read(Field::DayOfMonth, &calendar.day_of_month),
        month: read(Field::Month, &calendar.month),
        year: read(Field::Year, &calendar.year),
        day_of_week: read(Field::DayOfWeek, &calendar.day_of_week),
        comment: calendar.comment.clone(),
    };
    if wrong.is_empty() {
        Ok(structured)
    } else {
        Err(wrong.join(", "))
    }
}

enum CronMeaning {
    Calendar(Box<StructuredCalendarSpec>),
    Interval(IntervalSpec),
}

/// What a cron string of a schedule means, and the zone it names, if any. Unlike in classic cron, day and weekday must
/// both match; a year may follow, and seconds may stand in front.
fn cron_string(text: &str) -> Result<(String, CronMeaning), String> {
    let mut text = text.trim();
    let mut zone = String::new();
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        let (head, rest) = text
            .split_once(' ')
            .ok_or("CronString has time zone but missing fields")?;
        zone = head.split_once('=').map_or("", |(_, zone)| zone).to_owned();
        text = rest;
    }
    let (fields, comment) = text.split_once('#').unwrap_or((text, ""));
    let fields = fields.trim();
    if let Some(period) = fields.strip_prefix("@every") {
        // A pace has no zone.
        return Ok((String::new(), CronMeaning::Interval(every(period)?)));
    }
    let fields = match fields {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    // One more than there may be, so that too many are noticed.
    let each: Vec<&str> = fields.split_whitespace().take(8).collect();
    let (second, [minute, hour, day_of_month, month, day_of_week], year) = match each[..] {
        [a, b, c, d, e] => ("", [a, b, c, d, e], ""),
        [a, b, c, d, e, year] => ("", [a, b, c, d, e], year),
        [second, a, b, c, d, e, year] => (second, [a, b, c, d, e], year),
        _ => return Err("CronString does not have 5-7 fields".to_owned()),
    };
    let calendar = structured(&CalendarSpec {
        second: second.to_owned(),
        minute: minute.to_owned(),
        hour: hour.to_owned(),
        day_of_month: day_of_month.to_owned(),
        month: month.to_owned(),
        year: year.to_owned(),
        day_of_week: day_of_week.to_owned(),
        comment: comment.trim().to_owned(),
    })?;
    Ok((zone, CronMeaning::Calendar(Box::new(calendar))))
}

/// `@every 14h` or `@every 14h/3h`: a period and its phase.
fn every(text: &str) -> Result<IntervalSpec, String> {
    let text = text
        .strip_prefix(' ')
        .ok_or("CronString does not have interval after @every")?;
    let (interval, phase) = text.split_once('/').unwrap_or((text, ""));
    let read = |text: &str| {
        period::parse(text)
            .map(proto_duration)
            .ok_or_else(|| format!("CronString has the invalid duration {text:?}"))
    };
    Ok(IntervalSpec {
        interval: Some(read(interval)?),
        phase: (!phase.is_empty()).then(|| read(phase)).transpose()?,
    })
}

fn check_calendar(calendar: &StructuredCalendarSpec) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (field, ranges) in fields_of(calendar) {
        let (name, (min, max)) = (field.name(), field.bounds());
        for range in ranges {
            if !(min..=max).contains(&range.start) {
                wrong.push(format!("{name} Start is not in range [{min}-{max}]"));
            }
            if range.end != 0 && !(range.start..=max).contains(&range.end) {
                wrong.push(format!("{name} End is before Start or not in range [{min}-{max}]"));
            }
            if range.step < 0 {
                wrong.push(format!("{name} has invalid Step"));
            }
        }
    }
    if calendar.comment.len() > MAX_COMMENT {
        wrong.push("comment is too long".to_owned());
    }
    // One complaint of each kind is enough.
    wrong.dedup();
    wrong.truncate(10);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("invalid calendar spec: {}", wrong.join(", ")))
    }
}

fn check_interval(spec: &IntervalSpec) -> Result<(), String> {
    for (name, given) in [("interval", &spec.interval), ("phase", &spec.phase)] {
        let is_valid = given.as_ref().is_none_or(|d| {
            d.seconds.abs() <= MAX_DURATION_SECONDS
                && d.nanos.abs() < 1_000_000_000
                && (d.seconds == 0 || d.nanos == 0 || (d.seconds > 0) == (d.nanos > 0))
        });
        if !is_valid {
            return Err(format!("{name} is not a valid duration"));
        }
    }
    let (interval, phase) = (duration(spec.interval.as_ref()), duration(spec.phase.as_ref()));
    if interval.as_secs() < 1 {
        Err("interval is too small".to_owned())
    } else if phase.is_negative() {
        Err("phase is negative".to_owned())
    } else if phase >= interval {
        Err("phase cannot be greater than Interval".to_owned())
    } else {
        Ok(())
    }
}
