//! Many module reports to one: fingerprints, duplicates, order.
//!
//! A report is a *set* of observations, and merging is the union of sets followed by one normal form, so it does not
//! matter in which order reports arrive, how often, or whether they were merged before, as long as each report brings the
//! rules of its findings and each finding names the module of its report.
//!
//! What counts as the same weakness:
//! - *Same rule, same place*: one finding; the most severe, then most confident, version is kept.
//! - *Different modules, overlapping regions of one file, same or closely related CWE*: one finding. The most severe one
//!   leads (then the narrowest, then the most confident) and lists the others in `duplicates`, whole, so no
//!   information is lost and merging again can undo and redo the choice. A leader takes at most one finding of
//!   each other module: two secrets inside one flagged block stay two.
//! - Different rules of *one* module are never joined: a module knows its own overlaps.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::cwe::related;
use crate::fingerprint::{finish, seal_anchors};
use crate::{Finding, ModuleReport, Region, Report, Rule, Status};

/// Where a finding is, as a sort key that makes the order of a report total.
pub(crate) type Place<'a> = (&'a str, Option<Region>, &'a str, &'a str);

/// Joins reports to one, sorted and without duplicates. Independent of order and repetition.
pub fn merge(reports: impl IntoIterator<Item = ModuleReport>) -> Report {
    let mut modules: BTreeMap<String, ModuleReport> = BTreeMap::new();
    let mut findings = Vec::new();
    for mut report in reports {
        take_apart(std::mem::take(&mut report.findings), &mut findings);
        match modules.get_mut(&report.module) {
            Some(known) => join(known, report),
            None => {
                modules.insert(report.module.clone(), report);
            }
        }
    }
    modules.values_mut().for_each(normalise);
    let rules: Vec<Rule> = modules.values().flat_map(|module| module.rules.clone()).collect();
    // Anchors are sealed first: sealed and plain versions of one finding are the same finding.
    seal_anchors(&mut findings, &rules);
    let mut findings = drop_repeats(findings);
    finish(&mut findings, &rules);
    for finding in join_across_modules(findings, &rules) {
        let module = modules
            .entry(finding.module.clone())
            .or_insert_with(|| stray(&finding.module));
        module.findings.push(finding);
    }
    Report {
        modules: modules.into_values().collect(),
        notifications: Vec::new(),
    }
}

impl Finding {
    pub(crate) fn place(&self) -> Place<'_> {
        (
            &self.location.path,
            self.location.region,
            &self.rule_id,
            &self.fingerprint,
        )
    }
}

/// Undoes earlier merging: the duplicates become findings again.
fn take_apart(findings: Vec<Finding>, all: &mut Vec<Finding>) {
    for mut finding in findings {
        let duplicates = std::mem::take(&mut finding.duplicates);
        all.push(finding);
        take_apart(duplicates, all);
    }
}

/// A finding that names a module without a report: keep it, and do not claim that the module ran to its end.
fn stray(module: &str) -> ModuleReport {
    let reason = "its findings arrived without its report".to_owned();
    ModuleReport {
        status: Status::Inconclusive { reason },
        ..ModuleReport::new(module, "")
    }
}

fn join(known: &mut ModuleReport, other: ModuleReport) {
    if other.version > known.version {
        known.version = other.version;
    }
    known.status = match (std::mem::take(&mut known.status), other.status) {
        (Status::Completed, status) | (status, Status::Completed) => status,
        (Status::Inconclusive { reason: a }, Status::Inconclusive { reason: b }) => Status::Inconclusive {
            reason: format!("{a}{REASONS}{b}"),
        },
    };
    known.rules.extend(other.rules);
    known.notifications.extend(other.notifications);
}

/// Separates the reasons of several inconclusive runs of one module.
const REASONS: &str = "; ";

fn normalise(report: &mut ModuleReport) {
    if let Status::Inconclusive { reason } = &mut report.status {
        let mut reasons: Vec<&str> = reason.split(REASONS).filter(|part| !part.is_empty()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        *reason = reasons.join(REASONS);
    }
    // Of two versions of one rule the greater is kept: any choice will do that does not depend on arrival.
    report.rules.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| b.cmp(a)));
    report.rules.dedup_by(|later, kept| later.id == kept.id);
    report.notifications.sort();
    report.notifications.dedup();
}

/// Keeps one finding per module, rule and place.
fn drop_repeats(mut findings: Vec<Finding>) -> Vec<Finding> {
    let same = |a: &Finding, b: &Finding| {
        a.module == b.module && a.rule_id == b.rule_id && a.location.path == b.location.path && a.location.region == b.location.region
            // Without a region, only the anchor tells two weaknesses of one file apart.
            && (a.location.region.is_some() || a.anchor == b.anchor)
    };
    findings.sort_by(|a, b| {
        let key = |f: &Finding| {
            let anchor = if f.location.region.is_none() {
                f.anchor.clone()
            } else {
                String::new()
            };
            (
                f.location.path.clone(),
                f.location.region,
                f.rule_id.clone(),
                f.module.clone(),
                anchor,
            )
        };
        key(a).cmp(&key(b)).then_with(|| preference(a, b))
    });
    findings.dedup_by(|later, kept| same(later, kept));
    findings
}

/// Which of two versions of one finding is kept: a total order on content, ranks and fingerprints excluded.
fn preference(a: &Finding, b: &Finding) -> Ordering {
    let content = |f: &Finding| {
        let properties = serde_json::to_string(&f.properties).unwrap_or_default();
        (
            f.message.clone(),
            f.location.snippet.clone(),
            f.anchor.clone(),
            f.remediation.clone(),
            properties,
            // Of two versions that differ in nothing else, the one that counts is kept.
            f.suppressions.clone(),
        )
    };
    (b.severity, b.confidence)
        .cmp(&(a.severity, a.confidence))
        .then_with(|| content(a).cmp(&content(b)))
}

/// Lets the leading finding of each weakness take in those of other modules.
fn join_across_modules(findings: Vec<Finding>, rules: &[Rule]) -> Vec<Finding> {
    let cwe: BTreeMap<&str, &[u32]> = rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.cwe.as_slice()))
        .collect();
    let cwe_of = |finding: &Finding| cwe.get(finding.rule_id.as_str()).copied().unwrap_or_default();
    let mut joined = Vec::with_capacity(findings.len());
    let mut rest = findings.into_iter().peekable(); // sorted by path
    while let Some(first) = rest.next() {
        let mut file = vec![first];
        while let Some(next) = rest.next_if(|next| next.location.path == file[0].location.path) {
            file.push(next);
        }
        joined.extend(join_in_file(file, &|a, b| related(cwe_of(a), cwe_of(b))));
    }
    joined.sort_by(|a, b| a.place().cmp(&b.place()));
    joined
}

fn join_in_file(mut file: Vec<Finding>, related: &dyn Fn(&Finding, &Finding) -> bool) -> Vec<Finding> {
    if file.iter().all(|finding| finding.module == file[0].module) {
        return file;
    }
    file.sort_by(leads);
    let mut leaders: Vec<Finding> = Vec::with_capacity(file.len());
    for finding in file {
        let leader = leaders.iter_mut().find(|leader| {
            leader.module != finding.module
                && leader.duplicates.iter().all(|taken| taken.module != finding.module)
                && overlap(leader, &finding)
                && related(leader, &finding)
        });
        match leader {
            Some(leader) => leader.duplicates.push(finding),
            None => leaders.push(finding),
        }
    }
    for leader in &mut leaders {
        leader
            .duplicates
            .sort_by(|a, b| (&a.module, a.place()).cmp(&(&b.module, b.place())));
    }
    leaders
}

/// Most severe first, then narrowest, then most confident; the rest only makes the order total.
fn leads(a: &Finding, b: &Finding) -> Ordering {
    let extent = |f: &Finding| {
        f.location.region.map_or((u32::MAX, u32::MAX), |region| {
            let lines = region.end_line.saturating_sub(region.start_line);
            (
                lines,
                if lines == 0 {
                    region.end_column.saturating_sub(region.start_column)
                } else {
                    0
                },
            )
        })
    };
    (b.severity.cmp(&a.severity))
        .then_with(|| extent(a).cmp(&extent(b)))
        .then_with(|| b.confidence.cmp(&a.confidence))
        .then_with(|| (a.place(), &a.module).cmp(&(b.place(), &b.module)))
}

fn overlap(a: &Finding, b: &Finding) -> bool {
    matches!((&a.location.region, &b.location.region), (Some(a), Some(b)) if a.overlaps(b))
}
