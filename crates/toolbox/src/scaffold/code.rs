//! Projects in Rust, for workflows and modules that are WebAssembly.

/// The SDK goes with the project: it is the one that this Helve runs, and nothing has to be published.
const SDK: [(&str, &str); 7] = [
    ("sdk/src/bindings.rs", include_str!("../../../guest/src/bindings.rs")),
    ("sdk/src/entry.rs", include_str!("../../../guest/src/entry.rs")),
    ("sdk/src/finding.rs", include_str!("../../../guest/src/finding.rs")),
    ("sdk/src/lib.rs", include_str!("../../../guest/src/lib.rs")),
    ("sdk/src/module.rs", include_str!("../../../guest/src/module.rs")),
    ("sdk/src/output.rs", include_str!("../../../guest/src/output.rs")),
    ("sdk/src/task.rs", include_str!("../../../guest/src/task.rs")),
];

/// The files of a workflow's project, its metadata apart.
pub(super) fn workflow(name: &str) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("Cargo.toml", WORKFLOW_CARGO.replace("NAME", name)),
        ("src/lib.rs", WORKFLOW.to_owned()),
        ("sdk/Cargo.toml", SDK_CARGO.to_owned()),
    ];
    files.extend(SDK.map(|(path, text)| (path, text.to_owned())));
    files
}

/// The files of a module's project.
pub(super) fn module(name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("module.yaml", MODULE.replace("NAME", name)),
        ("Cargo.toml", MODULE_CARGO.replace("NAME", name)),
        (
            "src/main.rs",
            include_str!("../../../guest/examples/marks.rs").to_owned(),
        ),
    ]
}

const SDK_CARGO: &str = r#"[package]
name = "helve-guest"
version = "0.1.0"
edition = "2024"

[dependencies]
serde = { version = "1", features = ["derive"] }
serde_json = "1"
wit-bindgen = { version = "=0.61.1", default-features = false, features = ["realloc"] }
"#;

const WORKFLOW_CARGO: &str = r#"# cargo build --release --target wasm32-wasip2
# cp target/wasm32-wasip2/release/NAME.wasm workflow.wasm     (cargo writes `-` as `_`)
[package]
name = "NAME"
version = "0.1.0"
edition = "2024"

[lib]
crate-type = ["cdylib"]

[dependencies]
helve-guest = { path = "sdk" }
serde = { version = "1", features = ["derive"] }
serde_json = "1"

[profile.release]
opt-level = "s"
lto = true
# With names, for the messages of traps.
strip = "debuginfo"

[workspace]
"#;

const WORKFLOW: &str = r#"//! A workflow: it runs two modules at a time and adds up what they found. It may sleep for days and outlives every crash.

use helve_guest::{Input, Module, Result, workflow};
use serde_json::{Value, json};

fn run(_input: Input) -> Result<Value> {
    helve_guest::set_status("looks for secrets and flaws");
    let secrets = Module::new("secrets").start();
    let sast = Module::new("sast").attempts(3).start();
    let found = secrets.wait()?.findings + sast.wait()?.findings;
    Ok(json!({"found": found}))
}

workflow!(run);
"#;

const MODULE_CARGO: &str = r#"# cargo build --release --target wasm32-wasip2
# cp target/wasm32-wasip2/release/NAME.wasm module.wasm
[package]
name = "NAME"
version = "0.1.0"
edition = "2024"

[profile.release]
opt-level = "s"
lto = true
strip = "debuginfo"

[workspace]
"#;

const MODULE: &str = "\
# A module of kind `wasm` runs a component of its own, module.wasm, and reads its output. It sees the workspace, which is its
# current folder and read-only, and private folders; nothing has to be installed. This one looks for marks in code.
name: NAME
version: \"0.1.0\"
description: Finds marks such as FIXME that were left in code.
kind: wasm

# Its arguments. Templates know `config`, `workspace`, `out` (a private folder for files) and `files` (this folder).
args: [\"{{ config.marks }}\"]

# 0: it has looked at everything. Any other code makes the step inconclusive, never clean.
exit_codes: [0]
inconclusive_exit_codes: { 1: some files could not be read }
gaps:
  - { from: stderr, pattern: '^skipped ' }

# How the output becomes findings. Formats: sarif, json, lines, junit.
output:
  from: stdout
  format: lines
  pattern: '^(?:\\./)?(?P<path>[^:]+):(?P<line>\\d+):(?P<rule>[^:]+):(?P<message>.*)$'
default_severity: note

limits: { time: 5m, memory: 256Mi }

config_schema:
  type: object
  additionalProperties: false
  properties:
    marks:
      description: What to look for.
      type: array
      items: { type: string }
      default: [FIXME, XXX]
";
