//! A merged report in the formats that other programs and people read.
//!
//! | format | for | how it says that a module could not look |
//! | --- | --- | --- |
//! | SARIF | code-scanning pages | an unsuccessful invocation with a notification |
//! | JSON | scripts; the shape is `docs/schemas/report.schema.json` | `summary.inconclusive`, the module's `status` |
//! | CSV | spreadsheets | a row `inconclusive` before all findings |
//! | JUnit | continuous integration | a test case of the module with an error |
//! | VEX | inventories of components (CycloneDX 1.6) | a property `helve:inconclusive` of the document |
//! | HTML | people | a box at the top |
//!
//! Everything that a scanned target can choose (names of files, snippets, messages) is data in every one of them.

mod csv;
mod html;
mod json;
mod junit;
mod vex;

use std::fmt;
use std::str::FromStr;

use crate::sarif::{self, SarifOptions};
use crate::{Report, UnknownName};

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// SARIF 2.1.0.
    Sarif,
    /// Helve's own stable document.
    Json,
    /// One row per finding, RFC 4180.
    Csv,
    /// JUnit XML: a suite per module, a failed test case per finding that counts.
    Junit,
    /// One page without outside resources.
    Html,
    /// CycloneDX 1.6 VEX, for findings about components.
    Vex,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 6] = [
        Format::Sarif,
        Format::Json,
        Format::Csv,
        Format::Junit,
        Format::Html,
        Format::Vex,
    ];

    /// The lowercase name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Format::Sarif => "sarif",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Junit => "junit",
            Format::Html => "html",
            Format::Vex => "vex",
        }
    }

    /// What files of it usually end in, without the first dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Sarif => "sarif",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Junit => "xml",
            Format::Html => "html",
            Format::Vex => "cdx.json",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Sarif => "application/sarif+json",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Junit => "application/xml",
            Format::Html => "text/html; charset=utf-8",
            Format::Vex => "application/vnd.cyclonedx+json; version=1.6",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownName::new("format", text, "sarif, json, csv, junit, html, vex"))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an export says beside the findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The run that made the report.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the workflow; may be empty.
    pub workflow_version: String,
    /// How the run ended (`completed`, `failed`, ...); may be empty.
    pub status: String,
    /// What the user calls the target.
    pub target: Option<String>,
    /// When the run ended: UTC, RFC 3339.
    pub finished_at: Option<String>,
}

/// Writes a report. The same report and facts give the same bytes.
pub fn write(report: &Report, format: Format, about: &About) -> String {
    match format {
        Format::Sarif => {
            let options = SarifOptions {
                category: Some(about.workflow.clone()).filter(|name| !name.is_empty()),
                run_id: Some(about.run_id.clone()),
                ..SarifOptions::default()
            };
            sarif::to_string(report, &options)
        }
        Format::Json => json::write(report, about),
        Format::Csv => csv::write(report),
        Format::Junit => junit::write(report, about),
        Format::Html => html::write(report, about),
        Format::Vex => vex::write(report, about),
    }
}

/// JSON as people read it, with a line end.
fn pretty(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("documents have string keys and finite numbers only");
    text.push('\n');
    text
}
