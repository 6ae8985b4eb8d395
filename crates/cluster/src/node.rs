//! One node of a cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use helve_db::rusqlite::Connection;
use helve_db::{ReadError, Store};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::herald::{self, Role};
use crate::leadership::Leadership;
use crate::lease::Lease;
use crate::log::{Log, LogStore};
use crate::machine::Machine;
use crate::membership::MembershipError;
use crate::network::{ANY, Answer, Caller, CarriedStream, Factory, Listener, Request, Tls, ask, carry};
use crate::options::Options;
use crate::propose::{self, MAX_BATCH_BYTES};
use crate::setup::{self, Identity, StartError};
use crate::status::Status;
use crate::time::Time;
use crate::types::{Member, NodeId, Raft};

/// A node that was let in hears of it by then.
const ADMISSION: Duration = Duration::from_secs(30);

/// What a node tells of itself is in every status, and in every message about the members.
pub const MAX_ABOUT: usize = 4096;

/// A node of a cluster. Dropping it is a crash, from which it recovers at its next start.
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    roles: watch::Receiver<Role>,
    herald: JoinHandle<()>,
    listener: Option<Listener>,
    address: String,
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) identity: Identity,
    pub(crate) raft: Raft,
    pub(crate) machine: Machine,
    pub(crate) lease: Arc<Lease>,
    pub(crate) caller: Caller,
    leadership: Mutex<Option<Arc<Leadership>>>,
    is_outdated: AtomicBool,
}

/// This node does not lead, or has no such database.
#[derive(Debug, thiserror::Error)]
pub enum NotLeading {
    /// Another node is to be asked.
    #[error("this node does not lead the cluster: ask the one that does")]
    NotLeader,
    /// Nothing of that name was in the options.
    #[error("the cluster has no database `{0}`")]
    NoDatabase(String),
    /// The database cannot be read.
    #[error(transparent)]
    Open(#[from] helve_db::OpenError),
}

impl Node {
    /// Begins a cluster of which this is the only node so far. The directory must be empty.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn init(options: Options) -> Result<Node, StartError> {
        let identity = setup::settle(&options.dir, options.id)?;
        let node = Node::run(options, identity.clone()).await?;
        let member = node.member();
        node.inner
            .raft
            .initialize(std::collections::BTreeMap::from([(identity.id, member)]))
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        setup::confirm(&node.inner.options.dir, &identity)?;
        Ok(node)
    }

    /// Joins a cluster by asking the node at `address`. When this returns the node has what the others have, and votes.
    /// The directory must be empty.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn join(options: Options, address: &str) -> Result<Node, StartError> {
        let identity = setup::settle(&options.dir, options.id)?;
        // From here on the others may know it.
        setup::confirm(&options.dir, &identity)?;
        let node = Node::run(options, identity).await?;
        node.join_by(address).await?;
        Ok(node)
    }

    /// Starts a node that was there before.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Node, StartError> {
        let identity = setup::identify(&options.dir, options.id)?;
        Node::run(options, identity).await
    }

    /// Asks to be let in (again): for a node that was interrupted while it joined.
    ///
    /// # Errors
    ///
    /// When nobody lets it in.
    pub async fn join_by(&self, address: &str) -> Result<(), StartError> {
        let failed = |address: &str, reason: String| StartError::Join {
            address: address.to_owned(),
            reason,
        };
        let mut asked = address.to_owned();
        // A follower says who leads; the leader may just change.
        for _ in 0..5 {
            let request = Request::Join {
                id: self.inner.identity.id,
                member: self.member(),
            };
            let answer = ask(&self.inner.caller, ANY, &asked, request)
                .await
                .map_err(|error| failed(&asked, error.to_string()))?;
            match answer {
                Answer::Done => return self.wait_for_vote(&asked).await,
                Answer::NotLeader(Some((_, leader))) => asked = leader.address,
                other => return Err(failed(&asked, setup::refused(other))),
            }
        }
        Err(failed(
            &asked,
            "its nodes do not agree on who leads: try again".to_owned(),
        ))
    }

    /// How the others are to know this node.
    fn member(&self) -> Member {
        Member {
            address: self.address.clone(),
            identity: self.inner.identity.identity,
            about: self.inner.options.about.clone(),
        }
    }

    /// Tells the others where this node is and what it says of itself, if they know something else. Any node is asked that is
    /// there; to be tried again when none is.
    ///
    /// # Errors
    ///
    /// When nobody leads, or none can be asked.
    pub async fn introduce(&self) -> Result<(), MembershipError> {
        let (id, member) = (self.inner.identity.id, self.member());
        let known = self.inner.members();
        match known.iter().find(|(known, _)| *known == id) {
            Some((_, known)) if *known == member => Ok(()),
            _ => self.change(Request::Join { id, member }).await,
        }
    }

    /// Whether this node is one of the cluster, as far as it knows.
    pub fn is_member(&self) -> bool {
        let id = self.inner.identity.id;
        self.inner
            .raft
            .metrics()
            .borrow()
            .membership_config
            .voter_ids()
            .any(|voter| voter == id)
    }

    /// Waits until this node knows itself that it votes: then it has all that came before.
    async fn wait_for_vote(&self, asked: &str) -> Result<(), StartError> {
        let mut metrics = self.inner.raft.metrics();
        let id = self.inner.identity.id;
        let admitted = metrics.wait_for(|metrics| metrics.membership_config.voter_ids().any(|voter| voter == id));
        match tokio::time::timeout(ADMISSION, admitted).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(StartError::Join {
                address: asked.to_owned(),
                reason: "it let this node in, but does not reach it: check the address that this node is known by"
                    .to_owned(),
            }),
        }
    }

    async fn run(options: Options, identity: Identity) -> Result<Node, StartError> {
        let config = options.raft().map_err(|error| StartError::Options(error.to_string()))?;
        if options.about.len() > MAX_ABOUT {
            return Err(StartError::Options(format!(
                "what it tells of itself is over {MAX_ABOUT} bytes"
            )));
        }
        let (dir, databases) = (options.dir.clone(), options.databases.clone());
        let opened = tokio::task::spawn_blocking(move || -> Result<_, StartError> {
            // First: no log is opened that another process writes.
            let machine = Machine::open_alone(&setup::state_dir(&dir), &databases)?;
            let log = Log::open(&setup::log_dir(&dir))?;
            Ok((LogStore::new(log), machine))
        });
        let (log, machine) = opened.await.map_err(|error| StartError::Raft(error.to_string()))??;
        let listening = |source| StartError::Listen {
            address: options.listen,
            source,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(listening)?;
        let bound = listener.local_addr().map_err(listening)?;
        let address = options.advertise.clone().unwrap_or_else(|| bound.to_string());
        let tls = Tls::new(&options.secret, options.id).map_err(|error| StartError::Options(error.to_string()))?;
        let caller = Caller {
            node: options.id,
            tls: Arc::new(tls),
            links: options.links.clone(),
        };
        let lease = Arc::new(Lease::new(options.id, options.election));
        let factory = Factory {
            caller: caller.clone(),
            lease: lease.clone(),
            machine: machine.clone(),
        };
        let raft = Raft::new(options.id, Arc::new(config), factory, log, machine.clone())
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        let tick = options.heartbeat / 4;
        let inner = Arc::new(Inner {
            options,
            identity,
            raft,
            machine,
            lease,
            caller: caller.clone(),
            leadership: Mutex::new(None),
            is_outdated: AtomicBool::new(false),
        });
        let (tell, roles) = watch::channel(Role::NoLeader);
        Ok(Node {
            herald: tokio::spawn(herald::proclaim(Arc::downgrade(&inner), tell, tick)),
            listener: Some(Listener::start(
                listener,
                caller,
                inner.clone(),
                inner.options.carried.clone(),
            )),
            inner,
            roles,
            address,
        })
    }

    /// Whether the directory is a node's: one that was begun, joined or was restored there.
    pub fn is_in(dir: &std::path::Path) -> bool {
        setup::is_settled(dir)
    }

    /// Where this node listens to the others.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What this node is, now and later.
    pub fn roles(&self) -> watch::Receiver<Role> {
        self.roles.clone()
    }

    /// A store that writes one of the databases through the log. It is of the epoch that this node leads in at present: when
    /// that is over, it answers every read and every write with an error, for ever.
    ///
    /// # Errors
    ///
    /// When this node does not lead.
    pub fn store(&self, database: &str) -> Result<Store, NotLeading> {
        let leadership = self.inner.leadership().ok_or(NotLeading::NotLeader)?;
        let databases = &self.inner.options.databases;
        let at = self.place_of(database)?;
        let mut options = databases[at].options.clone();
        options.max_batch_bytes = options.max_batch_bytes.min(MAX_BATCH_BYTES);
        let (store, requests) = self.inner.machine.state().store(at, &options, leadership.clone())?;
        tokio::spawn(propose::propose(
            requests,
            self.inner.raft.clone(),
            at as u8,
            leadership,
        ));
        Ok(store)
    }

    /// The time to go by while this node leads, which is never before what an earlier leader went by.
    ///
    /// # Errors
    ///
    /// When this node does not lead.
    pub fn time(&self) -> Result<Time, NotLeading> {
        let leadership = self.inner.leadership().ok_or(NotLeading::NotLeader)?;
        Ok(leadership.time)
    }

    /// Reads what this node has, which may be old. For figures and for looking after things; never to decide anything.
    ///
    /// # Errors
    ///
    /// When there is no such database, or it cannot be read.
    pub async fn read_stale<T, F>(&self, database: &str, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let corrupt = |error: &dyn std::fmt::Display| ReadError::Corrupt(error.to_string());
        let path = self
            .inner
            .machine
            .state()
            .paths()
            .remove(database)
            .ok_or_else(|| corrupt(&NotLeading::NoDatabase(database.to_owned())))?;
        let reading = tokio::task::spawn_blocking(move || {
            let connection = helve_db::open_reader(&path).map_err(|error| ReadError::Corrupt(error.to_string()))?;
            read(&connection)
        });
        reading.await.unwrap_or(Err(ReadError::Closed))
    }

    /// Opens a connection to the owner of another node: see [`Options::carried`].
    ///
    /// # Errors
    ///
    /// When it cannot be reached or takes nothing.
    pub async fn carry(&self, to: NodeId, address: &str, kind: u8, origin: String) -> std::io::Result<CarriedStream> {
        carry(&self.inner.caller, to, address, kind, origin).await
    }

    /// What this node says of itself and of the cluster.
    pub fn status(&self) -> Status {
        Status::of(&self.inner)
    }

    /// Stops: what is on its way is answered as unknown, and the databases are closed.
    pub async fn stop(mut self) {
        self.listener = None;
        self.inner.set_leadership(None);
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "the node did not stop in order");
        }
        self.herald.abort();
        let machine = self.inner.machine.clone();
        // It panics only if the runtime goes down, and then there is nothing to wait for.
        let _ = tokio::task::spawn_blocking(move || machine.close()).await;
    }

    /// Stops at once, without closing or copying anything, and waits until nothing of the node is left in this process. For
    /// tests of what a crash leaves.
    pub async fn kill(mut self) {
        self.listener = None;
        self.inner.set_leadership(None);
        self.herald.abort();
        // Whatever it says: it is to be gone.
        let _ = self.inner.raft.shutdown().await;
        let machine = self.inner.machine.downgrade();
        drop(self);
        while machine.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn place_of(&self, database: &str) -> Result<usize, NotLeading> {
        let mut databases = self.inner.options.databases.iter();
        databases
            .position(|known| known.name == database)
            .ok_or_else(|| NotLeading::NoDatabase(database.to_owned()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.herald.abort();
        self.listener = None;
        self.inner.set_leadership(None);
        // Raft's own tasks end when they are told to; nothing is written for it.
        let raft = self.inner.raft.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { raft.shutdown().await });
        }
    }
}

impl Inner {
    pub(crate) fn leadership(&self) -> Option<Arc<Leadership>> {
        self.leadership.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins or ends leading.
    pub(crate) fn set_leadership(&self, next: Option<Arc<Leadership>>) {
        let mut leadership = self.leadership.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *leadership, next) {
            before.end();
        }
    }

    /// Whether this program is too old to lead, and lets others try.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed)
    }

    /// Lets another node lead: for long enough that one that lives is elected, but not for ever. This node may be the only one
    /// with the newest entries; it has just given them to a majority, and must do so again after the next accident.
    pub(crate) fn step_back(self: &Arc<Self>) {
        self.set_back(true);
        let (node, pause) = (Arc::downgrade(self), self.options.election * 5);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(node) = node.upgrade() {
                node.set_back(false);
            }
        });
    }

    fn set_back(&self, is_back: bool) {
        self.is_outdated.store(is_back, Ordering::Relaxed);
        self.raft.runtime_config().heartbeat(!is_back);
        self.raft.runtime_config().elect(!is_back);
    }
}
