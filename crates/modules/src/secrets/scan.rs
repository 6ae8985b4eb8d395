//! Scanning one text: keyword hits lead to candidates, decoding passes lead to further views of the text, and of
//! candidates that overlap the best is kept.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use helve_findings::Confidence;
use regex_automata::{Input, PatternSet};

use super::assign::{self, Assignment};
use super::judge::{self, Setting, Verdict};
use super::prefilter::{Hit, Target};
use super::rules::{Matcher, RuleSet};
use super::text::Kind;
use super::view::{Step, View};
use super::{decode, kubernetes, numbers, variables};

/// Decodings inside decodings.
const DEEPEST: usize = 3;
/// Decoded bytes per file beyond its own size; a file made to waste time gets no more.
const DECODED_BYTES: usize = 4 << 20;

/// How much of the text behind a secret a rule may look at.
const AFTER: usize = 80;

/// What is scanned and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Relative path.
    pub(crate) path: &'a str,
    /// How values are written there.
    pub(crate) kind: Kind,
    /// Whether decoding passes run.
    pub(crate) decode: bool,
}

/// A secret at a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// Index of the rule.
    pub(crate) rule: usize,
    /// Where it stands in the file.
    pub(crate) range: Range<usize>,
    /// The decoded secret itself.
    pub(crate) secret: Vec<u8>,
    /// How sure.
    pub(crate) verdict: Verdict,
    /// The name it was assigned to.
    pub(crate) name: Option<String>,
    /// How it was hidden.
    pub(crate) steps: Vec<Step>,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// One per secret and place, in file order.
    pub(crate) found: Vec<Candidate>,
    /// Every place that held a candidate, also those that gave way to a better one: none of them may be shown.
    pub(crate) sensitive: Vec<Range<usize>>,
    /// Whether decoding stopped early.
    pub(crate) exhausted: bool,
}

/// Scans a text.
pub(crate) fn scan(rules: &RuleSet, subject: Subject<'_>, enabled: &dyn Fn(usize) -> bool, text: &[u8]) -> Scanned {
    let generated = rules.allow.generated_files.is_match(subject.path);
    let mut scan = Scan {
        rules,
        subject,
        enabled,
        generated,
        found: Vec::new(),
        seen: HashSet::new(),
        budget: DECODED_BYTES + text.len(),
        exhausted: false,
    };
    let mut queue = VecDeque::from([View::file(text)]);
    scan.whole_file(&queue[0]);
    while let Some(view) = queue.pop_front() {
        for child in scan.view(&view) {
            if scan.admit(&child) {
                queue.push_back(child);
            }
        }
    }
    let exhausted = scan.exhausted;
    let sensitive = scan.found.iter().map(|candidate| candidate.range.clone()).collect();
    Scanned {
        found: best(rules, scan.found),
        sensitive,
        exhausted,
    }
}

struct Scan<'s> {
    rules: &'s RuleSet,
    subject: Subject<'s>,
    enabled: &'s dyn Fn(usize) -> bool,
    generated: bool,
    found: Vec<Candidate>,
    seen: HashSet<u64>,
    budget: usize,
    exhausted: bool,
}

impl Scan<'_> {
    /// Whether a view is new and there is room for it.
    fn admit(&mut self, view: &View<'_>) -> bool {
        let mut hasher = DefaultHasher::new();
        view.text.hash(&mut hasher);
        view.to_file(&view.fresh).hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) {
            return false;
        }
        self.exhausted |= self.budget < view.text.len();
        self.budget = self.budget.saturating_sub(view.text.len());
        !self.exhausted
    }

    /// Rules that look at all of a file.
    fn whole_file(&mut self, view: &View<'_>) {
        for &rule in &self.rules.by_path {
            if self.applies(rule) {
                self.token(view, rule, 0..view.text.len());
            }
        }
    }

    /// Whether a rule is enabled and looks at files of this name.
    fn applies(&self, rule: usize) -> bool {
        let paths = &self.rules.rules[rule].paths;
        (self.enabled)(rule) && paths.as_ref().is_none_or(|paths| paths.is_match(self.subject.path))
    }

    /// Scans a view; returns the views that it leads to.
    fn view(&mut self, view: &View<'_>) -> Vec<View<'static>> {
        let deeper = self.subject.decode && view.steps.len() < DEEPEST;
        let mut children = Vec::new();
        let mut resume: HashMap<usize, usize> = HashMap::new();
        let mut name_end = 0;
        let mut calls_end = 0;
        let rules = self.rules;
        rules.prefilter.for_each(&view.text, |hit, target| match target {
            Target::Token(rule) if self.applies(rule) => {
                let (before, after) = rules.rules[rule].window;
                let resume = resume.entry(rule).or_default();
                let start = hit.start.saturating_sub(before).max(*resume);
                if start <= hit.start {
                    *resume = self
                        .token(view, rule, start..view.text.len().min(hit.end + after))
                        .max(*resume);
                }
            }
            Target::Assignment if hit.start >= name_end && !self.generated => {
                name_end = self.assignment(view, hit).max(hit.end);
            }
            Target::Disguise(step) if deeper => children.push(decode::undisguise(view, hit, step)),
            Target::CharacterCalls if deeper && hit.start >= calls_end => {
                if let Some((child, end)) = numbers::calls(view, hit) {
                    children.push(child);
                    calls_end = end;
                }
            }
            Target::Structure(rule) if self.applies(rule) => self.structure(view, rule, hit),
            _ => {}
        });
        if deeper {
            decode::views(view, &mut |child| children.push(child));
            if view.steps.is_empty() && self.subject.kind == Kind::Code {
                variables::substituted(view, variables::operator(self.subject.path), &mut |child| {
                    children.push(child)
                });
            }
        }
        children
    }

    /// Runs a token rule on a part of a view; returns where the next attempt may start.
    fn token(&mut self, view: &View<'_>, rule: usize, part: Range<usize>) -> usize {
        let compiled = &self.rules.rules[rule];
        let Matcher::Token(pattern) = &compiled.matcher else {
            return part.start;
        };
        let Some(regex) = pattern.regex() else {
            return part.start;
        };
        let text: &[u8] = &view.text;
        let mut input = Input::new(text).range(part.clone());
        let mut resume = part.start;
        if !regex.is_match(input.clone()) {
            return resume;
        }
        let mut captures = regex.create_captures();
        loop {
            regex.search_captures(&input, &mut captures);
            let Some(found) = captures
                .get_group_by_name("secret")
                .or_else(|| captures.get_match().map(|m| m.span()))
            else {
                return resume;
            };
            resume = found.end.max(found.start + 1);
            let after = &text[found.end..text.len().min(found.end + AFTER)];
            if !compiled
                .not_after
                .as_ref()
                .is_some_and(|pattern| pattern.is_match(after))
                && let Some(verdict) = judge::token(compiled, &self.rules.allow, &text[found.range()])
            {
                self.add(view, rule, found.range(), verdict, None);
            }
            if resume > part.end {
                return resume;
            }
            input.set_start(resume);
        }
    }

    /// Reads the assignment around a keyword; returns where its name ends.
    fn assignment(&mut self, view: &View<'_>, hit: Hit) -> usize {
        let kind = if view.steps.is_empty() {
            self.subject.kind
        } else {
            Kind::Text
        };
        let Some(found) = assign::read(&view.text, hit, kind) else {
            return hit.end;
        };
        let setting = Setting {
            name: &found.name,
            quoted: found.quoted,
            form: found.form,
            kind,
        };
        let value = &view.text[found.value.clone()];
        for rule in self.named(&found, value) {
            let compiled = &self.rules.rules[rule];
            if let Some(verdict) = judge::assignment(compiled, &self.rules.allow, value, &setting) {
                self.add(view, rule, found.value.clone(), verdict, Some(found.name.clone()));
                break;
            }
        }
        found.name_range.end
    }

    /// The assignment rules that a name and the shape of its value admit, in order of precedence.
    fn named(&self, found: &Assignment, given: &[u8]) -> Vec<usize> {
        let rules = self.rules;
        let mut fits = PatternSet::new(rules.names.pattern_len());
        rules
            .names
            .which_overlapping_matches(&Input::new(found.name.as_bytes()), &mut fits);
        let admits = |&rule: &usize| match &rules.rules[rule].matcher {
            Matcher::Assignment { not_names, value } => {
                let refused = not_names
                    .as_ref()
                    .is_some_and(|names| names.is_match(found.name.as_bytes()));
                !refused && value.as_ref().is_none_or(|value| value.is_match(given)) && self.applies(rule)
            }
            _ => false,
        };
        fits.iter()
            .map(|pattern| rules.assignments[pattern.as_usize()])
            .filter(admits)
            .collect()
    }

    fn structure(&mut self, view: &View<'_>, rule: usize, hit: Hit) {
        let compiled = &self.rules.rules[rule];
        for range in kubernetes::values(&view.text, hit.start) {
            let value = &view.text[range.clone()];
            let setting = Setting {
                name: "",
                quoted: true,
                form: assign::Form::Plain,
                kind: Kind::Lines,
            };
            if let Some(verdict) = judge::assignment(compiled, &self.rules.allow, value, &setting) {
                self.add(view, rule, range, verdict, None);
            }
        }
    }

    fn add(&mut self, view: &View<'_>, rule: usize, range: Range<usize>, verdict: Verdict, name: Option<String>) {
        let fresh = range.start < view.fresh.end && view.fresh.start < range.end;
        if fresh {
            self.found.push(Candidate {
                rule,
                secret: view.text[range.clone()].to_vec(),
                range: view.to_file(&range),
                verdict,
                name,
                steps: view.steps.clone(),
            });
        }
    }
}

/// Of candidates that overlap keeps the best: tokens before assignments, sure ones before doubtful ones, specific
/// rules before general ones, long ones before short ones.
fn best(rules: &RuleSet, mut found: Vec<Candidate>) -> Vec<Candidate> {
    let rank = |c: &Candidate| {
        let token = rules.rules[c.rule].is_token() && c.verdict.confidence > Confidence::Low;
        (
            !token,
            std::cmp::Reverse(c.verdict.confidence),
            c.rule,
            std::cmp::Reverse(c.range.len()),
            c.range.start,
        )
    };
    found.sort_by_cached_key(|candidate| (rank(candidate), candidate.steps.clone()));
    let mut kept: BTreeMap<usize, Candidate> = BTreeMap::new();
    for candidate in found {
        let before = kept.range(..candidate.range.end).next_back();
        if before.is_none_or(|(_, other)| other.range.end <= candidate.range.start) {
            kept.insert(candidate.range.start, candidate);
        }
    }
    kept.into_values().collect()
}
