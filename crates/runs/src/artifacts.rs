//! The files that a run left.

use helve_toolbox::run::BlobRef;
use serde_json::{Value, json};

use crate::error::Error;
use crate::history::{Outcome, RunHistory};

/// A file that a run left.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// None for what the run itself left.
    pub step: Option<String>,
    /// As the module named it.
    pub name: String,
    /// BLAKE3 of the bytes, in hex.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// Media type, as the module gave it.
    pub media_type: String,
}

impl Artifact {
    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "step": self.step,
            "name": self.name,
            "id": self.id,
            "bytes": self.size,
            "media_type": self.media_type,
        })
    }

    /// Where the bytes are.
    pub fn blob(&self) -> BlobRef {
        BlobRef {
            id: self.id.clone(),
            size: self.size,
            media_type: self.media_type.clone(),
        }
    }
}

/// What the steps left in the order of the history, then the reports of the run.
pub fn artifacts(history: &RunHistory) -> Vec<Artifact> {
    let artifact = |step: Option<&str>, name: &str, blob: &BlobRef| Artifact {
        step: step.map(str::to_owned),
        name: name.to_owned(),
        id: blob.id.clone(),
        size: blob.size,
        media_type: blob.media_type.clone(),
    };
    let mut artifacts = Vec::new();
    for activity in history.activities.iter().filter(|activity| !activity.is_internal()) {
        if let Outcome::Completed(Some(output)) = &activity.outcome {
            let named = output.artifacts.iter();
            artifacts.extend(named.map(|named| artifact(Some(&activity.step), &named.name, &named.blob)));
        }
    }
    if let Some(output) = history.end.as_ref().and_then(|end| end.output.as_ref()) {
        let reports = [("report.json", &output.report), ("report.sarif", &output.sarif)];
        let there = reports
            .into_iter()
            .filter_map(|(name, blob)| Some((name, blob.as_ref()?)));
        artifacts.extend(there.map(|(name, blob)| artifact(None, name, blob)));
    }
    artifacts
}

/// The file of that name, of that step if several left one.
pub fn find_artifact(found: &[Artifact], run_id: &str, name: &str, step: Option<&str>) -> Result<Artifact, Error> {
    let mut matching = found
        .iter()
        .filter(|artifact| artifact.name == name && (step.is_none() || artifact.step.as_deref() == step));
    let (run_id, name) = (run_id.to_owned(), name.to_owned());
    match (matching.next(), matching.next()) {
        (Some(artifact), None) => Ok(artifact.clone()),
        (Some(_), Some(_)) => Err(Error::SeveralArtifacts { run_id, name }),
        (None, _) => Err(Error::NoArtifact { run_id, name }),
    }
}
