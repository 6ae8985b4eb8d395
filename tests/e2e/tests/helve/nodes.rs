//! A control plane of several nodes, as people set it up and use it. What it does when things go wrong is in `cluster`.

use std::collections::BTreeSet;

use helve_e2e::home::Home;
use helve_e2e::nodes::Nodes;
use helve_e2e::tree;
use serde_json::{Value, json};

fn target(home: &Home, files: usize) -> String {
    let root = home.path().join(format!("tree-{files}"));
    tree::grow(&root, files, 300);
    root.to_string_lossy().into_owned()
}

/// That nothing was found twice, and something was.
fn expect_findings(run: &Value) -> usize {
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["summary"]["inconclusive"], json!([]), "{run}");
    let findings = run["findings"].as_array().expect("findings");
    let prints: BTreeSet<_> = findings
        .iter()
        .map(|finding| finding["fingerprint"].to_string())
        .collect();
    assert_eq!(prints.len(), findings.len(), "none is there twice");
    assert!(!findings.is_empty());
    findings.len()
}

#[test]
fn three_nodes_are_one_server_and_a_run_outlives_the_node_that_led() {
    let mut nodes = Nodes::start(3, &[]);
    let asked = nodes.follower();
    let few = target(nodes.home(asked), 20);
    let first = nodes.home(asked).scan(&few);
    expect_findings(&first);

    // Whoever leads dies in the middle of a run.
    let many = target(nodes.home(asked), 600);
    let mut run = nodes.home(asked).start(&["run", "assessment", &many, "--json"]);
    run.wait_for_line("run assessment-");
    let led = nodes.leader();
    nodes.kill(led);
    let second = run.wait().expect_code(0).json();
    expect_findings(&second);

    // It comes back, and has what it missed. Then all of them die at once.
    nodes.up(led);
    nodes.settle();
    for node in 0..3 {
        nodes.kill(node);
    }
    for node in 0..3 {
        nodes.begin(node);
    }
    for node in 0..3 {
        nodes.ready(node);
        let known: BTreeSet<_> = nodes
            .home(node)
            .runs()
            .iter()
            .map(|run| run["run_id"].to_string())
            .collect();
        assert_eq!(
            known,
            [first["run_id"].to_string(), second["run_id"].to_string()]
                .into_iter()
                .collect()
        );
    }
    let third = nodes.home(asked).scan(&few);
    assert_eq!(third["summary"]["total"], first["summary"]["total"]);
}

#[test]
fn nodes_come_and_go_while_the_others_serve() {
    let mut nodes = Nodes::start(1, &["--no-worker"]);
    let first = nodes.home(0).run(&["cluster", "remove", "1"]);
    first.expect_clear_error(&["last one"]);
    nodes.join();
    nodes.join();
    nodes.settle();
    // Ctrl-C is as good as a crash.
    nodes.running(2).signal("INT");
    let removed = nodes
        .home(0)
        .run(&["cluster", "remove", "n3", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(removed["removed"], 3);
    let further = nodes.join();
    nodes.settle();
    let status = nodes.status();
    let numbers: Vec<_> = status["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| &node["node"])
        .collect();
    assert_eq!(numbers.len(), 3, "{status}");
    assert!(nodes.home(further).runs().is_empty());
}

#[test]
fn what_a_data_directory_has_goes_on_in_a_cluster_and_a_snapshot_of_that_in_another_one() {
    let (alone, home) = (Home::new(), Home::new());
    let tree = target(&alone, 20);
    let run = alone.scan(&tree);
    let id = run["run_id"].as_str().expect("an id");
    let data = alone.data();
    let from = data.to_str().expect("a path of the test's own");
    home.run(&["cluster", "init"]).expect_code(0);
    home.run(&["cluster", "restore", from])
        .expect_clear_error(&["node of a cluster already"]);
    let home = Home::new();
    let nowhere = home.run(&["cluster", "restore", "/nonexistent", "--listen", "127.0.0.1:0"]);
    nowhere.expect_clear_error(&["has no engine.db"]);
    home.run(&["cluster", "restore", from, "--listen", "127.0.0.1:0"])
        .expect_code(0);
    let nodes = Nodes::of(home, &[]);
    let again = nodes.home(0).run(&["findings", id, "--json"]).expect_code(0).json();
    assert_eq!(
        again.as_array().map(Vec::len),
        run["findings"].as_array().map(Vec::len),
        "{again}"
    );
    // Snapshots of it are whole, with the blobs.
    let copy = alone.path().join("copy");
    let copy = copy.to_str().expect("a path of the test's own");
    nodes.home(0).run(&["cluster", "snapshot", copy]).expect_code(0);
    nodes
        .home(0)
        .run(&["cluster", "snapshot", copy])
        .expect_clear_error(&["is not empty"]);
    drop(nodes);
    let home = Home::new();
    home.run(&["cluster", "restore", copy, "--listen", "127.0.0.1:0"])
        .expect_code(0);
    let nodes = Nodes::of(home, &[]);
    let third = nodes.home(0).run(&["findings", id, "--json"]).expect_code(0).json();
    assert_eq!(third, again);
}

#[test]
fn a_worker_of_the_mesh_finds_the_next_leader_by_itself() {
    let mut nodes = Nodes::start(3, &["--no-worker", "--mesh"]);
    let asked = nodes.follower();
    let ticket = nodes
        .home(asked)
        .run(&["mesh", "ticket", "--json"])
        .expect_code(0)
        .json();
    let ticket = ticket["ticket"].as_str().expect("a ticket").to_owned();
    let far = Home::new();
    let mut worker = far.start(&["worker", "join", &ticket]);
    worker.wait_for_line("worker   ready for");
    let tree = target(nodes.home(asked), 20);
    let first = nodes.home(asked).scan(&tree);
    let led = nodes.leader();
    nodes.kill(led);
    let second = nodes.home(asked).scan(&tree);
    assert_eq!(second["summary"]["total"], first["summary"]["total"]);
}

#[test]
fn every_node_takes_every_token() {
    let nodes = Nodes::start(2, &["--no-worker"]);
    let leader = nodes.leader();
    let token = std::fs::read_to_string(nodes.home(leader).data().join("admin.token")).expect("the leader wrote it");
    for node in 0..2 {
        let url = format!("http://{}", nodes.http(node));
        let elsewhere = Home::new();
        let file = elsewhere.path().join("token");
        std::fs::write(&file, &token).expect("a file of the test's own");
        let file = file.to_str().expect("a path of the test's own");
        let command = ["runs", "list", "--server", &url, "--token-file", file];
        let mut command = elsewhere.command(&command);
        helve_e2e::process::Running::start(&mut command).wait().expect_code(0);
        let wrong = ["runs", "list", "--server", &url];
        let mut command = elsewhere.command(&wrong);
        command.env("HELVE_TOKEN", "helve_nobody");
        helve_e2e::process::Running::start(&mut command)
            .wait()
            .expect_clear_error(&["token"]);
    }
}

#[test]
fn who_uses_a_node_wrongly_hears_what_to_do() {
    let (plain, node) = (Home::new(), Home::new());
    plain
        .run(&["cluster", "status"])
        .expect_clear_error(&["not the data directory of a node", "cluster init"]);
    plain
        .run(&["cluster", "join", "helvec1damaged"])
        .expect_clear_error(&["ticket", "damaged"]);
    plain
        .run(&["cluster", "join", "helve1worker"])
        .expect_clear_error(&["ticket of a cluster"]);
    plain
        .run(&["cluster", "init", "--listen", "0.0.0.0:7236"])
        .expect_clear_error(&["every address", "--advertise"]);
    node.run(&["cluster", "init", "--listen", "127.0.0.1:0"]).expect_code(0);
    node.run(&["cluster", "init"])
        .expect_clear_error(&["node of a cluster already"]);
    for command in [
        &["runs", "list"][..],
        &["findings", "assessment-x"],
        &["run", "assessment", "."],
    ] {
        node.run(command).expect_clear_error(&["node of a cluster", "helve up"]);
    }
    node.run(&["worker"])
        .expect_clear_error(&["blobs of this cluster", "worker join"]);
    node.run(&["cluster", "status"])
        .expect_clear_error(&["no node", "helve up"]);
    node.run(&["backup", "elsewhere"])
        .expect_clear_error(&["cluster snapshot"]);
    let ticket = node.run(&["cluster", "ticket", "--json"]).expect_code(0).json();
    let ticket = ticket["ticket"].as_str().expect("a ticket");
    plain
        .run(&["cluster", "join", ticket])
        .expect_clear_error(&["no node of the cluster can be reached", "helve up"]);
}
