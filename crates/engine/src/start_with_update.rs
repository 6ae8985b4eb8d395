//! Updating a workflow that is started for it if it is not there.

use std::sync::Arc;

use helve_history::{Env, Rejection, StartRun, Update};

use crate::{
    error::{Failed, Fault},
    find::Target,
    namespaces::Namespace,
    shell::Shell,
    start::{Policies, Started},
    updates::{Patience, Updated, Waited},
};

/// Why an update-with-start was not done.
#[derive(Debug)]
pub(crate) enum UpdateWithStartFailed {
    Start(Failed),
    Update {
        error: Failed,
        /// The workflow was started all the same.
        started: bool,
    },
    /// Twice the workflow was there, and closed before it saw the update.
    Closing(String),
}

impl Shell {
    /// Starts a run with an update, or updates the one that is there; waits as the caller wants, and answers no update if
    /// the caller's deadline is over. `make` validates the start.
    pub(crate) async fn update_with_start(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        target: &Target,
        policies: Policies,
        make: impl Fn(&str, &Env<'_>) -> Result<StartRun, Rejection>,
        update: Update,
        patience: Patience,
    ) -> Result<(Started, Option<Updated>), UpdateWithStartFailed> {
        let mut tried_before = false;
        loop {
            let with_update = |run_id: &str, env: &Env<'_>| {
                let mut run = make(run_id, env)?;
                run.update = Some(update.clone());
                Ok(run)
            };
            let (started, ticket) = self
                .start_updated(namespace, policies, with_update)
                .await
                .map_err(UpdateWithStartFailed::Start)?;
            let is_new = started.by_this_request && ticket.is_some();
            let update_failed = |error| UpdateWithStartFailed::Update { error, started: is_new };
            let Some(ticket) = ticket else {
                // Its start came before and its run is closed: there is nothing that the update could go to.
                let why = "Workflow was not started: it was started by the same request before";
                return Err(UpdateWithStartFailed::Start(Fault::Unavailable(why.to_owned()).into()));
            };
            let ticket = ticket.map_err(update_failed)?;
            match self.wait_for_update(ticket, patience).await.map_err(update_failed)? {
                Waited::Told(updated) => return Ok((started, Some(updated))),
                Waited::TooLate => return Ok((started, None)),
                Waited::AskAgain if !is_new => {}
                Waited::AskAgain => {
                    // The new run went on as another one before it saw the update.
                    let updated = self.update(namespace, target, update, patience).await;
                    return Ok((started, updated.map_err(update_failed)?));
                }
                Waited::Closed if is_new => return Err(update_failed(Rejection::update_aborted().into())),
                Waited::Closed if tried_before => {
                    return Err(UpdateWithStartFailed::Closing(Rejection::update_aborted().to_string()));
                }
                Waited::Closed => tried_before = true,
            }
        }
    }
}
