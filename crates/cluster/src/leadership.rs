//! One node leading once: what it may do, and until when.

use std::sync::Arc;
use std::time::Instant;

use helve_db::Guard;
use tokio::sync::watch;

use crate::lease::Lease;
use crate::time::Time;
use crate::types::Epoch;

/// An epoch of this node. Once it is over it is over for good.
pub(crate) struct Leadership {
    pub(crate) epoch: Epoch,
    pub(crate) time: Time,
    lease: Arc<Lease>,
    over: watch::Sender<bool>,
}

impl Leadership {
    pub(crate) fn new(epoch: Epoch, time: Time, lease: Arc<Lease>) -> Self {
        Leadership {
            epoch,
            time,
            lease,
            over: watch::Sender::new(false),
        }
    }

    /// Ends it: who waits for the outcome of a write is told that nobody knows.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Whether nobody else can lead at this moment.
    pub(crate) fn is_held(&self) -> bool {
        !*self.over.borrow() && self.lease.is_held(self.epoch.term, Instant::now())
    }

    /// Waits until it is over.
    pub(crate) async fn ended(&self) {
        // The sender is in `self`, so there is no error.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

impl Guard for Leadership {
    fn may_read(&self) -> bool {
        self.is_held()
    }

    fn may_write(&self) -> bool {
        self.is_held()
    }
}
