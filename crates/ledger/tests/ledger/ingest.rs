//! What runs do to the index.

use helve_findings::{Notification, NotificationLevel, Severity};
use helve_ledger::{
    Actor, AuditFilter, ChangeCounts, Error, FindingChange, FindingFilter, FindingOrder, Happened, Ingested,
    PageRequest, RunReport, Status, SuppressedBy, Suppression,
};

use crate::{
    reports::{SPACE, finding, id, list, look, merged, module, numbers, run},
    support::{Desk, alice, at},
};

async fn ingest(desk: &Desk, run: RunReport) -> Ingested {
    desk.ledger.ingest(&Actor::system("worker"), run).await.unwrap()
}

async fn status(desk: &Desk, n: u32) -> Status {
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 100).await;
    let place = numbers(&all).iter().position(|number| *number == n).unwrap();
    all[place].status
}

fn counts(new: u64, still_there: u64, fixed: u64, reopened: u64, not_looked: u64) -> ChangeCounts {
    ChangeCounts {
        new,
        still_there,
        fixed,
        reopened,
        not_looked,
    }
}

fn changed(ingested: &Ingested, kind: Status) -> Vec<&str> {
    let of_kind = |change: &&FindingChange| change.change == kind;
    ingested
        .changes
        .iter()
        .filter(of_kind)
        .map(|change| change.message.as_str())
        .collect()
}

#[tokio::test]
async fn a_finding_is_new_then_still_there_then_fixed_then_reopened() {
    let desk = Desk::open().await;
    let first = ingest(&desk, run("a", 1, &[1, 2])).await;
    assert_eq!(first.counts, counts(2, 0, 0, 0, 0));
    assert_eq!(status(&desk, 1).await, Status::New);
    let second = ingest(&desk, run("b", 2, &[1])).await;
    assert_eq!(second.counts, counts(0, 1, 1, 0, 0));
    assert_eq!(changed(&second, Status::Fixed), ["Weakness number2"]);
    assert_eq!(
        (status(&desk, 1).await, status(&desk, 2).await),
        (Status::StillThere, Status::Fixed)
    );
    let third = ingest(&desk, run("c", 3, &[1, 2])).await;
    assert_eq!(third.counts, counts(0, 1, 0, 1, 0));
    assert_eq!(status(&desk, 2).await, Status::Reopened);
    let detail = desk.ledger.finding(SPACE, &id(&desk.ledger, 2).await).await.unwrap();
    let run_id = |text: &str| text.to_owned();
    let history: Vec<Happened> = detail.history.iter().map(|event| event.what.clone()).collect();
    assert_eq!(
        history,
        [
            Happened::Reopened { run_id: run_id("c") },
            Happened::Fixed { run_id: run_id("b") },
            Happened::New { run_id: run_id("a") },
        ]
    );
    assert_eq!(detail.history[1].at, at(2));
    assert_eq!(
        (
            detail.summary.first_seen.run_id.as_str(),
            detail.summary.last_seen.run_id.as_str()
        ),
        ("a", "c")
    );
    assert_eq!(detail.finding, finding(2).finding);
    assert_eq!(detail.rule.unwrap().name, "Rule m0/rule-2");
}

#[tokio::test]
async fn a_module_that_could_not_look_fixes_nothing() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1, 2])).await;
    let mut blind = run("b", 2, &[]);
    blind.looks = vec![look("m0", false, &[]), look("m1", true, &[])];
    // Finding 1 is of m1, finding 2 of m0.
    assert_eq!(ingest(&desk, blind).await.counts, counts(0, 0, 1, 0, 1));
    assert_eq!(
        (status(&desk, 1).await, status(&desk, 2).await),
        (Status::Fixed, Status::New)
    );
}

#[tokio::test]
async fn a_module_that_is_not_in_the_report_fixes_nothing() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1, 2])).await;
    let mut silent = run("b", 2, &[]);
    silent.looks.clear();
    assert_eq!(ingest(&desk, silent).await.counts, counts(0, 0, 0, 0, 2));
}

#[tokio::test]
async fn nothing_is_fixed_at_a_path_that_was_skipped() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1, 2, 5])).await;
    let mut partial = run("b", 2, &[]);
    // 1 and 5 are in src/dir1, of m1; 2 is in src/dir2, of m0.
    partial.looks = vec![look("m0", true, &["src/dir1"]), look("m1", true, &["src/dir1/f5.py"])];
    assert_eq!(ingest(&desk, partial.clone()).await.counts, counts(0, 0, 2, 0, 1));
    assert_eq!(status(&desk, 5).await, Status::New);
    let mut unpacked = run("c", 3, &[]);
    unpacked.skipped = vec!["src".to_owned()];
    assert_eq!(ingest(&desk, unpacked).await.counts, counts(0, 0, 0, 0, 1));
}

#[tokio::test]
async fn another_workflow_or_another_target_fixes_nothing() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1])).await;
    let mut workflow = run("b", 2, &[]);
    workflow.workflow = "secrets-only".to_owned();
    let mut target = run("c", 3, &[]);
    target.target = "shop-2".to_owned();
    let mut namespace = run("d", 4, &[]);
    namespace.namespace = "other".to_owned();
    for run in [workflow, target, namespace] {
        assert_eq!(ingest(&desk, run).await.counts, counts(0, 0, 0, 0, 0));
    }
    assert_eq!(status(&desk, 1).await, Status::New);
}

#[tokio::test]
async fn a_workflow_that_once_saw_it_can_say_that_it_is_gone() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1])).await;
    let mut other = run("b", 2, &[1]);
    other.workflow = "nightly".to_owned();
    ingest(&desk, other).await;
    assert_eq!(ingest(&desk, run("c", 3, &[])).await.counts, counts(0, 0, 1, 0, 0));
}

#[tokio::test]
async fn the_same_fingerprint_in_another_target_or_namespace_is_another_finding() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1])).await;
    let mut target = run("b", 2, &[1]);
    target.target = "shop-2".to_owned();
    assert_eq!(ingest(&desk, target).await.counts, counts(1, 0, 0, 0, 0));
    // A run id is one of its namespace.
    let mut namespace = run("a", 3, &[1]);
    namespace.namespace = "other".to_owned();
    assert_eq!(ingest(&desk, namespace).await.counts, counts(1, 0, 0, 0, 0));
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 10).await;
    assert_eq!(all.len(), 2);
    let found = desk.ledger.finding("other", &all[0].id).await;
    assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
}

#[tokio::test]
async fn a_run_that_comes_twice_changes_nothing_and_is_answered_the_same() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1, 2])).await;
    let first = ingest(&desk, run("b", 2, &[2, 3])).await;
    let again = ingest(&desk, run("b", 2, &[2, 3])).await;
    assert!(again.was_known);
    assert_eq!(
        Ingested {
            was_known: false,
            ..again
        },
        first
    );
    let entries = desk
        .ledger
        .list_audit(AuditFilter::default(), PageRequest::default())
        .await
        .unwrap();
    assert_eq!(entries.items.len(), 2);
}

#[tokio::test]
async fn a_run_that_closed_earlier_and_comes_later_changes_what_was_and_not_what_is() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1])).await;
    ingest(&desk, run("c", 3, &[1])).await;
    // It saw 2, which `c` looked for and did not see; it did not see 1.
    let late = ingest(&desk, run("b", 2, &[2])).await;
    assert_eq!(late.counts, counts(1, 0, 1, 0, 0));
    assert_eq!(
        (status(&desk, 1).await, status(&desk, 2).await),
        (Status::Reopened, Status::Fixed)
    );
    let detail = desk.ledger.finding(SPACE, &id(&desk.ledger, 1).await).await.unwrap();
    assert_eq!(detail.summary.last_seen.run_id, "c");
    assert_eq!(detail.history.len(), 3);
}

#[tokio::test]
async fn severity_message_owner_and_suppression_are_as_the_last_run_says() {
    let desk = Desk::open().await;
    ingest(&desk, run("a", 1, &[1])).await;
    let mut second = run("b", 5, &[1]);
    second.findings[0].finding.severity = Severity::Critical;
    second.findings[0].finding.message = "Worse than thought".to_owned();
    second.findings[0].suppression = Some(Suppression {
        by: SuppressedBy::Inline,
        reason: Some("tested by hand".to_owned()),
    });
    let second = second.with_owners(|path| Some(format!("@team-of-{}", path.len())));
    ingest(&desk, second).await;
    ingest(&desk, run("late", 3, &[1])).await;
    let detail = desk.ledger.finding(SPACE, &id(&desk.ledger, 1).await).await.unwrap();
    let summary = &detail.summary;
    assert_eq!(
        (summary.severity, summary.message.as_str()),
        (Severity::Critical, "Worse than thought")
    );
    assert_eq!(
        (summary.suppressed, summary.owner.as_deref()),
        (Some(SuppressedBy::Inline), Some("@team-of-14"))
    );
    assert_eq!(detail.suppression.unwrap().reason.as_deref(), Some("tested by hand"));
    // The first sighting, and what the second run said; the late run only saw it.
    assert_eq!(summary.version, 2);
    let overview = desk.ledger.overview(SPACE, None).await.unwrap();
    assert_eq!((overview.suppressed, overview.open.values().sum::<u64>()), (1, 0));
}

#[tokio::test]
async fn hostile_texts_of_a_repository_are_cut_and_found_again_as_they_are() {
    let desk = Desk::open().await;
    let mut hostile = run("a", 1, &[1]);
    let finding = &mut hostile.findings[0].finding;
    finding.message = "<script>alert(1)</script>\u{202e}é".repeat(10_000);
    finding.location.path = format!("a'; DROP TABLE findings; --/{}", "x".repeat(100_000));
    finding.location.snippet = Some("\u{0}\"'*".repeat(100_000));
    finding
        .properties
        .insert("blob".to_owned(), "y".repeat(1_000_000).into());
    ingest(&desk, hostile).await;
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Path, 10).await;
    assert!(all[0].message.starts_with("<script>alert(1)") && all[0].message.len() < 1_010);
    assert!(all[0].path.len() < 4_200);
    let detail = desk.ledger.finding(SPACE, &all[0].id).await.unwrap();
    assert!(detail.finding.properties.is_empty());
}

#[tokio::test]
async fn a_report_that_is_not_merged_or_has_no_name_is_refused() {
    let desk = Desk::open().await;
    let mut unmerged = run("a", 1, &[1]);
    unmerged.findings[0].finding.fingerprint.clear();
    let mut nameless = run("a", 1, &[1]);
    nameless.target = String::new();
    for run in [unmerged, nameless] {
        assert!(matches!(
            desk.ledger.ingest(&alice(), run).await,
            Err(Error::Invalid(_))
        ));
    }
}

#[test]
fn a_merged_report_says_where_it_looked() {
    let warning = |path: Option<&str>, level| Notification {
        level,
        message: "too large".to_owned(),
        path: path.map(str::to_owned),
    };
    let mut seeing = module("seeing", helve_findings::Status::Completed);
    seeing.notifications = vec![
        warning(Some("big.bin"), NotificationLevel::Warning),
        warning(None, NotificationLevel::Note),
    ];
    let mut vague = module("vague", helve_findings::Status::Completed);
    vague.notifications = vec![warning(None, NotificationLevel::Error)];
    let reason = "it crashed".to_owned();
    let blind = module("blind", helve_findings::Status::Inconclusive { reason });
    let report = RunReport::new(SPACE, "t", "w", "r", at(0), merged(vec![seeing, vague, blind]));
    assert_eq!(
        report.looks,
        [
            look("seeing", true, &["big.bin"]),
            look("vague", false, &[]),
            look("blind", false, &[]),
        ]
    );
}
