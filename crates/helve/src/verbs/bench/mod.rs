//! `helve bench`: how much this machine can take. An engine of its own, in a folder of its own, is given jobs by the
//! hundred, and more and more local workers to do them.

mod place;
mod round;
mod summary;
mod usage;
mod workers;

use std::time::Instant;

use helve_toolbox::run::{PlanInput, RunInput};
use serde_json::json;

use crate::app::App;
use crate::cli::{BenchArgs, EngineChoice};
use crate::connect::Session;
use crate::embedded::{Sharing, bind_grpc};
use crate::errors::{INTERRUPTED, Problem, Result};
use crate::render::count;
use crate::signals;
use crate::terminal::{Style, eprint_line, print, print_json};
use place::Place;
use round::{Job, Round};
use workers::Workers;

/// The workflow that a job runs: plan, one step with a workspace, report. Its target is one small file.
const WORKFLOW: &str = "secrets-scan";
/// Jobs before those that count, per worker: each loads its module and connects.
const WARM_UP: usize = 3;

/// Runs the verb and returns the exit code.
pub(crate) async fn bench(app: &App, args: &BenchArgs) -> Result<u8> {
    if app.global.engine != EngineChoice::Embedded {
        return Err(Problem::new("`helve bench` measures the embedded engine")
            .help("leave out --engine; a server that others use is no place for such a load"));
    }
    let interrupted = signals::listen();
    let place = Place::make(&app.data_dir()?)?;
    let rounds = tokio::select! {
        () = interrupted.cancelled() => {
            eprint_line("interrupted; what was measured so far is not shown, and nothing is left behind");
            return Ok(INTERRUPTED);
        }
        rounds = measure(app, args, &place) => rounds?,
    };
    if app.global.json {
        print_json(&json!({
            "cores": usage::cores(),
            "rounds": rounds.iter().map(Round::json).collect::<Vec<_>>(),
            "workers_fed": summary::workers_fed(&rounds),
        }));
    } else {
        print(&summary::text(&rounds, Style::stdout()));
    }
    Ok(0)
}

async fn measure(app: &App, args: &BenchArgs, place: &Place) -> Result<Vec<Round>> {
    let session = app.session(place.data(), "helve bench", Sharing::Brief).await?;
    let rounds = with_engine(app, args, place, &session).await;
    session.close().await;
    rounds
}

async fn with_engine(app: &App, args: &BenchArgs, place: &Place, session: &Session) -> Result<Vec<Round>> {
    let Some(engine) = session.owned() else {
        return Err(Problem::new("the engine of the measurement is not this process's"));
    };
    let address = engine.serve_grpc(bind_grpc(([127, 0, 0, 1], 0).into()).await?, None, None);
    let job = Job {
        client: session.client.clone(),
        input: job_input(app, place).await?,
        workflow: WORKFLOW,
    };
    let end = Instant::now() + args.time_limit.duration();
    let mut rounds: Vec<Round> = Vec::new();
    for &workers in &args.workers {
        let mut pool = Workers::start(address, place.data(), workers.get()).await?;
        round::run(&job, WARM_UP * workers.get(), &pool, place).await?;
        for &jobs in &args.jobs {
            if Instant::now() >= end {
                eprint_line("the time is up: the rounds that are left are not measured (--time-limit)");
                return Ok(rounds);
            }
            eprint_line(&format!(
                "{} through {} ...",
                count(jobs.get() as u64, "job"),
                count(workers.get() as u64, "worker")
            ));
            rounds.push(round::run(&job, jobs.get(), &pool, place).await?);
        }
        pool.stop().await;
    }
    Ok(rounds)
}

async fn job_input(app: &App, place: &Place) -> Result<RunInput> {
    let pinned = app.toolbox.pin(&PlanInput {
        workflow: WORKFLOW.to_owned(),
        parameters: Default::default(),
    });
    let pinned = pinned.map_err(|error| Problem::new(format!("`{WORKFLOW}` cannot be run: {error}")))?;
    Ok(RunInput {
        target: Some(place.target(app.blobs(place.data())?).await?),
        parameters: pinned.parameters,
        plan: Some(pinned.plan),
    })
}
