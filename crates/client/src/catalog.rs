//! Workflows, modules and verticals; schedules; who may come in. Passed on as the server writes them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::transport::Client;

/// Who the token belongs to, and what it allows.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Me {
    /// As the audit log names them.
    pub name: String,
    /// What they may do.
    pub role: String,
    /// Where; none: everywhere.
    pub namespaces: Option<Vec<String>>,
    /// When they have to come in again.
    pub expires_at: Option<String>,
}

impl Client {
    /// Who asks.
    pub async fn me(&self) -> Result<Me, Error> {
        self.get(&["me"], &[]).await
    }

    /// All items of a list: `workflows`, `modules`, `verticals`, `schedules`, `namespaces`, `tokens`, `baselines`.
    pub async fn list(&self, what: &str) -> Result<Vec<Value>, Error> {
        self.all(&parts(what), &[]).await
    }

    /// The first items of a list, with what it is asked for.
    pub async fn list_some(&self, what: &str, query: &[(&str, &str)], limit: usize) -> Result<Vec<Value>, Error> {
        self.first(&parts(what), query, limit).await
    }

    /// One thing of a list, by its name or id.
    pub async fn one(&self, what: &str, name: &str) -> Result<Value, Error> {
        self.get(&with(what, &[name]), &[]).await
    }

    /// Makes one: a schedule, a token, a namespace, a baseline.
    pub async fn make(&self, what: &str, wanted: &Value) -> Result<Value, Error> {
        self.post(&parts(what), wanted).await
    }

    /// Removes one, or takes it back.
    pub async fn remove(&self, what: &str, name: &str) -> Result<(), Error> {
        self.delete(&with(what, &[name])).await
    }

    /// Does something with one that says nothing back: `pause`, `resume` or `trigger` of a schedule.
    pub async fn act(&self, what: &str, name: &str, verb: &str) -> Result<(), Error> {
        self.poke(&with(what, &[name, verb])).await
    }

    /// The JSON Schema of a workflow's parameters.
    pub async fn parameters(&self, workflow: &str) -> Result<Value, Error> {
        self.get(&["workflows", workflow, "parameters"], &[]).await
    }
}

/// A list may be a part of something: `mesh/tickets`.
fn parts(what: &str) -> Vec<&str> {
    what.split('/').collect()
}

fn with<'a>(what: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    what.split('/').chain(rest.iter().copied()).collect()
}
