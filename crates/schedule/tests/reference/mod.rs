//! The slow way: look at the clock minute by minute.

use helve_schedule::Timestamp;
use jiff::{SignedDuration, Zoned};
use temporalio_protos::temporal::api::schedule::v1::{Range, StructuredCalendarSpec};

fn contains(ranges: &[Range], value: i8) -> bool {
    ranges.iter().any(|range| {
        let (value, end) = (i32::from(value), range.end.max(range.start));
        value >= range.start && value <= end && (value - range.start) % range.step.max(1) == 0
    })
}

fn shows(calendar: &StructuredCalendarSpec, clock: &Zoned) -> bool {
    contains(&calendar.second, clock.second())
        && contains(&calendar.minute, clock.minute())
        && contains(&calendar.hour, clock.hour())
        && contains(&calendar.day_of_month, clock.day())
        && contains(&calendar.month, clock.month())
        && contains(&calendar.day_of_week, clock.weekday().to_sunday_zero_offset())
}

/// Whole minutes after `after`.
fn clocks(zone: &str, after: Timestamp, minutes: i32) -> impl Iterator<Item = Zoned> {
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let first = after.as_second().div_euclid(60) * 60 + 60;
    let first = Timestamp::from_second(first).unwrap();
    (0..i64::from(minutes)).map(move |minute| (first + SignedDuration::from_mins(minute)).to_zoned(zone.clone()))
}

pub(crate) fn next(
    calendar: &StructuredCalendarSpec,
    exclude: Option<&StructuredCalendarSpec>,
    zone: &str,
    after: Timestamp,
    minutes: i32,
) -> Option<Timestamp> {
    clocks(zone, after, minutes)
        .find(|clock| shows(calendar, clock) && !exclude.is_some_and(|exclude| shows(exclude, clock)))
        .map(|clock| clock.timestamp())
}

pub(crate) fn cron(
    minute: i8,
    hour: i8,
    day: Option<i8>,
    weekday: i8,
    zone: &str,
    after: Timestamp,
    minutes: i32,
) -> Option<Timestamp> {
    clocks(zone, after, minutes)
        .find(|clock| {
            let on_weekday = clock.weekday().to_sunday_zero_offset() == weekday;
            clock.minute() == minute && clock.hour() == hour && (on_weekday || day == Some(clock.day()))
        })
        .map(|clock| clock.timestamp())
}
