//! Serves an engine on a port: `serve DATA_DIR [ADDRESS [EVENTS]]`. For trying SDKs against the engine alone; users run
//! `helve up`. EVENTS is the length of a history from which on workers are advised to continue as new.

use std::error::Error;

use helve_engine::{Engine, EngineOptions, Limits};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(filter) = std::env::var("HELVE_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("usage: serve DATA_DIR [ADDRESS [EVENTS]]")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let mut limits = Limits::default();
    if let Some(events) = arguments.next() {
        limits.history_count_suggest = events.parse()?;
    }
    let engine = Engine::open(EngineOptions {
        role: "serve".to_owned(),
        limits,
        ..EngineOptions::new(dir)
    })
    .await?;
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?.to_string();
    engine.announce(&address)?;
    println!("{address}");
    let stopped = async {
        // An error means that there is no way to be told to stop but to be killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        engine.shutdown().await;
    };
    engine.serve_tcp(listener, stopped).await?;
    Ok(())
}
