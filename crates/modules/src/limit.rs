//! Bounded memory: a module keeps the worst findings while it scans, however many there are.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use helve_findings::{Finding, ModuleReport, Notification, NotificationLevel, Status};

/// Findings that one module reports in one run. Nobody reads more, and 10,000 are some 15 MB in memory.
pub(crate) const MAX_FINDINGS: usize = 10_000;

/// The worst findings so far. Which ones are kept does not depend on the order in which files are scanned.
pub(crate) struct Worst {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    findings: Vec<Finding>,
    found: usize,
}

impl Worst {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    /// Adds the findings of a file.
    pub(crate) fn add(&self, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.found += findings.len();
        kept.findings.extend(findings);
        if kept.findings.len() >= 2 * self.limit {
            keep_worst(&mut kept.findings, self.limit);
        }
    }

    /// Puts them into a report, in the order of their places. If some had to be left out, the report says so where
    /// nobody can miss it. Answers how many there were.
    pub(crate) fn finish(self, report: &mut ModuleReport) -> usize {
        let Kept { mut findings, found } = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        if found > self.limit {
            keep_worst(&mut findings, self.limit);
            let message = format!(
                "{found} findings are more than are kept ({}): the {} least severe ones were left out. Scan a smaller \
                 target, exclude paths, or narrow the rules.",
                self.limit,
                found - self.limit
            );
            report.notifications.push(Notification {
                level: NotificationLevel::Warning,
                message: message.clone(),
                path: None,
            });
            report.status = Status::Inconclusive { reason: message };
        }
        findings.sort_by(by_place);
        report.findings = findings;
        found
    }
}

fn keep_worst(findings: &mut Vec<Finding>, limit: usize) {
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| by_place(a, b)));
    findings.truncate(limit);
}

/// By path, position and rule: a total order but for true repeats.
fn by_place(a: &Finding, b: &Finding) -> Ordering {
    let key = |finding: &Finding| {
        let region = finding.location.region;
        region.map_or((0, 0), |region| (region.start_line, region.start_column))
    };
    (a.location.path.as_str(), key(a), a.rule_id.as_str()).cmp(&(b.location.path.as_str(), key(b), b.rule_id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_findings::{Confidence, Location, Rule, Severity};

    fn finding(severity: Severity, path: &str) -> Finding {
        let rule = Rule {
            id: "sast/x".into(),
            name: String::new(),
            description: String::new(),
            severity,
            confidence: Confidence::High,
            cwe: vec![],
            tags: vec![],
            remediation: String::new(),
            references: vec![],
        };
        Finding::new(&rule, "sast", "message", Location::file(path), "anchor")
    }

    #[test]
    fn the_worst_findings_are_kept_whatever_the_order_and_the_rest_is_not_silent() {
        let (low, high) = (
            |i: usize| finding(Severity::Low, &format!("l{i:03}")),
            |i: usize| finding(Severity::High, &format!("h{i:03}")),
        );
        let all: Vec<Finding> = (0..50).map(low).chain((0..3).map(high)).collect();
        let kept = |order: Vec<Finding>| {
            let worst = Worst::new(5);
            order.into_iter().for_each(|finding| worst.add(vec![finding]));
            let mut report = ModuleReport::new("sast", "1");
            assert_eq!(worst.finish(&mut report), 53);
            assert!(matches!(report.status, Status::Inconclusive { .. }));
            let paths: Vec<String> = report.findings.into_iter().map(|f| f.location.path).collect();
            paths
        };
        let expected = ["h000", "h001", "h002", "l000", "l001"];
        assert_eq!(kept(all.clone()), expected);
        assert_eq!(kept(all.into_iter().rev().collect()), expected);
    }

    #[test]
    fn a_report_within_the_limit_is_complete() {
        let worst = Worst::new(5);
        worst.add(vec![finding(Severity::Low, "b"), finding(Severity::Low, "a")]);
        let mut report = ModuleReport::new("sast", "1");
        assert_eq!(worst.finish(&mut report), 2);
        assert_eq!(report.status, Status::Completed);
        assert_eq!(report.findings[0].location.path, "a");
    }
}
