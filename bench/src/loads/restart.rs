//! A restart with 100,000 open executions: how long until the server serves again, and what an open idle execution costs
//! in memory. Each had its first workflow task and waits for a signal; after the restart one of them gets one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::workflowservice::v1::{
    DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse, PollWorkflowTaskQueueRequest,
};

use super::Bench;
use super::clients::{Until, start_only};
use super::signals::{idle, signal};
use crate::machine;
use crate::measured::{Measured, Meter};
use crate::raw::{IDENTITY, NAMESPACE, Nothing, Pollers, Rpc, Workers, WorkflowTask, task_queue};
use crate::servers::Kind;

const OPEN: usize = 100_000;
const OPEN_TEMPORAL: usize = 200;
const AT_ONCE: usize = 100;
/// Memory is looked at when the process is at rest.
const REST: Duration = Duration::from_secs(2);
const LONG_POLL: Duration = Duration::from_secs(70);

pub(super) async fn raw(bench: &mut Bench<'_>) -> Result<Measured> {
    if let Kind::TemporalMemory(_) = bench.host.kind() {
        bail!("what it keeps in memory does not outlive it");
    }
    let open = bench.count(OPEN, OPEN_TEMPORAL);
    let queue = super::fresh_queue();
    tokio::time::sleep(REST).await;
    let empty = bench.host.pid().and_then(machine::memory);
    open_idle(bench, &queue, open).await?;
    tokio::time::sleep(REST).await;
    let full = bench.host.pid().and_then(machine::memory);
    let history = history_bytes(bench, &format!("{queue}-0")).await?;

    bench.host.stop().await.context("stopping it")?;
    let meter = Meter::start(None);
    let ready = bench.host.run().await.context("starting it again")?;
    let mut measured = meter.stop(open, Vec::new());
    measured.seconds = ready.as_secs_f64();
    measured.engine_cpu = bench.host.pid().and_then(machine::cpu_seconds);
    still_there(bench, &queue).await?;
    tokio::time::sleep(REST).await;
    let again = bench.host.pid().and_then(machine::memory);

    let each = |memory: Option<u64>| Some(memory?.saturating_sub(empty?) as f64 / open as f64);
    let mut measured = measured
        .with("ready s", ready.as_secs_f64())
        .with("B history each", history);
    for (name, memory) in [("B memory each", full), ("B memory each after restart", again)] {
        if let Some(bytes) = each(memory) {
            measured = measured.with(name, bytes);
        }
    }
    if let Some(bytes) = each(full) {
        measured = measured.with("B beyond its history", bytes - history);
    }
    Ok(measured)
}

/// Opens workflows, each of which has done its first workflow task.
async fn open_idle(bench: &Bench<'_>, queue: &str, open: usize) -> Result<()> {
    let server = bench.server().await?;
    let pollers = Pollers {
        workflow: 64,
        activity: 0,
        sticky: false,
    };
    let workers = Workers::start(&server, queue, idle, pollers);
    let (_, answered) = tokio::try_join!(
        start_only(&server, "idle", queue, AT_ONCE, Until::Count(open)),
        workers.until_answered(open)
    )?;
    Ok(answered)
}

async fn history_bytes(bench: &Bench<'_>, workflow_id: &str) -> Result<f64> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        execution: Some(WorkflowExecution {
            workflow_id: workflow_id.to_owned(),
            run_id: String::new(),
        }),
    };
    let mut caller = bench.server().await?.caller();
    let answer: DescribeWorkflowExecutionResponse = caller.call(Rpc::DESCRIBE, request).await?;
    let info = answer.workflow_execution_info.context("a description")?;
    Ok(info.history_size_bytes as f64)
}

/// A signal to one of them brings a workflow task.
async fn still_there(bench: &Bench<'_>, queue: &str) -> Result<()> {
    let mut caller = bench.server().await?.caller();
    let _: Nothing = caller.call(Rpc::SIGNAL, signal(format!("{queue}-0"), 0)).await?;
    let request = PollWorkflowTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: task_queue(queue),
        identity: IDENTITY.to_owned(),
        ..Default::default()
    };
    let task: WorkflowTask = caller.long_poll(Rpc::POLL_WORKFLOW_TASK, request, LONG_POLL).await?;
    anyhow::ensure!(!task.task_token.is_empty(), "no task after the restart");
    Ok(())
}
