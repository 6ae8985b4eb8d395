//! In whatever order runs come, and however often: the index is the same. And what is counted beside is what is there.

use std::time::Duration;

use helve_findings::Severity;
use helve_ledger::{
    DayCounts, Facet, FacetKind, FindingDetail, FindingFilter, FindingOrder, IndexedRun, Overview, PageRequest,
    RunReport, SuppressedBy, Suppression, TimeRange, Triage, TriageChange,
};
use proptest::prelude::*;

use crate::{
    reports::{SPACE, finding, list, look, run},
    support::{DAY, Desk, alice},
};

/// A finding in a run: which, and how it is reported.
#[derive(Debug, Clone)]
struct Sight {
    n: u32,
    severity: usize,
    suppressed: bool,
}

#[derive(Debug, Clone)]
struct Made {
    /// Some runs close at the same time.
    at: i64,
    workflow: bool,
    looks: [bool; 2],
    skipped: bool,
    sights: Vec<Sight>,
}

impl Made {
    fn report(&self, index: usize) -> RunReport {
        // Days apart, so that charts have something to show.
        let mut report = run(&format!("run-{index}"), self.at * DAY.as_millis() as i64, &[]);
        if self.workflow {
            "nightly".clone_into(&mut report.workflow);
        }
        let skipped: &[&str] = if self.skipped { &["src/dir1"] } else { &[] };
        report.looks = vec![look("m0", self.looks[0], skipped), look("m1", self.looks[1], &[])];
        for sight in &self.sights {
            let mut reported = finding(sight.n);
            reported.finding.severity = Severity::ALL[sight.severity];
            reported.finding.message = format!("as run {index} saw it");
            reported.owner = index.is_multiple_of(2).then(|| format!("owner-{index}"));
            reported.suppression = sight.suppressed.then_some(Suppression {
                by: SuppressedBy::File,
                reason: None,
            });
            report.findings.push(reported);
        }
        report
    }
}

fn made() -> impl Strategy<Value = Made> {
    let sight = (0..5u32, 2..4usize, proptest::bool::weighted(0.2)).prop_map(|(n, severity, suppressed)| Sight {
        n,
        severity,
        suppressed,
    });
    let looks = [proptest::bool::weighted(0.8), proptest::bool::weighted(0.8)];
    let sights = proptest::collection::vec(sight, 0..5);
    (
        0..4i64,
        proptest::bool::weighted(0.3),
        looks,
        proptest::bool::weighted(0.2),
        sights,
    )
        .prop_map(|(at, workflow, looks, skipped, sights)| Made {
            at,
            workflow,
            looks,
            skipped,
            sights,
        })
}

/// Everything that can be asked, but for what counts writes.
#[derive(Debug, PartialEq)]
struct Index {
    findings: Vec<FindingDetail>,
    overview: Overview,
    chart: Vec<DayCounts>,
    facets: Vec<Vec<Facet>>,
    runs: Vec<IndexedRun>,
}

async fn index(desk: &Desk) -> Index {
    let ledger = &desk.ledger;
    let mut findings = Vec::new();
    for summary in list(ledger, FindingFilter::default(), FindingOrder::Path, 3).await {
        let mut detail = ledger.finding(SPACE, &summary.id).await.unwrap();
        detail.summary.version = 0;
        findings.push(detail);
    }
    let kinds = [
        FacetKind::Target,
        FacetKind::Rule,
        FacetKind::Module,
        FacetKind::Workflow,
        FacetKind::Owner,
    ];
    let mut facets = Vec::new();
    for kind in kinds {
        facets.push(ledger.facets(SPACE, kind).await.unwrap());
    }
    let mut runs = ledger
        .indexed_runs(SPACE, Some("shop"), PageRequest::default())
        .await
        .unwrap()
        .items;
    for run in &mut runs {
        run.changes.not_looked = 0;
    }
    runs.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Index {
        findings,
        overview: ledger.overview(SPACE, Some("shop")).await.unwrap(),
        chart: ledger
            .severity_over_time(SPACE, None, TimeRange::default())
            .await
            .unwrap(),
        facets,
        runs,
    }
}

async fn ingested(runs: &[RunReport]) -> Index {
    let desk = Desk::open().await;
    desk.wait(DAY * 10);
    for run in runs {
        desk.ledger.ingest(&alice(), run.clone()).await.unwrap();
    }
    index(&desk).await
}

/// What is counted beside the findings is what the findings say.
async fn check_counts(desk: &Desk) {
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Severity, 2).await;
    let overview = desk.ledger.overview(SPACE, None).await.unwrap();
    assert_eq!(overview.total, all.len() as u64);
    let chart = desk
        .ledger
        .severity_over_time(SPACE, Some("shop"), TimeRange::default())
        .await
        .unwrap();
    let today = chart.last();
    for severity in Severity::ALL {
        let is_due = |triage: Triage| matches!(triage, Triage::Open | Triage::Confirmed);
        let open = all.iter().filter(|finding| {
            finding.severity == severity
                && finding.status != helve_ledger::Status::Fixed
                && is_due(finding.triage)
                && finding.suppressed.is_none()
        });
        let open = open.count() as u64;
        assert_eq!(overview.open[&severity], open, "{severity} in the overview");
        assert_eq!(
            today.map_or(0, |day| day.open[&severity]),
            open,
            "{severity} in the chart"
        );
    }
    for (kind, name) in [
        (FacetKind::Rule, "rule"),
        (FacetKind::Module, "module"),
        (FacetKind::Owner, "owner"),
    ] {
        for facet in desk.ledger.facets(SPACE, kind).await.unwrap() {
            let mut filter = FindingFilter::default();
            match kind {
                FacetKind::Rule => filter.rule = Some(facet.name.clone()),
                FacetKind::Module => filter.module = Some(facet.name.clone()),
                _ => filter.owner = Some(facet.name.clone()),
            }
            let found = list(&desk.ledger, filter, FindingOrder::Newest, 100).await;
            assert_eq!(found.len() as u64, facet.findings, "{name} {}", facet.name);
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn runs_in_any_order_and_any_number_of_times_make_the_same_index(
        made in proptest::collection::vec(made(), 1..6),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let reports: Vec<RunReport> = made.iter().enumerate().map(|(index, made)| made.report(index)).collect();
        let mut in_order = reports.clone();
        in_order.sort_by(|a, b| (a.at, &a.run_id).cmp(&(b.at, &b.run_id)));
        // Some in any order, perhaps several times, and then those that are left.
        let mut shuffled: Vec<RunReport> = order.iter().map(|index| index.get(&reports).clone()).collect();
        shuffled.extend(reports.into_iter().rev());
        let (expected, actual) = runtime().block_on(async { (ingested(&in_order).await, ingested(&shuffled).await) });
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn what_is_counted_is_what_is_there_whatever_runs_and_people_do(
        made in proptest::collection::vec(made(), 1..6),
        decisions in proptest::collection::vec((0..5usize, 0..5usize, 0..6usize), 0..6),
    ) {
        runtime().block_on(async {
            let desk = Desk::open().await;
            for (index, made) in made.iter().enumerate() {
                desk.wait(Duration::from_secs(12 * 60 * 60));
                desk.ledger.ingest(&alice(), made.report(index)).await.unwrap();
                for (which, state, _) in decisions.iter().filter(|(_, _, after)| *after == index) {
                    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Path, 100).await;
                    if let Some(finding) = all.get(*which) {
                        let state = Triage::ALL[*state];
                        let until = (state == Triage::AcceptedRisk).then(|| desk.ledger.now().after(DAY));
                        let change = TriageChange { state: Some(state), until, comment: String::new() };
                        desk.ledger.triage(&alice(), SPACE, &finding.id, None, change).await.unwrap();
                    }
                }
                desk.ledger.sweep().await.unwrap();
            }
            desk.wait(DAY * 10);
            check_counts(&desk).await;
            desk.ledger.sweep().await.unwrap();
            check_counts(&desk).await;
        });
    }
}
