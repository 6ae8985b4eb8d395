//! The job queue for programs without an SDK: a pure client of Temporal's protocol, on whatever engine.
//!
//! A job is a standalone activity of type [`JOB_TYPE`] on the task queue `jobs:NAME`. A claim is a poll of that queue, its
//! lease is the activity's heartbeat timeout, its retries are the activity's. So the engine decides everything: who has a
//! job, when it goes back, when it is dead. What is here is the shape: names, needs, claims that are handed out as sealed
//! texts, and the calls.
//!
//! - [`Jobs`] makes the calls; [`Jobs::publish`], [`Jobs::claim`], [`Jobs::heartbeat`], [`Jobs::complete`], [`Jobs::fail`],
//!   and what operators and viewers do.
//! - [`NewJob`] is a job before it is published, [`ClaimedJob`] while somebody has it, [`JobView`] as it is shown.
//! - [`ClaimKey`] seals claims: one that was made up, or belongs to another namespace or queue, is refused before the engine
//!   hears of it.

mod answer;
mod calls;
mod claim;
mod error;
mod known;
mod list;
mod name;
mod operate;
mod outcome;
mod payload;
mod publish;
mod show;
mod spec;
mod take;

pub use answer::{Answered, Completion, Failing, Heartbeat, Pulse};
pub use calls::{Jobs, Reach};
pub use claim::{Claim, ClaimKey};
pub use error::{Error, Result};
pub use list::{JobsPage, QueueNeeds, QueueStats, Which};
pub use name::{Has, InvalidName, JOB_TYPE, Needs, QueueName};
pub use operate::{Requeued, Swept};
pub use outcome::{Batch, Item, ItemError, MAX_BATCH};
pub use payload::{Content, MAX_CONTENT};
pub use publish::{PublishOptions, Published};
pub use show::{Earlier, JobStatus, JobSummary, JobView, LastFailure};
pub use spec::{NewJob, Retry};
pub use take::{Claimed, ClaimedJob, Claiming, MAX_CLAIM};
