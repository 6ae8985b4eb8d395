//! What a wall clock must show, and the next moment at which it does.
//!
//! A zone is a row of spans, each with one offset from UTC. Within a span the wall clock runs evenly, so the search is
//! done on plain dates and times, span by span. This gives the only sensible meaning to clock changes: a moment matches
//! if the clock on the wall shows what it must. What is skipped in spring does not come; what is shown twice in autumn
//! comes twice.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::steps::{OutOfSteps, Steps};

/// The first year that a calendar may name.
pub(crate) const FIRST_YEAR: i16 = 2000;
/// The last year in which anything is scheduled.
pub(crate) const LAST_YEAR: i16 = 2100;

/// Sets of allowed values, as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) seconds: u64,
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    pub(crate) days: u64,
    pub(crate) months: u64,
    /// Bit 0 is Sunday.
    pub(crate) weekdays: u64,
    /// Bit 0 is [`FIRST_YEAR`]; without it every year matches.
    pub(crate) years: Option<u128>,
    /// One of day and weekday is enough (classic cron), rather than both.
    pub(crate) either_day: bool,
}

/// All values from 0 to `last`.
pub(crate) const fn all_to(last: u32) -> u64 {
    u64::MAX >> (63 - last)
}

fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set.checked_shr(value).is_some_and(|set| set & 1 == 1))
}

impl Pattern {
    /// The first match after `after` (both in whole seconds since the epoch), up to the end of `last_year`.
    pub(crate) fn next(
        &self,
        zone: &TimeZone,
        after: i64,
        last_year: i16,
        steps: &mut Steps,
    ) -> Result<Option<i64>, OutOfSteps> {
        let Ok(mut from) = Timestamp::from_second(after.saturating_add(1)) else {
            return Ok(None);
        };
        loop {
            let offset = zone.to_offset(from);
            let shown = offset.to_datetime(from);
            let span_end = zone.following(from).next().map(|change| change.timestamp());
            let found = self.first_from(shown, last_year, steps)?;
            let moment = found.and_then(|found| offset.to_timestamp(found).ok());
            if let Some(moment) = moment
                && span_end.is_none_or(|end| moment < end)
            {
                return Ok(Some(moment.as_second()));
            }
            let Some(end) = span_end else {
                return Ok(None);
            };
            // Nothing is left in the calendar, and the clock is not put back to where something might be.
            if found.is_none() && zone.to_offset(end).to_datetime(end) >= shown {
                return Ok(None);
            }
            from = end;
        }
    }

    /// Does the clock in `zone` show a match?
    pub(crate) fn matches(&self, zone: &TimeZone, seconds: i64) -> bool {
        let Ok(moment) = Timestamp::from_second(seconds) else {
            return false;
        };
        let shown = zone.to_offset(moment).to_datetime(moment);
        self.matches_year(shown.year())
            && self.matches_date(shown.date())
            && has(self.hours, shown.hour())
            && has(self.minutes, shown.minute())
            && has(self.seconds, shown.second())
    }

    /// Until when (exclusive) everything matches that follows a match: at least one second on. For jumping over what a
    /// calendar excludes.
    pub(crate) fn solid_until(&self, zone: &TimeZone, seconds: i64) -> i64 {
        let Ok(moment) = Timestamp::from_second(seconds) else {
            return seconds.saturating_add(1);
        };
        let shown = zone.to_offset(moment).to_datetime(moment);
        let (hour, minute, second) = (
            i64::from(shown.hour()),
            i64::from(shown.minute()),
            i64::from(shown.second()),
        );
        let left = if self.seconds & all_to(59) != all_to(59) {
            1
        } else if self.minutes & all_to(59) != all_to(59) {
            60 - second
        } else if self.hours & all_to(23) != all_to(23) {
            3600 - minute * 60 - second
        } else {
            86_400 - hour * 3600 - minute * 60 - second
        };
        let end = seconds.saturating_add(left);
        // The clock may change meanwhile.
        match zone.following(moment).next() {
            Some(change) => end.min(change.timestamp().as_second().max(seconds.saturating_add(1))),
            None => end,
        }
    }

    fn first_from(&self, from: DateTime, last_year: i16, steps: &mut Steps) -> Result<Option<DateTime>, OutOfSteps> {
        let (mut date, mut time) = (from.date(), from.time());
        loop {
            steps.take()?;
            if date.year() > last_year {
                return Ok(None);
            }
            let next = if !self.matches_year(date.year()) {
                Date::new(date.year() + 1, 1, 1)
            } else if !has(self.months, date.month()) || !self.has_days_from(date) {
                date.last_of_month().tomorrow()
            } else if self.matches_date(date)
                && let Some(time) = self.time_from(time)
            {
                return Ok(Some(date.to_datetime(time)));
            } else {
                date.tomorrow()
            };
            let Ok(next) = next else {
                return Ok(None);
            };
            (date, time) = (next, Time::midnight());
        }
    }

    /// Can any day of the month from this one on match by its number? Spares a walk through the month.
    fn has_days_from(&self, date: Date) -> bool {
        self.either_day || (self.days & all_to(date.days_in_month().unsigned_abs().into())) >> date.day() != 0
    }

    fn matches_year(&self, year: i16) -> bool {
        self.years.is_none_or(|years| {
            u32::try_from(year - FIRST_YEAR)
                .ok()
                .and_then(|bit| years.checked_shr(bit))
                .is_some_and(|years| years & 1 == 1)
        })
    }

    fn matches_date(&self, date: Date) -> bool {
        let by_day = has(self.days, date.day());
        let by_weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && if self.either_day {
                by_day || by_weekday
            } else {
                by_day && by_weekday
            }
    }

    /// The first matching time of day from `time` on.
    fn time_from(&self, time: Time) -> Option<Time> {
        let (mut hour, mut minute, mut second) = (time.hour(), time.minute(), time.second());
        loop {
            let found = first_bit(self.hours, hour, 23)?;
            if found > hour {
                (minute, second) = (0, 0);
            }
            hour = found;
            while let Some(found) = first_bit(self.minutes, minute, 59) {
                if found > minute {
                    second = 0;
                }
                minute = found;
                if let Some(second) = first_bit(self.seconds, second, 59) {
                    return Time::new(hour, minute, second, 0).ok();
                }
                (minute, second) = (minute + 1, 0);
            }
            (hour, minute, second) = (hour + 1, 0, 0);
        }
    }
}

/// The smallest value of the set within `from..=last`.
fn first_bit(set: u64, from: i8, last: u32) -> Option<i8> {
    let from = u32::try_from(from).ok().filter(|from| *from <= last)?;
    let rest = (set & all_to(last)) >> from << from;
    (rest != 0).then(|| i8::try_from(rest.trailing_zeros()).unwrap_or(i8::MAX))
}
