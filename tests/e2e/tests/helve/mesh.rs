//! Workers and people who come by a ticket.

use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::process::Running;
use helve_e2e::tree;
use serde_json::{Value, json};

const MESH: [&str; 3] = ["--no-worker", "--mesh", "127.0.0.1:0"];

fn ticket(api: &Api, what: Value) -> String {
    let mut wanted = json!({"name": "for a test"});
    let more = what.as_object().expect("an object").clone();
    wanted.as_object_mut().expect("an object").extend(more);
    let made = api.post("/api/v1/mesh/tickets", &wanted).expect(201).json();
    made["ticket"].as_str().expect("a ticket").to_owned()
}

fn endpoints(api: &Api) -> Vec<Value> {
    let list = api.get("/api/v1/mesh/endpoints").expect(200).json();
    list.as_array().expect("a list").clone()
}

/// Asks until the only endpoint is as it should be.
fn endpoint(api: &Api, is: impl Fn(&Value) -> bool) -> Value {
    loop {
        if let [one] = endpoints(api).as_slice()
            && is(one)
        {
            return one.clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn join(home: &Home, ticket: &str) -> Running {
    home.start(&["worker", "join", ticket, "--name", "far away"])
}

fn small(home: &Home) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    root.to_string_lossy().into_owned()
}

#[test]
fn a_worker_and_a_person_who_have_nothing_but_tickets_scan_a_target() {
    let (server, far, person) = (Home::new(), Home::new(), Home::new());
    let (_up, api, _) = up(&server, &MESH);
    let mut worker = join(&far, &ticket(&api, json!({"uses": 1})));
    worker.wait_for_line("worker   ready for");
    let known = endpoint(&api, |one| !one["connected_since"].is_null());
    assert_eq!(
        (&known["name"], &known["role"], &known["state"]),
        (&json!("far away"), &json!("worker"), &json!("approved"))
    );

    let own = ticket(&api, json!({"role": "operator", "uses": 1}));
    let scan = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--server", &own, "--json"]);
        person.run(&all).expect_code(0).json()
    };
    let run = scan(&["run", "assessment", &small(&person)]);
    assert_eq!(run["status"], "completed");
    assert_eq!(run["summary"]["inconclusive"], json!([]), "{run}");
    assert!(!run["findings"].as_array().expect("findings").is_empty());
    // The ticket is used up, and its holder is known by now.
    assert_eq!(scan(&["runs", "list"]).as_array().map(Vec::len), Some(1));
    // An operator is no administrator, whichever way they come.
    let refused = person.run(&["tokens", "list", "--server", &own]).expect_code(1).stderr;
    assert!(refused.contains("admin"), "{refused}");
    worker.signal("INT");
    worker.wait().expect_code(0);
}

#[test]
fn whoever_is_shut_out_is_gone_at_once_and_comes_back_only_when_somebody_says_so() {
    let (server, far) = (Home::new(), Home::new());
    let (_up, api, _) = up(&server, &MESH);
    let any = ticket(&api, json!({}));
    let mut worker = join(&far, &any);
    worker.wait_for_line("worker   ready for");
    let known = endpoint(&api, |one| !one["connected_since"].is_null());
    let id = known["id"].as_str().expect("an id").to_owned();
    server.run(&["mesh", "revoke", &id[..8]]).expect_code(0);
    endpoint(&api, |one| one["connected_since"].is_null());
    worker.signal("KILL");
    worker.wait();
    let refused = far.run(&["worker", "join", &any]).expect_code(1).stderr;
    assert!(
        refused.contains("an administrator has shut this endpoint out"),
        "{refused}"
    );
    server.run(&["mesh", "approve", &id[..8]]).expect_code(0);
    join(&far, &any).wait_for_line("worker   ready for");
}

#[test]
fn a_ticket_is_good_for_what_it_says_and_nothing_else() {
    let (server, one, other) = (Home::new(), Home::new(), Home::new());
    let (_up, api, _) = up(&server, &MESH);
    let only = ticket(
        &api,
        json!({"uses": 1, "verticals": ["builtin"], "needs_approval": true}),
    );
    let mut worker = join(&one, &only);
    worker.wait_for_line("an administrator has to approve");
    let known = endpoint(&api, |one| one["state"] == "pending");
    let refused = other.run(&["worker", "join", &only]).expect_code(1).stderr;
    assert!(refused.contains("as many endpoints joined with it as may"), "{refused}");
    let id = known["id"].as_str().expect("an id").to_owned();
    server.run(&["mesh", "approve", &id]).expect_code(0);
    worker.wait_for_line("worker   ready for builtin;");
    let refused = other
        .run(&["worker", "join", &only[..only.len() - 1]])
        .expect_code(64)
        .stderr;
    assert!(refused.contains("damaged"), "{refused}");
    let taken_back = ticket(&api, json!({}));
    let tickets = api.get("/api/v1/mesh/tickets").expect(200).json();
    for ticket in tickets.as_array().expect("a list") {
        let id = ticket["id"].as_str().expect("an id");
        server.run(&["mesh", "revoke", id]).expect_code(0);
    }
    let refused = other.run(&["worker", "join", &taken_back]).expect_code(1).stderr;
    assert!(refused.contains("was taken back"), "{refused}");
    let listed = server.run(&["mesh", "list", "--json"]).expect_code(0).stdout;
    assert!(!listed.contains("hlvj_"), "no list holds a secret");
}

#[test]
fn a_worker_of_the_mesh_comes_back_when_its_server_does() {
    let (server, far) = (Home::new(), Home::new());
    let (running, api, _) = up(&server, &MESH);
    let key = api.get("/api/v1/mesh").expect(200).json();
    let mut worker = join(&far, &ticket(&api, json!({})));
    worker.wait_for_line("worker   ready for");
    // The address is what the ticket says, so the next one has to be there too.
    let port = mesh_port(&server);
    running.signal("KILL");
    running.wait();
    let listen = format!("127.0.0.1:{port}");
    let (_up, api, _) = up(&server, &["--no-worker", "--mesh", &listen]);
    assert_eq!(api.get("/api/v1/mesh").expect(200).json()["id"], key["id"]);
    endpoint(&api, |one| !one["connected_since"].is_null());
    let run = server
        .run(&["run", "assessment", &small(&server), "--json"])
        .expect_code(0)
        .json();
    assert_eq!(run["status"], "completed");
}

/// The port that the server has the mesh on.
#[test]
fn workers_that_start_on_one_large_target_hand_it_on_unless_they_were_told_not_to() {
    const WORKERS: usize = 8;
    let (server, person) = (Home::new(), Home::new());
    let (_up, api, _) = up(&server, &MESH);
    let any = ticket(&api, json!({}));
    let homes: Vec<Home> = (0..=WORKERS).map(|_| Home::new()).collect();
    let mut workers: Vec<Running> = homes
        .iter()
        .enumerate()
        .map(|(n, home)| {
            let mut arguments = vec!["worker", "join", &any, "--concurrency", "1"];
            arguments.extend((n == WORKERS).then_some("--no-peer-blobs"));
            home.start(&arguments)
        })
        .collect();
    for worker in &mut workers {
        worker.wait_for_line("worker   ready for");
    }
    let root = person.path().join("large");
    tree::grow(&root, 10, 300);
    // What cannot be made smaller: pseudorandom bytes.
    let mut state = 1_u64;
    let mut large = Vec::new();
    while large.len() < 48 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        large.extend((state >> 32).to_le_bytes()[..4].iter());
    }
    std::fs::write(root.join("large.bin"), large).expect("a large file");
    let (own, root) = (
        ticket(&api, json!({"role": "operator"})),
        root.to_string_lossy().into_owned(),
    );
    let run = |person: &Home| {
        let arguments = ["run", "assessment", &root, "--server", &own, "--json"];
        person.run(&arguments).expect_code(0).json()
    };
    // Packed and sent once; the others find it there.
    assert_eq!(run(&person)["status"], "completed");
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..WORKERS).map(|_| scope.spawn(|| run(&Home::new()))).collect();
        for run in runs {
            let run = run.join().expect("a run");
            assert_eq!(run["status"], "completed");
            assert_eq!(run["summary"]["inconclusive"], json!([]), "{run}");
        }
    });
    let mut said = Vec::new();
    for worker in workers {
        worker.signal("INT");
        said.push(worker.wait().expect_code(0).stderr.contains("handed on"));
    }
    assert!(said.contains(&true), "nobody handed anything on");
    assert!(!said[WORKERS], "one was told not to");
}

fn mesh_port(server: &Home) -> u16 {
    let note = std::fs::read_to_string(server.data().join("served.json")).expect("a note");
    let note: Value = serde_json::from_str(&note).expect("JSON");
    let address = note["mesh"].as_str().expect("an address");
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .expect("a port")
}
