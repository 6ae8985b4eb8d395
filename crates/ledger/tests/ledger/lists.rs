//! Lists, searches, charts.

use helve_findings::Severity;
use helve_ledger::{
    Cursor, Error, FacetKind, FindingFilter, FindingOrder, FindingSummary, PageRequest, Status, SuppressedBy,
    Suppression, TimeRange, Triage, TriageChange,
};

use crate::{
    reports::{SPACE, finding, list, numbers, run},
    support::{DAY, Desk, alice, at},
};

const ORDERS: [FindingOrder; 4] = [
    FindingOrder::Severity,
    FindingOrder::Newest,
    FindingOrder::LastSeen,
    FindingOrder::Path,
];

/// 60 findings of all kinds: five severities, two targets, two workflows, owners, suppressions, every status and triage.
async fn filled() -> Desk {
    let desk = Desk::open().await;
    let report = |id: &str, millis: i64, target: &str, findings: &[u32]| {
        let mut report = run(id, millis, findings);
        target.clone_into(&mut report.target);
        for reported in &mut report.findings {
            let n = u32::from_str_radix(&reported.finding.fingerprint, 16).unwrap();
            reported.finding.severity = Severity::ALL[n as usize % 5];
            reported.owner = (n % 7 < 3).then(|| format!("@team-{}", n % 7));
            reported.suppression = (n % 11 == 0).then_some(Suppression {
                by: SuppressedBy::File,
                reason: None,
            });
        }
        report
    };
    let all: Vec<u32> = (0..40).collect();
    let some: Vec<u32> = (0..40).filter(|n| n % 4 != 1).collect();
    let shop_2: Vec<u32> = (30..50).collect();
    let mut nightly = report("n", 40, "shop", &some[..10]);
    "nightly".clone_into(&mut nightly.workflow);
    for report in [
        report("a", 10, "shop", &all),
        report("b", 20, "shop", &some),
        report("c", 30, "shop", &all[..36]),
        nightly,
        report("d", 15, "shop-2", &shop_2),
    ] {
        desk.ledger.ingest(&alice(), report).await.unwrap();
    }
    let findings = list(&desk.ledger, FindingFilter::default(), FindingOrder::Path, 500).await;
    for (index, finding) in findings.iter().enumerate().filter(|(index, _)| index % 3 == 0) {
        let state = Triage::ALL[index / 3 % 5];
        let change = TriageChange {
            state: Some(state),
            until: None,
            comment: "seen".to_owned(),
        };
        desk.ledger
            .triage(&alice(), SPACE, &finding.id, None, change)
            .await
            .unwrap();
    }
    desk
}

fn fits(filter: &FindingFilter, finding: &FindingSummary) -> bool {
    fn one<T: PartialEq>(asked: &[T], value: &T) -> bool {
        asked.is_empty() || asked.contains(value)
    }
    let is = |asked: &Option<String>, text: &str| asked.as_deref().is_none_or(|asked| asked == text);
    let within = |range: &TimeRange, time| {
        range.since.is_none_or(|since| time >= since) && range.until.is_none_or(|until| time < until)
    };
    one(&filter.severities, &finding.severity)
        && one(&filter.statuses, &finding.status)
        && one(&filter.triages, &finding.triage)
        && filter
            .is_suppressed
            .is_none_or(|asked| asked == finding.suppressed.is_some())
        && is(&filter.rule, &finding.rule)
        && is(&filter.module, &finding.module)
        && is(&filter.target, &finding.target)
        && is(&filter.workflow, &finding.workflow)
        && filter
            .owner
            .as_ref()
            .is_none_or(|owner| finding.owner.as_ref() == Some(owner))
        && filter
            .path_prefix
            .as_ref()
            .is_none_or(|prefix| finding.path.starts_with(prefix))
        && within(&filter.first_seen, finding.first_seen.at)
        && within(&filter.last_seen, finding.last_seen.at)
}

fn filters() -> Vec<FindingFilter> {
    let text = |text: &str| Some(text.to_owned());
    let plain = FindingFilter::default;
    let since = |millis| TimeRange {
        since: Some(at(millis)),
        until: None,
    };
    vec![
        plain(),
        FindingFilter {
            severities: vec![Severity::High, Severity::Note],
            ..plain()
        },
        FindingFilter {
            statuses: vec![Status::Fixed, Status::Reopened],
            ..plain()
        },
        FindingFilter {
            triages: vec![Triage::Open],
            is_suppressed: Some(false),
            ..plain()
        },
        FindingFilter {
            is_suppressed: Some(true),
            ..plain()
        },
        FindingFilter {
            rule: text("m1/rule-2"),
            ..plain()
        },
        FindingFilter {
            rule: text("m1/rule-2"),
            target: text("shop-2"),
            severities: vec![Severity::Low],
            ..plain()
        },
        FindingFilter {
            module: text("m0"),
            statuses: vec![Status::New],
            ..plain()
        },
        FindingFilter {
            workflow: text("nightly"),
            ..plain()
        },
        FindingFilter {
            owner: text("@team-1"),
            ..plain()
        },
        FindingFilter {
            path_prefix: text("src/dir1/"),
            ..plain()
        },
        FindingFilter {
            path_prefix: text("src/dir1/f5"),
            severities: vec![Severity::Note],
            ..plain()
        },
        FindingFilter {
            first_seen: since(12),
            ..plain()
        },
        FindingFilter {
            last_seen: TimeRange {
                since: Some(at(15)),
                until: Some(at(40)),
            },
            ..plain()
        },
        FindingFilter {
            rule: text("none"),
            ..plain()
        },
        FindingFilter {
            path_prefix: text("src/'%_"),
            ..plain()
        },
    ]
}

/// What a list is sorted by; all but the newest come first by their numbers, which nobody sees.
fn is_sorted(order: FindingOrder, list: &[FindingSummary]) -> bool {
    list.windows(2).all(|pair| match order {
        FindingOrder::Severity => pair[0].severity >= pair[1].severity,
        FindingOrder::Newest => true,
        FindingOrder::LastSeen => pair[0].last_seen.at >= pair[1].last_seen.at,
        FindingOrder::Path => pair[0].path <= pair[1].path,
    })
}

#[tokio::test]
async fn every_filter_in_every_order_shows_what_fits_once_in_that_order() {
    let desk = filled().await;
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 500).await;
    assert_eq!(all.len(), 60);
    for status in Status::ALL {
        assert!(all.iter().any(|finding| finding.status == *status), "{status}");
    }
    for filter in filters() {
        let mut expected: Vec<&str> = all
            .iter()
            .filter(|finding| fits(&filter, finding))
            .map(|finding| finding.id.as_str())
            .collect();
        expected.sort_unstable();
        for order in ORDERS {
            let whole = list(&desk.ledger, filter.clone(), order, 500).await;
            let paged = list(&desk.ledger, filter.clone(), order, 7).await;
            assert_eq!(paged, whole, "{filter:?} {order:?}");
            assert!(is_sorted(order, &whole), "{filter:?} {order:?}");
            let mut ids: Vec<&str> = whole.iter().map(|finding| finding.id.as_str()).collect();
            ids.sort_unstable();
            assert_eq!(ids, expected, "{filter:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn the_newest_come_first() {
    let desk = Desk::open().await;
    for n in 0..5 {
        let report = run(&format!("r{n}"), i64::from(n), &[n]);
        desk.ledger.ingest(&alice(), report).await.unwrap();
    }
    for order in [FindingOrder::Newest, FindingOrder::Severity] {
        let found = list(&desk.ledger, FindingFilter::default(), order, 2).await;
        assert_eq!(numbers(&found), [4, 3, 2, 1, 0]);
    }
}

async fn search(desk: &Desk, text: &str, order: FindingOrder) -> Vec<u32> {
    let filter = FindingFilter {
        text: Some(text.to_owned()),
        ..FindingFilter::default()
    };
    let mut found = numbers(&list(&desk.ledger, filter, order, 3).await);
    found.sort_unstable();
    found.dedup();
    found
}

#[tokio::test]
async fn a_search_finds_words_of_message_rule_path_and_snippet() {
    let desk = filled().await;
    for order in ORDERS {
        assert_eq!(search(&desk, "number17", order).await, [17]);
        assert_eq!(search(&desk, "NUMBER17 weakness", order).await, [17]);
        assert_eq!(search(&desk, "f17.py", order).await, [17]);
        assert_eq!(search(&desk, "argument17", order).await, [17]);
        assert_eq!(search(&desk, "\"weakness number17\"", order).await, [17]);
        assert_eq!(search(&desk, "\"number17 weakness\"", order).await, [0; 0]);
        assert_eq!(search(&desk, "number17 OR number18", order).await, [0; 0]);
        assert_eq!(
            search(&desk, "number4*", order).await,
            [4, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49]
        );
        assert_eq!(search(&desk, "number17 m1/rule-2", order).await, [17]);
        assert_eq!(search(&desk, "nothing", order).await, [0; 0]);
        // What is there for the index itself is no word.
        assert_eq!(search(&desk, "n1", order).await, [0; 0]);
        assert_eq!(search(&desk, "  \" *", order).await.len(), 50);
    }
    let filter = FindingFilter {
        text: Some("weakness".to_owned()),
        target: Some("shop-2".to_owned()),
        severities: vec![Severity::Critical],
        ..FindingFilter::default()
    };
    let found = list(&desk.ledger, filter, FindingOrder::Severity, 2).await;
    assert_eq!(numbers(&found), [49, 44, 39, 34]);
}

#[tokio::test]
async fn a_search_finds_what_the_last_run_says_and_not_what_an_earlier_one_said() {
    let desk = Desk::open().await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let mut second = run("b", 2, &[1]);
    "Something else".clone_into(&mut second.findings[0].finding.message);
    desk.ledger.ingest(&alice(), second).await.unwrap();
    assert_eq!(search(&desk, "number1", FindingOrder::Newest).await, [0; 0]);
    assert_eq!(search(&desk, "else", FindingOrder::Newest).await, [1]);
}

#[tokio::test]
async fn another_namespace_shows_none_of_it() {
    let desk = filled().await;
    let mut other = run("x", 1, &[1]);
    "other".clone_into(&mut other.namespace);
    desk.ledger.ingest(&alice(), other).await.unwrap();
    for mut filter in filters() {
        for text in [None, Some("weakness".to_owned())] {
            filter.text = text;
            for order in ORDERS {
                let page = desk
                    .ledger
                    .list_findings("other", filter.clone(), order, PageRequest::default())
                    .await
                    .unwrap();
                assert!(page.items.len() <= 1);
                let none = desk
                    .ledger
                    .list_findings("none", filter.clone(), order, PageRequest::default())
                    .await
                    .unwrap();
                assert!(none.items.is_empty() && none.next_cursor.is_none());
            }
        }
    }
    assert_eq!(desk.ledger.overview("other", None).await.unwrap().total, 1);
    assert_eq!(desk.ledger.overview(SPACE, None).await.unwrap().total, 60);
}

#[tokio::test]
async fn a_cursor_of_another_order_or_of_nobody_is_refused() {
    let desk = filled().await;
    let request = PageRequest {
        cursor: None,
        limit: Some(1),
    };
    let page = desk
        .ledger
        .list_findings(SPACE, FindingFilter::default(), FindingOrder::Path, request)
        .await
        .unwrap();
    for cursor in [
        page.next_cursor.unwrap(),
        Cursor::new("WyJmaW5kaW5ncyJd"),
        Cursor::new(""),
    ] {
        let request = PageRequest {
            cursor: Some(cursor),
            limit: None,
        };
        let refused = desk
            .ledger
            .list_findings(SPACE, FindingFilter::default(), FindingOrder::Newest, request)
            .await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn charts_say_what_was_to_be_done_on_each_day() {
    let desk = Desk::open().await;
    let day = DAY.as_millis() as i64;
    for (id, days, findings) in [("a", 0, vec![1, 2, 3]), ("b", 1, vec![2, 3]), ("c", 3, vec![1, 2, 3])] {
        desk.ledger
            .ingest(&alice(), run(id, days * day, &findings))
            .await
            .unwrap();
    }
    desk.wait(DAY * 4);
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 9).await;
    let change = TriageChange {
        state: Some(Triage::FalsePositive),
        ..TriageChange::default()
    };
    desk.ledger
        .triage(&alice(), SPACE, &all[0].id, None, change)
        .await
        .unwrap();
    let high = |range: TimeRange| {
        let ledger = desk.ledger.clone();
        async move {
            let days = ledger.severity_over_time(SPACE, None, range).await.unwrap();
            let count = |counts: &helve_findings::Counts| counts[&Severity::High];
            let rows = days
                .iter()
                .map(|day| (count(&day.open), count(&day.opened), count(&day.closed)));
            (days[0].day, rows.collect::<Vec<_>>())
        }
    };
    let (first, whole) = high(TimeRange::default()).await;
    assert_eq!(whole, [(3, 3, 0), (2, 0, 1), (2, 0, 0), (3, 1, 0), (2, 0, 1)]);
    assert_eq!(first.to_string(), "2026-11-22T00:00:00Z");
    let range = TimeRange {
        since: Some(at(day)),
        until: Some("2026-11-25T00:00:00Z".parse().unwrap()),
    };
    assert_eq!(high(range).await.1, [(2, 0, 1), (2, 0, 0)]);
    assert!(
        desk.ledger
            .severity_over_time("none", None, range)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn runs_are_listed_newest_first_with_what_they_changed() {
    let desk = filled().await;
    let limit = Some(2);
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let page = desk
            .ledger
            .indexed_runs(SPACE, None, PageRequest { cursor, limit })
            .await
            .unwrap();
        seen.extend(
            page.items
                .into_iter()
                .map(|run| (run.run_id, run.changes.new, run.changes.fixed)),
        );
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let names: Vec<&str> = seen.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(names, ["n", "c", "b", "d", "a"]);
    assert_eq!(seen[4], ("a".to_owned(), 40, 0));
    let of_target = desk
        .ledger
        .indexed_runs(SPACE, Some("shop-2"), PageRequest::default())
        .await
        .unwrap();
    assert_eq!(of_target.items.len(), 1);
    assert_eq!(of_target.items[0].findings[&Severity::Critical], 4);
    let facets = desk.ledger.facets(SPACE, FacetKind::Target).await.unwrap();
    let facets: Vec<(&str, u64)> = facets
        .iter()
        .map(|facet| (facet.name.as_str(), facet.findings))
        .collect();
    assert_eq!(facets, [("shop", 40), ("shop-2", 20)]);
}

#[test]
fn the_findings_of_these_tests_are_what_they_say() {
    assert_eq!(finding(5).finding.location.path, "src/dir1/f5.py");
    assert_eq!(finding(5).finding.module, "m1");
}
