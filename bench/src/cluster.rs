//! Three nodes on this machine beside one engine without others: throughput, memory, and how long nobody leads after a kill.
//!
//! All nodes share the cores and the disk, so everything is paid three times: machines of their own do better.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use helve_e2e::http::Api;
use helve_e2e::nodes::Nodes;
use serde_json::{Value, json};

use crate::jobs::{self, Connection};
use crate::loads::{Bench, LOADS};
use crate::options::Options;
use crate::servers::{Host, Kind};
use crate::{machine, runtime, table};

/// Each pair is measured so often, one after the other; the median counts.
const ROUNDS: usize = 3;
/// Loads of workflows that are compared.
const COMPARED: [&str; 2] = ["sequential-1", "sequential-50"];
/// Leaders that are killed.
const KILLS: usize = 20;
/// So long nobody leads at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// A client that was turned away comes again.
const AGAIN: Duration = Duration::from_millis(5);

pub(crate) fn measure(options: &Options) -> Result<Value> {
    let rounds = if options.quick { 1 } else { ROUNDS };
    let mut nodes = Nodes::start(3, &["--no-worker", "--grpc-open"]);
    nodes.settle();
    let at_rest = memory(&mut nodes)?;
    let mut figures = serde_json::Map::new();
    let mut rows = Vec::new();
    for name in COMPARED {
        let pairs = (0..rounds).map(|_| pair(name, options, &mut nodes));
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        row(&mut rows, &mut figures, &format!("{name}, workflows"), &pairs);
    }
    let each = jobs::each(options.quick);
    let mut jobs: Vec<(&'static str, Vec<(f64, f64)>)> = Vec::new();
    for _ in 0..rounds {
        let alone = alone_jobs(each)?;
        let replicated = jobs::rates(&api(&nodes, nodes.leader())?, each)?;
        for ((name, one), (_, three)) in alone.into_iter().zip(replicated) {
            match jobs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, pairs)) => pairs.push((one, three)),
                None => jobs.push((name, vec![(one, three)])),
            }
        }
    }
    for (name, pairs) in &jobs {
        row(&mut rows, &mut figures, &format!("jobs {name}"), pairs);
    }
    println!("a second; the median of {rounds} pairs");
    table::print(&["load", "one engine", "three nodes", "ratio"], &rows);

    let loaded = memory(&mut nodes)?;
    let megabytes = |bytes: &[u64]| bytes.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>();
    println!(
        "\nMB of memory of each node: at rest {:?}, after all that {:?}",
        megabytes(&at_rest),
        megabytes(&loaded)
    );
    figures.insert("memory_at_rest".into(), json!(at_rest));
    figures.insert("memory_after_load".into(), json!(loaded));

    let mut gaps = (0..if options.quick { 3 } else { KILLS })
        .map(|_| kill(&mut nodes))
        .collect::<Result<Vec<_>>>()?;
    gaps.sort_by(f64::total_cmp);
    let (median, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!(
        "\nfrom kill -9 of the leader to the first acknowledged job, {} times: median {median:.2} s, longest {longest:.2} s",
        gaps.len()
    );
    figures.insert("seconds_without_a_leader".into(), json!(gaps));
    Ok(figures.into())
}

fn row(rows: &mut Vec<Vec<String>>, figures: &mut serde_json::Map<String, Value>, name: &str, pairs: &[(f64, f64)]) {
    let median = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (one, three) = (median(&|pair| pair.0), median(&|pair| pair.1));
    let ratio = median(&|pair| pair.1 / pair.0);
    rows.push(vec![
        name.to_owned(),
        table::number(one),
        table::number(three),
        format!("{ratio:.2}"),
    ]);
    figures.insert(
        name.replace(' ', "_"),
        json!({"one": one, "three": three, "ratio": ratio}),
    );
}

/// Workflows a second on one engine, and on the nodes.
fn pair(name: &str, options: &Options, nodes: &mut Nodes) -> Result<(f64, f64)> {
    let Some(alone) = options.servers.iter().find(|kind| matches!(kind, Kind::Helve(_))) else {
        bail!("name the helve program with HELVE_BIN");
    };
    let leader = nodes.leader();
    let there = Kind::At(nodes.grpc(leader), Some(nodes.running(leader).id()));
    Ok((rate(name, options, alone)?, rate(name, options, &there)?))
}

fn rate(name: &str, options: &Options, kind: &Kind) -> Result<f64> {
    let load = LOADS
        .iter()
        .find(|load| load.name == name)
        .context("a load of that name")?;
    let run = load.raw.context("a load on plain gRPC")?;
    let measured = runtime("raw")?.block_on(async {
        let host = Host::start(kind).await?;
        run(&mut Bench { host, options }).await
    })?;
    Ok(measured.done as f64 / measured.seconds)
}

fn alone_jobs(each: usize) -> Result<Vec<(&'static str, f64)>> {
    let home = helve_e2e::home::Home::new();
    let (_up, api, _) = helve_e2e::http::up(&home, &["--no-worker"]);
    jobs::rates(&api, each)
}

fn api(nodes: &Nodes, node: usize) -> Result<Api> {
    let leader = nodes.leader();
    let token = std::fs::read_to_string(nodes.home(leader).data().join("admin.token"));
    Ok(Api {
        address: nodes.http(node),
        token: Some(token.context("the token of who leads")?.trim().to_owned()),
    })
}

fn memory(nodes: &mut Nodes) -> Result<Vec<u64>> {
    let ids = (0..3).map(|node| nodes.running(node).id()).collect::<Vec<_>>();
    ids.into_iter()
        .map(|id| machine::memory(id).context("the memory of a node"))
        .collect()
}

/// Kills the leader; how many seconds until a client of a follower has a job acknowledged.
fn kill(nodes: &mut Nodes) -> Result<f64> {
    let led = nodes.leader();
    let client = api(nodes, nodes.follower())?;
    let publish = || -> Result<()> {
        let mut connection = Connection::open(&client)?;
        connection
            .post("/api/v1/queue/gaps/jobs", &json!({"input": {"n": 1}}))
            .map(drop)
    };
    publish()?;
    nodes.kill(led);
    let began = Instant::now();
    while let Err(error) = publish() {
        ensure!(began.elapsed() < PATIENCE, "nobody leads: {error:#}");
        std::thread::sleep(AGAIN);
    }
    let gap = began.elapsed().as_secs_f64();
    nodes.up(led);
    nodes.settle();
    Ok(gap)
}
