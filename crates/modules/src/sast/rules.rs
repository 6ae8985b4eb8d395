//! Rule files: YAML documents around ast-grep's rule language, checked and compiled when the module is loaded.
//!
//! A file holds documents separated by `---`. A document is a rule, or (with the key `library`) what the rules of a
//! language share: the sources of outside data, and what makes such data harmless.
//!
//! Loading checks everything but compiles nothing that is slow to compile: regular expressions cost a quarter of a
//! second together, and most targets need few of them. See [`Lazy`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use ast_grep_config::{DeserializeEnv, RuleCore, SerializableRule, SerializableRuleCore};
use ast_grep_core::matcher::Matcher;
use ast_grep_language::SupportLang;
use helve_findings::{Confidence, Rule, Severity};
use serde::Deserialize;

use super::flow::Level;
use super::{lang, light};
use crate::{LoadError, RuleFile};

/// One rule as its author wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleDoc {
    id: String,
    name: String,
    languages: Vec<String>,
    severity: Severity,
    confidence: Confidence,
    cwe: Vec<u32>,
    message: String,
    #[serde(default)]
    description: Option<String>,
    remediation: String,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    /// The rule can only match in files that contain one of these words; without any it runs on every file.
    #[serde(default)]
    keywords: Vec<String>,
    rule: SerializableRule,
    #[serde(default)]
    constraints: Option<HashMap<String, SerializableRule>>,
    #[serde(default)]
    utils: Option<HashMap<String, SerializableRule>>,
    /// What must be known of the values of metavariables for a match to count.
    #[serde(default)]
    flow: BTreeMap<String, Level>,
    /// The metavariable whose place is reported instead of the whole match.
    #[serde(default)]
    focus: Option<String>,
    tests: TestsDoc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestsDoc {
    positive: Vec<String>,
    negative: Vec<String>,
}

/// What the rules of some languages share.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryDoc {
    library: Vec<String>,
    /// Expressions and parameters that carry data from outside.
    #[serde(default)]
    sources: Vec<SerializableRule>,
    /// Expressions whose value is harmless whatever went in.
    #[serde(default)]
    cleans: Vec<SerializableRule>,
}

/// A matcher that was checked when it was loaded, and is compiled when it is first needed.
pub(super) struct Lazy {
    core: SerializableRuleCore,
    lang: SupportLang,
    compiled: OnceLock<Result<RuleCore, String>>,
}

impl Lazy {
    /// Checks the rule; the light twin with trivial regular expressions tells the node kinds.
    fn new(core: SerializableRuleCore, lang: SupportLang) -> Result<(Self, RuleCore), String> {
        let light = compile(light::core(&core)?, lang)?;
        Ok((
            Lazy {
                core,
                lang,
                compiled: OnceLock::new(),
            },
            light,
        ))
    }

    /// The matcher; none if it cannot be compiled, which the check at loading all but excludes.
    pub(super) fn get(&self) -> Option<&RuleCore> {
        self.compiled
            .get_or_init(|| compile(self.core.clone(), self.lang))
            .as_ref()
            .ok()
    }

    /// Why it could not be compiled, if that was tried.
    pub(super) fn failure(&self) -> Option<&str> {
        self.compiled
            .get()
            .and_then(|result| result.as_ref().err())
            .map(String::as_str)
    }
}

fn compile(core: SerializableRuleCore, lang: SupportLang) -> Result<RuleCore, String> {
    core.get_matcher(DeserializeEnv::new(lang))
        .map_err(|error| chain(&error))
}

/// What the rules of one grammar share.
#[derive(Default)]
pub(super) struct Library {
    /// Matches what carries data from outside.
    pub(super) sources: Option<Lazy>,
    /// Matches what is harmless whatever went in.
    pub(super) cleans: Option<Lazy>,
}

/// A rule for one grammar.
pub(super) struct Compiled {
    /// What findings and listings say about it; shared by the grammars of the rule.
    pub(super) info: Arc<Rule>,
    /// Message with `$NAMES`.
    pub(super) message: String,
    /// The matcher.
    pub(super) matcher: Lazy,
    /// Kinds of nodes it can match.
    pub(super) kinds: Vec<usize>,
    /// Conditions on the values of metavariables.
    pub(super) flow: Vec<(String, Level)>,
    /// The metavariable whose place is reported instead of the whole match.
    pub(super) focus: Option<String>,
    /// One of them must occur in the file.
    pub(super) keywords: Vec<String>,
}

/// The snippets of one rule, for the self-test.
pub(super) struct Snippets {
    /// Id without the module's prefix.
    pub(super) id: String,
    /// Where the rule stands.
    pub(super) file: String,
    /// Line of the document.
    pub(super) line: u32,
    /// Grammars the snippets must work in.
    pub(super) languages: Vec<SupportLang>,
    /// Must be found.
    pub(super) positive: Vec<String>,
    /// Must not be found.
    pub(super) negative: Vec<String>,
}

/// All rules, by grammar in the order of [`lang::ALL`].
pub(super) struct Loaded {
    /// Rules per grammar.
    pub(super) rules: Vec<Vec<Compiled>>,
    /// Library per grammar.
    pub(super) libraries: Vec<Library>,
    /// Every rule once, sorted by id.
    pub(super) infos: Vec<Arc<Rule>>,
    /// Self-tests.
    pub(super) snippets: Vec<Snippets>,
}

/// A YAML document of a rule file.
struct Document<'a> {
    file: &'a str,
    /// Lines of the file before the document.
    offset: u32,
    text: String,
}

impl Document<'_> {
    fn error(&self, line: u32, reason: impl Into<String>) -> LoadError {
        LoadError {
            file: self.file.to_owned(),
            line: Some(self.offset + line.max(1)),
            reason: reason.into(),
        }
    }

    /// An error at the line of a top-level key.
    fn error_at(&self, key: &str, reason: impl Into<String>) -> LoadError {
        let at = self
            .text
            .lines()
            .position(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
        let first = self
            .text
            .lines()
            .position(|line| !line.trim().is_empty() && !line.starts_with('#'));
        self.error(at.or(first).unwrap_or(0) as u32 + 1, reason)
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T, LoadError> {
        ast_grep_config::from_str(&self.text).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line() as u32);
            let text = error.to_string();
            let text = text.lines().next().unwrap_or("not a rule");
            // The parser counts lines within the document; ours are those of the file.
            let bare = text
                .strip_prefix("error: line ")
                .and_then(|rest| rest.split_once(": "))
                .map(|(_, bare)| bare);
            self.error(line, bare.unwrap_or(text))
        })
    }
}

/// Reads and compiles all rule files; the first mistake refuses them.
pub(super) fn load(files: &[RuleFile]) -> Result<Loaded, LoadError> {
    let documents: Vec<Document<'_>> = files
        .iter()
        .filter(|file| is_rule_file(&file.path))
        .flat_map(split)
        .collect();
    let (libraries, rules): (Vec<_>, Vec<_>) = documents
        .iter()
        .partition(|doc| doc.text.lines().any(|line| line.starts_with("library:")));
    let libraries = load_libraries(&libraries)?;
    let mut loaded = Loaded {
        rules: lang::ALL.iter().map(|_| Vec::new()).collect(),
        libraries,
        infos: Vec::new(),
        snippets: Vec::new(),
    };
    let mut seen: HashMap<String, String> = HashMap::new();
    for document in rules {
        let doc: RuleDoc = document.parse()?;
        if let Some(before) = seen.insert(doc.id.clone(), document.file.to_owned()) {
            return Err(document.error_at("id", format!("rule id `{}` is already used in {before}", doc.id)));
        }
        add_rule(&mut loaded, document, doc)?;
    }
    loaded.infos.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(loaded)
}

fn is_rule_file(path: &str) -> bool {
    path.contains("rules/") && (path.ends_with(".yaml") || path.ends_with(".yml"))
}

fn split(file: &RuleFile) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let mut current = Document {
        file: &file.path,
        offset: 0,
        text: String::new(),
    };
    for (at, line) in file.text.lines().enumerate() {
        if line.trim_end() == "---" {
            let next = Document {
                file: &file.path,
                offset: at as u32 + 1,
                text: String::new(),
            };
            documents.push(std::mem::replace(&mut current, next));
        } else {
            current.text.push_str(line);
            current.text.push('\n');
        }
    }
    documents.push(current);
    let has_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    documents.retain(|document| document.text.lines().any(has_content));
    documents
}

fn languages(document: &Document<'_>, key: &str, names: &[String]) -> Result<Vec<SupportLang>, LoadError> {
    let mut all = Vec::new();
    for name in names {
        let Some(family) = lang::family(name) else {
            let known = lang::family_names();
            return Err(document.error_at(key, format!("unknown language `{name}`; known are {known}")));
        };
        all.extend(
            family
                .iter()
                .filter(|lang| !all.contains(*lang))
                .copied()
                .collect::<Vec<_>>(),
        );
    }
    if all.is_empty() {
        Err(document.error_at(key, "at least one language is needed"))
    } else {
        Ok(all)
    }
}

fn load_libraries(documents: &[&Document<'_>]) -> Result<Vec<Library>, LoadError> {
    let mut parsed = Vec::new();
    for document in documents {
        let doc: LibraryDoc = document.parse()?;
        let languages = languages(document, "library", &doc.library)?;
        parsed.push((*document, doc, languages));
    }
    lang::ALL.iter().map(|lang| compile_library(*lang, &parsed)).collect()
}

fn compile_library(
    lang: SupportLang,
    all: &[(&Document<'_>, LibraryDoc, Vec<SupportLang>)],
) -> Result<Library, LoadError> {
    let mine: Vec<_> = all
        .iter()
        .filter(|(_, _, languages)| languages.contains(&lang))
        .collect();
    let Some((document, ..)) = mine.first() else {
        return Ok(Library::default());
    };
    let any = |key: &str, rules: Vec<SerializableRule>| -> Result<Option<Lazy>, LoadError> {
        if rules.is_empty() {
            return Ok(None);
        }
        let rule = SerializableRule {
            any: Some(rules).into(),
            ..SerializableRule::default()
        };
        let core = SerializableRuleCore {
            rule,
            constraints: None,
            utils: None,
            transform: None,
        };
        Lazy::new(core, lang)
            .map(|(lazy, _)| Some(lazy))
            .map_err(|reason| document.error_at(key, reason))
    };
    let sources = any(
        "sources",
        mine.iter().flat_map(|(_, doc, _)| doc.sources.clone()).collect(),
    )?;
    let cleans = any(
        "cleans",
        mine.iter().flat_map(|(_, doc, _)| doc.cleans.clone()).collect(),
    )?;
    Ok(Library { sources, cleans })
}

fn add_rule(loaded: &mut Loaded, document: &Document<'_>, doc: RuleDoc) -> Result<(), LoadError> {
    check(document, &doc)?;
    let languages = languages(document, "languages", &doc.languages)?;
    let info = Arc::new(info(&doc));
    for lang in &languages {
        let slot = lang::index(*lang);
        let core = SerializableRuleCore {
            rule: doc.rule.clone(),
            constraints: doc.constraints.clone(),
            utils: doc.utils.clone(),
            transform: None,
        };
        let checked = Lazy::new(core, *lang);
        let (matcher, light) = checked.map_err(|reason| document.error_at("rule", format!("{lang}: {reason}")))?;
        let Some(kinds) = light.potential_kinds() else {
            let reason = "the rule must say which kind of node it matches (`kind`, or a `pattern` of one kind)";
            return Err(document.error_at("rule", reason));
        };
        let names = light.defined_vars();
        let asked = doc
            .flow
            .keys()
            .map(|name| ("flow", name))
            .chain(doc.focus.iter().map(|name| ("focus", name)));
        if let Some((key, unknown)) = asked.into_iter().find(|(_, name)| !names.contains(name.as_str())) {
            return Err(document.error_at(key, format!("`${unknown}` is not a metavariable of the rule")));
        }
        loaded.rules[slot].push(Compiled {
            info: info.clone(),
            message: doc.message.clone(),
            matcher,
            kinds: kinds.iter().collect(),
            flow: doc.flow.iter().map(|(name, level)| (name.clone(), *level)).collect(),
            focus: doc.focus.clone(),
            keywords: doc.keywords.clone(),
        });
    }
    loaded.infos.push(info);
    let TestsDoc { positive, negative } = doc.tests;
    let (file, line) = (document.file.to_owned(), document.offset + 1);
    loaded.snippets.push(Snippets {
        id: doc.id,
        file,
        line,
        languages,
        positive,
        negative,
    });
    Ok(())
}

/// What every rule must have.
fn check(document: &Document<'_>, doc: &RuleDoc) -> Result<(), LoadError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if doc.id.is_empty() || !doc.id.chars().all(plain) {
        return Err(document.error_at(
            "id",
            format!("`{}`: ids are lowercase letters, digits and dashes", doc.id),
        ));
    }
    let texts = [
        ("name", &doc.name),
        ("message", &doc.message),
        ("remediation", &doc.remediation),
    ];
    if let Some((key, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
        return Err(document.error_at(key, format!("`{key}` must not be empty")));
    }
    if doc.cwe.is_empty() || doc.cwe.contains(&0) {
        return Err(document.error_at("cwe", "at least one weakness number (CWE) is needed"));
    }
    if doc.tests.positive.is_empty() || doc.tests.negative.is_empty() {
        return Err(document.error_at("tests", "at least one positive and one negative snippet are needed"));
    }
    if doc.flow.values().any(|level| *level == Level::Constant) {
        return Err(document.error_at("flow", "conditions are `dynamic`, `built` or `tainted`"));
    }
    Ok(())
}

fn info(doc: &RuleDoc) -> Rule {
    let mut tags: Vec<String> = doc.languages.iter().chain(&doc.tags).cloned().collect();
    tags.dedup();
    Rule {
        id: format!("sast/{}", doc.id),
        name: doc.name.clone(),
        description: doc.description.clone().unwrap_or_else(|| describe(&doc.message)),
        severity: doc.severity,
        confidence: doc.confidence,
        cwe: doc.cwe.clone(),
        tags,
        remediation: doc.remediation.clone(),
        references: doc.references.clone(),
    }
}

/// A message without a match to fill it in: `$NAME` becomes a placeholder.
fn describe(message: &str) -> String {
    let mut parts = message.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
        out.push_str(if rest.len() == part.len() { "$" } else { "…" });
        out.push_str(rest);
    }
    out
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{}: {error}", text.trim_end_matches('.'));
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
