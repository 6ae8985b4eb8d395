//! `helve workers`: which workers there are, and what they carry.

use helve_runs::Worker;
use serde_json::json;

use crate::app::App;
use crate::errors::Result;
use crate::place::Place;
use crate::render::workers as render;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn workers(app: &App) -> Result<u8> {
    let view = Place::with(app, "helve workers", async |place| place.workers().await).await?;
    match app.global.json {
        true => print_json(&json!({
            "workers": view.workers.iter().map(Worker::to_json).collect::<Vec<_>>(),
            "verticals_without_worker": view.missing,
        })),
        false => print(&render::workers(&view.workers, &view.missing, Style::stdout())),
    }
    Ok(0)
}
