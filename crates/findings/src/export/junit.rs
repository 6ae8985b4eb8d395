//! JUnit XML: what continuous integration shows as tests.
//!
//! Each module is a suite. Its first test case is whether it could look at all; each finding is one more, which fails if
//! the finding counts and is skipped if it is suppressed or in the baseline.

use std::fmt::Write;

use super::About;
use crate::{BaselineState, Finding, ModuleReport, Report, Status};

pub(super) fn write(report: &Report, about: &About) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    let mut suites = String::new();
    for module in &report.modules {
        let tally = Tally::of(module);
        suite(&mut suites, module, &tally, report);
        tests += tally.tests();
        failures += tally.failures;
        errors += tally.errors;
        skipped += tally.skipped;
    }
    let name = escaped(&format!("helve {} {}", about.workflow, about.run_id));
    line(
        &mut text,
        format_args!(
            "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">"
        ),
    );
    text.push_str(&suites);
    text.push_str("</testsuites>\n");
    text
}

/// What a suite's head says.
struct Tally {
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Tally {
    fn of(module: &ModuleReport) -> Self {
        let failures = module.findings.iter().filter(|finding| finding.counts()).count();
        Tally {
            failures,
            errors: usize::from(module.status != Status::Completed),
            skipped: module.findings.len() - failures,
        }
    }

    fn tests(&self) -> usize {
        self.failures + self.skipped + 1
    }
}

fn suite(text: &mut String, module: &ModuleReport, tally: &Tally, report: &Report) {
    let name = escaped(&module.module);
    line(
        text,
        format_args!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
            tally.tests(),
            tally.failures,
            tally.errors,
            tally.skipped
        ),
    );
    let looked = format!("<testcase classname=\"{name}\" name=\"looked at everything\"");
    match &module.status {
        Status::Completed => line(text, format_args!("    {looked}/>")),
        Status::Inconclusive { reason } => {
            let reason = escaped(reason);
            line(text, format_args!("    {looked}>"));
            line(
                text,
                format_args!(
                    "      <error type=\"inconclusive\" message=\"{reason}\">No findings does not mean clean.</error>"
                ),
            );
            line(text, format_args!("    </testcase>"));
        }
    }
    for finding in &module.findings {
        case(text, finding, report);
    }
    line(text, format_args!("  </testsuite>"));
}

fn case(text: &mut String, finding: &Finding, report: &Report) {
    let path = escaped(&finding.location.path);
    let (place, at) = match finding.location.region {
        Some(region) => (
            format!("{path}:{}:{}", region.start_line, region.start_column),
            format!(" file=\"{path}\" line=\"{}\"", region.start_line),
        ),
        None => (path.clone(), format!(" file=\"{path}\"")),
    };
    let rule = escaped(&finding.rule_id);
    line(
        text,
        format_args!("    <testcase classname=\"{rule}\" name=\"{place}\"{at}>"),
    );
    let message = escaped(&finding.message);
    if finding.is_suppressed() {
        let reasons: Vec<String> = finding.suppressions.iter().map(crate::Suppression::summary).collect();
        let reasons = escaped(&reasons.join("; "));
        line(text, format_args!("      <skipped message=\"suppressed, {reasons}\"/>"));
    } else if finding.baseline == Some(BaselineState::Unchanged) {
        line(text, format_args!("      <skipped message=\"in the baseline\"/>"));
    } else {
        let severity = finding.severity;
        let details = escaped(&details(finding, report));
        line(
            text,
            format_args!("      <failure type=\"{severity}\" message=\"{message}\">{details}</failure>"),
        );
    }
    line(text, format_args!("    </testcase>"));
}

fn details(finding: &Finding, report: &Report) -> String {
    let rule = report.rule(&finding.rule_id);
    let mut parts = vec![format!("{} ({} confidence)", finding.severity, finding.confidence)];
    parts.extend(finding.location.snippet.clone());
    let remediation = finding
        .remediation
        .as_deref()
        .or(rule.map(|rule| rule.remediation.as_str()));
    parts.extend(remediation.filter(|text| !text.is_empty()).map(str::to_owned));
    parts.extend((!finding.owners.is_empty()).then(|| format!("Owners: {}", finding.owners.join(" "))));
    parts.push(format!("Fingerprint: {}", finding.fingerprint));
    parts.join("\n")
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string takes everything");
}

/// Text for an attribute or an element. XML has no way to write most control characters: a mark stands for them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // As they are, they would become spaces in attributes.
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(c))),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}
