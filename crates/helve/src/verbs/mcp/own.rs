//! A server of this process's own, for an assistant on a data directory that nobody serves: the same API as `helve up` has, on
//! loopback, with its token.

use clap::Parser;
use helve_client::Client;
use helve_worker::WorkerHandle;

use super::refuse_engine;
use crate::app::App;
use crate::cli::{Cli, UpArgs, Verb};
use crate::connect::Session;
use crate::embedded::{Owned, Sharing, in_use};
use crate::errors::{Problem, Result};
use crate::http::{Door, Http, Parts, bind_http, bind_owner};
use crate::server::{self, Places, Served};
use crate::verbs::up::DRAIN_GRACE;

pub(super) struct Own {
    pub(super) client: Client,
    door: Door,
    http: Http,
    worker: WorkerHandle,
    session: Session,
    _served: Served,
}

/// As if somebody had typed it: options that `helve up` has keep their defaults.
fn options() -> Result<UpArgs> {
    let line = ["helve", "up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    match Cli::try_parse_from(line).map(|cli| cli.verb) {
        Ok(Verb::Up(args)) => Ok(*args),
        _ => Err(Problem::new("the options of `helve up` have changed")),
    }
}

impl Own {
    pub(super) async fn start(app: &App) -> Result<Self> {
        refuse_engine(app)?;
        let args = options()?;
        let data = app.data_dir()?;
        let blobs = app.blobs(&data)?;
        let session = app.session_in(&data, "helve mcp", Sharing::Shared, None).await?;
        if session.is_attached() {
            return Err(in_use(&data).help("`helve up --http` serves several at a time, assistants too"));
        }
        let started = async {
            let door = Door::open(&data).await?;
            let parts = Parts {
                client: session.client.clone(),
                engine: session.engine.clone(),
                blobs: blobs.clone(),
                toolbox: app.shelf.clone(),
                door: door.clone(),
                tls: None,
                name: None,
                metrics: app.metrics.clone(),
                engine_check: session.owned().map(Owned::check),
                notes: None,
                mesh: None,
            };
            let (way, owner) = (bind_http(&args.http, false).await?, bind_owner(&data));
            let http_socket = owner.is_some().then(|| data.http_socket());
            let http = Http::start(&args.http, &args.oidc, &data, way, owner, parts)?;
            let places = Places {
                http: Some(http.near()),
                http_socket,
                grpc: None,
                mesh: None,
            };
            let served = Served::announce(&data, &places);
            let served = served.map_err(|error| Problem::io("write", &data.served_note(), &error))?;
            let tuning = app.staying(&args.worker, DRAIN_GRACE)?;
            let worker = app.worker(&session, &data, blobs, tuning).await?;
            let client = server::local(app)?.ok_or_else(|| Problem::new("the server of this process is not found"))?;
            Ok((client, door, http, worker, served))
        };
        match started.await {
            Ok((client, door, http, worker, served)) => Ok(Self {
                _served: served,
                client,
                door,
                http,
                worker,
                session,
            }),
            Err(problem) => {
                session.close().await;
                Err(problem)
            }
        }
    }

    pub(super) async fn close(self) {
        self.http.close().await;
        self.worker.drain().await;
        self.session.close().await;
        self.door.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_its_own_is_on_loopback_and_on_any_port() {
        let args = options().unwrap();
        let address = args.http.http;
        assert!(address.ip().is_loopback() && address.port() == 0);
    }
}
