//! Findings as a table, and the line that sums a run up.

use helve_findings::{BaselineState, Finding, ModuleReport, NotificationLevel, Severity};
use helve_runs::{RunResult, TargetFacts};
use unicode_width::UnicodeWidthStr;

use super::table::{Cell, table, wrap};
use super::{bytes, count, duration};
use crate::terminal::{Style, clean};

/// Findings shown at the end of a run; `helve findings` shows all of them.
pub(crate) const SHOWN: usize = 200;

/// A table of messages narrower than this is hard to read; then each finding gets two lines.
const NARROW: usize = 44;
/// Notices about suppressions and owners that are shown.
const NOTICES: usize = 10;
/// Columns before the second line of a finding.
const INDENT: usize = 10;

/// A table, most severe first, of at most `limit` findings.
pub(crate) fn findings(findings: &[&Finding], limit: usize, style: Style) -> String {
    let shown = &findings[..findings.len().min(limit)];
    let widest = |text: fn(&Finding) -> String| shown.iter().map(|f| text(f).width()).max().unwrap_or(0);
    let taken = INDENT + widest(|finding| clean(&finding.rule_id)) + widest(place) + 4;
    if style.terminal && taken + NARROW > style.width {
        stacked(shown, style)
    } else {
        flat(shown, style)
    }
}

/// Two lines and more per finding: where and what, then the message.
fn stacked(findings: &[&Finding], style: Style) -> String {
    let mut text = String::new();
    for finding in findings {
        let severity = finding.severity.to_string();
        let pad = " ".repeat(INDENT.saturating_sub(severity.len()));
        text.push_str(&style.paint(colour(finding.severity), &severity));
        text.push_str(&format!(
            "{pad}{}  {}\n",
            style.paint("1", &place(finding)),
            style.paint("2", &clean(&finding.rule_id))
        ));
        for line in wrap(&message(finding), style.width - INDENT) {
            text.push_str(&format!("{:INDENT$}{line}\n", ""));
        }
    }
    text
}

fn flat(findings: &[&Finding], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = findings
        .iter()
        .map(|finding| {
            vec![
                Cell::coloured(finding.severity.to_string(), colour(finding.severity)),
                clean(&finding.rule_id).into(),
                place(finding).into(),
                message(finding).into(),
            ]
        })
        .collect();
    table(&["SEVERITY", "RULE", "PLACE", "MESSAGE"], &rows, style)
}

/// What is said of it, and why it does not count.
fn message(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    for suppression in &finding.suppressions {
        text.push_str(&format!(" [suppressed, {}]", suppression.summary()));
    }
    clean(&text)
}

fn place(finding: &Finding) -> String {
    match finding.location.region {
        Some(region) => clean(&format!("{}:{}", finding.location.path, region.start_line)),
        None => clean(&finding.location.path),
    }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "1;35",
        Severity::High => "1;31",
        Severity::Medium => "33",
        Severity::Low => "36",
        Severity::Note => "2",
    }
}

/// `12 findings: 2 critical, 10 low`.
pub(crate) fn counts(result: &RunResult) -> String {
    let total: u64 = result.by_severity.values().sum();
    if !result.has_report {
        // Not "no findings": nobody looked to the end.
        return "no report".to_owned();
    }
    if total == 0 {
        return "no findings".to_owned();
    }
    let parts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter_map(|severity| {
            let count = result.by_severity.get(&severity).copied().filter(|count| *count > 0)?;
            Some(format!("{count} {severity}"))
        })
        .collect();
    format!("{}: {}", count(total, "finding"), parts.join(", "))
}

/// The end of a run, for people: one line, then what they must know not to be misled.
pub(crate) fn summary(result: &RunResult, style: Style) -> String {
    let mut parts = vec![counts(result)];
    if let Some(target) = result.target.as_ref().filter(|target| target.files > 0) {
        parts.push(format!("{} ({})", count(target.files, "file"), bytes(target.bytes)));
    }
    if let Some(millis) = result.duration_ms {
        parts.push(duration(millis));
    }
    parts.push(format!("run {}", result.run_id));
    let mut text = style.paint("1", &parts.join(" · "));
    text.push('\n');
    for line in caveats(result) {
        text.push_str(&style.paint("33", "note:"));
        text.push_str(&format!(" {line}\n"));
    }
    text
}

/// What "no findings" does not cover.
fn caveats(result: &RunResult) -> Vec<String> {
    let mut lines = Vec::new();
    for gap in &result.inconclusive {
        lines.push(format!("step `{}` is inconclusive: {}", gap.step, clean(&gap.reason)));
    }
    match &result.target {
        Some(target) => {
            lines.extend(
                (target.files == 0 && result.has_report)
                    .then(|| "the target has no files that could be scanned".to_owned()),
            );
            lines.extend(forced(target));
            lines.extend(skipped(target));
        }
        None => lines.push("the run had no target, so nothing was scanned".to_owned()),
    }
    // A step says why it is inconclusive, and its module may say the same.
    let told = |message: &str| result.inconclusive.iter().any(|gap| gap.reason == message);
    lines.extend(
        result
            .report
            .modules
            .iter()
            .filter_map(|module| not_looked_at(module, &told)),
    );
    lines.extend(not_counted(result));
    lines
}

/// What is in the report and does not count, and what is wrong with the target's own words on it.
fn not_counted(result: &RunResult) -> Vec<String> {
    let are = |number: u64| {
        format!(
            "{} {}",
            count(number, "finding"),
            if number == 1 { "is" } else { "are" }
        )
    };
    let mut lines = Vec::new();
    let suppressed = result.report.suppressed();
    if suppressed > 0 {
        lines.push(format!(
            "{} suppressed; `helve findings {} --suppressed` says why",
            are(suppressed),
            result.run_id
        ));
    }
    let known = result
        .report
        .findings()
        .into_iter()
        .filter(|finding| finding.baseline == Some(BaselineState::Unchanged) && !finding.is_suppressed());
    let known = known.count() as u64;
    if known > 0 {
        lines.push(format!("{} in the baseline already", are(known)));
    }
    let notices = result
        .report
        .notifications
        .iter()
        .filter(|notice| notice.level == NotificationLevel::Note);
    lines.extend(notices.take(NOTICES).map(|notice| match &notice.path {
        Some(path) => clean(&format!("{path}: {}", notice.message)),
        None => clean(&notice.message),
    }));
    lines
}

/// What a module was given and did not look at, in part or at all.
fn not_looked_at(module: &ModuleReport, told: &dyn Fn(&str) -> bool) -> Option<String> {
    let gaps: Vec<String> = module
        .notifications
        .iter()
        .filter(|notification| notification.level != NotificationLevel::Note && !told(&notification.message))
        .map(|notification| match &notification.path {
            Some(path) => format!("{path} ({})", notification.message),
            None => notification.message.clone(),
        })
        .collect();
    (!gaps.is_empty()).then(|| {
        let total = gaps.len() as u64;
        format!(
            "{} could not look at everything: {}",
            clean(&module.module),
            some_of(&gaps, total)
        )
    })
}

fn forced(target: &TargetFacts) -> Option<String> {
    (target.forced_total > 0).then(|| {
        format!(
            "scanned although ignore files name {}, since such files hold secrets: {}",
            if target.forced_total == 1 { "it" } else { "them" },
            some_of(&target.forced, target.forced_total)
        )
    })
}

fn skipped(target: &TargetFacts) -> Option<String> {
    (target.skipped_total > 0).then(|| {
        let names: Vec<String> = target
            .skipped
            .iter()
            .map(|s| format!("{} ({})", s.path, s.reason))
            .collect();
        format!("not scanned: {}", some_of(&names, target.skipped_total))
    })
}

/// The first few names, and how many more there are.
fn some_of(names: &[String], total: u64) -> String {
    const FEW: usize = 3;
    let shown: Vec<String> = names.iter().take(FEW).map(|name| clean(name)).collect();
    let more = total.saturating_sub(shown.len() as u64);
    if more > 0 {
        format!("{} and {more} more", shown.join(", "))
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::sample;
    use helve_findings::{Confidence, Location, Region, Rule};

    fn finding(severity: Severity, path: &str, message: &str) -> Finding {
        let rule = Rule {
            id: "secrets/aws-access-key-id".into(),
            name: "AWS access key".into(),
            description: String::new(),
            severity,
            confidence: Confidence::High,
            cwe: vec![798],
            tags: vec![],
            remediation: String::new(),
            references: vec![],
        };
        let region = Region {
            start_line: 3,
            start_column: 1,
            end_line: 3,
            end_column: 9,
        };
        Finding::new(&rule, "secrets", message, Location::region(path, region), "anchor")
    }

    #[test]
    fn a_findings_table_reads_like_one() {
        let a = finding(Severity::High, "src/config.py", "AWS access key AKIA…");
        let b = finding(Severity::Low, "b.js", "debug mode");
        assert_eq!(
            findings(&[&a, &b], 10, Style::PLAIN),
            "SEVERITY  RULE                       PLACE            MESSAGE\n\
             high      secrets/aws-access-key-id  src/config.py:3  AWS access key AKIA…\n\
             low       secrets/aws-access-key-id  b.js:3           debug mode\n"
        );
    }

    #[test]
    fn on_a_narrow_terminal_each_finding_gets_lines_of_its_own() {
        let style = Style {
            terminal: true,
            colour: false,
            width: 60,
        };
        let a = finding(
            Severity::High,
            "src/config.py",
            "AWS access key AKIA… in a file that is tracked by git",
        );
        assert_eq!(
            findings(&[&a], 10, style),
            "high      src/config.py:3  secrets/aws-access-key-id\n          \
             AWS access key AKIA… in a file that is tracked by\n          git\n"
        );
    }

    #[test]
    fn a_file_name_with_an_escape_sequence_stays_harmless() {
        let text = findings(&[&finding(Severity::High, "a\x1b]0;x\x07.py", "m")], 10, Style::PLAIN);
        assert!(!text.contains('\x1b') && !text.contains('\x07'));
    }

    #[test]
    fn a_run_without_a_report_is_not_called_clean() {
        let result = RunResult {
            has_report: false,
            status: "terminated",
            by_severity: Default::default(),
            ..sample()
        };
        assert_eq!(counts(&result), "no report");
    }

    #[test]
    fn the_summary_says_what_was_found_and_what_was_not_looked_at() {
        assert_eq!(
            summary(&sample(), Style::PLAIN),
            "3 findings: 1 critical, 2 low · 12 files (3.4 kB) · 1.5 s · run assessment-1\n\
             note: step `sast` is inconclusive: could not parse 2 files\n\
             note: scanned although ignore files name it, since such files hold secrets: .env\n\
             note: not scanned: a (x), b (x), c (x) and 4 more\n"
        );
    }
}
