//! JUnit's XML, as test runners write it: each failure and each error is a finding, a skipped case is a gap.

use roxmltree::{Document, Node};

use super::{Parsed, RawFinding, RawPlace};

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    // Document types are refused, so entities cannot grow without end.
    let document = Document::parse(text).map_err(|error| format!("not XML: {error}"))?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        return Err(format!("not JUnit: its root is `{}`", root.tag_name().name()));
    }
    let mut parsed = Parsed::default();
    for case in root.descendants().filter(|node| node.has_tag_name("testcase")) {
        for outcome in case.children() {
            match outcome.tag_name().name() {
                "failure" | "error" => parsed.findings.push(finding(case, outcome)),
                "skipped" => parsed.gaps.push(format!("the case `{}` was skipped", name(case))),
                _ => {}
            }
        }
    }
    Ok(parsed)
}

fn name(case: Node<'_, '_>) -> String {
    match (case.attribute("classname"), case.attribute("name")) {
        (Some(class), Some(name)) if !class.is_empty() => format!("{class}.{name}"),
        (_, Some(name)) => name.to_owned(),
        (Some(class), None) => class.to_owned(),
        (None, None) => "unnamed".to_owned(),
    }
}

fn finding(case: Node<'_, '_>, outcome: Node<'_, '_>) -> RawFinding {
    let first_line = outcome
        .text()
        .and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
    let said = outcome
        .attribute("message")
        .filter(|text| !text.trim().is_empty())
        .or(first_line);
    let message = match said {
        Some(said) => format!("{}: {said}", name(case)),
        None => format!("{} failed", name(case)),
    };
    let attribute = |key: &str| {
        let nearest = case.ancestors().find_map(|node| node.attribute(key));
        nearest.map(str::to_owned)
    };
    RawFinding {
        rule: outcome
            .attribute("type")
            .filter(|kind| !kind.is_empty())
            .map(str::to_owned),
        message,
        place: RawPlace {
            path: attribute("file"),
            line: case.attribute("line").and_then(|line| line.parse().ok()),
            ..RawPlace::default()
        },
        ..RawFinding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_findings_and_skipped_cases_are_gaps() {
        let parsed = parse(
            br#"<?xml version="1.0"?><testsuites><testsuite name="s" file="t.py">
              <testcase classname="C" name="ok"/>
              <testcase classname="C" name="bad" line="7"><failure type="AssertionError" message="1 != 2">trace</failure></testcase>
              <testcase name="worse" file="u.py"><error>
                boom</error></testcase>
              <testcase name="later"><skipped/></testcase>
            </testsuite></testsuites>"#,
        )
        .unwrap();
        let said: Vec<(&str, Option<&str>)> = parsed
            .findings
            .iter()
            .map(|f| (f.message.as_str(), f.place.path.as_deref()))
            .collect();
        assert_eq!(said, [("C.bad: 1 != 2", Some("t.py")), ("worse: boom", Some("u.py"))]);
        assert_eq!(parsed.findings[0].place.line, Some(7));
        assert_eq!(parsed.gaps, ["the case `later` was skipped"]);
    }

    #[test]
    fn other_xml_and_entity_bombs_are_refused() {
        assert!(parse(b"<html/>").is_err());
        assert!(parse(b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><testsuite>&a;</testsuite>").is_err());
        assert!(parse(b"").is_err());
    }
}
