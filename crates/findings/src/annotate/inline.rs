//! Inline ignores: comments with which authors accept a finding.
//!
//! `helve:ignore RULE[, RULE] reason` holds for its own line or, in a comment that stands alone, for the code below it.
//! Without a rule it holds for all. A rule is an id (`sast/python-eval`), a module (`sast`), or the part of an id behind the
//! slash. The marks of other scanners hold where they mean the same: those for secrets for the module `secrets`, those that
//! accept a line whatever is wrong with it for `sast`. A mark that names another tool's rule speaks of that tool only; tools
//! obey their own marks themselves.

use super::note;
use crate::cwe::holds_secret;
use crate::{Decision, Finding, Location, Notification, Region, Report, Suppression, SuppressionKind};

const OWN: &str = "helve:ignore";
/// Lines above a finding that may hold its comment.
const ABOVE: u32 = 4;
/// Bytes of the longest line that is looked at: many findings in one line of generated code would each search all of it.
const MAX_LINE: usize = 16 << 10;
/// Longest reason that is kept.
const MAX_REASON: usize = 300;

/// Marks of scanners for secrets, in any case.
const SECRETS: &[&str] = &[
    "gitleaks:allow",
    "betterleaks:allow",
    "pragma: allowlist secret",
    "pragma: whitelist secret",
    "trufflehog:ignore",
    "ggignore",
    "kingfisher:ignore",
    "noqa: s105",
    "nosec b105",
];
/// The same, for the line below.
const SECRETS_BELOW: &[&str] = &["pragma: allowlist nextline secret", "kingfisher:ignore-next-line"];
/// Marks that accept a line whatever is wrong with it, unless a rule follows.
const ANYTHING: &[&str] = &["nosec", "nosemgrep", "NOSONAR", "nolint:gosec"];

/// What begins a comment, somewhere in a line.
const OPENERS: &[&str] = &["//", "#", "/*", "<!--", "--", ";", "%", "{-", "(*", "{{!", "@*"];
/// What begins one at the start of a line only.
const AT_START: &[&str] = &["*", "'", "\"", "!", "rem ", "dnl ", ".. "];
/// What ends one.
const CLOSERS: &[&str] = &["*/", "-->", "#}", "-}", "*)", "--%>", "%>", "}}", "*@"];

/// A text by lines.
pub(super) struct Lines<'a>(Vec<&'a str>);

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lines(text.split('\n').collect())
    }

    /// The line with this number from 1; empty when it is longer than people write.
    fn get(&self, number: u32) -> &'a str {
        let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let line = index.and_then(|index| self.0.get(index)).copied();
        line.filter(|line| line.len() <= MAX_LINE).unwrap_or_default()
    }
}

/// Whether a comment accepts the finding; and what to tell of one that seems to and does not.
pub(super) fn judge(
    lines: &Lines<'_>,
    finding: &Finding,
    report: &Report,
) -> (Option<Suppression>, Option<Notification>) {
    let Some(region) = finding.location.region else {
        return (None, None);
    };
    let mut missed = None;
    for (number, own_line) in candidates(lines, region) {
        let Some((column, comment)) = comment_of(lines.get(number)) else {
            continue;
        };
        if let Some((at, mark)) = own_mark(comment, report) {
            if mark.rules.is_empty() || mark.rules.iter().any(|rule| names(rule, finding)) {
                let column = column + at;
                let reason = mark
                    .reason
                    .filter(|_| !holds_a_secret(report, finding, (number, column)));
                return (Some(suppression(finding, number, column, reason)), None);
            }
            if mark.rules.iter().all(|rule| is_unknown(rule, report)) {
                missed.get_or_insert_with(|| {
                    let rules = mark.rules.join(", ");
                    let message = format!(
                        "line {number}, column {}: no rule of this run is called {rules}; the `{OWN}` has no effect",
                        column + at
                    );
                    note(&finding.location.path, message)
                });
            }
        }
        let versions = std::iter::once(finding).chain(&finding.duplicates);
        let foreign = versions
            .filter_map(|version| foreign_mark(comment, &version.module, own_line))
            .next();
        if let Some((at, mark)) = foreign {
            let reason = Some(format!("marked `{mark}`"));
            return (Some(suppression(finding, number, column + at, reason)), None);
        }
    }
    (None, missed)
}

/// Whether there is a secret behind this place on its line: what is written there must not be repeated.
fn holds_a_secret(report: &Report, finding: &Finding, mark: (u32, u32)) -> bool {
    let here = |other: &Finding| {
        let behind = |region: Region| region.start_line <= mark.0 && region.end() > mark;
        let secret = report.rule(&other.rule_id).is_none_or(|rule| holds_secret(&rule.cwe));
        secret && other.location.path == finding.location.path && other.location.region.is_some_and(behind)
    };
    let mut findings = report.modules.iter().flat_map(|module| &module.findings);
    findings.any(|finding| std::iter::once(finding).chain(&finding.duplicates).any(here))
}

/// The lines that may hold a comment about the region, and whether they are its own.
fn candidates(lines: &Lines<'_>, region: Region) -> Vec<(u32, bool)> {
    let mut numbers = vec![(region.start_line, true)];
    if region.end_line > region.start_line {
        numbers.push((region.end_line, true));
    }
    let above = (1..=ABOVE).map_while(|distance| region.start_line.checked_sub(distance).filter(|number| *number > 0));
    let comments = above.take_while(|number| is_comment_only(lines.get(*number)));
    numbers.extend(comments.map(|number| (number, false)));
    numbers
}

fn is_comment_only(line: &str) -> bool {
    let line = line.trim_start();
    let is_code = ["#include", "#define", "#[", "#if", "--%"]
        .iter()
        .any(|start| line.starts_with(start));
    !is_code && (OPENERS.iter().any(|opener| line.starts_with(opener)) || begins_comment(line))
}

fn begins_comment(line: &str) -> bool {
    AT_START.iter().any(|start| {
        line.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    })
}

/// The comment of a line, with its column from 1 in characters.
fn comment_of(line: &str) -> Option<(u32, &str)> {
    let indent = line.len() - line.trim_start().len();
    let at = match begins_comment(&line[indent..]) {
        true => Some(indent),
        false => OPENERS.iter().filter_map(|opener| line.find(opener)).min(),
    }?;
    Some((columns(&line[..at]) + 1, &line[at..]))
}

fn columns(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX - 1)
}

/// One of our marks.
struct Mark {
    rules: Vec<String>,
    reason: Option<String>,
}

/// Our mark in a comment, and the columns before it.
fn own_mark(comment: &str, report: &Report) -> Option<(u32, Mark)> {
    let at = comment.find(OWN)?;
    let rest = &comment[at + OWN.len()..];
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_') {
        return None; // another word
    }
    let mut rest = rest.trim_start_matches(':').trim();
    for closer in CLOSERS {
        rest = rest.strip_suffix(closer).unwrap_or(rest).trim_end();
    }
    let mut rules = Vec::new();
    loop {
        let end = rest.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches(':');
        if !is_rule_name(word, report) {
            break;
        }
        rules.push(word.to_owned());
        rest = rest[end..].trim_start_matches([',', ' ', '\t']);
    }
    let reason = rest.trim_start_matches(['-', '–', '—', ':', ' ']).trim();
    let reason = (!reason.is_empty()).then(|| reason.chars().take(MAX_REASON).collect());
    Some((columns(&comment[..at]), Mark { rules, reason }))
}

/// An id, the name of a module, or what stands behind the slash in the id of a rule that ran. Prose is none of these.
fn is_rule_name(word: &str, report: &Report) -> bool {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let looks_like_an_id = word
        .split_once('/')
        .is_some_and(|(module, rule)| !module.is_empty() && !rule.is_empty() && !module.contains('.'));
    let known = || {
        report.modules.iter().any(|module| module.module == word)
            || rules(report).any(|id| id.split_once('/').is_some_and(|(_, bare)| bare == word))
    };
    plain && (looks_like_an_id || matches!(word, "sast" | "secrets") || known())
}

fn rules(report: &Report) -> impl Iterator<Item = &str> {
    let described = report
        .modules
        .iter()
        .flat_map(|module| &module.rules)
        .map(|rule| rule.id.as_str());
    let found = report
        .modules
        .iter()
        .flat_map(|module| &module.findings)
        .flat_map(Finding::rule_ids);
    described.chain(found)
}

fn names(name: &str, finding: &Finding) -> bool {
    finding.rule_ids().any(|id| {
        let (module, bare) = id.split_once('/').unwrap_or((id, id));
        id == name || module == name || bare == name
    })
}

/// Whether the name is an id of a module that ran, which has no such rule: most likely a slip.
fn is_unknown(name: &str, report: &Report) -> bool {
    let module = name.split_once('/').map(|(module, _)| module);
    module.is_some_and(|module| report.modules.iter().any(|ran| ran.module == module))
        && rules(report).all(|id| id != name)
}

/// A mark of another scanner that holds for this module, and the columns before it.
fn foreign_mark(comment: &str, module: &str, own_line: bool) -> Option<(u32, &'static str)> {
    let lower = comment.to_ascii_lowercase();
    let at_once = |marks: &[&'static str]| {
        marks
            .iter()
            .find_map(|mark| lower.find(mark).map(|at| (columns(&lower[..at]), *mark)))
    };
    match module {
        "secrets" if own_line => at_once(SECRETS),
        "secrets" => at_once(SECRETS_BELOW),
        "sast" => ANYTHING
            .iter()
            .find_map(|mark| word(comment, mark).map(|at| (columns(&comment[..at]), *mark))),
        _ => None,
    }
}

/// Where a mark stands as a word of its own, without a rule behind it.
fn word(text: &str, mark: &str) -> Option<usize> {
    let (at, _) = text.match_indices(mark).find(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = &text[at + mark.len()..];
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let rule = after.trim_start_matches([':', ' ', '\t']);
        let code = rule
            .split(|c: char| c.is_whitespace() || c == ',')
            .next()
            .unwrap_or_default();
        let is_code = after.starts_with(':')
            || code.contains('_')
            || code.len() > 1
                && code.starts_with(|c: char| c.is_ascii_uppercase())
                && code[1..].bytes().all(|b| b.is_ascii_digit());
        !before.is_some_and(is_part) && !after.starts_with(is_part) && !is_code
    })?;
    Some(at)
}

fn suppression(finding: &Finding, line: u32, column: u32, reason: Option<String>) -> Suppression {
    let region = Region {
        start_line: line,
        start_column: column,
        end_line: line,
        end_column: column,
    };
    Suppression {
        kind: SuppressionKind::InSource,
        decision: Decision::AcceptedRisk,
        reason,
        by: None,
        place: Some(Location::region(&finding.location.path, region)),
        expires: None,
    }
}
