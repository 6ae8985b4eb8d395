//! `helve mcp`: a Helve server for an assistant, on standard input and output.

mod own;

use std::path::PathBuf;

use helve_client::Client;
use helve_mcp::Allowed;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::{EngineChoice, McpArgs};
use crate::errors::{Problem, Result};
use crate::server;
use crate::signals;
use crate::terminal::eprint_line;
use own::Own;

pub(crate) async fn mcp(app: &App, args: McpArgs) -> Result<u8> {
    let interrupted = signals::listen();
    let allowed = Allowed {
        runs: !args.read_only,
        triage: args.allow_triage,
        scan: args.allow_scan.iter().map(folder).collect::<Result<_>>()?,
    };
    let client = match &app.server {
        Some(client) => Some(client.clone()),
        None => server::local(app)?,
    };
    let Some(client) = client else {
        let own = Own::start(app).await?;
        let outcome = serve(own.client.clone(), allowed, &interrupted).await;
        own.close().await;
        return outcome.map(|()| 0);
    };
    // Better now than in the middle of a talk.
    client.me().await?;
    serve(client, allowed, &interrupted).await.map(|()| 0)
}

async fn serve(client: Client, allowed: Allowed, interrupted: &CancellationToken) -> Result<()> {
    // Standard output is the protocol's.
    eprint_line(&format!("mcp      {} on standard input and output", client.server()));
    tokio::select! {
        served = helve_mcp::serve(client, allowed, tokio::io::stdin(), tokio::io::stdout()) => {
            served.map_err(|error| Problem::new(format!("the assistant does not speak the protocol: {error}")))
        }
        () = interrupted.cancelled() => Ok(()),
    }
}

/// A folder that the assistant may have scanned, by its real place.
fn folder(dir: &PathBuf) -> Result<PathBuf> {
    std::fs::canonicalize(dir).map_err(|error| Problem::io("find", dir, &error))
}

/// What this process cannot serve to itself.
fn refuse_engine(app: &App) -> Result<()> {
    match &app.global.engine {
        EngineChoice::Embedded => Ok(()),
        EngineChoice::Temporal { .. } => Err(Problem::new(
            "`helve mcp` works with a Helve server, and --engine names a Temporal server",
        )
        .help("name the Helve server with --server URL")),
    }
}
