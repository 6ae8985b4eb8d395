//! The job queue as programs and shells see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use helve_e2e::process::Running;
use serde_json::{Value, json};

fn publish(api: &Api, queue: &str, jobs: &[Value]) -> Vec<String> {
    let body = json!({ "jobs": jobs });
    let answer = api
        .post(&format!("/api/v1/queue/{queue}/jobs"), &body)
        .expect(200)
        .json();
    let items = answer["jobs"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().expect("it is published").to_owned())
        .collect()
}

fn claim(api: &Api, queue: &str, claiming: &Value) -> Vec<Value> {
    let answer = api
        .post(&format!("/api/v1/queue/{queue}/claim"), claiming)
        .expect(200)
        .json();
    answer["jobs"].as_array().unwrap().clone()
}

fn say(api: &Api, job: &Value, what: &str, mut body: Value) -> Answer {
    body["claim"] = job["claim"].clone();
    api.post(&format!("/api/v1/jobs/{}/{what}", job["id"].as_str().unwrap()), &body)
}

fn token(api: &Api, role: &str, queues: &[&str]) -> Api {
    let mut body = json!({"name": format!("a {role}"), "role": role});
    if !queues.is_empty() {
        body["queues"] = json!(queues);
    }
    let made = api.post("/api/v1/tokens", &body).expect(201).json();
    api.with(made["secret"].as_str())
}

#[test]
fn a_job_goes_from_publisher_to_claimer_and_its_end_is_kept() {
    let home = Home::new();
    let (running, api, _) = up(&home, &[]);
    let job = json!({"input": {"path": "/src"}, "priority": 1, "key": "nightly"});
    let made = api.post("/api/v1/queue/scans/jobs", &job).expect(201);
    let location = made.header("location").unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert!(api.post("/api/v1/queue/scans/jobs", &job).expect(200).json()["duplicate"] == json!(true));
    let tag = api.get(&location).expect(200);
    assert_eq!(tag.json()["status"], "waiting");

    let claimed = claim(&api, "scans", &json!({"max": 5, "wait": "20s", "worker": "one"}));
    assert_eq!(claimed.len(), 1);
    let mine = &claimed[0];
    assert_eq!((&mine["id"], &mine["input"]), (&json!(id), &json!({"path": "/src"})));
    assert!(claim(&api, "scans", &json!({"wait": "0s"})).is_empty());
    let pulse = say(&api, mine, "heartbeat", json!({"details": {"at": 1}}))
        .expect(200)
        .json();
    assert_eq!(pulse["cancel_requested"], false);
    let shown = api.get(&format!("/api/v1/jobs/{id}")).expect(200).json();
    assert_eq!((&shown["status"], &shown["worker"]), (&json!("claimed"), &json!("one")));
    assert_eq!(shown["heartbeat"], json!({"at": 1}));
    say(&api, mine, "complete", json!({"output": [1, 2]})).expect(200);
    let again = say(&api, mine, "complete", json!({"output": [1, 2]}))
        .expect(200)
        .json();
    assert_eq!(again["repeated"], true, "a lost answer can be asked for again");
    say(&api, mine, "heartbeat", json!({})).expect_problem(409, "the claim on job");
    let shown = api.get(&format!("/api/v1/jobs/{id}")).expect(200).json();
    assert_eq!(
        (&shown["status"], &shown["output"]),
        (&json!("completed"), &json!([1, 2]))
    );
    let stats = api.get("/api/v1/queue/scans").expect(200).json();
    assert_eq!((&stats["completed"], &stats["open"]), (&json!(1), &json!(0)));
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn many_jobs_are_published_claimed_and_completed_at_once() {
    let home = Home::new();
    let (_running, api, _) = up(&home, &[]);
    let jobs: Vec<Value> = (0..200).map(|n| json!({ "input": n })).collect();
    let key = [("Idempotency-Key", "the batch")];
    let body = json!({ "jobs": jobs });
    let first = api.post_with("/api/v1/queue/many/jobs", &key, &body).expect(200).json();
    let again = api.post_with("/api/v1/queue/many/jobs", &key, &body).expect(200).json();
    assert_eq!(first["jobs"][7]["id"], again["jobs"][7]["id"]);
    let claimed = claim(&api, "many", &json!({"max": 100}));
    assert_eq!(claimed.len(), 100, "all that there is room for");
    let rest = claim(&api, "many", &json!({"max": 1000}));
    assert_eq!(rest.len(), 100);
    let mut completions: Vec<Value> = claimed
        .iter()
        .map(|job| json!({"claim": job["claim"], "output": job["input"]}))
        .collect();
    completions.push(json!({"claim": "made-up"}));
    let answer = api
        .post("/api/v1/queue/many/complete", &json!({ "jobs": completions }))
        .expect(200)
        .json();
    let items = answer["jobs"].as_array().unwrap();
    assert!(items[..100].iter().all(|item| item["id"].is_string()), "{items:?}");
    assert_eq!(items[100]["error"]["status"], 403);
    let beats: Vec<Value> = rest.iter().map(|job| json!({"claim": job["claim"]})).collect();
    let answer = api
        .post("/api/v1/queue/many/heartbeat", &json!({ "jobs": beats }))
        .expect(200)
        .json();
    assert_eq!(answer["jobs"].as_array().unwrap().len(), 100);
    let other = api.post(
        "/api/v1/queue/other/complete",
        &json!({ "jobs": [{"claim": rest[0]["claim"]}] }),
    );
    assert_eq!(
        other.expect(200).json()["jobs"][0]["error"]["status"],
        403,
        "it is of another queue"
    );
    let page = api
        .get("/api/v1/queue/many/jobs?status=completed&limit=60")
        .expect(200)
        .json();
    assert_eq!(page["items"].as_array().unwrap().len(), 60);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = api
        .get(&format!(
            "/api/v1/queue/many/jobs?status=completed&limit=60&cursor={cursor}"
        ))
        .expect(200)
        .json();
    assert_eq!(next["items"].as_array().unwrap().len(), 40);
    api.post("/api/v1/queue/many/jobs", &json!({"jobs": []}))
        .expect_problem(422, "1 to 1000");
    api.post("/api/v1/queue/many/jobs", &json!({"inputs": 1}))
        .expect_problem(422, "unknown field");
    api.post("/api/v1/queue/a%3Ab/jobs", &json!({}))
        .expect_problem(422, "the name of a queue");
    api.post("/api/v1/queue/many/claim", &json!({"max": 0}))
        .expect_problem(422, "1 to 1000");
}

#[test]
fn dead_letters_are_listed_requeued_and_leave_rows_in_the_audit_log() {
    let home = Home::new();
    let (_running, api, _) = up(&home, &[]);
    let job = json!({"retry": {"attempts": 1}, "input": "x"});
    let id = publish(&api, "dead", &[job])[0].clone();
    let mine = claim(&api, "dead", &json!({})).remove(0);
    say(&api, &mine, "fail", json!({"error": "no room", "type": "Disk"})).expect(200);
    let dead = api.get("/api/v1/queue/dead/dead").expect(200).json();
    assert_eq!(dead["items"][0]["id"], json!(id));
    let shown = api.get(&format!("/api/v1/jobs/{id}")).expect(200).json();
    assert_eq!(shown["failure"], json!({"error": "no room", "type": "Disk"}));
    api.post(&format!("/api/v1/jobs/{id}/requeue"), &json!({})).expect(200);
    api.post(&format!("/api/v1/jobs/{id}/requeue"), &json!({}))
        .expect_problem(409, "has not ended");
    assert_eq!(
        api.get("/api/v1/queue/dead/dead").expect(200).json()["items"],
        json!([])
    );
    let again = claim(&api, "dead", &json!({})).remove(0);
    assert_eq!(again["input"], "x");
    say(&api, &again, "fail", json!({"error": "again"})).expect(200);
    let swept = api.post("/api/v1/queue/dead/requeue", &json!({})).expect(200).json();
    assert_eq!(swept["jobs"], 1);
    let shown = api.get(&format!("/api/v1/jobs/{id}")).expect(200).json();
    assert_eq!(shown["earlier"].as_array().unwrap().len(), 2);
    api.post(&format!("/api/v1/jobs/{id}/cancel"), &json!({})).expect(202);
    let purged = api
        .post("/api/v1/queue/dead/purge", &json!({"status": "canceled"}))
        .expect(200)
        .json();
    assert_eq!(purged["jobs"], 1);
    // The engine deletes in its own time.
    let gone = || api.get(&format!("/api/v1/jobs/{id}"));
    while gone().status == 200 {
        thread::yield_now();
    }
    gone().expect_problem(404, "there is no job");
    let rows = api.get("/api/v1/audit").expect(200).text();
    for action in ["job.requeue", "queue.requeue", "job.cancel", "queue.purge"] {
        assert!(rows.contains(action), "{action}: {rows}");
    }
}

#[test]
fn each_role_may_do_its_part_and_a_worker_only_in_its_queues() {
    let home = Home::new();
    let (_running, api, _) = up(&home, &[]);
    let id = publish(&api, "a", &[json!({})])[0].clone();
    publish(&api, "b", &[json!({})]);
    let (viewer, analyst) = (token(&api, "viewer", &[]), token(&api, "analyst", &[]));
    viewer.get("/api/v1/queue/a").expect(200);
    viewer
        .post("/api/v1/queue/a/jobs", &json!({}))
        .expect_problem(403, "role analyst");
    analyst.post("/api/v1/queue/a/jobs", &json!({})).expect(201);
    analyst
        .post("/api/v1/queue/a/claim", &json!({}))
        .expect_problem(403, "role operator");
    analyst
        .post(&format!("/api/v1/jobs/{id}/requeue"), &json!({}))
        .expect_problem(403, "role operator");
    api.with(None).post("/api/v1/queue/a/claim", &json!({})).expect(401);

    let worker = token(&api, "worker", &["jobs:a"]);
    let mine = claim(&worker, "a", &json!({})).remove(0);
    worker
        .post("/api/v1/queue/b/claim", &json!({}))
        .expect_problem(403, "jobs:b");
    worker.get(&format!("/api/v1/jobs/{id}")).expect(403);
    worker.get("/api/v1/runs").expect(403);
    worker.post("/api/v1/queue/a/jobs", &json!({})).expect(403);
    worker
        .send("DELETE", &format!("/api/v1/jobs/{id}"), &[], &[])
        .expect(403);
    // A claim of another queue is none of its business, and a changed one nobody's.
    let other = claim(&api, "b", &json!({})).remove(0);
    say(&worker, &other, "complete", json!({})).expect_problem(403, "no claim of this");
    let mut forged = mine.clone();
    forged["claim"] = json!(format!("A{}", &mine["claim"].as_str().unwrap()[1..]));
    if forged["claim"] == mine["claim"] {
        forged["claim"] = json!(format!("B{}", &mine["claim"].as_str().unwrap()[1..]));
    }
    say(&worker, &forged, "complete", json!({})).expect_problem(403, "no claim of this");
    let mut elsewhere = mine.clone();
    elsewhere["id"] = other["id"].clone();
    say(&worker, &elsewhere, "complete", json!({})).expect_problem(403, "no claim of this");
    say(&worker, &mine, "complete", json!({})).expect(200);
}

/// Publishes and claims while the server is killed, again and again.
#[test]
fn a_kill_loses_no_job_that_was_answered() {
    let home = Home::new();
    let mut published: BTreeSet<String> = BTreeSet::new();
    let mut completed: BTreeSet<String> = BTreeSet::new();
    for round in 0..3 {
        let (running, api, _) = up(&home, &["--no-worker"]);
        let stop = AtomicBool::new(false);
        let (more, done) = thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let mut ids = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let jobs: Vec<Value> = (0..20).map(|n| json!({"input": n, "lease": "1s"})).collect();
                    match try_post(&api, "/api/v1/queue/q/jobs", &json!({ "jobs": jobs })) {
                        Some(answer) => ids.extend(ids_of(&answer)),
                        None => break,
                    }
                }
                ids
            });
            let claimer = scope.spawn(|| {
                let mut ids = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({"max": 10, "wait": "1s"});
                    let Some(claimed) = try_post(&api, "/api/v1/queue/q/claim", &body) else {
                        break;
                    };
                    let claims = claimed["jobs"].as_array().cloned().unwrap_or_default();
                    if claims.is_empty() {
                        continue;
                    }
                    let claims: Vec<Value> = claims.iter().map(|job| json!({"claim": job["claim"]})).collect();
                    match try_post(&api, "/api/v1/queue/q/complete", &json!({ "jobs": claims })) {
                        Some(answer) => ids.extend(ids_of(&answer)),
                        None => break,
                    }
                }
                ids
            });
            let (killed, _) = running.kill_after(Duration::from_millis(1500 + 300 * round));
            assert!(killed);
            stop.store(true, Ordering::Relaxed);
            (publisher.join().unwrap(), claimer.join().unwrap())
        });
        published.extend(more);
        for id in done {
            assert!(completed.insert(id.clone()), "job {id} was completed twice");
        }
    }
    assert!(!published.is_empty() && !completed.is_empty());
    let (_running, api, _) = up(&home, &["--no-worker"]);
    // What was not acknowledged as done is still to be had, each job once at a time.
    let mut rest: BTreeMap<String, u64> = BTreeMap::new();
    let missing = |rest: &BTreeMap<String, u64>| {
        let known = published
            .iter()
            .filter(|id| completed.contains(*id) || rest.contains_key(*id));
        published.len() - known.count()
    };
    while missing(&rest) > 0 {
        let claims = claim(&api, "q", &json!({"max": 500, "wait": "20s", "lease": "10m"}));
        if claims.is_empty() {
            break;
        }
        for job in claims {
            let id = job["id"].as_str().unwrap().to_owned();
            assert!(!completed.contains(&id), "job {id} was done, and came again");
            assert!(
                rest.insert(id, job["attempt"].as_u64().unwrap()).is_none(),
                "two have it"
            );
        }
    }
    for id in &published {
        if !completed.contains(id) && !rest.contains_key(id) {
            // Done, but the answer was lost with the server.
            let shown = api.get(&format!("/api/v1/jobs/{id}")).expect(200).json();
            assert_eq!(shown["status"], "completed", "job {id} is lost: {shown}");
        }
    }
}

/// None when the server is gone.
fn try_post(api: &Api, path: &str, body: &Value) -> Option<Value> {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(&api.address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let body = body.to_string();
    let length = body.len().to_string();
    let head = api.head(
        "POST",
        path,
        &[("Content-Type", "application/json"), ("Content-Length", &length)],
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200")
        .then(|| serde_json::from_str(body).ok())
        .flatten()
}

fn ids_of(answer: &Value) -> Vec<String> {
    let items = answer["jobs"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| Some(item["id"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_shell_publishes_claims_and_works() {
    let home = Home::new();
    let json = |arguments: &[&str]| {
        home.run(&[&["queue"], arguments, &["--json"]].concat())
            .expect_code(0)
            .json()
    };
    let made = json(&["publish", "scans", "--input", "{\"n\": 1}", "--priority", "1"]);
    let id = made["id"].as_str().unwrap();
    let claimed = json(&["claim", "scans", "--wait", "0s"]);
    let token = claimed["jobs"][0]["claim"].as_str().unwrap();
    assert_eq!(json(&["heartbeat", token])["cancel_requested"], false);
    assert_eq!(json(&["complete", token, "--output", "\"ok\""])["id"], id);
    let shown = json(&["show", id]);
    assert_eq!(
        (&shown["status"], &shown["output"]),
        (&json!("completed"), &json!("ok"))
    );
    home.run(&["queue", "complete", "made-up"])
        .expect_clear_error(&["no claim"]);
    home.run(&["queue", "show", "job-1"]).expect_clear_error(&["no job"]);

    // A command for each job.
    for n in 0..3 {
        json(&[
            "publish",
            "work",
            "--input",
            &format!("{{\"n\": {n}}}"),
            "--attempts",
            "1",
        ]);
    }
    json(&["publish", "work", "--input", "\"fail\"", "--attempts", "1"]);
    let script = "if grep -q fail; then echo broken >&2; exit 3; fi; echo \"$HELVE_JOB_ATTEMPT\"";
    let worked = home.run(&[
        "queue",
        "work",
        "work",
        "--jobs",
        "2",
        "--drain",
        "--data-dir",
        &home.data().to_string_lossy(),
        "--",
        "sh",
        "-c",
        script,
    ]);
    drop(worked);
    let stats = json(&["stats", "work"]);
    assert_eq!((&stats[0]["completed"], &stats[0]["dead"]), (&json!(3), &json!(1)));
    let dead = json(&["dead", "work"]);
    let dead = json(&["show", dead[0]["id"].as_str().unwrap()]);
    assert_eq!(dead["failure"], json!({"error": "broken", "type": "exit-3"}));
    assert_eq!(json(&["requeue", "--all", "work"])["requeued"], 1);
}

#[test]
fn the_shell_works_beside_a_server() {
    let home = Home::new();
    let (_running, api, _) = up(&home, &[]);
    let id = publish(&api, "a", &[json!({"input": "x"})])[0].clone();
    let claimed = home.run(&["queue", "claim", "a", "--json"]).expect_code(0).json();
    assert_eq!(claimed["jobs"][0]["id"], json!(id));
    // A claim is good on either way to the same data directory.
    say(&api, &claimed["jobs"][0], "complete", json!({"output": 1})).expect(200);
    let shown = home.run(&["queue", "show", &id, "--json"]).expect_code(0).json();
    assert_eq!(shown["output"], 1);
}

/// The blocks of shell in the documentation.
fn documented() -> Vec<String> {
    let text = include_str!("../../../../docs/queue.md");
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs it with `helve` in the path, and gives back what it printed.
fn shell(home: &Home, script: &str, variables: &[(&str, &str)]) -> String {
    let program = helve_e2e::helve_program();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("HELVE_DATA_DIR", home.data())
        .env_remove("HELVE_ENGINE")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    told
}

#[test]
fn what_the_documentation_shows_works() {
    let home = Home::new();
    let blocks = documented();
    assert_eq!(blocks.len(), 2, "a block for the shell and one for HTTP");
    let told = shell(&home, &blocks[0], &[]);
    assert_eq!(
        told.matches("completed").count(),
        3 + 3,
        "three are done, and listed: {told}"
    );
    let (_running, api, _) = up(&home, &["--no-worker"]);
    let base = format!("http://{}/api/v1", api.address);
    let variables = [("BASE", base.as_str()), ("TOKEN", api.token.as_deref().unwrap())];
    let told = shell(&home, &blocks[1], &variables);
    assert!(
        told.contains("\"duplicate\":false") && told.contains("\"claim\":"),
        "{told}"
    );
    assert!(told.contains("\"at_work\":2"), "{told}");
}

/// The same commands, at a server that is named.
#[test]
fn a_shell_has_the_queue_of_a_server_too() {
    let (server, person) = (Home::new(), Home::new());
    let (_up, api, _) = up(&server, &["--no-worker"]);
    let url = format!("http://{}", api.address);
    let token = server.data().join("admin.token").to_string_lossy().into_owned();
    let queue = |arguments: &[&str], code: i32| {
        let mut all = vec!["queue"];
        all.extend(arguments);
        all.extend(["--server", &url, "--token-file", &token, "--json"]);
        person.run(&all).expect_code(code)
    };
    let made = queue(&["publish", "scans", "--input", "{\"n\": 1}", "--key", "once"], 0).json();
    let again = queue(&["publish", "scans", "--input", "{\"n\": 1}", "--key", "once"], 0).json();
    assert_eq!((&made["id"], &again["duplicate"]), (&again["id"], &json!(true)));
    let claimed = queue(&["claim", "scans"], 0).json();
    let job = claimed.get("jobs").map_or(&claimed, |jobs| &jobs[0]);
    let claim = job["claim"].as_str().expect("a claim").to_owned();
    queue(&["heartbeat", &claim], 0);
    queue(&["complete", &claim, "--output", "\"done\""], 0);
    let id = made["id"].as_str().expect("an id");
    let shown = queue(&["show", id], 0).json();
    assert_eq!(
        (&shown["status"], &shown["output"]),
        (&json!("completed"), &json!("done"))
    );
    let lost = queue(&["heartbeat", &claim], 1).stderr;
    assert!(lost.contains("is over"), "{lost}");
    // What a command does with each job, and what it could not do.
    for n in 0..3 {
        queue(&["publish", "words", "--input", &format!("\"{n}\"")], 0);
    }
    let work = [
        "queue",
        "work",
        "words",
        "--drain",
        "--server",
        &url,
        "--token-file",
        &token,
    ];
    let mut work = person.command(&work);
    Running::start(work.args(["--", "cat"])).wait().expect_code(0);
    let listed = queue(&["list", "words", "--status", "completed"], 0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    let stats = queue(&["stats", "words"], 0).stdout;
    assert!(stats.contains("words"), "{stats}");
    queue(&["remove", id], 0);
    queue(&["show", id], 1);
}
