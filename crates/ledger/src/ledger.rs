//! The handle: one per database, cheap to clone.

use std::{path::Path, sync::Arc};

use helve_db::{Batch, ReadError, Store, rusqlite::Connection};

use crate::{
    access::Door,
    error::Error,
    figures::LedgerFigures,
    numbers::Numbers,
    schema,
    time::{Clock, Time},
    webhooks::Endpoints,
};

/// A change that somebody else was first with is decided again so often.
pub(crate) const MAX_TRIES: usize = 8;

/// How a ledger is opened.
#[derive(Clone)]
pub struct Options {
    /// Where it gets the time from.
    pub clock: Clock,
    /// Connections for reading. More reads than this wait.
    pub readers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            clock: Arc::new(Time::now),
            readers: 4,
        }
    }
}

/// What a team must not lose beside runs: one SQLite file, of which this process is the only writer.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Clock,
    door: Door,
    endpoints: Endpoints,
    numbers: Numbers,
    /// Told when there may be something to deliver.
    outbox: tokio::sync::Notify,
    /// Held while an ingest reads, decides and commits: two of them would mostly be in each other's way.
    ingesting: tokio::sync::Mutex<()>,
    figures: Arc<LedgerFigures>,
}

impl Ledger {
    /// Opens the database at `path`, makes it if there is none (readable by its owner only), and brings its schema up to date.
    pub async fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let store = Store::open(path, &Self::store_options(&options)).map_err(Error::from)?;
        Self::open_on(store, options).await
    }

    /// How the ledger's database is to be opened, for [`Ledger::open_on`].
    pub fn store_options(options: &Options) -> helve_db::Options {
        helve_db::Options {
            migrations: schema::MIGRATIONS,
            application_id: schema::APPLICATION_ID,
            readers: options.readers,
            max_batch_bytes: schema::MAX_BATCH_BYTES,
            ..helve_db::Options::default()
        }
    }

    /// Opens the ledger on a store that is open already.
    pub async fn open_on(store: Store, options: Options) -> Result<Self, Error> {
        let loaded = read(&store, |db| {
            Ok((Door::load(db)?, Endpoints::load(db)?, Numbers::load(db)?))
        });
        let (door, endpoints, numbers) = loaded.await?;
        let inner = Inner {
            store,
            clock: options.clock,
            door,
            endpoints,
            numbers,
            outbox: tokio::sync::Notify::new(),
            ingesting: tokio::sync::Mutex::new(()),
            figures: Arc::default(),
        };
        let ledger = Ledger { inner: Arc::new(inner) };
        ledger.release_lost_keys().await?;
        Ok(ledger)
    }

    /// Does what time brings: ends accepted risks that have expired, writes when tokens were last used, forgets expired codes,
    /// sessions and stored answers. To be called about once a minute.
    pub async fn sweep(&self) -> Result<(), Error> {
        let now = self.now();
        self.sweep_accepted(now).await?;
        self.sweep_tokens(now).await?;
        self.sweep_logins(now).await?;
        self.sweep_deliveries(now).await?;
        self.sweep_answers(now).await
    }

    /// Writes what is only in memory (when tokens were last used) and closes the database. Later calls fail.
    pub async fn close(&self) -> Result<(), Error> {
        let swept = self.sweep_tokens(self.now()).await;
        self.inner.store.close().await;
        swept
    }

    /// Whether what is read now has every change that was ever acknowledged: see [`Store::may_read`].
    pub fn may_read(&self) -> bool {
        self.inner.store.may_read()
    }

    /// What is told of the ledger, and of its database, to programs of monitoring.
    pub fn figures(&self) -> (Arc<LedgerFigures>, helve_db::Figures) {
        (self.inner.figures.clone(), self.inner.store.figures("ledger"))
    }

    pub(crate) fn counts(&self) -> &LedgerFigures {
        &self.inner.figures
    }

    /// Writes something that means nothing, and waits until it is on disk.
    pub async fn check_writable(&self) -> Result<(), Error> {
        let key = crate::access::random()?;
        self.commit(Batch::new().with_key(key)).await
    }

    /// The ledger's clock.
    pub fn now(&self) -> Time {
        (self.inner.clock)()
    }

    pub(crate) fn door(&self) -> &Door {
        &self.inner.door
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.inner.endpoints
    }

    pub(crate) fn outbox(&self) -> &tokio::sync::Notify {
        &self.inner.outbox
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.inner.numbers
    }

    pub(crate) fn ingesting(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.ingesting
    }

    pub(crate) async fn commit(&self, batch: Batch) -> Result<(), Error> {
        Ok(self.inner.store.commit(batch).await?)
    }

    pub(crate) async fn read<T, F>(&self, question: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        read(&self.inner.store, question).await
    }
}

/// Runs a read that may fail in ways that the database does not know.
async fn read<T, F>(store: &Store, question: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
{
    store.read(move |db| Ok::<_, ReadError>(question(db))).await?
}
