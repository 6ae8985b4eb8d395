//! The mask that every report passes before it is stored, whichever module it is of: what the rules of this module take for
//! a secret is not shown in any text, and looks there as it looks in this module's own findings.
//!
//! A text alone may not tell: a message cuts what it quotes, a snippet shows the middle of a key. So the file that a finding
//! is about is looked at, too, and what is secret there is secret in all that is said about it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Component, Path};

use aho_corasick::{AhoCorasick, MatchKind};
use helve_findings::{Confidence, Finding, ModuleReport, Notification, Report, Rule, Status};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::redact::MASK;
use super::rules::{self, RuleSet};
use super::scan::{Subject, scan};
use super::text::{self, Kind};
use super::{in_place, read_text, redact};
use crate::{LoadError, RuleFile};

/// Larger files are not looked at: as much as this module itself reads by default.
const MAX_FILE: u64 = 8 << 20;
/// Secrets shorter than this are masked where they are recognised, but not wherever else the same letters occur.
const KNOWN_FROM: usize = 6;
/// Lines of a longer secret that are shorter than this give nothing away.
const KNOWN_LINE: usize = 16;
/// How much of a secret must be left of it, for a text that was cut to be recognised.
const CUT_FROM: usize = 4;
/// The same of a secret that begins as a word.
const CUT_WORD: usize = 8;
/// How long the rest of a secret may be in a text that was cut.
const CUT_TO: usize = 512;
/// Where a text was cut.
const CUTS: [&str; 2] = ["…", "..."];

/// Masks secrets in texts.
pub struct Masker {
    rules: RuleSet,
}

/// A part of a text that is not to be shown.
struct Masked {
    range: Range<usize>,
    shown: String,
}

/// What is secret in a file.
struct Known {
    /// Sorted.
    values: Vec<String>,
    automaton: AhoCorasick,
}

impl Masker {
    /// Masks what the rules in these files say: the files of the module `secrets`.
    pub fn load(files: &[RuleFile]) -> Result<Self, LoadError> {
        Ok(Self {
            rules: rules::load(files)?,
        })
    }

    /// Masks every text of a report but paths and what findings are recognised by. With the workspace, also what is secret in
    /// the files that the findings are about.
    pub fn report(&self, report: &mut ModuleReport, workspace: Option<&Path>) {
        let root = workspace.and_then(|path| path.canonicalize().ok());
        let known: HashMap<String, Known> = root
            .map(|root| {
                let paths: HashSet<&str> = report.findings.iter().map(|f| f.location.path.as_str()).collect();
                let paths: Vec<&str> = paths.into_iter().collect();
                let look = |path: &&str| Some(((*path).to_owned(), self.known(&root, path)?));
                paths.par_iter().filter_map(look).collect()
            })
            .unwrap_or_default();
        report.findings.par_iter_mut().for_each(|finding| {
            let known = known.get(&finding.location.path);
            self.finding(finding, known);
        });
        report.rules.par_iter_mut().for_each(|rule| self.rule(rule));
        self.notifications(&mut report.notifications);
        if let Status::Inconclusive { reason } = &mut report.status {
            self.replace(reason);
        }
    }

    /// The same for a report that is merged already.
    pub fn merged(&self, report: &mut Report) {
        report.modules.iter_mut().for_each(|module| self.report(module, None));
        self.notifications(&mut report.notifications);
    }

    /// A text for people.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.mask("", Kind::Text, text)
    }

    /// The texts of a summary.
    pub fn summary(&self, summary: &mut Map<String, Value>) {
        let text = |text: &mut String| self.replace(text);
        summary.values_mut().for_each(|value| in_value(value, &text));
    }

    fn replace(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.text(text) {
            *text = masked;
        }
    }

    fn notifications(&self, notifications: &mut [Notification]) {
        notifications
            .iter_mut()
            .for_each(|said| self.replace(&mut said.message));
    }

    fn rule(&self, rule: &mut Rule) {
        [&mut rule.name, &mut rule.description, &mut rule.remediation]
            .into_iter()
            .chain(&mut rule.references)
            .for_each(|text| self.replace(text));
    }

    fn finding(&self, finding: &mut Finding, known: Option<&Known>) {
        let path = finding.location.path.as_str();
        let masked = |kind: Kind, text: &mut String| {
            if let Some(known) = known {
                known.mask(text);
            }
            if let Cow::Owned(masked) = self.mask(path, kind, text) {
                *text = masked;
            }
        };
        let prose = |text: &mut String| masked(Kind::Text, text);
        prose(&mut finding.message);
        if let Some(snippet) = &mut finding.location.snippet {
            masked(text::kind(path), snippet);
        }
        finding.remediation.iter_mut().for_each(prose);
        finding
            .properties
            .values_mut()
            .for_each(|value| in_value(value, &prose));
        for suppression in &mut finding.suppressions {
            suppression.reason.iter_mut().for_each(prose);
        }
        for duplicate in &mut finding.duplicates {
            self.finding(duplicate, known);
        }
    }

    fn mask<'t>(&self, path: &str, kind: Kind, text: &'t str) -> Cow<'t, str> {
        let found = self.find(path, kind, text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for Masked { range, shown } in found {
            out.push_str(&text[at..range.start]);
            out.push_str(&shown);
            // What follows stays on its line.
            out.extend(text[range.clone()].chars().filter(|&c| c == '\n'));
            at = range.end;
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }

    /// What is not to be shown of a text, in its order and apart from each other.
    fn find(&self, path: &str, kind: Kind, text: &str) -> Vec<Masked> {
        let subject = Subject {
            path,
            kind,
            decode: true,
        };
        let scanned = scan(&self.rules, subject, &|_| true, text.as_bytes());
        let mut found: Vec<(Range<usize>, Option<String>)> = Vec::new();
        // What gave way to a better candidate, or is doubtful, is masked with what it overlaps.
        found.extend(scanned.sensitive.into_iter().map(|range| (range, None)));
        let sure = scanned.found.into_iter();
        let sure = sure.filter(|candidate| candidate.verdict.confidence > Confidence::Low);
        found.extend(sure.map(|candidate| {
            let secret = String::from_utf8_lossy(&candidate.secret);
            (candidate.range, Some(redact::secret(&secret)))
        }));
        in_place::find(text, &self.rules.allow, |range| {
            let shown = redact::secret(&text[range.clone()]);
            found.push((range, Some(shown)));
        });
        for (range, _) in &mut found {
            *range = text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
        }
        // What is masked stays as it is.
        found.retain(|(range, _)| !range.is_empty() && !text[range.clone()].contains(MASK));
        found.sort_by_key(|(range, shown)| (range.start, Reverse(range.end), shown.is_none()));
        joined(found)
    }

    /// What is secret in a file; none if nothing is, or if it cannot be looked at.
    fn known(&self, root: &Path, path: &str) -> Option<Known> {
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        // A link may lead anywhere, and only a regular file comes to an end.
        let file = root.join(path).canonicalize().ok()?;
        let metadata = file.metadata().ok()?;
        if !inside || !file.starts_with(root) || !metadata.is_file() || metadata.len() > MAX_FILE {
            return None;
        }
        let bytes = read_text(&file).ok()??;
        let decoded = text::decode(&bytes)?;
        let content = String::from_utf8_lossy(&decoded);
        let found = self.find(path, text::kind(path), &content);
        Known::new(found.into_iter().map(|masked| &content[masked.range]))
    }
}

/// Ranges that overlap become one; those of which none is sure are left out.
fn joined(sorted: Vec<(Range<usize>, Option<String>)>) -> Vec<Masked> {
    let mut groups: Vec<(Range<usize>, Option<Masked>)> = Vec::new();
    for (range, shown) in sorted {
        let sure = shown.map(|shown| Masked {
            range: range.clone(),
            shown,
        });
        match groups.last_mut() {
            Some((whole, widest)) if range.start < whole.end => {
                whole.end = whole.end.max(range.end);
                let width = |masked: &Option<Masked>| masked.as_ref().map_or(0, |masked| masked.range.len());
                if width(&sure) > width(widest) {
                    *widest = sure;
                }
            }
            _ => groups.push((range, sure)),
        }
    }
    let one = |(range, widest): (Range<usize>, Option<Masked>)| {
        let widest = widest?;
        let shown = match widest.range == range {
            true => widest.shown,
            false => MASK.to_owned(),
        };
        Some(Masked { range, shown })
    };
    groups.into_iter().filter_map(one).collect()
}

/// Every text in a value; the names of its members stay.
fn in_value(value: &mut Value, masked: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) => masked(text),
        Value::Array(items) => items.iter_mut().for_each(|item| in_value(item, masked)),
        Value::Object(members) => members.values_mut().for_each(|member| in_value(member, masked)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Known {
    fn new<'t>(secrets: impl Iterator<Item = &'t str>) -> Option<Self> {
        let mut values: Vec<String> = secrets
            .flat_map(|secret| {
                let least = if secret.contains('\n') { KNOWN_LINE } else { KNOWN_FROM };
                let lines = secret.lines().map(str::trim);
                lines.filter(move |line| line.len() >= least && !in_place::is_word(line))
            })
            // The frame of a key is no part of it.
            .filter(|line| !line.starts_with("-----"))
            .map(str::to_owned)
            .collect();
        values.sort_unstable();
        values.dedup();
        let builder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&values);
        let automaton = builder.ok().filter(|_| !values.is_empty())?;
        Some(Known { values, automaton })
    }

    fn mask(&self, text: &mut String) {
        if self.automaton.is_match(text.as_str()) {
            let mut out = String::with_capacity(text.len());
            self.automaton.replace_all_with(text, &mut out, |_, secret, out| {
                out.push_str(&redact::secret(secret));
                true
            });
            *text = out;
        }
        for cut in CUTS {
            // From the end: what is replaced does not move what is still to be looked at.
            let ends: Vec<usize> = text.match_indices(cut).map(|(at, _)| at).collect();
            for end in ends.into_iter().rev() {
                if let Some(start) = self.begun(&text[..end]) {
                    text.replace_range(start..end, MASK);
                }
            }
        }
    }

    /// Where a secret begins that a text was cut in.
    fn begun(&self, text: &str) -> Option<usize> {
        let first = text.floor_char_boundary(text.len().saturating_sub(CUT_TO));
        let starts = text[first..].char_indices().map(|(at, _)| first + at);
        let mut starts = starts.take_while(|at| text.len() - at >= CUT_FROM);
        starts.find(|&at| {
            let rest = &text[at..];
            // Prose that ends in an ellipsis is rarely the beginning of a secret.
            if rest.len() < CUT_WORD && in_place::is_word(rest) {
                return false;
            }
            let next = self.values.partition_point(|value| value.as_str() < rest);
            self.values.get(next).is_some_and(|value| value.starts_with(rest))
        })
    }
}

#[cfg(test)]
mod tests;
