//! Claiming jobs, and what claimers say of them.

use futures_util::FutureExt;
use helve_queue::{
    Answered, Batch, Claim, Claimed, Claiming, Completion, Failing, Heartbeat, Item, Pulse, QueueName,
    Result as Outcome,
};

use super::{Claimer, Large, queue, told};
use crate::extract::{Json, Path, Reply};
use crate::problem::Result;

/// Claim jobs: waits for the first, takes up to `max` of those that are there.
///
/// Each is the claimer's alone until its lease ends, and `heartbeat` begins the lease anew. A lease that ends returns the job
/// to its queue; so do jobs of an answer that never arrived.
#[utoipa::path(post, path = "/queue/{name}/claim", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace), request_body = Claiming,
    responses((status = 200, description = "Jobs; none came in time when there are none", body = Claimed)))]
pub(crate) async fn claim(
    claimer: Claimer,
    Path(name): Path<String>,
    Json(claiming): Json<Claiming>,
) -> Result<Reply<Claimed>> {
    let queue = queue(&name)?;
    claimer.require(&queue)?;
    Ok(Reply(claimer.jobs.claim(&queue, &claiming).await?))
}

/// Keep a job: its lease begins anew.
#[utoipa::path(post, path = "/jobs/{id}/heartbeat", tag = "Job queue",
    params(("id" = String, Path, description = "The job; `-`: that of the claim"), crate::openapi::Namespace), request_body = Heartbeat,
    responses((status = 200, description = "The job is still the claimer's", body = Pulse),
        (status = 409, description = "The lease was lost")))]
pub(crate) async fn heartbeat(
    claimer: Claimer,
    Path(id): Path<String>,
    Json(heartbeat): Json<Heartbeat>,
) -> Result<Reply<Pulse>> {
    let claim = claimer.open(&heartbeat.claim)?;
    of_job(&claim, &id)?;
    Ok(Reply(claimer.jobs.heartbeat(&claim, heartbeat.details.as_ref()).await?))
}

/// Complete a job. To be sent again when the answer was lost.
#[utoipa::path(post, path = "/jobs/{id}/complete", tag = "Job queue",
    params(("id" = String, Path, description = "The job; `-`: that of the claim"), crate::openapi::Namespace), request_body = Completion,
    responses((status = 200, description = "The job is done, and nothing can lose that", body = Answered),
        (status = 409, description = "The lease was lost")))]
pub(crate) async fn complete(
    claimer: Claimer,
    Path(id): Path<String>,
    Json(completion): Json<Completion>,
) -> Result<Reply<Answered>> {
    let claim = claimer.open(&completion.claim)?;
    of_job(&claim, &id)?;
    Ok(Reply(claimer.jobs.complete(&claim, &completion.output).await?))
}

/// Say that an attempt failed: the job is tried again as its retry policy says, or is dead.
#[utoipa::path(post, path = "/jobs/{id}/fail", tag = "Job queue",
    params(("id" = String, Path, description = "The job; `-`: that of the claim"), crate::openapi::Namespace), request_body = Failing,
    responses((status = 200, description = "It is known", body = Answered),
        (status = 409, description = "The lease was lost")))]
pub(crate) async fn fail(
    claimer: Claimer,
    Path(id): Path<String>,
    Json(failing): Json<Failing>,
) -> Result<Reply<Answered>> {
    let claim = claimer.open(&failing.claim)?;
    of_job(&claim, &id)?;
    Ok(Reply(claimer.jobs.fail(&claim, &failing).await?))
}

/// Refuses a claim of another job than the one that was named, if one was: whoever has a claim need not know of which job.
fn of_job(claim: &Claim, id: &str) -> Outcome<()> {
    match id {
        "-" => Ok(()),
        id => claim.require_job(id),
    }
}

/// A claim of this queue, which may be used by this caller.
fn mine(claimer: &Claimer, queue: &QueueName, claim: Outcome<Claim>) -> Outcome<Claim> {
    let claim = claimer.of_mine(claim?)?;
    claim.require_queue(queue)?;
    Ok(claim)
}

fn items<T>(outcomes: Vec<Outcome<T>>) -> Reply<Batch<Item<T>>> {
    let jobs = outcomes.into_iter().map(|outcome| Item::new(outcome, told)).collect();
    Reply(Batch { jobs })
}

/// Keep up to 1,000 jobs of a queue, with an answer for each: what `heartbeat` of one answers, or an `error`.
#[utoipa::path(post, path = "/queue/{name}/heartbeat", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    request_body = inline(Batch<Heartbeat>),
    responses((status = 200, description = "An answer for each", body = inline(Batch<Item<Pulse>>))))]
pub(crate) async fn heartbeats(
    claimer: Claimer,
    Path(name): Path<String>,
    Large(batch): Large<Batch<Heartbeat>>,
) -> Result<Reply<Batch<Item<Pulse>>>> {
    let queue = queue(&name)?;
    claimer.require(&queue)?;
    let (claimer, queue) = (&claimer, &queue);
    let call = claimer.jobs.each(
        &batch.jobs,
        |item| &item.claim,
        |heartbeat, claim| {
            async move {
                let claim = mine(claimer, queue, claim)?;
                claimer.jobs.heartbeat(&claim, heartbeat.details.as_ref()).await
            }
            .boxed()
        },
    );
    Ok(items(call.await?))
}

/// Complete up to 1,000 jobs of a queue, with an answer for each: what `complete` of one answers, or an `error`.
#[utoipa::path(post, path = "/queue/{name}/complete", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    request_body = inline(Batch<Completion>),
    responses((status = 200, description = "An answer for each", body = inline(Batch<Item<Answered>>))))]
pub(crate) async fn completions(
    claimer: Claimer,
    Path(name): Path<String>,
    Large(batch): Large<Batch<Completion>>,
) -> Result<Reply<Batch<Item<Answered>>>> {
    let queue = queue(&name)?;
    claimer.require(&queue)?;
    let (claimer, queue) = (&claimer, &queue);
    let call = claimer.jobs.each(
        &batch.jobs,
        |item| &item.claim,
        |completion, claim| {
            async move {
                let claim = mine(claimer, queue, claim)?;
                claimer.jobs.complete(&claim, &completion.output).await
            }
            .boxed()
        },
    );
    Ok(items(call.await?))
}

/// Fail up to 1,000 jobs of a queue, with an answer for each: what `fail` of one answers, or an `error`.
#[utoipa::path(post, path = "/queue/{name}/fail", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    request_body = inline(Batch<Failing>),
    responses((status = 200, description = "An answer for each", body = inline(Batch<Item<Answered>>))))]
pub(crate) async fn failures(
    claimer: Claimer,
    Path(name): Path<String>,
    Large(batch): Large<Batch<Failing>>,
) -> Result<Reply<Batch<Item<Answered>>>> {
    let queue = queue(&name)?;
    claimer.require(&queue)?;
    let (claimer, queue) = (&claimer, &queue);
    let call = claimer.jobs.each(
        &batch.jobs,
        |item| &item.claim,
        |failing, claim| {
            async move {
                let claim = mine(claimer, queue, claim)?;
                claimer.jobs.fail(&claim, failing).await
            }
            .boxed()
        },
    );
    Ok(items(call.await?))
}
