//! Runs to ingest.

use helve_findings::{Confidence, Finding, Location, ModuleReport, Region, Report, Rule, Severity, Status};
use helve_ledger::{
    FindingFilter, FindingOrder, FindingSummary, Ledger, ModuleLook, PageRequest, ReportedFinding, RunReport,
};

use crate::support::at;

pub(crate) const SPACE: &str = "default";

pub(crate) fn rule(id: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        name: format!("Rule {id}"),
        description: "What it looks for.".to_owned(),
        severity: Severity::High,
        confidence: Confidence::High,
        cwe: vec![79],
        tags: Vec::new(),
        remediation: "Mend it.".to_owned(),
        references: Vec::new(),
    }
}

/// The n-th finding: of module `m0` or `m1`, by turns.
pub(crate) fn finding(n: u32) -> ReportedFinding {
    let rule = rule(&format!("m{}/rule-{}", n % 2, n % 3));
    let region = Region {
        start_line: n + 1,
        start_column: 1,
        end_line: n + 1,
        end_column: 9,
    };
    let mut location = Location::region(format!("src/dir{}/f{n}.py", n % 4), region);
    location.snippet = Some(format!("call(argument{n})"));
    let mut finding = Finding::new(
        &rule,
        format!("m{}", n % 2),
        format!("Weakness number{n}"),
        location,
        "anchor",
    );
    finding.fingerprint = format!("{n:032x}");
    ReportedFinding::from(finding)
}

/// A run of workflow `scan` on target `shop`, closed so many milliseconds after noon, in which both modules looked.
pub(crate) fn run(id: &str, millis: i64, findings: &[u32]) -> RunReport {
    RunReport {
        namespace: SPACE.to_owned(),
        target: "shop".to_owned(),
        workflow: "scan".to_owned(),
        run_id: id.to_owned(),
        at: at(millis),
        outcome: "completed".to_owned(),
        looks: vec![look("m0", true, &[]), look("m1", true, &[])],
        skipped: Vec::new(),
        rules: (0..6).map(|n| rule(&format!("m{}/rule-{}", n % 2, n % 3))).collect(),
        findings: findings.iter().map(|n| finding(*n)).collect(),
    }
}

pub(crate) fn look(module: &str, could_look: bool, skipped: &[&str]) -> ModuleLook {
    ModuleLook {
        module: module.to_owned(),
        could_look,
        skipped: skipped.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// All pages of a list.
pub(crate) async fn list(
    ledger: &Ledger,
    filter: FindingFilter,
    order: FindingOrder,
    limit: usize,
) -> Vec<FindingSummary> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let request = PageRequest {
            cursor,
            limit: Some(limit),
        };
        let page = ledger
            .list_findings(SPACE, filter.clone(), order, request)
            .await
            .unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

/// The n of each finding in a list.
pub(crate) fn numbers(list: &[FindingSummary]) -> Vec<u32> {
    let number = |finding: &FindingSummary| u32::from_str_radix(&finding.fingerprint, 16).unwrap();
    list.iter().map(number).collect()
}

/// The id of the n-th finding of target `shop`.
pub(crate) async fn id(ledger: &Ledger, n: u32) -> String {
    let all = list(ledger, FindingFilter::default(), FindingOrder::Newest, 500).await;
    let fingerprint = format!("{n:032x}");
    all.into_iter()
        .find(|finding| finding.fingerprint == fingerprint)
        .unwrap()
        .id
}

/// What a merged report says, for what is made of it.
pub(crate) fn merged(modules: Vec<ModuleReport>) -> Report {
    Report {
        modules,
        notifications: Vec::new(),
    }
}

pub(crate) fn module(name: &str, status: Status) -> ModuleReport {
    ModuleReport {
        status,
        ..ModuleReport::new(name, "1")
    }
}
