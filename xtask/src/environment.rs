//! Where things are on this machine.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// What every step needs to know.
pub(crate) struct Environment {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
    /// Whether this is CI: nothing may be left unchecked.
    pub(crate) ci: bool,
    cargo: OsString,
}

impl Environment {
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("start this with `cargo xtask`")?;
        let root = Path::new(&manifest)
            .parent()
            .context("xtask lies in the workspace")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => shared_target().unwrap_or_else(|| root.join("target")),
        };
        Ok(Self {
            root,
            target,
            ci: env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false"),
            cargo: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        })
    }

    /// A command in the checkout that builds where all the others build.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // Set by `cargo run` for us alone: a build script that sees them builds everything again.
        for name in [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_PKG_NAME",
            "CARGO_PKG_VERSION",
        ] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.cargo);
        command.args(arguments);
        command
    }

    /// The helve program that the step `build` makes.
    pub(crate) fn helve(&self) -> PathBuf {
        self.program("", "helve")
    }

    /// An example of one of the crates, as a program.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.program("examples", name)
    }

    fn program(&self, folder: &str, name: &str) -> PathBuf {
        self.target
            .join("debug")
            .join(folder)
            .join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }
}

/// A target directory that outlives checkouts, for whoever made one: dependencies are then built once per machine.
fn shared_target() -> Option<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(env::var_os("HOME")?).join(".cache"),
    };
    Some(cache.join("helve").join("target")).filter(|dir| dir.is_dir())
}
