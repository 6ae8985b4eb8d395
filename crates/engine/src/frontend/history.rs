//! Histories: for workers, for whoever waits for a result, and for people.

use std::sync::Arc;

use bytes::Bytes;
use helve_history::Timestamp;
use helve_protocol::WithHistory;
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::WorkflowExecution, enums::v1::HistoryEventFilterType, workflowservice::v1::*,
};
use tonic::{Request, Status, metadata::MetadataMap};

use super::Frontend;
use crate::{
    encoded::EncodedEvents,
    error::{Failed, Fault},
    find::Target,
    history_pages::HistoryToken,
    run::{Progress, Slot},
    storage::{read_close_event, read_events_reverse},
};

/// The answer to one request for history.
#[derive(Default)]
struct Page {
    /// A `temporal.api.history.v1.History`.
    history: Bytes,
    next: Option<HistoryToken>,
}

impl Frontend {
    pub(super) async fn get_workflow_execution_history(
        &self,
        request: Request<GetWorkflowExecutionHistoryRequest>,
    ) -> Result<WithHistory<GetWorkflowExecutionHistoryResponse>, Status> {
        let patience = self.patience(request.metadata(), self.shell.options.history_wait);
        let deadline = self.shell.now() + patience;
        let is_for_people = is_for_people(request.metadata());
        let request = request.into_inner();
        let only_close = request.history_event_filter_type() == HistoryEventFilterType::CloseEvent;
        let (slot, token) = self
            .place(&request.namespace, request.execution, &request.next_page_token)
            .await?;
        if token.last_event_id > 0 {
            let page = self.shell.next_page(&slot, token).await?;
            return Ok(answer(page.history, page.next));
        }
        let wait = request.wait_new_event.then_some(deadline);
        let wanted = usize::try_from(request.maximum_page_size).unwrap_or(0);
        let page = if only_close {
            self.close_event(&slot, token, wait).await?
        } else {
            self.events(&slot, token, (wait, wanted), !is_for_people).await?
        };
        Ok(answer(
            page.history,
            page.next.map(|token| token.encode_to_vec()).unwrap_or_default(),
        ))
    }

    pub(super) async fn get_workflow_execution_history_reverse(
        &self,
        request: Request<GetWorkflowExecutionHistoryReverseRequest>,
    ) -> Result<WithHistory<GetWorkflowExecutionHistoryReverseResponse>, Status> {
        let request = request.into_inner();
        let is_first = request.next_page_token.is_empty();
        let (slot, token) = self
            .place(&request.namespace, request.execution, &request.next_page_token)
            .await?;
        let from = if is_first {
            slot.progress.borrow().last_event_id
        } else {
            token.next_event_id
        };
        let wanted = usize::try_from(request.maximum_page_size).unwrap_or(0);
        let (row, limits) = (slot.row, self.shell.page_limits(wanted));
        let page = self
            .shell
            .store
            .read(move |db| read_events_reverse(db, row, from, limits))
            .await;
        let page = page.map_err(|error| Failed::Fault(Fault::from(error)))?;
        let next = page.next.map(|next_event_id| HistoryToken { next_event_id, ..token });
        Ok(WithHistory {
            message: GetWorkflowExecutionHistoryReverseResponse {
                next_page_token: next.map(|token| token.encode_to_vec()).unwrap_or_default(),
                history: None,
            },
            history: Some(page.bytes),
        })
    }

    /// The run, and where in its history the page begins.
    async fn place(
        &self,
        namespace: &str,
        execution: Option<WorkflowExecution>,
        token: &[u8],
    ) -> Result<(Arc<Slot>, HistoryToken), Status> {
        let namespace = self.namespace(namespace)?;
        let target = self.target(execution)?;
        if token.is_empty() {
            let slot = self.shell.find(&namespace, &target).await?;
            let token = HistoryToken {
                run_id: slot.key.run_id.clone(),
                next_event_id: 1,
                ..HistoryToken::default()
            };
            return Ok((slot, token));
        }
        let token = HistoryToken::parse(token)?;
        if !target.run_id.is_empty() && target.run_id != token.run_id {
            return Err(Status::invalid_argument(
                "RunId in the request does not match the NextPageToken.",
            ));
        }
        let target = Target {
            run_id: token.run_id.clone(),
            ..target
        };
        Ok((self.shell.find(&namespace, &target).await?, token))
    }

    /// The last event, once it is the close event.
    async fn close_event(
        &self,
        slot: &Arc<Slot>,
        token: HistoryToken,
        wait: Option<Timestamp>,
    ) -> Result<Page, Status> {
        if let Some(deadline) = wait
            && !self.wait_until(slot, deadline, |progress| !progress.is_running()).await
        {
            return Ok(Page {
                history: Bytes::new(),
                next: Some(token),
            });
        }
        if slot.is_gone() {
            return Err(slot.not_found().into());
        }
        // Whoever waits for the result gets it from memory, in which the run still is. If it is not, one event is read, and
        // not all of them.
        let mut guard = slot.look().await?;
        let closed = guard.loaded().and_then(|loaded| loaded.state.close_event().cloned());
        drop(guard);
        let event = match closed {
            Some(close) => Some(close),
            None => {
                let row = slot.row;
                let event = self.shell.store.read(move |db| read_close_event(db, row)).await;
                event.map_err(|error| Failed::Fault(Fault::from(error)))?
            }
        };
        Ok(Page {
            history: EncodedEvents::encode(event.as_slice()).into_bytes(),
            next: None,
        })
    }

    /// The next events; with `wait`, also those that do not exist yet. After the last one follow the virtual ones if they
    /// are wanted: a worker whose cache lost the run needs those of its task.
    async fn events(
        &self,
        slot: &Arc<Slot>,
        token: HistoryToken,
        (wait, wanted): (Option<Timestamp>, usize),
        with_virtual: bool,
    ) -> Result<Page, Status> {
        let from = token.next_event_id;
        if let Some(deadline) = wait
            && !self
                .wait_until(slot, deadline, |progress| {
                    progress.last_event_id >= from || !progress.is_running()
                })
                .await
        {
            return Ok(Page {
                history: Bytes::new(),
                next: Some(token),
            });
        }
        let progress = *slot.progress.borrow();
        if progress.is_gone {
            return Err(slot.not_found().into());
        }
        if from > progress.last_event_id {
            return Ok(Page::default());
        }
        let (last, suffix) = if with_virtual && progress.is_running() {
            self.shell.end_of_history(slot).await?
        } else {
            (progress.last_event_id, EncodedEvents::default())
        };
        let (mut events, _) = self.shell.stored_page(slot, from, last, wanted).await?;
        let next_event_id = events.end(from);
        if next_event_id > last {
            events = EncodedEvents::join([&events, &suffix]);
        }
        let is_more = next_event_id <= last || (wait.is_some() && progress.is_running());
        Ok(Page {
            history: events.into_bytes(),
            next: is_more.then_some(HistoryToken { next_event_id, ..token }),
        })
    }

    /// Waits for a run's progress; `false` if that takes too long.
    pub(super) async fn wait_until(
        &self,
        slot: &Slot,
        deadline: Timestamp,
        mut reached: impl FnMut(&Progress) -> bool,
    ) -> bool {
        let mut progress = slot.progress.subscribe();
        tokio::select! {
            biased;
            // What was deleted makes no progress any more.
            result = progress.wait_for(|progress| progress.is_gone || reached(progress)) => result.is_ok(),
            () = self.shell.clock().sleep_until(deadline) => false,
            () = self.shell.stopping.cancelled() => false,
        }
    }
}

fn answer(history: Bytes, next_page_token: Vec<u8>) -> WithHistory<GetWorkflowExecutionHistoryResponse> {
    WithHistory {
        message: GetWorkflowExecutionHistoryResponse {
            next_page_token,
            ..Default::default()
        },
        history: Some(history),
    }
}

/// Command lines and user interfaces say who they are. They show what is stored.
fn is_for_people(metadata: &MetadataMap) -> bool {
    let client = metadata.get("client-name").and_then(|name| name.to_str().ok());
    matches!(client, Some("temporal-cli" | "temporal-ui"))
}
