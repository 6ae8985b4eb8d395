//! The job queue over HTTP: publishing, claiming and completing, in batches and one by one, beside requests that do nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use serde_json::{Value, json};

use crate::table;

/// Clients at once, each with a connection of its own.
const CLIENTS: usize = 8;
/// Jobs of a batch.
const BATCH: usize = 100;

/// A connection that stays.
pub(crate) struct Connection {
    api: Api,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(api: &Api) -> Result<Self> {
        let stream = TcpStream::connect(&api.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self {
            api: api.clone(),
            stream: BufReader::new(stream),
        })
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let token = self.api.token.as_deref().unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.api.address,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line)?;
        let is_done = line.contains(" 200 ") || line.contains(" 201 ");
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header)?;
            match header.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        ensure!(is_done, "{method} {path}: {line}{}", String::from_utf8_lossy(&answer));
        Ok(answer)
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send("POST", path, &body.to_string())?;
        serde_json::from_slice(&answer).context("an answer is JSON")
    }
}

/// Clients that each do a share; how many units a second all of them did, and what they brought.
fn all<T: Send>(
    api: &Api,
    share: impl Fn(usize, &mut Connection) -> Result<(usize, T)> + Sync,
) -> Result<(f64, Vec<T>)> {
    let mut connections = (0..CLIENTS)
        .map(|_| Connection::open(api))
        .collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    let share = &share;
    let shares: Vec<Result<(usize, T)>> = thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .enumerate()
            .map(|(client, connection)| scope.spawn(move || share(client, connection)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")))
            .collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let (mut units, mut brought) = (0, Vec::new());
    for share in shares {
        let (count, value) = share?;
        units += count;
        brought.push(value);
    }
    Ok((units as f64 / seconds, brought))
}

fn items(answer: &Value) -> Vec<Value> {
    answer["jobs"].as_array().cloned().unwrap_or_default()
}

/// So many jobs for each client.
pub(crate) fn each(quick: bool) -> usize {
    if quick { 200 } else { 5000 }
}

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let home = Home::new();
    let (running, api, _) = up(&home, &["--no-worker"]);
    let figures = rates(&api, each(quick))?;
    running.signal("INT");
    running.wait();
    let nothing = figures[0].1;
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(name, rate)| vec![(*name).to_owned(), table::number(*rate), table::number(rate / nothing)])
        .collect();
    println!("{CLIENTS} clients, {BATCH} jobs a batch; each answer is on disk");
    table::print(&["jobs", "per second", "of requests that do nothing"], &rows);
    Ok(figures
        .into_iter()
        .map(|(name, rate)| (name.replace(' ', "_"), json!(rate)))
        .collect::<serde_json::Map<_, _>>()
        .into())
}

/// Requests that do nothing first, and then jobs, a second.
pub(crate) fn rates(api: &Api, each: usize) -> Result<Vec<(&'static str, f64)>> {
    let (nothing, _) = all(api, |_, connection| {
        for _ in 0..each {
            connection.send("GET", "/healthz", "")?;
        }
        Ok((each, ()))
    })?;
    let mut figures = vec![("requests that do nothing", nothing)];
    for (queue, batch, names) in [
        (
            "many",
            BATCH,
            ["published in batches", "claimed in batches", "completed in batches"],
        ),
        ("single", 1, ["published singly", "claimed singly", "completed singly"]),
    ] {
        let path = |what: &str| format!("/api/v1/queue/{queue}/{what}");
        let input = json!({"target": "an input of about a hundred bytes, as jobs that name a target and a few parameters have"});
        let (published, _) = all(api, |_, connection| {
            let body = match batch {
                1 => json!({ "input": input }),
                batch => json!({ "jobs": vec![json!({ "input": input }); batch] }),
            };
            for _ in 0..each / batch {
                connection.post(&path("jobs"), &body)?;
            }
            Ok((each / batch * batch, ()))
        })?;
        let (claimed, claims) = all(api, |_, connection| {
            let mut mine = Vec::new();
            loop {
                let claimed =
                    items(&connection.post(&path("claim"), &json!({"max": batch, "wait": "0s", "lease": "60s"}))?);
                if claimed.is_empty() {
                    return Ok((mine.len(), mine));
                }
                mine.extend(claimed);
            }
        })?;
        let (completed, _) = all(api, |client, connection| {
            for jobs in claims[client].chunks(batch) {
                match jobs {
                    [one] if batch == 1 => {
                        let path = format!("/api/v1/jobs/{}/complete", one["id"].as_str().unwrap_or_default());
                        connection.post(&path, &json!({"claim": one["claim"], "output": "done"}))?;
                    }
                    many => {
                        let jobs: Vec<Value> = many
                            .iter()
                            .map(|job| json!({"claim": job["claim"], "output": "done"}))
                            .collect();
                        let answer = connection.post(&path("complete"), &json!({ "jobs": jobs }))?;
                        ensure!(items(&answer).iter().all(|item| item["id"].is_string()), "{answer}");
                    }
                }
            }
            Ok((claims[client].len(), ()))
        })?;
        let total: usize = claims.iter().map(Vec::len).sum();
        let expected = each / batch * batch * CLIENTS;
        ensure!(total == expected, "{total} of {expected} jobs were claimed");
        figures.extend(names.into_iter().zip([published, claimed, completed]));
    }
    Ok(figures)
}
