//! Helve's own document: everything that is known, in a shape that does not change without a new version.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{About, pretty};
use crate::{Counts, Finding, Notification, Report, Rule, Status};

/// Changes when a reader of the former shape would go wrong.
const VERSION: u32 = 1;
const SCHEMA: &str = "https://helve.dev/schemas/report.schema.json";

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: u32,
    run: Run<'a>,
    summary: Summary<'a>,
    modules: Vec<Module<'a>>,
    rules: Vec<&'a Rule>,
    findings: Vec<&'a Finding>,
    notifications: Vec<Notice<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    id: &'a str,
    workflow: &'a str,
    workflow_version: &'a str,
    status: &'a str,
    target: Option<&'a str>,
    finished_at: Option<&'a str>,
}

#[derive(Serialize)]
struct Summary<'a> {
    total: u64,
    suppressed: u64,
    by_severity: Counts,
    /// Null unless the report was compared with a baseline.
    baseline: Option<BTreeMap<&'static str, u64>>,
    inconclusive: Vec<Gap<'a>>,
}

#[derive(Serialize)]
struct Gap<'a> {
    module: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Module<'a> {
    name: &'a str,
    version: &'a str,
    status: &'a Status,
    findings: u64,
}

#[derive(Serialize)]
struct Notice<'a> {
    module: Option<&'a str>,
    #[serde(flatten)]
    notification: &'a Notification,
}

pub(super) fn write(report: &Report, about: &About) -> String {
    let findings = report.findings();
    let inconclusive = report.inconclusive().map(|(module, reason)| Gap { module, reason });
    let mut rules: Vec<&Rule> = report.modules.iter().flat_map(|module| &module.rules).collect();
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    let of_modules = report.modules.iter().flat_map(|module| {
        module.notifications.iter().map(|notification| Notice {
            module: Some(&module.module),
            notification,
        })
    });
    let of_all = report.notifications.iter().map(|notification| Notice {
        module: None,
        notification,
    });
    pretty(&Document {
        schema: SCHEMA,
        version: VERSION,
        run: Run {
            id: &about.run_id,
            workflow: &about.workflow,
            workflow_version: &about.workflow_version,
            status: &about.status,
            target: about.target.as_deref(),
            finished_at: about.finished_at.as_deref(),
        },
        summary: Summary {
            total: report.total(),
            suppressed: report.suppressed(),
            by_severity: report.counts(),
            baseline: baseline(&findings),
            inconclusive: inconclusive.collect(),
        },
        modules: report
            .modules
            .iter()
            .map(|module| Module {
                name: &module.module,
                version: &module.version,
                status: &module.status,
                findings: module.findings.len() as u64,
            })
            .collect(),
        rules,
        notifications: of_modules.chain(of_all).collect(),
        findings,
    })
}

/// How many findings are new and unchanged; none without a baseline.
fn baseline(findings: &[&Finding]) -> Option<BTreeMap<&'static str, u64>> {
    let mut counts = BTreeMap::from([("new", 0), ("unchanged", 0)]);
    let states = findings.iter().filter_map(|finding| finding.baseline);
    let mut compared = false;
    for state in states {
        compared = true;
        *counts.entry(state.as_str()).or_default() += 1;
    }
    compared.then_some(counts)
}
