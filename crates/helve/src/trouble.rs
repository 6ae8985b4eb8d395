//! Noticing that the engine of this process cannot write: the disk is full, or the volume is gone.
//!
//! Temporal's clients retry such failures quietly, for good reason; but a person who waits wants to be told.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use temporalio_client::tonic::{Code, Status};

/// The engine's last refusal to write, until a write succeeds again.
#[derive(Default)]
pub(crate) struct Trouble {
    since: Mutex<Option<(Instant, String)>>,
}

impl Trouble {
    /// Takes in the outcome of a call.
    pub(crate) fn note<T>(&self, rpc: &str, outcome: &Result<T, Status>) {
        match outcome {
            Err(status) if status.code() == Code::Unavailable && !status.message().is_empty() => {
                self.since()
                    .get_or_insert_with(|| (Instant::now(), status.message().to_owned()));
            }
            // Reading works on a full disk, so only what must have been written counts as recovery.
            Ok(_) if rpc.starts_with("Respond") || rpc.starts_with("Start") => *self.since() = None,
            _ => {}
        }
    }

    /// What is wrong, if it has been wrong for that long.
    pub(crate) fn lasting(&self, patience: Duration) -> Option<String> {
        self.since()
            .as_ref()
            .filter(|(since, _)| since.elapsed() >= patience)
            .map(|(_, message)| message.clone())
    }

    fn since(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.since.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn trouble_lasts_until_a_write_succeeds() {
        let trouble = Trouble::default();
        trouble.note::<()>(
            "RespondActivityTaskCompleted",
            &Err(Status::unavailable("the disk is full")),
        );
        trouble.note("GetWorkflowExecutionHistory", &Ok(()));
        assert_eq!(trouble.lasting(NOW).as_deref(), Some("the disk is full"));
        assert_eq!(trouble.lasting(Duration::from_secs(60)), None);
        trouble.note("RespondActivityTaskCompleted", &Ok(()));
        assert_eq!(trouble.lasting(NOW), None);
    }

    #[test]
    fn a_refusal_for_another_reason_is_no_trouble() {
        let trouble = Trouble::default();
        trouble.note::<()>(
            "RespondActivityTaskCompleted",
            &Err(Status::not_found("no such activity")),
        );
        assert_eq!(trouble.lasting(NOW), None);
    }
}
