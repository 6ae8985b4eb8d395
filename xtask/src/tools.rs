//! The real tools that the end-to-end tests run, installed once beside the build's output by Helve's own installer.

use std::env;
use std::path::PathBuf;

use anyhow::Result;

use crate::environment::Environment;
use crate::process::quietly;

/// Verticals whose shipped workflows are tested with their tools, and whether that includes the optional ones.
const VERTICALS: [(&str, bool); 7] = [
    ("android", false),
    ("binary", false),
    ("native", false),
    ("python", true),
    ("rust", true),
    ("wasm", true),
    ("web", false),
];

/// Programs that only the system's package manager has, with their packages.
const SYSTEM: [(&str, &[&str]); 5] = [
    ("cppcheck", &["cppcheck"]),
    ("clang", &["clang", "libclang-rt-14-dev", "llvm"]),
    ("afl-fuzz", &["afl++"]),
    ("apktool", &["apktool", "default-jre-headless"]),
    ("mkfs.xfs", &["xfsprogs"]),
];

/// Where the tools are, and what could not be installed.
pub(crate) struct Tools {
    pub(crate) dir: PathBuf,
    /// One line per vertical, with the reason.
    pub(crate) missing: Vec<String>,
}

/// Installs what is missing. Tools that only the system's package manager has are left to the machine's owner, except in
/// CI: where they are not, their tests say that they are not checked, and nothing is missing for it.
pub(crate) fn prepare(environment: &Environment) -> Result<Tools> {
    let dir = env::var_os("HELVE_TOOLS_DIR").map_or_else(|| environment.target.join("tools"), PathBuf::from);
    from_the_system(environment)?;
    let mut missing = Vec::new();
    for (vertical, optional) in VERTICALS {
        let mut command = environment.command(environment.helve());
        command
            .args(["verticals", "install", vertical, "--data-dir"])
            .arg(environment.target.join("tools-data"))
            .arg("--tools-dir")
            .arg(&dir)
            .args(optional.then_some("--all"));
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

/// The system's packages, in CI only: its machine is thrown away afterwards, so they do no harm there.
pub(crate) fn from_the_system(environment: &Environment) -> Result<()> {
    if !environment.ci {
        return Ok(());
    }
    let there = |program: &str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let wanted: Vec<&str> = SYSTEM
        .iter()
        .filter(|(program, _)| !there(program))
        .flat_map(|(_, packages)| packages.iter().copied())
        .collect();
    if wanted.is_empty() || !there("apt-get") {
        return Ok(());
    }
    let install = ["install", "-y", "--no-install-recommends"];
    for arguments in [&["update"][..], &[&install[..], &wanted[..]].concat()] {
        let mut command = environment.command("apt-get");
        let output = quietly(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
        if !output.success {
            println!("{} could not be installed:\n{}", wanted.join(", "), output.text());
            break;
        }
    }
    Ok(())
}
