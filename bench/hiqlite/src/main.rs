//! hiqlite under what `crates/cluster/examples/replicated.rs` asks of ours: three nodes on loopback that sync before they acknowledge,
//! rows of 100 bytes by callers at the node that leads, and leaders that are killed: `cargo run --release [SECONDS] [KILLS]`.
//!
//! Each node is a process of this program, told what to do by lines on its standard input.

use std::env;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hiqlite::macros::params;
use hiqlite::{Client, LogSync, Node, NodeConfig};

const NODES: u64 = 3;
const INSERT: &str = "INSERT INTO rows (id, payload) VALUES ($1, $2)";
const ANSWER: &str = "answer: ";
/// What is waited for nothing.
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["node", id, dir, port] => node(id.parse()?, dir, port.parse()?),
        [ref numbers @ ..] => measure(
            numbers.first().map_or(Ok(3.0), |text| text.parse())?,
            numbers.get(1).map_or(Ok(10), |text| text.parse())?,
        ),
    }
}

/// A process that is a node.
struct Process {
    id: u64,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(id: u64, dir: &Path, port: u16) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args(["node", &id.to_string()])
            .arg(dir.join(id.to_string()))
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let to = child.stdin.take().context("a pipe")?;
        let from = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { id, child, to, from })
    }

    fn ask(&mut self, words: &str) -> Result<String> {
        writeln!(self.to, "{words}")?;
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line)?;
            ensure!(!line.is_empty(), "node {} is gone", self.id);
            // The library prints as well.
            if let Some(answer) = line.strip_prefix(ANSWER) {
                return Ok(answer.trim().to_owned());
            }
        }
    }

    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Who leads, as the first of them says.
fn leader(nodes: &mut [Process], not: Option<u64>) -> Result<usize> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let said: Option<u64> = nodes[0].ask("leader")?.parse().ok();
        if let Some(at) = said
            .filter(|id| Some(*id) != not)
            .and_then(|id| nodes.iter().position(|node| node.id == id))
        {
            return Ok(at);
        }
        ensure!(Instant::now() < deadline, "nobody leads");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn measure(seconds: f64, kills: usize) -> Result<()> {
    let dir = tempfile::tempdir_in(".")?;
    let port = 18_100;
    let mut nodes = (1..=NODES)
        .map(|id| Process::start(id, dir.path(), port))
        .collect::<Result<Vec<_>>>()?;
    for node in &mut nodes {
        node.ask("ready")?;
    }
    println!("callers | three nodes rows/s | p50 and p99");
    for callers in [1, 64, 512] {
        let at = leader(&mut nodes, None)?;
        println!("{callers:7} | {}", nodes[at].ask(&format!("load {callers} {seconds}"))?);
    }
    println!("64 callers, 64 rows in a transaction | {}", {
        let at = leader(&mut nodes, None)?;
        nodes[at].ask(&format!("together 64 {seconds}"))?
    });
    let mut without = Vec::new();
    for _ in 0..kills {
        let at = leader(&mut nodes, None)?;
        let dead = nodes.remove(at);
        let id = dead.id;
        let before: i64 = nodes[0].ask("count")?.parse()?;
        let began = Instant::now();
        dead.kill()?;
        let answer = nodes[0].ask("write")?;
        without.push(began.elapsed());
        ensure!(answer == "done", "nothing is written any more: {answer}");
        let after: i64 = nodes[0].ask("count")?.parse()?;
        ensure!(after > before, "{before} rows became {after}");
        let began = Instant::now();
        let mut back = Process::start(id, dir.path(), port)?;
        back.ask("ready")?;
        println!("node {id} is back after {:?}", began.elapsed());
        nodes.push(back);
    }
    without.sort_unstable();
    println!("from kill -9 of the leader to the next acknowledged write, {kills} times: {without:?}");
    let at = leader(&mut nodes, None)?;
    println!("a row of 3 MB: {}", nodes[at].ask("large")?);
    println!(
        "a small row after it: {}",
        nodes[at].ask("write").unwrap_or_else(|error| error.to_string())
    );
    for node in nodes {
        node.kill()?;
    }
    Ok(())
}

fn config(id: u64, dir: &str, port: u16) -> NodeConfig {
    let at = |port: u64| format!("127.0.0.1:{port}");
    let nodes = (1..=NODES).map(|id| Node {
        id,
        addr_raft: at(u64::from(port) + id),
        addr_api: at(u64::from(port) + 100 + id),
    });
    NodeConfig {
        node_id: id,
        nodes: nodes.collect(),
        listen_addr_raft: "127.0.0.1".into(),
        listen_addr_api: "127.0.0.1".into(),
        data_dir: dir.to_owned().into(),
        wal_sync: LogSync::Immediate,
        secret_raft: "a secret of this program".into(),
        secret_api: "a secret of this program".into(),
        ..NodeConfig::default()
    }
}

#[tokio::main]
async fn node(id: u64, dir: &str, port: u16) -> Result<()> {
    let client = hiqlite::start_node(config(id, dir, port)).await?;
    client.wait_until_healthy_db().await;
    client
        .execute(
            "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
            params!(),
        )
        .await?;
    // Of no other node, nor of an earlier process.
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_micros() as u64;
    let ids = Arc::new(AtomicU64::new(started * 8 + id));
    for line in stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["ready"] => "ready".to_owned(),
            ["leader"] => match client.metrics_db().await {
                Ok(metrics) => metrics
                    .current_leader
                    .map_or_else(|| "nobody".to_owned(), |id| id.to_string()),
                Err(_) => "nobody".to_owned(),
            },
            ["load", callers, seconds] => load(&client, callers.parse()?, seconds.parse()?, 1, &ids).await?,
            ["together", callers, seconds] => load(&client, callers.parse()?, seconds.parse()?, 64, &ids).await?,
            ["count"] => count(&client).await?.to_string(),
            ["write"] => write(&client, &ids).await,
            ["large"] => match client.execute(INSERT, params!(next(&ids), vec![7_u8; 3 << 20])).await {
                Ok(_) => "done".to_owned(),
                Err(error) => error.to_string().replace('\n', " "),
            },
            _ => bail!("an unknown word: {line}"),
        };
        println!("{ANSWER}{answer}");
        stdout().flush()?;
    }
    Ok(())
}

fn next(ids: &AtomicU64) -> i64 {
    // Numbers of three nodes.
    ids.fetch_add(8, Ordering::Relaxed) as i64
}

/// Until one is acknowledged.
async fn write(client: &Client, ids: &AtomicU64) -> String {
    let deadline = Instant::now() + LIMIT;
    loop {
        match tokio::time::timeout(
            Duration::from_secs(2),
            client.execute(INSERT, params!(next(ids), vec![7_u8; 100])),
        )
        .await
        {
            Ok(Ok(_)) => return "done".to_owned(),
            Ok(Err(error)) if Instant::now() > deadline => return error.to_string().replace('\n', " "),
            Err(_) if Instant::now() > deadline => return "no answer".to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Tries until somebody leads.
async fn count(client: &Client) -> Result<i64> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match client
            .query_consistent("SELECT count(*) AS n FROM rows", params!())
            .await
        {
            Ok(mut rows) => return Ok(rows.first_mut().context("a row")?.get("n")),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn load(client: &Client, callers: usize, seconds: f64, rows: usize, ids: &Arc<AtomicU64>) -> Result<String> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let (client, ids) = (client.clone(), Arc::clone(ids));
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let began = Instant::now();
                if rows == 1 {
                    client.execute(INSERT, params!(next(&ids), vec![7_u8; 100])).await?;
                } else {
                    let statements: Vec<_> = (0..rows)
                        .map(|_| (INSERT, params!(next(&ids), vec![7_u8; 100])))
                        .collect();
                    for done in client.txn(statements).await? {
                        done?;
                    }
                }
                times.push(began.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = (times.len() * rows) as f64 / seconds;
    Ok(format!("{rate:.0} | {:?} {:?}", at(0.5), at(0.99)))
}
