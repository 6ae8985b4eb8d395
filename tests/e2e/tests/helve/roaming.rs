//! Workers behind a router that hides them, on a network that does not always work. Hosts are network namespaces.

use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::lab::{Host, Lab, SERVER};
use helve_e2e::process::Running;
use helve_e2e::tree;
use serde_json::Value;

/// A server and a worker that joined from behind the router.
struct Far {
    lab: Lab,
    server: Home,
    _up: Running,
    worker: Running,
    _worker_home: Home,
}

impl Far {
    fn new(prepare: impl FnOnce(&Lab)) -> Option<Self> {
        let lab = Lab::build()?;
        prepare(&lab);
        let (server, far) = (Home::new(), Home::new());
        let mesh = format!("{SERVER}:7235");
        let arguments = [
            "up",
            "--http",
            "127.0.0.1:0",
            "--grpc",
            "127.0.0.1:0",
            "--no-worker",
            "--mesh",
            &mesh,
        ];
        let mut up = Running::start(&mut lab.command(Host::Server, &server.command(&arguments)));
        up.wait_for_line("worker   none here");
        let made = server.run(&["mesh", "ticket", "--json"]).expect_code(0).json();
        let ticket = made["ticket"].as_str().expect("a ticket").to_owned();
        let joining = far.command(&["worker", "join", &ticket]);
        let mut worker = Running::start(&mut lab.command(Host::Worker, &joining));
        worker.wait_for_line("worker   ready for");
        Some(Self {
            lab,
            server,
            _up: up,
            worker,
            _worker_home: far,
        })
    }

    fn target(&self, files: usize) -> String {
        let root = self.server.path().join("tree");
        tree::grow(&root, files, 300);
        root.to_string_lossy().into_owned()
    }

    /// A run to its end, which only the far worker can work on.
    fn scan(&self, target: &str) -> Value {
        let run = self
            .server
            .run(&["run", "assessment", target, "--json"])
            .expect_code(0)
            .json();
        assert_eq!(run["status"], "completed", "{run}");
        assert_eq!(run["summary"]["inconclusive"], serde_json::json!([]), "{run}");
        run
    }
}

#[test]
fn a_worker_behind_a_router_works_as_one_beside_the_server() {
    let Some(far) = Far::new(|_| {}) else { return };
    let run = far.scan(&far.target(50));
    assert!(run["summary"]["total"].as_u64().is_some_and(|total| total > 0), "{run}");
    let Far { worker, .. } = far;
    worker.signal("INT");
    worker.wait().expect_code(0);
}

#[test]
fn a_worker_whose_address_changes_all_the_time_loses_nothing() {
    let Some(far) = Far::new(Lab::forget_addresses) else {
        return;
    };
    let target = far.target(50);
    let first = far.scan(&target);
    // Long enough that every mapping was forgotten, and the worker comes from another port.
    let until = Instant::now() + Duration::from_secs(7);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    let second = far.scan(&target);
    assert_eq!(first["summary"]["total"], second["summary"]["total"]);
}

#[test]
fn every_twentieth_packet_may_be_lost() {
    let Some(far) = Far::new(|lab| lab.lose_one_of(20)) else {
        return;
    };
    far.scan(&far.target(50));
}

#[test]
fn half_a_minute_without_a_network_costs_a_run_nothing_but_time() {
    let Some(far) = Far::new(|_| {}) else { return };
    let target = far.target(400);
    let mut run = far.server.start(&["run", "assessment", &target, "--json"]);
    run.wait_for_line("run assessment-");
    far.lab.cut();
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    far.lab.mend();
    let run = run.wait().expect_code(0).json();
    assert_eq!(run["status"], "completed");
    let findings = run["findings"].as_array().expect("findings");
    let prints: std::collections::BTreeSet<_> = findings
        .iter()
        .map(|finding| finding["fingerprint"].to_string())
        .collect();
    assert_eq!(prints.len(), findings.len(), "none is there twice");
    assert!(!findings.is_empty());
}
