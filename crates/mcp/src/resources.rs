//! What can be read by its address: the report of a run, a finding.

use helve_client::{Client, RunsAsked};
use rmcp::model::{Resource, ResourceTemplate};

use crate::answer::{Answer, Failure};

const JSON: &str = "application/json";
/// Runs whose reports are listed.
const LISTED: usize = 20;

/// What an address means.
#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    Report(&'a str),
    Finding(&'a str),
}

fn address(uri: &str) -> Option<Address<'_>> {
    let rest = uri.strip_prefix("helve://")?;
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["runs", run_id, "report"] if !run_id.is_empty() => Some(Address::Report(run_id)),
        ["findings", id] if !id.is_empty() => Some(Address::Finding(id)),
        _ => None,
    }
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("helve://runs/{run_id}/report", "report")
            .with_description("All findings of a run that has ended, and where it could not look")
            .with_mime_type(JSON),
        ResourceTemplate::new("helve://findings/{id}", "finding")
            .with_description("A finding with its code, its rule and its history")
            .with_mime_type(JSON),
    ]
}

/// The reports of the latest runs that have ended.
pub(crate) async fn latest(client: &Client) -> Result<Vec<Resource>, Failure> {
    let runs = client.runs(&RunsAsked::default(), LISTED).await?;
    let ended = runs.into_iter().filter(|run| run.status == "completed");
    Ok(ended
        .map(|run| {
            Resource::new(format!("helve://runs/{}/report", run.run_id), run.run_id)
                .with_description(format!("The report of workflow {}", run.workflow))
                .with_mime_type(JSON)
        })
        .collect())
}

/// What is at an address; none if nothing can be.
pub(crate) async fn read(client: &Client, uri: &str) -> Option<Result<String, Failure>> {
    let answer = match address(uri)? {
        Address::Report(run_id) => client.result(run_id).await.map(|result| result.to_json()),
        Address::Finding(id) => client.finding(id).await,
    };
    Some(
        answer
            .map_err(Failure::from)
            .and_then(|value| Answer::untrusted(value).text()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_report_or_a_finding() {
        assert_eq!(address("helve://runs/a-1/report"), Some(Address::Report("a-1")));
        assert_eq!(address("helve://findings/f"), Some(Address::Finding("f")));
        for wrong in [
            "helve://runs/a",
            "helve://runs//report",
            "file:///etc/passwd",
            "helve://findings/a/b",
            "",
        ] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
