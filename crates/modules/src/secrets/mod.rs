//! The secrets scanner: finds credentials in text, also disguised ones, and never repeats them.
//!
//! One automaton looks for the keywords of all rules; patterns run near its hits only. Decoding passes show the text
//! as other *views*, which are scanned the same way and map back to the file.

mod assign;
mod decode;
mod entropy;
mod in_place;
mod judge;
mod kubernetes;
mod literals;
mod mask;
mod names;
mod numbers;
mod prefilter;
mod redact;
mod report;
mod rules;
mod scan;
mod spec;
mod text;
mod validate;
mod values;
mod variables;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::GlobSet;
use helve_findings::{Confidence, Finding, ModuleReport, Notification, NotificationLevel};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::globs::globs;
use crate::limit::{MAX_FINDINGS, Worst};
use crate::walk::{Entry, WalkOptions, walk};
use crate::{Context, LoadError, Metadata, Module, ModuleError, Output, Progress, RuleFile, config};
pub use mask::Masker;
use rules::RuleSet;

const NAME: &str = "secrets";
/// Changes whenever findings may change.
const VERSION: &str = "1.0.0";
/// Progress is told every so many files.
const PROGRESS_EVERY: u64 = 64;
/// Files that were left out are named one by one up to this many per reason; the rest is counted.
const NAMED_SKIPS: usize = 50;

/// Loads the module from its rule files.
pub fn load(files: &[RuleFile]) -> Result<Arc<dyn Module>, LoadError> {
    Ok(Arc::new(Secrets {
        rules: rules::load(files)?,
        metadata: metadata(),
    }))
}

struct Secrets {
    rules: RuleSet,
    metadata: Metadata,
}

/// The module's configuration; see [`schema`] for the meaning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    min_confidence: Confidence,
    max_file_bytes: u64,
    decode: bool,
    exclude: Vec<String>,
    rules: RuleChoice,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleChoice {
    disable: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            min_confidence: Confidence::Medium,
            max_file_bytes: 8 << 20,
            decode: true,
            exclude: Vec::new(),
            rules: RuleChoice::default(),
        }
    }
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "min_confidence": {
                "enum": ["low", "medium", "high"], "default": "medium",
                "description": "Report findings of at least this confidence."
            },
            "max_file_bytes": {
                "type": "integer", "minimum": 1, "maximum": 1u64 << 30, "default": 8u64 << 20,
                "description": "Larger files are left out, with a notification."
            },
            "decode": {
                "type": "boolean", "default": true,
                "description": "Also look into base64, hex, escapes, rot13, reversed and joined texts."
            },
            "exclude": {
                "type": "array", "items": {"type": "string"}, "default": [],
                "description": "Globs of files to leave out; without a slash, in any directory."
            },
            "rules": {
                "type": "object", "additionalProperties": false,
                "properties": {
                    "disable": {
                        "type": "array", "items": {"type": "string"}, "default": [],
                        "description": "Ids of rules that shall not run, with or without `secrets/`."
                    }
                }
            }
        }
    })
}

fn metadata() -> Metadata {
    let outputs = [
        ("files_scanned", "Files that were read and scanned."),
        ("bytes_scanned", "Their bytes."),
        (
            "files_skipped",
            "Files that were left out; each is in the notifications.",
        ),
        ("findings", "Secrets found."),
    ];
    Metadata {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        description: "Finds passwords, keys and tokens in source and configuration, also encoded or split ones."
            .to_owned(),
        config_schema: schema(),
        outputs: outputs
            .into_iter()
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// What a run knows beyond the rules.
struct Run<'r> {
    rules: &'r RuleSet,
    min_confidence: Confidence,
    decode: bool,
    exclude: GlobSet,
    disabled: HashSet<usize>,
}

/// What came of one file.
#[derive(Default)]
struct FileResult {
    findings: Vec<Finding>,
    notification: Option<Notification>,
    bytes: u64,
    scanned: bool,
}

impl Module for Secrets {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn execute(&self, cx: &Context<'_>, config: &Value) -> Result<Output, ModuleError> {
        let config: Config = config::parse(NAME, &self.metadata.config_schema, config)?;
        let run = self.run(&config)?;
        let walked = walk(
            cx.workspace,
            &WalkOptions {
                max_file_bytes: config.max_file_bytes,
                ..WalkOptions::default()
            },
        )?;
        let done = AtomicU64::new(0);
        let worst = Worst::new(MAX_FINDINGS);
        let total = walked.entries.len() as u64;
        let results = walked
            .entries
            .par_iter()
            .map(|entry| {
                cx.check_cancelled()?;
                let mut result = run.file(entry);
                worst.add(std::mem::take(&mut result.findings));
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(PROGRESS_EVERY) || done == total {
                    (cx.progress)(Progress {
                        done,
                        total: Some(total),
                        unit: "files",
                        message: None,
                    });
                }
                Ok(result)
            })
            .collect::<Result<Vec<_>, ModuleError>>()?;
        Ok(self.output(&run, results, worst, walked.skipped))
    }
}

impl Secrets {
    fn run(&self, config: &Config) -> Result<Run<'_>, ModuleError> {
        let refuse = |field: &str, message: String| ModuleError::Config {
            module: NAME.into(),
            field: field.into(),
            message,
        };
        let exclude = globs(&config.exclude).map_err(|error| refuse("exclude", error))?;
        let mut disabled = HashSet::new();
        for id in &config.rules.disable {
            let full = format!("{NAME}/{}", id.trim_start_matches("secrets/"));
            let index = self.rules.rules.iter().position(|rule| rule.meta.id == full);
            disabled.insert(index.ok_or_else(|| refuse("rules.disable", format!("there is no rule `{id}`")))?);
        }
        let Config {
            min_confidence, decode, ..
        } = *config;
        Ok(Run {
            rules: &self.rules,
            min_confidence,
            decode,
            exclude,
            disabled,
        })
    }

    fn output(&self, run: &Run<'_>, results: Vec<FileResult>, worst: Worst, mut skipped: Vec<Notification>) -> Output {
        let mut report = ModuleReport::new(NAME, VERSION);
        let enabled = self
            .rules
            .rules
            .iter()
            .enumerate()
            .filter(|(index, _)| !run.disabled.contains(index));
        report.rules = enabled.map(|(_, rule)| rule.meta.clone()).collect();
        let (mut files, mut bytes) = (0u64, 0u64);
        for result in results {
            files += u64::from(result.scanned);
            bytes += result.bytes;
            skipped.extend(result.notification);
        }
        let mut summary = Map::new();
        summary.insert("files_scanned".into(), files.into());
        summary.insert("bytes_scanned".into(), bytes.into());
        summary.insert("files_skipped".into(), skipped.len().into());
        report.notifications = condense(skipped);
        let found = worst.finish(&mut report);
        summary.insert("findings".into(), found.into());
        Output {
            report,
            summary,
            artifacts: Vec::new(),
        }
    }
}

/// Ten thousand pictures are one fact, not ten thousand.
fn condense(skipped: Vec<Notification>) -> Vec<Notification> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept = Vec::new();
    let reason = |message: &str| message.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    for notification in skipped {
        let count = counts.entry(reason(&notification.message)).or_default();
        *count += 1;
        if *count <= NAMED_SKIPS {
            kept.push(notification);
        }
    }
    for (reason, count) in counts.into_iter().filter(|(_, count)| *count > NAMED_SKIPS) {
        let message = format!("{} more files: {}", count - NAMED_SKIPS, reason.trim());
        kept.push(Notification {
            level: NotificationLevel::Note,
            message,
            path: None,
        });
    }
    kept
}

impl Run<'_> {
    fn file(&self, entry: &Entry) -> FileResult {
        let skipped = |level, message: String| FileResult {
            notification: Some(Notification {
                level,
                message,
                path: Some(entry.relative.clone()),
            }),
            ..FileResult::default()
        };
        if self.exclude.is_match(&entry.relative) {
            return skipped(
                NotificationLevel::Note,
                "not scanned: excluded by configuration".to_owned(),
            );
        }
        let bytes = match read_text(&entry.path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return skipped(NotificationLevel::Note, "not scanned: the content is binary".to_owned()),
            Err(error) => return skipped(NotificationLevel::Warning, format!("cannot be read: {error}")),
        };
        match text::decode(&bytes) {
            Some(text) => self.text(&entry.relative, &text, bytes.len() as u64),
            None => skipped(NotificationLevel::Note, "not scanned: the content is binary".to_owned()),
        }
    }

    fn text(&self, path: &str, text: &[u8], bytes: u64) -> FileResult {
        let subject = scan::Subject {
            path,
            kind: text::kind(path),
            decode: self.decode,
        };
        let scanned = scan::scan(self.rules, subject, &|rule| !self.disabled.contains(&rule), text);
        let notification = scanned.exhausted.then(|| Notification {
            level: NotificationLevel::Warning,
            message: "scanned, but its encoded texts are too many: some were not decoded".to_owned(),
            path: Some(path.to_owned()),
        });
        FileResult {
            findings: report::findings(self.rules, path, text, &scanned, self.min_confidence),
            notification,
            bytes,
            scanned: true,
        }
    }
}

/// Reads a file, but a binary one only as far as it takes to see that.
fn read_text(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read;
    const HEAD: u64 = 8 << 10;
    let mut file = std::fs::File::open(path)?;
    let mut bytes = Vec::with_capacity(HEAD as usize);
    (&mut file).take(HEAD).read_to_end(&mut bytes)?;
    if text::decode(&bytes).is_none() {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Scans one text without a workspace: for benchmarks. Returns the number of secrets.
#[doc(hidden)]
pub fn scan_text(files: &[RuleFile]) -> Result<impl Fn(&str, &[u8], bool) -> usize + Sync + use<>, LoadError> {
    let rules = rules::load(files)?;
    Ok(move |path: &str, text: &[u8], decode: bool| {
        let subject = scan::Subject {
            path,
            kind: text::kind(path),
            decode,
        };
        scan::scan(&rules, subject, &|_| true, text).found.len()
    })
}
