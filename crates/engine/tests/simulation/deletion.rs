//! What is deleted, by somebody or since it is old, is gone; and nothing else is.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use helve_db::rusqlite::Connection;
use temporalio_protos::temporal::api::{namespace::v1::NamespaceConfig, workflowservice::v1::*};

use crate::{
    client::{Client, list},
    network::Caller,
    oracle::{Records, Verdict, ensure},
    program::workflow_type,
    proto::{QUEUE, execution, namespace, queue, run},
    world::World,
};

impl Client {
    /// Deletes a run, whatever its state.
    pub(crate) async fn delete(&mut self) {
        let run_id = self.run_id.clone();
        if run_id.is_empty() {
            return;
        }
        self.caller.world.about_to_delete(&self.id, &run_id);
        let request = DeleteWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, &run_id),
        };
        let answer = self
            .caller
            .insist::<DeleteWorkflowExecutionResponse>("DeleteWorkflowExecution", request)
            .await;
        if answer.is_ok() {
            let deleted = &mut self.caller.world.ledger.borrow_mut().deleted;
            deleted.insert(run_id, self.id.clone());
        }
    }
}

impl World {
    /// From here on a run may vanish.
    pub(crate) fn about_to_delete(&self, id: &str, run_id: &str) {
        let doomed = &mut self.ledger.borrow_mut().doomed;
        doomed.insert(run_id.to_owned(), id.to_owned());
    }
}

/// What was deleted is nowhere.
pub(crate) async fn judge(caller: &Caller, records: &Records) -> Verdict {
    let deleted = caller.world.ledger.borrow().deleted.clone();
    for (run_id, workflow_id) in &deleted {
        ensure(!records.contains_key(run_id), || {
            format!("the deletion of {run_id} was acknowledged, but it is still listed")
        })?;
        let request = DescribeWorkflowExecutionRequest {
            namespace: namespace(),
            execution: run(workflow_id, run_id),
        };
        let described = caller
            .insist::<DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", request)
            .await;
        ensure(described.is_err(), || {
            format!("deleted run {run_id} can still be described")
        })?;
    }
    no_orphans(&caller.world)
}

/// No row is left of what is not there any more.
fn no_orphans(world: &World) -> Verdict {
    let database = Connection::open(world.database()).map_err(|error| error.to_string())?;
    for (what, query) in [
        (
            "events",
            "SELECT count(*) FROM history WHERE at >> 20 NOT IN (SELECT id FROM runs)",
        ),
        (
            "activities",
            "SELECT count(*) FROM activities WHERE at >> 20 NOT IN (SELECT id FROM runs)",
        ),
        (
            "buffered events",
            "SELECT count(*) FROM buffered WHERE at >> 20 NOT IN (SELECT id FROM runs)",
        ),
        ("deletions", "SELECT count(*) FROM deletions"),
        (
            "search attributes",
            "SELECT count(*) FROM search_attribute_values
             WHERE owner NOT IN (SELECT id FROM runs) AND owner NOT IN (SELECT id FROM schedules)",
        ),
    ] {
        let count: i64 = database
            .query_row(query, [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        ensure(count == 0, || {
            format!("{count} {what} of runs that do not exist are left on disk")
        })?;
    }
    Ok(())
}

/// At the end of a world: an hour passes, and what closed before it is deleted, whatever stops the engine meanwhile.
pub(crate) async fn grow_old(world: Rc<World>) {
    const RETENTION: Duration = Duration::from_secs(3600);
    let caller = Caller::new(&world, "janitor");
    if let Err(wrong) = until_old(&world, &caller, RETENTION).await {
        world.violated(wrong);
    }
}

async fn until_old(world: &Rc<World>, caller: &Caller, retention: Duration) -> Verdict {
    let says = |status: tonic::Status| format!("the janitor is told {status}");
    let change = UpdateNamespaceRequest {
        namespace: namespace(),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: Some(prost_types::Duration {
                seconds: retention.as_secs() as i64,
                nanos: 0,
            }),
            ..NamespaceConfig::default()
        }),
        ..UpdateNamespaceRequest::default()
    };
    let _: UpdateNamespaceResponse = caller.insist("UpdateNamespace", change).await.map_err(says)?;
    world.sleep(retention / 2).await;
    let (young, open) = (start(caller, "young").await?, start(caller, "open").await?);
    terminate(caller, "young").await?;
    world.crash("in the middle of an hour");
    world.sleep(retention / 2 + Duration::from_secs(240)).await;
    let left = list(caller, "").await.map_err(says)?;
    let left: BTreeSet<_> = left
        .into_iter()
        .map(|info| info.execution.unwrap_or_default().run_id)
        .collect();
    ensure(left == BTreeSet::from([young, open]), || {
        format!("after the retention only the open and the young run are there, not {left:?}")
    })?;
    let request = ListActivityExecutionsRequest {
        namespace: namespace(),
        ..ListActivityExecutionsRequest::default()
    };
    let activities: ListActivityExecutionsResponse =
        caller.insist("ListActivityExecutions", request).await.map_err(says)?;
    ensure(activities.executions.is_empty(), || {
        format!(
            "after the retention these activities are left: {:?}",
            activities.executions
        )
    })?;
    no_orphans(world)
}

async fn start(caller: &Caller, id: &str) -> Result<String, String> {
    let request = StartWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_id: id.to_owned(),
        workflow_type: workflow_type(),
        task_queue: queue(QUEUE),
        request_id: id.to_owned(),
        ..StartWorkflowExecutionRequest::default()
    };
    let started = caller.insist::<StartWorkflowExecutionResponse>("StartWorkflowExecution", request);
    Ok(started.await.map_err(|status| status.to_string())?.run_id)
}

async fn terminate(caller: &Caller, id: &str) -> Result<(), String> {
    let request = TerminateWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: execution(id),
        ..TerminateWorkflowExecutionRequest::default()
    };
    let done = caller.insist::<TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", request);
    done.await.map(|_| ()).map_err(|status| status.to_string())
}
