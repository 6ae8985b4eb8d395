//! `cargo xtask bench`: builds in release and hands over to the bench program.

use anyhow::{Result, bail};

use crate::environment::Environment;
use crate::process::show;
use crate::python::{self, Prepared};

pub(crate) fn run(environment: &Environment, options: &[&str]) -> Result<()> {
    let build = ["build", "--release", "--workspace", "--bins"];
    if !show(&mut environment.cargo(&build))?.success {
        bail!("the release build failed");
    }
    let release = environment.target.join("release");
    let mut command = environment.command(release.join(format!("helve-bench{}", std::env::consts::EXE_SUFFIX)));
    command.args(options).env(
        "HELVE_BIN",
        release.join(format!("helve{}", std::env::consts::EXE_SUFFIX)),
    );
    match python::prepare(environment)? {
        Prepared::Ready(python) => {
            command.env("HELVE_TEMPORAL_BIN", python.temporal());
        }
        Prepared::Missing(what) => println!("no comparison with the real Temporal server: {what}"),
    }
    if !show(&mut command)?.success {
        bail!("the measurements failed");
    }
    Ok(())
}
