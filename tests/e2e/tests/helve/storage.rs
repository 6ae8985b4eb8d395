//! Targets and results in a bucket, and how long they are kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use helve_e2e::bucket::S3Server;
use helve_e2e::home::Home;
use helve_e2e::process::{Finished, LIMIT, Running};
use helve_e2e::tree;
use serde_json::Value;

const PLACE: &str = "s3://helve/e2e";

/// A server with a bucket.
fn bucket() -> Option<S3Server> {
    let server = S3Server::start()?;
    server.make_bucket("helve");
    Some(server)
}

fn command(home: &Home, server: &S3Server, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command.envs(server.variables());
    command
}

#[track_caller]
fn run(home: &Home, server: &S3Server, arguments: &[&str]) -> Finished {
    Running::start(&mut command(home, server, arguments)).wait()
}

fn small(home: &Home) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    root.to_string_lossy().into_owned()
}

/// `helve up` on a free port, and how other commands name it.
fn up(mut command: Command) -> (Running, String) {
    let mut up = Running::start(command.args(["--grpc", "127.0.0.1:0"]));
    let line = up.wait_for_line("temporal://");
    let engine = line
        .split_whitespace()
        .find(|word| word.starts_with("temporal://"))
        .unwrap()
        .to_owned();
    up.wait_for_line("worker   ready");
    (up, engine)
}

/// An engine whose own worker runs no steps, and how other commands name it.
fn engine(home: &Home, server: &S3Server) -> (Running, String) {
    up(command(home, server, &["up", "--role", "workflows", "--blobs", PLACE]))
}

/// A worker that has nothing of its home in common with whoever starts runs.
fn worker(home: &Home, server: &S3Server) -> Running {
    let arguments = ["worker", "--role", "activities", "--blobs", PLACE];
    let mut worker = Running::start(&mut command(home, server, &arguments));
    worker.wait_for_line(PLACE);
    worker.wait_for_line("ready");
    worker
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_worker_elsewhere_gets_targets_and_leaves_reports_through_a_bucket() {
    let Some(server) = bucket() else { return };
    let near = Home::new();
    let target = small(&near);
    let (_up, engine) = engine(&near, &server);
    let far = Home::on(&engine);
    let _worker = worker(&far, &server);

    // The data directory remembers where its blobs are.
    let result = run(&near, &server, &["run", "assessment", &target, "--json"])
        .expect_code(0)
        .json();
    assert!(result["summary"]["total"].as_u64().unwrap() > 0, "{result}");
    let run_id = result["run_id"].as_str().unwrap();
    let id = result["target"]["id"].as_str().unwrap();
    assert!(server.keys("helve", "e2e/blobs/").contains(&format!("e2e/blobs/{id}")));
    assert!(!near.data().join("blobs").exists(), "nothing went into a directory");
    assert!(
        far.data().join("cache").join(&id[..2]).join(id).exists(),
        "the worker has a cache of its own"
    );

    let listed = run(&near, &server, &["artifacts", "list", run_id, "--json"])
        .expect_code(0)
        .json();
    assert!(listed.to_string().contains("report.sarif"), "{listed}");
    let sarif = run(&near, &server, &["artifacts", "get", run_id, "report.sarif"])
        .expect_code(0)
        .json();
    assert_eq!(sarif["version"], "2.1.0");
    let file = near.path().join("report");
    let name = file.to_string_lossy().into_owned();
    run(
        &near,
        &server,
        &["artifacts", "get", run_id, "report.json", "-o", &name],
    )
    .expect_code(0);
    serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap();
    run(&near, &server, &["artifacts", "get", run_id, "nothing"]).expect_clear_error(&["nothing", "artifacts list"]);

    let targets = run(&near, &server, &["targets", "list", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (targets[0]["id"].as_str(), targets[0]["name"].as_str()),
        (Some(id), Some("small"))
    );
    let shown = run(&near, &server, &["targets", "show", &id[..8], "--json"])
        .expect_code(0)
        .json();
    assert_eq!(shown["runs"][0], run_id);
    run(&near, &server, &["targets", "remove", id]).expect_code(0);
    let targets = run(&near, &server, &["targets", "list", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(targets.as_array().unwrap().len(), 0);
}

#[test]
fn an_upload_killed_in_the_middle_goes_on_where_it_was() {
    let Some(server) = bucket() else { return };
    let home = Home::new();
    let target = home.path().join("tree");
    // Not compressible: several parts.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..48 << 20)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        })
        .collect();
    tree::write(&target.join("noise.bin"), noise);
    let target = target.to_string_lossy().into_owned();
    let arguments = ["run", "secrets-scan", &target, "--json", "--blobs", PLACE];
    let journals = home.data().join("cache/uploads");
    let journal = || -> Option<String> {
        let entry = fs::read_dir(&journals).ok()?.flatten().next()?;
        fs::read_to_string(entry.path()).ok()
    };
    let begun = Running::start(&mut command(&home, &server, &arguments));
    wait_for("a part that has arrived", || {
        journal().is_some_and(|text| text.lines().count() >= 2)
    });
    let (killed, _) = begun.kill_after(Duration::ZERO);
    assert!(killed);
    let left = journal().expect("the journal outlives its process");

    let result = run(&home, &server, &arguments).expect_code(0).json();
    assert_eq!(result["status"], "completed");
    let requests = server.requests();
    for line in left.lines().skip(1) {
        let part: Value = serde_json::from_str(line).expect("whole lines only");
        let number = format!("partNumber={}&", part["index"].as_u64().unwrap() + 1);
        let sent = requests.iter().filter(|request| request.contains(&number)).count();
        assert_eq!(sent, 1, "{number} had arrived: {requests:#?}");
    }
}

/// Changes one byte of a blob.
fn damage(server: &S3Server, id: &str) {
    let key = format!("e2e/blobs/{id}");
    let mut bytes = server.read("helve", &key).expect("it is there");
    bytes[0] ^= 1;
    server.write("helve", &key, &bytes);
}

#[test]
fn a_damaged_object_is_named_and_never_used() {
    let Some(server) = bucket() else { return };
    let near = Home::new();
    let target = small(&near);
    let (_up, engine) = engine(&near, &server);
    let arguments = ["run", "secrets-scan", &target, "--json"];
    let scan = Running::start(&mut command(&near, &server, &arguments));
    let mut targets = Vec::new();
    wait_for("a packed target", || {
        targets = server.keys("helve", "e2e/targets/");
        !targets.is_empty()
    });
    let id = targets[0]
        .trim_start_matches("e2e/targets/")
        .trim_end_matches(".json")
        .to_owned();
    damage(&server, &id);
    let far = Home::on(&engine);
    let _worker = worker(&far, &server);
    let failed = scan.wait().json();
    assert_ne!(failed["status"], "completed", "{failed}");
    let said = failed["steps"].to_string();
    assert!(
        said.contains(&id) && said.contains("damaged"),
        "the error names it: {failed}"
    );

    // It was set aside, so the next run sends it anew.
    let good = run(&near, &server, &arguments).expect_code(0).json();
    assert!(good["summary"]["total"].as_u64().unwrap() > 0, "{good}");
    let run_id = good["run_id"].as_str().unwrap();
    let listed = run(&near, &server, &["artifacts", "list", run_id, "--json"])
        .expect_code(0)
        .json();
    let artifacts = listed.as_array().unwrap();
    let report = artifacts
        .iter()
        .find(|artifact| artifact["name"] == "report.json")
        .unwrap();
    let report = report["id"].as_str().unwrap();
    damage(&server, report);
    fs::remove_dir_all(near.data().join("cache")).unwrap();
    run(&near, &server, &["findings", run_id]).expect_clear_error(&[report, PLACE, "damaged"]);
}

#[test]
fn what_is_wrong_with_a_bucket_is_said_before_anything_is_packed() {
    let home = Home::new();
    let target = small(&home);
    let finished = home.run(&["run", "assessment", &target, "--blobs", "gs://bucket"]);
    assert_eq!(finished.code, Some(64));
    finished.expect_clear_error(&["gs://bucket", "s3://BUCKET"]);
    let Some(server) = bucket() else { return };
    run(&home, &server, &["run", "assessment", &target, "--blobs", "s3://other"])
        .expect_clear_error(&["no bucket `other`"]);
    let mut keyless = command(&home, &server, &["targets", "list", "--blobs", PLACE]);
    Running::start(keyless.env_remove("AWS_ACCESS_KEY_ID"))
        .wait()
        .expect_clear_error(&["AWS_ACCESS_KEY_ID"]);
}

/// Everything below the directory that is named by an id.
fn blobs(dir: &Path) -> Vec<PathBuf> {
    let shards = fs::read_dir(dir).into_iter().flatten().flatten();
    shards
        .filter(|shard| shard.file_name().len() == 2)
        .flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten())
        .map(|blob| blob.path())
        .collect()
}

fn make_old(path: &Path) {
    const DAYS: u64 = 40;
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(DAYS * 24 * 60 * 60))
        .unwrap();
}

/// A blob that nobody needs, old enough to expire.
fn make_litter(dir: &Path) -> PathBuf {
    let path = dir.join("ab").join("ab".repeat(32));
    tree::write(&path, "litter");
    make_old(&path);
    path
}

#[test]
fn expiry_spares_what_an_open_run_needs_and_what_a_closed_one_still_refers_to() {
    let home = Home::new();
    let target = small(&home);
    let dir = home.data().join("blobs");
    // It runs workflows and sweeps all the time, but no steps: the run stays open.
    let up_arguments = [
        "up",
        "--role",
        "workflows",
        "--expire-every",
        "200ms",
        "--keep-targets",
        "0s",
    ];
    let (_up, _) = up(home.command(&up_arguments));
    let scan = home.start(&["run", "assessment", &target, "--json"]);
    wait_for("an open run", || {
        home.runs().iter().any(|run| run["status"] == "running")
    });
    blobs(&dir).iter().for_each(|path| make_old(path));
    let needed = blobs(&dir);
    assert!(needed.len() >= 3, "the target and two modules: {needed:?}");

    // Twice: the second sweep certainly began after all of it was old.
    for _ in 0..2 {
        let litter = make_litter(&dir);
        wait_for("the sweep", || !litter.exists());
    }
    assert!(needed.iter().all(|path| path.exists()), "an open run needs all of it");
    let pruned = home
        .run(&["targets", "prune", "--dry-run", "--json"])
        .expect_code(0)
        .json();
    assert!(pruned["needed"].as_u64().unwrap() >= 3, "{pruned}");
    let listed = home.run(&["targets", "list", "--json"]).expect_code(0).json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    home.run(&["targets", "remove", &id])
        .expect_clear_error(&["open run", &id]);

    // Somebody takes the steps: all that they need is there.
    let mut worker = home.start(&["worker", "--role", "activities"]);
    worker.wait_for_line("ready");
    let result = scan.wait().expect_code(0).json();
    assert!(result["summary"]["total"].as_u64().unwrap() > 0, "{result}");
    let run_id = result["run_id"].as_str().unwrap();

    // Now it is closed. Its target goes, as `helve up` was told, its results stay.
    blobs(&dir).iter().for_each(|path| make_old(path));
    wait_for("the target to expire", || {
        home.run(&["targets", "list", "--json"])
            .expect_code(0)
            .json()
            .as_array()
            .unwrap()
            .is_empty()
    });
    home.run(&["findings", run_id]).expect_code(0);
    let prune = |dry: &[&str]| {
        let arguments = [&["targets", "prune", "--keep-results", "0s", "--json"], dry].concat();
        home.run(&arguments).expect_code(0).json()["removed"]
            .as_array()
            .unwrap()
            .len()
    };
    let would = prune(&["--dry-run"]);
    assert!(would >= 4, "reports of two steps, and of the run");
    home.run(&["findings", run_id]).expect_code(0);
    assert_eq!(prune(&[]), would);
    home.run(&["findings", run_id]).expect_clear_error(&["expired"]);
}
