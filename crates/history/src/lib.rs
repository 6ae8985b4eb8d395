//! The pure core of durable execution: `decide(state, input, env) -> transition`, with Temporal's semantics.
//!
//! No async, no clock, no IO, no randomness: time, ids and limits come in by argument ([`Env`]), everything that happens
//! is an [`Input`], and a decision yields a [`Transition`] that the shell commits, installs and publishes, in this order.
//! This is the production path, so unit, property and simulation tests test what runs.
//!
//! - **State is the fold of events, plus facts.** What a history contains is never stored a second time. [`RunState`] is
//!   rebuilt from the stored events and a few *facts* that no event carries: the workflow task's attempt and sticky queue,
//!   each activity's attempt, buffered events. See [`fact_changes`] and [`RunState::rebuild`].
//! - **Obligations are derived, never listed.** A handler only changes the state. What the shell must do about it is asked
//!   of the state: [`RunState::ready_tasks`], [`RunState::outbox`], [`RunState::next_deadline`]. A restart asks the same
//!   questions, so nothing can be forgotten, and there are no task, timer or outbox tables.
//! - **A decision that fails midway never happened.** It works on a copy (cheap: all maps are shared), which is dropped.
//!
//! References like `[trap 5]` name the semantic traps listed in this crate's README.

mod activity;
mod attempt;
mod cancel;
mod children;
mod close;
mod commands;
mod deadline;
mod decide;
mod describe;
mod draft;
mod env;
mod event;
mod external;
mod facts;
mod failure;
mod fold;
mod growing_set;
mod input;
mod key;
mod limits;
mod links;
mod obligations;
mod options;
mod outbox;
mod priority;
mod problems;
mod proto;
mod recorded;
mod rejection;
mod requests;
mod reset;
mod retry;
mod shared;
mod signal;
mod standalone;
mod start;
mod state;
mod successor;
mod timers;
mod timestamp;
mod token;
mod transition;
mod update;
mod validate;
mod workflow_task;

pub use crate::{
    decide::decide,
    env::{Env, Limits, SearchAttributeCheck},
    facts::{Buffered, FactChanges, fact_changes},
    input::{
        ActivityOperation, ActivityPoll, ActivityRef, ActivitySelection, Attachment, CancelRequest, ChildClose,
        ChildClosed, ExternalSource, Input, OptionsChange, OptionsUpdate, ParentRef, PolledQueue, PriorityField,
        ResetOrder, Sdk, Signal, StandaloneRequest, Termination, WorkflowTaskCompletion, WorkflowTaskFailure,
        WorkflowTaskPoll,
    },
    key::{EventId, RunKey, RunKind},
    links::check_links,
    obligations::{ChildStart, Message, MessageBody, MessageId, ReadyKind, ReadyTask, Summary},
    priority::check_priority,
    rejection::{Corrupt, Rejection},
    reset::{AfterReset, Reapply, Reset, ResetBase, ResetRequest, is_reapplied, reset},
    start::{CurrentRun, StartResolution, StartRun, resolve_start, start},
    state::RunState,
    timestamp::Timestamp,
    token::{ActivityToken, WorkflowTaskToken},
    transition::{ActivityStarted, Reply, Transition, WorkflowTaskCompleted, WorkflowTaskStarted},
    update::{Update, UpdateAnswer, UpdateNews, UpdateStage},
};
