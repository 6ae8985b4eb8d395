//! Reports to test with.
#![allow(dead_code)] // each test program uses its own part

use std::collections::BTreeMap;

use helve_findings::{
    Confidence, Finding, Location, ModuleReport, Notification, NotificationLevel, Region, Rule, Severity, Status,
};
use proptest::prelude::*;

pub(crate) fn rule(id: &str, cwe: &[u32]) -> Rule {
    Rule {
        id: id.to_owned(),
        name: format!("Title of {id}"),
        description: "Looks for `something` dangerous.".to_owned(),
        severity: Severity::High,
        confidence: Confidence::Medium,
        cwe: cwe.to_vec(),
        tags: vec!["python".to_owned()],
        remediation: "Do not do that.".to_owned(),
        references: vec!["https://example.org/why".to_owned()],
    }
}

pub(crate) fn lines(from: u32, to: u32) -> Region {
    Region {
        start_line: from,
        start_column: 1,
        end_line: to,
        end_column: 20,
    }
}

pub(crate) fn finding(rule: &Rule, path: &str, region: Region, anchor: &str) -> Finding {
    let module = rule.id.split('/').next().unwrap();
    Finding::new(
        rule,
        module,
        "Something is wrong here",
        Location::region(path, region),
        anchor,
    )
}

pub(crate) fn report(module: &str, rules: impl IntoIterator<Item = Rule>, findings: Vec<Finding>) -> ModuleReport {
    ModuleReport {
        rules: rules.into_iter().collect(),
        findings,
        ..ModuleReport::new(module, "1.2.3")
    }
}

/// Any report whose findings' rules come with it. Few distinct names, so that collisions happen.
pub(crate) fn any_report() -> impl Strategy<Value = ModuleReport> {
    (0..3_usize)
        .prop_flat_map(|module| {
            (
                Just(format!("module-{module}")),
                prop::sample::select(vec!["1.0.0", "2.0.0", ""]),
                any_status(),
                prop::collection::vec(any_finding(module), 0..8),
                prop::collection::vec(any_notification(), 0..3),
            )
        })
        .prop_map(|(module, version, status, findings, notifications)| ModuleReport {
            rules: rules_of(&module),
            module,
            version: version.to_owned(),
            status,
            findings,
            notifications,
        })
}

pub(crate) fn any_reports() -> impl Strategy<Value = Vec<ModuleReport>> {
    prop::collection::vec(any_report(), 0..5)
}

/// Each module's own rules; some share weaknesses with those of other modules.
fn rules_of(module: &str) -> Vec<Rule> {
    vec![
        rule(&format!("{module}/credential"), &[798]),
        rule(&format!("{module}/password"), &[259, 259]),
        rule(&format!("{module}/injection"), &[89, 564]),
        Rule {
            severity: Severity::Note,
            references: vec!["nonsense".into()],
            ..rule(&format!("{module}/plain"), &[])
        },
    ]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        3 => Just(Status::Completed),
        1 => "[a-c;: ]{0,6}".prop_map(|reason| Status::Inconclusive { reason }),
    ]
}

fn any_notification() -> impl Strategy<Value = Notification> {
    let level = prop::sample::select(vec![
        NotificationLevel::Note,
        NotificationLevel::Warning,
        NotificationLevel::Error,
    ]);
    (level, any::<String>(), prop::option::of(any_path())).prop_map(|(level, message, path)| Notification {
        level,
        message,
        path,
    })
}

fn any_path() -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(vec!["a.py", "src/b.js"]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_region() -> impl Strategy<Value = Region> {
    prop_oneof![
        4 => (1..6_u32, 1..6_u32, 0..3_u32, 1..9_u32).prop_map(|(line, column, more, width)| Region {
            start_line: line,
            start_column: column,
            end_line: line + more,
            end_column: column + width,
        }),
        1 => any::<[u32; 4]>().prop_map(|[start_line, start_column, end_line, end_column]| Region {
            start_line, start_column, end_line, end_column,
        }),
    ]
}

fn any_finding(module: usize) -> impl Strategy<Value = Finding> {
    let module = format!("module-{module}");
    let rules: Vec<Rule> = rules_of(&module);
    (
        prop::sample::select(rules),
        any_path(),
        prop::option::weighted(0.9, any_region()),
        prop_oneof![Just("x".to_owned()), Just("y z".to_owned()), any::<String>()],
        prop::sample::select(Severity::ALL.to_vec()),
        prop::sample::select(Confidence::ALL.to_vec()),
        (
            any::<String>(),
            prop::option::of(any::<String>()),
            prop::option::of(any::<String>()),
        ),
        prop::collection::btree_map(any::<String>(), any::<String>(), 0..3),
    )
        .prop_map(
            move |(rule, path, region, anchor, severity, confidence, texts, properties)| {
                let (message, snippet, remediation) = texts;
                let properties: BTreeMap<_, _> =
                    properties.into_iter().map(|(key, value)| (key, value.into())).collect();
                let location = Location { path, region, snippet };
                let finding = Finding::new(&rule, &module, message, location, anchor);
                Finding {
                    severity,
                    confidence,
                    remediation,
                    properties,
                    ..finding
                }
            },
        )
}
