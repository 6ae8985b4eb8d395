//! Three nodes on loopback in one process, against the embedded store; and how long nobody leads when a leader dies.
//!
//!     cargo run --release -p helve-cluster --example replicated [SECONDS PER CELL] [KILLS]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use helve_cluster::{Database, Node, NodeId, Options, Role, Secret};
use helve_db::{Batch, Store};

type Any = Box<dyn Error + Send + Sync>;

const NAME: &str = "bench.db";
const SCHEMA: &[&str] = &["CREATE TABLE rows (id INTEGER PRIMARY KEY, payload BLOB NOT NULL);"];

fn database() -> helve_db::Options {
    helve_db::Options {
        migrations: SCHEMA,
        application_id: 1,
        ..helve_db::Options::default()
    }
}

#[tokio::main]
async fn main() -> Result<(), Any> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let kills: usize = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let cell = Duration::from_secs_f64(seconds);
    let dir = tempfile::tempdir_in(".")?;
    let embedded = Store::open(&dir.path().join(NAME), &database())?;
    let secret = Secret::generate()?;
    let options = |id: NodeId, root: &Path| {
        let databases = vec![Database {
            name: NAME,
            options: database(),
        }];
        Options::new(root.join(format!("node-{id}")), id, secret.clone(), databases)
    };
    let mut nodes = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let first = Node::init(options(1, dir.path())).await?;
    leader(&[&first]).await;
    for id in [2, 3] {
        nodes.insert(id, Node::join(options(id, dir.path()), first.address()).await?);
    }
    nodes.insert(1, first);
    for (id, node) in &nodes {
        addresses.insert(*id, node.address().to_owned());
    }
    let ids = Arc::new(AtomicU64::new(1));
    println!("callers | embedded batches/s | three nodes batches/s | ratio | p50 and p99 of three nodes");
    for callers in [1, 64, 512] {
        // In turns, so that a mood of the machine meets both.
        let (mut alone, mut together, mut times) = (0.0, 0.0, Vec::new());
        for _ in 0..3 {
            alone += load(&embedded, callers, cell / 3, &ids).await?.0;
            let all: Vec<_> = nodes.values().collect();
            let leading = leader(&all).await;
            let store = nodes[&leading].store(NAME)?;
            let (rate, more) = load(&store, callers, cell / 3, &ids).await?;
            together += rate;
            times.extend(more);
        }
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{callers:7} | {:18.0} | {:21.0} | {:5.2} | {:?} {:?}",
            alone / 3.0,
            together / 3.0,
            together / alone,
            at(0.5),
            at(0.99)
        );
    }
    let mut without = Vec::new();
    for _ in 0..kills {
        let all: Vec<_> = nodes.values().collect();
        let old = leader(&all).await;
        // One failure at a time: the node that died last is back.
        while nodes[&old]
            .status()
            .members
            .iter()
            .any(|member| member.id != old && member.lag.is_none_or(|lag| lag > 0))
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let began = Instant::now();
        nodes.remove(&old).expect("it leads").kill().await;
        let all: Vec<_> = nodes.values().collect();
        loop {
            let new = leader(&all).await;
            // The first acknowledged write ends the time without a leader.
            if let Ok(store) = nodes[&new].store(NAME)
                && store.commit(row(&ids)).await.is_ok()
            {
                break;
            }
        }
        without.push(began.elapsed());
        let mut again = options(old, dir.path());
        again.listen = addresses[&old].parse()?;
        let node = loop {
            match Node::start(again.clone()).await {
                Ok(node) => break node,
                Err(helve_cluster::StartError::Listen { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => return Err(error.into()),
            }
        };
        nodes.insert(old, node);
    }
    without.sort_unstable();
    if let Some(longest) = without.last() {
        println!(
            "from the death of a leader to the first write after it, {kills} times: p50 {:?}, longest {longest:?}",
            without[without.len() / 2]
        );
    }
    Ok(())
}

/// Waits until one of the nodes leads.
async fn leader(nodes: &[&Node]) -> NodeId {
    loop {
        for node in nodes {
            if matches!(*node.roles().borrow(), Role::Leader { .. }) && node.store(NAME).is_ok() {
                return node.status().id;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// So many callers write one row after the other for a while: rows a second, and how long each took.
async fn load(
    store: &Store,
    callers: usize,
    time: Duration,
    ids: &Arc<AtomicU64>,
) -> Result<(f64, Vec<Duration>), Any> {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (store, ids) = (store.clone(), ids.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                store.commit(row(&ids)).await?;
                times.push(asked.elapsed());
            }
            Ok::<_, helve_db::CommitError>(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    Ok((all.len() as f64 / began.elapsed().as_secs_f64(), all))
}

fn row(ids: &AtomicU64) -> Batch {
    let mut batch = Batch::new();
    let id = ids.fetch_add(1, Ordering::Relaxed) as i64;
    batch.run_one(
        "INSERT INTO rows (id, payload) VALUES (?1, ?2)",
        vec![id.into(), vec![7; 100].into()],
    );
    batch
}
