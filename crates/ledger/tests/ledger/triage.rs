//! What people decide.

use helve_ledger::{
    Actor, AuditFilter, Error, FindingFilter, FindingOrder, FindingSummary, Happened, MAX_BULK, PageRequest, Status,
    Triage, TriageChange, Which,
};

use crate::{
    reports::{SPACE, id, list, run},
    support::{DAY, Desk, MINUTE, alice, at},
};

fn to(state: Triage, comment: &str) -> TriageChange {
    TriageChange {
        state: Some(state),
        until: None,
        comment: comment.to_owned(),
    }
}

async fn one(desk: &Desk) -> String {
    desk.ledger.ingest(&alice(), run("a", 1, &[1])).await.unwrap();
    id(&desk.ledger, 1).await
}

async fn triage(desk: &Desk, id: &str, change: TriageChange) -> FindingSummary {
    desk.ledger.triage(&alice(), SPACE, id, None, change).await.unwrap()
}

async fn now(desk: &Desk, id: &str) -> FindingSummary {
    desk.ledger.finding(SPACE, id).await.unwrap().summary
}

#[tokio::test]
async fn a_decision_is_kept_with_who_and_why_and_survives_runs_and_restarts() {
    let mut desk = Desk::open().await;
    let id = one(&desk).await;
    desk.wait(MINUTE);
    triage(&desk, &id, to(Triage::FalsePositive, "only in tests")).await;
    desk.ledger.ingest(&alice(), run("b", 120_000, &[1])).await.unwrap();
    desk.ledger.ingest(&alice(), run("c", 130_000, &[])).await.unwrap();
    desk.ledger.ingest(&alice(), run("d", 140_000, &[1])).await.unwrap();
    desk.reopen().await;
    let detail = desk.ledger.finding(SPACE, &id).await.unwrap();
    assert_eq!(
        (detail.summary.triage, detail.summary.status),
        (Triage::FalsePositive, Status::Reopened)
    );
    let decision = detail.history.iter().find(|event| event.at == at(60_000)).unwrap();
    let expected = Happened::Triaged {
        by: alice(),
        from: Triage::Open,
        to: Triage::FalsePositive,
        until: None,
        comment: "only in tests".to_owned(),
    };
    assert_eq!(decision.what, expected);
    let filter = AuditFilter {
        subject: Some(id),
        ..AuditFilter::default()
    };
    let entries = desk.ledger.list_audit(filter, PageRequest::default()).await.unwrap();
    assert_eq!(entries.items[0].action, "finding.triage");
    assert_eq!(entries.items[0].namespace.as_deref(), Some(SPACE));
}

#[tokio::test]
async fn of_two_who_decide_on_the_same_version_one_is_refused() {
    let desk = Desk::open().await;
    let id = one(&desk).await;
    let version = Some(now(&desk, &id).await.version);
    let decide = |name: &str, state| {
        let (ledger, id, actor) = (desk.ledger.clone(), id.clone(), Actor::system(name));
        tokio::spawn(async move { ledger.triage(&actor, SPACE, &id, version, to(state, "")).await })
    };
    let (one, two) = (decide("bob", Triage::Confirmed), decide("eve", Triage::FalsePositive));
    let results = [one.await.unwrap(), two.await.unwrap()];
    let refused = results
        .iter()
        .filter(|result| matches!(result, Err(Error::Changed { .. })));
    assert_eq!(refused.count(), 1, "{results:?}");
    let kept = results.iter().flatten().next().unwrap();
    assert_eq!(*kept, now(&desk, &id).await);
}

#[tokio::test]
async fn a_mere_sighting_is_no_new_version() {
    let desk = Desk::open().await;
    let id = one(&desk).await;
    let version = now(&desk, &id).await.version;
    desk.ledger.ingest(&alice(), run("b", 2, &[1])).await.unwrap();
    assert_eq!(now(&desk, &id).await.version, version);
}

#[tokio::test]
async fn an_accepted_risk_is_open_again_when_it_ends() {
    let desk = Desk::open().await;
    let id = one(&desk).await;
    let until = desk.ledger.now().after(DAY);
    let change = TriageChange {
        until: Some(until),
        ..to(Triage::AcceptedRisk, "until the rewrite")
    };
    assert_eq!(triage(&desk, &id, change).await.accepted_until, Some(until));
    desk.wait(DAY - MINUTE);
    desk.ledger.sweep().await.unwrap();
    assert_eq!(now(&desk, &id).await.triage, Triage::AcceptedRisk);
    desk.wait(MINUTE * 2);
    desk.ledger.sweep().await.unwrap();
    let detail = desk.ledger.finding(SPACE, &id).await.unwrap();
    assert_eq!(
        (detail.summary.triage, detail.summary.accepted_until),
        (Triage::Open, None)
    );
    assert_eq!(
        (detail.history[0].what.clone(), detail.history[0].at),
        (Happened::AcceptanceExpired, until)
    );
    let change = TriageChange {
        until: Some(until),
        ..to(Triage::AcceptedRisk, "")
    };
    let refused = desk.ledger.triage(&alice(), SPACE, &id, None, change).await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn what_somebody_calls_fixed_is_open_again_if_a_later_run_sees_it() {
    let desk = Desk::open().await;
    let id = one(&desk).await;
    desk.wait(MINUTE);
    triage(&desk, &id, to(Triage::Fixed, "")).await;
    // It closed before that was said, and comes after it.
    desk.ledger.ingest(&alice(), run("early", 50_000, &[1])).await.unwrap();
    assert_eq!(now(&desk, &id).await.triage, Triage::Fixed);
    desk.ledger.ingest(&alice(), run("later", 70_000, &[1])).await.unwrap();
    let finding = now(&desk, &id).await;
    assert_eq!((finding.triage, finding.status), (Triage::Open, Status::Reopened));
}

#[tokio::test]
async fn a_comment_is_in_the_history_and_changes_no_state() {
    let desk = Desk::open().await;
    let id = one(&desk).await;
    let comment = TriageChange {
        comment: "looking at it".to_owned(),
        ..TriageChange::default()
    };
    let finding = triage(&desk, &id, comment).await;
    assert_eq!((finding.triage, finding.version), (Triage::Open, 2));
    let empty = desk
        .ledger
        .triage(&alice(), SPACE, &id, None, TriageChange::default())
        .await;
    assert!(matches!(empty, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn many_findings_are_decided_about_at_once_by_their_ids() {
    let desk = Desk::open().await;
    desk.ledger.ingest(&alice(), run("a", 1, &[1, 2, 3])).await.unwrap();
    let first = id(&desk.ledger, 1).await;
    triage(&desk, &first, to(Triage::Confirmed, "")).await;
    let ids = vec![
        first.clone(),
        id(&desk.ledger, 2).await,
        first,
        "0".repeat(32),
        "x".to_owned(),
    ];
    let done = desk
        .ledger
        .triage_many(&alice(), SPACE, Which::Ids(ids), to(Triage::Confirmed, ""))
        .await
        .unwrap();
    assert_eq!((done.changed, done.unchanged, done.missing.len()), (1, 1, 2));
    let foreign = Which::Ids(vec![id(&desk.ledger, 3).await]);
    let other = desk
        .ledger
        .triage_many(&alice(), "other", foreign, to(Triage::Fixed, ""))
        .await;
    assert_eq!(other.unwrap().changed, 0);
    let too_many = Which::Ids(vec![String::new(); MAX_BULK + 1]);
    let refused = desk
        .ledger
        .triage_many(&alice(), SPACE, too_many, to(Triage::Confirmed, ""))
        .await;
    assert!(matches!(refused, Err(Error::Limit(_))));
}

#[tokio::test]
async fn many_findings_are_decided_about_by_a_filter_in_as_many_calls_as_it_takes() {
    let desk = Desk::open().await;
    let all: Vec<u32> = (0..(MAX_BULK as u32 + 200) * 2).collect();
    desk.ledger.ingest(&alice(), run("a", 1, &all)).await.unwrap();
    let filter = FindingFilter {
        module: Some("m1".to_owned()),
        ..FindingFilter::default()
    };
    let mut changed = Vec::new();
    loop {
        let which = Which::Filter(filter.clone());
        let done = desk
            .ledger
            .triage_many(&alice(), SPACE, which, to(Triage::AcceptedRisk, ""))
            .await
            .unwrap();
        changed.push(done.changed);
        if !done.is_more {
            break;
        }
    }
    assert_eq!(changed, [MAX_BULK as u64, 200]);
    let overview = desk.ledger.overview(SPACE, None).await.unwrap();
    assert_eq!(overview.by_triage[&Triage::AcceptedRisk], MAX_BULK as u64 + 200);
    let accepted = FindingFilter {
        triages: vec![Triage::AcceptedRisk],
        ..FindingFilter::default()
    };
    let found = list(&desk.ledger, accepted, FindingOrder::Path, 500).await;
    assert!(found.iter().all(|finding| finding.module == "m1"));
    assert_eq!(found.len(), MAX_BULK + 200);
}
