//! A module of kind `wasm`: a command of WASI that looks for marks such as `FIXME` in the workspace.
//!
//! It is an ordinary program. The workspace is its current folder, which it can only read; what it prints becomes
//! findings, as its `module.yaml` says. `cargo build --profile guest --target wasm32-wasip2 -p helve-guest --example marks`
//! makes the component.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

fn look(folder: &Path, marks: &[String], skipped: &mut bool) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            look(&path, marks, skipped)?;
        } else if kind.is_file() {
            match fs::read(&path) {
                Ok(bytes) => tell(&path, &String::from_utf8_lossy(&bytes), marks),
                Err(error) => {
                    // Not to have looked is never clean: `gaps` of the module reads this.
                    eprintln!("skipped {}: {error}", path.display());
                    *skipped = true;
                }
            }
        }
    }
    Ok(())
}

fn tell(path: &Path, text: &str, marks: &[String]) {
    for (number, line) in (1..).zip(text.lines()) {
        for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
            println!("{}:{number}:{mark}:{}", path.display(), line.trim());
        }
    }
}

fn main() -> ExitCode {
    let marks: Vec<String> = env::args().skip(1).collect();
    let mut skipped = false;
    if let Err(error) = look(Path::new("."), &marks, &mut skipped) {
        eprintln!("cannot read the workspace: {error}");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(skipped))
}
