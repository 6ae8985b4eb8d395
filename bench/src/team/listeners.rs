//! Many listeners to one run: what they cost in memory, and whether each is told of the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::tree;
use serde_json::{Value, json};

use super::MB;
use crate::{machine, table};

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let count = if quick { 100 } else { 1_000 };
    let home = Home::new();
    let toolbox = home.path().join("box");
    tree::write(
        &toolbox.join("modules/nap/module.yaml"),
        "name: nap\nversion: '1'\ndescription: d\nkind: command\ntool: {program: sleep}\nargs: ['3600']\n\
         limits: {time: 2h, memory: 64Mi}\noutput: {format: lines, pattern: '(?P<message>.+)'}\n",
    );
    tree::write(
        &toolbox.join("workflows/nap/metadata.yaml"),
        "name: nap\nversion: '1'\ndescription: d\nvertical: builtin\n",
    );
    tree::write(
        &toolbox.join("workflows/nap/workflow.yaml"),
        "steps:\n  - {id: nap, uses: nap}\n",
    );
    let (up, api, _) = up(&home, &["--toolbox", &toolbox.to_string_lossy()]);
    let target = api
        .send("POST", "/api/v1/targets?name=one&format=file", &[], b"nothing\n")
        .expect(201);
    let started = api.post(
        "/api/v1/runs",
        &json!({ "workflow": "nap", "target": target.json()["id"], "target_name": "one" }),
    );
    let run_id = started.expect(201).json()["run_id"]
        .as_str()
        .context("a run id")?
        .to_owned();
    let path = format!("/api/v1/runs/{run_id}/events");
    // One before the others: what all share is there then.
    let mut listening = vec![listen(&api, &path)?];
    let before = machine::memory(up.id()).context("memory is read from /proc, on Linux")?;
    for _ in 1..count {
        listening.push(listen(&api, &path)?);
    }
    let with = machine::memory(up.id()).context("memory is read from /proc, on Linux")?;
    let began = Instant::now();
    api.post(&format!("/api/v1/runs/{run_id}/terminate"), &json!({}))
        .expect(200);
    let mut told = 0;
    for mut stream in listening {
        let mut rest = String::new();
        stream.read_to_string(&mut rest)?;
        told += usize::from(rest.contains("event: run_ended"));
    }
    let seconds = began.elapsed().as_secs_f64();
    ensure!(told == count, "{told} of {count} listeners were told of the end");
    let cost = with.saturating_sub(before) as f64 / MB;
    table::print(
        &["listeners", "cost MB", "all told of the end after s"],
        &[vec![count.to_string(), format!("{cost:.1}"), format!("{seconds:.2}")]],
    );
    Ok(json!({ "listeners": count, "cost_mb": cost, "told_seconds": seconds }))
}

/// A listener that has had its first event.
fn listen(api: &Api, path: &str) -> Result<TcpStream> {
    let mut stream = api.connect();
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = api.head("GET", path, &[]);
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let mut seen = Vec::new();
    let mut byte = [0; 512];
    while !String::from_utf8_lossy(&seen).contains("event:") {
        let read = stream.read(&mut byte)?;
        ensure!(read > 0, "the server hung up: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&byte[..read]);
    }
    Ok(stream)
}
