//! SARIF 2.1.0, shaped for code-scanning pages.
//!
//! One run per module, each a tool of its own name and category, because GitHub refuses a file in which two runs share
//! them. It also takes at most 20 runs per file, so with more modules than that all share one run, in which each
//! module is one invocation. An inconclusive module is an unsuccessful invocation, and everything that was not looked at is a
//! notification: "could not look" never reads as "clean".

mod results;
mod rules;

use std::collections::BTreeMap;

use serde_json::json;
use serde_sarif::sarif::{
    ArtifactLocation, Invocation, Message, MultiformatMessageString, Notification as SarifNotification,
    ReportingDescriptor, ReportingDescriptorReference, Run, RunAutomationDetails, Sarif, Tool, ToolComponent,
    ToolComponentReference,
};

use crate::text::{self, MAX_DESCRIPTION};
use crate::{Finding, ModuleReport, Notification, NotificationLevel, Report, Status};

/// The address that names the schema of the files written.
pub const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Stands for the root of the target in file addresses.
const SOURCE_ROOT: &str = "%SRCROOT%";

/// GitHub's limits on one upload.
const MAX_RUNS: usize = 20;
const MAX_RESULTS: usize = 25_000;

/// What SARIF says beside the findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SarifOptions {
    /// Keeps the results of different scans of one repository apart (usually the workflow's name). Uploads replace
    /// earlier ones of the same category and module.
    pub category: Option<String>,
    /// The run that made the report; ends the automation id.
    pub run_id: Option<String>,
    /// A `file:` address of the target, ending in a slash. Most consumers need none: they know their checkout.
    pub source_root: Option<String>,
    /// Results per run; the most severe are kept, and a notification says how many were left out.
    pub max_results: usize,
}

impl Default for SarifOptions {
    fn default() -> Self {
        SarifOptions {
            category: None,
            run_id: None,
            source_root: None,
            max_results: MAX_RESULTS,
        }
    }
}

/// Writes a merged report as SARIF.
pub fn to_sarif(report: &Report, options: &SarifOptions) -> Sarif {
    let runs: Vec<Run> = if report.modules.len() <= MAX_RUNS {
        report
            .modules
            .iter()
            .map(|module| run(std::slice::from_ref(module), report, options))
            .collect()
    } else {
        vec![run(&report.modules, report, options)]
    };
    Sarif::builder().schema(SCHEMA).version("2.1.0").runs(runs).build()
}

/// Writes a merged report as the text of a SARIF file.
pub fn to_string(report: &Report, options: &SarifOptions) -> String {
    let mut text = serde_json::to_string_pretty(&to_sarif(report, options))
        .expect("SARIF has string keys and finite numbers only");
    text.push('\n');
    text
}

/// One SARIF run of one module, or of all.
fn run(modules: &[ModuleReport], report: &Report, options: &SarifOptions) -> Run {
    let mut findings: Vec<&Finding> = modules.iter().flat_map(|module| &module.findings).collect();
    let left_out = findings.len().saturating_sub(options.max_results);
    if left_out > 0 {
        // The sort is stable: within a severity, file order stays.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings.truncate(options.max_results);
    }
    let catalogue = rules::Catalogue::new(modules, &findings, report);
    let results: Vec<_> = findings
        .iter()
        .map(|finding| results::result(finding, &catalogue))
        .collect();
    let mut invocations: Vec<Invocation> = modules.iter().map(invocation).collect();
    if let Some(first) = invocations.first_mut() {
        let notifications = first.tool_execution_notifications.get_or_insert_default();
        notifications.extend(report.notifications.iter().map(notification));
        notifications.extend((left_out > 0).then(|| truncated(left_out, options)));
    }
    Run::builder()
        .tool(Tool::builder().driver(driver(modules, &catalogue)).build())
        .automation_details(
            RunAutomationDetails::builder()
                .id(automation_id(modules, options))
                .build(),
        )
        .column_kind("unicodeCodePoints")
        .original_uri_base_ids(BTreeMap::from([(SOURCE_ROOT.to_owned(), source_root(options))]))
        .invocations(invocations)
        .taxonomies(catalogue.taxonomies())
        .results(results)
        .build()
}

fn driver(modules: &[ModuleReport], catalogue: &rules::Catalogue) -> ToolComponent {
    let (name, version) = match modules {
        [module] => (format!("Helve {}", module.module), module.version.as_str()),
        _ => ("Helve".to_owned(), env!("CARGO_PKG_VERSION")),
    };
    let mut driver = ToolComponent::builder()
        .name(name)
        .organization("Helve")
        .product("Helve")
        .information_uri(env!("CARGO_PKG_REPOSITORY"))
        .rules(catalogue.descriptors())
        .notifications(Notice::ALL.map(Notice::descriptor).to_vec())
        .supported_taxonomies(catalogue.supported_taxonomies())
        .build();
    if !version.is_empty() {
        driver.version = Some(version.to_owned());
    }
    driver
}

/// `helve/CATEGORY/MODULE/RUN`: what precedes the last slash is the category that code-scanning pages group by.
fn automation_id(modules: &[ModuleReport], options: &SarifOptions) -> String {
    let mut parts = vec!["helve"];
    parts.extend(options.category.as_deref());
    if let [module] = modules {
        parts.push(&module.module);
    }
    parts.push(options.run_id.as_deref().unwrap_or_default());
    parts.join("/")
}

fn source_root(options: &SarifOptions) -> ArtifactLocation {
    let mut root = ArtifactLocation::builder()
        .description(message("The root of the target"))
        .build();
    root.uri.clone_from(&options.source_root);
    root
}

fn invocation(module: &ModuleReport) -> Invocation {
    let mut notifications: Vec<SarifNotification> = module.notifications.iter().map(notification).collect();
    if let Status::Inconclusive { reason } = &module.status {
        let text = format!(
            "Module {} could not finish, so its findings are incomplete: {reason}",
            module.module
        );
        notifications.insert(0, notice(Notice::Inconclusive, text));
    }
    Invocation::builder()
        .execution_successful(module.status == Status::Completed)
        .tool_execution_notifications(notifications)
        .build()
}

fn notification(of: &Notification) -> SarifNotification {
    let kind = match of.level {
        NotificationLevel::Note => Notice::Information,
        NotificationLevel::Warning | NotificationLevel::Error => Notice::NotScanned,
    };
    let mut notification = notice(kind, of.message.clone());
    notification.level = Some(json!(of.level));
    if let Some(path) = &of.path {
        notification.locations = Some(vec![results::location(path, None)]);
    }
    notification
}

fn truncated(left_out: usize, options: &SarifOptions) -> SarifNotification {
    let text = format!(
        "{left_out} less severe findings are not in this file, which holds at most {}; Helve's own report has all",
        options.max_results,
    );
    notice(Notice::NotScanned, text)
}

/// The kinds of notifications.
#[derive(Clone, Copy)]
enum Notice {
    Inconclusive,
    NotScanned,
    Information,
}

impl Notice {
    const ALL: [Notice; 3] = [Notice::Inconclusive, Notice::NotScanned, Notice::Information];

    fn id_and_title(self) -> (&'static str, &'static str) {
        match self {
            Notice::Inconclusive => ("helve/inconclusive", "A module could not finish"),
            Notice::NotScanned => ("helve/not-scanned", "Something was not looked at"),
            Notice::Information => ("helve/information", "Good to know"),
        }
    }

    fn level(self) -> &'static str {
        match self {
            Notice::Inconclusive => "error",
            Notice::NotScanned => "warning",
            Notice::Information => "note",
        }
    }

    fn descriptor(self) -> ReportingDescriptor {
        let (id, title) = self.id_and_title();
        ReportingDescriptor::builder()
            .id(id)
            .short_description(both(title))
            .build()
    }
}

fn notice(kind: Notice, text: String) -> SarifNotification {
    let (id, _) = kind.id_and_title();
    SarifNotification::builder()
        .descriptor(
            ReportingDescriptorReference::builder()
                .id(id)
                .index(kind as i64)
                .build(),
        )
        .level(kind.level())
        .message(message(&text))
        .build()
}

fn message(text: &str) -> Message {
    Message::builder().text(text::shorten(text, text::MAX_MESSAGE)).build()
}

/// A string whose plain and Markdown forms are the same.
fn both(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder()
        .text(text::shorten(text, MAX_DESCRIPTION))
        .build()
}

/// How rules and results point to the taxonomy.
fn taxonomy_reference() -> ToolComponentReference {
    ToolComponentReference::builder().name("CWE").index(0).build()
}
