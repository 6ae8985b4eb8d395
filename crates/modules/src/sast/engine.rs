//! Rules of one grammar, arranged so that one walk over a file tries all of them.

use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use ast_grep_core::matcher::{MatcherExt, NodeMatch};
use ast_grep_core::tree_sitter::{LanguageExt, StrDoc};
use ast_grep_core::{AstGrep, Node as GrepNode};
use ast_grep_language::SupportLang;
use tree_sitter::{ParseOptions, ParseState, Parser};

use super::flow::{Flow, Level, Node, Value};
use super::rules::{Compiled, Library};
use super::text;

/// Syntax trees deeper than this are left alone: rules climb and descend them, and time grows with the square.
pub(super) const MAX_DEPTH: usize = 1_000;
/// More open brackets than this at one place: the file is not even parsed.
const MAX_NESTING: usize = 5_000;
/// Parsing and matching of one file each stop after this; no file that people wrote comes near.
const FILE_BUDGET: Duration = Duration::from_secs(20);

/// A match that met all conditions of its rule.
pub(super) struct Hit<'t> {
    /// Index of the rule.
    pub(super) rule: usize,
    /// What matched.
    pub(super) matched: NodeMatch<'t, StrDoc<SupportLang>>,
    /// The best known of the values that the rule asked about.
    pub(super) value: Option<Value>,
}

/// Why a file could not be looked at, or not fully.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The parser did not finish in time, or the run was cancelled meanwhile.
    ParseTimeout,
    /// The syntax tree is deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The rules did not finish in time.
    MatchTimeout,
    /// So many percent of the text could not be parsed.
    Broken(u8),
}

/// The rules of one grammar.
pub(super) struct Engine {
    lang: SupportLang,
    pub(super) rules: Vec<Compiled>,
    library: Library,
    /// Node kind to rules.
    by_kind: Vec<Vec<u16>>,
    keywords: AhoCorasick,
    /// Keyword to rules.
    by_keyword: Vec<Vec<u16>>,
    /// Rules without keywords.
    always: Vec<u16>,
}

/// What a walk over a tree saw.
struct Survey<'t> {
    candidates: Vec<GrepNode<'t, StrDoc<SupportLang>>>,
    depth: usize,
    broken_bytes: usize,
}

impl Engine {
    /// Arranges the rules.
    pub(super) fn new(lang: SupportLang, rules: Vec<Compiled>, library: Library) -> Result<Self, String> {
        let mut by_kind: Vec<Vec<u16>> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut by_keyword: Vec<Vec<u16>> = Vec::new();
        let mut always = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let at = u16::try_from(at).map_err(|_| "too many rules".to_owned())?;
            for &kind in &rule.kinds {
                by_kind.resize(by_kind.len().max(kind + 1), Vec::new());
                by_kind[kind].push(at);
            }
            for word in &rule.keywords {
                let slot = words.iter().position(|known| known == word).unwrap_or_else(|| {
                    words.push(word.clone());
                    by_keyword.push(Vec::new());
                    words.len() - 1
                });
                by_keyword[slot].push(at);
            }
            if rule.keywords.is_empty() {
                always.push(at);
            }
        }
        let keywords = AhoCorasick::new(&words).map_err(|error| error.to_string())?;
        Ok(Engine {
            lang,
            rules,
            library,
            by_kind,
            keywords,
            by_keyword,
            always,
        })
    }

    /// Whether the files may be PHP between HTML.
    pub(super) fn is_php(&self) -> bool {
        self.lang == SupportLang::Php
    }

    /// Which rules could match this text at all.
    pub(super) fn active(&self, text: &str, disabled: &[bool]) -> Vec<bool> {
        let mut active = vec![false; self.rules.len()];
        let mut seen = vec![false; self.by_keyword.len()];
        let mut left = seen.len();
        self.always.iter().for_each(|rule| active[usize::from(*rule)] = true);
        for found in self.keywords.find_overlapping_iter(text) {
            let word = found.pattern().as_usize();
            if !std::mem::replace(&mut seen[word], true) {
                self.by_keyword[word]
                    .iter()
                    .for_each(|rule| active[usize::from(*rule)] = true);
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        active
            .iter_mut()
            .zip(disabled)
            .for_each(|(active, disabled)| *active &= !disabled);
        active
    }

    /// Rules that turned out not to work, with the reason.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        let rules = self.rules.iter().map(|rule| (rule.info.id.as_str(), &rule.matcher));
        let library = [&self.library.sources, &self.library.cleans]
            .into_iter()
            .flatten()
            .map(|lazy| ("library", lazy));
        rules
            .chain(library)
            .filter_map(|(id, lazy)| Some((id, lazy.failure()?)))
    }

    /// Parses, within limits.
    pub(super) fn parse(
        &self,
        text: String,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<AstGrep<StrDoc<SupportLang>>, Trouble> {
        if text::nesting(&text) > MAX_NESTING {
            return Err(Trouble::TooDeep);
        }
        let mut parser = Parser::new();
        parser
            .set_language(&self.lang.get_ts_language())
            .map_err(|_| Trouble::ParseTimeout)?;
        let deadline = Instant::now() + FILE_BUDGET;
        let mut watch = |_: &ParseState| {
            if cancelled() || Instant::now() > deadline {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        };
        let options = ParseOptions::new().progress_callback(&mut watch);
        let bytes = text.as_bytes();
        let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
        let tree = parser
            .parse_with_options(&mut read, None, Some(options))
            .ok_or(Trouble::ParseTimeout)?;
        Ok(AstGrep::doc(StrDoc {
            src: text,
            lang: self.lang,
            tree,
        }))
    }

    /// All matches of the active rules, and what stood in the way.
    pub(super) fn matches<'t>(
        &self,
        tree: &'t AstGrep<StrDoc<SupportLang>>,
        active: &[bool],
    ) -> (Vec<Hit<'t>>, Vec<Trouble>) {
        let survey = self.survey(tree, active);
        let mut troubles = Vec::new();
        if survey.depth > MAX_DEPTH {
            return (Vec::new(), vec![Trouble::TooDeep]);
        }
        let size = tree.source().len().max(1);
        let broken = survey.broken_bytes * 100 / size;
        if broken >= 20 {
            troubles.push(Trouble::Broken(broken.min(100) as u8));
        }
        let flow = Flow::new(tree.root(), &self.library);
        let deadline = Instant::now() + FILE_BUDGET;
        let mut hits = Vec::new();
        for (at, node) in survey.candidates.iter().enumerate() {
            if at % 256 == 255 && Instant::now() > deadline {
                troubles.push(Trouble::MatchTimeout);
                break;
            }
            let rules = &self.by_kind[usize::from(node.kind_id())];
            let rules = rules.iter().map(|rule| usize::from(*rule)).filter(|rule| active[*rule]);
            hits.extend(rules.filter_map(|rule| self.try_rule(rule, node, &flow)));
        }
        (hits, troubles)
    }

    fn try_rule<'t>(&self, at: usize, node: &Node<'t>, flow: &Flow<'t, '_>) -> Option<Hit<'t>> {
        let rule = &self.rules[at];
        let matched = rule.matcher.get()?.match_node(node.clone())?;
        let mut best: Option<Value> = None;
        for (name, least) in &rule.flow {
            let single = matched.get_env().get_match(name);
            let several = matched.get_env().get_multiple_matches(name);
            let value = flow.classify(single.into_iter().chain(&several));
            if value.level < *least {
                return None;
            }
            if best.as_ref().is_none_or(|best| value.level > best.level) {
                best = Some(value);
            }
        }
        Some(Hit {
            rule: at,
            matched,
            value: best,
        })
    }

    fn survey<'t>(&self, tree: &'t AstGrep<StrDoc<SupportLang>>, active: &[bool]) -> Survey<'t> {
        let wanted: Vec<bool> = self
            .by_kind
            .iter()
            .map(|rules| rules.iter().any(|rule| active[usize::from(*rule)]))
            .collect();
        let mut survey = Survey {
            candidates: Vec::new(),
            depth: 0,
            broken_bytes: 0,
        };
        let root = tree.root().get_inner_node();
        let mut cursor = root.walk();
        let mut depth = 0;
        loop {
            let node = cursor.node();
            if node.is_error() {
                survey.broken_bytes += broken_bytes(&node);
            }
            if wanted.get(usize::from(node.kind_id())).copied().unwrap_or(false) {
                survey.candidates.push(tree.adopt(node));
            }
            if cursor.goto_first_child() {
                depth += 1;
                survey.depth = survey.depth.max(depth);
                if depth > MAX_DEPTH {
                    return survey;
                }
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return survey;
                }
                depth -= 1;
            }
        }
    }
}

/// The part of an error that was not understood: without the pieces of code that were.
fn broken_bytes(error: &tree_sitter::Node<'_>) -> usize {
    let mut cursor = error.walk();
    let understood = error
        .children(&mut cursor)
        .filter(|child| child.is_error() || child.child_count() > 0);
    error
        .byte_range()
        .len()
        .saturating_sub(understood.map(|child| child.byte_range().len()).sum())
}

/// Whether outside data reaches what the rule asked about.
pub(super) fn is_tainted(hit: &Hit<'_>) -> bool {
    hit.value.as_ref().is_some_and(|value| value.level == Level::Tainted)
}
