//! HTTP requests of a guest, and its secrets, as activities.

use std::time::Duration;

use helve_toolbox::run::{HTTP_ACTIVITY, SECRET_ACTIVITY, SecretInput, WORKFLOW_QUEUE};
use helve_toolbox::{Retry, Span};
use helve_wasm::http::{HttpCall, HttpEnd, HttpFailure, HttpFailureKind};
use helve_wasm::{Failure, FailureKind, TaskId};
use serde_json::{Value, json};

use super::run::{CodeRun, Owner, ended};
use crate::exchange::{Activity, Cause, Command, Resolution};
use crate::plan::limits::{HEARTBEAT_TIMEOUT, PLAN_TIMEOUT, internal_retry};

/// Longest time of a request, and what its worker may take besides.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
const REQUEST_MARGIN: Duration = Duration::from_secs(30);
/// How often a request is sent whose worker was lost over it, if it may be.
const IDEMPOTENT_ATTEMPTS: u32 = 5;

impl CodeRun {
    pub(super) fn send(&mut self, task: TaskId, call: &HttpCall) {
        let seq = self.number(Owner::Http(task));
        let timeout = Duration::from_millis(call.timeout_ms).min(REQUEST_TIMEOUT);
        let attempts = if call.idempotent { IDEMPOTENT_ATTEMPTS } else { 1 };
        self.commands.push(Command::Schedule(Activity {
            seq,
            id: format!("http-{seq}"),
            kind: HTTP_ACTIVITY.to_owned(),
            queue: WORKFLOW_QUEUE.to_owned(),
            input: json!(call),
            start_to_close: timeout + REQUEST_MARGIN,
            schedule_to_start: None,
            heartbeat: Some(HEARTBEAT_TIMEOUT),
            retry: Retry {
                max_attempts: attempts,
                initial_interval: Span::from_secs(1),
                backoff: 2.0,
                max_interval: Span::from_secs(60),
            },
        }));
    }

    pub(super) fn ask_for_secret(&mut self, task: TaskId, name: String) {
        let seq = self.number(Owner::Secret(task));
        self.commands.push(Command::Schedule(Activity {
            seq,
            id: format!("secret-{seq}"),
            kind: SECRET_ACTIVITY.to_owned(),
            queue: WORKFLOW_QUEUE.to_owned(),
            input: json!(SecretInput { name }),
            start_to_close: PLAN_TIMEOUT,
            schedule_to_start: None,
            heartbeat: None,
            retry: internal_retry(),
        }));
    }
}

/// The end of a request. That a worker was lost over it the guest is told as the end; it decides what to do.
pub(super) fn answer(resolution: Resolution) -> Result<Value, Failure> {
    let message = match resolution {
        Resolution::Failed {
            cause: Cause::WorkerLost,
            ..
        } => "its worker was lost while the request was under way; the server may have seen it",
        Resolution::Failed {
            cause: Cause::TimedOut, ..
        } => "it took longer than its timeout; the server may have seen it",
        other => {
            return ended(other).map_err(|failure| match failure.kind {
                FailureKind::Failed => Failure::new(FailureKind::Failed, format!("HTTP request: {}", failure.message)),
                _ => failure,
            });
        }
    };
    Ok(json!(HttpEnd::Failed(HttpFailure {
        kind: HttpFailureKind::Interrupted,
        message: message.to_owned(),
        url: None,
    })))
}
