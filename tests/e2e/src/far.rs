//! A server and a worker that joined it by a ticket, each on a machine of a lab.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::home::Home;
use crate::lab::{Host, Lab};
use crate::process::Running;
use crate::tree;

/// Port of the mesh.
pub const PORT: u16 = 7235;

/// The two, and what they are connected by.
pub struct Far {
    /// The network.
    pub lab: Lab,
    /// The data directory of the server, which commands of the test's own machine reach.
    pub server: Home,
    /// The worker.
    pub worker: Running,
    up: Running,
    _worker_home: Home,
}

impl Far {
    /// Starts both, the mesh at this address of the server's machine, and waits until the worker is ready.
    pub fn join(lab: Lab, address: &str, more: &[&str]) -> Self {
        let (server, far) = (Home::new(), Home::new());
        let mesh = format!("{address}:{PORT}");
        let here = "127.0.0.1:0";
        let arguments = ["up", "--http", here, "--grpc", here, "--no-worker", "--mesh", &mesh];
        let up = server.command(&[&arguments, more].concat());
        let mut up = Running::start(&mut lab.command(Host::Server, &up));
        up.wait_for_line("worker   none here");
        let made = server.run(&["mesh", "ticket", "--json"]).expect_code(0).json();
        let ticket = made["ticket"].as_str().expect("a ticket").to_owned();
        let joining = far.command(&["worker", "join", &ticket]);
        let mut worker = Running::start(&mut lab.command(Host::Worker, &joining));
        worker.wait_for_line("worker   ready for");
        Self {
            lab,
            server,
            worker,
            up,
            _worker_home: far,
        }
    }

    /// Waits for a line of the server, which may have come already.
    #[track_caller]
    pub fn wait_for_line_of_server(&mut self, text: &str) {
        if self.up.line(text).is_none() {
            self.up.wait_for_line(text);
        }
    }

    /// A tree of files, some with flaws.
    pub fn target(&self, files: usize) -> String {
        let root = self.server.path().join("tree");
        tree::grow(&root, files, 300);
        root.to_string_lossy().into_owned()
    }

    /// A run to its end, which only the far worker can work on.
    #[track_caller]
    pub fn scan(&self, target: &str) -> Value {
        let run = self.server.start(&["run", "assessment", target, "--json"]);
        whole(run)
    }
}

/// A run that has ended well.
#[track_caller]
pub fn whole(run: Running) -> Value {
    let run = run.wait().expect_code(0).json();
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["summary"]["inconclusive"], json!([]), "{run}");
    run
}

/// The fingerprints of what a run has found: something, and nothing twice.
#[track_caller]
pub fn fingerprints(run: &Value) -> BTreeSet<String> {
    let findings = run["findings"].as_array().expect("findings");
    let prints: BTreeSet<_> = findings
        .iter()
        .map(|finding| finding["fingerprint"].to_string())
        .collect();
    assert_eq!(prints.len(), findings.len(), "none is there twice");
    assert!(!prints.is_empty(), "something was found");
    prints
}
