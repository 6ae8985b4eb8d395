//! Fingerprints: the identity of a finding across scans.
//!
//! A fingerprint hashes rule, path, anchor and occurrence, and nothing else: not the line, so shifts and moves within
//! the file do not matter; not the text around the match, so unrelated edits do not matter; not the message or the
//! severity, so better wording does not turn an old finding into a new one. Equal matches in one file are numbered
//! in file order; inserting another equal one before them shifts their numbers, which nothing can tell from an
//! insertion after them.

use std::collections::BTreeMap;

use crate::anchor::seal;
use crate::cwe::holds_secret;
use crate::{Finding, Rule};

/// The key under which SARIF's `partialFingerprints` holds [`Finding::fingerprint`].
pub const FINGERPRINT_KEY: &str = "helve/v1";

/// Bytes kept of the hash: collisions are out of reach at any number of findings.
const HEX_DIGITS: usize = 32;

/// Seals the anchors, numbers equal findings in file order and computes all fingerprints.
///
/// `rules` tells which findings may hold a credential; the anchor of a finding whose rule is not among them is treated
/// as one that does.
pub fn finish(findings: &mut [Finding], rules: &[Rule]) {
    seal_anchors(findings, rules);
    number(findings);
    for finding in findings.iter_mut() {
        finding.fingerprint = fingerprint(finding);
    }
}

pub(crate) fn seal_anchors(findings: &mut [Finding], rules: &[Rule]) {
    let secretive: BTreeMap<&str, bool> = rules
        .iter()
        .map(|rule| (rule.id.as_str(), holds_secret(&rule.cwe)))
        .collect();
    for finding in findings.iter_mut() {
        let holds_secret = secretive.get(finding.rule_id.as_str()).copied().unwrap_or(true);
        finding.anchor = seal(&finding.anchor, holds_secret);
    }
}

/// Ranks equal findings by place, wherever they stand in the slice.
fn number(findings: &mut [Finding]) {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    // Fingerprints, perhaps left from an earlier merge, must have no say here.
    order.sort_by(|a, b| {
        let (a, b) = (&findings[*a], &findings[*b]);
        (a.location.region, &a.module).cmp(&(b.location.region, &b.module))
    });
    let mut ranks: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    for index in order {
        let finding = &mut findings[index];
        let key = (
            finding.rule_id.clone(),
            finding.location.path.clone(),
            finding.anchor.clone(),
        );
        let rank = ranks.entry(key).or_default();
        finding.occurrence = *rank;
        *rank += 1;
    }
}

fn fingerprint(finding: &Finding) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("helve findings v1 fingerprint");
    for part in [&finding.rule_id, &finding.location.path, &finding.anchor] {
        // Lengths keep ("ab", "c") apart from ("a", "bc").
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.update(&finding.occurrence.to_le_bytes());
    hasher.finalize().to_hex()[..HEX_DIGITS].to_owned()
}
