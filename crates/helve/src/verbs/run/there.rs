//! `helve run` at a server: packed here, run there, followed from here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use helve_blobs::{BlobStore, Packed};
use helve_client::{Client, Error, Heard, StartRun, target_name};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{existing, pack_shown};
use crate::app::App;
use crate::cli::RunArgs;
use crate::errors::{INTERRUPTED, Problem, Result};
use crate::progress::{Display, Mode};
use crate::render::{bytes, count};
use crate::signals;
use crate::terminal::{Style, clean, eprint_line};
use crate::verbs::counting::{Known, apply};
use crate::verbs::export::check_destinations;
use crate::verbs::{parameters, report};

/// Events that wait for the display.
const EVENT_BUFFER: usize = 256;
/// How often it is looked at whether a step waits for a worker that is not there.
const CLOCK: Duration = Duration::from_millis(500);

/// What is to be run.
struct Order {
    start: StartRun,
    path: PathBuf,
    ignore_files: bool,
}

/// The command while it runs.
struct Run<'a> {
    app: &'a App,
    client: &'a Client,
    display: Display,
    interrupted: CancellationToken,
}

pub(super) async fn run(app: &App, client: &Client, args: &RunArgs) -> Result<u8> {
    refuse_local_options(app)?;
    // Whatever can be refused is refused before anything is packed.
    check_destinations(args.sarif.as_deref(), &args.export)?;
    let known = Known::new(&args.counting)?;
    let interrupted = signals::listen();
    let order = match (&args.resume, &args.workflow, &args.target) {
        (None, Some(workflow), Some(target)) => {
            let path = existing(target)?;
            Some(Order {
                start: StartRun {
                    workflow: workflow.clone(),
                    parameters: parameters::there(client, workflow, args.params_file.as_deref(), &args.params).await?,
                    timeout: args.timeout.map(|timeout| timeout.to_string()),
                    ..StartRun::default()
                },
                path,
                ignore_files: !args.no_ignore,
            })
        }
        _ => None,
    };
    let baseline = known.load(async |run_id| Ok(client.result(run_id).await?)).await?;
    let mut run = Run {
        app,
        client,
        display: Display::new(Mode::choose(args.quiet, Style::stderr()), Style::stderr()),
        interrupted,
    };
    let started = match order {
        Some(order) => run.start(order).await?,
        None => args.resume.clone(),
    };
    let Some(run_id) = started else {
        return Ok(INTERRUPTED);
    };
    let ended = run.follow(&run_id).await;
    run.display.finish();
    if !ended? {
        if !args.quiet {
            eprint_line(&run.left_behind(&run_id));
        }
        return Ok(INTERRUPTED);
    }
    let mut result = client.result(&run_id).await?;
    apply(&mut result, &args.counting, baseline.as_ref());
    report::present(&result, args, app.global.json)
}

/// What is decided by whoever runs the steps.
fn refuse_local_options(app: &App) -> Result<()> {
    let global = &app.global;
    let given = [
        (global.sandbox.is_some(), "--sandbox"),
        (!global.allow_read.is_empty(), "--allow-read"),
        (!global.web.allow_http.is_empty(), "--allow-http"),
        (!global.web.allow_secret.is_empty(), "--allow-secret"),
        (!global.toolbox.is_empty(), "--toolbox"),
    ];
    match given.iter().find(|(is_given, _)| *is_given) {
        None => Ok(()),
        Some((_, name)) => Err(
            Problem::new(format!("{name} is decided by the server that runs the steps"))
                .help(format!("give it to `helve up` there, or leave out {name}")),
        ),
    }
}

impl Run<'_> {
    /// None when the user interrupted it before anything was started.
    async fn start(&mut self, mut order: Order) -> Result<Option<String>> {
        let scratch = tempfile::Builder::new().prefix("helve-run-").tempdir();
        let scratch = scratch.map_err(|error| Problem::io("write to", &std::env::temp_dir(), &error))?;
        let blobs = BlobStore::open(scratch.path()).map_err(|error| Problem::new(error.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let packed = pack_shown(
            &order.path,
            order.ignore_files,
            &blobs,
            &self.display,
            &self.interrupted,
            &stop,
        );
        let packed = match packed.await {
            Err(_) if self.interrupted.is_cancelled() => return Ok(None),
            packed => packed?,
        };
        order.start.target_name = Some(target_name(&packed));
        let mut is_known = self.client.knows(&packed).await?;
        let started = loop {
            order.start.target = Some(match is_known {
                true => packed.id.to_hex(),
                false => match self.send(&packed, &blobs).await? {
                    Some(id) => id,
                    None => return Ok(None),
                },
            });
            match self.client.start(&order.start).await {
                // It has expired between the question and the start.
                Err(error) if error.is_not_found() && is_known => is_known = false,
                started => break started?,
            }
        };
        self.display.note(&format!(
            "run {}: {}, {}",
            clean(&started.run_id),
            count(packed.files, "file"),
            bytes(packed.bytes)
        ));
        Ok(Some(started.run_id))
    }

    /// Uploads it; none when the user interrupted that.
    async fn send(&self, packed: &Packed, blobs: &BlobStore) -> Result<Option<String>> {
        let size = packed.packed_bytes;
        let spinner = self.display.spinner(&format!("sending {}", bytes(size)));
        let progress = |there: u64| {
            spinner.message(match there < size {
                true => format!("sending {} of {}", bytes(there), bytes(size)),
                false => "the server unpacks it".to_owned(),
            });
        };
        tokio::select! {
            id = self.client.push(packed, blobs, &progress) => Ok(Some(id?)),
            () = self.interrupted.cancelled() => Ok(None),
        }
    }

    /// Follows it to its end; false when the user interrupted that.
    async fn follow(&mut self, run_id: &str) -> Result<bool> {
        let (sender, mut news) = mpsc::channel(EVENT_BUFFER);
        let mut events = self.client.events(run_id);
        // In a task of its own: what is heard must not wait for the display, nor be dropped half-way.
        let _listener = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let heard = match events.next().await {
                    Ok(None) => return,
                    Ok(Some(heard)) => Ok(heard),
                    Err(error) => Err(error),
                };
                let is_last = heard.is_err();
                if sender.send(heard).await.is_err() || is_last {
                    return;
                }
            }
        }));
        let mut clock = interval(CLOCK);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_away = false;
        loop {
            tokio::select! {
                heard = news.recv() => match heard {
                    None => return Ok(true),
                    Some(Ok(Heard::Event(event))) => {
                        is_away = false;
                        self.display.told(&event);
                    }
                    Some(Ok(Heard::Broken(reason))) => {
                        if !std::mem::replace(&mut is_away, true) {
                            self.display.note(&format!("{}; trying again", clean(&reason)));
                        }
                    }
                    Some(Err(error)) => return Err(self.lost(run_id, error)),
                },
                () = self.interrupted.cancelled() => return Ok(false),
                _ = clock.tick() => self.display.look_at_the_clock(),
            }
        }
    }

    fn lost(&self, run_id: &str, error: Error) -> Problem {
        match error {
            Error::Unreachable { .. } => Problem::from(error)
                .detail(format!("run {run_id} goes on there"))
                .help(format!("follow it again with: {}", self.resume(run_id))),
            error => error.into(),
        }
    }

    fn left_behind(&self, run_id: &str) -> String {
        format!(
            "the run goes on at {}. Follow it again with: {}\nStop it with: helve runs cancel {run_id}",
            self.client.server(),
            self.resume(run_id)
        )
    }

    fn resume(&self, run_id: &str) -> String {
        match &self.app.global.server.server {
            Some(_) => format!("helve run --resume {run_id} --server {}", self.client.server()),
            None => format!("helve run --resume {run_id}"),
        }
    }
}
