//! Runs: list, show, start, stop.

use helve_runs::{RunDetail, RunSummary};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::pages::Page;
use crate::transport::Client;

/// Which runs; all when nothing is said.
#[derive(Debug, Clone, Default)]
pub struct RunsAsked {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// With this status.
    pub status: Option<String>,
    /// Of the target with this name.
    pub target: Option<String>,
}

impl RunsAsked {
    fn query(&self) -> Vec<(&str, &str)> {
        [
            ("workflow", &self.workflow),
            ("status", &self.status),
            ("target", &self.target),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }
}

/// What is to be run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StartRun {
    /// Name of the workflow.
    pub workflow: String,
    /// Id of the target.
    pub target: Option<String>,
    /// What the target is called in this run.
    pub target_name: Option<String>,
    /// Parameters, as the workflow's schema describes them.
    pub parameters: Map<String, Value>,
    /// After this time the run ends: `1h30m`.
    pub timeout: Option<String>,
}

/// A run that was started.
#[derive(Debug, Clone, Deserialize)]
pub struct StartedRun {
    /// The run.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
}

impl Client {
    /// The newest runs.
    pub async fn runs(&self, asked: &RunsAsked, limit: usize) -> Result<Vec<RunSummary>, Error> {
        self.first(&["runs"], &asked.query(), limit).await
    }

    /// A page of runs, newest first.
    pub async fn runs_page(
        &self,
        asked: &RunsAsked,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<RunSummary>, Error> {
        self.page(&["runs"], &asked.query(), limit, cursor).await
    }

    /// Everything that is known of a run.
    pub async fn run(&self, run_id: &str) -> Result<RunDetail, Error> {
        self.get(&["runs", run_id], &[]).await
    }

    /// Starts one, once, however often the request has to be sent.
    pub async fn start(&self, order: &StartRun) -> Result<StartedRun, Error> {
        self.read(self.call(Method::POST, &["runs"], &[]).json(order).keyed())
            .await
    }

    /// Starts a run again: the same workflow, target and parameters.
    pub async fn retry(&self, run_id: &str) -> Result<StartedRun, Error> {
        self.read(self.call(Method::POST, &["runs", run_id, "retry"], &[]).keyed())
            .await
    }

    /// Asks a run to stop.
    pub async fn cancel(&self, run_id: &str, reason: Option<&str>) -> Result<(), Error> {
        let _: Value = self
            .post(&["runs", run_id, "cancel"], &json!({ "reason": reason }))
            .await?;
        Ok(())
    }

    /// Ends a run at once.
    pub async fn terminate(&self, run_id: &str, reason: Option<&str>) -> Result<(), Error> {
        let _: Value = self
            .post(&["runs", run_id, "terminate"], &json!({ "reason": reason }))
            .await?;
        Ok(())
    }
}
