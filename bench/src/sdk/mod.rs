//! The driver on Temporal's Rust SDK: a client and a worker in this process, as a program of its users has them.

mod workflows;

use anyhow::{Result, anyhow};
use futures::{StreamExt, TryStreamExt, stream};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowGetResultOptions, WorkflowStartOptions,
};
use temporalio_common::HasWorkflowDefinition;
use temporalio_sdk::runtime::PollerBehavior;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, TunerHolder};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};

pub(crate) use workflows::{Activities, Counter, Family, Long, Parallel, Sequential, Timer};

/// Tasks that the worker has in hand at once, of each kind.
const SLOTS: usize = 500;
/// Workflows that the worker keeps.
const CACHE: usize = 3_000;
/// Open polls of each kind. The SDK's own default is 5, which makes it the limit on a fast server.
const POLLERS: usize = 20;

/// A client for a server.
pub(crate) async fn connect(address: &str) -> Result<Client> {
    let options = ConnectionOptions::new(Url::parse(&format!("http://{address}"))?)
        .identity("helve-bench".to_owned())
        .dns_load_balancing(None)
        .build();
    let connection = Connection::connect(options).await?;
    Ok(Client::new(
        connection,
        ClientOptions::new(crate::raw::NAMESPACE).build(),
    )?)
}

/// Drives a load while a worker with all workflows and activities polls the queue.
pub(crate) async fn with_worker<T>(
    client: &Client,
    queue: &str,
    pollers: Option<usize>,
    load: impl Future<Output = Result<T>>,
) -> Result<T> {
    let runtime = Runtime::from_current_tokio(Default::default()).map_err(|error| anyhow!("{error}"))?;
    let options = worker_options(queue, pollers.unwrap_or(POLLERS))?;
    let mut worker = Worker::new(&runtime, client.clone(), options).map_err(|error| anyhow!("{error}"))?;
    let stop = worker.shutdown_handle();
    let (worked, loaded) = tokio::join!(worker.run(), async {
        let loaded = load.await;
        stop();
        loaded
    });
    worked.map_err(|error| anyhow!("the worker failed: {error}"))?;
    loaded
}

fn worker_options(queue: &str, pollers: usize) -> Result<WorkerOptions> {
    let slots = || FixedSizeSlotSupplier::new(SLOTS);
    let tuner = TunerHolder::builder()
        .workflow_task_slot_supplier(slots())
        .activity_task_slot_supplier(slots())
        .local_activity_task_slot_supplier(slots())
        .nexus_task_slot_supplier(slots())
        .build();
    Ok(WorkerOptions::new(queue)
        .register_activities(Activities)
        .register_workflow::<Sequential>()
        .and_then(|options| options.register_workflow::<Parallel>())
        .and_then(|options| options.register_workflow::<Timer>())
        .and_then(|options| options.register_workflow::<Counter>())
        .and_then(|options| options.register_workflow::<Family>())
        .and_then(|options| options.register_workflow::<Long>())
        .map_err(|error| anyhow!("{error}"))?
        .tuner(tuner)
        .max_cached_workflows(CACHE)
        .workflow_task_poller_behavior(PollerBehavior::SimpleMaximum(pollers.max(2)))
        .activity_task_poller_behavior(PollerBehavior::SimpleMaximum(pollers))
        .build())
}

/// Starts a workflow and waits for its result.
pub(crate) async fn execute<W>(client: &Client, queue: &str, id: &str, workflow: W, input: u64) -> Result<()>
where
    W: HasWorkflowDefinition<Input = u64, Output = u64> + Send,
{
    let options = WorkflowStartOptions::new(queue, id).build();
    let handle = client.start_workflow(workflow, input, options).await?;
    let output = handle.get_result(WorkflowGetResultOptions::default()).await?;
    if output != input {
        return Err(anyhow!("workflow {id} was to return {input} and returned {output}"));
    }
    Ok(())
}

/// Does something with each number up to `count`, so many at once.
pub(crate) async fn each<T, F>(count: usize, at_once: usize, work: impl FnMut(usize) -> F) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    stream::iter(0..count)
        .map(work)
        .buffer_unordered(at_once.max(1))
        .try_collect()
        .await
}
