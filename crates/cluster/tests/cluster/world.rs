//! Nodes in one process, over real sockets on loopback and real files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use helve_cluster::{Database, Links, Node, NodeId, Options, Role, Secret, State};
use helve_db::rusqlite::Connection;
use helve_db::rusqlite::types::Value as Sql;
use helve_db::{Batch, ReadError, Store};
use tempfile::TempDir;

/// Longer than that nothing may take, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const ENGINE: &str = "engine.db";
pub(crate) const LEDGER: &str = "ledger.db";
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, payload BLOB NOT NULL);",
    "CREATE TABLE registers (name TEXT PRIMARY KEY, version INTEGER NOT NULL, value INTEGER NOT NULL);
     INSERT INTO registers VALUES ('r', 0, 0);",
];

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) secret: Secret,
    pub(crate) links: Links,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    addresses: BTreeMap<NodeId, String>,
    change: fn(&mut Options),
}

impl World {
    /// So many nodes, all voting.
    pub(crate) async fn of(count: u64) -> Self {
        World::with(count, |_| {}).await
    }

    /// The same with other options.
    pub(crate) async fn with(count: u64, change: fn(&mut Options)) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "off".to_owned()))
            .with_test_writer()
            .try_init();
        let mut world = World {
            dir: tempfile::tempdir().unwrap(),
            secret: Secret::generate().unwrap(),
            links: Links::default(),
            nodes: BTreeMap::new(),
            addresses: BTreeMap::new(),
            change,
        };
        let first = Node::init(world.options(1)).await.unwrap();
        world.add(first, 1);
        for id in 2..=count {
            world.join(id).await;
        }
        world
    }

    pub(crate) fn dir_of(&self, id: NodeId) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    pub(crate) fn options(&self, id: NodeId) -> Options {
        let database = |name| Database {
            name,
            options: helve_db::Options {
                migrations: MIGRATIONS,
                application_id: 7,
                ..helve_db::Options::default()
            },
        };
        let databases = vec![database(ENGINE), database(LEDGER)];
        let mut options = Options::new(self.dir_of(id), id, self.secret.clone(), databases);
        options.links = self.links.clone();
        if let Some(address) = self.addresses.get(&id) {
            options.listen = address.parse().unwrap();
        }
        (self.change)(&mut options);
        options
    }

    pub(crate) fn add(&mut self, node: Node, id: NodeId) {
        self.addresses.insert(id, node.address().to_owned());
        self.nodes.insert(id, node);
    }

    /// A new node joins by asking any other.
    pub(crate) async fn join(&mut self, id: NodeId) {
        self.leader().await;
        let address = self.nodes.values().next().unwrap().address().to_owned();
        let node = Node::join(self.options(id), &address).await.unwrap();
        self.add(node, id);
    }

    pub(crate) async fn kill(&mut self, id: NodeId) {
        self.nodes.remove(&id).unwrap().kill().await;
    }

    pub(crate) async fn start(&mut self, id: NodeId) {
        let began = Instant::now();
        loop {
            match Node::start(self.options(id)).await {
                Ok(node) => return self.add(node, id),
                // The system gives the port back when it likes.
                Err(helve_cluster::StartError::Listen { .. }) if began.elapsed() < PATIENCE => breathe().await,
                Err(error) => panic!("node {id} does not start: {error}"),
            }
        }
    }

    /// Cuts a node off from all others, in both directions.
    pub(crate) fn isolate(&self, id: NodeId) {
        for other in self.nodes.keys().filter(|other| **other != id) {
            self.links.cut(id, *other);
            self.links.cut(*other, id);
        }
    }

    /// Waits for a node that leads, and says which one.
    pub(crate) async fn leader(&self) -> NodeId {
        self.leader_but(&[]).await
    }

    /// The same, of those who are not named.
    pub(crate) async fn leader_but(&self, not: &[NodeId]) -> NodeId {
        let began = Instant::now();
        loop {
            for (id, node) in &self.nodes {
                if !not.contains(id)
                    && matches!(*node.roles().borrow(), Role::Leader { .. })
                    && node.store(ENGINE).is_ok()
                {
                    return *id;
                }
            }
            assert!(
                began.elapsed() < PATIENCE,
                "nobody leads: {:#?}",
                self.nodes.values().map(Node::status).collect::<Vec<_>>()
            );
            breathe().await;
        }
    }

    /// A store of the leader.
    pub(crate) async fn store(&self) -> Store {
        loop {
            let leader = self.leader().await;
            // It may lose the lead just now.
            if let Ok(store) = self.nodes[&leader].store(ENGINE) {
                return store;
            }
        }
    }

    /// Writes a job and does not give up: leaders come and go.
    pub(crate) async fn write(&self, id: i64) {
        let began = Instant::now();
        while self.store().await.commit(job(id).with_key(key(id))).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "job {id} cannot be written");
        }
    }

    /// Waits until all nodes have the same entries, and makes sure that then they have the same rows; gives the jobs.
    pub(crate) async fn settled(&self) -> Vec<i64> {
        let began = Instant::now();
        loop {
            self.leader().await;
            let all: Vec<_> = self.nodes.values().map(Node::status).collect();
            let first = &all[0];
            let is_equal = all.iter().all(|one| {
                one.last == first.last && one.applied == one.last && one.leader.is_some() && one.leader == first.leader
            });
            if is_equal {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "the nodes do not come together: {all:#?}");
            breathe().await;
        }
        let mut jobs = None;
        for name in [ENGINE, LEDGER] {
            let mut rows: Vec<_> = Vec::new();
            for (id, node) in &self.nodes {
                rows.push((id, node.read_stale(name, all_rows).await.unwrap()));
            }
            for (id, other) in &rows[1..] {
                assert_eq!(
                    rows[0].1, *other,
                    "{name} of node {id} is another than of node {}",
                    rows[0].0
                );
            }
        }
        for node in self.nodes.values() {
            jobs = Some(node.read_stale(ENGINE, job_ids).await.unwrap());
        }
        jobs.unwrap()
    }

    /// Waits for something about a node.
    pub(crate) async fn until(&self, id: NodeId, what: &str, mut is: impl FnMut(&Node) -> bool) {
        let began = Instant::now();
        while !is(&self.nodes[&id]) {
            assert!(
                began.elapsed() < PATIENCE,
                "{what}: never, on node {id}: {:#?}",
                self.nodes[&id].status()
            );
            breathe().await;
        }
    }

    pub(crate) fn is_failed(&self, id: NodeId) -> bool {
        self.nodes[&id].status().state == State::Failed
    }
}

/// Lets others run before a condition is looked at again.
pub(crate) async fn breathe() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub(crate) fn job(id: i64) -> Batch {
    let mut batch = Batch::new();
    batch.run_one(
        "INSERT INTO jobs (id, payload) VALUES (?1, ?2)",
        vec![id.into(), vec![id as u8; 100].into()],
    );
    batch
}

pub(crate) fn key(id: i64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&id.to_le_bytes());
    key
}

pub(crate) fn job_ids(db: &Connection) -> Result<Vec<i64>, ReadError> {
    let mut query = db.prepare("SELECT id FROM jobs ORDER BY id")?;
    let ids = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}

/// Everything that is in a database, but for how far it came.
fn all_rows(db: &Connection) -> Result<BTreeMap<String, Vec<Vec<Sql>>>, ReadError> {
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'cluster_mark'")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut tables = BTreeMap::new();
    for name in names {
        let mut query = db.prepare(&format!("SELECT * FROM {name} ORDER BY rowid"))?;
        let columns = query.column_count();
        let rows = query
            .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?
            .collect::<Result<_, _>>()?;
        tables.insert(name, rows);
    }
    Ok(tables)
}

/// Random numbers that a seed repeats.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(test: &str) -> Self {
        let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1);
        println!("{test}: SEED={seed}");
        Dice(seed | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
