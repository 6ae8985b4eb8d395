//! What a project depends on, from its lock files, and what is known about it: a bill of materials, and the advisories of
//! an offline database that are about the locked versions. Nothing is fetched.
//!
//! No data is not clean: without a database, without lock files, for a package whose version is not locked, for an
//! ecosystem of which the database knows nothing, the report is inconclusive.

mod cvss;
mod ecosystem;
mod lock;
mod osv;
mod sbom;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use globset::GlobSet;
use helve_findings::{
    Confidence, Finding, Location, ModuleReport, Notification, NotificationLevel, Region, Rule, code_anchor,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::globs::globs;
use crate::limit::{MAX_FINDINGS, Worst};
use crate::walk::{Entry, WalkOptions, walk};
use crate::{Artifact, Context, LoadError, Metadata, Module, ModuleError, Output, Progress, RuleFile, config, doubts};
use ecosystem::Ecosystem;
use lock::{Kind, Lock, Package};
use osv::{Advisory, Database, Hit};

const NAME: &str = "supply-chain";
/// Changes whenever findings may change.
const VERSION: &str = "1.0.0";
/// Name of the bill of materials among the artifacts.
const SBOM: &str = "sbom.cdx.json";
/// Outside of a report's own limits nobody reads longer texts.
const MAX_DETAILS: usize = 4_000;

/// Loads the module; it has no data files.
pub(crate) fn load(_files: &[RuleFile]) -> Result<Arc<dyn Module>, LoadError> {
    Ok(Arc::new(SupplyChain { metadata: metadata() }))
}

struct SupplyChain {
    metadata: Metadata,
}

/// The module's configuration; see [`schema`] for the meaning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    advisories: Option<PathBuf>,
    exclude: Vec<String>,
    max_file_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            advisories: None,
            exclude: Vec::new(),
            max_file_bytes: 64 << 20,
        }
    }
}

fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "advisories": {
                "type": ["string", "null"], "default": null,
                "description": "Folder of advisories in OSV's format; a relative path is in the target, another one is on the worker, whose owner allows it."
            },
            "exclude": {
                "type": "array", "items": {"type": "string"}, "default": [],
                "description": "Globs of lock files to leave out; without a slash, in any directory."
            },
            "max_file_bytes": {
                "type": "integer", "minimum": 1, "maximum": 1u64 << 30, "default": 64u64 << 20,
                "description": "Larger lock files are left out, and the report is inconclusive."
            }
        }
    })
}

fn metadata() -> Metadata {
    let outputs = [
        ("lock_files", "Lock files that were read."),
        ("packages", "Packages in the bill of materials."),
        ("advisories", "Advisories that were read."),
        ("advisories_modified", "When the youngest advisory was changed."),
        ("findings", "Known flaws of locked packages."),
    ];
    let description = "Lists what a project depends on, and the known flaws of the locked versions, offline.";
    Metadata::builtin(NAME, VERSION, description, schema(), &outputs)
}

impl Module for SupplyChain {
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
        let mut doubts = Doubts::default();
        let locks = read_locks(cx, &config, &exclude, &mut doubts)?;
        let database = read_advisories(cx, &config, &locks, &mut doubts)?;
        Ok(report(&locks, &database, doubts))
    }
}

/// What could not be looked at.
#[derive(Default)]
struct Doubts(Vec<Notification>);

impl Doubts {
    fn add(&mut self, path: Option<&str>, message: String) {
        self.0.push(Notification {
            level: NotificationLevel::Warning,
            message,
            path: path.map(str::to_owned),
        });
    }
}

type Locks = BTreeMap<String, Vec<Package>>;

fn read_locks(cx: &Context<'_>, config: &Config, exclude: &GlobSet, doubts: &mut Doubts) -> Result<Locks, ModuleError> {
    let options = WalkOptions {
        max_file_bytes: config.max_file_bytes,
        ..WalkOptions::default()
    };
    let walked = walk(cx.workspace, &options)?;
    let mut locks = Locks::new();
    for skipped in walked.skipped {
        let name = skipped.path.as_deref().map(file_name).unwrap_or_default();
        if lock::kind(name).is_some() {
            doubts.0.push(skipped);
        }
    }
    let entries = walked.entries.iter().filter(|entry| !exclude.is_match(&entry.relative));
    for entry in entries {
        // What is installed has lock files too: they say what its authors built with, and not this project.
        if entry
            .relative
            .split('/')
            .any(|part| part == "node_modules" || part == "vendor")
        {
            continue;
        }
        match lock::kind(file_name(&entry.relative)) {
            None => continue,
            Some(Kind::Unread(manager)) => {
                doubts.add(Some(&entry.relative), format!("lock files of {manager} are not read"));
            }
            Some(Kind::Lock(reader)) => {
                cx.check_cancelled()?;
                match read_lock(entry, reader) {
                    Ok(Lock { packages, gaps }) => {
                        gaps.into_iter().for_each(|gap| doubts.add(Some(&entry.relative), gap));
                        locks.insert(entry.relative.clone(), packages);
                    }
                    Err(reason) => doubts.add(Some(&entry.relative), format!("cannot be read: {reason}")),
                }
            }
        }
    }
    if locks.is_empty() && doubts.0.is_empty() {
        doubts.add(None, "there is no lock file".to_owned());
    }
    (cx.progress)(Progress {
        done: locks.len() as u64,
        total: None,
        unit: "lock files",
        message: None,
    });
    Ok(locks)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn read_lock(entry: &Entry, reader: lock::Reader) -> Result<Lock, String> {
    let text = std::fs::read_to_string(&entry.path).map_err(|error| error.to_string())?;
    let text = text.trim_start_matches('\u{feff}');
    let mut lock = reader(text)?;
    let widths: Vec<u32> = text
        .lines()
        .map(|line| u32::try_from(line.chars().count()).unwrap_or(u32::MAX - 1))
        .collect();
    for package in &mut lock.packages {
        let width = widths.get(package.line as usize - 1).copied().unwrap_or(0);
        package.width = width.max(1);
    }
    lock.packages
        .sort_by(|a, b| (a.line, &a.name, &a.version).cmp(&(b.line, &b.name, &b.version)));
    lock.packages
        .dedup_by(|a, b| (a.line, &a.name, &a.version) == (b.line, &b.name, &b.version));
    Ok(lock)
}

fn read_advisories(
    cx: &Context<'_>,
    config: &Config,
    locks: &Locks,
    doubts: &mut Doubts,
) -> Result<Database, ModuleError> {
    let compared = || locks.values().flatten().filter(|package| package.from_registry);
    let wanted: BTreeSet<(Ecosystem, String)> = compared()
        .map(|package| {
            (
                package.ecosystem,
                package.ecosystem.canonical(&package.name).into_owned(),
            )
        })
        .collect();
    if wanted.is_empty() {
        return Ok(Database::default());
    }
    let Some(dir) = &config.advisories else {
        doubts.add(
            None,
            "no advisories were given, so no package was compared with any: set `advisories` to a folder of them"
                .to_owned(),
        );
        return Ok(Database::default());
    };
    let place = cx
        .allowed
        .place(cx.workspace, dir)
        .map_err(|refused| ModuleError::Config {
            module: NAME.to_owned(),
            field: "advisories".to_owned(),
            message: refused.to_string(),
        })?;
    let mut database = match Database::read(place.path(), &wanted, cx) {
        Ok(database) => database,
        Err(ModuleError::Io { path, source }) => {
            doubts.add(
                None,
                format!("the advisories in {} cannot be read: {source}", path.display()),
            );
            return Ok(Database::default());
        }
        Err(error) => return Err(error),
    };
    for gap in std::mem::take(&mut database.gaps) {
        doubts.add(None, format!("advisory {gap}"));
    }
    let mut unknown: BTreeMap<Ecosystem, usize> = BTreeMap::new();
    for (ecosystem, _) in wanted
        .iter()
        .filter(|(ecosystem, _)| !database.ecosystems.contains(ecosystem))
    {
        *unknown.entry(*ecosystem).or_default() += 1;
    }
    for (ecosystem, packages) in unknown {
        let message = format!(
            "the advisories say nothing of {}: {packages} of its packages were not compared",
            ecosystem.osv()
        );
        doubts.add(None, message);
    }
    Ok(database)
}

fn report(locks: &Locks, database: &Database, doubts: Doubts) -> Output {
    let mut report = ModuleReport::new(NAME, VERSION);
    let mut rules: BTreeMap<String, Rule> = BTreeMap::new();
    let worst = Worst::new(MAX_FINDINGS);
    for (path, packages) in locks {
        for package in packages {
            if !package.from_registry {
                report.notifications.push(Notification {
                    level: NotificationLevel::Note,
                    message: format!(
                        "`{}` is not from {}: no advisory speaks of it",
                        package.name,
                        package.ecosystem.osv()
                    ),
                    path: Some(path.clone()),
                });
                continue;
            }
            let flaws = database.flaws(package.ecosystem, &package.name, &package.version);
            let findings = flaws.into_iter().map(|(advisory, hit)| {
                let rule = rules.entry(advisory.id.clone()).or_insert_with(|| rule(advisory));
                finding(rule, advisory, &hit, package, path)
            });
            worst.add(findings.collect());
        }
    }
    report.rules = rules.into_values().collect();
    doubts::tell(&mut report, doubts.0);
    let findings = worst.finish(&mut report);
    let bill = sbom::cyclonedx(locks);
    let packages = bill["components"].as_array().map_or(0, Vec::len);
    let mut summary = Map::new();
    for (key, value) in [
        ("lock_files", json!(locks.len())),
        ("packages", json!(packages)),
        ("advisories", json!(database.read)),
        ("advisories_modified", json!(database.modified)),
        ("findings", json!(findings)),
    ] {
        summary.insert(key.to_owned(), value);
    }
    let mut bytes = serde_json::to_vec_pretty(&bill).unwrap_or_default();
    bytes.push(b'\n');
    Output {
        report,
        summary,
        artifacts: vec![Artifact {
            name: SBOM.to_owned(),
            media_type: "application/vnd.cyclonedx+json".to_owned(),
            bytes,
        }],
    }
}

fn rule(advisory: &Advisory) -> Rule {
    let title = match advisory.summary.trim() {
        "" => advisory.id.clone(),
        summary => summary.to_owned(),
    };
    let mut description: String = advisory.details.chars().take(MAX_DETAILS).collect();
    if description.trim().is_empty() {
        description.clone_from(&title);
    }
    Rule {
        id: format!("{NAME}/{}", advisory.id),
        name: title,
        description,
        severity: advisory.severity(),
        confidence: Confidence::High,
        cwe: advisory.cwe(),
        tags: advisory.ids().map(str::to_owned).collect(),
        remediation: if advisory.is_malware() {
            "Remove the package, and treat every machine that installed it as compromised.".to_owned()
        } else {
            "Update the package to a version without the flaw.".to_owned()
        },
        references: advisory.links(),
    }
}

fn finding(rule: &Rule, advisory: &Advisory, hit: &Hit, package: &Package, path: &str) -> Finding {
    let Package { name, version, .. } = package;
    let fixed = match hit.fixed.as_slice() {
        [] => "no version without it is known".to_owned(),
        versions => format!("fixed in {}", versions.join(", ")),
    };
    let message = format!(
        "`{name}` {version} has a known flaw, {}: {}; {fixed}",
        advisory.id, rule.name
    );
    let region = Region {
        start_line: package.line,
        start_column: 1,
        end_line: package.line,
        end_column: package.width + 1,
    };
    // Without the version: an update that does not help leaves the finding what it was.
    let anchor = code_anchor(&format!("{}/{name}", package.ecosystem.osv()));
    let mut finding = Finding::new(rule, NAME, message, Location::region(path, region), anchor);
    if let Some(first) = hit.fixed.first().filter(|_| !advisory.is_malware()) {
        finding.remediation = Some(format!("Update `{name}` to {first} or later."));
    }
    finding
        .properties
        .insert("purl".to_owned(), json!(package.ecosystem.purl(name, version)));
    finding
}

#[cfg(test)]
mod tests;
