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
const SYSTEM: [(&str, &[&str]); 9] = [
    ("cppcheck", &["cppcheck"]),
    ("clang", &["clang", "libclang-rt-14-dev", "llvm"]),
    ("afl-fuzz", &["afl++"]),
    ("apktool", &["apktool", "default-jre-headless"]),
    ("mkfs.xfs", &["xfsprogs"]),
    ("ip", &["iproute2"]),
    ("nft", &["nftables"]),
    ("faketime", &["faketime"]),
    ("strace", &["strace"]),
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

/// The program of a browser, for the tests of the pages; in CI it is installed where it is not.
pub(crate) fn browser(environment: &Environment) -> Result<Option<PathBuf>> {
    // The first is the same browser without what needs a screen: it starts and draws several times as fast.
    const NAMES: [&str; 4] = [
        "chromium-headless-shell",
        "chromium",
        "chromium-browser",
        "google-chrome",
    ];
    if let Some(program) = env::var_os("HELVE_CHROMIUM") {
        return Ok(Some(program.into()));
    }
    let found = || NAMES.into_iter().find_map(on_path);
    for package in &NAMES[..2] {
        if found().is_none() {
            install(environment, &[(*package, &[*package])])?;
        }
    }
    Ok(found())
}

/// Let's Encrypt's server for tests; in CI it is installed where it is not.
pub(crate) fn pebble(environment: &Environment) -> Result<Option<PathBuf>> {
    if let Some(program) = env::var_os("HELVE_PEBBLE_BIN") {
        return Ok(Some(program.into()));
    }
    install(environment, &[("pebble", &["pebble"])])?;
    Ok(on_path("pebble"))
}

/// Prometheus' tool that reads figures and rules; in CI it is installed where it is not.
pub(crate) fn promtool(environment: &Environment) -> Result<Option<PathBuf>> {
    if let Some(program) = env::var_os("HELVE_PROMTOOL") {
        return Ok(Some(program.into()));
    }
    install(environment, &[("promtool", &["prometheus"])])?;
    Ok(on_path("promtool"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The system's packages that tests of Helve need.
pub(crate) fn from_the_system(environment: &Environment) -> Result<()> {
    install(environment, &SYSTEM)
}

/// Programs, and the system's packages that have them; in CI only: its machine is thrown away afterwards, so they do no harm
/// there.
fn install(environment: &Environment, programs: &[(&str, &[&str])]) -> Result<()> {
    if !environment.ci {
        return Ok(());
    }
    let wanted: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| on_path(program).is_none())
        .flat_map(|(_, packages)| packages.iter().copied())
        .collect();
    if wanted.is_empty() || on_path("apt-get").is_none() {
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
