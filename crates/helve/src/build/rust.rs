//! Rust, with cargo.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::tools::run;
use super::{Build, Language};
use crate::errors::{Problem, Result};

/// Components in Helve's world.
const COMPONENT: &str = "wasm32-wasip2";
/// Core modules for the crate `flawless`.
const CORE_MODULE: &str = "wasm32-unknown-unknown";

pub(super) fn build(build: &Build<'_>) -> Result<PathBuf> {
    let cargo = build
        .tools
        .system("cargo", "https://rustup.rs says how to install Rust")?;
    let manifest = build.folder.join(Language::Rust.file());
    let text = fs::read_to_string(&manifest).map_err(|error| Problem::io("read", &manifest, &error))?;
    let target = target(&text);
    has_target(build, target)?;
    let mut command = build.tools.command(&cargo);
    command
        .args([
            "build",
            "--release",
            "--lib",
            "--target",
            target,
            "--message-format",
            "json-render-diagnostics",
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(build.cache.join("cargo"))
        .current_dir(build.folder);
    let messages = run(&mut command, "the workflow")?;
    made(&String::from_utf8_lossy(&messages)).ok_or_else(|| {
        Problem::new("cargo built no WebAssembly").help("Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`")
    })
}

/// What the crate is built for.
fn target(manifest: &str) -> &'static str {
    let needs_flawless = manifest.lines().map(str::trim).any(|line| {
        let name = line.strip_prefix("flawless").map(str::trim_start);
        name.is_some_and(|rest| rest.starts_with(['=', '.'])) || line == "[dependencies.flawless]"
    });
    if needs_flawless { CORE_MODULE } else { COMPONENT }
}

/// Without its standard library, what cargo says is long and helps nobody.
fn has_target(build: &Build<'_>, target: &str) -> Result<()> {
    let rustc = build
        .tools
        .system("rustc", "https://rustup.rs says how to install Rust")?;
    let mut command = build.tools.command(&rustc);
    command
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(build.folder);
    let folder = run(&mut command, "the workflow")?;
    let files = fs::read_dir(String::from_utf8_lossy(&folder).trim());
    match files.is_ok_and(|mut files| files.next().is_some()) {
        true => Ok(()),
        false => Err(Problem::new(format!("Rust has no standard library for {target} here"))
            .help(format!("`rustup target add {target}` installs it"))),
    }
}

/// The WebAssembly of the crate itself, which cargo names last.
fn made(messages: &str) -> Option<PathBuf> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut made = artifacts
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let mut files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
            files.find(|file| file.ends_with(".wasm")).map(PathBuf::from)
        });
    made.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_needs_flawless_becomes_a_core_module() {
        for text in [
            "flawless = \"=1.0.0-beta.3\"",
            "flawless={version=\"1\"}",
            "[dependencies.flawless]",
        ] {
            assert_eq!(target(&format!("[dependencies]\n{text}\n")), CORE_MODULE, "{text}");
        }
        assert_eq!(
            target("[dependencies]\nhelve-guest = \"0.1\"\nflawlessly = \"1\"\n"),
            COMPONENT
        );
    }

    #[test]
    fn what_cargo_made_is_the_last_webassembly_that_it_names() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/liba.rlib\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/guided.wasm\"]}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n"
        );
        assert_eq!(made(messages), Some(PathBuf::from("/t/guided.wasm")));
        assert_eq!(made(""), None);
    }
}
