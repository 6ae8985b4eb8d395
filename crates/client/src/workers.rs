//! Workers and queues of a server.

use std::collections::BTreeMap;

use helve_runs::Worker;
use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::transport::Client;

/// The workers of a namespace.
#[derive(Debug, Default)]
pub struct WorkersView {
    /// By identity.
    pub workers: Vec<Worker>,
    /// Verticals that workflows need and no worker serves.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<WorkerView>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    verticals_without_worker: Vec<String>,
}

#[derive(Deserialize)]
struct WorkerView {
    identity: String,
    state: String,
    workflows: bool,
    sandbox: String,
    steps: i32,
    slots: i32,
    verticals: BTreeMap<String, Vec<ToolView>>,
}

#[derive(Deserialize)]
struct ToolView {
    program: String,
    version: String,
}

impl From<WorkerView> for Worker {
    fn from(view: WorkerView) -> Self {
        let tools = |tools: Vec<ToolView>| tools.into_iter().map(|tool| (tool.program, tool.version)).collect();
        Self {
            identity: view.identity,
            workflows: view.workflows,
            leaving: view.state == "leaving",
            sandbox: view.sandbox,
            used: view.steps,
            slots: view.slots,
            verticals: view
                .verticals
                .into_iter()
                .map(|(name, carried)| (name, tools(carried)))
                .collect(),
        }
    }
}

impl Client {
    /// The workers, and what none of them carries.
    pub async fn workers(&self) -> Result<WorkersView, Error> {
        let (mut view, mut cursor) = (WorkersView::default(), None::<String>);
        loop {
            let query: Vec<_> = cursor.iter().map(|cursor| ("cursor", cursor.as_str())).collect();
            let page: Page = self.get(&["workers"], &query).await?;
            view.workers.extend(page.items.into_iter().map(Worker::from));
            view.missing = page.verticals_without_worker;
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(view),
            }
        }
    }

    /// The queues, with what waits in them.
    pub async fn queues(&self) -> Result<Vec<Value>, Error> {
        self.all(&["queues"], &[]).await
    }
}
