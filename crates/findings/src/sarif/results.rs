//! Findings as SARIF results.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use serde_sarif::sarif::{
    ArtifactContent, ArtifactLocation, Location, PhysicalLocation, PropertyBag, Region as SarifRegion,
    Result as SarifResult, ResultLevel, Suppression as SarifSuppression,
};

use super::rules::{Catalogue, sarif_id};
use super::{SOURCE_ROOT, message};
use crate::text::{MAX_SNIPPET, percent_encode_path, shorten};
use crate::{FINGERPRINT_KEY, Finding, Region, Severity, Suppression, SuppressionKind};

/// GitHub shows this many locations of a result.
const MAX_RELATED: usize = 100;

pub(super) fn result(finding: &Finding, catalogue: &Catalogue) -> SarifResult {
    let (index, rule) = catalogue.rule(&finding.rule_id);
    let text = [&finding.message, &rule.name, &rule.id]
        .into_iter()
        .find(|text| !text.trim().is_empty());
    let mut result = SarifResult::builder()
        .rule_id(sarif_id(&finding.rule_id))
        .rule_index(index as i64)
        .level(level(finding.severity))
        .message(message(text.map_or("Finding", |text| text.as_str())))
        .locations(vec![location(&finding.location.path, physical_region(finding))])
        .partial_fingerprints(BTreeMap::from([(
            FINGERPRINT_KEY.to_owned(),
            finding.fingerprint.clone(),
        )]))
        .properties(
            PropertyBag::builder()
                .additional_properties(properties(finding))
                .build(),
        )
        .build();
    let related = related_locations(finding);
    if !related.is_empty() {
        result.related_locations = Some(related);
    }
    // Null would say that nobody looked; an empty list says that nothing is suppressed.
    result.suppressions = Some(finding.suppressions.iter().map(suppression).collect());
    result.baseline_state = finding.baseline.map(|state| json!(state));
    result
}

fn suppression(of: &Suppression) -> SarifSuppression {
    let kind = match of.kind {
        SuppressionKind::InSource => "inSource",
        SuppressionKind::External => "external",
    };
    let mut properties = BTreeMap::from([("decision".to_owned(), json!(of.decision))]);
    properties.extend(of.by.as_ref().map(|by| ("by".to_owned(), json!(by))));
    properties.extend(of.expires.map(|date| ("expires".to_owned(), json!(date))));
    let mut suppression = SarifSuppression::builder()
        .kind(json!(kind))
        .status(json!("accepted"))
        .properties(PropertyBag::builder().additional_properties(properties).build())
        .build();
    suppression.justification.clone_from(&of.reason);
    suppression.location = of
        .place
        .as_ref()
        .map(|place| location(&place.path, place.region.as_ref().map(sarif_region)));
    suppression
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Note | Severity::Low => ResultLevel::Note,
        Severity::Medium => ResultLevel::Warning,
        Severity::High | Severity::Critical => ResultLevel::Error,
    }
}

pub(super) fn location(path: &str, region: Option<SarifRegion>) -> Location {
    let artifact = ArtifactLocation::builder()
        .uri(percent_encode_path(path))
        .uri_base_id(SOURCE_ROOT)
        .build();
    let mut physical = PhysicalLocation::builder().artifact_location(artifact).build();
    physical.region = region;
    Location::builder().physical_location(physical).build()
}

/// The region of a finding. A finding about a whole file has none in Helve, but pages show only results that have
/// one, so it gets the first line.
fn physical_region(finding: &Finding) -> Option<SarifRegion> {
    let Some(region) = finding.location.region else {
        return Some(SarifRegion::builder().start_line(1).build());
    };
    let mut region = sarif_region(&region);
    region.snippet = finding
        .location
        .snippet
        .as_ref()
        .map(|snippet| ArtifactContent::builder().text(shorten(snippet, MAX_SNIPPET)).build());
    Some(region)
}

/// SARIF counts from 1 and has no region that ends before it starts; modules should not make these either.
fn sarif_region(region: &Region) -> SarifRegion {
    let start = (region.start_line.max(1), region.start_column.max(1));
    let end = (region.end_line, region.end_column.max(1)).max(start);
    SarifRegion::builder()
        .start_line(start.0)
        .start_column(start.1)
        .end_line(end.0)
        .end_column(end.1)
        .build()
}

/// Where and as what other modules reported the same weakness.
fn related_locations(finding: &Finding) -> Vec<Location> {
    let mut related = Vec::new();
    for (id, other) in finding.duplicates.iter().take(MAX_RELATED).enumerate() {
        let mut place = location(&other.location.path, other.location.region.as_ref().map(sarif_region));
        place.id = Some(id as i64 + 1);
        place.message = Some(message(&format!("Also reported as {}", other.rule_id)));
        related.push(place);
    }
    related
}

fn properties(finding: &Finding) -> BTreeMap<String, Value> {
    let mut properties = BTreeMap::from([
        ("severity".to_owned(), json!(finding.severity)),
        ("confidence".to_owned(), json!(finding.confidence)),
        ("module".to_owned(), json!(finding.module)),
    ]);
    if !finding.duplicates.is_empty() {
        properties.insert("rules".to_owned(), finding.rule_ids().collect::<Vec<_>>().into());
        // A baseline knows the weakness again when another module leads.
        properties.insert(
            "fingerprints".to_owned(),
            finding.fingerprints().collect::<Vec<_>>().into(),
        );
    }
    if !finding.owners.is_empty() {
        properties.insert("owners".to_owned(), json!(finding.owners));
    }
    if let Some(remediation) = &finding.remediation {
        properties.insert("remediation".to_owned(), json!(remediation));
    }
    if !finding.properties.is_empty() {
        // Below a key of their own, so that a module's fact cannot be taken for a key that SARIF defines.
        let details: Map<String, Value> = finding.properties.clone().into_iter().collect();
        properties.insert("details".to_owned(), Value::Object(details));
    }
    properties
}
