//! `helve artifacts`.

use std::fs;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use helve_runs::{Artifact, find_artifact};
use serde_json::json;

use crate::app::App;
use crate::cli::ArtifactsVerb;
use crate::errors::{Problem, Result};
use crate::place::Place;
use crate::render::storage;
use crate::terminal::{Style, clean, eprint_line, print, print_json};

pub(crate) async fn artifacts(app: &App, verb: ArtifactsVerb) -> Result<u8> {
    Place::with(app, "helve artifacts", async |place| dispatch(app, place, verb).await).await
}

async fn dispatch(app: &App, place: &Place<'_>, verb: ArtifactsVerb) -> Result<u8> {
    let json = app.global.json;
    match verb {
        ArtifactsVerb::List { run_id } => {
            let found = place.artifacts(&run_id).await?;
            match json {
                true => print_json(&json!(found.iter().map(Artifact::to_json).collect::<Vec<_>>())),
                false if found.is_empty() => print(&format!("run {} has left nothing so far\n", clean(&run_id))),
                false => print(&storage::artifacts(&found, Style::stdout())),
            }
        }
        ArtifactsVerb::Get {
            run_id,
            name,
            step,
            output,
        } => {
            if json && output == Path::new("-") {
                return Err(Problem::new("--json says what was written to a file").help("name the file with --output"));
            }
            let found = place.artifacts(&run_id).await?;
            let artifact = find_artifact(&found, &run_id, &name, step.as_deref())?;
            // All of it was checked before the first byte is written.
            write(&place.artifact(&run_id, &artifact).await?, &output)?;
            if json {
                print_json(&artifact.to_json());
            }
        }
    }
    Ok(0)
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
