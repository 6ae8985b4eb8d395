//! Advisories in the Open Source Vulnerability format, from a folder: one JSON file each, in any arrangement of folders.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use helve_findings::Severity;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::cvss;
use super::ecosystem::Ecosystem;
use super::version::compare;
use crate::{Context, ModuleError};

/// Longest advisory that is read; the longest published ones list tens of thousands of versions.
const MAX_BYTES: u64 = 16 << 20;
/// Unreadable files that are named; the rest is counted.
const NAMED: usize = 10;

/// One advisory.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Advisory {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) modified: String,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    pub(crate) aliases: Vec<String>,
    #[serde(default)]
    pub(crate) summary: String,
    #[serde(default)]
    pub(crate) details: String,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    references: Vec<Reference>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Score {
    #[serde(default)]
    score: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Reference {
    #[serde(default)]
    url: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Affected {
    package: Option<Named>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    severity: Vec<Score>,
}

#[derive(Debug, Clone, Deserialize)]
struct Named {
    ecosystem: String,
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Clone, Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
}

/// What an advisory says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The versions that end the flaw, earliest first.
    pub(crate) fixed: Vec<String>,
}

impl Advisory {
    /// Whether the version has the flaw.
    pub(crate) fn hits(&self, ecosystem: Ecosystem, name: &str, version: &str) -> Option<Hit> {
        let mut hit = false;
        let mut fixed: Vec<String> = Vec::new();
        for affected in self.about(ecosystem, name) {
            let listed = affected
                .versions
                .iter()
                .any(|known| compare(ecosystem, known, version).is_eq());
            let ranges: Vec<&Range> = affected.ranges.iter().filter(|range| range.kind != "GIT").collect();
            if !listed && !ranges.iter().any(|range| range.holds(ecosystem, version)) {
                continue;
            }
            hit = true;
            let ends = ranges
                .iter()
                .flat_map(|range| &range.events)
                .filter_map(|e| e.fixed.clone());
            fixed.extend(ends.filter(|end| compare(ecosystem, end, version) == Ordering::Greater));
        }
        fixed.sort_by(|a, b| compare(ecosystem, a, b));
        fixed.dedup();
        hit.then_some(Hit { fixed })
    }

    fn about(&self, ecosystem: Ecosystem, name: &str) -> impl Iterator<Item = &Affected> {
        let wanted = ecosystem.canonical(name).into_owned();
        self.affected.iter().filter(move |affected| {
            affected.package.as_ref().is_some_and(|package| {
                Ecosystem::from_osv(&package.ecosystem) == Some(ecosystem)
                    && ecosystem.canonical(&package.name) == wanted
            })
        })
    }

    /// The packages that it is about.
    fn packages(&self) -> impl Iterator<Item = (Ecosystem, String)> {
        self.affected.iter().filter_map(|affected| {
            let package = affected.package.as_ref()?;
            let ecosystem = Ecosystem::from_osv(&package.ecosystem)?;
            Some((ecosystem, ecosystem.canonical(&package.name).into_owned()))
        })
    }

    /// How bad it is: by its vector, else by its database's word for it.
    pub(crate) fn severity(&self) -> Severity {
        if self.is_malware() {
            return Severity::Critical;
        }
        let scores = self.affected.iter().flat_map(|affected| &affected.severity);
        let scored = self
            .severity
            .iter()
            .chain(scores)
            .filter_map(|s| cvss::severity(&s.score));
        let word = self.database_specific["severity"].as_str().unwrap_or_default();
        scored
            .max()
            .unwrap_or_else(|| match word.to_ascii_uppercase().as_str() {
                "CRITICAL" => Severity::Critical,
                "HIGH" => Severity::High,
                "LOW" => Severity::Low,
                _ => Severity::Medium,
            })
    }

    pub(crate) fn is_malware(&self) -> bool {
        self.id.starts_with("MAL-")
    }

    /// Weakness numbers.
    pub(crate) fn cwe(&self) -> Vec<u32> {
        let ids = self.database_specific["cwe_ids"].as_array().into_iter().flatten();
        ids.filter_map(|id| id.as_str()?.strip_prefix("CWE-")?.parse().ok())
            .collect()
    }

    pub(crate) fn links(&self) -> Vec<String> {
        let links = self.references.iter().map(|reference| reference.url.clone());
        links.filter(|url| url.starts_with("http")).take(5).collect()
    }

    /// Its id and the ids of the same flaw elsewhere.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

impl Range {
    /// Events in the order of their versions: the last one at or before the version decides.
    fn holds(&self, ecosystem: Ecosystem, version: &str) -> bool {
        let at = |bound: &str| match bound {
            // The beginning of all versions.
            "0" => Ordering::Greater,
            bound => compare(ecosystem, version, bound),
        };
        let mut events: Vec<&Event> = self.events.iter().collect();
        let bound = |event: &Event| {
            event
                .introduced
                .clone()
                .or(event.fixed.clone())
                .or(event.last_affected.clone())
        };
        events.sort_by(|a, b| match (bound(a).as_deref(), bound(b).as_deref()) {
            (Some("0"), Some("0")) => Ordering::Equal,
            (Some("0"), _) => Ordering::Less,
            (_, Some("0")) => Ordering::Greater,
            (Some(a), Some(b)) => compare(ecosystem, a, b),
            (a, b) => a.cmp(&b),
        });
        let mut inside = false;
        for event in events {
            if event.introduced.as_deref().is_some_and(|bound| at(bound).is_ge()) {
                inside = true;
            }
            if event.fixed.as_deref().is_some_and(|bound| at(bound).is_ge()) {
                inside = false;
            }
            if event.last_affected.as_deref().is_some_and(|bound| at(bound).is_gt()) {
                inside = false;
            }
        }
        inside
    }
}

/// The advisories about some packages.
#[derive(Debug, Default)]
pub(crate) struct Database {
    advisories: Vec<Advisory>,
    by_package: BTreeMap<(Ecosystem, String), Vec<usize>>,
    /// Ecosystems of which it has any advisory: of the others it knows nothing.
    pub(crate) ecosystems: BTreeSet<Ecosystem>,
    /// Advisories that were read, about whatever package.
    pub(crate) read: u64,
    /// The time of the latest change, which tells how old the database is.
    pub(crate) modified: Option<String>,
    /// Files that could not be read.
    pub(crate) gaps: Vec<String>,
}

impl Database {
    /// Reads a folder, keeping what is about the packages. Blocking; uses every core.
    pub(crate) fn read(
        dir: &Path,
        wanted: &BTreeSet<(Ecosystem, String)>,
        cx: &Context<'_>,
    ) -> Result<Self, ModuleError> {
        std::fs::read_dir(dir).map_err(|source| ModuleError::Io {
            path: dir.to_owned(),
            source,
        })?;
        let (files, mut failed) = files(dir, wanted);
        let read: Vec<Result<Advisory, String>> = files
            .par_iter()
            .map(|path| {
                cx.check_cancelled()?;
                Ok(read_one(path).map_err(|reason| format!("{}: {reason}", relative(dir, path))))
            })
            .collect::<Result<_, ModuleError>>()?;
        let mut database = Self::default();
        for advisory in read {
            match advisory {
                Ok(advisory) => database.add(advisory, wanted),
                Err(reason) => failed.push(reason),
            }
        }
        let more = failed.len().saturating_sub(NAMED);
        database.gaps.extend(failed.into_iter().take(NAMED));
        if more > 0 {
            database.gaps.push(format!("and {more} files like these"));
        }
        Ok(database)
    }

    fn add(&mut self, advisory: Advisory, wanted: &BTreeSet<(Ecosystem, String)>) {
        self.read += 1;
        if self.modified.as_ref().is_none_or(|latest| *latest < advisory.modified) {
            self.modified = Some(advisory.modified.clone()).filter(|time| !time.is_empty());
        }
        let packages: BTreeSet<_> = advisory.packages().collect();
        self.ecosystems.extend(packages.iter().map(|(ecosystem, _)| *ecosystem));
        if advisory.withdrawn.is_some() {
            return;
        }
        let index = self.advisories.len();
        let mut is_wanted = false;
        for package in packages.into_iter().filter(|package| wanted.contains(package)) {
            self.by_package.entry(package).or_default().push(index);
            is_wanted = true;
        }
        if is_wanted {
            self.advisories.push(advisory);
        }
    }

    /// The flaws of a version. Several advisories of one flaw are one entry: the first by id leads.
    pub(crate) fn flaws(&self, ecosystem: Ecosystem, name: &str, version: &str) -> Vec<(&Advisory, Hit)> {
        let key = (ecosystem, ecosystem.canonical(name).into_owned());
        let indices = self.by_package.get(&key).into_iter().flatten();
        let mut hits: Vec<(&Advisory, Hit)> = indices
            .filter_map(|index| {
                let advisory = &self.advisories[*index];
                Some((advisory, advisory.hits(ecosystem, name, version)?))
            })
            .collect();
        hits.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut flaws = Vec::new();
        for (advisory, hit) in hits {
            let is_new = !advisory.ids().any(|id| known.contains(id));
            known.extend(advisory.ids());
            if is_new {
                flaws.push((advisory, hit));
            }
        }
        flaws
    }
}

/// JSON files, sorted; folders of ecosystems that nobody asked for are left out, for a whole database has gigabytes.
/// And what could not be listed.
fn files(dir: &Path, wanted: &BTreeSet<(Ecosystem, String)>) -> (Vec<PathBuf>, Vec<String>) {
    let asked: BTreeSet<Ecosystem> = wanted.iter().map(|(ecosystem, _)| *ecosystem).collect();
    let walk = ignore::WalkBuilder::new(dir)
        .standard_filters(false)
        .follow_links(false)
        .filter_entry(move |entry| {
            let of = entry.file_name().to_str().and_then(Ecosystem::from_osv);
            entry.depth() == 0 || of.is_none_or(|ecosystem| asked.contains(&ecosystem))
        })
        .build();
    let (mut files, mut failed) = (Vec::new(), Vec::new());
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                if entry.path().extension().is_some_and(|extension| extension == "json") {
                    files.push(entry.into_path());
                }
            }
            Ok(_) => {}
            Err(error) => failed.push(error.to_string()),
        }
    }
    files.sort();
    (files, failed)
}

fn read_one(path: &Path) -> Result<Advisory, String> {
    let length = path.metadata().map_err(|error| error.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("it is longer than {} MiB", MAX_BYTES >> 20));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("it is not an advisory: {error}"))
}

fn relative(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn advisory(affected: Value) -> Advisory {
        serde_json::from_value(json!({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [affected]}))
            .unwrap()
    }

    fn semver(events: Value) -> Advisory {
        advisory(json!({
            "package": {"ecosystem": "npm", "name": "a"}, "ranges": [{"type": "SEMVER", "events": events}]
        }))
    }

    #[test]
    fn ranges_hold_from_where_a_flaw_came_to_where_it_went() {
        let both =
            semver(json!([{"introduced": "0"}, {"fixed": "1.2.3"}, {"introduced": "2.0.0"}, {"fixed": "2.1.0"}]));
        let last = semver(json!([{"introduced": "1.0.0"}, {"last_affected": "1.5.0"}]));
        for (advisory, version, hit) in [
            (&both, "0.0.0-rc.1", true),
            (&both, "1.2.2", true),
            (&both, "1.2.3", false),
            (&both, "2.0.5", true),
            (&both, "2.1.0", false),
            (&last, "0.9.0", false),
            (&last, "1.5.0", true),
            (&last, "1.5.1", false),
        ] {
            assert_eq!(advisory.hits(Ecosystem::Npm, "a", version).is_some(), hit, "{version}");
        }
        assert_eq!(
            both.hits(Ecosystem::Npm, "a", "1.0.0").unwrap().fixed,
            ["1.2.3", "2.1.0"]
        );
        assert_eq!(both.hits(Ecosystem::Npm, "b", "1.0.0"), None);
        assert_eq!(both.hits(Ecosystem::Pypi, "a", "1.0.0"), None);
    }

    #[test]
    fn versions_that_are_listed_are_hit_and_names_are_compared_as_their_registry_does() {
        let listed = advisory(json!({
            "package": {"ecosystem": "PyPI", "name": "Zope.Interface"}, "versions": ["1.0"],
            "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]
        }));
        assert!(listed.hits(Ecosystem::Pypi, "zope_interface", "1.0.0").is_some());
        assert!(listed.hits(Ecosystem::Pypi, "zope_interface", "1.1").is_none());
    }

    #[test]
    fn severity_is_that_of_the_vector_then_of_the_word() {
        let of = |value: Value| serde_json::from_value::<Advisory>(value).unwrap().severity();
        let vector = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
        assert_eq!(
            of(json!({"id": "A", "severity": vector, "database_specific": {"severity": "LOW"}})),
            Severity::Critical
        );
        assert_eq!(
            of(json!({"id": "A", "database_specific": {"severity": "HIGH"}})),
            Severity::High
        );
        assert_eq!(of(json!({"id": "MAL-1"})), Severity::Critical);
        assert_eq!(of(json!({"id": "A"})), Severity::Medium);
    }

    #[test]
    fn one_flaw_under_two_names_is_told_once_and_a_withdrawn_one_never() {
        let wanted = BTreeSet::from([(Ecosystem::Npm, "a".to_owned())]);
        let mut database = Database::default();
        for (id, aliases, withdrawn) in [
            ("GHSA-1", vec!["CVE-1"], None),
            ("CVE-1", vec![], None),
            ("GHSA-2", vec![], Some("2026-01-01T00:00:00Z")),
        ] {
            let value = json!({"id": id, "aliases": aliases, "withdrawn": withdrawn, "affected": [
                {"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1.0.0"]}]});
            database.add(serde_json::from_value(value).unwrap(), &wanted);
        }
        let flaws = database.flaws(Ecosystem::Npm, "a", "1.0.0");
        assert_eq!(flaws.iter().map(|(a, _)| a.id.as_str()).collect::<Vec<_>>(), ["CVE-1"]);
    }
}
