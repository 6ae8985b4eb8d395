//! The mesh beside plain TCP on the same machine: a call, a large blob, workers that wait, and many that work.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use helve_blobs::BlobStore;
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_mesh::blobs::Remote;
use helve_mesh::{Answer, Asked, Endpoint, Link, Listen, Relays, SecretKey, Ticket, call, channel};
use prost::Message;
use serde_json::{Value, json};
use temporalio_protos::temporal::api::common::v1::{ActivityType, Payloads};
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1::{
    GetSystemInfoRequest, PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, PollWorkflowTaskQueueRequest,
    RespondActivityTaskCompletedRequest, StartActivityExecutionRequest,
};
use tonic::codegen::http::HeaderMap;
use tonic::transport::Channel;

use crate::{machine, table};

const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";
const NAMESPACE: &str = "default";
/// Calls of a round, and rounds of each side, one after the other.
const CALLS: usize = 2000;
const ROUNDS: usize = 5;
/// Bytes of the blob.
const BLOB: usize = 500 << 20;
/// Workers that wait, and those that join and work.
const IDLE: usize = 200;
const MANY: usize = 1000;
/// So many join at a time.
const AT_ONCE: usize = 50;

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let measured = runtime.block_on(all(quick));
    runtime.shutdown_background();
    measured
}

/// A server of the mesh.
struct Server {
    home: Home,
    up: helve_e2e::process::Running,
    api: Api,
    grpc: String,
    ticket: Ticket,
}

impl Server {
    fn start() -> Result<Self> {
        let home = Home::new();
        let (up, api, _) = up(&home, &["--no-worker", "--mesh", "127.0.0.1:0", "--rate-limit", "0"]);
        let wanted = json!({"name": "bench", "role": "worker"});
        let made = api.post("/api/v1/mesh/tickets", &wanted).expect(201).json();
        let ticket = made["ticket"].as_str().context("a ticket")?.parse()?;
        let note = std::fs::read_to_string(home.data().join("served.json"))?;
        let note: Value = serde_json::from_str(&note)?;
        let grpc = note["grpc"].as_str().context("where gRPC is")?.to_owned();
        Ok(Self {
            home,
            up,
            api,
            grpc,
            ticket,
        })
    }

    fn memory(&self) -> Result<u64> {
        machine::memory(self.up.id()).context("the memory of the server")
    }

    /// An endpoint of its own that has joined.
    async fn join(&self, number: usize) -> Result<Link> {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
        let listen = Listen {
            addresses: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            external: Vec::new(),
            relays: Relays::default(),
        };
        let endpoint = Endpoint::bind(SecretKey::from_bytes(&bytes), &listen).await?;
        let link = Link::new(endpoint, self.ticket.nodes.clone());
        let asked = Asked {
            secret: self.ticket.secret.clone(),
            name: format!("worker {number}"),
        };
        match link.join(&asked).await? {
            Answer::Welcome { .. } => Ok(link),
            other => bail!("worker {number} was not let in: {other:?}"),
        }
    }

    async fn join_all(&self, from: usize, count: usize) -> Result<Vec<Link>> {
        let mut links = Vec::new();
        for first in (from..from + count).step_by(AT_ONCE) {
            let batch = (first..(first + AT_ONCE).min(from + count)).map(|number| self.join(number));
            links.extend(try_join_all(batch).await?);
        }
        Ok(links)
    }
}

async fn all(quick: bool) -> Result<Value> {
    let server = Server::start()?;
    let scale = if quick { 10 } else { 1 };
    let calls = calls(&server, CALLS / scale).await?;
    let blob = blob(&server, BLOB / scale).await?;
    let idle = idle(&server, IDLE / scale).await?;
    drop(server);
    let many = many(MANY / scale).await?;
    Ok(json!({"calls": calls, "blob": blob, "idle": idle, "many": many}))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median of a unary call, in microseconds.
async fn round(channel: &Channel, headers: &HeaderMap, count: usize) -> Result<f64> {
    let message = GetSystemInfoRequest::default().encode_to_vec();
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        call(
            channel.clone(),
            SERVICE,
            "GetSystemInfo",
            headers.clone(),
            message.clone().into(),
        )
        .await?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(took))
}

fn bearer(api: &Api) -> Result<HeaderMap> {
    let token = api.token.as_deref().context("a token")?;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse()?);
    Ok(headers)
}

async fn calls(server: &Server, count: usize) -> Result<Value> {
    let over_tcp = Channel::from_shared(format!("http://{}", server.grpc))?
        .tcp_nodelay(true)
        .connect()
        .await?;
    let over_mesh = channel(server.join(0).await?);
    let (token, nothing) = (bearer(&server.api)?, HeaderMap::new());
    let (mut tcp, mut mesh) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        tcp.push(round(&over_tcp, &token, count).await?);
        mesh.push(round(&over_mesh, &nothing, count).await?);
    }
    let ratio = median(tcp.iter().zip(&mesh).map(|(tcp, mesh)| mesh / tcp).collect());
    let (tcp, mesh) = (median(tcp), median(mesh));
    table::print(
        &["a call, median of medians", "microseconds"],
        &[
            vec!["over TCP, with a token, not encrypted".into(), table::number(tcp)],
            vec!["over the mesh".into(), table::number(mesh)],
            vec!["ratio (wanted: 1.5 at most)".into(), format!("{ratio:.2}")],
        ],
    );
    Ok(json!({"tcp_us": tcp, "mesh_us": mesh, "ratio": ratio}))
}

/// Bytes a second by plain TCP: read from the disk, sent, hashed, written to the disk.
fn by_tcp(from: &Path, to: &Path) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let from = from.to_owned();
    let began = Instant::now();
    let sending = std::thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        std::io::copy(&mut std::fs::File::open(from)?, &mut stream)?;
        Ok(())
    });
    let (mut stream, mut file) = (TcpStream::connect(address)?, std::fs::File::create(to)?);
    let (mut hasher, mut bytes, mut buffer) = (blake3::Hasher::new(), 0usize, vec![0; 1 << 20]);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                file.write_all(&buffer[..read])?;
                bytes += read;
            }
        }
    }
    sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}

async fn blob(server: &Server, bytes: usize) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("blob");
    // Nothing that a disk or a line could make smaller.
    let mut content = Vec::with_capacity(bytes);
    let mut reader = blake3::Hasher::new().update(b"a blob").finalize_xof();
    content.resize(bytes, 0);
    reader.fill(&mut content);
    std::fs::write(&file, &content)?;
    drop(content);
    let stored = BlobStore::open(server.home.data().join("blobs"))?.put_file(&file)?;
    let (mut tcp, mut mesh) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let link = server.join(10 + round).await?;
        let (remote, cache) = (Remote::new(link.clone()), folder.path().join(format!("cache-{round}")));
        let (from, to) = (file.clone(), folder.path().join("copy"));
        let (by_tcp, by_mesh) = tokio::task::spawn_blocking(move || -> Result<(f64, f64)> {
            let tcp = by_tcp(&from, &to)?;
            let store = BlobStore::over(remote, &cache, 4 << 30)?;
            let began = Instant::now();
            // Fetched, checked, in the cache; not read a second time.
            drop(store.reader(&stored.id)?);
            let mesh = bytes as f64 / began.elapsed().as_secs_f64();
            std::fs::remove_dir_all(&cache)?;
            Ok((tcp, mesh))
        })
        .await??;
        tcp.push(by_tcp);
        mesh.push(by_mesh);
        link.close().await;
    }
    let ratio = median(tcp.iter().zip(&mesh).map(|(tcp, mesh)| mesh / tcp).collect());
    let (tcp, mesh) = (median(tcp) / 1e6, median(mesh) / 1e6);
    table::print(
        &["a blob, median of 3", "MB/s"],
        &[
            vec!["plain TCP, hashed, to the disk".into(), table::number(tcp)],
            vec!["over the mesh, checked, to the disk".into(), table::number(mesh)],
            vec!["ratio (wanted: 0.7 at least)".into(), format!("{ratio:.2}")],
        ],
    );
    Ok(json!({"bytes": bytes, "tcp_mb_s": tcp, "mesh_mb_s": mesh, "ratio": ratio}))
}

fn queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        ..TaskQueue::default()
    })
}

fn poll(name: &str) -> Vec<u8> {
    let poll = PollActivityTaskQueueRequest {
        namespace: NAMESPACE.to_owned(),
        task_queue: queue(name),
        identity: "bench".to_owned(),
        ..PollActivityTaskQueueRequest::default()
    };
    poll.encode_to_vec()
}

async fn idle(server: &Server, count: usize) -> Result<Value> {
    let before = server.memory()?;
    let links = server.join_all(100, count).await?;
    let mut polls = tokio::task::JoinSet::new();
    for link in &links {
        let workflows = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: queue("idle"),
            ..PollWorkflowTaskQueueRequest::default()
        };
        let calls = [
            ("PollWorkflowTaskQueue", workflows.encode_to_vec()),
            ("PollActivityTaskQueue", poll("idle")),
            ("PollActivityTaskQueue", poll("idle-too")),
        ];
        let channel = channel(link.clone());
        for (rpc, message) in calls {
            let channel = channel.clone();
            polls.spawn(async move { call(channel, SERVICE, rpc, HeaderMap::new(), message.into()).await });
        }
    }
    // Polls last a minute: they are all open by now, and none has been answered.
    tokio::time::sleep(Duration::from_secs(10)).await;
    ensure!(polls.try_join_next().is_none(), "a poll was answered");
    let added = server.memory()?.saturating_sub(before) as f64 / f64::from(1 << 20);
    polls.abort_all();
    println!(
        "{count} workers that wait, with three polls each, add {added:.0} MB to the control plane (wanted: under 100)"
    );
    for link in links {
        link.close().await;
    }
    Ok(json!({"workers": count, "added_mb": added}))
}

/// Many workers join with one ticket, and each does one of as many activities.
async fn many(count: usize) -> Result<Value> {
    let server = Server::start()?;
    let before = server.memory()?;
    let began = Instant::now();
    let links = server.join_all(1, count).await?;
    let joined = began.elapsed().as_secs_f64();
    let mut workers = tokio::task::JoinSet::new();
    for link in &links {
        let channel = channel(link.clone());
        workers.spawn(async move { work(channel).await });
    }
    let over_tcp = Channel::from_shared(format!("http://{}", server.grpc))?
        .tcp_nodelay(true)
        .connect()
        .await?;
    let token = bearer(&server.api)?;
    let began = Instant::now();
    for number in 0..count {
        let start = StartActivityExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            identity: "bench".to_owned(),
            request_id: format!("many-{number}"),
            activity_id: format!("many-{number}"),
            activity_type: Some(ActivityType {
                name: "nothing".to_owned(),
            }),
            task_queue: queue("many"),
            start_to_close_timeout: Some(Duration::from_secs(60).try_into()?),
            ..StartActivityExecutionRequest::default()
        };
        let message = start.encode_to_vec().into();
        call(
            over_tcp.clone(),
            SERVICE,
            "StartActivityExecution",
            token.clone(),
            message,
        )
        .await?;
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    let worked = began.elapsed().as_secs_f64();
    let added = server.memory()?.saturating_sub(before) as f64 / f64::from(1 << 20);
    println!(
        "{count} workers joined with one ticket in {joined:.1} s, and did one activity each in {worked:.1} s; they added {added:.0} MB"
    );
    Ok(json!({"workers": count, "joined_seconds": joined, "worked_seconds": worked, "added_mb": added}))
}

async fn work(channel: Channel) -> Result<()> {
    loop {
        let message = poll("many").into();
        let (_, answer) = call(
            channel.clone(),
            SERVICE,
            "PollActivityTaskQueue",
            HeaderMap::new(),
            message,
        )
        .await?;
        let task = PollActivityTaskQueueResponse::decode(answer)?;
        if task.task_token.is_empty() {
            continue;
        }
        let done = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token: task.task_token,
            result: Some(Payloads::default()),
            identity: "bench".to_owned(),
            ..RespondActivityTaskCompletedRequest::default()
        };
        let message = done.encode_to_vec().into();
        call(
            channel,
            SERVICE,
            "RespondActivityTaskCompleted",
            HeaderMap::new(),
            message,
        )
        .await?;
        return Ok(());
    }
}
