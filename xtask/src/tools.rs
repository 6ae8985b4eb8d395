//! The real tools that the end-to-end tests run, installed once beside the build's output by Helve's own installer.

use std::env;
use std::path::PathBuf;

use anyhow::Result;

use crate::environment::Environment;
use crate::process::quietly;

/// Verticals whose shipped workflows are tested with their tools.
const VERTICALS: [&str; 4] = ["native", "python", "wasm", "web"];

/// Where the tools are, and what could not be installed.
pub(crate) struct Tools {
    pub(crate) dir: PathBuf,
    /// One line per vertical, with the reason.
    pub(crate) missing: Vec<String>,
}

/// Installs what is missing. Tools that only the system's package manager has are left to the machine's owner: their
/// tests say that they are not checked, and nothing is missing for it.
pub(crate) fn prepare(environment: &Environment) -> Result<Tools> {
    let dir = env::var_os("HELVE_TOOLS_DIR").map_or_else(|| environment.target.join("tools"), PathBuf::from);
    let mut missing = Vec::new();
    for vertical in VERTICALS {
        let mut command = environment.command(environment.helve());
        command
            .args(["verticals", "install", vertical, "--data-dir"])
            .arg(environment.target.join("tools-data"))
            .arg("--tools-dir")
            .arg(&dir);
        let output = quietly(&mut command)?;
        if output.success {
            continue;
        }
        let text = output.text();
        println!("the tools of the vertical `{vertical}` are not all there:\n{text}");
        if !text.contains("only be installed for the whole system") {
            missing.push(format!("the tools of the vertical `{vertical}` could not be installed"));
        }
    }
    Ok(Tools { dir, missing })
}
