//! `helve artifacts`.

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use helve_runs::{Artifact, Client, artifacts as artifacts_of, find_artifact, history_so_far, read_blob};
use serde_json::json;

use super::run::no_such_run;
use crate::app::App;
use crate::cli::ArtifactsVerb;
use crate::embedded::Sharing;
use crate::errors::{Problem, Result};
use crate::render::storage;
use crate::terminal::{Style, clean, eprint_line, print, print_json};

pub(crate) async fn artifacts(app: &App, verb: ArtifactsVerb) -> Result<u8> {
    let data = app.data_dir()?;
    let blobs = app.blobs(&data)?;
    let session = app.session(&data, "helve artifacts", Sharing::Brief).await?;
    let (ArtifactsVerb::List { run_id, .. } | ArtifactsVerb::Get { run_id, .. }) = &verb;
    let found = of_run(&session.client, run_id).await;
    session.close().await;
    let found = found?;
    match verb {
        ArtifactsVerb::List { json: true, .. } => {
            print_json(&json!(found.iter().map(Artifact::to_json).collect::<Vec<_>>()));
        }
        ArtifactsVerb::List { run_id, .. } if found.is_empty() => {
            print(&format!("run {} has left nothing so far\n", clean(&run_id)));
        }
        ArtifactsVerb::List { .. } => print(&storage::artifacts(&found, Style::stdout())),
        ArtifactsVerb::Get {
            run_id,
            name,
            step,
            output,
            json,
        } => {
            let artifact = find_artifact(&found, &run_id, &name, step.as_deref())?;
            if json && output == Path::new("-") {
                return Err(Problem::new("--json says what was written to a file").help("name the file with --output"));
            }
            // All of it was checked before the first byte is written.
            let bytes = read_blob(&blobs, &run_id, &artifact.blob())?;
            write(&bytes, &output)?;
            if json {
                print_json(&artifact.to_json());
            }
        }
    }
    Ok(0)
}

async fn of_run(client: &Client, run_id: &str) -> Result<Vec<Artifact>> {
    let history = history_so_far(client, run_id).await;
    let history = history.map_err(|status| no_such_run(run_id, &status))?;
    Ok(artifacts_of(&history))
}

/// To a file that is whole or not there, or to standard output.
fn write(bytes: &[u8], output: &Path) -> Result<()> {
    if output == Path::new("-") {
        if stdout().is_terminal() && bytes.contains(&0) {
            return Err(Problem::new("this is no text, and standard output is a terminal")
                .help("write it to a file with --output FILE"));
        }
        return stdout()
            .write_all(bytes)
            .and_then(|()| stdout().flush())
            .map_err(|error| Problem::io("write", Path::new("standard output"), &error));
    }
    let mut partial = output.as_os_str().to_owned();
    partial.push(".part");
    let partial = Path::new(&partial);
    fs::write(partial, bytes)
        .and_then(|()| fs::rename(partial, output))
        .map_err(|error| {
            let _ = fs::remove_file(partial);
            Problem::io("write", output, &error)
        })?;
    eprint_line(&format!(
        "wrote {} ({})",
        output.display(),
        crate::render::bytes(bytes.len() as u64)
    ));
    Ok(())
}
