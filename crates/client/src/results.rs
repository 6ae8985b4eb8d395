//! What a run left: its result, its report, its files.

use helve_blobs::BlobId;
use helve_findings::Report;
use helve_runs::{Artifact, ResultDocument, RunResult};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::transport::Client;

/// The report of a run among its files.
const REPORT: &str = "report.json";

/// A file of a run as the server lists it.
#[derive(Debug, Deserialize)]
struct ArtifactView {
    step: Option<String>,
    name: String,
    id: String,
    bytes: u64,
    media_type: String,
}

impl Client {
    /// The result of a run that has ended, with its report.
    pub async fn result(&self, run_id: &str) -> Result<RunResult, Error> {
        let document: ResultDocument = self.get(&["runs", run_id, "result"], &[]).await?;
        let ended = self.run(run_id).await?.ended_at;
        // Steps may leave files of that name too; the run's own is the one without a step.
        let files = self.artifacts(run_id).await?;
        let report = match files.iter().find(|file| file.step.is_none() && file.name == REPORT) {
            Some(file) => Some(self.report(run_id, file).await?),
            None => None,
        };
        Ok(RunResult::received(document, report, ended))
    }

    async fn report(&self, run_id: &str, file: &Artifact) -> Result<Report, Error> {
        // Other files of that name would make the short way ambiguous.
        let bytes = self.artifact(run_id, file).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.strange(format!("the report of run {run_id} cannot be read: {error}")))
    }

    /// The findings of a run that has ended as the server writes them, worst first.
    pub async fn findings_of_run(
        &self,
        run_id: &str,
        severity: Option<&str>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Value, Error> {
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(severity.map(|severity| ("severity", severity)));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(&["runs", run_id, "findings"], &query).await
    }

    /// The files of a run.
    pub async fn artifacts(&self, run_id: &str) -> Result<Vec<Artifact>, Error> {
        let files: Vec<ArtifactView> = self.all(&["runs", run_id, "artifacts"], &[]).await?;
        let artifact = |file: ArtifactView| Artifact {
            step: file.step,
            name: file.name,
            id: file.id,
            size: file.bytes,
            media_type: file.media_type,
        };
        Ok(files.into_iter().map(artifact).collect())
    }

    /// The bytes of a file of a run, which are those that the run left.
    pub async fn artifact(&self, run_id: &str, file: &Artifact) -> Result<Vec<u8>, Error> {
        let step: Vec<_> = file.step.iter().map(|step| ("step", step.as_str())).collect();
        let call = self.call(Method::GET, &["runs", run_id, "artifacts", &file.name], &step);
        let bytes = self.bytes(call).await?;
        match BlobId::of(&bytes).to_hex() == file.id {
            true => Ok(bytes.into()),
            false => Err(self.strange(format!("`{}` came broken", file.name))),
        }
    }
}
