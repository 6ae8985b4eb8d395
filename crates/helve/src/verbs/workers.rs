//! `helve workers`: which workers there are, and what they carry.

use helve_runs::{Worker, unserved};
use serde_json::json;
use tonic::Code;

use crate::app::App;
use crate::embedded::Sharing;
use crate::errors::{Problem, Result, refused};
use crate::render::workers as render;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn workers(app: &App, json: bool) -> Result<u8> {
    let data = app.data_dir()?;
    let session = app.session(&data, "helve workers", Sharing::Brief).await?;
    let workers = helve_runs::workers(&session.client).await;
    session.close().await;
    let workers = workers.map_err(|status| match status.code() {
        Code::Unimplemented => Problem::new("this server keeps no register of workers"),
        _ => refused("the workers cannot be listed", &status),
    })?;
    let missing = unserved(&app.toolbox, &workers);
    match json {
        true => print_json(&json!({
            "workers": workers.iter().map(Worker::to_json).collect::<Vec<_>>(),
            "verticals_without_worker": missing,
        })),
        false => print(&render::workers(&workers, &missing, Style::stdout())),
    }
    Ok(0)
}
