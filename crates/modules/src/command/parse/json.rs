//! JSON of any shape, by paths.

use std::collections::{BTreeMap, HashSet};

use helve_toolbox::command::JsonFormat;
use regex::Regex;
use serde_json::Value;

use super::path::{Path, Place};
use super::{Parsed, RawFinding, RawPlace, confidence, cwe, severity};

/// Gaps that are quoted; the rest is counted.
const MAX_GAPS: usize = 20;

pub(crate) struct Json {
    items: Path,
    fields: BTreeMap<String, Path>,
    gaps: Vec<(Path, String)>,
    severities: BTreeMap<String, String>,
    lines: bool,
    only: Vec<(Path, Regex)>,
}

impl Json {
    pub(super) fn new(format: &JsonFormat) -> Result<Self, String> {
        let fields = format
            .fields
            .iter()
            .map(|(name, path)| Ok((name.clone(), Path::new(path)?)));
        let gaps = format
            .gaps
            .iter()
            .map(|(path, meaning)| Ok((Path::new(path)?, meaning.clone())));
        let only = format.only.iter().map(|(path, pattern)| {
            Ok((
                Path::new(path)?,
                Regex::new(pattern).map_err(|error| error.to_string())?,
            ))
        });
        Ok(Self {
            items: Path::new(&format.items)?,
            fields: fields.collect::<Result<_, String>>()?,
            gaps: gaps.collect::<Result<_, String>>()?,
            severities: format.severities.clone(),
            lines: format.lines,
            only: only.collect::<Result<_, String>>()?,
        })
    }

    pub(super) fn parse(&self, bytes: &[u8]) -> Result<Parsed, String> {
        let not_json = |error: serde_json::Error| format!("not JSON: {error}");
        let document: Value = match self.lines {
            false => serde_json::from_slice(bytes).map_err(not_json)?,
            true => {
                let lines = bytes
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.trim_ascii().is_empty());
                let all: Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
                Value::Array(all.map_err(not_json)?)
            }
        };
        if !self.items.is_there(&document) {
            return Err("the findings are not where `items` says".to_owned());
        }
        let mut parsed = Parsed::default();
        // By address: what a gap was found in is no finding ("cannot be parsed" is not a flaw).
        let mut no_findings: HashSet<*const Value> = HashSet::new();
        for (path, meaning) in &self.gaps {
            let mut found = path.all(&document);
            found.retain(|place| says_something(place.value));
            no_findings.extend(found.iter().map(|place| std::ptr::from_ref(place.item())));
            let named = found.iter().take(MAX_GAPS);
            parsed
                .gaps
                .extend(named.map(|place| format!("{meaning}: {}", shown(place.value))));
            if found.len() > MAX_GAPS {
                parsed.gaps.push(format!("{meaning}: {} more", found.len() - MAX_GAPS));
            }
        }
        let items = self.items.all(&document).into_iter();
        let items = items.filter(|item| !no_findings.contains(&std::ptr::from_ref(item.value)));
        let items = items.filter(|item| self.counts(item));
        parsed.findings = items.map(|item| self.finding(&item)).collect();
        Ok(parsed)
    }

    /// Whether it is what `where` asks for.
    fn counts(&self, item: &Place<'_>) -> bool {
        self.only.iter().all(|(path, pattern)| match path.first(item) {
            Some(Value::String(text)) => pattern.is_match(text),
            Some(Value::Null) | None => false,
            Some(other) => pattern.is_match(&other.to_string()),
        })
    }

    fn finding(&self, item: &Place<'_>) -> RawFinding {
        let text = |name: &str| {
            let value = self.fields.get(name)?.first(item)?;
            Some(match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        let number = |name: &str| text(name)?.trim().parse().ok();
        RawFinding {
            rule: text("rule"),
            message: text("message").unwrap_or_else(|| "no message".to_owned()),
            place: RawPlace {
                path: text("path"),
                line: number("line"),
                column: number("column"),
                end_line: number("end_line"),
                end_column: number("end_column"),
            },
            severity: text("severity").and_then(|word| severity(&word, &self.severities)),
            confidence: text("confidence").and_then(|word| confidence(&word)),
            cwe: text("cwe").map(|text| cwe(&text)).unwrap_or_default(),
            ..RawFinding::default()
        }
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

fn shown(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_findings::Severity;

    fn format() -> JsonFormat {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        JsonFormat {
            items: "files.*.errors[*]".to_owned(),
            fields: map(&[
                ("rule", "id"),
                ("message", "text"),
                ("path", "^.name"),
                ("line", "at[0]"),
                ("severity", "sev"),
                ("cwe", "cwe"),
            ]),
            gaps: map(&[("skipped[*].reason", "skipped")]),
            severities: map(&[("2", "critical")]),
            lines: false,
            only: BTreeMap::new(),
        }
    }

    #[test]
    fn findings_are_found_by_paths_and_know_what_they_lie_in() {
        let json = Json::new(&JsonFormat {
            fields: BTreeMap::from([
                ("message".to_owned(), "text".to_owned()),
                ("path".to_owned(), "^.name".to_owned()),
            ]),
            ..format()
        })
        .unwrap();
        let parsed = json
            .parse(br#"{"files": {"a": {"errors": []}, "b": {"name": "x.js", "errors": [{"text": "t"}]}}}"#)
            .unwrap();
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(parsed.findings[0].place.path.as_deref(), Some("x.js"));

        let json = Json::new(&format()).unwrap();
        let parsed = json
            .parse(br#"{"files": {"a": {"errors": [{"id": 7, "text": "t", "at": [3], "sev": 2, "cwe": "CWE-79"}]}}}"#)
            .unwrap();
        let finding = &parsed.findings[0];
        assert_eq!((finding.rule.as_deref(), finding.place.line), (Some("7"), Some(3)));
        assert_eq!(
            (finding.severity, finding.cwe.as_slice()),
            (Some(Severity::Critical), [79].as_slice())
        );
    }

    #[test]
    fn a_document_without_the_list_of_findings_is_an_error_and_not_clean() {
        let json = Json::new(&format()).unwrap();
        assert!(json.parse(br#"{"error": "no such file"}"#).is_err());
        assert!(json.parse(b"").is_err());
        assert!(json.parse(br#"{"files": {}}"#).unwrap().findings.is_empty());
    }

    #[test]
    fn what_says_that_it_could_not_be_read_is_a_gap_and_no_finding() {
        let json = Json::new(&JsonFormat {
            items: "[*].messages[*]".to_owned(),
            gaps: BTreeMap::from([("[*].messages[*].fatal".to_owned(), "not parsed".to_owned())]),
            ..format()
        })
        .unwrap();
        let parsed = json
            .parse(br#"[{"messages": [{"text": "odd token", "fatal": true}, {"text": "a flaw"}]}]"#)
            .unwrap();
        assert_eq!(parsed.gaps, ["not parsed: true"]);
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(parsed.findings[0].message, "a flaw");
    }

    #[test]
    fn of_many_documents_only_what_was_asked_for_is_found() {
        let json = Json::new(&JsonFormat {
            items: "[*].message".to_owned(),
            fields: BTreeMap::from([("message".to_owned(), "text".to_owned())]),
            gaps: BTreeMap::new(),
            lines: true,
            only: BTreeMap::from([("code.id".to_owned(), "^lint::".to_owned())]),
            ..format()
        })
        .unwrap();
        let lines = b"{\"reason\": \"built\"}\n\n{\"message\": {\"text\": \"a\", \"code\": {\"id\": \"lint::x\"}}}\n\
            {\"message\": {\"text\": \"b\", \"code\": null}}\n";
        let parsed = json.parse(lines).unwrap();
        let said: Vec<&str> = parsed.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(said, ["a"]);
        assert!(json.parse(b"{\"message\": {}}\nerror: no such command\n").is_err());
    }

    #[test]
    fn what_was_skipped_is_a_gap() {
        let json = Json::new(&format()).unwrap();
        let parsed = json
            .parse(br#"{"files": {}, "skipped": [{"reason": "not found"}]}"#)
            .unwrap();
        assert_eq!(parsed.gaps, ["skipped: not found"]);
    }
}
