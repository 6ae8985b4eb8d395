//! Builds the examples of `helve-guest`. Tests of other crates use this file too.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Where guests and their compiled code go: beside what cargo builds, so that the next test finds them.
pub(crate) fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("guests")
}

/// The component of an example of `helve-guest`.
pub(crate) fn component(example: &str) -> Vec<u8> {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = folder();
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--profile",
                "guest",
                "--target",
                "wasm32-wasip2",
            ])
            .args(["--package", "helve-guest", "--examples", "--target-dir"])
            .arg(&folder)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            // Features that only other members need would build a compiler of bindings.
            .env("CARGO_RESOLVER_FEATURE_UNIFICATION", "selected")
            .status()
            .expect("cargo runs");
        assert!(
            status.success(),
            "the guests cannot be built; `rustup target add wasm32-wasip2` adds what they need"
        );
        folder.join("wasm32-wasip2/guest/examples")
    });
    std::fs::read(BUILT.join(format!("{example}.wasm"))).expect("cargo built it")
}
