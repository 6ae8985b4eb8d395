//! Candidates as findings: positions, redacted snippets, messages, inline ignores.

use std::ops::Range;

use helve_findings::{Confidence, Finding, Location, secret_anchor};
use serde_json::json;

use super::rules::RuleSet;
use super::scan::{Candidate, Scanned};
use super::text::{Positions, line_end, line_start};
use super::{NAME, entropy, redact};

/// How much of a long line around a secret is considered for the snippet.
const SNIPPET_SPAN: usize = 400;
/// Secrets shorter than this are masked where they stand, but not wherever else the same letters occur.
const MASKED_EVERYWHERE_FROM: usize = 4;

/// The findings of a file.
pub(crate) fn findings(
    rules: &RuleSet,
    path: &str,
    text: &[u8],
    scanned: &Scanned,
    min_confidence: Confidence,
) -> Vec<Finding> {
    let mut positions = Positions::new(text);
    let mut sensitive = scanned.sensitive.clone();
    sensitive.sort_by_key(|range| (range.start, range.end));
    scanned
        .found
        .iter()
        .filter(|candidate| candidate.verdict.confidence >= min_confidence)
        .map(|candidate| finding(rules, path, text, candidate, &sensitive, &mut positions))
        .collect()
}

fn finding(
    rules: &RuleSet,
    path: &str,
    text: &[u8],
    candidate: &Candidate,
    sensitive: &[Range<usize>],
    positions: &mut Positions<'_>,
) -> Finding {
    let rule = &rules.rules[candidate.rule].meta;
    let secret = String::from_utf8_lossy(&candidate.secret);
    let shown = redact::secret(&secret);
    let region = positions.region(&candidate.range);
    let mut location = Location::region(path, region);
    location.snippet = Some(snippet(text, candidate, &secret, &shown, sensitive));
    let mut finding = Finding::new(
        rule,
        NAME,
        message(&rule.name, candidate, &secret, &shown),
        location,
        secret_anchor(&secret),
    );
    finding.confidence = candidate.verdict.confidence;
    let bits = (entropy::shannon(&candidate.secret) * 100.0).round() / 100.0;
    finding.properties.insert("entropy".into(), json!(bits));
    if !candidate.steps.is_empty() {
        let steps: Vec<&str> = candidate.steps.iter().map(|step| step.name()).collect();
        finding.properties.insert("decoded".into(), json!(steps));
    }
    if let Some(valid) = candidate.verdict.checksum {
        finding
            .properties
            .insert("checksum".into(), json!(if valid { "valid" } else { "invalid" }));
    }
    finding
}

fn message(rule: &str, candidate: &Candidate, secret: &str, shown: &str) -> String {
    let mut message = format!("{rule} `{}`", shown.replace('`', "*"));
    // A name can be made of the secret itself: `hunter2_password = "hunter2"`.
    if let Some(name) = candidate
        .name
        .as_ref()
        .filter(|name| !name.is_empty() && is_apart(name, secret))
    {
        message.push_str(&format!(" assigned to `{name}`"));
    }
    if !candidate.steps.is_empty() {
        let steps: Vec<&str> = candidate.steps.iter().map(|step| step.name()).collect();
        message.push_str(&format!(", hidden as {}", steps.join(" in ")));
    }
    message.push('.');
    message
}

fn is_apart(name: &str, secret: &str) -> bool {
    let secret = secret.to_ascii_lowercase();
    !name.contains(&secret) && !secret.contains(name)
}

fn snippet(text: &[u8], candidate: &Candidate, secret: &str, shown: &str, sensitive: &[Range<usize>]) -> String {
    let at = candidate.range.start;
    let start = char_boundary(text, line_start(text, at).max(at.saturating_sub(SNIPPET_SPAN)));
    let line_end = line_end(text, at);
    let end = char_boundary(text, line_end.min(candidate.range.end.max(at) + SNIPPET_SPAN)).max(at);
    let mut masks: Vec<(Range<usize>, String)> = Vec::new();
    for range in sensitive.iter().filter(|range| range.start < end && range.end > start) {
        let clip = range.start.max(start) - start..range.end.min(end) - start;
        match masks.last_mut() {
            Some((last, _)) if clip.start < last.end => last.end = last.end.max(clip.end),
            _ => masks.push((clip, redact::MASK.to_owned())),
        }
    }
    if let Some((_, mask)) = masks.iter_mut().find(|(range, _)| range.start == at - start) {
        *mask = shown.to_owned();
    }
    let line = redact::snippet(&text[start..end], &masks);
    if secret.len() < MASKED_EVERYWHERE_FROM {
        line
    } else {
        line.replace(secret, redact::MASK)
    }
}

fn char_boundary(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] & 0xc0 == 0x80 {
        at += 1;
    }
    at
}
