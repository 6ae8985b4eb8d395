//! Programs on Node.js, copied beside their packages under the target directory: the checkout stays clean.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::environment::Environment;
use crate::process::{exists, quietly};

/// The programs of `tests/NAME`, ready to run in the folder that is returned. Or what is missing.
pub(crate) fn prepare(environment: &Environment, name: &str) -> Result<Result<PathBuf, String>> {
    for program in ["node", npm()] {
        if !exists(program, "--version") {
            return Ok(Err(format!("{program} is missing (Node.js 20 or newer)")));
        }
    }
    let sources = environment.root.join("tests").join(name);
    let folder = environment.target.join(name);
    for stale in ["src", "build"] {
        let stale = folder.join(stale);
        if stale.exists() {
            fs::remove_dir_all(&stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    copy(&sources.join("src"), &folder.join("src"))?;
    for file in ["package.json", "package-lock.json", "tsconfig.json", ".npmrc"] {
        if sources.join(file).exists() {
            fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("copying {file}"))?;
        }
    }
    let wanted = fs::read_to_string(sources.join("package-lock.json"))?;
    let stamp = folder.join("packages.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(Ok(folder));
    }
    println!("installing the packages in tests/{name}/package-lock.json");
    let mut install = environment.command(npm());
    // No package needs to run a script of its own here.
    install
        .current_dir(&folder)
        .args(["install", "--no-save", "--ignore-scripts"]);
    let installed = quietly(&mut install)?;
    if !installed.success {
        println!("{}", installed.text());
        return Ok(Err(format!("the packages in tests/{name} cannot be installed")));
    }
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(Ok(folder))
}

fn npm() -> &'static str {
    if cfg!(windows) { "npm.cmd" } else { "npm" }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}
