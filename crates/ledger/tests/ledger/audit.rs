//! The audit log.

use std::time::Duration;

use helve_ledger::{Actor, AuditEntry, AuditFilter, NewToken, Page, PageRequest, Principal, Role, Scope, Time};

use crate::support::{Desk, MINUTE, alice, at, root};

async fn token(desk: &Desk, actor: &Actor, name: &str) -> String {
    let new = NewToken {
        name: name.to_owned(),
        role: Role::Viewer,
        scope: Scope::all(),
        expires_at: None,
    };
    let maker = Principal {
        actor: actor.clone(),
        ..root()
    };
    desk.ledger.create_token(&maker, new).await.unwrap().token.id
}

async fn list(desk: &Desk, filter: AuditFilter) -> Vec<AuditEntry> {
    let mut entries = Vec::new();
    let mut cursor = None;
    loop {
        let limit = Some(2);
        let Page { items, next_cursor } = desk
            .ledger
            .list_audit(filter.clone(), PageRequest { cursor, limit })
            .await
            .unwrap();
        entries.extend(items);
        cursor = next_cursor;
        if cursor.is_none() {
            return entries;
        }
    }
}

fn numbers(entries: &[AuditEntry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.no).collect()
}

#[tokio::test]
async fn every_change_is_in_the_audit_log_newest_first_with_who_and_from_where() {
    let desk = Desk::open().await;
    let id = token(&desk, &alice(), "ci").await;
    desk.wait(MINUTE);
    desk.ledger.revoke_token(&Actor::system("bob"), &id).await.unwrap();
    let entries = list(&desk, AuditFilter::default()).await;
    let [revoked, created] = &entries[..] else {
        panic!("{entries:#?}")
    };
    assert_eq!(
        (revoked.action.as_str(), revoked.actor.name.as_str()),
        ("token.revoke", "bob")
    );
    assert_eq!(
        (created.action.as_str(), created.subject.as_str()),
        ("token.create", id.as_str())
    );
    assert_eq!(created.actor, alice());
    assert_eq!((created.at, revoked.at), (at(0), at(60_000)));
    assert_eq!(created.detail["name"], "ci");
}

#[tokio::test]
async fn a_change_that_was_refused_is_not_in_the_audit_log() {
    let desk = Desk::open().await;
    assert!(desk.ledger.revoke_token(&alice(), "none").await.is_err());
    assert!(list(&desk, AuditFilter::default()).await.is_empty());
}

#[tokio::test]
async fn each_filter_finds_what_it_says_and_pages_neither_repeat_nor_miss() {
    let desk = Desk::open().await;
    let mut ids = Vec::new();
    for n in 0..6 {
        let actor = Actor::system(if n % 2 == 0 { "even" } else { "odd" });
        ids.push(token(&desk, &actor, &format!("t{n}")).await);
        desk.wait(Duration::from_millis(if n < 3 { 0 } else { 10 }));
    }
    desk.ledger.revoke_token(&alice(), &ids[4]).await.unwrap();
    let all = list(&desk, AuditFilter::default()).await;
    assert_eq!(numbers(&all), [7, 6, 5, 4, 3, 2, 1]);
    let text = |text: &str| Some(text.to_owned());
    let cases: Vec<(AuditFilter, Vec<i64>)> = vec![
        (
            AuditFilter {
                actor: text("odd"),
                ..AuditFilter::default()
            },
            vec![6, 4, 2],
        ),
        (
            AuditFilter {
                action: text("token.revoke"),
                ..AuditFilter::default()
            },
            vec![7],
        ),
        (
            AuditFilter {
                action: text("token."),
                actor: text("even"),
                ..AuditFilter::default()
            },
            vec![5, 3, 1],
        ),
        (
            AuditFilter {
                action: text("token"),
                ..AuditFilter::default()
            },
            vec![],
        ),
        (
            AuditFilter {
                subject: Some(ids[4].clone()),
                ..AuditFilter::default()
            },
            vec![7, 5],
        ),
        (
            AuditFilter {
                namespace: text("a"),
                ..AuditFilter::default()
            },
            vec![],
        ),
        (
            AuditFilter {
                since: Some(at(10)),
                ..AuditFilter::default()
            },
            vec![7, 6, 5],
        ),
        (
            AuditFilter {
                until: Some(at(10)),
                ..AuditFilter::default()
            },
            vec![4, 3, 2, 1],
        ),
        (
            AuditFilter {
                since: Some(at(1)),
                until: Some(at(20)),
                ..AuditFilter::default()
            },
            vec![5],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(numbers(&list(&desk, filter.clone()).await), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_list_or_of_nobody_is_refused() {
    let desk = Desk::open().await;
    for n in 0..2 {
        token(&desk, &alice(), &format!("t{n}")).await;
    }
    let limit = Some(1);
    let page = desk
        .ledger
        .list_tokens(PageRequest { cursor: None, limit })
        .await
        .unwrap();
    for cursor in [page.next_cursor.unwrap(), helve_ledger::Cursor::new("x'y")] {
        let request = PageRequest {
            cursor: Some(cursor),
            limit,
        };
        let refused = desk.ledger.list_audit(AuditFilter::default(), request).await;
        assert!(matches!(refused, Err(helve_ledger::Error::Invalid(_))));
    }
}

#[test]
fn times_are_written_as_rfc_3339() {
    let time: Time = "2026-11-22T12:00:00.25Z".parse().unwrap();
    assert_eq!(time, at(250));
    assert_eq!(time.to_string(), "2026-11-22T12:00:00.25Z");
    assert!("yesterday".parse::<Time>().is_err());
}

#[tokio::test]
async fn a_row_of_a_change_that_names_something_endless_keeps_its_beginning() {
    let desk = Desk::open().await;
    let endless = "x".repeat(1 << 20);
    desk.ledger
        .record(&alice(), "grpc.Any", Some(&endless), &endless, serde_json::Value::Null)
        .await
        .unwrap();
    let entry = &list(&desk, AuditFilter::default()).await[0];
    assert!(entry.subject.starts_with("xxx") && entry.subject.len() < 2000);
    assert!(entry.namespace.as_ref().is_some_and(|name| name.len() < 2000));
}
