//! `helve targets`.

use helve_runs::Target;
use serde_json::json;

use crate::app::App;
use crate::cli::TargetsVerb;
use crate::errors::Result;
use crate::place::Place;
use crate::render::storage;
use crate::retention::Sweeper;
use crate::terminal::{Style, print, print_json};

pub(crate) async fn targets(app: &App, verb: TargetsVerb) -> Result<u8> {
    Place::with(app, "helve targets", async |place| dispatch(app, place, verb).await).await
}

async fn dispatch(app: &App, place: &Place<'_>, verb: TargetsVerb) -> Result<u8> {
    let json = app.global.json;
    match verb {
        TargetsVerb::List => {
            let targets = place.targets().await?;
            match json {
                true => print_json(&json!(targets.iter().map(Target::to_json).collect::<Vec<_>>())),
                false if targets.is_empty() => print("no targets yet; `helve run WORKFLOW TARGET` packs one\n"),
                false => print(&storage::targets(&targets, Style::stdout())),
            }
        }
        TargetsVerb::Show { target } => {
            let target = place.target(&target).await?;
            let runs = place.runs_on(&target).await?;
            match json {
                true => {
                    let mut value = target.to_json();
                    value["runs"] = json!(runs);
                    print_json(&value);
                }
                false => print(&storage::target(&target, &runs)),
            }
        }
        TargetsVerb::Remove { targets, force } => {
            let known = place.targets().await?;
            // All are found before any is removed.
            let found: Vec<Target> = targets
                .iter()
                .map(|text| helve_runs::find_target(&known, text))
                .collect::<Result<_, _>>()?;
            place.remove_targets(&found, force).await?;
            match json {
                true => print_json(&json!(found.iter().map(Target::to_json).collect::<Vec<_>>())),
                false => found
                    .iter()
                    .for_each(|target| print(&format!("removed {}\n", target.blob.id))),
            }
        }
        TargetsVerb::Prune { keep, dry_run } => {
            let here = place.here("`helve targets prune`")?;
            let client = here.session().await?.client.clone();
            let mut sweeper = Sweeper::new(client, here.blobs().await?.clone(), keep.into());
            let swept = sweeper.sweep(dry_run).await?;
            match json {
                true => print_json(&storage::swept_json(&swept, dry_run)),
                false => print(&storage::swept(&swept, dry_run)),
            }
        }
    }
    Ok(0)
}
