//! What rust-toolchain.toml asks for and rustup does not install by itself everywhere: with RUSTUP_AUTO_INSTALL=0, or when the
//! toolchain was there before the file named a target.

use std::fs;

use anyhow::{Context, Result};

use crate::environment::Environment;
use crate::process::{exists, quietly};

/// Installs the targets of rust-toolchain.toml that are missing. Says so when it cannot: the tests that need them fail then.
pub(crate) fn prepare(environment: &Environment) -> Result<()> {
    let file = environment.root.join("rust-toolchain.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let sysroot = quietly(environment.command("rustc").args(["--print", "sysroot"]))?;
    let libraries = std::path::Path::new(sysroot.text().trim()).join("lib/rustlib");
    let missing: Vec<&str> = targets(&text)
        .into_iter()
        .filter(|target| !libraries.join(target).exists())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("adding to the toolchain: {}", missing.join(", "));
    if !exists("rustup", "--version") {
        println!("rustup is missing: the standard libraries of these targets must be installed by hand");
        return Ok(());
    }
    let added = quietly(environment.command("rustup").args(["target", "add"]).args(&missing))?;
    if !added.success {
        println!("{}", added.text());
    }
    Ok(())
}

/// What stands between the brackets of `targets = [...]`.
fn targets(text: &str) -> Vec<&str> {
    let line = text.lines().find(|line| line.trim_start().starts_with("targets"));
    let list = line.and_then(|line| line.split_once('[')?.1.split_once(']'));
    let names = list.map_or("", |(names, _)| names).split(',');
    names
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_targets_of_the_toolchain_are_read() {
        let text = include_str!("../../rust-toolchain.toml");
        assert_eq!(super::targets(text), ["wasm32-wasip2", "wasm32-unknown-unknown"]);
        assert!(super::targets("[toolchain]\nchannel = \"1\"\n").is_empty());
    }
}
