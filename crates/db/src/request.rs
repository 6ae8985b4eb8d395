//! What is asked of a store, with the caller who waits for the answer.

use std::borrow::Borrow;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{
    batch::Batch,
    error::{CommitError, ReadError},
};

/// One thing that is asked of a store. Dropped without an answer, it is answered `Closed`.
pub enum Request {
    /// A write.
    Commit(QueuedCommit),
    /// A read. Only of a driven store: others read on threads of their own.
    Read(QueuedRead),
    /// The end.
    Close(QueuedClose),
}

/// What is asked of a store, in order. It ends when nobody has the store any more.
pub type Requests = mpsc::Receiver<Request>;

/// A batch whose caller waits.
pub struct QueuedCommit {
    batch: Batch,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

impl QueuedCommit {
    pub(crate) fn new(batch: Batch) -> (Self, oneshot::Receiver<Result<(), CommitError>>) {
        let (answer, answered) = oneshot::channel();
        (QueuedCommit { batch, answer }, answered)
    }

    /// What is to be written.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Tells the caller how it ended.
    pub fn answer(self, result: Result<(), CommitError>) {
        // An error means that the caller is gone.
        let _ = self.answer.send(result);
    }

    /// The batch without its caller, who is answered already.
    pub fn answer_early(self, result: Result<(), CommitError>) -> Self {
        let (alone, _) = QueuedCommit::new(self.batch);
        let _ = self.answer.send(result);
        alone
    }
}

impl Borrow<Batch> for QueuedCommit {
    fn borrow(&self) -> &Batch {
        &self.batch
    }
}

/// A read whose caller waits.
pub struct QueuedRead(ReadJob);

type ReadJob = Box<dyn FnOnce(Result<&Connection, ReadError>) + Send>;

impl QueuedRead {
    pub(crate) fn new<T, F>(read: F) -> (Self, oneshot::Receiver<Result<T, ReadError>>)
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |connection: Result<&Connection, ReadError>| {
            // An error means that the caller is gone.
            let _ = answer.send(connection.and_then(read));
        });
        (QueuedRead(job), answered)
    }

    pub(crate) fn run(self, connection: &Connection) {
        (self.0)(Ok(connection));
    }

    /// Tells the caller that it failed.
    pub fn fail(self, error: ReadError) {
        (self.0)(Err(error));
    }
}

/// Somebody who waits until the store is closed.
pub struct QueuedClose(oneshot::Sender<()>);

impl QueuedClose {
    pub(crate) fn new() -> (Self, oneshot::Receiver<()>) {
        let (answer, answered) = oneshot::channel();
        (QueuedClose(answer), answered)
    }

    /// Tells them that it is closed.
    pub fn answer(self) {
        // An error means that the caller is gone.
        let _ = self.0.send(());
    }
}
