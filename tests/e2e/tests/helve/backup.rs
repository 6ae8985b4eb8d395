//! Backups: made while everything runs, and a restored one goes on.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use helve_e2e::process::LIMIT;
use helve_e2e::tree;
use serde_json::{Value, json};

#[track_caller]
fn eventually(ask: impl Fn() -> Answer, is: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = ask();
        if answer.status == 200 && is(&answer.json()) {
            return answer.json();
        }
        assert!(Instant::now() < deadline, "{}", answer.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn upload(home: &Home, api: &Api) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", &root).unwrap();
    let bytes = builder.into_inner().unwrap();
    let made = api.send("POST", "/api/v1/targets?name=small&format=tar", &[], &bytes);
    made.expect(201).json()["id"].as_str().unwrap().to_owned()
}

fn start(api: &Api, target: &str) -> String {
    let started = api.post("/api/v1/runs", &json!({"workflow": "assessment", "target": target}));
    started.expect(201).json()["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_under_load_is_restored_into_a_fresh_directory_where_the_open_run_finishes() {
    let home = Home::new();
    let (running, api, _) = up(&home, &[]);
    let target = upload(&home, &api);
    let first = start(&api, &target);
    api.events(&format!("/api/v1/runs/{first}/events"), None);
    let found = eventually(
        || api.get("/api/v1/findings"),
        |page| !page["items"].as_array().unwrap().is_empty(),
    );
    let finding = format!("/api/v1/findings/{}", found["items"][0]["id"].as_str().unwrap());
    let decided = json!({"state": "false_positive", "comment": "a test"});
    api.post(&format!("{finding}/triage"), &decided).expect(200);
    let token = api.post("/api/v1/tokens", &json!({"name": "ci", "role": "viewer"}));
    let token = token.expect(201).json()["secret"].as_str().unwrap().to_owned();
    running.signal("INT");
    running.wait().expect_code(0);

    // Its steps wait for a worker that is not there.
    let (running, api, _) = up(&home, &["--role", "workflows"]);
    let open = start(&api, &target);
    eventually(
        || api.get(&format!("/api/v1/runs/{open}")),
        |run| run["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
    );
    let backup = home.path().join("backup");
    let backup = backup.to_str().unwrap();
    let stop = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let name = format!("load-{count}");
                api.post("/api/v1/tokens", &json!({"name": name, "role": "viewer"}))
                    .expect(201);
                count += 1;
            }
            count
        });
        let made = home.run(&["backup", backup, "--json"]).expect_code(0).json();
        let again = home.run(&["backup", backup, "--json"]).expect_code(0).json();
        stop.store(true, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0);
        assert_eq!(again["copied_blobs"]["count"], 0, "{again}");
        assert_eq!(again["before"], made["began_at"]);
        again
    });
    assert!(made["blobs"]["count"].as_u64().unwrap() > 2, "{made}");
    assert_eq!((&made["damaged"], &made["left_out"]), (&json!([]), &json!([])));
    home.run(&["backup", "verify", backup]).expect_code(0);
    let listed = home.run(&["backup", "list", backup, "--json"]).expect_code(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    running.signal("KILL");
    drop(running.wait());

    let other = Home::new();
    let restored = other.run(&["restore", backup, "--json"]).expect_code(0).json();
    assert_eq!(restored["snapshot"], made["snapshot"]);
    let mode = std::fs::metadata(other.data()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
    let (running, api, _) = up(&other, &[]);
    let events = api.events(&format!("/api/v1/runs/{open}/events"), None);
    assert_eq!(events.last().unwrap().data["status"], "completed", "{events:?}");
    assert_eq!(
        api.get(&format!("/api/v1/runs/{first}")).expect(200).json()["status"],
        "completed"
    );
    let shown = api.get(&finding).expect(200).text();
    assert!(shown.contains("false_positive") && shown.contains("a test"), "{shown}");
    let targets = api.get("/api/v1/targets").expect(200).json();
    assert_eq!(targets["items"][0]["id"], target);
    // Who had a token still gets in, and the person who runs it has a new one.
    assert_eq!(
        api.with(Some(&token)).get("/api/v1/me").expect(200).json()["name"],
        "ci"
    );
    // The index takes the second run in, as if nothing had happened.
    eventually(
        || api.get(&format!("/api/v1/runs/{open}/diff?run={first}")),
        |diff| diff["new"] == json!([]) && diff["gone"] == json!([]),
    );
    // It is no longer new.
    other.run(&["restore", backup]).expect_clear_error(&["is not empty"]);
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn a_damaged_backup_is_refused_by_the_name_of_what_is_damaged_and_nothing_is_made() {
    let home = Home::new();
    let root = home.path().join("small");
    tree::grow(&root, 5, 100);
    home.scan(&root);
    let backup = home.path().join("backup");
    let said = home.run(&["backup", backup.to_str().unwrap()]).expect_code(0);
    assert!(said.stdout.contains("snapshot"), "{}", said.stdout);
    let snapshots = std::fs::read_dir(backup.join("snapshots")).unwrap();
    let snapshot = snapshots.map(|entry| entry.unwrap().path()).next().unwrap();
    let database = snapshot.join("files/engine.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    let other = Home::new();
    let backup = backup.to_str().unwrap();
    other
        .run(&["restore", backup])
        .expect_clear_error(&["files/engine.db", "damaged"]);
    other
        .run(&["backup", "verify", backup])
        .expect_clear_error(&["files/engine.db"]);
    assert!(!other.data().exists());
    // Without data there is no backup, and none is made up.
    other.run(&["backup", backup]).expect_clear_error(&["no data of Helve"]);
    assert!(!other.data().exists());
}
