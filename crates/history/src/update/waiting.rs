//! Updates that only memory knows: admitted, and not answered yet. Losing the process loses them, and their callers ask
//! again.

use std::sync::Arc;

use prost::Message as _;

use super::UpdateId;
use crate::proto::UpdateRequest;

/// An update that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) id: UpdateId,
    pub(crate) request: Arc<UpdateRequest>,
    /// A worker was given it, with the task in flight or with one that failed.
    pub(crate) sent: bool,
}

/// The waiting updates, in the order in which they were admitted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WaitingUpdates(Arc<Vec<Waiting>>);

impl WaitingUpdates {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.0.iter()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Waiting> {
        self.iter().find(|waiting| &*waiting.id == id)
    }

    /// Encoded bytes of all requests.
    pub(crate) fn bytes(&self) -> usize {
        self.iter().map(|waiting| waiting.request.encoded_len()).sum()
    }

    pub(crate) fn push(&mut self, id: &str, request: UpdateRequest) {
        Arc::make_mut(&mut self.0).push(Waiting {
            id: id.into(),
            request: Arc::new(request),
            sent: false,
        });
    }

    pub(crate) fn mark_sent(&mut self) {
        for waiting in Arc::make_mut(&mut self.0) {
            waiting.sent = true;
        }
    }

    pub(crate) fn take(&mut self, id: &str) -> Option<Waiting> {
        let at = self.iter().position(|waiting| &*waiting.id == id)?;
        Some(Arc::make_mut(&mut self.0).remove(at))
    }

    pub(crate) fn clear(&mut self) {
        self.0 = Arc::default();
    }
}
