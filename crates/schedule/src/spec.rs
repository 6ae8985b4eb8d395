//! A spec made ready to be asked when it next matches.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use temporalio_protos::temporal::api::schedule::v1::{Range, ScheduleSpec, StructuredCalendarSpec};

use crate::{
    canonical::{SpecError, canonical_spec},
    fields::Field,
    pattern::{FIRST_YEAR, LAST_YEAR, Pattern},
    steps::{OutOfSteps, Steps},
    time::{duration, later, timestamp},
    zone,
};

/// A spec, checked and compiled.
#[derive(Debug, Clone)]
pub struct CompiledSpec {
    canonical: ScheduleSpec,
    zone: TimeZone,
    calendars: Vec<Pattern>,
    excluded: Vec<Pattern>,
    /// Seconds: period and phase.
    intervals: Vec<(i64, i64)>,
    /// The second before the first that counts.
    start: i64,
    end: Option<Timestamp>,
    jitter: SignedDuration,
}

/// One time at which a schedule acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionTime {
    /// What the spec says.
    pub nominal: Timestamp,
    /// With jitter: when it really is.
    pub actual: Timestamp,
}

impl CompiledSpec {
    /// Compiles a spec in any form.
    pub fn new(spec: ScheduleSpec) -> Result<Self, SpecError> {
        let canonical = canonical_spec(spec)?;
        let zone = if canonical.timezone_data.is_empty() {
            zone::by_name(&canonical.timezone_name)
        } else {
            zone::by_data(&canonical.timezone_name, &canonical.timezone_data)
        }
        .map_err(SpecError)?;
        let seconds = |given| duration(given).as_secs();
        Ok(CompiledSpec {
            calendars: canonical.structured_calendar.iter().map(pattern).collect(),
            excluded: canonical.exclude_structured_calendar.iter().map(pattern).collect(),
            intervals: canonical
                .interval
                .iter()
                .map(|spec| {
                    let period = seconds(spec.interval.as_ref()).max(1);
                    (period, seconds(spec.phase.as_ref()).max(0))
                })
                .collect(),
            start: timestamp(canonical.start_time.as_ref()).map_or(0, whole_seconds) - 1,
            end: timestamp(canonical.end_time.as_ref()),
            jitter: duration(canonical.jitter.as_ref()).max(SignedDuration::ZERO),
            zone,
            canonical,
        })
    }

    /// The spec in its one form.
    pub fn canonical(&self) -> &ScheduleSpec {
        &self.canonical
    }

    /// The first time after `after`; `None` if there is none until the end of the spec, or of the year 2100. Jitter is
    /// the same whenever it is asked for with the same `seed`.
    pub fn next(&self, seed: &str, after: Timestamp, steps: &mut Steps) -> Result<Option<ActionTime>, OutOfSteps> {
        let mut after = whole_seconds(after).max(self.start);
        let (nominal, moment) = loop {
            let Some(nominal) = self.next_listed(after, steps)? else {
                return Ok(None);
            };
            let Ok(moment) = Timestamp::from_second(nominal) else {
                return Ok(None);
            };
            if self.end.is_some_and(|end| moment > end) || year(moment) > LAST_YEAR {
                return Ok(None);
            }
            let mut until = None;
            for calendar in &self.excluded {
                steps.take()?;
                if calendar.matches(&self.zone, nominal) {
                    until = until.max(Some(calendar.solid_until(&self.zone, nominal)));
                }
            }
            match until {
                None => break (nominal, moment),
                Some(until) => after = until - 1,
            }
        };
        // Jitter must not reach the time that follows.
        let room = match self.jitter.is_zero() {
            true => SignedDuration::ZERO,
            false => match self.next_listed(nominal, steps)? {
                Some(following) => self.jitter.min(SignedDuration::from_secs(following - nominal)),
                None => self.jitter,
            },
        };
        Ok(Some(ActionTime {
            nominal: moment,
            actual: later(moment, jitter(seed, nominal, room)),
        }))
    }

    /// The next time of calendars and intervals, whether it is excluded or not.
    fn next_listed(&self, after: i64, steps: &mut Steps) -> Result<Option<i64>, OutOfSteps> {
        let mut earliest: Option<i64> = None;
        for (period, phase) in &self.intervals {
            steps.take()?;
            let turns = (after - phase).div_euclid(*period).saturating_add(1);
            let next = turns.saturating_mul(*period).saturating_add(*phase);
            earliest = Some(earliest.map_or(next, |e| e.min(next)));
        }
        for calendar in &self.calendars {
            if let Some(next) = calendar.next(&self.zone, after, LAST_YEAR, steps)? {
                earliest = Some(earliest.map_or(next, |e| e.min(next)));
            }
        }
        Ok(earliest)
    }
}

fn whole_seconds(time: Timestamp) -> i64 {
    // Rounded down, also before the epoch.
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).unwrap_or(0)
}

fn year(time: Timestamp) -> i16 {
    TimeZone::UTC.to_datetime(time).year()
}

fn pattern(calendar: &StructuredCalendarSpec) -> Pattern {
    let bits = |ranges: &[Range]| values(ranges).filter(|v| *v < 64).fold(0, |set, v| set | 1_u64 << v);
    let first = u32::from(FIRST_YEAR.unsigned_abs());
    Pattern {
        seconds: bits(&calendar.second),
        minutes: bits(&calendar.minute),
        hours: bits(&calendar.hour),
        days: bits(&calendar.day_of_month),
        months: bits(&calendar.month),
        weekdays: bits(&calendar.day_of_week),
        years: (!calendar.year.is_empty()).then(|| {
            let (_, last) = Field::Year.bounds();
            let last = last.unsigned_abs();
            values(&calendar.year)
                .filter(|year| (first..=last).contains(year))
                .fold(0, |set, year| set | 1_u128 << (year - first))
        }),
        either_day: false,
    }
}

/// All values of (checked) ranges.
fn values(ranges: &[Range]) -> impl Iterator<Item = u32> {
    ranges.iter().flat_map(|range| {
        let start = range.start.max(0);
        let step = usize::try_from(range.step.max(1)).unwrap_or(1);
        (start..=range.end.max(start)).step_by(step).map(i32::unsigned_abs)
    })
}

/// Less than `room`, in whole milliseconds, evenly spread, and always the same for the same time and seed.
fn jitter(seed: &str, nominal: i64, room: SignedDuration) -> SignedDuration {
    // FNV-1a, then mixed so that its upper half is even.
    let bytes = nominal.to_be_bytes();
    let hash = bytes
        .iter()
        .chain(seed.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let share = (mixed ^ mixed >> 32) >> 32;
    let room = u64::try_from(room.as_millis()).unwrap_or(0).min(u64::from(u32::MAX));
    SignedDuration::from_millis(i64::try_from((share * room) >> 32).unwrap_or(0))
}
