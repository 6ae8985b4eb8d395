//! `helve targets`.

use helve_blobs::BlobStore;
use helve_runs::{Client, Target, find_target, runs_on};
use serde_json::json;
use tokio::task::block_in_place;

use crate::app::App;
use crate::cli::TargetsVerb;
use crate::embedded::Sharing;
use crate::errors::{Problem, Result, refused};
use crate::render::storage;
use crate::retention::Sweeper;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn targets(app: &App, verb: TargetsVerb) -> Result<u8> {
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    if let TargetsVerb::List { json } = verb {
        return list(&blobs, json).map(|()| 0);
    }
    let session = app.session(&data, "helve targets", Sharing::Brief).await?;
    let outcome = with_engine(&session.client, blobs, verb).await;
    session.close().await;
    outcome.map(|()| 0)
}

async fn with_engine(client: &Client, blobs: BlobStore, verb: TargetsVerb) -> Result<()> {
    match verb {
        TargetsVerb::List { json } => list(&blobs, json),
        TargetsVerb::Show { target, json } => {
            let target = find_target(&collect(&blobs)?, &target)?;
            let runs = runs_on(client, &target.blob.id).await;
            let runs = runs.map_err(|status| refused("cannot list the runs", &status))?;
            match json {
                true => {
                    let mut value = target.to_json();
                    value["runs"] = json!(runs);
                    print_json(&value);
                }
                false => print(&storage::target(&target, &runs)),
            }
            Ok(())
        }
        TargetsVerb::Remove { targets, force, json } => {
            let known = collect(&blobs)?;
            // All are found before any is removed.
            let found: Vec<Target> = targets
                .iter()
                .map(|text| find_target(&known, text))
                .collect::<Result<_, _>>()?;
            if !force {
                refuse_needed(client, &blobs, &found).await?;
            }
            for target in &found {
                block_in_place(|| blobs.remove(&target.blob.id)).map_err(|error| Problem::new(error.to_string()))?;
                if !json {
                    print(&format!("removed {}\n", target.blob.id));
                }
            }
            if json {
                print_json(&json!(found.iter().map(Target::to_json).collect::<Vec<_>>()));
            }
            Ok(())
        }
        TargetsVerb::Prune { keep, dry_run, json } => {
            let swept = Sweeper::new(client.clone(), blobs, keep.into()).sweep(dry_run).await?;
            match json {
                true => print_json(&storage::swept_json(&swept, dry_run)),
                false => print(&storage::swept(&swept, dry_run)),
            }
            Ok(())
        }
    }
}

fn list(blobs: &BlobStore, json: bool) -> Result<()> {
    let targets = collect(blobs)?;
    match json {
        true => print_json(&json!(targets.iter().map(Target::to_json).collect::<Vec<_>>())),
        false if targets.is_empty() => print("no targets yet; `helve run WORKFLOW TARGET` packs one\n"),
        false => print(&storage::targets(&targets, Style::stdout())),
    }
    Ok(())
}

/// The one that was used last first.
fn collect(blobs: &BlobStore) -> Result<Vec<Target>> {
    block_in_place(|| helve_runs::targets(blobs)).map_err(|error| Problem::new(error.to_string()))
}

async fn refuse_needed(client: &Client, blobs: &BlobStore, targets: &[Target]) -> Result<()> {
    let needed = Sweeper::new(client.clone(), blobs.clone(), Default::default())
        .needed()
        .await?;
    match targets.iter().find(|target| needed.contains(&target.blob.id)) {
        None => Ok(()),
        Some(target) => Err(Problem::new(format!("an open run needs target {}", target.blob.id))
            .help("`helve runs list --open` shows it; cancel it, or remove the target with --force and let it fail")),
    }
}
