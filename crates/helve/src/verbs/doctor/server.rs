//! The server of a data directory: does it answer, can it write, does work pile up?

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use helve_engine::Holder;
use helve_runs::{Client, Worker, unserved, workers};
use helve_toolbox::run::{WORKFLOW_QUEUE, vertical_queue};

use super::Check;
use crate::app::App;
use crate::cli::{DEFAULT_NAMESPACE, EngineChoice};
use crate::cluster::Settings;
use crate::embedded::{Sharing, attach};
use crate::paths::DataDir;
use crate::server::{Places, Served};
use crate::verbs::cluster::Standing;

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(5);
/// A task that has waited longer than this waits for somebody who does not come.
const LONG: Duration = Duration::from_secs(300);

/// All about the server that `--engine` names, or that has the data directory.
pub(super) async fn checks(app: &App, data: &DataDir) -> Vec<Check> {
    let mut checks = Vec::new();
    let client = match &app.global.engine {
        EngineChoice::Embedded if matches!(Settings::find(data), Ok(Some(_))) => {
            checks.extend(of_cluster(data).await);
            match attach(data, None).await {
                Some(connection) => Client {
                    connection,
                    namespace: DEFAULT_NAMESPACE.to_owned(),
                },
                None => return checks,
            }
        }
        EngineChoice::Embedded => match Holder::read(data.root()) {
            None => return vec![none()],
            Some(holder) => match attach(data, Some(&holder)).await {
                Some(connection) => Client {
                    connection,
                    namespace: DEFAULT_NAMESPACE.to_owned(),
                },
                // The note of one that has ended stays.
                None if !is_held(data) => return vec![none()],
                None => {
                    return vec![Check::fail(
                        "server",
                        format!(
                            "`{}` (process {}) has the data directory and does not answer",
                            holder.role, holder.pid
                        ),
                        "no run can start, and other commands wait in vain",
                        "look at its log; let it go on if it is suspended (`fg`), or start it again: nothing is lost",
                    )];
                }
            },
        },
        EngineChoice::Temporal { address, namespace, .. } => {
            let opening = app.session(data, "helve doctor", Sharing::Brief);
            let opened = tokio::time::timeout(WITHIN, opening).await.ok().and_then(Result::ok);
            let Some(connection) = opened.map(|session| session.client.connection) else {
                return vec![Check::fail(
                    "server",
                    format!("nothing answers at {address}"),
                    "no run can start there",
                    "start the server, or name another one with --engine",
                )];
            };
            Client {
                connection,
                namespace: namespace.clone(),
            }
        }
    };
    checks.push(answers(&client).await);
    checks.extend(queues(app, &client).await);
    let (places, token) = (Served::find(data), data.admin_token());
    let asked = tokio::task::spawn_blocking(move || of_http(places, &token)).await;
    checks.extend(asked.unwrap_or_default());
    checks
}

fn none() -> Check {
    Check::ok(
        "server",
        "none runs on this data directory, so there is nothing to look at",
    )
}

/// Whether somebody has the data directory now.
fn is_held(data: &DataDir) -> bool {
    let file = std::fs::File::open(data.root().join("engine.lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

async fn answers(client: &Client) -> Check {
    match tokio::time::timeout(WITHIN, client.check_namespace()).await {
        Ok(Ok(())) => Check::ok(
            "server",
            format!("it answers, and has the namespace `{}`", client.namespace),
        ),
        Ok(Err(status)) => Check::fail(
            "server",
            format!("it refuses: {}", status.message()),
            "no run can start",
            "name another namespace with --engine temporal://HOST:PORT/NAMESPACE, or look at the server's log",
        ),
        Err(_) => Check::fail("server", "it does not answer", "no run can start", "look at its log"),
    }
}

/// What waits, and whether anybody comes for it.
async fn queues(app: &App, client: &Client) -> Vec<Check> {
    let mut checks = Vec::new();
    let known: Vec<Worker> = match tokio::time::timeout(WITHIN, workers(client)).await {
        Ok(Ok(known)) => known,
        // Other servers keep no such register.
        _ => return checks,
    };
    let missing = unserved(&app.toolbox, &known);
    checks.push(match (known.len(), missing.as_slice()) {
        (0, _) => Check::warn(
            "workers",
            "none",
            "runs start and wait",
            "start `helve worker`, or `helve up` without --no-worker",
        ),
        (_, []) => Check::ok("workers", format!("{} serve all verticals", known.len())),
        (_, missing) => Check::warn(
            "workers",
            format!("nobody serves {}", missing.join(", ")),
            "steps of these verticals wait",
            format!("start `helve worker --vertical {}`", missing.join(",")),
        ),
    });
    let steps = helve_runs::verticals(&app.toolbox)
        .into_iter()
        .map(|vertical| (vertical_queue(&vertical), false));
    for (queue, of_workflows) in std::iter::once((WORKFLOW_QUEUE.to_owned(), true)).chain(steps) {
        if let Ok(Ok(seen)) = tokio::time::timeout(WITHIN, client.queue(&queue, of_workflows)).await {
            checks.extend(backlog(&queue, seen.depth, seen.oldest, seen.pollers));
        }
    }
    checks
}

/// The nodes of a cluster, of which the data directory is one.
async fn of_cluster(data: &DataDir) -> Option<Check> {
    let settings = Settings::find(data).ok()??;
    let standing = match Standing::of(&settings).await {
        Ok(standing) => standing,
        Err(problem) => {
            return Some(Check::fail(
                "cluster",
                problem.plain(),
                "nobody is served",
                "start `helve up` on a majority of the nodes",
            ));
        }
    };
    let (said, away) = (standing.said(), standing.away());
    Some(match standing.spare() {
        None => Check::fail(
            "cluster",
            said,
            "nobody is served",
            "start the nodes that do not answer",
        ),
        Some(_) if !away.is_empty() => Check::warn(
            "cluster",
            format!("{said}; not there: {}", away.join(", ")),
            "the cluster goes on, with less to spare",
            "start those nodes, or remove them with `helve cluster remove` and let others join",
        ),
        Some(_) => Check::ok("cluster", said),
    })
}

fn backlog(queue: &str, depth: i64, oldest: Duration, pollers: usize) -> Option<Check> {
    (depth > 0 && oldest > LONG).then(|| {
        Check::warn(
            format!("queue {queue}"),
            format!("{depth} wait, the oldest for {} s; {pollers} poll", oldest.as_secs()),
            "runs take longer than they should",
            "start more workers for it, or give those that run more slots (--concurrency)",
        )
    })
}

/// What the HTTP API says, if it wrote down where it is. Blocking.
fn of_http(places: Places, token: &Path) -> Vec<Check> {
    let Some(url) = places.http else {
        return Vec::new();
    };
    let way = match (places.http_socket, url.strip_prefix("http://")) {
        (Some(socket), _) => Way::Socket(socket),
        (None, Some(address)) => Way::Address(address.to_owned()),
        (None, None) => {
            return vec![Check::warn(
                "HTTP API",
                format!("{url} was not asked: only its certificate's name leads there"),
                "it is not known whether it is well",
                "ask it from where it is used: `helve runs list --server URL`",
            )];
        }
    };
    let token = std::fs::read_to_string(token).unwrap_or_default();
    look_at(&url, &way, token.trim())
}

/// How a server of this machine is reached without TLS.
enum Way {
    Address(String),
    Socket(PathBuf),
}

trait Talk: Read + Write {}
impl<T: Read + Write> Talk for T {}

impl Way {
    fn open(&self) -> std::io::Result<Box<dyn Talk>> {
        match self {
            Way::Address(address) => {
                let address: std::net::SocketAddr = address.parse().map_err(std::io::Error::other)?;
                let stream = TcpStream::connect_timeout(&address, WITHIN)?;
                stream.set_read_timeout(Some(WITHIN))?;
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Way::Socket(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path)?;
                stream.set_read_timeout(Some(WITHIN))?;
                Ok(Box::new(stream))
            }
            #[cfg(not(unix))]
            Way::Socket(_) => Err(std::io::ErrorKind::Unsupported.into()),
        }
    }
}

/// What the server with this URL says of itself.
fn look_at(url: &str, way: &Way, token: &str) -> Vec<Check> {
    let ready = match get(way, "/readyz", "") {
        Ok((200, _)) => Check::ok("HTTP API", format!("{url} is ready")),
        Ok((status, body)) => Check::fail(
            "HTTP API",
            format!("not ready ({status}): {}", detail(&body)),
            "requests fail until that is mended",
            "mend what it names; the log of the server says more",
        ),
        Err(error) => {
            return vec![Check::warn(
                "HTTP API",
                format!("{url} does not answer: {error}"),
                "pages and programs do not reach it",
                "start `helve up` with --http",
            )];
        }
    };
    let valid = match get(way, "/api/v1/me", token) {
        Ok((200, _)) => Check::ok("token", "admin.token is valid"),
        Ok((401, _)) => Check::warn(
            "token",
            "the server does not take admin.token",
            "commands on this machine cannot use the API",
            "start `helve up` again: it makes a new one when the old one was revoked",
        ),
        Ok((status, _)) => Check::warn(
            "token",
            format!("the API answers {status}"),
            "it is not well",
            "look at its log",
        ),
        Err(error) => Check::warn(
            "token",
            error.to_string(),
            "it could not be tried",
            "look at the server's log",
        ),
    };
    vec![ready, valid]
}

/// What a problem says.
fn detail(body: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    problem["detail"].as_str().unwrap_or("it does not say why").to_owned()
}

fn get(way: &Way, path: &str, token: &str) -> std::io::Result<(u16, String)> {
    let mut stream = way.open()?;
    let token = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    // In one piece: a server may answer and leave as soon as it has read something.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(64 << 10).read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("it does not speak HTTP"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_task_that_waits_for_long_is_told_and_one_that_just_came_is_not() {
        assert!(backlog("q", 5, Duration::from_secs(3), 0).is_none());
        assert!(backlog("q", 0, Duration::from_secs(900), 0).is_none());
        let check = backlog("q", 5, Duration::from_secs(900), 0).unwrap();
        assert_eq!(check.found, "5 wait, the oldest for 900 s; 0 poll");
    }

    #[test]
    fn a_server_that_is_not_ready_is_a_failure_with_its_reason() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            for (status, body) in [("503 No", "{\"detail\":\"the engine cannot be used\"}"), ("401 No", "")] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                assert!(stream.read(&mut request).unwrap() > 0);
                write!(stream, "HTTP/1.0 {status}\r\n\r\n{body}").unwrap();
            }
        });
        let checks = look_at("http://x", &Way::Address(address), "t");
        server.join().unwrap();
        assert_eq!(checks[0].state, State::Fail);
        assert!(checks[0].found.contains("the engine cannot be used"), "{:?}", checks[0]);
        assert_eq!(checks[1].state, State::Warn);
    }

    #[test]
    fn an_address_where_nobody_is_is_told() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let checks = look_at("http://x", &Way::Address(free.to_string()), "");
        assert_eq!((checks.len(), checks[0].state), (1, State::Warn));
    }
}
