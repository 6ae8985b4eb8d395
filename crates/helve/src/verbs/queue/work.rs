//! `helve queue work`: a command for each job.

use std::process::Stdio;
use std::time::Duration;

use helve_queue::{ClaimedJob, Claiming, Content, Error, Failing, Has, MAX_CONTENT};
use helve_toolbox::Span;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::backend::Backend;
use super::content::of_program;
use crate::cli::WorkArgs;
use crate::errors::Result;
use crate::signals;
use crate::terminal::{eprint_line, print};

/// A claim waits so long at most: a poll that is given up could take a job with it, so leaving waits for its end.
const WAIT: Span = Span::from_secs(5);
/// After an engine did not answer.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of standard error that a failure tells.
const SAID: usize = 4096;

/// How a job went, for the line that tells of it.
struct Done {
    id: String,
    words: String,
    status: &'static str,
}

pub(super) async fn work(backend: &Backend, args: WorkArgs, json: bool) -> Result<u8> {
    let stop = signals::listen();
    let has = Has::new(args.has.iter().cloned())?;
    let mut running: JoinSet<Done> = JoinSet::new();
    let mut is_silent = false;
    while !stop.is_cancelled() {
        while let Some(done) = running.try_join_next() {
            tell(done, json);
        }
        let free = args.jobs.get() - running.len();
        if free == 0 {
            tokio::select! {
                Some(done) = running.join_next() => tell(done, json),
                () = stop.cancelled() => {}
            }
            continue;
        }
        let claiming = Claiming {
            max: Some(free.min(helve_queue::MAX_CLAIM)),
            wait: Some(if args.drain { Span::from_secs(0) } else { WAIT }),
            lease: args.lease,
            has: has.clone(),
            worker: None,
        };
        match backend.claim(&args.queue, &claiming).await {
            Ok(claimed) => {
                is_silent = false;
                let is_empty = claimed.jobs.is_empty();
                for job in claimed.jobs {
                    running.spawn(run(backend.clone(), job, args.command.clone()));
                }
                if is_empty && args.drain {
                    match running.join_next().await {
                        // It may be wanted again.
                        Some(done) => tell(done, json),
                        None => return Ok(0),
                    }
                }
            }
            Err(error @ Error::Engine { .. }) => {
                if !std::mem::replace(&mut is_silent, true) {
                    eprint_line(&format!("{error}; trying again"));
                }
                tokio::select! {
                    () = tokio::time::sleep(TRY_AGAIN) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !running.is_empty() {
        eprint_line(
            "stopping after the running jobs; Ctrl-C again leaves at once, and they go back when their lease ends",
        );
    }
    while let Some(done) = running.join_next().await {
        tell(done, json);
    }
    Ok(0)
}

fn tell(done: std::result::Result<Done, tokio::task::JoinError>, json: bool) {
    let Ok(done) = done else {
        eprint_line("a job was given up: it goes back when its lease ends");
        return;
    };
    match json {
        true => print(&format!(
            "{}\n",
            json!({"id": done.id, "status": done.status, "said": done.words})
        )),
        false => print(&format!(
            "{}  {}  {}\n",
            done.id,
            done.status,
            crate::terminal::clean(&done.words)
        )),
    }
}

/// How a command ended.
enum End {
    Completed(Content),
    Failed { error: String, kind: String, fatal: bool },
    Canceled,
    Lost,
}

async fn run(backend: Backend, job: ClaimedJob, command: Vec<std::ffi::OsString>) -> Done {
    let end = execute(&backend, &job, &command).await;
    let done = |status, words: &str| Done {
        id: job.id.clone(),
        words: words.to_owned(),
        status,
    };
    let failing = |error: &str, kind: &str| Failing {
        claim: job.claim.clone(),
        error: error.to_owned(),
        kind: kind.to_owned(),
        fatal: false,
        retry_in: None,
        details: None,
        canceled: false,
    };
    let (told, status, words) = match end {
        End::Completed(output) => (backend.complete(&job.claim, &output).await, "completed", String::new()),
        End::Failed { error, kind, fatal } => {
            let failing = Failing {
                fatal,
                ..failing(&error, &kind)
            };
            (backend.fail(&failing).await, "failed", error)
        }
        End::Canceled => {
            let failing = Failing {
                canceled: true,
                ..failing("stopped", "")
            };
            (backend.fail(&failing).await, "canceled", String::new())
        }
        End::Lost => return done("lost", "its lease ended: it went back to the queue"),
    };
    match told {
        Ok(_) => done(status, &words),
        Err(error) => done("lost", &error.to_string()),
    }
}

async fn execute(backend: &Backend, job: &ClaimedJob, command: &[std::ffi::OsString]) -> End {
    let failed = |error: String, kind: &str, fatal| End::Failed {
        error,
        kind: kind.to_owned(),
        fatal,
    };
    let mut process = Command::new(&command[0]);
    process
        .args(&command[1..])
        .env("HELVE_JOB_ID", &job.id)
        .env("HELVE_JOB_QUEUE", &job.queue)
        .env("HELVE_JOB_ATTEMPT", job.attempt.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Ctrl-C asks this program to stop, not the commands.
    #[cfg(unix)]
    process.process_group(0);
    let mut child = match process.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("the command cannot be started: {error}"), "no-command", false),
    };
    let group = Group(child.id());
    let mut stdin = child.stdin.take().expect("it is piped");
    let (stdout, stderr) = (
        child.stdout.take().expect("it is piped"),
        child.stderr.take().expect("it is piped"),
    );
    let input = job.input.clone().into_bytes();
    let talk = async {
        let write = async {
            // A command need not read its input.
            let _ = stdin.write_all(&input).await;
            drop(stdin);
        };
        let (_, out, err, status) = tokio::join!(write, first(stdout), last(stderr), child.wait());
        (out, err, status)
    };
    tokio::pin!(talk);
    let _group = group;
    let mut pulse = tokio::time::interval(Duration::from_millis((job.lease_ms / 3).max(100)));
    pulse.tick().await;
    let (out, err, status) = loop {
        tokio::select! {
            ended = &mut talk => break ended,
            _ = pulse.tick() => match backend.heartbeat(&job.claim, None).await {
                Ok(pulse) if pulse.cancel_requested => return End::Canceled,
                Err(Error::LeaseLost(_)) => return End::Lost,
                // It is tried again before the lease ends.
                Ok(_) | Err(_) => {}
            },
        }
    };
    let said = String::from_utf8_lossy(&err).trim().to_owned();
    match status {
        Ok(status) if status.success() => match out {
            Some(out) => End::Completed(of_program(&out)),
            None => failed(
                format!("it wrote more than {MAX_CONTENT} bytes"),
                "output-too-large",
                true,
            ),
        },
        Ok(status) => {
            let how = match status.code() {
                Some(code) => format!("exit-{code}"),
                None => "signal".to_owned(),
            };
            let error = if said.is_empty() { status.to_string() } else { said };
            failed(error, &how, false)
        }
        Err(error) => failed(
            format!("the command cannot be waited for: {error}"),
            "no-command",
            false,
        ),
    }
}

/// The processes that a command started: they end with it.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(group) = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            // There may be none left.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// All of it; none when it is too much, which is read all the same so that the command can end.
async fn first(mut from: impl AsyncRead + Unpin) -> Option<Vec<u8>> {
    let (mut kept, mut buffer, mut is_whole) = (Vec::new(), vec![0; 16 * 1024], true);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        is_whole &= kept.len() + count <= MAX_CONTENT;
        if is_whole {
            kept.extend_from_slice(&buffer[..count]);
        }
    }
    is_whole.then_some(kept)
}

/// The end of it.
async fn last(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 4 * 1024]);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(SAID);
        kept.drain(..surplus);
    }
    kept
}
