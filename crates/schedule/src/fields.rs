//! The fields of a calendar as text: `*`, `5`, `1-5`, `*/15`, `3/5`, `mon-fri`, `1-5/2,8`.

use temporalio_protos::temporal::api::schedule::v1::Range;

use crate::pattern::{FIRST_YEAR, LAST_YEAR};

/// More than any calendar needs; bounds what one field may make.
const MAX_PARTS: usize = 1000;

/// Which field of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    Year,
    DayOfWeek,
}

impl Field {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Field::Second => "Second",
            Field::Minute => "Minute",
            Field::Hour => "Hour",
            Field::DayOfMonth => "DayOfMonth",
            Field::Month => "Month",
            Field::Year => "Year",
            Field::DayOfWeek => "DayOfWeek",
        }
    }

    /// What a structured calendar may hold.
    pub(crate) fn bounds(self) -> (i32, i32) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::Year => (FIRST_YEAR.into(), LAST_YEAR.into()),
            Field::DayOfWeek => (0, 6),
        }
    }

    /// What a text may say: Sunday may be written 7.
    fn text_bounds(self) -> (i32, i32) {
        match self {
            Field::DayOfWeek => (0, 7),
            other => other.bounds(),
        }
    }

    fn default(self) -> &'static str {
        match self {
            Field::Second | Field::Minute | Field::Hour => "0",
            _ => "*",
        }
    }

    /// Names, of which the given number of letters is enough.
    fn names(self) -> (&'static [&'static str], usize, i32) {
        match self {
            Field::Month => (MONTHS, 3, 1),
            Field::DayOfWeek => (WEEKDAYS, 2, 0),
            _ => (&[], 0, 0),
        }
    }
}

const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: &[&str] = &[
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// Reads one field. No ranges mean "every year" for a year.
pub(crate) fn parse(field: Field, text: &str) -> Result<Vec<Range>, String> {
    let text = match text.trim() {
        "" => field.default(),
        given => given,
    };
    if text == "*" && field == Field::Year {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    for (count, part) in text.split(',').enumerate() {
        if count == MAX_PARTS {
            return Err(format!("{} has more than {MAX_PARTS} parts", field.name()));
        }
        parse_part(field, part, &mut ranges)?;
    }
    Ok(ranges)
}

fn parse_part(field: Field, part: &str, ranges: &mut Vec<Range>) -> Result<(), String> {
    let name = field.name();
    let (min, max) = field.text_bounds();
    let (part, step) = match part.split_once('/') {
        None => (part, None),
        Some((_, rest)) if rest.contains('/') => return Err(format!("{name} has too many slashes")),
        Some((_, "")) => return Err(format!("{name} missing step value")),
        Some((part, step)) => match step.parse::<i32>() {
            Ok(step) if step > 0 => (part, Some(step)),
            _ => return Err(format!("{name} has invalid Step")),
        },
    };
    let (start, mut end) = if part == "*" {
        (min, max)
    } else if let Some((start, end)) = part.split_once('-') {
        if end.contains('-') {
            return Err(format!("{name} has too many dashes"));
        }
        let start =
            value(field, start, min, max).ok_or_else(|| format!("{name} Start is not in range [{min}-{max}]"))?;
        let end = value(field, end, start, max)
            .ok_or_else(|| format!("{name} End is before Start or not in range [{min}-{max}]"))?;
        (start, end)
    } else {
        let start = value(field, part, min, max).ok_or_else(|| format!("{name} is not in range [{min}-{max}]"))?;
        // "5/15" means from 5 on.
        (start, if step.is_some() { max } else { start })
    };
    let step = step.unwrap_or(1);
    if field == Field::DayOfWeek && end == 7 {
        // Sunday is 0. If the range reaches it as 7 and does not begin at it, it needs a range of its own.
        let reaches = (7 - start) % step == 0;
        if reaches && (step > 1 || start > 1) {
            ranges.push(Range::default());
            if start == 7 {
                return Ok(());
            }
        }
        end = 6;
    }
    ranges.push(Range {
        start,
        // As the real server answers: what is the default is left out.
        end: if start == end { 0 } else { end },
        step: if step == 1 { 0 } else { step },
    });
    Ok(())
}

fn value(field: Field, text: &str, min: i32, max: i32) -> Option<i32> {
    let (names, enough, first) = field.names();
    let lower = text.to_ascii_lowercase();
    let by_name = (enough > 0 && lower.len() >= enough)
        .then(|| names.iter().position(|name| name.starts_with(&lower)))
        .flatten();
    let value = match by_name {
        Some(at) => i32::try_from(at).ok()? + first,
        None => text.parse().ok()?,
    };
    (min..=max).contains(&value).then_some(value)
}
