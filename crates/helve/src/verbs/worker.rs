//! `helve worker`: a worker for an engine that runs elsewhere, until somebody asks to stop.

use serde_json::json;

use super::up::DRAIN_GRACE;
use super::{catalog, staying};
use crate::app::App;
use crate::cli::WorkerArgs;
use crate::embedded::Sharing;
use crate::errors::{Problem, RECYCLED, Result};
use crate::recycling::Recycling;
use crate::render::count;
use crate::rest;
use crate::signals;
use crate::terminal::{eprint_line, print_json_line};

pub(crate) async fn worker(app: &App, args: &WorkerArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let tuning = app.staying(&args.worker, DRAIN_GRACE)?;
    let recycling = Recycling::new(args)?;
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve worker", Sharing::Brief).await?;
    if session.owned().is_some() {
        session.close().await;
        return Err(Problem::new("no engine runs on this data directory")
            .help("start `helve up` on it first, or name a server with --engine temporal://HOST:PORT"));
    }
    let (served, verticals) = (tuning.verticals.clone(), tuning.verticals.join(", "));
    let store = blobs.name();
    let mut worker = app.worker(&session, &data, blobs, tuning).await?;
    eprint_line(&format!("engine   {}", session.engine));
    eprint_line(&format!("data     {}", data.root().display()));
    if !app.is_local(&data) {
        eprint_line(&format!("blobs    {store}"));
    }
    eprint_line(&format!(
        "worker   ready for {verticals}; Ctrl-C stops after the running steps"
    ));
    catalog::say_problems(&app.problems);
    let health = staying::health(app, &args.worker, &worker).await?;
    if app.global.json {
        print_json_line(&json!({
            "event": "ready",
            "identity": session.worker_identity(),
            "engine": session.engine,
            "data_dir": data.root(),
            "verticals": served,
            "health": health.as_ref().map(|health| format!("http://{}", health.address)),
        }));
    }
    tokio::spawn(rest::after_the_start());
    let work = worker.work();
    let leave = worker.asked_to_leave();
    let mut due = None;
    let end = async {
        tokio::select! {
            () = interrupted.cancelled() => {}
            () = leave.cancelled() => {}
            reason = recycling.due(&work) => due = Some(reason),
        }
    };
    let served = staying::serve(app, &args.worker, &mut worker, end).await;
    if leave.is_cancelled() {
        eprint_line(&format!(
            "leaving as asked: no new steps, {} running",
            count(work.running() as u64, "step")
        ));
        worker.finish(interrupted.cancelled()).await;
        return served.map(|()| 0);
    }
    let Some(reason) = due else {
        if served.is_ok() {
            eprint_line("stopping: running steps have 10 s to finish; Ctrl-C again leaves at once");
        }
        worker.drain().await;
        return served.map(|()| 0);
    };
    eprint_line(&format!(
        "recycling: {reason}; no new steps, {} running",
        count(work.running() as u64, "step")
    ));
    worker.finish(interrupted.cancelled()).await;
    eprint_line("recycling: done; exit code 75 asks for a fresh start");
    Ok(RECYCLED)
}
