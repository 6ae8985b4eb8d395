//! What a server keeps, as text: findings over all runs, schedules, tokens, namespaces, the audit log. The server's JSON is
//! read field by field, so that what a newer one adds does no harm.

use serde_json::Value;

use super::table::{Cell, table, wrap};
use crate::terminal::{Style, clean};

/// Things that happened to a finding that are shown; `--json` has all of them.
const HISTORY: usize = 20;

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => clean(text),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| clean(item.as_str().unwrap_or("?"))).collect();
            items.join(", ")
        }
        other => clean(&other.to_string()),
    }
}

/// `2026-11-23T10:00:00.000Z` as lists show times.
fn time(value: &Value, key: &str) -> String {
    let at = value[key]
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    super::time(at)
}

fn place(finding: &Value) -> String {
    match finding["line"].as_u64() {
        Some(line) => format!("{}:{line}", text(finding, "path")),
        None => text(finding, "path"),
    }
}

fn colour(severity: &str) -> &'static str {
    match severity {
        "critical" => "1;35",
        "high" => "1;31",
        "medium" => "33",
        "low" => "36",
        _ => "2",
    }
}

fn rows(all: &[Value], row: impl Fn(&Value) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    all.iter().map(row).collect()
}

/// `helve mesh list`: who joined.
pub(crate) fn endpoints(all: &[Value], style: Style) -> String {
    if all.is_empty() {
        return "no endpoint has joined; `helve mesh ticket` makes a ticket to join with\n".to_owned();
    }
    let rows = rows(all, |endpoint| {
        let connected = match endpoint["connected_since"].is_null() {
            true => "-".to_owned(),
            false => time(endpoint, "connected_since"),
        };
        vec![
            text(endpoint, "id").chars().take(10).collect::<String>().into(),
            text(endpoint, "name").into(),
            text(endpoint, "state").into(),
            text(endpoint, "role").into(),
            everywhere(endpoint, "namespaces").into(),
            everywhere(endpoint, "verticals").into(),
            time(endpoint, "joined_at").into(),
            connected.into(),
        ]
    });
    table(
        &[
            "ENDPOINT",
            "NAME",
            "STATE",
            "ROLE",
            "NAMESPACES",
            "VERTICALS",
            "JOINED",
            "CONNECTED",
        ],
        &rows,
        style,
    )
}

/// `helve mesh list`: what can be joined with.
pub(crate) fn tickets(all: &[Value], style: Style) -> String {
    let good: Vec<Value> = all.iter().filter(|ticket| ticket["is_good"] == true).cloned().collect();
    if good.is_empty() {
        return String::new();
    }
    let rows = rows(&good, |ticket| {
        let uses = match &ticket["uses_left"] {
            Value::Null => "any".to_owned(),
            uses => uses.to_string(),
        };
        vec![
            text(ticket, "id").into(),
            text(ticket, "name").into(),
            text(ticket, "role").into(),
            everywhere(ticket, "namespaces").into(),
            everywhere(ticket, "verticals").into(),
            uses.into(),
            time(ticket, "expires_at").into(),
        ]
    });
    let heads = &[
        "TICKET",
        "NAME",
        "ROLE",
        "NAMESPACES",
        "VERTICALS",
        "USES",
        "GOOD UNTIL",
    ];
    format!("\n{}", table(heads, &rows, style))
}

fn everywhere(value: &Value, key: &str) -> String {
    match value[key].is_null() {
        true => "all".to_owned(),
        false => text(value, key),
    }
}

/// `helve findings list`.
pub(crate) fn list(findings: &[Value], style: Style) -> String {
    let rows = rows(findings, |finding| {
        let severity = text(finding, "severity");
        vec![
            text(finding, "id").into(),
            Cell::coloured(severity.clone(), colour(&severity)),
            text(finding, "status").into(),
            text(finding, "triage").into(),
            text(finding, "target").into(),
            text(finding, "rule").into(),
            place(finding).into(),
            text(finding, "message").into(),
        ]
    });
    table(
        &[
            "FINDING", "SEVERITY", "STATUS", "TRIAGE", "TARGET", "RULE", "PLACE", "MESSAGE",
        ],
        &rows,
        style,
    )
}

/// `helve findings show`.
pub(crate) fn show(finding: &Value, style: Style) -> String {
    let width = if style.terminal { style.width } else { usize::MAX };
    let mut out = String::new();
    let mut fact = |name: &str, value: String| {
        out.push_str(&format!("{} {value}\n", style.paint("2", &format!("{name:<11}"))));
    };
    let severity = text(finding, "severity");
    fact("finding", text(finding, "id"));
    fact("severity", style.paint(colour(&severity), &severity));
    // In a list `rule` is an id; here it is all of the rule, if that is known.
    let reported = &finding["finding"];
    let rule = match reported["rule_id"].is_string() {
        true => text(reported, "rule_id"),
        false => text(finding, "rule"),
    };
    fact("rule", rule);
    fact("message", text(finding, "message"));
    fact("target", text(finding, "target"));
    fact("place", place(finding));
    fact("status", text(finding, "status"));
    let until = match finding["accepted_until"].is_null() {
        true => String::new(),
        false => format!(" until {} UTC", time(finding, "accepted_until")),
    };
    fact("triage", text(finding, "triage") + &until);
    fact("owner", text(finding, "owner"));
    for (name, seen) in [("first seen", "first_seen"), ("last seen", "last_seen")] {
        let seen = &finding[seen];
        fact(name, format!("{} UTC, run {}", time(seen, "at"), text(seen, "run_id")));
    }
    if let Some(snippet) = finding["finding"]["location"]["snippet"].as_str() {
        out.push_str(&format!("\n{}\n", style.paint("1", "Code")));
        snippet
            .lines()
            .for_each(|line| out.push_str(&format!("  {}\n", clean(line))));
    }
    if let Some(remediation) = finding["rule"]["remediation"].as_str().filter(|text| !text.is_empty()) {
        out.push_str(&format!(
            "\n{}\n{}\n",
            style.paint("1", "What to do"),
            wrap(&clean(remediation), width).join("\n")
        ));
    }
    let history = finding["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !history.is_empty() {
        out.push_str(&format!("\n{}\n", style.paint("1", "What happened")));
    }
    for event in history.iter().take(HISTORY) {
        out.push_str(&format!("{}  {}\n", time(event, "at"), happened(event)));
    }
    out
}

fn happened(event: &Value) -> String {
    let said = |line: String| match event["comment"].as_str().filter(|text| !text.is_empty()) {
        Some(comment) => format!("{line}: {}", clean(comment)),
        None => line,
    };
    let by = || text(&event["by"], "name");
    match event["what"].as_str().unwrap_or_default() {
        "triaged" => said(format!("{} by {}", text(event, "to"), by())),
        "commented" => said(format!("comment by {}", by())),
        "severity_changed" => format!(
            "{} → {}, run {}",
            text(event, "from"),
            text(event, "to"),
            text(event, "run_id")
        ),
        what if event["run_id"].is_string() => format!("{}, run {}", clean(what), text(event, "run_id")),
        what => clean(what),
    }
}

/// `helve schedules list`.
pub(crate) fn schedules(all: &[Value], style: Style) -> String {
    let rows = rows(all, |schedule| {
        let times = match schedule["every_seconds"].as_u64() {
            Some(seconds) => format!("every {}", super::duration(seconds * 1000)),
            None => text(schedule, "cron"),
        };
        let state = match schedule["paused"].as_bool() {
            Some(true) => Cell::coloured("paused", "33"),
            _ => "active".into(),
        };
        let next = schedule["next"][0].as_str().and_then(|text| text.parse().ok());
        vec![
            text(schedule, "id").into(),
            text(schedule, "workflow").into(),
            text(schedule, "target_name").into(),
            times.into(),
            text(schedule, "time_zone").into(),
            state,
            super::time(next).into(),
        ]
    });
    table(
        &["SCHEDULE", "WORKFLOW", "TARGET", "TIMES", "ZONE", "STATE", "NEXT (UTC)"],
        &rows,
        style,
    )
}

/// `helve tokens list`.
pub(crate) fn tokens(all: &[Value], style: Style) -> String {
    let rows = rows(all, |token| {
        let state = match token["revoked_at"].is_null() {
            true => "valid".into(),
            false => Cell::coloured("revoked", "33"),
        };
        let namespaces = match token["namespaces"].is_null() {
            true => "all".to_owned(),
            false => text(token, "namespaces"),
        };
        vec![
            text(token, "id").into(),
            text(token, "name").into(),
            text(token, "role").into(),
            namespaces.into(),
            state,
            time(token, "expires_at").into(),
            time(token, "last_used_at").into(),
        ]
    });
    table(
        &[
            "TOKEN",
            "NAME",
            "ROLE",
            "NAMESPACES",
            "STATE",
            "ENDS (UTC)",
            "LAST USED (UTC)",
        ],
        &rows,
        style,
    )
}

/// `helve namespaces list`.
pub(crate) fn namespaces(all: &[Value], style: Style) -> String {
    let rows = rows(all, |namespace| {
        vec![text(namespace, "name").into(), text(namespace, "description").into()]
    });
    table(&["NAMESPACE", "DESCRIPTION"], &rows, style)
}

/// `helve audit`.
pub(crate) fn audit(all: &[Value], style: Style) -> String {
    let rows = rows(all, |entry| {
        vec![
            time(entry, "at").into(),
            text(&entry["actor"], "name").into(),
            text(entry, "action").into(),
            text(entry, "namespace").into(),
            text(entry, "subject").into(),
        ]
    });
    table(&["AT (UTC)", "WHO", "WHAT", "NAMESPACE", "TO"], &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_finding_cannot_control_the_terminal() {
        let finding = json!({
            "id": "f1", "severity": "high", "status": "new", "triage": "open", "target": "a\u{1b}[2J", "rule": "m/r",
            "path": "x\n.py", "line": 3, "message": "Bad\u{202e}.",
        });
        let text = list(std::slice::from_ref(&finding), Style::PLAIN) + &show(&finding, Style::PLAIN);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.contains("x .py:3"), "{text}");
    }

    #[test]
    fn what_people_said_is_told() {
        let event = json!({"at": "2026-01-02T03:04:05Z", "what": "triaged", "by": {"name": "ann"}, "from": "open",
            "to": "accepted_risk", "comment": "behind the VPN"});
        assert_eq!(happened(&event), "accepted_risk by ann: behind the VPN");
    }

    #[test]
    fn what_is_not_there_is_a_dash() {
        let text = tokens(&[json!({"id": "t", "name": "ci", "role": "analyst"})], Style::PLAIN);
        assert!(
            text.contains("t      ci    analyst  all         valid  -           -"),
            "{text}"
        );
    }
}
