//! Findings over all runs, which a server keeps: `helve findings list`, `show`, `triage`, `comment`.

use helve_client::{Decision, FindingsAsked};
use helve_toolbox::Span;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::{FindingsFilter, TriageArgs};
use crate::errors::{Problem, Result};
use crate::render::managed as render;
use crate::server;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn list(app: &App, filter: FindingsFilter) -> Result<u8> {
    let client = server::needed(app, "`helve findings list`")?;
    let asked = FindingsAsked {
        severity: filter.severity,
        status: filter.status,
        triage: filter.triage,
        suppressed: None,
        rule: filter.rule,
        module: filter.module,
        target: filter.target,
        workflow: filter.workflow,
        owner: filter.owner,
        path: filter.path,
        q: filter.search,
    };
    let found = client.findings(&asked, filter.order.as_deref(), filter.limit).await?;
    match app.global.json {
        true => print_json(&Value::Array(found)),
        false if found.is_empty() => print("no findings\n"),
        false => print(&render::list(&found, Style::stdout())),
    }
    Ok(0)
}

pub(crate) async fn show(app: &App, id: &str) -> Result<u8> {
    let finding = server::needed(app, "`helve findings show`")?.finding(id).await?;
    match app.global.json {
        true => print_json(&finding),
        false => print(&render::show(&finding, Style::stdout())),
    }
    Ok(0)
}

pub(crate) async fn triage(app: &App, args: TriageArgs) -> Result<u8> {
    let decision = Decision {
        state: Some(args.state),
        until: args.until.as_deref().map(until).transpose()?,
        comment: args.comment,
    };
    let client = server::needed(app, "`helve findings triage`")?;
    if let [id] = args.ids.as_slice() {
        return decided(app, &client.triage(id, &decision).await?);
    }
    let outcome = client.triage_many(&args.ids, &decision).await?;
    match app.global.json {
        true => print_json(&outcome),
        false => print(&format!(
            "{} changed, {} as before\n",
            outcome["changed"], outcome["unchanged"]
        )),
    }
    let missing: Vec<&str> = outcome["missing"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match missing.as_slice() {
        [] => Ok(0),
        missing => Err(Problem::new("some of these are no findings of the namespace")
            .details(missing.iter().map(ToString::to_string))
            .help("`helve findings list` shows their ids")),
    }
}

pub(crate) async fn comment(app: &App, id: &str, comment: String) -> Result<u8> {
    let decision = Decision {
        comment,
        ..Decision::default()
    };
    let client = server::needed(app, "`helve findings comment`")?;
    decided(app, &client.triage(id, &decision).await?)
}

fn decided(app: &App, finding: &Value) -> Result<u8> {
    match app.global.json {
        true => print_json(finding),
        false => print(&render::list(std::slice::from_ref(finding), Style::stdout())),
    }
    Ok(0)
}

/// A time, or how long from now.
fn until(text: &str) -> Result<String> {
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = || {
        Problem::new(format!("`{text}` is no time"))
            .help("write `2027-01-31T00:00:00Z`, or how long from now, such as `90d`")
    };
    from_now(text.parse().map_err(|_| wrong())?).ok_or_else(wrong)
}

/// A time from now on, as servers read it.
pub(super) fn from_now(span: Span) -> Option<String> {
    let seconds = i64::try_from(span.duration().as_secs()).ok()?;
    let at = Timestamp::now().checked_add(seconds.seconds()).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// For documents that name several things by their ids.
pub(super) fn done(app: &App, what: &str, id: &str, state: &str) {
    match app.global.json {
        true => print_json(&json!({"id": id, "state": state})),
        false => print(&format!("{what} {id}: {state}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_while() {
        assert_eq!(until("2027-01-31T00:00:00Z").unwrap(), "2027-01-31T00:00:00Z");
        let later: Timestamp = until("90d").unwrap().parse().unwrap();
        assert!(later > Timestamp::now());
        assert!(until("soon").is_err());
    }
}
