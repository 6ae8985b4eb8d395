//! The suppressions file.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Location as At, Spanned};

use super::{SUPPRESSIONS_FILE, note};
use crate::pattern::{NamePattern, PathPattern};
use crate::{Decision, Finding, Location, Notification, Region, Suppression, SuppressionKind};

/// Longest file that is read.
const MAX_BYTES: usize = 4 << 20;
const KEYS: &str = "rule, path, fingerprint, reason, by, decision, expires";

/// One suppression: what it holds for, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    rule: Option<NamePattern>,
    path: Option<PathPattern>,
    fingerprint: Option<String>,
    pub(super) suppression: Suppression,
}

impl Entry {
    /// Whether everything that it names is so.
    pub(super) fn matches(&self, finding: &Finding) -> bool {
        let module = finding.rule_id.split('/').next().unwrap_or_default();
        self.rule
            .as_ref()
            .is_none_or(|rule| rule.matches(&finding.rule_id) || rule.matches(module))
            && self
                .path
                .as_ref()
                .is_none_or(|path| path.matches(&finding.location.path))
            && self
                .fingerprint
                .as_ref()
                .is_none_or(|text| *text == finding.fingerprint)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    suppressions: Vec<Spanned<BTreeMap<String, Spanned<Value>>>>,
}

/// Reads the file. An entry that is wrong or has expired has no effect and is told; so is a file that is not YAML.
pub(super) fn parse(text: &str, today: Date) -> (Vec<Entry>, Vec<Notification>) {
    if text.len() > MAX_BYTES {
        let message = format!(
            "the file is longer than {} MiB; no suppression in it has an effect",
            MAX_BYTES >> 20
        );
        return (Vec::new(), vec![note(SUPPRESSIONS_FILE, message)]);
    }
    let mut options = serde_saphyr::Options::default();
    options.with_snippet = false;
    let document: Document = match serde_saphyr::from_str_with_options(text, options) {
        Ok(document) => document,
        Err(error) => {
            let at = error.location().map(|at| (at.line(), at.column()));
            let message = error.without_snippet().to_string();
            let wrong = Wrong {
                at,
                message: first_line(&message),
            };
            return (
                Vec::new(),
                vec![wrong.notice("no suppression in the file has an effect")],
            );
        }
    };
    let (mut entries, mut notices) = (Vec::new(), Vec::new());
    for fields in document.suppressions {
        match entry(&fields, today) {
            Ok(entry) => entries.push(entry),
            Err(wrong) => notices.push(wrong.notice("the suppression has no effect")),
        }
    }
    (entries, notices)
}

/// What is wrong, and where.
struct Wrong {
    at: Option<(u64, u64)>,
    message: String,
}

impl Wrong {
    fn new(at: At, message: String) -> Self {
        Wrong {
            at: Some((at.line(), at.column())),
            message,
        }
    }

    fn notice(self, so: &str) -> Notification {
        let (line, column) = self.at.unwrap_or((1, 1));
        let message = format!("line {}, column {}: {}; {so}", line.max(1), column.max(1), self.message);
        note(SUPPRESSIONS_FILE, message)
    }
}

type Fields = Spanned<BTreeMap<String, Spanned<Value>>>;

fn entry(fields: &Fields, today: Date) -> Result<Entry, Wrong> {
    let here = fields.referenced;
    for (key, value) in &fields.value {
        if !KEYS.split(", ").any(|known| known == key) {
            return Err(Wrong::new(
                value.referenced,
                format!("there is no key `{key}`: use {KEYS}"),
            ));
        }
    }
    let text = |key: &str| -> Result<Option<(&str, At)>, Wrong> {
        match fields.value.get(key) {
            None => Ok(None),
            Some(value) => match value.value.as_str().map(str::trim).filter(|text| !text.is_empty()) {
                Some(text) => Ok(Some((text, value.referenced))),
                None => Err(Wrong::new(value.referenced, format!("`{key}` must be a text"))),
            },
        }
    };
    let path = match text("path")? {
        None => None,
        Some((path, at)) => Some(PathPattern::parse(path).map_err(|reason| Wrong::new(at, reason))?),
    };
    let fingerprint = match text("fingerprint")? {
        Some((text, at)) if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            return Err(Wrong::new(
                at,
                format!("`{text}` is no fingerprint: write its 32 hexadecimal digits"),
            ));
        }
        other => other.map(|(text, _)| text.to_ascii_lowercase()),
    };
    let rule = text("rule")?.map(|(rule, _)| NamePattern::parse(rule));
    if rule.is_none() && path.is_none() && fingerprint.is_none() {
        return Err(Wrong::new(
            here,
            "it needs a `rule`, a `path` or a `fingerprint`".to_owned(),
        ));
    }
    let Some((reason, _)) = text("reason")? else {
        return Err(Wrong::new(here, "it needs a `reason`".to_owned()));
    };
    let decision = match text("decision")? {
        None => Decision::default(),
        Some((word, at)) => Decision::ALL
            .into_iter()
            .find(|known| known.as_str() == word)
            .ok_or_else(|| {
                let known = Decision::ALL.map(Decision::as_str).join(", ");
                Wrong::new(at, format!("`{word}` is no decision: use one of {known}"))
            })?,
    };
    let expires = match text("expires")? {
        None => None,
        Some((date, at)) => {
            let day: Date = date
                .parse()
                .map_err(|_| Wrong::new(at, format!("`{date}` is no date: write it as 2027-01-31")))?;
            if day < today {
                return Err(Wrong::new(at, format!("it expired on {day} ({reason})")));
            }
            Some(day)
        }
    };
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    let (line, column) = (number(here.line()), number(here.column()));
    let region = Region {
        start_line: line,
        start_column: column,
        end_line: line,
        end_column: column,
    };
    Ok(Entry {
        rule,
        path,
        fingerprint,
        suppression: Suppression {
            kind: SuppressionKind::External,
            decision,
            reason: Some(reason.to_owned()),
            by: text("by")?.map(|(by, _)| by.to_owned()),
            place: Some(Location::region(SUPPRESSIONS_FILE, region)),
            expires,
        },
    })
}

/// The parser adds the place to its messages; the notice has it already.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = line.rfind(" at line ").map_or(line, |end| &line[..end]);
    line.trim_end_matches([',', ':', ' ']).to_owned()
}
