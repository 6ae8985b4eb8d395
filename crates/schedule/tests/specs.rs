//! Specs with known answers, against a slow reference, and against nonsense.

mod reference;

use helve_schedule::{CompiledSpec, Steps, Timestamp, canonical_spec, cron, explicit_spec};
use proptest::prelude::*;
use temporalio_protos::temporal::api::schedule::v1::{
    CalendarSpec, IntervalSpec, Range, ScheduleSpec, StructuredCalendarSpec,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn proto(text: &str) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at(text).as_second(),
        nanos: 0,
    }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn cron_spec(strings: &[&str]) -> ScheduleSpec {
    ScheduleSpec {
        cron_string: strings.iter().map(|s| (*s).to_owned()).collect(),
        ..ScheduleSpec::default()
    }
}

fn times(spec: ScheduleSpec, after: &str, count: usize) -> Vec<String> {
    let spec = CompiledSpec::new(spec).unwrap();
    let mut after = at(after);
    let mut found = Vec::new();
    while found.len() < count
        && let Some(next) = spec.next("seed", after, &mut Steps::default()).unwrap()
    {
        after = next.actual;
        found.push(next.actual.to_string());
    }
    found
}

fn range(start: i32, end: i32, step: i32) -> Range {
    Range { start, end, step }
}

#[test]
fn the_clock_decides_when_it_is_put_forward_and_back() {
    // In New York 2:00-3:00 does not exist on 10 March 2024, and 1:00-2:00 is there twice on 3 November 2024.
    for (cron, after, expected) in [
        (
            "CRON_TZ=America/New_York 30 2 * * *",
            "2024-03-09T00:00:00Z",
            // 9 March, then 11 March: the 10th has no half past two.
            ["2024-03-09T07:30:00Z", "2024-03-11T06:30:00Z"],
        ),
        (
            "CRON_TZ=America/New_York 30 1 * * *",
            "2024-11-03T00:00:00Z",
            ["2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z"],
        ),
        (
            "CRON_TZ=Europe/Berlin 0 9 * * *",
            "2024-03-30T00:00:00Z",
            ["2024-03-30T08:00:00Z", "2024-03-31T07:00:00Z"],
        ),
        // In Lord Howe the clock moves by half an hour.
        (
            "CRON_TZ=Australia/Lord_Howe 45 1 * * *",
            "2024-04-06T12:00:00Z",
            ["2024-04-06T14:45:00Z", "2024-04-06T15:15:00Z"],
        ),
        // Samoa had no 30 December 2011.
        (
            "CRON_TZ=Pacific/Apia 0 12 * 12 *",
            "2011-12-29T00:00:00Z",
            ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"],
        ),
    ] {
        assert_eq!(times(cron_spec(&[cron]), after, 2), expected, "{cron}");
    }
}

#[test]
fn every_field_of_a_calendar_counts() {
    for (cron, expected) in [
        ("* * * * *", "2024-02-28T12:01:00Z"),
        ("@hourly", "2024-02-28T13:00:00Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ("0 0 29 2 * 2025-2099", "2028-02-29T00:00:00Z"),
        // Day and weekday must both match: the next 13th that is a Friday.
        ("0 0 13 * fri", "2024-09-13T00:00:00Z"),
        ("15 30 12 * * sun *", "2024-03-03T12:30:15Z"),
        ("0 0 * * 7", "2024-03-03T00:00:00Z"),
        ("0 0 1 jan-mar/2 *", "2024-03-01T00:00:00Z"),
        ("5/20 12 * * *  # with a comment", "2024-02-28T12:05:00Z"),
        ("@every 1h/10m", "2024-02-28T12:10:00Z"),
        ("@every 7d", "2024-02-29T00:00:00Z"),
        ("@yearly", "2025-01-01T00:00:00Z"),
    ] {
        assert_eq!(
            times(cron_spec(&[cron]), "2024-02-28T12:00:00Z", 1),
            [expected],
            "{cron}"
        );
    }
}

#[test]
fn parts_of_a_spec_are_united_and_exclusions_taken_out() {
    let spec = ScheduleSpec {
        interval: vec![IntervalSpec {
            interval: seconds(3600),
            phase: seconds(60),
        }],
        structured_calendar: vec![StructuredCalendarSpec {
            second: vec![range(0, 0, 0)],
            minute: vec![range(30, 0, 0)],
            hour: vec![range(0, 23, 6)],
            day_of_month: vec![range(1, 31, 0)],
            month: vec![range(1, 12, 0)],
            day_of_week: vec![range(0, 6, 0)],
            ..StructuredCalendarSpec::default()
        }],
        exclude_structured_calendar: vec![StructuredCalendarSpec {
            second: vec![range(0, 59, 0)],
            minute: vec![range(0, 59, 0)],
            hour: vec![range(2, 5, 0)],
            day_of_month: vec![range(1, 31, 0)],
            month: vec![range(1, 12, 0)],
            day_of_week: vec![range(0, 6, 0)],
            ..StructuredCalendarSpec::default()
        }],
        start_time: Some(proto("2024-01-01T00:01:00Z")),
        end_time: Some(proto("2024-01-01T07:01:00Z")),
        ..ScheduleSpec::default()
    };
    assert_eq!(
        times(spec, "2000-01-01T00:00:00Z", 100),
        [
            "2024-01-01T00:01:00Z",
            "2024-01-01T00:30:00Z",
            "2024-01-01T01:01:00Z",
            "2024-01-01T06:01:00Z",
            "2024-01-01T06:30:00Z",
            "2024-01-01T07:01:00Z",
        ]
    );
}

#[test]
fn nothing_comes_after_the_year_2100() {
    assert_eq!(
        times(cron_spec(&["0 0 31 12 *"]), "2099-12-31T00:00:00Z", 9),
        ["2100-12-31T00:00:00Z"]
    );
    assert_eq!(
        times(cron_spec(&["@every 1d"]), "2100-12-31T00:00:00Z", 9),
        [] as [&str; 0]
    );
}

#[test]
fn jitter_is_steady_and_never_reaches_the_next_time() {
    let spec = ScheduleSpec {
        jitter: seconds(24 * 3600),
        ..cron_spec(&["@every 1m"])
    };
    let spec = CompiledSpec::new(spec).unwrap();
    let mut after = at("2024-01-01T00:00:00Z");
    let mut delays = Vec::new();
    for minute in 1..=200 {
        let next = spec.next("a", after, &mut Steps::default()).unwrap().unwrap();
        let again = spec.next(
            "a",
            next.nominal - jiff::SignedDuration::from_secs(1),
            &mut Steps::default(),
        );
        assert_eq!(again, Ok(Some(next)));
        let due = at("2024-01-01T00:00:00Z") + jiff::SignedDuration::from_mins(minute);
        assert_eq!(next.nominal, due);
        let delay = next.actual.duration_since(next.nominal);
        assert!(
            !delay.is_negative() && delay < jiff::SignedDuration::from_mins(1),
            "{delay}"
        );
        delays.push(delay.as_secs());
        after = next.actual;
    }
    assert!(
        delays.iter().any(|d| *d < 15) && delays.iter().any(|d| *d > 45),
        "{delays:?}"
    );
    let other = spec
        .next("b", at("2024-01-01T00:00:00Z"), &mut Steps::default())
        .unwrap();
    assert_ne!(
        other,
        spec.next("a", at("2024-01-01T00:00:00Z"), &mut Steps::default())
            .unwrap()
    );
}

#[test]
fn text_becomes_structure() {
    let full = |start, end| vec![range(start, end, 0)];
    let canonical = canonical_spec(ScheduleSpec {
        calendar: vec![CalendarSpec {
            hour: "5,7-9/2".to_owned(),
            day_of_week: "mon-sun".to_owned(),
            comment: "hello".to_owned(),
            ..CalendarSpec::default()
        }],
        ..cron_spec(&[
            "CRON_TZ=Europe/Berlin 0 12 * * 3-7 # noon",
            "TZ=Europe/Berlin */15 * * feb * 2030",
        ])
    });
    // A range that runs backwards is no range, as on the real server: Sunday is 0.
    assert_eq!(
        canonical.unwrap_err().to_string(),
        "Invalid schedule spec: DayOfWeek End is before Start or not in range [0-7]"
    );
    let canonical = canonical_spec(ScheduleSpec {
        calendar: vec![CalendarSpec {
            hour: "5,7-9/2".to_owned(),
            day_of_week: "mon-7".to_owned(),
            comment: "hello".to_owned(),
            ..CalendarSpec::default()
        }],
        ..cron_spec(&[
            "CRON_TZ=Europe/Berlin 0 12 * * 3-7 # noon",
            "TZ=Europe/Berlin */15 * * feb * 2030",
        ])
    })
    .unwrap();
    let day = StructuredCalendarSpec {
        second: vec![Range::default()],
        minute: vec![Range::default()],
        day_of_month: full(1, 31),
        month: full(1, 12),
        day_of_week: full(0, 6),
        ..StructuredCalendarSpec::default()
    };
    assert_eq!(
        canonical.structured_calendar,
        [
            StructuredCalendarSpec {
                hour: vec![range(5, 0, 0), range(7, 9, 2)],
                day_of_week: full(1, 6),
                comment: "hello".to_owned(),
                ..day.clone()
            },
            StructuredCalendarSpec {
                hour: vec![range(12, 0, 0)],
                day_of_week: vec![Range::default(), range(3, 6, 0)],
                comment: "noon".to_owned(),
                ..day.clone()
            },
            StructuredCalendarSpec {
                minute: vec![range(0, 59, 15)],
                hour: full(0, 23),
                month: vec![range(2, 0, 0)],
                year: vec![range(2030, 0, 0)],
                ..day
            },
        ]
    );
    assert_eq!(canonical.timezone_name, "Europe/Berlin");
    assert_eq!(canonical_spec(canonical.clone()), Ok(canonical.clone()));
    let shown = explicit_spec(canonical);
    assert_eq!(shown.structured_calendar[0].hour, [range(5, 5, 1), range(7, 9, 2)]);
}

#[test]
fn nonsense_is_refused_with_its_reason() {
    for (cron, reason) in [
        ("* * * *", "CronString does not have 5-7 fields"),
        ("* * * * * * * *", "CronString does not have 5-7 fields"),
        ("60 * * * *", "Minute is not in range [0-59]"),
        ("5-1 * * * *", "Minute End is before Start or not in range [0-59]"),
        ("1-2-3 * * * *", "Minute has too many dashes"),
        ("1/2/3 * * * *", "Minute has too many slashes"),
        ("1/ * * * *", "Minute missing step value"),
        ("*/0 * * * *", "Minute has invalid Step"),
        ("@every", "CronString does not have interval after @every"),
        ("@every x", "invalid duration"),
        ("@every 10ms", "interval is too small"),
        ("@every 1h/2h", "phase cannot be greater than Interval"),
        ("TZ=UTC", "CronString has time zone but missing fields"),
        ("CRON_TZ=Mars/Olympus 0 0 * * *", "unknown time zone Mars/Olympus"),
        ("TZ=Local 0 0 * * *", "unknown time zone Local"),
    ] {
        let error = CompiledSpec::new(cron_spec(&[cron])).unwrap_err().to_string();
        assert!(
            error.starts_with("Invalid schedule spec: ") && error.contains(reason),
            "{cron}: {error}"
        );
    }
    let zones = cron_spec(&["TZ=UTC 0 0 * * *", "TZ=Europe/Rome 0 0 * * *"]);
    assert!(
        CompiledSpec::new(zones)
            .unwrap_err()
            .to_string()
            .contains("conflicting timezone names")
    );
}

#[test]
fn hostile_specs_end_quickly() {
    let all = StructuredCalendarSpec {
        second: vec![range(0, 59, 0)],
        minute: vec![range(0, 59, 0)],
        hour: vec![range(0, 23, 0)],
        day_of_month: vec![range(1, 31, 0)],
        month: vec![range(1, 12, 0)],
        day_of_week: vec![range(0, 6, 0)],
        ..StructuredCalendarSpec::default()
    };
    // Never matches: 30 February, in a thousand zones' worth of calendars.
    let never = StructuredCalendarSpec {
        day_of_month: vec![range(30, 0, 0)],
        month: vec![range(2, 0, 0)],
        ..all.clone()
    };
    let spec = ScheduleSpec {
        structured_calendar: vec![never; 1000],
        timezone_name: "America/New_York".to_owned(),
        ..ScheduleSpec::default()
    };
    let spec = CompiledSpec::new(spec).unwrap();
    assert_eq!(
        spec.next("", at("2024-01-01T00:00:00Z"), &mut Steps::default()),
        Ok(None)
    );

    // Everything is excluded: by whole days that is seen soon,
    let spec = ScheduleSpec {
        structured_calendar: vec![all.clone()],
        exclude_structured_calendar: vec![all.clone()],
        ..ScheduleSpec::default()
    };
    let spec = CompiledSpec::new(spec).unwrap();
    assert_eq!(
        spec.next("", at("2024-01-01T00:00:00Z"), &mut Steps::default()),
        Ok(None)
    );
    // second by second it is given up.
    let halves = [0, 1].map(|start| StructuredCalendarSpec {
        second: vec![range(start, 59, 2)],
        ..all.clone()
    });
    let spec = ScheduleSpec {
        structured_calendar: vec![all],
        exclude_structured_calendar: halves.into(),
        ..ScheduleSpec::default()
    };
    let spec = CompiledSpec::new(spec).unwrap();
    let error = spec
        .next("", at("2024-01-01T00:00:00Z"), &mut Steps::default())
        .unwrap_err();
    assert!(error.to_string().contains("too many exclusions"));

    let many = cron_spec(&["* * * * *"; 3000]);
    assert!(
        CompiledSpec::new(many)
            .unwrap_err()
            .to_string()
            .contains("2000 are allowed")
    );
}

#[test]
fn a_zone_may_come_as_data() {
    // A zone that is always one hour ahead, as RFC 8536 writes it.
    let header = |version: u8| {
        let mut bytes = b"TZif".to_vec();
        bytes.push(version);
        bytes.extend([0; 15]);
        for count in [0_u32, 0, 0, 0, 1, 4] {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend(3600_i32.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(b"ABC\0");
        bytes
    };
    let mut data = header(b'2');
    data.extend(header(b'2'));
    data.extend(b"\nABC-1\n");
    let spec = ScheduleSpec {
        timezone_data: data,
        timezone_name: "My/Zone".to_owned(),
        ..cron_spec(&["0 12 * * *"])
    };
    assert_eq!(times(spec, "2024-01-01T00:00:00Z", 1), ["2024-01-01T11:00:00Z"]);
    let spec = ScheduleSpec {
        timezone_data: b"nonsense".to_vec(),
        ..cron_spec(&["0 12 * * *"])
    };
    assert!(
        CompiledSpec::new(spec)
            .unwrap_err()
            .to_string()
            .contains("timezone_data")
    );
}

fn ranges(min: i32, max: i32) -> impl Strategy<Value = Vec<Range>> {
    prop_oneof![
        Just(vec![range(min, max, 1)]),
        prop::collection::vec(
            (min..=max, min..=max, 1..8).prop_map(|(a, b, step)| range(a.min(b), a.max(b), step)),
            1..3
        ),
    ]
}

fn calendars() -> impl Strategy<Value = StructuredCalendarSpec> {
    let second = Just(vec![Range::default()]);
    (
        second,
        ranges(0, 59),
        ranges(0, 23),
        ranges(1, 31),
        ranges(1, 12),
        ranges(0, 6),
    )
        .prop_map(
            |(second, minute, hour, day_of_month, month, day_of_week)| StructuredCalendarSpec {
                second,
                minute,
                hour,
                day_of_month,
                month,
                day_of_week,
                ..StructuredCalendarSpec::default()
            },
        )
}

const ZONES: &[&str] = &[
    "UTC",
    "America/New_York",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/Santiago",
];

/// Around changes of the clock, and anywhere.
fn moments() -> impl Strategy<Value = i64> {
    prop_oneof![
        1_710_000_000_i64..1_712_600_000,
        1_729_900_000_i64..1_730_900_000,
        1_325_000_000_i64..1_325_400_000,
        946_684_800_i64..4_000_000_000,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_next_time_is_the_first_that_a_minute_by_minute_search_finds(
        calendar in calendars(), exclude in prop::option::of(calendars()), zone in 0..ZONES.len(), after in moments(),
    ) {
        let spec = ScheduleSpec {
            structured_calendar: vec![calendar.clone()],
            exclude_structured_calendar: exclude.clone().into_iter().collect(),
            timezone_name: ZONES[zone].to_owned(),
            ..ScheduleSpec::default()
        };
        let compiled = CompiledSpec::new(spec).unwrap();
        let after = Timestamp::from_second(after).unwrap();
        let next = compiled.next("", after, &mut Steps::new(200_000)).map(|next| next.map(|next| next.nominal));
        // The reference walks through ten days; what comes later it only must not contradict.
        let horizon = 10 * 24 * 60;
        let slow = reference::next(&calendar, exclude.as_ref(), ZONES[zone], after, horizon);
        match (slow, next) {
            (Some(slow), next) => prop_assert_eq!(next, Ok(Some(slow))),
            (None, Ok(Some(next))) => prop_assert!(next.duration_since(after).as_mins() >= i64::from(horizon) - 1),
            (None, Ok(None) | Err(_)) => {}
        }
    }

    #[test]
    fn classic_cron_fires_when_a_minute_by_minute_search_does(
        minute in 0..60_i8, hour in 0..24_i8, day in 1..32_i8, weekday in 0..7_i8, either in any::<bool>(), zone in 0..ZONES.len(),
        after in moments(),
    ) {
        let day = if either { day.to_string() } else { "*".to_owned() };
        let text = format!("CRON_TZ={} {minute} {hour} {day} * {weekday}", ZONES[zone]);
        let after = Timestamp::from_second(after).unwrap();
        let fast = cron::backoff(&text, after, after).unwrap();
        let slow = reference::cron(minute, hour, day.parse().ok(), weekday, ZONES[zone], after, 10 * 24 * 60);
        match slow {
            Some(slow) => prop_assert_eq!(slow.duration_since(after).as_secs(), fast.as_secs() as i64),
            None => prop_assert!(fast.as_secs() >= (10 * 24 * 60 - 1) * 60),
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "[ -~µ\\PC]{0,40}", like in "(CRON_TZ=|TZ=)?[A-Za-z/]{0,8} ?[0-9*/,a-z#@ .-]{0,40}") {
        for text in [text, like] {
            let _ = cron::validate(&text);
            let _ = CompiledSpec::new(cron_spec(&[&text]));
            let _ = CompiledSpec::new(ScheduleSpec {
                calendar: vec![CalendarSpec { hour: text.clone(), day_of_week: text.clone(), ..CalendarSpec::default() }],
                timezone_name: text.clone(),
                timezone_data: text.into_bytes(),
                ..ScheduleSpec::default()
            });
        }
    }

    #[test]
    fn no_message_makes_a_search_panic(
        starts in prop::collection::vec(any::<i32>(), 7), ends in prop::collection::vec(any::<i32>(), 7),
        step in any::<i32>(), seconds in any::<i64>(), nanos in any::<i32>(), after in any::<i64>(),
    ) {
        let wild = |at: usize| vec![range(starts[at], ends[at], step)];
        let spec = ScheduleSpec {
            structured_calendar: vec![StructuredCalendarSpec {
                second: wild(0), minute: wild(1), hour: wild(2), day_of_month: wild(3), month: wild(4), year: wild(5),
                day_of_week: wild(6), comment: String::new(),
            }],
            interval: vec![IntervalSpec {
                interval: Some(prost_types::Duration { seconds, nanos }),
                phase: Some(prost_types::Duration { seconds: nanos.into(), nanos }),
            }],
            ..ScheduleSpec::default()
        };
        let _ = CompiledSpec::new(spec.clone());
        let spec = ScheduleSpec {
            structured_calendar: Vec::new(),
            interval: vec![IntervalSpec { interval: Some(prost_types::Duration { seconds: seconds.abs() % 400_000_000_000, nanos: 0 }), phase: None }],
            start_time: Some(prost_types::Timestamp { seconds: after, nanos }),
            end_time: Some(prost_types::Timestamp { seconds, nanos }),
            jitter: Some(prost_types::Duration { seconds, nanos }),
            ..spec
        };
        if let Ok(spec) = CompiledSpec::new(spec) {
            let after = Timestamp::from_second(after % 300_000_000_000).unwrap_or_default();
            let _ = spec.next("", after, &mut Steps::default());
        }
    }
}
