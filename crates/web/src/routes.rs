//! Every address of the pages: the patterns to mount, and the functions that make links. No page writes an address itself.
//!
//! Patterns have their variables in braces, as axum wants them. A variable in a link is encoded so that it stays one
//! segment of the path, whatever it holds.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::filter::FindingFilter;

/// All but the characters that RFC 3986 leaves alone everywhere.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Patterns of pages, to be answered with GET.
pub mod pages {
    #![expect(missing_docs, reason = "each is the address of the page of that name")]
    pub const OVERVIEW: &str = "/";
    /// `?code=` makes it the page of a one-time link; `?next=` is where to go afterwards.
    pub const LOGIN: &str = "/login";
    /// Begins a login with an account elsewhere; `?next=` is where to go afterwards.
    pub const LOGIN_ELSEWHERE: &str = "/login/oidc";
    /// `?state=&workflow=&target=&cursor=`.
    pub const RUNS: &str = "/runs";
    pub const RUN: &str = "/runs/{id}";
    pub const START: &str = "/start";
    pub const START_WORKFLOW: &str = "/start/{workflow}";
    /// The query is a [`FindingFilter`](crate::FindingFilter).
    pub const FINDINGS: &str = "/findings";
    pub const FINDING: &str = "/findings/{id}";
    pub const WORKFLOWS: &str = "/workflows";
    pub const WORKFLOW: &str = "/workflows/{name}";
    pub const MODULES: &str = "/modules";
    pub const WORKERS: &str = "/workers";
    pub const SCHEDULES: &str = "/schedules";
    pub const SETTINGS: &str = "/settings";
    /// `?cursor=`.
    pub const AUDIT: &str = "/settings/audit";
    pub const WEBHOOKS: &str = "/settings/webhooks";
    pub const WEBHOOK: &str = "/settings/webhooks/{id}";
}

/// Patterns of what forms do, to be answered with POST and a redirect. Each form has a field `csrf`.
pub mod actions {
    /// Fields `token`, or `code` of a one-time link; and `next`.
    pub const LOGIN: &str = "/login";
    /// No fields.
    pub const LOGOUT: &str = "/logout";
    /// Fields `namespace` and `next`.
    pub const NAMESPACE: &str = "/namespace";
    /// `multipart/form-data`: `target` (a file), `target_id` (one that is there already), and `p.NAME` of each parameter.
    pub const START: &str = "/start/{workflow}";
    /// No fields.
    pub const CANCEL: &str = "/runs/{id}/cancel";
    /// No fields.
    pub const TERMINATE: &str = "/runs/{id}/terminate";
    /// No fields.
    pub const RETRY: &str = "/runs/{id}/retry";
    /// Fields `id` (many), or `all` with `filter` (a query); `state`, `comment`, `expires` (a date) and `next`.
    pub const TRIAGE_MANY: &str = "/findings/triage";
    /// Fields `state`, `comment`, `expires` (a date).
    pub const TRIAGE: &str = "/findings/{id}/triage";
    /// Fields `id`, `workflow`, `target` (a name), `cron`, `time_zone`.
    pub const SCHEDULE_NEW: &str = "/schedules";
    /// Field `do`: `pause`, `resume`, `run` or `delete`.
    pub const SCHEDULE: &str = "/schedules/{id}";
    /// Fields `name`, `role`, `namespaces` (many; none means all), `days`.
    pub const TOKEN_NEW: &str = "/settings/tokens";
    /// No fields.
    pub const DRAIN: &str = "/workers/{id}/drain";
    /// No fields.
    pub const TOKEN_REVOKE: &str = "/settings/tokens/{id}/revoke";
    /// Fields `url`, `events` (many).
    pub const WEBHOOK_NEW: &str = "/settings/webhooks";
    /// Field `do`: `change` (with `url`, `events`), `enable`, `disable`, `test`, `rotate`, `delete`, or `again` (with
    /// `delivery`).
    pub const WEBHOOK: &str = "/settings/webhooks/{id}";
}

/// Where assets are mounted: `/assets/{name}`.
pub const ASSETS: &str = "/assets/{name}";
/// The description of the API for people.
pub const API_DOCS: &str = "/api/v1/docs";

fn one(pattern: &str, value: &str) -> String {
    let (head, rest) = pattern.split_once('{').unwrap_or((pattern, ""));
    let tail = rest.split_once('}').map_or("", |(_, tail)| tail);
    // A segment of dots alone would climb; a browser treats `%2e%2e` like `..`, so no encoding helps.
    let value = match value {
        "." | ".." => "_".to_owned(),
        value => encoded(value),
    };
    format!("{head}{value}{tail}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// An address with a query. Pairs without a value are left out.
pub(crate) fn with_query<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        out.push(separator);
        out.push_str(&encoded(name));
        out.push('=');
        out.push_str(&encoded(value));
        separator = '&';
    }
    out
}

/// Begins a login with an account elsewhere, to go on with a page of this server.
pub fn login_elsewhere(next: &str) -> String {
    with_query(pages::LOGIN_ELSEWHERE, [("next", back_to(next))])
}

/// The page of a run.
pub fn run(id: &str) -> String {
    one(pages::RUN, id)
}

/// What a form does to one thing: `pattern` is one of [`actions`].
pub(crate) fn action(pattern: &str, id: &str) -> String {
    one(pattern, id)
}

/// The runs of a workflow.
pub(crate) fn runs_of_workflow(workflow: &str) -> String {
    with_query(pages::RUNS, [("workflow", workflow)])
}

/// The form that starts a workflow.
pub fn start(workflow: &str) -> String {
    one(pages::START_WORKFLOW, workflow)
}

/// The page of a finding.
pub fn finding(id: &str) -> String {
    one(pages::FINDING, id)
}

/// The page of a workflow.
pub fn workflow(name: &str) -> String {
    one(pages::WORKFLOW, name)
}

/// The page of a webhook.
pub fn webhook(id: &str) -> String {
    one(pages::WEBHOOK, id)
}

/// Names of the events that are sent at [`events`]. At each of them the page of the run fetches itself again.
pub const RUN_EVENTS: [&str; 9] = [
    "run_started",
    "cancel_requested",
    "step_scheduled",
    "step_started",
    "step_progress",
    "step_ended",
    "finding",
    "log",
    "run_ended",
];

/// Live events of a run, of the API.
pub fn events(namespace: &str, run: &str) -> String {
    with_query(&one("/api/v1/runs/{id}/events", run), [("namespace", namespace)])
}

/// A file that a step of a run left, of the API.
pub fn artifact(namespace: &str, run: &str, name: &str, step: Option<&str>) -> String {
    let path = format!("{}{}", one("/api/v1/runs/{id}/artifacts/", run), one("{name}", name));
    with_query(&path, [("namespace", namespace), ("step", step.unwrap_or_default())])
}

/// The findings of a run as a file, of the API: `sarif`, `json`, `csv`, `junit`, `html` or `vex`.
pub fn export(namespace: &str, run: &str, format: &str) -> String {
    with_query(
        &one("/api/v1/runs/{id}/export", run),
        [("namespace", namespace), ("format", format)],
    )
}

/// The findings of a list as a file, of the API.
pub(crate) fn export_findings(namespace: &str, filter: &FindingFilter, format: &str) -> String {
    let pairs = filter.api_pairs();
    let given = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    let pairs = [("namespace", namespace), ("format", format)].into_iter().chain(given);
    with_query("/api/v1/findings/export", pairs)
}

/// A page to come back to after a login or a change, or the overview when `next` leads elsewhere: only a path of this
/// server is followed.
pub fn back_to(next: &str) -> &str {
    let local =
        next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && !next.chars().any(char::is_control);
    if local { next } else { pages::OVERVIEW }
}

/// An address of the web that a rule or a tool named, if it may become a link: `http` and `https` only.
pub(crate) fn outside(address: &str) -> Option<&str> {
    let address = address.trim();
    let scheme = address.split_once("://")?.0;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    (known && !address.chars().any(|c| c.is_whitespace() || c.is_control())).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_the_path_whatever_it_holds() {
        assert_eq!(run("assessment-7f3a"), "/runs/assessment-7f3a");
        assert_eq!(run("../admin?x=1#y"), "/runs/..%2Fadmin%3Fx%3D1%23y");
        assert_eq!(run(".."), "/runs/_");
        assert_eq!(action(actions::CANCEL, "a b"), "/runs/a%20b/cancel");
        assert_eq!(
            artifact("a&b", "r/1", "../x", None),
            "/api/v1/runs/r%2F1/artifacts/..%2Fx?namespace=a%26b"
        );
    }

    #[test]
    fn a_query_leaves_out_what_is_empty_and_encodes_the_rest() {
        assert_eq!(
            with_query("/findings", [("q", "a&b=c"), ("owner", ""), ("state", "open")]),
            "/findings?q=a%26b%3Dc&state=open"
        );
    }

    #[test]
    fn coming_back_never_leads_to_another_server() {
        assert_eq!(back_to("/runs/x?a=b"), "/runs/x?a=b");
        for hostile in [
            "//evil.test",
            "https://evil.test",
            "/\\evil.test",
            "",
            "javascript:alert(1)",
            "/a\nb",
        ] {
            assert_eq!(back_to(hostile), "/", "{hostile}");
        }
    }

    #[test]
    fn only_addresses_of_the_web_become_links() {
        assert_eq!(outside("https://cwe.mitre.org/x"), Some("https://cwe.mitre.org/x"));
        for hostile in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.test",
            "java\nscript://x",
            "https://a b",
        ] {
            assert_eq!(outside(hostile), None, "{hostile}");
        }
    }
}
