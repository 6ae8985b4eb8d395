//! Findings over all runs, and what people decide about them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::pages::Page;
use crate::transport::Client;

/// Which findings. All that is given must hold; of a list with commas, one of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FindingsAsked {
    /// `critical`, `high`, `medium`, `low`, `note`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// `new`, `still_there`, `fixed`, `reopened`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `open`, `confirmed`, `false_positive`, `accepted_risk`, `fixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triage: Option<String>,
    /// Whether the target itself says to leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<bool>,
    /// Id of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The module that reported it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Name of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The workflow that saw it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Who is to look after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How the path begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Words that all occur.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
}

impl FindingsAsked {
    fn query(&self) -> Vec<(&str, &str)> {
        let suppressed = self
            .suppressed
            .map(|suppressed| if suppressed { "true" } else { "false" });
        [
            ("severity", self.severity.as_deref()),
            ("status", self.status.as_deref()),
            ("triage", self.triage.as_deref()),
            ("suppressed", suppressed),
            ("rule", self.rule.as_deref()),
            ("module", self.module.as_deref()),
            ("target", self.target.as_deref()),
            ("workflow", self.workflow.as_deref()),
            ("owner", self.owner.as_deref()),
            ("path", self.path.as_deref()),
            ("q", self.q.as_deref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// What somebody decides about a finding, or says of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Decision {
    /// The new state; only a comment when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When an accepted risk ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why.
    pub comment: String,
}

impl Client {
    /// The first findings of an order: `severity`, `newest`, `last_seen` or `path`.
    pub async fn findings(
        &self,
        asked: &FindingsAsked,
        order: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Value>, Error> {
        let mut query = asked.query();
        query.extend(order.map(|order| ("order", order)));
        self.first(&["findings"], &query, limit).await
    }

    /// A page of them.
    pub async fn findings_page(
        &self,
        asked: &FindingsAsked,
        order: Option<&str>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Value>, Error> {
        let mut query = asked.query();
        query.extend(order.map(|order| ("order", order)));
        self.page(&["findings"], &query, limit, cursor).await
    }

    /// All of a finding.
    pub async fn finding(&self, id: &str) -> Result<Value, Error> {
        self.get(&["findings", id], &[]).await
    }

    /// Decides about a finding.
    pub async fn triage(&self, id: &str, decision: &Decision) -> Result<Value, Error> {
        self.post(&["findings", id, "triage"], decision).await
    }

    /// Decides about several findings: all of them, or none.
    pub async fn triage_many(&self, ids: &[String], decision: &Decision) -> Result<Value, Error> {
        let mut body = json!(decision);
        body["ids"] = json!(ids);
        self.post(&["findings", "triage"], &body).await
    }

    /// How the findings stand, of one target or of all.
    pub async fn overview(&self, target: Option<&str>) -> Result<Value, Error> {
        let query: Vec<_> = target.iter().map(|target| ("target", *target)).collect();
        self.get(&["findings", "overview"], &query).await
    }
}
