//! A few connections that only read. WAL readers never wait for the writer, nor it for them.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::{
    error::{OpenError, ReadError},
    open,
};

pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self, OpenError> {
        let count = count.max(1);
        let idle = (0..count)
            .map(|_| open::open_reader(path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Readers {
            idle: Mutex::new(idle),
            permits: Arc::new(Semaphore::new(count)),
        })
    }

    /// Runs `read` on a blocking thread with a connection of the pool.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| ReadError::Closed)?;
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let lent = Lent::take(&readers).ok_or(ReadError::Closed)?;
            let result = read(lent.connection());
            drop(lent);
            drop(permit);
            result
        })
        .await
        .unwrap_or(Err(ReadError::Closed))
    }

    /// Lets the reads in flight finish and refuses new ones.
    pub(crate) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A connection that goes back to the pool even if the read panics.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl<'a> Lent<'a> {
    fn take(readers: &'a Readers) -> Option<Self> {
        let connection = readers.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Lent {
            readers,
            connection: Some(connection),
        })
    }

    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("taken only on drop")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.readers.permits.is_closed()
        {
            self.readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }
}
