//! What a target says of its own findings: inline ignores, its suppressions file, its CODEOWNERS.
//!
//! Whoever has the target asks for each of its files whether it is wanted and hands over those that are, in any order. The
//! result depends on the files, the report and the day, and on nothing else.

mod file;
mod inline;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::{CodeOwners, Finding, Notification, NotificationLevel, Report, Suppression};
use file::Entry;
use inline::Lines;

/// Where a target keeps its suppressions.
pub const SUPPRESSIONS_FILE: &str = ".helve/suppressions.yaml";

/// A report on its way to be annotated.
#[derive(Debug)]
pub struct Annotator {
    report: Report,
    today: Date,
    /// Findings with a region, by file: module and index.
    places: BTreeMap<String, Vec<(usize, usize)>>,
    suppressions: Vec<Entry>,
    /// One for each of [`CodeOwners::PLACES`].
    owners: [Option<(CodeOwners, Vec<Notification>)>; CodeOwners::PLACES.len()],
    notices: Vec<Notification>,
}

impl Annotator {
    /// Files that are longer are passed to [`Annotator::skipped`].
    pub const MAX_FILE_BYTES: u64 = 64 << 20;

    /// Begins with a merged report. The time says which suppressions have expired.
    pub fn new(report: Report, unix_seconds: i64) -> Self {
        let today = jiff::Timestamp::from_second(unix_seconds).unwrap_or(jiff::Timestamp::MAX);
        let mut places: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, module) in report.modules.iter().enumerate() {
            for (index, finding) in module.findings.iter().enumerate() {
                if finding.location.region.is_some() {
                    places
                        .entry(finding.location.path.clone())
                        .or_default()
                        .push((at, index));
                }
            }
        }
        Annotator {
            today: today.to_zoned(jiff::tz::TimeZone::UTC).date(),
            report,
            places,
            suppressions: Vec::new(),
            owners: Default::default(),
            notices: Vec::new(),
        }
    }

    /// Whether a file of the target matters.
    pub fn wants(&self, path: &str) -> bool {
        path == SUPPRESSIONS_FILE || CodeOwners::PLACES.contains(&path) || self.places.contains_key(path)
    }

    /// Takes a file that is wanted.
    pub fn read(&mut self, path: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if path == SUPPRESSIONS_FILE {
            let (entries, notices) = file::parse(text, self.today);
            self.suppressions = entries;
            self.notices.extend(notices);
        }
        if let Some(place) = CodeOwners::PLACES.iter().position(|place| *place == path) {
            self.owners[place] = Some(CodeOwners::parse(path, text));
        }
        if let Some(findings) = self.places.get(path) {
            let lines = Lines::new(text);
            for (module, index) in findings {
                let finding = &self.report.modules[*module].findings[*index];
                let (suppression, notice) = inline::judge(&lines, finding, &self.report);
                self.notices.extend(notice);
                self.report.modules[*module].findings[*index]
                    .suppressions
                    .extend(suppression);
            }
        }
    }

    /// Says that a wanted file cannot be read.
    pub fn skipped(&mut self, path: &str, reason: &str) {
        self.notices
            .push(note(path, format!("{reason}, so suppressions in it have no effect")));
    }

    /// The report with everything that its target says of it.
    pub fn finish(mut self) -> Report {
        let owners = self.owners.into_iter().flatten().next();
        let (owners, mut notices) = owners.unwrap_or_default();
        notices.append(&mut self.notices);
        for finding in self.report.modules.iter_mut().flat_map(|module| &mut module.findings) {
            let entries = self.suppressions.iter().filter(|entry| entry.holds_for(finding));
            let entries: Vec<Suppression> = entries.map(|entry| entry.suppression.clone()).collect();
            finding.suppressions.extend(entries);
            let suppressions: BTreeSet<Suppression> = std::mem::take(&mut finding.suppressions).into_iter().collect();
            finding.suppressions = suppressions.into_iter().collect();
            finding.owners = owners.of(&finding.location.path);
        }
        self.report.with_notifications(notices)
    }
}

impl Entry {
    /// One weakness is one finding, whoever reported it: a suppression of any of its versions holds for it.
    fn holds_for(&self, finding: &Finding) -> bool {
        std::iter::once(finding)
            .chain(&finding.duplicates)
            .any(|version| self.matches(version))
    }
}

/// Something that a reader of the findings has to know: nothing was left out because of it.
fn note(path: &str, message: String) -> Notification {
    Notification {
        level: NotificationLevel::Note,
        message,
        path: Some(path.to_owned()),
    }
}
