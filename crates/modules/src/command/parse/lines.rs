//! Lines that a regular expression takes apart.

use std::collections::BTreeMap;

use helve_toolbox::command::LinesFormat;
use regex::Regex;

use super::{Parsed, RawFinding, RawPlace, confidence, cwe, severity};

/// Lines that are quoted as not understood; the rest is counted.
const MAX_ODD: usize = 5;
const QUOTED: usize = 200;

pub(crate) struct Lines {
    pattern: Regex,
    ignore: Option<Regex>,
    severities: BTreeMap<String, String>,
}

impl Lines {
    pub(super) fn new(format: &LinesFormat) -> Result<Self, String> {
        let regex = |text: &str| Regex::new(text).map_err(|error| error.to_string());
        Ok(Self {
            pattern: regex(&format.pattern)?,
            ignore: format.ignore.as_deref().map(regex).transpose()?,
            severities: format.severities.clone(),
        })
    }

    pub(super) fn parse(&self, bytes: &[u8]) -> Parsed {
        let text = String::from_utf8_lossy(bytes);
        let mut parsed = Parsed::default();
        let mut odd = 0;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let Some(groups) = self.pattern.captures(line) else {
                if !self.ignore.as_ref().is_some_and(|ignore| ignore.is_match(line)) {
                    odd += 1;
                    if odd <= MAX_ODD {
                        let quoted: String = line.trim().chars().take(QUOTED).collect();
                        parsed.gaps.push(format!("a line that is not understood: {quoted}"));
                    }
                }
                continue;
            };
            let group = |name: &str| {
                groups
                    .name(name)
                    .map(|group| group.as_str().trim())
                    .filter(|text| !text.is_empty())
            };
            let number = |name: &str| group(name)?.parse().ok();
            parsed.findings.push(RawFinding {
                rule: group("rule").map(str::to_owned),
                message: group("message").unwrap_or("no message").to_owned(),
                place: RawPlace {
                    path: group("path").map(str::to_owned),
                    line: number("line"),
                    column: number("column"),
                    end_line: number("end_line"),
                    end_column: number("end_column"),
                },
                severity: group("severity").and_then(|word| severity(word, &self.severities)),
                confidence: group("confidence").and_then(confidence),
                cwe: group("cwe").map(cwe).unwrap_or_default(),
                ..RawFinding::default()
            });
        }
        if odd > MAX_ODD {
            parsed
                .gaps
                .push(format!("{} more lines that are not understood", odd - MAX_ODD));
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_nobody_understands_is_a_gap() {
        let lines = Lines::new(&LinesFormat {
            pattern: r"^(?P<path>\S+):(?P<line>\d+): (?P<message>.+)$".to_owned(),
            ignore: Some("^Checking ".to_owned()),
            severities: BTreeMap::new(),
        })
        .unwrap();
        let parsed = lines.parse(b"Checking a.c\na.c:3: overflow\n\nSegmentation fault\n");
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(parsed.findings[0].place.line, Some(3));
        assert_eq!(parsed.gaps, ["a line that is not understood: Segmentation fault"]);
    }
}
