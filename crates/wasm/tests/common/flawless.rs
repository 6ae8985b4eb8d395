//! Builds modules with the crate `flawless`, from the registry. Tests of other crates use this file too.

use std::path::Path;
use std::process::Command;

use super::guests::folder;

/// The module of the crate in that folder, which is called `name`.
pub(crate) fn module(krate: &Path, name: &str) -> Vec<u8> {
    let target = folder().join("flawless");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            "wasm32-unknown-unknown",
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(krate)
        // What shapes the build of this workspace is not for this one.
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION")
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(
        status.success(),
        "a module of `flawless` cannot be built; `rustup target add wasm32-unknown-unknown` adds what it needs"
    );
    let file = target
        .join("wasm32-unknown-unknown/release")
        .join(name.replace('-', "_"))
        .with_extension("wasm");
    std::fs::read(file).expect("cargo built it")
}
