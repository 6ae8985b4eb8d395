//! One `helve up`, killed over and over under load: the judge decides from all calls whether it kept what it promised.
//!
//! `HELVE_CLUSTER_ROUNDS` says how often it is killed (3).

use helve_e2e::home::Home;
use helve_e2e::nodes::free_tcp;
use helve_e2e::process::Running;

use crate::load::{Load, Nodes, rounds};

#[test]
fn a_server_that_is_killed_under_load_keeps_what_it_promised() {
    let home = Home::new();
    let [http, grpc] = [(); 2].map(|()| format!("127.0.0.1:{}", free_tcp()));
    let up = || -> Running {
        let mut running = home.start(&["up", "--http", &http, "--grpc", &grpc, "--no-worker"]);
        running.wait_for_line("worker   ");
        running
    };
    let mut running = up();
    let token = std::fs::read_to_string(home.data().join("admin.token")).expect("the first token is in a file");
    let load = Load::begin(Nodes {
        http: vec![http.clone()],
        grpc: vec![grpc.clone()],
        token: token.trim().to_owned(),
        inside: None,
    });
    load.goes_on(300);
    for _ in 0..rounds() {
        // kill -9 is what dropping it does.
        drop(running);
        running = up();
        load.goes_on(300);
    }
    load.end("one-server");
}
