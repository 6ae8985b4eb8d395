//! Webhooks and their outbox.

use std::time::Duration;

use helve_ledger::{
    AuditFilter, Delivery, DeliveryState, Error, EventKind, FindingFilter, FindingOrder, MAX_ATTEMPTS, NewWebhook,
    PageRequest, Room, Triage, TriageChange, Webhook, WebhookChange,
};
use serde_json::{Value, json};

use crate::{
    reports::{SPACE, list, run},
    support::{DAY, Desk, MINUTE, alice, contains},
};

async fn webhook(desk: &Desk, events: &[EventKind]) -> Webhook {
    let new = NewWebhook {
        namespace: SPACE.to_owned(),
        url: "https://user:password@hooks.example/T0KEN?key=s3cret".to_owned(),
        events: events.to_vec(),
        secret: None,
    };
    desk.ledger.create_webhook(&alice(), new).await.unwrap().0
}

async fn claim(desk: &Desk) -> Vec<Delivery> {
    desk.ledger
        .claim_deliveries(10, MINUTE, &Room::unlimited())
        .await
        .unwrap()
}

fn body(delivery: &Delivery) -> Value {
    serde_json::from_str(&delivery.body).unwrap()
}

#[tokio::test]
async fn a_run_tells_of_itself_of_what_is_new_and_of_crashes_once_also_after_a_restart() {
    let mut desk = Desk::open().await;
    webhook(&desk, &EventKind::ALL).await;
    let mut report = run("a", 1, &[1, 2]);
    report.findings[0].is_crash = true;
    for _ in 0..2 {
        desk.ledger.ingest(&alice(), report.clone()).await.unwrap();
    }
    desk.reopen().await;
    let told = claim(&desk).await;
    let kinds: Vec<EventKind> = told.iter().map(|delivery| delivery.event).collect();
    assert_eq!(
        kinds,
        [EventKind::RunFinished, EventKind::NewFinding, EventKind::CrashFound]
    );
    let (finished, new, crash) = (body(&told[0]), body(&told[1]), body(&told[2]));
    assert_eq!(
        (&finished["run_id"], &finished["counts"]["new"]),
        (&json!("a"), &json!(2))
    );
    assert_eq!(
        (&new["count"], &new["event"], &new["id"]),
        (&json!(2), &json!("finding.new"), &json!(told[1].id))
    );
    assert_eq!(crash["findings"][0]["message"], "Weakness number1");
    assert!(claim(&desk).await.is_empty());
}

#[tokio::test]
async fn nothing_is_new_to_tell_of_findings_that_are_triaged_away() {
    let desk = Desk::open().await;
    webhook(&desk, &[EventKind::NewFinding]).await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    assert_eq!(claim(&desk).await.len(), 1);
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 10).await;
    let change = TriageChange {
        state: Some(Triage::FalsePositive),
        ..TriageChange::default()
    };
    desk.ledger
        .triage(&alice(), SPACE, &all[0].id, None, change)
        .await
        .unwrap();
    for report in [run("b", 2, &[1]), run("c", 3, &[]), run("d", 4, &[1])] {
        desk.ledger.ingest(&alice(), report).await.unwrap();
    }
    assert!(claim(&desk).await.is_empty());
}

#[tokio::test]
async fn only_those_hear_it_who_listen_in_that_namespace() {
    let desk = Desk::open().await;
    let other = NewWebhook {
        namespace: "other".to_owned(),
        url: "http://other.example".to_owned(),
        events: EventKind::ALL.to_vec(),
        secret: None,
    };
    desk.ledger.create_webhook(&alice(), other).await.unwrap();
    let listening = webhook(&desk, &[EventKind::RunFinished]).await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let told = claim(&desk).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].webhook, listening.id);
    desk.ledger
        .announce(SPACE, EventKind::RunFinished, json!({"run_id": "failed"}))
        .await
        .unwrap();
    assert_eq!(body(&claim(&desk).await[0])["run_id"], "failed");
}

#[tokio::test]
async fn a_claim_that_says_nothing_is_given_to_the_next_and_its_late_answer_changes_nothing() {
    let mut desk = Desk::open().await;
    let hook = webhook(&desk, &[EventKind::RunFinished]).await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let first = claim(&desk).await.pop().unwrap();
    desk.reopen().await;
    assert!(claim(&desk).await.is_empty());
    desk.wait(MINUTE);
    let second = claim(&desk).await.pop().unwrap();
    assert_eq!((second.id.as_str(), second.attempt), (first.id.as_str(), 2));
    desk.ledger.delivery_failed(&first, "too late", None).await.unwrap();
    assert!(claim(&desk).await.is_empty());
    desk.ledger.delivered(&second, "200").await.unwrap();
    let list = desk
        .ledger
        .list_deliveries(SPACE, &hook.id, PageRequest::default())
        .await
        .unwrap();
    let told = &list.items[0];
    assert_eq!(
        (told.state, told.answer.as_deref(), told.attempts),
        (DeliveryState::Delivered, Some("200"), 2)
    );
    assert_eq!(desk.ledger.next_delivery().await.unwrap(), None);
    desk.wait(DAY * 8);
    desk.ledger.sweep().await.unwrap();
    let list = desk
        .ledger
        .list_deliveries(SPACE, &hook.id, PageRequest::default())
        .await
        .unwrap();
    assert!(list.items.is_empty());
}

#[tokio::test]
async fn of_many_who_claim_at_once_each_delivery_goes_to_one() {
    let desk = Desk::open().await;
    webhook(&desk, &[EventKind::RunFinished]).await;
    for n in 0..20 {
        desk.ledger
            .ingest(&alice(), run(&format!("r{n}"), n, &[]))
            .await
            .unwrap();
    }
    let mut claims = Vec::new();
    for _ in 0..4 {
        let ledger = desk.ledger.clone();
        claims.push(tokio::spawn(async move {
            let mut claimed = Vec::new();
            while ledger.next_delivery().await.unwrap() == Some(ledger.now()) {
                claimed.extend(ledger.claim_deliveries(3, MINUTE, &Room::unlimited()).await.unwrap());
            }
            claimed
        }));
    }
    let mut ids = Vec::new();
    for claimed in claims {
        ids.extend(claimed.await.unwrap().into_iter().map(|delivery| delivery.id));
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (20, 20));
}

#[tokio::test]
async fn a_failure_is_tried_again_later_and_later_until_it_is_dead_and_can_be_told_again() {
    let desk = Desk::open().await;
    let hook = webhook(&desk, &[EventKind::RunFinished]).await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let mut waits: Vec<Duration> = Vec::new();
    let mut attempts = 0;
    while let Some(due) = desk.ledger.next_delivery().await.unwrap() {
        let wait = Duration::from_millis((due.millis() - desk.ledger.now().millis()).unsigned_abs());
        waits.push(wait);
        desk.wait(wait);
        let delivery = claim(&desk).await.pop().unwrap();
        attempts += 1;
        assert_eq!(delivery.attempt, attempts);
        desk.ledger.delivery_failed(&delivery, "503", None).await.unwrap();
    }
    assert_eq!(attempts, MAX_ATTEMPTS);
    assert!(
        waits[1] >= Duration::from_secs(3) && waits[1] <= Duration::from_secs(7),
        "{waits:?}"
    );
    assert!(
        waits[1..]
            .windows(3)
            .all(|waits| waits[2] > waits[0] || waits[0] > DAY / 6),
        "{waits:?}"
    );
    let list = desk
        .ledger
        .list_deliveries(SPACE, &hook.id, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(list.items[0].state, DeliveryState::Dead);
    desk.ledger
        .redeliver(&alice(), SPACE, &hook.id, &list.items[0].id)
        .await
        .unwrap();
    let again = claim(&desk).await.pop().unwrap();
    assert_eq!(again.attempt, 1);
    // The receiver asks for more time than the next attempt would wait.
    desk.ledger.delivery_failed(&again, "429", Some(MINUTE)).await.unwrap();
    let due = desk.ledger.next_delivery().await.unwrap().unwrap();
    assert_eq!(due, desk.ledger.now().after(MINUTE));
}

#[tokio::test]
async fn a_disabled_webhook_hears_nothing_and_a_changed_one_hears_it_where_it_is_now() {
    let desk = Desk::open().await;
    let hook = webhook(&desk, &[EventKind::RunFinished]).await;
    let change = |is_enabled, url: &str| WebhookChange {
        url: Some(url.to_owned()),
        events: None,
        is_enabled: Some(is_enabled),
    };
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let off = change(false, "https://old.example");
    let off = desk
        .ledger
        .update_webhook(&alice(), SPACE, &hook.id, Some(1), off)
        .await
        .unwrap();
    assert!(claim(&desk).await.is_empty());
    let stale = desk
        .ledger
        .update_webhook(&alice(), SPACE, &hook.id, Some(1), change(true, "https://x.example"))
        .await;
    assert!(matches!(stale, Err(Error::Changed { .. })));
    let on = change(true, "https://new.example");
    desk.ledger
        .update_webhook(&alice(), SPACE, &hook.id, Some(off.version), on)
        .await
        .unwrap();
    let told = claim(&desk).await;
    assert_eq!((told.len(), told[0].url.as_str()), (1, "https://new.example"));
    let foreign = desk.ledger.delete_webhook(&alice(), "other", &hook.id).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })));
    desk.ledger.delete_webhook(&alice(), SPACE, &hook.id).await.unwrap();
    assert_eq!(desk.ledger.next_delivery().await.unwrap(), None);
}

#[tokio::test]
async fn what_signs_bodies_is_the_same_after_a_restart_and_in_no_audit_entry() {
    let mut desk = Desk::open().await;
    let new = NewWebhook {
        namespace: SPACE.to_owned(),
        url: "https://user:password@hooks.example/T0KEN?key=s3cret".to_owned(),
        events: vec![EventKind::RunFinished],
        secret: None,
    };
    let (hook, secret) = desk.ledger.create_webhook(&alice(), new.clone()).await.unwrap();
    desk.reopen().await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    assert_eq!(claim(&desk).await[0].secret, secret);
    desk.ledger.delete_webhook(&alice(), SPACE, &hook.id).await.unwrap();
    let entries = desk
        .ledger
        .list_audit(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    let entries = serde_json::to_vec(&entries.items).unwrap();
    assert!(contains(&entries, "https://hooks.example"));
    for secret in [secret.reveal(), "password", "T0KEN", "s3cret"] {
        assert!(!contains(&entries, secret), "{secret}");
    }
    for (url, secret) in [
        ("ftp://x", None),
        ("https://", None),
        ("https://x y", None),
        ("https://x", Some("short")),
    ] {
        let bad = NewWebhook {
            url: url.to_owned(),
            secret: secret.map(str::to_owned),
            ..new.clone()
        };
        assert!(
            matches!(desk.ledger.create_webhook(&alice(), bad).await, Err(Error::Invalid(_))),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_webhook_that_has_enough_to_do_does_not_take_the_place_of_others() {
    let desk = Desk::open().await;
    let slow = webhook(&desk, &[EventKind::RunFinished]).await;
    for n in 0..20 {
        desk.ledger
            .ingest(&alice(), run(&format!("r{n}"), n, &[]))
            .await
            .unwrap();
    }
    let late = webhook(&desk, &[EventKind::RunFinished]).await;
    desk.ledger.ingest(&alice(), run("last", 20, &[])).await.unwrap();
    let room = |of_each, taken: &[(&str, usize)]| Room {
        of_each,
        taken: taken.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect(),
    };
    let claimed = async |room: Room| {
        let claimed = desk.ledger.claim_deliveries(10, MINUTE, &room).await.unwrap();
        let of = |id: &str| claimed.iter().filter(|delivery| delivery.webhook == id).count();
        (of(&slow.id), of(&late.id))
    };
    assert_eq!(claimed(room(2, &[(&slow.id, 1)])).await, (1, 1));
    assert_eq!(claimed(room(2, &[(&slow.id, 2)])).await, (0, 0));
    assert_eq!(claimed(Room::unlimited()).await, (10, 0));
}

#[tokio::test]
async fn a_test_is_told_to_one_webhook_and_wakes_whoever_delivers() {
    let desk = Desk::open().await;
    let hook = webhook(&desk, &[EventKind::CrashFound]).await;
    webhook(&desk, &EventKind::ALL).await;
    let id = desk.ledger.test_webhook(&alice(), SPACE, &hook.id).await.unwrap();
    desk.ledger.outbox_changed().await;
    let told = claim(&desk).await;
    assert_eq!((told.len(), &told[0].id, told[0].event), (1, &id, EventKind::Test));
    assert_eq!(body(&told[0])["event"], "webhook.test");
    assert_eq!(desk.ledger.webhook_of_delivery(SPACE, &id).await.unwrap().id, hook.id);
    let foreign = desk.ledger.webhook_of_delivery("other", &id).await;
    assert!(matches!(foreign, Err(Error::NotFound { .. })));
    let listens = NewWebhook {
        namespace: SPACE.to_owned(),
        url: "https://x".to_owned(),
        events: vec![EventKind::Test],
        secret: None,
    };
    assert!(matches!(
        desk.ledger.create_webhook(&alice(), listens).await,
        Err(Error::Invalid(_))
    ));
    // An ingest wakes, too.
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    desk.ledger.outbox_changed().await;
}

#[tokio::test]
async fn another_secret_signs_what_is_sent_again_and_lasts() {
    let mut desk = Desk::open().await;
    let hook = webhook(&desk, &[EventKind::RunFinished]).await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    let first = claim(&desk).await.pop().unwrap();
    desk.ledger.delivery_failed(&first, "401", None).await.unwrap();
    let (changed, secret) = desk
        .ledger
        .change_webhook_secret(&alice(), SPACE, &hook.id, Some(1), None)
        .await
        .unwrap();
    assert!(secret != first.secret && secret.reveal().starts_with("whsec_"));
    assert_eq!(changed.version, 2);
    let stale = desk
        .ledger
        .change_webhook_secret(&alice(), SPACE, &hook.id, Some(1), None)
        .await;
    assert!(matches!(stale, Err(Error::Changed { .. })));
    desk.reopen().await;
    desk.wait(MINUTE);
    assert_eq!(claim(&desk).await[0].secret, secret);
}
