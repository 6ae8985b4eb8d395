//! `helve run`: pack, start, follow, report.

mod there;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use helve_blobs::{BlobStore, Control, PackError, PackOptions, Packed, pack};
use helve_findings::Baseline;
use helve_runs::{RunHistory, RunResult, TargetFacts, facts_in, new_run_id, verticals};
use helve_toolbox::run::PlanOutput;
use helve_worker::{Roles, StepEvent, WorkerHandle, store_pinned};
use temporalio_client::tonic::{Code, Status};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::counting::{Known, apply};
use super::export::check_destinations;
use super::follow::follow;
use super::parameters;
use super::report;
use crate::app::{App, Tuning};
use crate::cli::RunArgs;
use crate::connect::Session;
use crate::embedded::Sharing;
use crate::errors::{INTERRUPTED, Problem, Result, refused};
use crate::paths::DataDir;
use crate::place;
use crate::progress::{Display, Mode};
use crate::render::{bytes, count};
use crate::signals;
use crate::terminal::{Style, clean, eprint_line};

/// A step that is interrupted has this long to end by itself before it is given back.
const INTERRUPT_GRACE: Duration = Duration::from_millis(500);
/// Step events that wait for the display. When it is full, progress is lost, and starts and ends wait.
const EVENT_BUFFER: usize = 1024;
/// Open runs that are named at the end; more would hide the findings.
const OTHERS_MENTIONED: usize = 5;
/// How often the packing spinner is told how far it is.
const PACKING_NEWS: Duration = Duration::from_millis(100);

/// Runs the verb and returns the exit code.
pub(crate) async fn run(app: &App, args: RunArgs) -> Result<u8> {
    if let Some(client) = &app.server {
        return there::run(app, client, &args).await;
    }
    // Whatever can be refused is refused before anything is opened.
    let order = match (&args.resume, &args.workflow, &args.target) {
        (None, Some(workflow), Some(target)) => Some(Order {
            plan: parameters::pin(app, workflow, &args)?,
            target: existing(target)?,
            timeout: args.timeout.map(|timeout| timeout.duration()),
            ignore_files: !args.no_ignore,
        }),
        _ => None,
    };
    check_destinations(args.sarif.as_deref(), &args.export)?;
    let known = Known::new(&args.counting)?;
    let interrupted = signals::listen();
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let mut run = Run {
        app,
        role: format!(
            "helve run {}",
            args.resume.as_deref().or(args.workflow.as_deref()).unwrap_or_default()
        ),
        display: Display::new(Mode::choose(args.quiet, Style::stderr()), Style::stderr()),
        data,
        blobs,
        interrupted,
        modules: order.iter().flat_map(Order::modules).collect(),
        known,
        baseline: None,
    };
    match order {
        Some(order) => run.start(order, &args).await,
        None => run.resume(&args).await,
    }
}

/// What is to be run.
struct Order {
    plan: PlanOutput,
    target: PathBuf,
    timeout: Option<Duration>,
    ignore_files: bool,
}

impl Order {
    /// The modules that its steps use.
    fn modules(&self) -> BTreeSet<String> {
        self.plan.plan.plan.steps.iter().map(|step| step.uses.clone()).collect()
    }
}

/// The command while it runs.
struct Run<'a> {
    app: &'a App,
    role: String,
    data: DataDir,
    blobs: BlobStore,
    display: Display,
    interrupted: CancellationToken,
    /// What the plan uses.
    modules: Vec<String>,
    /// The baseline as it was named, until it is loaded.
    known: Known,
    baseline: Option<Baseline>,
}

/// An open engine with a worker, if one is needed.
struct Open {
    session: Session,
    worker: Option<(WorkerHandle, mpsc::Receiver<StepEvent>)>,
}

impl Open {
    /// The worker first: it reports what it gives back.
    async fn close(self) {
        if let Some((worker, mut events)) = self.worker {
            // Nobody shows events any more; closing lets senders go on.
            events.close();
            worker.drain().await;
        }
        self.session.close().await;
    }
}

impl Run<'_> {
    async fn start(&mut self, order: Order, args: &RunArgs) -> Result<u8> {
        let stop_packing = Arc::new(AtomicBool::new(false));
        let opening = async {
            let opened = self.open().await;
            if opened.is_err() {
                stop_packing.store(true, Ordering::Relaxed);
            }
            opened
        };
        let packing = self.pack(&order, &stop_packing);
        let (opened, packed) = tokio::join!(opening, packing);
        let mut open = opened?;
        if let Err(problem) = self.load_baseline(&open).await {
            open.close().await;
            return Err(problem);
        }
        let packed = match packed {
            Ok(packed) => packed,
            Err(problem) => {
                open.close().await;
                return if self.interrupted.is_cancelled() {
                    Ok(INTERRUPTED)
                } else {
                    Err(problem)
                };
            }
        };
        let stored = tokio::task::block_in_place(|| store_pinned(&self.app.toolbox, &order.plan.plan, &self.blobs));
        if let Err(error) = stored {
            open.close().await;
            return Err(Problem::new(format!("the workflow cannot be stored: {error}")));
        }
        let (run_id, facts) = (new_run_id(&order.plan.plan.workflow), TargetFacts::new(&packed));
        let order = helve_runs::Order::new(order.plan, Some(&facts), order.timeout);
        if let Err(error) = self.data.grants().give(&run_id, &order.input.parameters) {
            open.close().await;
            return Err(Problem::io("write to", self.data.root(), &error));
        }
        let outcome = loop {
            match order.start(&open.session.client, &run_id).await {
                Err(status) if holder_left(&open.session, &status) => open = self.open().await?,
                outcome => break outcome,
            }
        };
        if let Err(status) = outcome {
            open.close().await;
            return Err(refused(&format!("cannot start workflow `{}`", order.workflow), &status));
        }
        self.display.note(&format!(
            "run {run_id}: {}, {}",
            count(packed.files, "file"),
            bytes(packed.bytes)
        ));
        self.finish(open, &run_id, Some(facts), args).await
    }

    async fn resume(&mut self, args: &RunArgs) -> Result<u8> {
        let run_id = args.resume.clone().unwrap_or_default();
        let mut open = self.open().await?;
        if let Err(problem) = self.load_baseline(&open).await {
            open.close().await;
            return Err(problem);
        }
        let described = loop {
            match open.session.client.describe(&run_id).await {
                Err(status) if holder_left(&open.session, &status) => open = self.open().await?,
                described => break described,
            }
        };
        match described {
            Ok(description) => {
                let info = description.workflow_execution_info.unwrap_or_default();
                self.finish(open, &run_id, facts_in(info.memo.as_ref()), args).await
            }
            Err(status) => {
                open.close().await;
                Err(place::of_run(&run_id)(status))
            }
        }
    }

    /// Looks the baseline up while nothing has been started.
    async fn load_baseline(&mut self, open: &Open) -> Result<()> {
        let known = std::mem::replace(&mut self.known, Known::None);
        let result = async |run_id: &str| place::result(&open.session, &self.blobs, run_id).await;
        self.baseline = known.load(result).await?;
        Ok(())
    }

    /// Opens the engine, and starts a worker unless another process has one.
    async fn open(&self) -> Result<Open> {
        let session = self.app.session(&self.data, &self.role, Sharing::Shared).await?;
        if !session.needs_worker() {
            if self.app.global.sandbox.is_some_and(|sandbox| sandbox.require.is_some()) {
                session.close().await;
                return Err(Problem::new(
                    "the tools of this run are started by the process that has the data directory open",
                )
                .help("give `--sandbox` to that one; `helve runs show` says at which level each step ran"));
            }
            if !self.app.global.allow_read.is_empty() {
                session.close().await;
                return Err(Problem::new(
                    "the steps of this run are run by the process that has the data directory open",
                )
                .help(
                    "give `--allow-read` to that one, or name absolute paths in `--param`: this run may read those",
                ));
            }
            if !self.app.global.web.allow_http.is_empty() || !self.app.global.web.allow_secret.is_empty() {
                session.close().await;
                return Err(Problem::new(
                    "HTTP requests of this run are sent by the process that has the data directory open",
                )
                .help("give `--allow-http` and `--allow-secret` to that one"));
            }
            return Ok(Open { session, worker: None });
        }
        let (sender, events) = mpsc::channel(EVENT_BUFFER);
        let tuning = Tuning {
            concurrency: None,
            drain_grace: INTERRUPT_GRACE,
            events: Some(sender),
            roles: Roles::ALL,
            verticals: verticals(&self.app.toolbox),
            stays: false,
            preload: self.modules.clone(),
        };
        match self.app.worker(&session, &self.data, self.blobs.clone(), tuning).await {
            Ok(worker) => Ok(Open {
                session,
                worker: Some((worker, events)),
            }),
            Err(problem) => {
                session.close().await;
                Err(problem)
            }
        }
    }

    async fn pack(&self, order: &Order, stop: &Arc<AtomicBool>) -> Result<Packed> {
        pack_shown(
            &order.target,
            order.ignore_files,
            &self.blobs,
            &self.display,
            &self.interrupted,
            stop,
        )
        .await
    }

    /// Follows the run and presents its result.
    async fn finish(&mut self, mut open: Open, run_id: &str, facts: Option<TargetFacts>, args: &RunArgs) -> Result<u8> {
        let followed = self.follow(&mut open, run_id).await;
        self.display.finish();
        let engine = open.session.engine.clone();
        let outcome = match followed {
            Ok(Some(history)) => {
                self.data.grants().end(run_id);
                self.mention_others(&open.session, run_id).await;
                RunResult::collect(run_id, engine, &history, facts, &self.blobs)
                    .map_err(Problem::from)
                    .and_then(|mut result| {
                        apply(&mut result, &args.counting, self.baseline.as_ref());
                        report::present(&result, args, self.app.global.json)
                    })
            }
            Ok(None) => {
                if !args.quiet {
                    eprint_line(&format!(
                        "stopping; the run is kept. Go on with: helve run --resume {run_id}"
                    ));
                }
                Ok(INTERRUPTED)
            }
            Err(problem) => Err(problem),
        };
        open.close().await;
        outcome
    }

    /// Runs that this process helped along stop when it leaves.
    async fn mention_others(&self, session: &Session, run_id: &str) {
        if session.owned().is_none() {
            return;
        }
        let open = helve_runs::list(&session.client, OTHERS_MENTIONED, true, false)
            .await
            .unwrap_or_default();
        for run in open.iter().filter(|run| run.run_id != run_id) {
            self.display.note(&format!(
                "run {0} is not finished; go on with: helve run --resume {0}",
                clean(&run.run_id)
            ));
        }
    }

    /// None when the user interrupted it.
    async fn follow(&mut self, open: &mut Open, run_id: &str) -> Result<Option<RunHistory>> {
        loop {
            let events = open.worker.as_mut().map(|(_, events)| events);
            let status = tokio::select! {
                () = self.interrupted.cancelled() => return Ok(None),
                reason = open.session.cannot_write() => {
                    return Err(Problem::new(format!("run {run_id} cannot go on: {reason}"))
                        .help(format!("nothing that was finished is lost; then: helve run --resume {run_id}")));
                }
                followed = follow(&open.session.client, run_id, events, &mut self.display) => match followed {
                    Ok(history) => return Ok(Some(history)),
                    Err(status) => status,
                },
            };
            if !holder_left(&open.session, &status) {
                return Err(refused(&format!("lost sight of run {run_id}"), &status).help(format!(
                    "the run is kept; attach again with `helve run --resume {run_id}`"
                )));
            }
            // The process that held the engine has left: take over, and the run goes on here.
            tracing::info!(run_id, "the engine of the other process is gone; taking over");
            *open = self.open().await?;
        }
    }
}

/// Packs a target and shows how far it is.
async fn pack_shown(
    target: &Path,
    ignore_files: bool,
    blobs: &BlobStore,
    display: &Display,
    interrupted: &CancellationToken,
    stop: &Arc<AtomicBool>,
) -> Result<Packed> {
    let spinner = display.spinner(&format!("packing {}", target.display()));
    let (files, sent) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let work = {
        let (path, blobs, stop, files, sent) = (
            target.to_owned(),
            blobs.clone(),
            Arc::clone(stop),
            Arc::clone(&files),
            Arc::clone(&sent),
        );
        let options = PackOptions {
            ignore_files,
            ..PackOptions::default()
        };
        tokio::task::spawn_blocking(move || {
            let progress = |progress: helve_blobs::Progress| {
                files.fetch_max(progress.files, Ordering::Relaxed);
                sent.store(progress.transferred, Ordering::Relaxed);
            };
            pack(&path, &options, &blobs, &Control::new(&progress, &stop))
        })
    };
    tokio::pin!(work);
    loop {
        tokio::select! {
            packed = &mut work => {
                return packed
                    .map_err(|error| Problem::new(format!("packing {} failed: {error}", target.display())))?
                    .map_err(cannot_pack);
            }
            () = interrupted.cancelled(), if !stop.load(Ordering::Relaxed) => stop.store(true, Ordering::Relaxed),
            () = tokio::time::sleep(PACKING_NEWS) => {
                let packed = count(files.load(Ordering::Relaxed), "file");
                spinner.message(match sent.load(Ordering::Relaxed) {
                    0 => format!("packing {}: {packed}", target.display()),
                    sent => format!("sending {}: {}", target.display(), bytes(sent)),
                });
            }
        }
    }
}

/// The process that had the engine is gone, so whoever is attached to it may take over.
fn holder_left(session: &Session, status: &Status) -> bool {
    session.is_attached() && matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled)
}

fn existing(target: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(target).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Problem::new(format!("no such file or directory: {}", target.display()))
            .help("TARGET is the directory or file to scan"),
        _ => Problem::io("read", target, &error),
    })
}

fn cannot_pack(error: PackError) -> Problem {
    let problem = Problem::new(error.to_string());
    match error {
        PackError::Cancelled => Problem::new("packing was interrupted; nothing was started"),
        _ => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_target_is_named() {
        let error = existing(Path::new("no/such/place")).unwrap_err().to_string();
        assert_eq!(
            error,
            "error: no such file or directory: no/such/place\n help: TARGET is the directory or file to scan"
        );
    }
}
