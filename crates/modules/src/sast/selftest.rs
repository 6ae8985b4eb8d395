//! Rules prove themselves: every rule carries snippets that it must and must not find.

use std::sync::atomic::AtomicBool;

use ast_grep_language::SupportLang;

use super::file;
use super::lang;
use super::run::Sast;
use crate::{LoadError, RuleFile};

/// A snippet that did not do what its rule says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: rule {rule} ({language}) {problem}:\n{snippet}")]
pub struct Failure {
    /// The rule file.
    pub file: String,
    /// Where the rule begins.
    pub line: u32,
    /// The rule.
    pub rule: String,
    /// The grammar the snippet was tried in.
    pub language: String,
    /// What went wrong.
    pub problem: String,
    /// The snippet.
    pub snippet: String,
}

/// What the self-test found out.
#[derive(Debug, Clone, Default)]
pub struct SelfTest {
    /// Rules loaded.
    pub rules: usize,
    /// Snippets tried, each in every grammar of its rule.
    pub snippets: usize,
    /// Snippets that failed.
    pub failures: Vec<Failure>,
}

/// Loads rule files and runs every snippet of every rule.
pub fn self_test(files: &[RuleFile]) -> Result<SelfTest, LoadError> {
    let sast = Sast::load(files)?;
    let mut result = SelfTest {
        rules: sast.snippets.len(),
        ..SelfTest::default()
    };
    for rule in &sast.snippets {
        let positive = rule.positive.iter().map(|snippet| (snippet, true));
        let negative = rule.negative.iter().map(|snippet| (snippet, false));
        for (snippet, expected) in positive.chain(negative) {
            for lang in &rule.languages {
                result.snippets += 1;
                let Some(problem) = try_snippet(&sast, *lang, &rule.id, snippet, expected) else {
                    continue;
                };
                result.failures.push(Failure {
                    file: rule.file.clone(),
                    line: rule.line,
                    rule: rule.id.clone(),
                    language: lang.to_string(),
                    problem,
                    snippet: snippet.clone(),
                });
            }
        }
    }
    Ok(result)
}

fn try_snippet(sast: &Sast, lang: SupportLang, rule: &str, snippet: &str, expected: bool) -> Option<String> {
    let engine = &sast.engines[lang::index(lang)];
    let id = format!("sast/{rule}");
    let disabled: Vec<bool> = engine.rules.iter().map(|rule| rule.info.id != id).collect();
    let text = if lang == SupportLang::Php {
        with_tag(snippet)
    } else {
        snippet.to_owned()
    };
    let result = file::scan(engine, &disabled, "snippet", text, &AtomicBool::new(false));
    let found = !result.findings.is_empty();
    match (expected, found) {
        (true, false) => Some("must find this, but does not".to_owned()),
        (false, true) => Some(format!(
            "must not find this, but says \"{}\"",
            result.findings[0].message
        )),
        _ => None,
    }
}

/// PHP snippets may leave out the opening tag.
fn with_tag(snippet: &str) -> String {
    if snippet.contains("<?") {
        snippet.to_owned()
    } else {
        format!("<?php\n{snippet}")
    }
}
