//! The engine as its owner sees it: open, serve, shut down.

use std::{sync::Arc, time::Duration};

use helve_db::{Batch, Store};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinError,
};
use tokio_stream::Stream;
use tonic::transport::{
    Server,
    server::{Connected, TcpIncoming},
};

use crate::{
    access::Access,
    error::OpenError,
    figures::EngineFigures,
    frontend::Frontend,
    lock::DataDirLock,
    namespaces::Namespaces,
    options::EngineOptions,
    services::{InProcess, Services},
    shell::Shell,
    storage::{APPLICATION_ID, MIGRATIONS, max_row},
};

/// The database's file in the data directory.
const DATABASE: &str = "engine.db";
/// Calls that one connection may have open; more wait in the client. Most of them are polls, which cost nothing.
const MAX_CALLS_PER_CONNECTION: u32 = 10_000;
/// Bytes a client may send before it is read: a whole payload of the largest size.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same for all calls of a connection together.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Work that is still under way when the engine shuts down gets this long; all of it is repeated at the next start.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// A durable engine. It owns one data directory.
pub struct Engine {
    shell: Arc<Shell>,
    services: Services,
    recovered: usize,
}

impl Engine {
    /// Opens the engine of a data directory, which is made if it is not there, and goes on with what was under way.
    pub async fn open(options: EngineOptions) -> Result<Engine, OpenError> {
        check(&options)?;
        let dir = options.data_dir.clone();
        let stopped = |error: JoinError| OpenError::io(&dir, &std::io::Error::other(error));
        let lock = {
            let (dir, role) = (options.data_dir.clone(), options.role.clone());
            tokio::task::spawn_blocking(move || DataDirLock::acquire(&dir, &role))
                .await
                .map_err(stopped)??
        };
        let path = options.data_dir.join(DATABASE);
        let db = Engine::store_options(&options);
        let store = tokio::task::spawn_blocking(move || Store::open(&path, &db))
            .await
            .map_err(stopped)?
            .map_err(OpenError::from_db)?;
        Engine::start(options, Some(lock), store).await
    }

    /// How the engine's database is to be opened, for [`Engine::open_on`].
    pub fn store_options(options: &EngineOptions) -> helve_db::Options {
        helve_db::Options {
            migrations: MIGRATIONS,
            application_id: APPLICATION_ID,
            max_file_bytes: options.max_database_bytes,
            ..Default::default()
        }
    }

    /// Opens the engine on a store that is open already. No file is touched but by the store, and it is the owner who makes
    /// sure that no second engine uses it: for a store that is replicated, and for simulations.
    pub async fn open_on(options: EngineOptions, store: Store) -> Result<Engine, OpenError> {
        check(&options)?;
        Engine::start(options, None, store).await
    }

    async fn start(options: EngineOptions, lock: Option<DataDirLock>, store: Store) -> Result<Engine, OpenError> {
        let dir = options.data_dir.clone();
        let fault = |fault| OpenError::from_fault(&dir, &fault);
        let namespaces = Namespaces::open(&store, &options.namespaces, &*options.ids, options.clock.now())
            .await
            .map_err(fault)?;
        let last_row = store.read(max_row).await.map_err(|error| fault(error.into()))?;
        let shell = Arc::new(Shell::new(options, lock, store, namespaces, last_row));
        let recovered = shell.recover().await.map_err(fault)?;
        shell.recover_schedules().await.map_err(fault)?;
        shell.background.spawn(shell.clone().fire_timers());
        shell.background.spawn(shell.clone().wake_schedules());
        shell.background.spawn(shell.clone().pace_queues());
        shell.background.spawn(shell.clone().tidy());
        shell.background.spawn(shell.clone().sweep());
        let frontend = Frontend::new(shell.clone());
        frontend.resume_batches().await.map_err(fault)?;
        let services = Services::new(frontend, shell.clone());
        Ok(Engine {
            shell,
            services,
            recovered,
        })
    }

    /// How many runs were under way when the engine was opened.
    pub fn recovered(&self) -> usize {
        self.recovered
    }

    /// What is told of the engine, and of its database, to programs of monitoring.
    pub fn figures(&self) -> (EngineFigures, helve_db::Figures) {
        (EngineFigures::new(&self.shell), self.shell.store.figures("engine"))
    }

    /// Writes something that means nothing, and waits until it is on disk.
    pub async fn check_writable(&self) -> Result<(), String> {
        let key = self.shell.options.ids.fresh().into_bytes();
        let written = self.shell.store.commit(Batch::new().with_key(key)).await;
        written.map_err(|error| error.to_string())
    }

    /// All services, for any HTTP/2 server.
    pub fn routes(&self) -> Services {
        self.services.clone()
    }

    /// The same, with every call but those about its health asked about.
    pub fn guarded_routes(&self, access: Arc<dyn Access>) -> Services {
        self.services.clone().guarded(access)
    }

    /// The engine without a transport.
    pub fn in_process(&self) -> InProcess {
        InProcess::new(self.services.clone())
    }

    /// Writes down where the engine serves gRPC, for whoever finds the data directory in use.
    pub fn announce(&self, grpc: impl Into<String>) -> std::io::Result<()> {
        match &self.shell.lock_file {
            Some(lock) => lock.announce(&self.shell.options.role, Some(grpc.into())),
            None => Ok(()),
        }
    }

    /// Compares every run in memory with what is stored of it; answers how many there are, or what differs. For tests and
    /// simulations: it reads as much as a restart does.
    pub async fn audit(&self) -> Result<usize, String> {
        self.shell.audit().await
    }

    /// Serves the connections that a listener accepts; see [`Engine::serve`].
    pub async fn serve_tcp(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        // Small answers must not wait for the acknowledgement of earlier ones.
        self.serve(TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown)
            .await
    }

    /// Serves connections as [`Engine::serve`] does, and asks about every call.
    pub async fn serve_guarded<S, C, E>(
        &self,
        connections: S,
        access: Arc<dyn Access>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error>
    where
        S: Stream<Item = Result<C, E>>,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        serve(self.guarded_routes(access), connections, shutdown).await
    }

    /// Serves connections until `shutdown` is ready and the calls under way are answered. Long polls are answered only
    /// when the engine shuts down, so shut it down at the same time.
    pub async fn serve<S, C, E>(
        &self,
        connections: S,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error>
    where
        S: Stream<Item = Result<C, E>>,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        serve(self.services.clone(), connections, shutdown).await
    }

    /// Answers long polls with nothing, finishes what is being written, and releases the data directory. Calls that
    /// come later are answered UNAVAILABLE.
    pub async fn shutdown(&self) {
        let shell = &self.shell;
        shell.stopping.cancel();
        shell.matching.close();
        shell.background.close();
        if tokio::time::timeout(SHUTDOWN_PATIENCE, shell.background.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = shell.background.len(),
                "some work did not end in time; it is repeated at the next start"
            );
        }
        shell.store.close().await;
        if let Some(lock) = &shell.lock_file {
            lock.release();
        }
    }
}

/// An engine that is dropped without [`Engine::shutdown`] stops as soon as it can. Its data directory stays locked until
/// nobody uses its services any more.
impl Drop for Engine {
    fn drop(&mut self) {
        self.shell.stopping.cancel();
        self.shell.matching.close();
    }
}

async fn serve<S, C, E>(
    services: Services,
    connections: S,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error>
where
    S: Stream<Item = Result<C, E>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_with_incoming_shutdown(services, connections, shutdown)
        .await
}

fn check(options: &EngineOptions) -> Result<(), OpenError> {
    let empty = options.namespaces.iter().any(|name| name.trim().is_empty());
    if options.namespaces.is_empty() || empty {
        return Err(OpenError::Options(
            "the engine needs at least one namespace, and each needs a name".to_owned(),
        ));
    }
    Ok(())
}
