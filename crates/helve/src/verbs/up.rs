//! `helve up`: engine and worker until somebody asks to stop.

use std::time::Duration;

use helve_worker::WorkerHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::staying;
use crate::app::App;
use crate::cli::{EngineChoice, UpArgs};
use crate::embedded::{Owned, Sharing, in_use};
use crate::errors::Result;
use crate::http::{Http, Parts};
use crate::render::count;
use crate::rest;
use crate::retention::Sweeper;
use crate::signals;
use crate::terminal::{eprint_line, print_json_line};

/// How long steps may go on after the first Ctrl-C.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn up(app: &App, args: &UpArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let tuning = app.staying(&args.worker, DRAIN_GRACE)?;
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve up", Sharing::Shared).await?;
    if session.is_attached() {
        return Err(in_use(&data));
    }
    let address = match session.owned() {
        Some(engine) => match engine.serve_grpc(args.grpc).await {
            Ok(address) => Some(address),
            Err(problem) => {
                session.close().await;
                return Err(problem);
            }
        },
        None => None,
    };
    let http = match args.http.http {
        None => None,
        Some(address) => {
            let parts = Parts {
                client: session.client.clone(),
                engine: session.engine.clone(),
                blobs: blobs.clone(),
                toolbox: app.shelf.clone(),
            };
            match Http::start(&args.http, address, &data, parts).await {
                Ok(http) => Some(http),
                Err(problem) => {
                    session.close().await;
                    return Err(problem);
                }
            }
        }
    };
    let (store, sweeper) = (
        blobs.name(),
        Sweeper::new(session.client.clone(), blobs.clone(), args.keep.into()),
    );
    let worker = match args.no_worker {
        true => Ok(None),
        false => app.worker(&session, &data, blobs, tuning).await.map(Some),
    };
    let mut worker = match worker {
        Ok(worker) => worker,
        Err(problem) => {
            session.close().await;
            return Err(problem);
        }
    };
    match (&app.global.engine, address) {
        (EngineChoice::Embedded, Some(address)) => {
            eprint_line(&format!(
                "engine   temporal://{address} (any Temporal client; `helve run --engine temporal://{address}`)"
            ));
        }
        (engine, _) => eprint_line(&format!("engine   {engine}")),
    }
    eprint_line(&format!("data     {}", data.root().display()));
    if !app.is_local(&data) {
        eprint_line(&format!("blobs    {store}"));
    }
    if let Some(open) = session.owned().map(Owned::recovered).filter(|open| *open > 0) {
        eprint_line(&format!("runs     {} under way go on", count(open as u64, "run")));
    }
    let announced = match &http {
        Some(http) => http.announce(&data).await,
        None => Ok(()),
    };
    eprint_line(match worker {
        Some(_) => "worker   ready; Ctrl-C stops after the running steps",
        None => "worker   none here (--no-worker); Ctrl-C stops the engine",
    });
    if app.global.json {
        // For programs, which need the ports: when this line has come, everything that it names is served.
        print_json_line(&json!({
            "event": "ready",
            "engine": session.engine,
            "grpc": address.map(|address| address.to_string()),
            "http": http.as_ref().map(Http::url),
            "data_dir": data.root(),
            "worker": worker.is_some(),
        }));
    }
    super::catalog::say_problems(&app.problems);
    let sweeping = AbortOnDropHandle::new(tokio::spawn(sweeper.keep_on(args.expire_every.duration())));
    tokio::spawn(rest::after_the_start());
    let served = match (announced, &mut worker) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Some(worker)) => work(app, args, worker, &interrupted).await,
        (Ok(()), None) => {
            interrupted.cancelled().await;
            Ok(())
        }
    };
    drop(sweeping);
    if let Some(http) = http {
        http.close().await;
    }
    if let Some(worker) = worker {
        worker.drain().await;
    }
    session.close().await;
    served.map(|()| 0)
}

/// Serves with the worker of this process until somebody asks to stop.
async fn work(app: &App, args: &UpArgs, worker: &mut WorkerHandle, interrupted: &CancellationToken) -> Result<()> {
    let _health = staying::health(&args.worker, worker).await?;
    staying::serve(app, &args.worker, worker, interrupted.cancelled()).await?;
    eprint_line("stopping: running steps have 10 s to finish; Ctrl-C again leaves at once");
    Ok(())
}
