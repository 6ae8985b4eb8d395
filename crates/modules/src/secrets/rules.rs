//! Rules as the scanner uses them: checked when they are loaded, compiled when they are first needed.

use std::collections::HashSet;
use std::sync::OnceLock;

use globset::GlobSet;
use helve_findings::Rule;
use regex_automata::MatchKind;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::prefilter::{Prefilter, SHORTEST_KEYWORD};
use super::spec::{Defaults, Judge, RuleFileSpec, RuleSpec, Structure, Validator};
use crate::globs::globs;
use crate::{LoadError, RuleFile};

/// CWE-798: use of hard-coded credentials.
const CWE: u32 = 798;
/// Bytes around a keyword when a rule does not say.
const WINDOW: (usize, usize) = (48, 256);
/// Upper bound of a compiled pattern; our largest needs a tenth of it.
const NFA_LIMIT: usize = 4 << 20;

/// A pattern that is compiled at its first use.
pub(crate) struct Pattern {
    source: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(source: &str) -> Result<Self, String> {
        syntax::parse_with(source, &syntax_config()).map_err(|error| error.to_string())?;
        Ok(Pattern {
            source: source.to_owned(),
            compiled: OnceLock::new(),
        })
    }

    /// The automaton; `None` only for a pattern over the size limit, which the tests rule out for shipped rules.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| build(&[self.source.as_str()], MatchKind::LeftmostFirst).ok())
            .as_ref()
    }

    /// Whether the pattern occurs in the value.
    pub(crate) fn is_match(&self, value: &[u8]) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(value))
    }
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

/// One automaton that tells all patterns that a name fits.
fn build_names(patterns: &[&str]) -> Result<Regex, String> {
    build(patterns, MatchKind::All)
}

fn build(patterns: &[&str], kind: MatchKind) -> Result<Regex, String> {
    Regex::builder()
        .syntax(syntax_config())
        .configure(
            Regex::config()
                .utf8_empty(false)
                .match_kind(kind)
                .nfa_size_limit(Some(NFA_LIMIT)),
        )
        .build_many(patterns)
        .map_err(|error| error.to_string())
}

/// How a rule recognises its secrets.
pub(crate) enum Matcher {
    /// By the look of the token.
    Token(Pattern),
    /// By the name it is assigned to.
    Assignment {
        /// Names that are not meant.
        not_names: Option<Pattern>,
        /// What the value must look like.
        value: Option<Pattern>,
    },
    /// By where it stands.
    Structure(Structure),
}

/// One rule.
pub(crate) struct CompiledRule {
    /// As reports show it.
    pub(crate) meta: Rule,
    /// What triggers it.
    pub(crate) keywords: Vec<String>,
    /// Whether keywords may be written in any case.
    pub(crate) any_case: bool,
    /// How it matches.
    pub(crate) matcher: Matcher,
    /// Where around a keyword it looks.
    pub(crate) window: (usize, usize),
    /// How its value is judged.
    pub(crate) judge: Judge,
    /// Least entropy of the secret.
    pub(crate) entropy: f64,
    /// Least length of the secret.
    pub(crate) min_length: usize,
    /// Further checks.
    pub(crate) validators: Vec<Validator>,
    /// Files it is confined to.
    pub(crate) paths: Option<GlobSet>,
    /// Known harmless secrets.
    pub(crate) allow: Vec<Pattern>,
    /// What may not follow the secret.
    pub(crate) not_after: Option<Pattern>,
}

impl CompiledRule {
    /// Whether a token is recognised by its own look.
    pub(crate) fn is_token(&self) -> bool {
        matches!(self.matcher, Matcher::Token(_))
    }
}

/// What is never a secret.
#[derive(Default)]
pub(crate) struct Allow {
    /// Whole values in lower case.
    pub(crate) words: HashSet<String>,
    /// Parts of values in lower case.
    pub(crate) parts: Vec<String>,
    /// Patterns for whole values.
    pub(crate) values: Vec<Pattern>,
    /// Files in which assignment rules do not look.
    pub(crate) generated_files: GlobSet,
}

/// All rules of a module.
pub(crate) struct RuleSet {
    /// In order of precedence.
    pub(crate) rules: Vec<CompiledRule>,
    /// Indices of the assignment rules, in the order of `names`.
    pub(crate) assignments: Vec<usize>,
    /// The name patterns of the assignment rules in one automaton.
    pub(crate) names: Regex,
    /// Rules without keywords, which run on every file that their `paths` admit.
    pub(crate) by_path: Vec<usize>,
    /// What is never a secret.
    pub(crate) allow: Allow,
    /// All keywords in one automaton.
    pub(crate) prefilter: Prefilter,
}

/// Reads the rule files; files outside of a `rules` folder are not ours.
pub(crate) fn load(files: &[RuleFile]) -> Result<RuleSet, LoadError> {
    let mut loading = Loading::default();
    // File names begin with a number: rules of the first files take precedence.
    let mut files: Vec<&RuleFile> = files.iter().filter(|file| is_rule_file(&file.path)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    for file in files {
        loading.file(file)?;
    }
    loading.finish()
}

/// Whether a file of the module holds rules.
pub(crate) fn is_rule_file(path: &str) -> bool {
    let yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    yaml && (path.starts_with("rules/") || path.contains("/rules/"))
}

/// Parses one file without compiling it.
pub(crate) fn parse(file: &RuleFile) -> Result<RuleFileSpec, LoadError> {
    serde_saphyr::from_str(&file.text).map_err(|error| LoadError {
        file: file.path.clone(),
        line: error.location().map(|at| at.line() as u32),
        reason: error.without_snippet().to_string(),
    })
}

#[derive(Default)]
struct Loading {
    rules: Vec<CompiledRule>,
    names: Vec<String>,
    assignments: Vec<usize>,
    ids: HashSet<String>,
    allow: Allow,
    generated: Vec<String>,
    last_file: String,
}

impl Loading {
    fn file(&mut self, file: &RuleFile) -> Result<(), LoadError> {
        let spec = parse(file)?;
        self.last_file.clone_from(&file.path);
        for rule in &spec.rules {
            let line = line_of_rule(&file.text, &rule.id);
            let refuse = |reason: String| LoadError {
                file: file.path.clone(),
                line,
                reason: format!("rule `{}`: {reason}", rule.id),
            };
            if !self.ids.insert(rule.id.clone()) {
                return Err(refuse("the id is taken by another rule".to_owned()));
            }
            let compiled = compile(rule, &spec.defaults).map_err(refuse)?;
            if let Some(names) = &rule.names {
                self.names.push(names.clone());
                self.assignments.push(self.rules.len());
            }
            self.rules.push(compiled);
        }
        let refuse = |reason: String| LoadError {
            file: file.path.clone(),
            line: None,
            reason: format!("allow: {reason}"),
        };
        self.allow
            .words
            .extend(spec.allow.words.iter().map(|word| word.to_ascii_lowercase()));
        self.allow
            .parts
            .extend(spec.allow.parts.iter().map(|part| part.to_ascii_lowercase()));
        for value in &spec.allow.values {
            self.allow.values.push(Pattern::new(value).map_err(refuse)?);
        }
        globs(&spec.allow.generated_files).map_err(refuse)?;
        self.generated.extend(spec.allow.generated_files);
        Ok(())
    }

    fn finish(self) -> Result<RuleSet, LoadError> {
        let refuse = |reason: String| LoadError {
            file: self.last_file.clone(),
            line: None,
            reason,
        };
        if self.rules.is_empty() {
            return Err(LoadError {
                file: "modules/secrets/rules".into(),
                line: None,
                reason: "there are no rules".into(),
            });
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let names = build_names(&names).map_err(refuse)?;
        let prefilter = Prefilter::new(&self.rules).map_err(refuse)?;
        let generated_files = globs(&self.generated).map_err(refuse)?;
        let by_path = (0..self.rules.len())
            .filter(|&index| self.rules[index].keywords.is_empty())
            .collect();
        let allow = Allow {
            generated_files,
            ..self.allow
        };
        Ok(RuleSet {
            rules: self.rules,
            assignments: self.assignments,
            names,
            by_path,
            allow,
            prefilter,
        })
    }
}

/// The YAML reader gives no place for a single rule once it is read; its id line is as good.
fn line_of_rule(text: &str, id: &str) -> Option<u32> {
    let is_id = |line: &str| {
        line.trim_start()
            .trim_start_matches("- ")
            .strip_prefix("id:")
            .is_some_and(|v| v.trim() == id)
    };
    text.lines().position(is_id).map(|index| index as u32 + 1)
}

fn compile(spec: &RuleSpec, defaults: &Defaults) -> Result<CompiledRule, String> {
    let matcher = match (&spec.regex, &spec.names, spec.structure) {
        (Some(regex), None, None) => Matcher::Token(Pattern::new(regex)?),
        (None, None, Some(structure)) => Matcher::Structure(structure),
        (None, Some(names), None) => {
            Pattern::new(names)?;
            let optional = |pattern: &Option<String>| pattern.as_deref().map(Pattern::new).transpose();
            Matcher::Assignment {
                not_names: optional(&spec.not_names)?,
                value: optional(&spec.value)?,
            }
        }
        _ => return Err("give one of `regex` (a token), `names` (an assignment) or `structure`".to_owned()),
    };
    let token = matches!(matcher, Matcher::Token(_));
    if spec.keywords.is_empty() && spec.paths.is_empty() {
        return Err("give `keywords`, or `paths` if it shall run on all of a file".to_owned());
    }
    if spec
        .keywords
        .iter()
        .any(|keyword| keyword.len() < SHORTEST_KEYWORD || !keyword.is_ascii())
    {
        return Err(format!(
            "keywords must be ASCII and have at least {SHORTEST_KEYWORD} characters"
        ));
    }
    let allow = spec
        .allow
        .iter()
        .map(|pattern| Pattern::new(pattern))
        .collect::<Result<_, _>>()?;
    Ok(CompiledRule {
        meta: meta(spec, defaults),
        keywords: spec.keywords.clone(),
        any_case: !token || spec.regex.as_deref().is_some_and(|regex| regex.starts_with("(?i)")),
        window: spec.window.unwrap_or(WINDOW),
        judge: spec.judge.unwrap_or(if spec.names.is_none() || spec.value.is_some() {
            Judge::Pattern
        } else {
            Judge::Random
        }),
        entropy: spec.entropy.unwrap_or(0.0),
        min_length: spec.min_length.unwrap_or(1),
        validators: spec.validators.clone(),
        paths: if spec.paths.is_empty() {
            None
        } else {
            Some(globs(&spec.paths)?)
        },
        matcher,
        allow,
        not_after: spec.not_after.as_deref().map(Pattern::new).transpose()?,
    })
}

fn meta(spec: &RuleSpec, defaults: &Defaults) -> Rule {
    let description = spec
        .description
        .clone()
        .unwrap_or_else(|| format!("{} in the source.", spec.name));
    let tags = ["secret".to_owned()]
        .into_iter()
        .chain(defaults.tags.iter().cloned())
        .chain(spec.tags.iter().cloned());
    Rule {
        id: format!("secrets/{}", spec.id),
        name: spec.name.clone(),
        description,
        severity: spec.severity,
        confidence: spec.confidence,
        cwe: vec![CWE],
        tags: tags.collect(),
        remediation: spec.remediation.clone().unwrap_or_else(|| defaults.remediation.clone()),
        references: spec.references.clone(),
    }
}
