//! One row per finding, for spreadsheets: RFC 4180, with line ends of two characters.
//!
//! A spreadsheet runs a cell that begins like a formula, and the target chooses names and messages. Such a cell gets an
//! apostrophe in front, which spreadsheets take as "this is text".

use csv::{Terminator, WriterBuilder};

use crate::{Finding, Report, cwe_name};

const HEADER: [&str; 19] = [
    "record",
    "severity",
    "rule",
    "title",
    "path",
    "line",
    "column",
    "end_line",
    "message",
    "module",
    "confidence",
    "cwe",
    "owners",
    "state",
    "suppression",
    "baseline",
    "remediation",
    "also_reported_as",
    "fingerprint",
];

pub(super) fn write(report: &Report) -> String {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    let mut row = |cells: &[String]| {
        let cells = cells.iter().map(|cell| defused(cell));
        writer
            .write_record(cells)
            .expect("rows have one length, and memory takes them");
    };
    row(&HEADER.map(str::to_owned));
    for (module, reason) in report.inconclusive() {
        row(&gap(module, reason));
    }
    for finding in report.findings() {
        row(&cells(finding, report));
    }
    let bytes = writer.into_inner().expect("memory takes them");
    String::from_utf8(bytes).expect("cells are text")
}

/// A module that could not look, where nobody can overlook it.
fn gap(module: &str, reason: &str) -> [String; HEADER.len()] {
    let mut cells = HEADER.map(|_| String::new());
    cells[0] = "inconclusive".to_owned();
    cells[8] = format!("Module {module} could not look at everything: {reason}");
    cells[9] = module.to_owned();
    cells
}

fn cells(finding: &Finding, report: &Report) -> [String; HEADER.len()] {
    let rule = report.rule(&finding.rule_id);
    let region = finding.location.region;
    let number = |part: fn(crate::Region) -> u32| region.map(part).map(|n| n.to_string()).unwrap_or_default();
    let cwe = rule.map(|rule| rule.cwe.as_slice()).unwrap_or_default();
    let weakness = |number: &u32| match cwe_name(*number) {
        Some(name) => format!("CWE-{number} {name}"),
        None => format!("CWE-{number}"),
    };
    let remediation = finding
        .remediation
        .as_deref()
        .or(rule.map(|rule| rule.remediation.as_str()));
    [
        "finding".to_owned(),
        finding.severity.to_string(),
        finding.rule_id.clone(),
        rule.map(|rule| rule.name.clone()).unwrap_or_default(),
        finding.location.path.clone(),
        number(|region| region.start_line),
        number(|region| region.start_column),
        number(|region| region.end_line),
        finding.message.clone(),
        finding.module.clone(),
        finding.confidence.to_string(),
        joined(cwe.iter().map(weakness)),
        joined(finding.owners.iter().cloned()),
        if finding.is_suppressed() { "suppressed" } else { "open" }.to_owned(),
        joined(finding.suppressions.iter().map(crate::Suppression::summary)),
        finding
            .baseline
            .map(|state| state.as_str().to_owned())
            .unwrap_or_default(),
        remediation.unwrap_or_default().to_owned(),
        joined(finding.rule_ids().skip(1).map(str::to_owned)),
        finding.fingerprint.clone(),
    ]
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join("; ")
}

/// The cell as text that no spreadsheet takes for a formula. Programs skip white space and control characters before they
/// look, and East Asian ones take the wide forms of the signs.
fn defused(cell: &str) -> String {
    let first = cell.chars().find(|c| !c.is_whitespace() && !c.is_control());
    let begins_like_a_formula = first.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'));
    let begins_oddly = cell.starts_with(['\t', '\r', '\n']);
    let mark = if begins_like_a_formula || begins_oddly { "'" } else { "" };
    // A terminal obeys control characters, and a table may well be printed to one.
    let harmless = |c: char| match c {
        '\t' | '\r' | '\n' => c,
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    mark.chars().chain(cell.chars().map(harmless)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_begins_like_a_formula_becomes_text() {
        for formula in [
            "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "\tx",
        ] {
            assert_eq!(defused(formula), format!("'{formula}"), "{formula:?}");
        }
        assert_eq!(defused("\u{1b}=1"), "'\u{fffd}=1");
    }

    #[test]
    fn an_ordinary_cell_stays_as_it_is() {
        for text in ["", "src/a.py", "a=b", "12", "\"quoted\"", "x\n=1"] {
            assert_eq!(defused(text), text);
        }
    }
}
