//! How programs were hardened when they were built: ELF, PE and Mach-O, without running them.
//!
//! A target without a program, and a program that cannot be taken apart, are inconclusive.

mod elf;
mod libraries;
mod macho;
mod pe;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use globset::GlobSet;
use helve_findings::{
    Confidence, Finding, Location, ModuleReport, Notification, NotificationLevel, Severity, code_anchor,
};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::globs::globs;
use crate::limit::{MAX_FINDINGS, Worst};
use crate::walk::{Entry, WalkOptions, walk};
use crate::{Context, LoadError, Metadata, Module, ModuleError, Output, Progress, RuleFile, config, doubts};
use rules::Check;

pub(crate) const NAME: &str = "hardening";
/// Changes whenever findings may change.
const VERSION: &str = "1.0.0";

/// Loads the module; it has no data files.
pub(crate) fn load(_files: &[RuleFile]) -> Result<Arc<dyn Module>, LoadError> {
    Ok(Arc::new(Hardening { metadata: metadata() }))
}

struct Hardening {
    metadata: Metadata,
}

/// The module's configuration; see [`schema`] for the meaning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    exclude: Vec<String>,
    disable: Vec<String>,
    max_file_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            disable: Vec::new(),
            max_file_bytes: 256 << 20,
        }
    }
}

fn schema() -> Value {
    let ids: Vec<&str> = Check::ALL.iter().map(|check| check.id()).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "exclude": {
                "type": "array", "items": {"type": "string"}, "default": [],
                "description": "Globs of files to leave out; without a slash, in any directory."
            },
            "disable": {
                "type": "array", "items": {"enum": ids}, "default": [],
                "description": "Rules that do not run."
            },
            "max_file_bytes": {
                "type": "integer", "minimum": 1, "maximum": 1u64 << 32, "default": 256u64 << 20,
                "description": "Larger programs are left out, and the report is inconclusive."
            }
        }
    })
}

fn metadata() -> Metadata {
    let outputs = [
        ("programs", "Programs and libraries that were looked at."),
        ("findings", "Protections that are missing."),
    ];
    let description = "Looks at how programs for Linux, Windows and macOS were hardened when they were built.";
    Metadata::builtin(NAME, VERSION, description, schema(), &outputs)
}

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq)]
struct Flaw {
    check: Check,
    /// What the program does, for people: it continues "`path` ...".
    what: String,
    /// Where they differ from the rule's.
    judged: Option<(Severity, Confidence)>,
}

impl Flaw {
    fn new(check: Check, what: impl Into<String>) -> Self {
        Self {
            check,
            what: what.into(),
            judged: None,
        }
    }

    fn with(self, severity: Severity, confidence: Confidence) -> Self {
        Self {
            judged: Some((severity, confidence)),
            ..self
        }
    }
}

/// What was seen of one program.
#[derive(Debug, Default)]
struct Seen {
    library: bool,
    flaws: Vec<Flaw>,
    /// What does not apply to it, or cannot be told.
    notes: Vec<String>,
}

/// A kind of program, by the first bytes of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Elf,
    Pe,
    MachO,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.get(..4)? {
            b"\x7fELF" => Some(Self::Elf),
            [b'M', b'Z', ..] => Self::is_windows(bytes).then_some(Self::Pe),
            [0xfe, 0xed, 0xfa, 0xce | 0xcf] | [0xce | 0xcf, 0xfa, 0xed, 0xfe] => Some(Self::MachO),
            // Compiled Java begins the same way, and has its version where the number of architectures would be.
            [0xca, 0xfe, 0xba, 0xbe] => {
                let count = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
                (1..=30).contains(&count).then_some(Self::MachO)
            }
            _ => None,
        }
    }

    /// Programs of DOS, and texts that happen to begin with its mark, are no programs of Windows.
    fn is_windows(bytes: &[u8]) -> bool {
        let Some(at) = bytes.get(0x3c..0x40).and_then(|at| at.try_into().ok()) else {
            return false;
        };
        let at = u32::from_le_bytes(at) as usize;
        // One that was cut off may be one.
        at >= 0x40 && at.is_multiple_of(4) && bytes.get(at..at + 4).is_none_or(|mark| mark == b"PE\0\0")
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Elf => "ELF",
            Self::Pe => "PE",
            Self::MachO => "Mach-O",
        }
    }
}

/// None if the bytes are no linked program.
fn inspect(bytes: &[u8]) -> Result<Option<Seen>, String> {
    let Some(format) = Format::of(bytes) else {
        return Ok(None);
    };
    // The files are the target's and the parser is not ours: a defect there costs this file, and not the step.
    let seen = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Elf => elf::inspect(bytes),
        Format::Pe => pe::inspect(bytes),
        Format::MachO => macho::inspect(bytes),
    }));
    match seen {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(reason)) => Err(format!(
            "it looks like {} and cannot be taken apart: {reason}",
            format.name()
        )),
        Err(_) => Err(format!("it looks like {} and no parser gets through it", format.name())),
    }
}

impl Module for Hardening {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn execute(&self, cx: &Context<'_>, config: &Value) -> Result<Output, ModuleError> {
        let config: Config = config::parse(NAME, &self.metadata.config_schema, config)?;
        let exclude = globs(&config.exclude).map_err(|message| ModuleError::Config {
            module: NAME.to_owned(),
            field: "exclude".to_owned(),
            message,
        })?;
        look(cx, &config, &exclude)
    }
}

fn look(cx: &Context<'_>, config: &Config, exclude: &GlobSet) -> Result<Output, ModuleError> {
    let mut walked = walk(
        cx.workspace,
        &WalkOptions {
            max_file_bytes: config.max_file_bytes,
            ..WalkOptions::default()
        },
    )?;
    walked.entries.retain(|entry| !exclude.is_match(&entry.relative));
    let checks: BTreeSet<Check> = Check::ALL
        .into_iter()
        .filter(|check| !config.disable.iter().any(|id| id == check.id()))
        .collect();
    let worst = Worst::new(MAX_FINDINGS);
    let (programs, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = walked.entries.len() as u64;
    let looked: Vec<Vec<Notification>> = walked
        .entries
        .par_iter()
        .map(|entry| {
            cx.check_cancelled()?;
            let mut notes = Vec::new();
            match read(entry).map(|bytes| bytes.map_or(Ok(None), |bytes| inspect(&bytes))) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(seen))) => {
                    programs.fetch_add(1, Ordering::Relaxed);
                    worst.add(findings(&seen, &entry.relative, &checks));
                    notes.extend(seen.notes.into_iter().map(|note| (NotificationLevel::Note, note)));
                }
                Ok(Err(reason)) => notes.push((NotificationLevel::Warning, reason)),
                Err(error) => notes.push((NotificationLevel::Warning, format!("cannot be read: {error}"))),
            }
            (cx.progress)(Progress {
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total: Some(total),
                unit: "files",
                message: None,
            });
            let told = notes.into_iter().map(|(level, message)| Notification {
                level,
                message,
                path: Some(entry.relative.clone()),
            });
            Ok(told.collect())
        })
        .collect::<Result<_, ModuleError>>()?;
    let mut report = ModuleReport::new(NAME, VERSION);
    report.rules = checks.iter().map(|check| check.rule()).collect();
    // A large file that is left out may be a program.
    let all = walked.skipped.into_iter().chain(looked.into_iter().flatten());
    let (mut unsure, notes): (Vec<_>, Vec<_>) = all.partition(|note| note.level > NotificationLevel::Note);
    report.notifications = notes;
    let programs = programs.into_inner();
    if programs == 0 && unsure.is_empty() {
        unsure.push(Notification {
            level: NotificationLevel::Warning,
            message: "there is no program in the target".to_owned(),
            path: None,
        });
    }
    doubts::tell(&mut report, unsure);
    let found = worst.finish(&mut report);
    let mut summary = Map::new();
    summary.insert("programs".to_owned(), json!(programs));
    summary.insert("findings".to_owned(), json!(found));
    Ok(Output {
        report,
        summary,
        artifacts: Vec::new(),
    })
}

/// The whole file, if its first bytes may be those of a program.
fn read(entry: &Entry) -> std::io::Result<Option<Vec<u8>>> {
    let mut file = fs::File::open(&entry.path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(4).read_to_end(&mut bytes)?;
    let possible = [
        b"\x7fELF".as_slice(),
        b"MZ",
        b"\xfe\xed\xfa",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    if !possible.iter().any(|mark| bytes.starts_with(mark)) {
        return Ok(None);
    }
    file.take(entry.bytes.saturating_sub(bytes.len() as u64))
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn findings(seen: &Seen, path: &str, checks: &BTreeSet<Check>) -> Vec<Finding> {
    let name = Path::new(path)
        .file_name()
        .map_or(path.into(), |name| name.to_string_lossy());
    let kind = if seen.library { "library" } else { "program" };
    let flaws = seen.flaws.iter().filter(|flaw| checks.contains(&flaw.check));
    flaws
        .map(|flaw| {
            let message = format!("The {kind} `{name}` {}.", flaw.what);
            // The address of a segment moves with every build.
            let anchor = match flaw.check {
                Check::WritableCode => flaw.check.id(),
                _ => &flaw.what,
            };
            let mut finding = Finding::new(
                &flaw.check.rule(),
                NAME,
                message,
                Location::file(path),
                code_anchor(anchor),
            );
            if let Some((severity, confidence)) = flaw.judged {
                (finding.severity, finding.confidence) = (severity, confidence);
            }
            finding
        })
        .collect()
}

#[cfg(test)]
mod tests;
