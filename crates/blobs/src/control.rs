//! How a long call talks to its caller: progress out, cancellation in.

use std::sync::atomic::{AtomicBool, Ordering};

/// How far a long call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Bytes of file content done.
    pub bytes: u64,
    /// Bytes of a blob that went to a bucket, or came from one.
    pub transferred: u64,
}

/// Progress out, cancellation in.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    progress: &'a (dyn Fn(Progress) + Sync),
    cancelled: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl<'a> Control<'a> {
    /// Reports to `progress` (often: keep it cheap) and stops soon after `cancelled` turns true.
    pub fn new(progress: &'a (dyn Fn(Progress) + Sync), cancelled: &'a AtomicBool) -> Self {
        Control { progress, cancelled }
    }

    /// Reports to nobody and is never cancelled.
    pub fn none() -> Control<'static> {
        Control {
            progress: &|_| {},
            cancelled: &NEVER,
        }
    }

    /// Tells the one who waits.
    pub fn report(&self, progress: Progress) {
        (self.progress)(progress);
    }

    /// Whether they gave up waiting.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
