//! Who may do what: over gRPC with a token, as over HTTP.

use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::process::{Finished, Running};
use helve_e2e::tree::write;
use serde_json::{Value, json};

/// A `helve up` that asks over gRPC too, and where that is.
fn guarded(home: &Home) -> (Running, Api, String) {
    let (up, api, _) = up(home, &[]);
    let engine = up.line("temporal://").expect("it says where the engine is");
    let address = engine.split("temporal://").nth(1).expect("an address");
    let address = address.split_whitespace().next().expect("an address");
    let engine = format!("temporal://{address}");
    (up, api, engine)
}

/// A token in a file; returns the file's name.
fn token(home: &Home, api: &Api, name: &str, role: &str, scope: &Value) -> String {
    let mut wanted = json!({ "name": name, "role": role });
    let fields = wanted.as_object_mut().expect("an object");
    fields.extend(scope.as_object().expect("an object").clone());
    let made = api.post("/api/v1/tokens", &wanted).expect(201).json();
    keep(home, name, made["secret"].as_str().expect("a secret"))
}

fn keep(home: &Home, name: &str, secret: &str) -> String {
    let file = home.path().join(format!("{name}.token"));
    write(&file, secret);
    file.to_string_lossy().into_owned()
}

/// Somebody elsewhere, who has a token at most.
fn elsewhere(engine: &str, token: Option<&str>, arguments: &[&str]) -> Finished {
    let other = Home::on(engine);
    let given: Vec<&str> = token.into_iter().flat_map(|file| ["--token-file", file]).collect();
    other.run(&[arguments, &given].concat())
}

#[test]
fn nobody_reads_over_grpc_without_a_token_that_is_good_for_it() {
    let home = Home::new();
    let (_up, api, engine) = guarded(&home);
    let list = ["runs", "list", "--json"];
    elsewhere(&engine, None, &list).expect_clear_error(&["token"]);

    let everywhere = json!({});
    let viewer = token(&home, &api, "viewer", "viewer", &everywhere);
    elsewhere(&engine, Some(&viewer), &list).expect_code(0);
    // Forged: one digit of a good one is another.
    let good = std::fs::read_to_string(&viewer).expect("it was written");
    let last = if good.ends_with('0') { "1" } else { "0" };
    let forged = keep(&home, "forged", &format!("{}{last}", &good[..good.len() - 1]));
    elsewhere(&engine, Some(&forged), &list).expect_clear_error(&["token is not known"]);
    // Of another namespace.
    api.post("/api/v1/namespaces", &json!({ "name": "team-b" })).expect(201);
    let other = token(&home, &api, "other", "viewer", &json!({ "namespaces": ["team-b"] }));
    elsewhere(&engine, Some(&other), &list).expect_clear_error(&["no access to the namespace `default`"]);
    elsewhere(&format!("{engine}/team-b"), Some(&other), &list).expect_code(0);
    // Taken back.
    let tokens = api.get("/api/v1/tokens").expect(200).json();
    let known = tokens["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|token| token["name"] == "viewer");
    let id = known.expect("it is listed")["id"].as_str().expect("an id").to_owned();
    api.send("DELETE", &format!("/api/v1/tokens/{id}"), &[], &[])
        .expect(204);
    elsewhere(&engine, Some(&viewer), &list).expect_clear_error(&["revoked"]);
    // On the machine itself the data directory has one.
    home.run(&list).expect_code(0);
}

#[test]
fn each_role_does_over_grpc_what_it_is_for_and_no_more() {
    let home = Home::new();
    let (_up, api, engine) = guarded(&home);
    let target = api
        .send("POST", "/api/v1/targets?name=a.py&format=file", &[], b"x = 1\n")
        .expect(201);
    let asked = json!({ "workflow": "secrets-scan", "target": target.json()["id"] });
    let run = api.post("/api/v1/runs", &asked).expect(201).json();
    let run = run["run_id"].as_str().expect("a run id");
    for role in ["viewer", "analyst", "worker"] {
        let file = token(&home, &api, role, role, &json!({}));
        elsewhere(&engine, Some(&file), &["runs", "terminate", run, "--json"])
            .expect_clear_error(&["needs the role operator"]);
    }
    let worker = home.path().join("worker.token").to_string_lossy().into_owned();
    elsewhere(&engine, Some(&worker), &["runs", "list", "--json"]).expect_clear_error(&["needs the role viewer"]);
}

#[test]
fn a_worker_s_token_polls_its_queues_and_no_others() {
    let home = Home::new();
    let (_up, api, engine) = guarded(&home);
    let scope = json!({ "namespaces": ["default"], "queues": ["python"] });
    let file = token(&home, &api, "hands", "worker", &scope);
    let there = Home::on(&engine);
    let mut worker = there.start(&[
        "worker",
        "--vertical",
        "python",
        "--role",
        "activities",
        "--token-file",
        &file,
    ]);
    worker.wait_for_line("worker   ready for python");
    let known = loop {
        let known = api.get("/api/v1/workers").expect(200).json();
        let workers = known["items"].as_array().expect("workers").len();
        if workers == 2 {
            break known;
        }
    };
    assert!(known.to_string().contains("python"), "{known}");
    worker.signal("INT");
    worker.wait().expect_code(0);
    elsewhere(
        &engine,
        Some(&file),
        &["worker", "--vertical", "web", "--role", "activities"],
    )
    .expect_clear_error(&["no access to the task queue `helve-vertical-web`"]);
    // Over HTTP it is nobody.
    let secret = std::fs::read_to_string(&file).expect("it was written");
    for path in ["/api/v1/runs", "/api/v1/findings", "/api/v1/tokens", "/api/v1/audit"] {
        assert_eq!(api.with(Some(&secret)).get(path).status, 403, "{path}");
    }
}

#[test]
fn an_open_grpc_address_is_said_loudly_and_one_that_others_reach_is_refused() {
    let home = Home::new();
    home.run(&["up", "--http", "127.0.0.1:0", "--grpc", "0.0.0.0:0"])
        .expect_clear_error(&["reached from other machines", "--grpc-expose"]);
    let mut open = home.start(&["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--grpc-open"]);
    open.wait_for_line("whoever reaches this address may do everything, unasked");
}
