//! What a parser read becomes findings and rules.

use std::collections::BTreeMap;

use helve_findings::{
    Confidence, Finding, Location, ModuleReport, Rule, Severity, code_anchor, holds_secret, secret_anchor,
};
use helve_toolbox::command::{CommandSpec, RuleSpec};

use serde_json::{Value, json};

use super::parse::{Parsed, RawFinding, RawRule};
use super::place::{Places, RawPlace};

/// Longest message.
const MAX_MESSAGE: usize = 2_000;
/// The path of a finding that is about no file.
const WHOLE_TARGET: &str = ".";
const NOWHERE: RawPlace = RawPlace {
    path: None,
    line: None,
    column: None,
    end_line: None,
    end_column: None,
};

/// Turns raw findings into ours.
pub(crate) struct Collector<'a> {
    spec: &'a CommandSpec,
    module: &'a str,
    places: Places,
    rules: BTreeMap<String, Rule>,
    findings: Vec<Finding>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(spec: &'a CommandSpec, module: &'a str, places: Places) -> Self {
        Self {
            spec,
            module,
            places,
            rules: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Takes what a parser read; what the tool said that it did not look at goes to the reasons.
    pub(crate) fn add(&mut self, parsed: Parsed, reasons: &mut Vec<String>) {
        let program = self.spec.program();
        reasons.extend(parsed.gaps.into_iter().map(|gap| format!("{program} said: {gap}")));
        for rule in parsed.rules {
            self.rule(&rule.id.clone(), Some(rule));
        }
        let mut elsewhere = 0;
        for finding in parsed.findings {
            elsewhere += u64::from(!self.finding(finding));
        }
        if elsewhere > 0 {
            reasons.push(format!(
                "{elsewhere} results of {program} are about files outside of the target"
            ));
        }
    }

    pub(crate) fn finish(self, report: &mut ModuleReport) {
        report.rules = self.rules.into_values().collect();
        report.findings = self.findings;
    }

    /// The rule of that id, made from what the tool and `module.yaml` say.
    fn rule(&mut self, id: &str, said: Option<RawRule>) -> Rule {
        let own = format!("{}/{}", self.module, id.trim());
        if let Some(known) = self.rules.get(&own) {
            return known.clone();
        }
        let said = said.unwrap_or_else(|| RawRule {
            id: id.to_owned(),
            ..RawRule::default()
        });
        let told = self.spec.rules.iter().find(|rule| rule.id == id);
        let text = |ours: fn(&RuleSpec) -> &String, theirs: &str| {
            told.map(ours)
                .filter(|text| !text.is_empty())
                .cloned()
                .unwrap_or_else(|| theirs.to_owned())
        };
        let severity = told
            .and_then(|rule| rule.severity.as_deref())
            .and_then(|name| name.parse().ok());
        let rule = Rule {
            id: own.clone(),
            name: text(|rule| &rule.name, if said.name.is_empty() { id } else { &said.name }),
            description: text(|rule| &rule.description, &said.description),
            severity: severity.or(said.severity).unwrap_or_else(|| self.default_severity()),
            confidence: said.confidence.unwrap_or(Confidence::Medium),
            cwe: match told {
                Some(rule) if !rule.cwe.is_empty() => rule.cwe.clone(),
                _ => said.cwe,
            },
            tags: said.tags,
            remediation: text(|rule| &rule.remediation, &said.remediation),
            references: said.references,
        };
        self.rules.insert(own, rule.clone());
        rule
    }

    fn default_severity(&self) -> Severity {
        self.spec.default_severity.parse().unwrap_or(Severity::Medium)
    }

    /// Says whether the finding is about the target at all.
    fn finding(&mut self, raw: RawFinding) -> bool {
        // A tool without names for its rules has one; of several, nobody can say which it is.
        let only = match self.spec.rules.as_slice() {
            [rule] => rule.id.clone(),
            _ => "finding".to_owned(),
        };
        let id = raw.rule.clone().filter(|id| !id.trim().is_empty()).unwrap_or(only);
        let mut rule = self.rule(&id, None);
        if rule.cwe.is_empty() && !raw.cwe.is_empty() {
            rule.cwe.clone_from(&raw.cwe);
            self.rules.insert(rule.id.clone(), rule.clone());
        }
        let Some((path, place)) = self.place(&raw) else {
            return false;
        };
        let region = self.places.region(&path, place);
        let secret = holds_secret(&rule.cwe) || holds_secret(&raw.cwe);
        let message = message(&raw.message, secret);
        let text = region.and_then(|region| self.places.text(&path, &region));
        // Sealed here: the text may hold a secret, and reports are stored before they are merged.
        let anchor = match (text, secret) {
            _ if raw.identity.is_some() => raw.identity.clone().unwrap_or_default(),
            (Some(text), true) => secret_anchor(&text),
            (Some(text), false) => code_anchor(&text),
            (None, _) => code_anchor(&message),
        };
        let location = match region {
            Some(region) => Location::region(path, region),
            None => Location::file(path),
        };
        let mut finding = Finding::new(&rule, self.module, message, location, anchor);
        finding.severity = raw.severity.unwrap_or(rule.severity);
        finding.confidence = raw.confidence.unwrap_or(rule.confidence);
        finding.suppressions.extend(raw.accepted.clone());
        if raw.identity.is_some() {
            return self.recognised(finding, &raw.inputs);
        }
        self.findings.push(finding);
        true
    }

    /// Where the finding is: where the tool says, or the first place on the way there that is in the target. A crash is
    /// the target's wherever its stack ends.
    fn place<'r>(&self, raw: &'r RawFinding) -> Option<(String, &'r RawPlace)> {
        let said = raw.place.path.as_deref().map(|path| self.places.relative(path));
        if let Some(Some(relative)) = &said
            && !relative.is_empty()
            && (raw.stack.is_empty() || self.places.is_file(relative))
        {
            return Some((relative.clone(), &raw.place));
        }
        for place in &raw.stack {
            let relative = place.path.as_deref().and_then(|path| self.places.relative(path));
            if let Some(relative) = relative.filter(|relative| self.places.is_file(relative)) {
                return Some((relative, place));
            }
        }
        match said {
            Some(None) if raw.identity.is_none() => None,
            Some(Some(relative)) if relative.is_empty() => Some((WHOLE_TARGET.to_owned(), &raw.place)),
            _ => Some((WHOLE_TARGET.to_owned(), &NOWHERE)),
        }
    }

    /// Adds a finding that is known by its identity, or its inputs to the one that has it.
    fn recognised(&mut self, mut finding: Finding, inputs: &[String]) -> bool {
        let same = |other: &&mut Finding| other.rule_id == finding.rule_id && other.anchor == finding.anchor;
        let known = self.findings.iter_mut().find(same);
        let of = |finding: &Finding| {
            let inputs = finding.properties.get("inputs").and_then(Value::as_array);
            inputs.cloned().unwrap_or_default()
        };
        let mut all = known.as_deref().map(of).unwrap_or_default();
        all.extend(inputs.iter().map(|input| json!(input)));
        all.dedup();
        match known {
            Some(known) => {
                known.properties.insert("inputs".to_owned(), Value::Array(all));
            }
            None => {
                let hash = finding.anchor.rsplit('-').next().unwrap_or_default().get(..16);
                finding.properties.insert("stack".to_owned(), json!(hash));
                finding.properties.insert("inputs".to_owned(), Value::Array(all));
                self.findings.push(finding);
            }
        }
        true
    }
}

/// A message of bounded length. Tools quote what they found; a credential must not go on.
fn message(text: &str, secret: bool) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = if secret { without_quotations(&text) } else { text };
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn without_quotations(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['\'', '"', '`']) {
        let quote = &rest[start..=start];
        // A greedy end: a secret may hold the quotation mark itself.
        let Some(end) = rest[start + 1..].rfind(quote) else {
            break;
        };
        out.push_str(&rest[..=start]);
        out.push('…');
        out.push_str(quote);
        rest = &rest[start + 1 + end + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_credential_loses_what_it_quotes() {
        assert_eq!(
            message("Possible hardcoded password: 'hunt'er2'", true),
            "Possible hardcoded password: '…'"
        );
        assert_eq!(message("Use of  'eval'\n detected", false), "Use of 'eval' detected");
    }
}
