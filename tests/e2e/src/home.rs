//! A data directory of a test's own, and the helve commands on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::helve_program;
use crate::process::{Finished, Running};
use crate::tree;

/// Where a test's helve keeps its things.
pub struct Home {
    dir: TempDir,
    engine: String,
}

impl Home {
    /// An empty one, with the engine inside the process.
    pub fn new() -> Self {
        Self::on("embedded")
    }

    /// One for another engine, as `--engine` names it.
    pub fn on(engine: &str) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            engine: engine.to_owned(),
        }
    }

    /// A place for the test's own files.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A helve command on this data directory and engine. A `helve up` that is not told where to serve HTTP serves none, and
    /// lets every Temporal client in.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(helve_program());
        let plain = arguments.first() == Some(&"up") && !arguments.contains(&"--http");
        command
            .args(arguments)
            .args(["--no-http", "--grpc-open"].iter().filter(|_| plain))
            .arg("--data-dir")
            .arg(self.data())
            .args(["--engine", &self.engine])
            .env_remove("HELVE_LOG")
            .env_remove("HELVE_DATA_DIR")
            .env_remove("HELVE_ENGINE")
            .env_remove("HELVE_BLOBS")
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path());
        command
    }

    /// Starts it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }

    /// Scans a target to the end and returns the JSON document.
    #[track_caller]
    pub fn scan(&self, target: impl AsRef<Path>) -> Value {
        self.run(&["run", "assessment", &target.as_ref().to_string_lossy(), "--json"])
            .expect_code(0)
            .json()
    }

    /// `helve runs list --json`.
    #[track_caller]
    pub fn runs(&self) -> Vec<Value> {
        let listed = self.run(&["runs", "list", "--json"]).expect_code(0).json();
        listed.as_array().expect("a list").clone()
    }

    /// `helve runs show --json`.
    #[track_caller]
    pub fn show(&self, run_id: &str) -> Value {
        self.run(&["runs", "show", run_id, "--json"]).expect_code(0).json()
    }

    /// A toolbox whose workflow `nap` takes a minute, unless somebody ends it.
    pub fn naps(&self) -> String {
        let toolbox = self.path().join("box");
        tree::write(
            &toolbox.join("modules/nap/module.yaml"),
            "name: nap\nversion: '1'\ndescription: d\nkind: command\ntool: {program: sleep}\nargs: ['60']\n\
             limits: {time: 2m, memory: 64Mi}\noutput: {format: lines, pattern: '(?P<message>.+)'}\n",
        );
        let workflow = "name: nap\nversion: '1'\ndescription: d\nvertical: builtin\n";
        tree::write(&toolbox.join("workflows/nap/metadata.yaml"), workflow);
        tree::write(
            &toolbox.join("workflows/nap/workflow.yaml"),
            "steps:\n  - {id: nap, uses: nap}\n",
        );
        toolbox.to_string_lossy().into_owned()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}
