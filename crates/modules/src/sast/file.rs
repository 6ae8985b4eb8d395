//! One file: from bytes to findings and notes.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use helve_findings::{Confidence, Finding, Location, Notification, NotificationLevel, code_anchor};
use regex::{Captures, Regex};
use serde_json::json;

use super::engine::{Engine, Hit, MAX_DEPTH, Trouble, is_tainted};
use super::php;
use super::text::{self, Lines, shorten, squeeze};

/// Most findings of one rule in one file; more of the same help nobody.
const MAX_PER_RULE: usize = 100;
/// Longest text that a metavariable puts into a message, in code points.
const MESSAGE_PART: usize = 60;

/// What a file gave.
#[derive(Debug, Default)]
pub(super) struct FileResult {
    /// Findings in the order of the text.
    pub(super) findings: Vec<Finding>,
    /// What could not be looked at.
    pub(super) notes: Vec<Notification>,
    /// Whether the text was looked at.
    pub(super) scanned: bool,
}

impl FileResult {
    /// A file that was not looked at.
    pub(super) fn note(level: NotificationLevel, path: &str, message: impl Into<String>) -> Self {
        let note = Notification {
            level,
            message: message.into(),
            path: Some(path.to_owned()),
        };
        FileResult {
            notes: vec![note],
            ..FileResult::default()
        }
    }
}

/// Scans the text of a file.
pub(super) fn scan(engine: &Engine, disabled: &[bool], path: &str, text: String, cancelled: &AtomicBool) -> FileResult {
    if let Some(unfit) = text::unfit(path, &text) {
        return FileResult::note(NotificationLevel::Warning, path, unfit.reason());
    }
    let active = engine.active(&text, disabled);
    if !active.contains(&true) {
        return FileResult {
            scanned: true,
            ..FileResult::default()
        };
    }
    // Masking keeps every offset, so places and snippets are taken from what the author wrote.
    let (code, original) = if engine.is_php() {
        (php::mask(&text), Some(text))
    } else {
        (text, None)
    };
    let tree = match engine.parse(code, &|| cancelled.load(Ordering::Relaxed)) {
        Ok(tree) => tree,
        Err(trouble) => return FileResult::note(NotificationLevel::Warning, path, explain(&trouble)),
    };
    let (hits, troubles) = engine.matches(&tree, &active);
    let mut result = FileResult {
        scanned: true,
        ..FileResult::default()
    };
    for trouble in troubles {
        let (level, message) = (NotificationLevel::Warning, explain(&trouble));
        result.notes.push(Notification {
            level,
            message,
            path: Some(path.to_owned()),
        });
        result.scanned &= trouble != Trouble::TooDeep;
    }
    if !hits.is_empty() {
        report(
            engine,
            hits,
            path,
            original.as_deref().unwrap_or(tree.source()),
            &mut result,
        );
    }
    result
}

fn explain(trouble: &Trouble) -> String {
    match trouble {
        Trouble::ParseTimeout => "not scanned: parsing took too long and was stopped".to_owned(),
        Trouble::TooDeep => format!("not scanned: the code is nested more than {MAX_DEPTH} levels deep"),
        Trouble::MatchTimeout => "scanned in part: the rules took too long and were stopped".to_owned(),
        Trouble::Broken(percent) => {
            format!("scanned in part: {percent}% of the text could not be parsed, findings there may be missing")
        }
    }
}

fn report(engine: &Engine, mut hits: Vec<Hit<'_>>, path: &str, source: &str, result: &mut FileResult) {
    let lines = Lines::new(source);
    hits.sort_by_key(|hit| {
        (
            hit.rule,
            hit.matched.range().start,
            std::cmp::Reverse(hit.matched.range().end),
        )
    });
    let (mut rule, mut count, mut covered) = (usize::MAX, 0, 0..0);
    for hit in hits {
        let range = hit.matched.range();
        if hit.rule != rule {
            (rule, count, covered) = (hit.rule, 0, 0..0);
        }
        // A match inside of a match of the same rule that began on the same line is the same weakness.
        let same_line = lines.line_of(covered.start) == lines.line_of(range.start);
        if range.start < covered.end && same_line {
            continue;
        }
        covered = range.clone();
        let id = &engine.rules[hit.rule].info.id;
        count += 1;
        if count <= MAX_PER_RULE {
            result.findings.push(finding(engine, &hit, path, source, &lines));
        } else if count == MAX_PER_RULE + 1 {
            let message = format!("{id}: only the first {MAX_PER_RULE} findings of this file are reported");
            let level = NotificationLevel::Warning;
            result.notes.push(Notification {
                level,
                message,
                path: Some(path.to_owned()),
            });
        }
    }
    result.findings.sort_by_key(|finding| finding.location.region);
}

fn finding(engine: &Engine, hit: &Hit<'_>, path: &str, source: &str, lines: &Lines<'_>) -> Finding {
    let rule = &engine.rules[hit.rule];
    let focus = rule
        .focus
        .as_ref()
        .and_then(|name| hit.matched.get_env().get_match(name));
    let range = focus.map_or_else(|| hit.matched.range(), |node| node.range());
    // A statement that masking put between HTML may begin inside of a character of that HTML.
    let range = source.floor_char_boundary(range.start)..source.ceil_char_boundary(range.end);
    let location = Location {
        path: path.to_owned(),
        region: Some(lines.region(range.clone())),
        snippet: Some(redact(&lines.snippet(range.clone()))),
    };
    let mut message = fill(&rule.message, hit);
    let origin = hit.value.as_ref().and_then(|value| value.source.clone());
    let origin = origin.map(|at| (lines.line_of(at.start), shorten(&squeeze(&source[at]), MESSAGE_PART)));
    if let Some((line, text)) = &origin {
        message = format!("{} Outside data enters as `{text}` on line {line}.", message.trim_end());
    }
    let mut finding = Finding::new(
        &rule.info,
        "sast",
        redact(&message),
        location,
        code_anchor(&source[range]),
    );
    if is_tainted(hit) {
        finding.confidence = Confidence::High;
    }
    if let Some((line, text)) = origin {
        finding
            .properties
            .insert("source".to_owned(), json!({ "line": line, "text": redact(&text) }));
    }
    finding
}

/// Puts the text of metavariables in the place of `$NAME`.
fn fill(message: &str, hit: &Hit<'_>) -> String {
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$([A-Z][A-Z0-9_]*)").expect("a constant pattern"));
    let env = hit.matched.get_env();
    let text = |captures: &Captures<'_>| match env.get_match(&captures[1]) {
        Some(node) => shorten(&squeeze(&node.text()), MESSAGE_PART),
        None => "…".to_owned(),
    };
    NAME.replace_all(message, text).into_owned()
}

/// Masks what a credential is assigned before messages are cut. What else is secret is masked where reports are stored, see
/// [`crate::secrets::Masker`].
fn redact(snippet: &str) -> String {
    static SECRET: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?i)((?:passw(?:or)?d|passwd|pwd|secret|token|api_?key|private_?key)\w*["'\]]*\s*(?:[:=]>?|=>|,)\s*[bru]?["'`])([^"'`\s]{4,})(["'`])"#;
        Regex::new(pattern).expect("a constant pattern")
    });
    SECRET.replace_all(snippet, "${1}****${3}").into_owned()
}
