//! Rules and the weakness taxonomy.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use serde_sarif::sarif::{
    MultiformatMessageString, PropertyBag, ReportingConfiguration, ReportingDescriptor, ReportingDescriptorReference,
    ReportingDescriptorRelationship, ToolComponent, ToolComponentReference,
};

use super::{both, taxonomy_reference};
use crate::text::{MAX_HELP, MAX_ID, is_web_address, pascal_case, shorten};
use crate::{Confidence, Finding, ModuleReport, Report, Rule, Severity, cwe_name};

/// GitHub's limit on the tags of a rule.
const MAX_TAGS: usize = 20;
/// How many of these may be weaknesses, which come first.
const MAX_CWE_TAGS: usize = 10;

/// The rules of one run in their order, and the weaknesses that they name.
pub(super) struct Catalogue {
    rules: Vec<Rule>,
    index: BTreeMap<String, usize>,
    cwe: Vec<u32>,
}

impl Catalogue {
    /// The rules that ran, and a stand-in for each rule that only a finding names.
    pub(super) fn new(modules: &[ModuleReport], findings: &[&Finding], report: &Report) -> Self {
        let mut rules: BTreeMap<&str, Rule> = BTreeMap::new();
        for rule in modules.iter().flat_map(|module| &module.rules) {
            rules.entry(&rule.id).or_insert_with(|| rule.clone());
        }
        for finding in findings {
            rules.entry(&finding.rule_id).or_insert_with(|| {
                report
                    .rule(&finding.rule_id)
                    .cloned()
                    .unwrap_or_else(|| stand_in(finding))
            });
        }
        let rules: Vec<Rule> = rules.into_values().collect();
        let index = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (rule.id.clone(), index))
            .collect();
        let cwe: BTreeSet<u32> = rules.iter().flat_map(|rule| rule.cwe.iter().copied()).collect();
        Catalogue {
            rules,
            index,
            cwe: cwe.into_iter().collect(),
        }
    }

    /// The position and the rule of a finding that the catalogue was made for.
    pub(super) fn rule(&self, id: &str) -> (usize, &Rule) {
        let index = self.index[id];
        (index, &self.rules[index])
    }

    pub(super) fn descriptors(&self) -> Vec<ReportingDescriptor> {
        self.rules.iter().map(|rule| self.descriptor(rule)).collect()
    }

    fn descriptor(&self, rule: &Rule) -> ReportingDescriptor {
        let level = rule.severity.sarif_level();
        let mut descriptor = ReportingDescriptor::builder()
            .id(sarif_id(&rule.id))
            .name(pascal_case(&rule.id))
            .short_description(both(or(&rule.name, &rule.id)))
            .full_description(both(or(&rule.description, or(&rule.name, &rule.id))))
            .help(help(rule))
            .default_configuration(ReportingConfiguration::builder().level(level).build())
            .properties(properties(rule))
            .build();
        descriptor.help_uri = rule.references.iter().find(|address| is_web_address(address)).cloned();
        if !rule.cwe.is_empty() {
            descriptor.relationships = Some(distinct(&rule.cwe).map(|number| self.relationship(number)).collect());
        }
        descriptor
    }

    /// The rule looks for a special case of the weakness.
    fn relationship(&self, number: u32) -> ReportingDescriptorRelationship {
        let index = self
            .cwe
            .binary_search(&number)
            .expect("the catalogue has the weaknesses of all its rules");
        ReportingDescriptorRelationship::builder()
            .target(
                ReportingDescriptorReference::builder()
                    .id(format!("CWE-{number}"))
                    .index(index as i64)
                    .tool_component(taxonomy_reference())
                    .build(),
            )
            .kinds(vec!["superset".to_owned()])
            .build()
    }

    /// The weaknesses that the rules name; an empty taxonomy when they name none, so that references stay valid.
    pub(super) fn taxonomies(&self) -> Vec<ToolComponent> {
        let taxa: Vec<ReportingDescriptor> = self.cwe.iter().map(|number| taxon(*number)).collect();
        vec![
            ToolComponent::builder()
                .name("CWE")
                .organization("MITRE")
                .information_uri("https://cwe.mitre.org/")
                .short_description(both("The MITRE Common Weakness Enumeration"))
                .is_comprehensive(false)
                .taxa(taxa)
                .build(),
        ]
    }

    pub(super) fn supported_taxonomies(&self) -> Vec<ToolComponentReference> {
        vec![taxonomy_reference()]
    }
}

/// The id of a rule as results and rules give it.
pub(super) fn sarif_id(rule_id: &str) -> String {
    shorten(rule_id, MAX_ID)
}

fn taxon(number: u32) -> ReportingDescriptor {
    let title = cwe_name(number).map_or_else(|| format!("CWE-{number}"), str::to_owned);
    ReportingDescriptor::builder()
        .id(format!("CWE-{number}"))
        .short_description(both(&title))
        .help_uri(format!("https://cwe.mitre.org/data/definitions/{number}.html"))
        .build()
}

/// What is known of a rule when its module did not describe it.
fn stand_in(finding: &Finding) -> Rule {
    Rule {
        id: finding.rule_id.clone(),
        name: finding.rule_id.clone(),
        description: String::new(),
        severity: finding.severity,
        confidence: finding.confidence,
        cwe: Vec::new(),
        tags: Vec::new(),
        remediation: finding.remediation.clone().unwrap_or_default(),
        references: Vec::new(),
    }
}

fn properties(rule: &Rule) -> PropertyBag {
    let mut more: BTreeMap<String, Value> = BTreeMap::new();
    // Without a score GitHub shows the level, which is what a note needs.
    if rule.severity > Severity::Note {
        more.insert(
            "security-severity".to_owned(),
            json!(format!("{:.1}", rule.severity.security_severity())),
        );
    }
    let precision = match rule.confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "very-high",
    };
    more.insert("precision".to_owned(), json!(precision));
    PropertyBag::builder()
        .tags(tags(rule))
        .additional_properties(more)
        .build()
}

/// `security` first, then weaknesses as GitHub knows them (at least three digits), then the rule's own labels.
fn tags(rule: &Rule) -> Vec<String> {
    let weaknesses = distinct(&rule.cwe)
        .take(MAX_CWE_TAGS)
        .map(|number| format!("external/cwe/cwe-{number:03}"));
    let own = rule
        .tags
        .iter()
        .filter(|tag| !tag.trim().is_empty())
        .map(|tag| shorten(tag.trim(), MAX_ID));
    let mut tags: Vec<String> = Vec::new();
    for tag in std::iter::once("security".to_owned()).chain(weaknesses).chain(own) {
        if tags.len() < MAX_TAGS && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn help(rule: &Rule) -> MultiformatMessageString {
    let title = or(&rule.name, &rule.id);
    let mut text = String::from(or(&rule.description, title));
    let mut markdown = format!("# {title}\n\n{}\n", rule.description);
    if !rule.remediation.is_empty() {
        text.push_str(&format!("\n\nWhat to do: {}", rule.remediation));
        markdown.push_str(&format!("\n## What to do\n\n{}\n", rule.remediation));
    }
    let links = links(rule);
    if !links.is_empty() {
        text.push_str("\n\nRead more:");
        markdown.push_str("\n## Read more\n\n");
        for (label, address) in links {
            text.push_str(&format!("\n- {label}: {address}"));
            markdown.push_str(&format!("- [{label}]({address})\n"));
        }
    }
    MultiformatMessageString::builder()
        .text(shorten(&text, MAX_HELP))
        .markdown(shorten(&markdown, MAX_HELP))
        .build()
}

fn links(rule: &Rule) -> Vec<(String, String)> {
    let weaknesses = distinct(&rule.cwe).map(|number| {
        let label = cwe_name(number).map_or_else(|| format!("CWE-{number}"), |name| format!("CWE-{number}: {name}"));
        (label, format!("https://cwe.mitre.org/data/definitions/{number}.html"))
    });
    let references = rule.references.iter().filter(|address| is_web_address(address));
    weaknesses
        .chain(references.map(|address| (address.clone(), address.clone())))
        .collect()
}

fn distinct(numbers: &[u32]) -> impl Iterator<Item = u32> {
    let mut seen = BTreeSet::new();
    numbers.iter().copied().filter(move |number| seen.insert(*number))
}

/// The first text, or the second when the first is blank.
fn or<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.trim().is_empty() { second } else { first }
}
