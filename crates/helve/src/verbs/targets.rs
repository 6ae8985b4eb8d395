//! `helve targets`.

use helve_blobs::{BlobId, BlobStore};
use serde_json::json;
use tokio::task::block_in_place;

use crate::app::App;
use crate::cli::TargetsVerb;
use crate::client::{Client, from_payload};
use crate::embedded::Sharing;
use crate::errors::{Problem, Result, refused};
use crate::render::storage::{self, Target};
use crate::result::{MEMO_TARGET_FACTS, TargetFacts};
use crate::retention::Sweeper;
use crate::terminal::{Style, print, print_json};

/// Digits that must be given at least: fewer would name another target tomorrow.
const LEAST_DIGITS: usize = 4;

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
            let target = find(&collect(&blobs)?, &target)?;
            let runs = runs_on(client, &target.blob.id).await?;
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
            let found: Vec<Target> = targets.iter().map(|text| find(&known, text)).collect::<Result<_>>()?;
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
    block_in_place(|| {
        let mut targets: Vec<Target> = blobs
            .list()
            .map_err(|error| Problem::new(error.to_string()))?
            .into_iter()
            .filter(|blob| blob.is_target)
            .map(|blob| Target {
                blob,
                manifest: blobs.target(&blob.id),
            })
            .collect();
        targets.sort_by_key(|target| std::cmp::Reverse(target.blob.used));
        Ok(targets)
    })
}

/// The target whose id begins so.
fn find(targets: &[Target], text: &str) -> Result<Target> {
    let wanted = text.to_ascii_lowercase();
    let mut found = targets
        .iter()
        .filter(|target| target.blob.id.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        _ if wanted.len() < LEAST_DIGITS => Err(Problem::new(format!("`{text}` is too short to name a target"))
            .help(format!("give {LEAST_DIGITS} digits of its id at least"))),
        (Some(target), None) => Ok(target.clone()),
        (Some(_), Some(_)) => {
            Err(Problem::new(format!("several targets begin with `{text}`")).help("give more digits of the id"))
        }
        (None, _) => Err(Problem::new(format!("there is no target `{text}`")).help(
            "`helve targets list` shows those of this data directory; --data-dir and --blobs choose another place",
        )),
    }
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

/// The runs that scanned a target, newest first.
async fn runs_on(client: &Client, id: &BlobId) -> Result<Vec<String>> {
    let (mut runs, mut token) = (Vec::new(), Vec::new());
    loop {
        let page = client.list(token).await;
        let (page, next) = page.map_err(|status| refused("cannot list the runs", &status))?;
        runs.extend(page.into_iter().filter_map(|info| {
            let memo = info.memo?;
            let facts: TargetFacts = from_payload(memo.fields.get(MEMO_TARGET_FACTS)?)?;
            (facts.id == id.to_hex()).then(|| info.execution.unwrap_or_default().workflow_id)
        }));
        if next.is_empty() {
            return Ok(runs);
        }
        token = next;
    }
}
