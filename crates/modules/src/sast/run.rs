//! The module itself: configuration, the walk over the workspace, and the report.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::{Glob, GlobSet, GlobSetBuilder};
use helve_findings::{ModuleReport, Notification, NotificationLevel, Rule, Severity};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::engine::Engine;
use super::file::{self, FileResult};
use super::{lang, manifest, rules, text};
use crate::limit::{MAX_FINDINGS, Worst};
use crate::walk::{Entry, WalkOptions, walk};
use crate::{Context, LoadError, Metadata, Module, ModuleError, Output, Progress, RuleFile, config};

/// Notes about single files beyond this number become one note with their count.
const MAX_NOTES: usize = 500;
/// Files between two reports of progress.
const PROGRESS_STEP: u64 = 64;

/// The configuration of a step; the schema in the manifest says what the fields mean.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    min_severity: Severity,
    languages: BTreeSet<String>,
    rules: RulesConfig,
    exclude: Vec<String>,
    max_file_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RulesConfig {
    disable: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            min_severity: Severity::Note,
            languages: BTreeSet::new(),
            rules: RulesConfig::default(),
            exclude: Vec::new(),
            max_file_bytes: 1 << 20,
        }
    }
}

/// The module `sast`.
pub(super) struct Sast {
    metadata: Metadata,
    /// By grammar, in the order of [`lang::ALL`].
    pub(super) engines: Vec<Engine>,
    infos: Vec<Arc<Rule>>,
    /// Snippets for the self-test.
    pub(super) snippets: Vec<rules::Snippets>,
}

/// A run's settings, worked out once.
struct Plan {
    /// Per grammar and rule: switched off.
    disabled: Vec<Vec<bool>>,
    languages: BTreeSet<String>,
    exclude: GlobSet,
    max_file_bytes: u64,
}

impl Sast {
    /// Loads the manifest and compiles the rules.
    pub(super) fn load(files: &[RuleFile]) -> Result<Self, LoadError> {
        let metadata = manifest::load(files)?;
        let loaded = rules::load(files)?;
        let wrong = |reason| LoadError {
            file: "modules/sast/rules".to_owned(),
            line: None,
            reason,
        };
        if loaded.infos.is_empty() {
            return Err(wrong("there is no rule".to_owned()));
        }
        let parts = lang::ALL.iter().zip(loaded.rules).zip(loaded.libraries);
        let engines = parts.map(|((lang, rules), library)| Engine::new(*lang, rules, library).map_err(wrong));
        let engines = engines.collect::<Result<_, _>>()?;
        Ok(Sast {
            metadata,
            engines,
            infos: loaded.infos,
            snippets: loaded.snippets,
        })
    }

    fn plan(&self, config: Config) -> Result<Plan, ModuleError> {
        let unknown = |field: &str, message| Err(config_error(field, message));
        let bare = |id: &str| id.strip_prefix("sast/").unwrap_or(id).to_owned();
        let off: BTreeSet<String> = config.rules.disable.iter().map(|id| bare(id)).collect();
        if let Some(id) = off
            .iter()
            .find(|id| !self.infos.iter().any(|rule| bare(&rule.id) == **id))
        {
            return unknown("rules.disable", format!("there is no rule `sast/{id}`"));
        }
        if let Some(name) = config.languages.iter().find(|name| lang::family(name).is_none()) {
            return unknown(
                "languages",
                format!("unknown language `{name}`; known are {}", lang::family_names()),
            );
        }
        let mut exclude = GlobSetBuilder::new();
        for glob in &config.exclude {
            match Glob::new(glob) {
                Ok(glob) => exclude.add(glob),
                Err(error) => return unknown("exclude", error.to_string()),
            };
        }
        let exclude = exclude
            .build()
            .map_err(|error| config_error("exclude", error.to_string()))?;
        let is_off = |rule: &Rule| rule.severity < config.min_severity || off.contains(&bare(&rule.id));
        let disabled = self
            .engines
            .iter()
            .map(|engine| engine.rules.iter().map(|r| is_off(&r.info)).collect());
        let disabled = disabled.collect();
        Ok(Plan {
            disabled,
            languages: config.languages,
            exclude,
            max_file_bytes: config.max_file_bytes,
        })
    }

    /// Scans one file of the workspace; `None` if it is not code of a language that was asked for.
    fn scan_file(&self, entry: &Entry, plan: &Plan, cx: &Context<'_>) -> Option<FileResult> {
        let path = entry.relative.as_str();
        let by_name = lang::by_name(path);
        if by_name.is_none() && !lang::may_be_script(path) {
            return None;
        }
        if entry.bytes > plan.max_file_bytes {
            let limit = plan.max_file_bytes;
            let message = format!(
                "not scanned: {} bytes is over the limit of {limit} (max_file_bytes)",
                entry.bytes
            );
            return by_name.map(|_| FileResult::note(NotificationLevel::Warning, path, message));
        }
        let bytes = match read(&entry.path, plan.max_file_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                return Some(FileResult::note(NotificationLevel::Warning, path, message));
            }
        };
        if by_name.is_none() && !bytes.starts_with(b"#!") {
            return None;
        }
        let text = match text::decode(&bytes) {
            Ok(text) => text,
            Err(unfit) => {
                return by_name.map(|_| FileResult::note(NotificationLevel::Warning, path, unfit.reason()));
            }
        };
        drop(bytes);
        let lang = by_name
            .or_else(|| lang::by_shebang(&text))
            .and_then(|lang| lang::refine(lang, path, &text))?;
        if !plan.languages.is_empty() && !plan.languages.contains(lang::name(lang)) {
            return None;
        }
        let slot = lang::index(lang);
        Some(file::scan(
            &self.engines[slot],
            &plan.disabled[slot],
            path,
            text,
            cx.cancelled,
        ))
    }
}

fn config_error(field: &str, message: String) -> ModuleError {
    ModuleError::Config {
        module: "sast".to_owned(),
        field: field.to_owned(),
        message,
    }
}

/// Reads at most `limit` bytes: a file may have grown since the walk.
fn read(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Module for Sast {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn execute(&self, cx: &Context<'_>, config: &Value) -> Result<Output, ModuleError> {
        let config: Config = config::parse("sast", &self.metadata.config_schema, config)?;
        let min_severity = config.min_severity;
        let plan = self.plan(config)?;
        // The size limit is applied here, to code only: that a large image was skipped is not worth a note.
        let walked = walk(
            cx.workspace,
            &WalkOptions {
                max_file_bytes: u64::MAX,
                ..WalkOptions::default()
            },
        )?;
        let entries: Vec<&Entry> = walked
            .entries
            .iter()
            .filter(|e| !plan.exclude.is_match(&e.relative))
            .collect();
        let total = entries.len() as u64;
        let (done, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let worst = Worst::new(MAX_FINDINGS);
        let scan = |entry: &&Entry| -> Result<FileResult, ModuleError> {
            cx.check_cancelled()?;
            let mut result = self.scan_file(entry, &plan, cx).unwrap_or_default();
            worst.add(std::mem::take(&mut result.findings));
            if result.scanned {
                bytes.fetch_add(entry.bytes, Ordering::Relaxed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(PROGRESS_STEP) || done == total {
                (cx.progress)(Progress {
                    done,
                    total: Some(total),
                    unit: "files",
                    message: None,
                });
            }
            Ok(result)
        };
        let results: Vec<FileResult> = entries.par_iter().map(scan).collect::<Result<_, _>>()?;
        cx.check_cancelled()?;
        let rules = self
            .infos
            .iter()
            .filter(|rule| rule.severity >= min_severity)
            .map(|rule| (**rule).clone());
        Ok(self.output(results, worst, rules.collect(), walked.skipped, bytes.into_inner()))
    }
}

impl Sast {
    fn output(
        &self,
        all: Vec<FileResult>,
        worst: Worst,
        rules: Vec<Rule>,
        mut notes: Vec<Notification>,
        bytes: u64,
    ) -> Output {
        let (mut scanned, mut skipped) = (0_u64, 0_u64);
        for result in all {
            scanned += u64::from(result.scanned);
            skipped += u64::from(!result.scanned && !result.notes.is_empty());
            notes.extend(result.notes);
        }
        for (id, reason) in self.engines.iter().flat_map(Engine::failures) {
            let message = format!("{id} did not run: {reason}");
            notes.push(Notification {
                level: NotificationLevel::Error,
                message,
                path: None,
            });
        }
        if notes.len() > MAX_NOTES {
            // What was not scanned at all comes first: those notes matter most.
            notes.sort_by_key(|note| (std::cmp::Reverse(note.level), note.path.clone()));
            let rest = notes.split_off(MAX_NOTES).len();
            let message = format!("{rest} more files were not scanned, or in part only");
            notes.push(Notification {
                level: NotificationLevel::Warning,
                message,
                path: None,
            });
        }
        let mut report = ModuleReport::new(&self.metadata.name, &self.metadata.version);
        report.rules = rules;
        report.notifications = notes;
        let found = worst.finish(&mut report);
        let mut summary = Map::new();
        summary.insert("files_scanned".to_owned(), json!(scanned));
        summary.insert("files_skipped".to_owned(), json!(skipped));
        summary.insert("bytes_scanned".to_owned(), json!(bytes));
        summary.insert("findings".to_owned(), json!(found));
        Output {
            report,
            summary,
            artifacts: Vec::new(),
        }
    }
}
