//! Batch operations: who asks for them, and whom they must have reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use temporalio_protos::temporal::api::{
    batch::v1::*,
    common::v1::{ResetOptions, reset_options::Target},
    enums::v1::{BatchOperationState, EventType, WorkflowExecutionStatus},
    workflowservice::v1::{start_batch_operation_request::Operation, *},
};
use tonic::{Code, Status};

use crate::{
    network::Caller,
    oracle::{Record, Records, Verdict, ensure, time},
    proto::{namespace, run},
    rng::Rng,
    world::World,
};

/// What is known of batch operations, by job id.
pub(crate) type KnownBatches = BTreeMap<String, KnownBatch>;

#[derive(Debug, Clone)]
pub(crate) struct KnownBatch {
    kind: Kind,
    /// Run ids; none if a query finds them.
    listed: Vec<String>,
    /// The runs that were acknowledged before it was asked for: a query finds at least those of workflows among them.
    before: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Signal,
    Cancel,
    Terminate,
    Reset,
}

/// Asks for a batch operation now and then.
pub(crate) async fn live(world: Rc<World>, number: u64) {
    let caller = Caller::new(&world, format!("batcher {number}"));
    let mut rng = world.rng().fork();
    let mut sent = 0;
    loop {
        world.nap(0, 20_000).await;
        if world.is_calm() {
            return;
        }
        sent += 1;
        start(&caller, &mut rng, &format!("batch {number}.{sent}")).await;
    }
}

async fn start(caller: &Caller, rng: &mut Rng, job_id: &str) {
    let world = &caller.world;
    let kind = match rng.below(8) {
        0..=3 => Kind::Signal,
        4 => Kind::Cancel,
        5 => Kind::Terminate,
        _ => Kind::Reset,
    };
    // What is terminated gets nowhere: only a few are.
    let is_listed = kind != Kind::Signal || rng.percent(60);
    let mut started: Vec<_> = world.ledger.borrow().started.clone().into_iter().collect();
    let before = started.iter().map(|(run_id, _)| run_id.clone()).collect();
    let count = if kind == Kind::Signal { 5 } else { 2 };
    while started.len() > count {
        started.swap_remove(rng.below(started.len() as u64) as usize);
    }
    if is_listed && started.is_empty() {
        return;
    }
    let known = KnownBatch {
        kind,
        listed: match is_listed {
            true => started.iter().map(|(run_id, _)| run_id.clone()).collect(),
            false => Vec::new(),
        },
        before,
    };
    #[expect(deprecated, reason = "clients still list their executions there")]
    let request = StartBatchOperationRequest {
        namespace: namespace(),
        job_id: job_id.to_owned(),
        reason: "many at once".to_owned(),
        visibility_query: if is_listed {
            String::new()
        } else {
            "WorkflowId STARTS_WITH 'w'".to_owned()
        },
        executions: match is_listed {
            true => started.iter().filter_map(|(run_id, id)| run(id, run_id)).collect(),
            false => Vec::new(),
        },
        operation: Some(kind.operation(job_id)),
        ..StartBatchOperationRequest::default()
    };
    let answer = caller
        .insist::<StartBatchOperationResponse>("StartBatchOperation", request)
        .await;
    match answer {
        Ok(_) => {}
        // An earlier try was heard.
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return world.violated(format!("{job_id} is refused: {status}")),
    }
    world.ledger.borrow_mut().batches.insert(job_id.to_owned(), known);
}

impl Kind {
    fn operation(self, job_id: &str) -> Operation {
        match self {
            Kind::Signal => Operation::SignalOperation(BatchOperationSignal {
                signal: job_id.to_owned(),
                ..BatchOperationSignal::default()
            }),
            Kind::Cancel => Operation::CancellationOperation(BatchOperationCancellation::default()),
            Kind::Terminate => Operation::TerminationOperation(BatchOperationTermination::default()),
            Kind::Reset => Operation::ResetOperation(BatchOperationReset {
                options: Some(ResetOptions {
                    target: Some(Target::FirstWorkflowTask(())),
                    ..ResetOptions::default()
                }),
                ..BatchOperationReset::default()
            }),
        }
    }

    /// Whether a run was reached.
    fn reached(self, job_id: &str, run_id: &str, record: &Record, records: &Records) -> bool {
        match self {
            Kind::Signal => record.signals().any(|signal| signal == job_id),
            Kind::Cancel => record
                .events
                .iter()
                .any(|event| event.event_type() == EventType::WorkflowExecutionCancelRequested),
            Kind::Terminate => record.info.status() == WorkflowExecutionStatus::Terminated,
            Kind::Reset => records
                .values()
                .any(|other| other.reset_of().is_some_and(|(base, _)| base == run_id)),
        }
    }
}

async fn describe(caller: &Caller, job_id: &str) -> Result<DescribeBatchOperationResponse, Status> {
    let request = DescribeBatchOperationRequest {
        namespace: namespace(),
        job_id: job_id.to_owned(),
    };
    caller.insist("DescribeBatchOperation", request).await
}

/// Whether no batch operation is under way.
pub(crate) async fn are_over(caller: &Caller) -> bool {
    let known = caller.world.ledger.borrow().batches.clone();
    for job_id in known.keys() {
        if describe(caller, job_id)
            .await
            .is_ok_and(|batch| batch.state() == BatchOperationState::Running)
        {
            return false;
        }
    }
    true
}

/// Every batch operation came to its end and reached whoever it concerned.
pub(crate) async fn judge(caller: &Caller, records: &Records) -> Verdict {
    let known = caller.world.ledger.borrow().batches.clone();
    for (job_id, known) in known {
        let batch = describe(caller, &job_id)
            .await
            .map_err(|status| format!("{job_id} was acknowledged, and is answered {status}"))?;
        ensure(batch.state() == BatchOperationState::Completed, || {
            format!("{job_id} did not come to its end: {batch:?}")
        })?;
        let ended = time(batch.close_time.as_ref());
        let concerned: Vec<_> = records
            .iter()
            .filter(|(run_id, record)| match known.listed.is_empty() {
                true => record.workflow_id.starts_with('w') && known.before.contains(*run_id),
                false => known.listed.contains(run_id),
            })
            .collect();
        // Those that were closed could not be reached, except by a reset.
        let missed: Vec<_> = concerned
            .iter()
            .filter(|(_, record)| record.closed_at() > ended || known.kind == Kind::Reset)
            .filter(|(run_id, record)| !known.kind.reached(&job_id, run_id, record, records))
            .map(|(run_id, _)| *run_id)
            .collect();
        ensure(missed.len() as i64 <= batch.failure_operation_count, || {
            format!("{job_id} did not reach {missed:?} and does not say so: {batch:?}")
        })?;
        if !known.listed.is_empty() {
            let done = batch.complete_operation_count + batch.failure_operation_count;
            ensure(done == known.listed.len() as i64, || {
                format!("{job_id} was for {} executions, and did {done}", known.listed.len())
            })?;
        }
    }
    Ok(())
}
