//! CycloneDX 1.6 VEX: what is known about the flaws of components, and what was decided about them.
//!
//! It takes the findings that name a component (the property `purl`) and leaves the others out: VEX has no place for them.
//! A decision holds for a flaw *of a component*, so a flaw whose components have different decisions is listed once for each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{About, pretty};
use crate::text::is_web_address;
use crate::{Decision, Finding, Report, Rule, Severity, Suppression};

pub(super) fn write(report: &Report, about: &About) -> String {
    let mut components: BTreeSet<&str> = BTreeSet::new();
    let mut vulnerabilities: BTreeMap<(String, String), Vulnerability<'_>> = BTreeMap::new();
    let findings = report.findings();
    // What was decided about a finding holds for what other modules said of the same weakness.
    let versions = findings.iter().flat_map(|leader| {
        std::iter::once(*leader)
            .chain(&leader.duplicates)
            .map(|version| (*leader, version))
    });
    for (leader, finding) in versions {
        let Some(purl) = finding
            .properties
            .get("purl")
            .and_then(Value::as_str)
            .filter(|purl| purl.starts_with("pkg:"))
        else {
            continue;
        };
        components.insert(purl);
        let analysis = analysis(leader);
        let key = (id(&finding.rule_id).to_owned(), analysis.to_string());
        let known = vulnerabilities.entry(key).or_insert_with(|| Vulnerability {
            finding,
            rule: report.rule(&finding.rule_id),
            analysis,
            purls: BTreeSet::new(),
            recommendations: BTreeSet::new(),
        });
        known.purls.insert(purl);
        known.recommendations.extend(finding.remediation.as_deref());
        known.finding = worse(known.finding, finding);
    }
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata(report, about),
        "components": components.iter().map(|purl| component(purl)).collect::<Vec<_>>(),
        "vulnerabilities": vulnerabilities.into_values().map(Vulnerability::write).collect::<Vec<_>>(),
    });
    document["serialNumber"] = json!(serial_number(&document));
    pretty(&document)
}

fn worse<'a>(a: &'a Finding, b: &'a Finding) -> &'a Finding {
    if b.severity > a.severity { b } else { a }
}

/// `GHSA-...` of `supply-chain/GHSA-...`.
fn id(rule_id: &str) -> &str {
    rule_id.rsplit('/').next().unwrap_or(rule_id)
}

struct Vulnerability<'a> {
    finding: &'a Finding,
    rule: Option<&'a Rule>,
    analysis: Value,
    purls: BTreeSet<&'a str>,
    recommendations: BTreeSet<&'a str>,
}

impl Vulnerability<'_> {
    fn write(self) -> Value {
        let id = id(&self.finding.rule_id);
        let affects: Vec<Value> = self.purls.iter().map(|purl| json!({"ref": purl})).collect();
        let mut value = json!({
            "id": id,
            "ratings": [{"severity": severity(self.finding.severity), "method": "other"}],
            "analysis": self.analysis,
            "affects": affects,
            "properties": [{"name": "helve:module", "value": self.finding.module}],
        });
        let mut set = |key: &str, content: Value| {
            value[key] = content;
        };
        if let Some(source) = source(id) {
            set("source", source);
        }
        let Some(rule) = self.rule else { return value };
        set("description", json!(rule.name));
        if !rule.description.is_empty() {
            set("detail", json!(rule.description));
        }
        let mut recommendations: Vec<&str> = self.recommendations.into_iter().collect();
        if recommendations.is_empty() && !rule.remediation.is_empty() {
            recommendations.push(&rule.remediation);
        }
        if !recommendations.is_empty() {
            set("recommendation", json!(recommendations.join("\n")));
        }
        // Weaknesses are numbered from 1.
        let cwes: BTreeSet<u32> = rule.cwe.iter().copied().filter(|number| *number > 0).collect();
        if !cwes.is_empty() {
            set("cwes", json!(cwes));
        }
        let links: BTreeSet<&String> = rule.references.iter().filter(|text| is_web_address(text)).collect();
        if !links.is_empty() {
            set("advisories", links.iter().map(|url| json!({"url": url})).collect());
        }
        let others: Vec<Value> = rule
            .tags
            .iter()
            .filter(|tag| *tag != id)
            .filter_map(|tag| alias(tag))
            .collect();
        if !others.is_empty() {
            set("references", json!(others));
        }
        value
    }
}

/// Who gives out ids that begin so.
const SOURCES: [(&str, &str, &str); 6] = [
    ("CVE-", "NVD", "https://nvd.nist.gov/vuln/detail/"),
    ("GHSA-", "GitHub Advisory Database", "https://github.com/advisories/"),
    ("RUSTSEC-", "RustSec", "https://rustsec.org/advisories/"),
    ("PYSEC-", "PyPA Advisory Database", "https://osv.dev/vulnerability/"),
    ("GO-", "Go Vulnerability Database", "https://pkg.go.dev/vuln/"),
    ("MAL-", "OpenSSF Malicious Packages", "https://osv.dev/vulnerability/"),
];

fn source(id: &str) -> Option<Value> {
    let (_, name, url) = SOURCES.iter().find(|(prefix, ..)| id.starts_with(prefix))?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| json!({"name": name, "url": format!("{url}{id}")}))
}

/// Another name of the same flaw.
fn alias(tag: &str) -> Option<Value> {
    Some(json!({"id": tag, "source": source(tag)?}))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "info",
        other => other.as_str(),
    }
}

fn analysis(finding: &Finding) -> Value {
    let Some(suppression) = finding.suppressions.first() else {
        // Nobody has said anything yet, and a tool cannot know.
        return json!({"state": "in_triage"});
    };
    let detail = finding
        .suppressions
        .iter()
        .map(Suppression::summary)
        .collect::<Vec<_>>();
    let mut analysis = match suppression.decision {
        Decision::FalsePositive => json!({"state": "false_positive"}),
        Decision::NotAffected => json!({"state": "not_affected"}),
        Decision::AcceptedRisk => json!({"state": "exploitable", "response": ["will_not_fix"]}),
    };
    analysis["detail"] = json!(detail.join("\n"));
    analysis
}

fn component(purl: &str) -> Value {
    let mut component = Map::from_iter([
        ("type".to_owned(), json!("library")),
        ("bom-ref".to_owned(), json!(purl)),
        ("purl".to_owned(), json!(purl)),
    ]);
    let (name, version) = name_and_version(purl);
    component.insert("name".to_owned(), json!(name));
    component.extend(version.map(|version| ("version".to_owned(), json!(version))));
    Value::Object(component)
}

/// What a package URL says of name (with its namespace) and version, percent-decoded.
fn name_and_version(purl: &str) -> (String, Option<String>) {
    let path = purl.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("pkg:").unwrap_or(path);
    let path = path.split_once('/').map_or(path, |(_, rest)| rest);
    match path.rsplit_once('@').filter(|(name, _)| !name.is_empty()) {
        Some((name, version)) => (decoded(name), Some(decoded(version))),
        None => (decoded(path), None),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn metadata(report: &Report, about: &About) -> Value {
    let property = |name: &str, value: &str| json!({"name": name, "value": value});
    let mut properties = vec![
        property("helve:run", &about.run_id),
        property("helve:workflow", &about.workflow),
    ];
    for (module, reason) in report.inconclusive() {
        properties.push(property("helve:inconclusive", &format!("{module}: {reason}")));
    }
    let mut metadata = json!({
        "tools": {"components": [{"type": "application", "name": "helve", "version": env!("CARGO_PKG_VERSION")}]},
        "properties": properties,
    });
    if let Some(time) = &about.finished_at {
        metadata["timestamp"] = json!(time);
    }
    if let Some(target) = about.target.as_ref().filter(|name| !name.is_empty()) {
        metadata["component"] = json!({"type": "application", "name": target, "bom-ref": "target"});
    }
    metadata
}

/// A UUID made of the content: the same document has the same one, another has another.
fn serial_number(document: &Value) -> String {
    let hash = blake3::Hasher::new_derive_key("helve findings v1 vex serial number")
        .update(document.to_string().as_bytes())
        .finalize();
    let hex = hash.to_hex();
    // Version 8, variant 1: a custom one.
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..15],
        &hex[15..18],
        &hex[18..30]
    )
}
