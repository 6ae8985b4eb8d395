//! SARIF 2.1.0, read leniently: tools differ in what they leave out and where they put severities.

use std::collections::BTreeMap;

use helve_findings::{Decision, Severity, Suppression, SuppressionKind};
use serde_json::Value;

use super::{Parsed, RawFinding, RawPlace, RawRule, confidence, cwe, severity};

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("not SARIF: {error}"))?;
    let runs = document["runs"].as_array().ok_or("not SARIF: it has no `runs`")?;
    let mut parsed = Parsed::default();
    if runs.is_empty() {
        parsed
            .gaps
            .push("the SARIF file has no runs in it: nothing was looked at".to_owned());
    }
    for run in runs {
        read_run(run, &mut parsed)?;
    }
    Ok(parsed)
}

fn read_run(run: &Value, parsed: &mut Parsed) -> Result<(), String> {
    let driver = &run["tool"]["driver"];
    if !driver.is_object() {
        return Err("not SARIF: a run has no `tool.driver`".to_owned());
    }
    let components = std::iter::once(driver).chain(items(&run["tool"]["extensions"]));
    let rules: Vec<RawRule> = components
        .flat_map(|component| items(&component["rules"]))
        .map(rule)
        .collect();
    for invocation in items(&run["invocations"]) {
        if invocation["executionSuccessful"] == Value::Bool(false) {
            parsed.gaps.push("it did not run to its end".to_owned());
        }
        let notices = ["toolExecutionNotifications", "toolConfigurationNotifications"];
        for notice in notices.iter().flat_map(|key| items(&invocation[*key])) {
            if matches!(notice["level"].as_str(), Some("error" | "warning")) {
                parsed.gaps.push(
                    text(&notice["message"])
                        .unwrap_or("it could not look at everything")
                        .trim()
                        .to_owned(),
                );
            }
        }
    }
    let results = match &run["results"] {
        Value::Array(results) => results.as_slice(),
        // The standard: a run without `results` failed before it could have any.
        _ => {
            parsed
                .gaps
                .push("the run has no results, not even an empty list".to_owned());
            &[]
        }
    };
    let driver_rules: Vec<&Value> = items(&driver["rules"]).collect();
    for result in results.iter().filter(|result| counts(result)) {
        parsed.findings.push(finding(result, run, &driver_rules, &rules));
    }
    parsed.rules.extend(rules);
    Ok(())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether a result is a flaw at all.
fn counts(result: &Value) -> bool {
    let fails = matches!(result["kind"].as_str(), None | Some("fail" | "review" | "open"));
    fails && result["baselineState"].as_str() != Some("absent")
}

fn finding(result: &Value, run: &Value, driver_rules: &[&Value], rules: &[RawRule]) -> RawFinding {
    let index = result["ruleIndex"]
        .as_u64()
        .or_else(|| result["rule"]["index"].as_u64());
    let by_index = index
        .and_then(|index| driver_rules.get(usize::try_from(index).ok()?))
        .and_then(|rule| rule["id"].as_str());
    let id = result["ruleId"]
        .as_str()
        .or_else(|| result["rule"]["id"].as_str())
        .or(by_index);
    let rule = id.and_then(|id| rules.iter().find(|rule| rule.id == id));
    let properties = &result["properties"];
    let word = properties["issue_severity"]
        .as_str()
        .or_else(|| properties["severity"].as_str());
    let severity = word
        .and_then(|word| severity(word, &BTreeMap::new()))
        .or_else(|| score(&properties["security-severity"]))
        // A level repeats what the rule says by default; the rule may know better.
        .or_else(|| rule.and_then(|rule| rule.severity))
        .or_else(|| level(&result["level"]));
    let sure = properties["issue_confidence"]
        .as_str()
        .or_else(|| properties["confidence"].as_str());
    let taxa = items(&result["taxa"]).filter_map(|taxon| taxon["id"].as_str());
    RawFinding {
        rule: id.map(str::to_owned),
        message: text(&result["message"]).unwrap_or("no message").to_owned(),
        place: place(&result["locations"][0]["physicalLocation"], run),
        severity,
        confidence: sure.and_then(confidence),
        cwe: taxa.flat_map(cwe).collect(),
        accepted: accepted(result),
        ..RawFinding::default()
    }
}

/// Who accepted the result where, and why, as the tool says: the report shows it and does not count it.
fn accepted(result: &Value) -> Option<Suppression> {
    let accepted =
        items(&result["suppressions"]).find(|s| s["status"].as_str().is_none_or(|status| status == "accepted"))?;
    Some(Suppression {
        kind: match accepted["kind"].as_str() {
            Some("external") => SuppressionKind::External,
            _ => SuppressionKind::InSource,
        },
        decision: Decision::AcceptedRisk,
        reason: accepted["justification"].as_str().map(str::to_owned),
        by: None,
        place: None,
        expires: None,
    })
}

fn place(location: &Value, run: &Value) -> RawPlace {
    let region = &location["region"];
    let number = |key: &str| region[key].as_u64().and_then(|n| u32::try_from(n).ok());
    RawPlace {
        path: path(&location["artifactLocation"], run),
        line: number("startLine"),
        column: number("startColumn"),
        end_line: number("endLine"),
        end_column: number("endColumn"),
    }
}

fn path(artifact: &Value, run: &Value) -> Option<String> {
    let index = artifact["index"].as_u64().and_then(|n| usize::try_from(n).ok());
    let listed = index.map(|n| &run["artifacts"][n]["location"]);
    let uri = artifact["uri"].as_str().or_else(|| listed?["uri"].as_str())?;
    let base = artifact["uriBaseId"].as_str().or_else(|| listed?["uriBaseId"].as_str());
    let base = base.and_then(|id| run["originalUriBaseIds"][id]["uri"].as_str());
    let uri = match base {
        Some(base) if !uri.contains("://") && !uri.starts_with('/') => format!("{}/{uri}", base.trim_end_matches('/')),
        _ => uri.to_owned(),
    };
    Some(decoded(uri.strip_prefix("file://").unwrap_or(&uri)))
}

/// Undoes percent-encoding.
fn decoded(uri: &str) -> String {
    let bytes = uri.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn rule(rule: &Value) -> RawRule {
    let properties = &rule["properties"];
    let tags: Vec<String> = items(&properties["tags"])
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let related = items(&rule["relationships"]).filter_map(|relation| relation["target"]["id"].as_str());
    let mut weaknesses: Vec<u32> = tags.iter().map(String::as_str).chain(related).flat_map(cwe).collect();
    weaknesses.extend(properties["cwe"].as_str().map(cwe).unwrap_or_default());
    weaknesses.dedup();
    let id = rule["id"].as_str().unwrap_or_default();
    let short = text(&rule["shortDescription"]);
    let word = properties["problem.severity"].as_str();
    RawRule {
        id: id.to_owned(),
        name: short.or_else(|| rule["name"].as_str()).unwrap_or(id).trim().to_owned(),
        description: text(&rule["fullDescription"])
            .or(short)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        severity: score(&properties["security-severity"])
            .or_else(|| word.and_then(|word| severity(word, &BTreeMap::new())))
            .or_else(|| level(&rule["defaultConfiguration"]["level"])),
        confidence: properties["precision"].as_str().and_then(confidence),
        cwe: weaknesses,
        tags,
        remediation: String::new(),
        references: rule["helpUri"].as_str().into_iter().map(str::to_owned).collect(),
    }
}

fn text(message: &Value) -> Option<&str> {
    message["text"].as_str().or_else(|| message["markdown"].as_str())
}

/// `security-severity`, a number or its text, in the bands of code-scanning pages.
fn score(value: &Value) -> Option<Severity> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Some(match number {
        n if n >= 9.0 => Severity::Critical,
        n if n >= 7.0 => Severity::High,
        n if n >= 4.0 => Severity::Medium,
        n if n > 0.0 => Severity::Low,
        _ => Severity::Note,
    })
}

fn level(value: &Value) -> Option<Severity> {
    match value.as_str()? {
        "error" => Some(Severity::High),
        "warning" => Some(Severity::Medium),
        "note" => Some(Severity::Low),
        "none" => Some(Severity::Note),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_with_its_rule_place_and_severity() {
        let parsed = parse(
            br#"{"version": "2.1.0", "runs": [{
              "tool": {"driver": {"name": "t", "rules": [
                {"id": "X1", "shortDescription": {"text": "Eval"}, "helpUri": "x:y",
                 "properties": {"security-severity": "8.1", "precision": "high", "tags": ["security", "external/cwe/cwe-095"]}}]}},
              "originalUriBaseIds": {"ROOT": {"uri": "file:///w/"}},
              "results": [
                {"ruleIndex": 0, "level": "warning", "message": {"text": "eval!"}, "locations": [{"physicalLocation": {
                  "artifactLocation": {"uri": "a%20b.py", "uriBaseId": "ROOT"}, "region": {"startLine": 3, "endColumn": 9}}}]},
                {"ruleId": "X1", "message": {"text": "accepted"}, "suppressions": [{"kind": "inSource"}]},
                {"ruleId": "X1", "kind": "pass", "message": {"text": "fine"}}]}]}"#,
        )
        .unwrap();
        assert!(parsed.gaps.is_empty(), "{:?}", parsed.gaps);
        assert_eq!(parsed.rules[0].cwe, [95]);
        let [finding, accepted] = parsed.findings.as_slice() else {
            panic!("two results are flaws: {:?}", parsed.findings)
        };
        assert!(finding.accepted.is_none());
        assert_eq!(
            accepted.accepted.as_ref().map(|s| s.kind),
            Some(SuppressionKind::InSource)
        );
        assert_eq!(finding.rule.as_deref(), Some("X1"));
        assert_eq!(finding.severity, Some(Severity::High));
        assert_eq!(finding.place.path.as_deref(), Some("/w/a b.py"));
        assert_eq!((finding.place.line, finding.place.end_column), (Some(3), Some(9)));
    }

    #[test]
    fn what_a_tool_says_that_it_could_not_do_is_a_gap_and_never_clean() {
        let gaps = |text: &str| parse(text.as_bytes()).map(|parsed| parsed.gaps);
        let run = |rest: &str| format!(r#"{{"runs": [{{"tool": {{"driver": {{"name": "t"}}}}{rest}}}]}}"#);
        assert_eq!(gaps(&run(r#", "results": []"#)).unwrap(), Vec::<String>::new());
        for incomplete in [
            run(""),
            run(r#", "results": [], "invocations": [{"executionSuccessful": false}]"#),
            run(
                r#", "results": [], "invocations": [{"executionSuccessful": true, "toolExecutionNotifications":
                [{"level": "warning", "message": {"text": "cannot parse x.py"}}]}]"#,
            ),
            r#"{"runs": []}"#.to_owned(),
        ] {
            assert_eq!(gaps(&incomplete).unwrap().len(), 1, "{incomplete}");
        }
        for not_sarif in [
            "",
            "{}",
            "[]",
            "Traceback (most recent call last):",
            r#"{"runs": [{}]}"#,
        ] {
            assert!(gaps(not_sarif).is_err(), "{not_sarif}");
        }
    }
}
