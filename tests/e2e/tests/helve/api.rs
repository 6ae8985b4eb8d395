//! The HTTP API as programs and browsers see it.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use helve_e2e::browser::Browser;
use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, read_answer, up};
use helve_e2e::process::LIMIT;
use helve_e2e::tree;
use serde_json::{Value, json};

/// A tree of ten files with a key and a flaw, as an archive.
fn archive(home: &Home) -> Vec<u8> {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", &root).unwrap();
    builder.into_inner().unwrap()
}

fn begin(api: &Api, name: &str, bytes: &[u8]) -> String {
    let begun = api.post(
        "/api/v1/uploads",
        &json!({"name": name, "format": "tar", "size": bytes.len()}),
    );
    begun.expect(201).json()["id"].as_str().unwrap().to_owned()
}

fn send(api: &Api, upload: &str, offset: usize, bytes: &[u8]) -> Answer {
    let offset = offset.to_string();
    api.send(
        "PATCH",
        &format!("/api/v1/uploads/{upload}"),
        &[("Upload-Offset", &offset)],
        bytes,
    )
}

/// Uploads at once and returns the target's id.
fn target(api: &Api, name: &str, bytes: &[u8]) -> String {
    let path = format!("/api/v1/targets?name={name}&format=tar");
    let made = api.send("POST", &path, &[], bytes).expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

fn start(api: &Api, target: &str, key: &str) -> Answer {
    let body = json!({"workflow": "assessment", "target": target});
    api.post_with("/api/v1/runs", &[("Idempotency-Key", key)], &body)
}

fn run_id(started: &Answer) -> String {
    started.json()["run_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_target_is_uploaded_in_parts_scanned_and_followed() {
    let home = Home::new();
    let (running, api, _) = up(&home, &[]);
    assert_eq!(api.with(None).get("/readyz").expect(200).text(), "ready\n");

    // In two parts; a part that does not fit says where it goes on.
    let bytes = archive(&home);
    let half = bytes.len() / 2;
    let upload = begin(&api, "small app", &bytes);
    assert_eq!(
        send(&api, &upload, 0, &bytes[..half])
            .expect(204)
            .header("upload-offset"),
        Some(&*half.to_string())
    );
    send(&api, &upload, 0, &bytes[..half]).expect_problem(409, &format!("goes on at byte {half}"));
    api.send("POST", &format!("/api/v1/uploads/{upload}/complete"), &[], &[])
        .expect_problem(409, "send the rest first");
    send(&api, &upload, half, &bytes[half..]).expect(204);
    let complete = || {
        api.send("POST", &format!("/api/v1/uploads/{upload}/complete"), &[], &[])
            .expect(201)
            .json()
    };
    let made = complete();
    assert_eq!((&made["name"], &made["files"]), (&json!("small app"), &json!(10)));
    assert_eq!(made, complete(), "asking again gives the same answer");
    let target = made["id"].as_str().unwrap();
    let listed = api.get("/api/v1/targets").expect(200).json();
    assert_eq!(listed["items"][0]["id"], target);

    // The same key is the same run; another request under it is refused.
    let run = run_id(&start(&api, target, "nightly 1").expect(201));
    assert_eq!(run_id(&start(&api, target, "nightly 1").expect(201)), run);
    let other = json!({"workflow": "secrets-scan", "target": target});
    let other = api
        .post_with("/api/v1/runs", &[("Idempotency-Key", "nightly 1")], &other)
        .expect(201);
    assert_ne!(run_id(&other), run, "a workflow of another name is another run");
    let wrong = json!({"workflow": "assessment"});
    api.post_with("/api/v1/runs", &[("Idempotency-Key", "nightly 1")], &wrong)
        .expect_problem(422, "was used for another request");

    // Followed to its end, and taken up again in the middle.
    let path = format!("/api/v1/runs/{run}/events");
    let events = api.events(&path, None);
    let lasting: Vec<_> = events.iter().filter(|event| event.id.is_some()).cloned().collect();
    assert_eq!(lasting.first().unwrap().name, "run_started");
    assert_eq!(lasting.last().unwrap().name, "run_ended");
    assert_eq!(lasting.last().unwrap().data["status"], "completed");
    let found = lasting.iter().filter(|event| event.name == "finding").count();
    assert!(found >= 2, "{events:?}");
    let middle = lasting.len() / 2;
    let again = api.events(&path, lasting[middle].id.as_deref());
    assert_eq!(
        again.into_iter().filter(|event| event.id.is_some()).collect::<Vec<_>>(),
        lasting[middle + 1..]
    );
    let last = lasting.last().unwrap().id.clone().unwrap();
    api.send("GET", &path, &[("Last-Event-ID", &last)], &[]).expect(204);

    // What it left.
    let shown = api.get(&format!("/api/v1/runs/{run}")).expect(200);
    let tag = shown.header("etag").unwrap().to_owned();
    assert_eq!(shown.json()["status"], "completed");
    api.send("GET", &format!("/api/v1/runs/{run}"), &[("If-None-Match", &tag)], &[])
        .expect(304);
    let findings = api
        .get(&format!("/api/v1/runs/{run}/findings?limit=1"))
        .expect(200)
        .json();
    assert_eq!(findings["items"].as_array().unwrap().len(), 1);
    let cursor = findings["next_cursor"].as_str().unwrap();
    let next = api
        .get(&format!("/api/v1/runs/{run}/findings?limit=1&cursor={cursor}"))
        .expect(200)
        .json();
    assert_ne!(next["items"][0]["fingerprint"], findings["items"][0]["fingerprint"]);
    assert_eq!(
        api.get(&format!("/api/v1/runs/{run}/sarif")).expect(200).json()["version"],
        "2.1.0"
    );
    let artifacts = api.get(&format!("/api/v1/runs/{run}/artifacts")).expect(200).json();
    let report = artifacts["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["name"] == "report.json")
        .unwrap();
    let file = api.get(report["href"].as_str().unwrap()).expect(200);
    assert_eq!(file.body.len() as u64, report["bytes"].as_u64().unwrap());
    assert!(file.header("content-disposition").unwrap().starts_with("attachment"));
    // The command line sees the same run.
    assert_eq!(home.show(&run)["status"], "completed");

    // Again, and the list has all of them.
    let retried = api
        .send("POST", &format!("/api/v1/runs/{run}/retry"), &[], &[])
        .expect(201);
    assert_ne!(run_id(&retried), run);
    api.events(&format!("/api/v1/runs/{}/events", run_id(&retried)), None);
    let listed = api
        .get("/api/v1/runs?workflow=assessment&status=completed")
        .expect(200)
        .json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    // What has ended cannot be stopped.
    api.send("POST", &format!("/api/v1/runs/{run}/cancel"), &[], &[])
        .expect_problem(409, "has ended already");

    // What both runs found is one finding each, in the index of the namespace.
    let diff = format!("/api/v1/runs/{}/diff?run={run}", run_id(&retried));
    let diff = eventually(|| Some(api.get(&diff)).filter(|answer| answer.status == 200)).json();
    assert_eq!((&diff["new"], &diff["gone"]), (&json!([]), &json!([])));
    let both = api.get("/api/v1/findings?target=small%20app&status=still_there");
    let both = both.expect(200).json();
    let finding = &both["items"][0];
    let id = finding["id"].as_str().unwrap();
    let decided = json!({"state": "false_positive", "comment": "a test", "version": finding["version"]});
    let path = format!("/api/v1/findings/{id}");
    let triaged = api.post(&format!("{path}/triage"), &decided).expect(200).json();
    assert_eq!(triaged["triage"], "false_positive");
    api.post(&format!("{path}/triage"), &decided)
        .expect_problem(412, "meanwhile");
    let history = api.get(&path).expect(200).json()["history"].to_string();
    assert!(history.contains("a test") && history.contains("admin"), "{history}");
    // Who decided and why goes with it, in whatever format it leaves.
    let exported = |format: &str| {
        api.get(&format!("/api/v1/findings/export?format={format}&target=small%20app"))
            .expect(200)
    };
    let sarif = exported("sarif").json();
    let suppressed: Vec<_> = (sarif["runs"].as_array().unwrap().iter())
        .flat_map(|run| run["results"].as_array().unwrap())
        .filter(|result| result["suppressions"][0].is_object())
        .collect();
    assert_eq!(suppressed.len(), 1, "{sarif}");
    assert!(
        suppressed[0]["suppressions"][0].to_string().contains("admin"),
        "{}",
        suppressed[0]
    );
    for format in ["json", "csv", "junit", "html", "vex"] {
        let answer = exported(format);
        assert!(
            answer.header("content-disposition").unwrap().contains("findings."),
            "{format}"
        );
    }
    let bulk = json!({"filter": {"target": "small app", "triage": "open"}, "state": "confirmed"});
    let changed = api.post("/api/v1/findings/triage", &bulk).expect(200).json();
    let items = both["items"].as_array().unwrap().len() as u64;
    assert_eq!(changed["changed"].as_u64().unwrap() + 1, items);

    running.signal("INT");
    running.wait().expect_code(0);
}

/// The index looks for runs that have ended once a second; nobody who saw one end has to know.
#[test]
fn what_has_ended_is_a_baseline_and_compared_at_once() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    let id = target(&api, "app", &archive(&home));
    let ended = |key: &str| {
        let run = run_id(&start(&api, &id, key));
        api.events(&format!("/api/v1/runs/{run}/events"), None);
        run
    };
    for round in 0..3 {
        let old = ended(&format!("old {round}"));
        let body = json!({"name": format!("before-{round}"), "run_id": old});
        api.post("/api/v1/baselines", &body).expect(201);
        let new = ended(&format!("new {round}"));
        let with = [format!("run={old}"), format!("baseline=before-{round}")];
        for with in &with {
            let diff = api.get(&format!("/api/v1/runs/{new}/diff?{with}")).expect(200).json();
            assert_eq!(diff["new"], json!([]), "{diff}");
        }
    }
    let none = json!({"name": "none", "run_id": "nobody-knows-it"});
    api.post("/api/v1/baselines", &none)
        .expect_problem(404, "nobody-knows-it");
}

/// Asks until there is an answer: the index follows the engine.
#[track_caller]
fn eventually<T>(ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came");
    }
}

/// A list, as soon as there is something in it.
#[track_caller]
fn filled(api: &Api, path: &str) -> Value {
    eventually(|| {
        let list = api.get(path).expect(200).json();
        let has_some = list["items"].as_array().is_some_and(|items| !items.is_empty());
        has_some.then_some(list)
    })
}

#[test]
fn a_schedule_starts_runs_and_is_paused_and_removed() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    let target = target(&api, "app", &archive(&home));
    let wanted = json!({"id": "nightly", "workflow": "assessment", "target": target, "cron": ["30 2 * * *"],
        "time_zone": "Europe/Berlin"});
    let made = api.post("/api/v1/schedules", &wanted).expect(201).json();
    assert!(!made["next"].as_array().unwrap().is_empty(), "{made}");
    api.post("/api/v1/schedules", &wanted).expect(409);
    let neither = json!({"id": "never", "workflow": "assessment"});
    api.post("/api/v1/schedules", &neither)
        .expect_problem(422, "`cron` or `every`");
    let post = |what: &str| api.send("POST", &format!("/api/v1/schedules/nightly/{what}"), &[], &[]);
    post("trigger").expect(202);
    let runs = filled(&api, "/api/v1/runs");
    let run = runs["items"][0]["run_id"].as_str().unwrap();
    let events = api.events(&format!("/api/v1/runs/{run}/events"), None);
    assert_eq!(events.last().unwrap().data["status"], "completed", "{events:?}");
    post("pause").expect(204);
    let paused = api.get("/api/v1/schedules/nightly").expect(200).json();
    assert_eq!(paused["paused"], true);
    post("resume").expect(204);
    let resumed = api.get("/api/v1/schedules/nightly").expect(200).json();
    assert_eq!(resumed["paused"], false);
    let listed = filled(&api, "/api/v1/schedules");
    assert_eq!(listed["items"][0]["id"], "nightly");
    api.send("DELETE", "/api/v1/schedules/nightly", &[], &[]).expect(204);
    api.get("/api/v1/schedules/nightly").expect_problem(404, "nightly");
}

fn token(api: &Api, name: &str, role: &str, namespaces: Value) -> (String, String) {
    let made = api.post(
        "/api/v1/tokens",
        &json!({"name": name, "role": role, "namespaces": namespaces}),
    );
    let made = made.expect(201).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["secret"]), text(&made["token"]["id"]))
}

#[test]
fn nobody_comes_in_without_a_token_or_goes_beyond_their_role() {
    let home = Home::new();
    let (_up, api, login) = up(&home, &[]);
    let stranger = api.with(None);
    for path in ["/api/v1/runs", "/api/v1/openapi.json", "/api/v1/docs", "/nothing/here"] {
        stranger.get(path).expect_problem(401, "Authorization");
    }
    let forged = api.token.clone().unwrap().replace('a', "b").replace('1', "2");
    api.with(Some(&forged))
        .get("/api/v1/runs")
        .expect_problem(401, "not known");

    // What the door is open for still has rules.
    api.get("/nothing/here").expect_problem(404, "nothing at this address");
    api.send("PUT", "/api/v1/runs", &[], b"{}").expect_problem(405, "Allow");
    api.send("POST", "/api/v1/runs", &[("Content-Type", "application/json")], b"{")
        .expect_problem(400, "no JSON");
    api.send("POST", "/api/v1/runs", &[], b"{}")
        .expect_problem(415, "application/json");
    api.post("/api/v1/runs", &json!({"workflow": "assessment", "nonsense": 1}))
        .expect_problem(422, "nonsense");
    api.post("/api/v1/runs", &json!({"workflow": "asessment"}))
        .expect_problem(404, "assessment");
    let wrong = json!({"workflow": "assessment", "parameters": {"nonsense": 1}});
    let problem = api.post("/api/v1/runs", &wrong).expect_problem(422, "parameters");
    assert_eq!(problem["errors"][0]["field"], "parameters.nonsense");
    api.get("/api/v1/runs?cursor=nonsense").expect_problem(422, "cursor");
    api.get("/api/v1/runs/no-such-run").expect_problem(404, "no-such-run");
    api.send("GET", "/api/v1/runs", &[("Host", "evil.example")], &[])
        .expect_problem(421, "evil.example");

    // Roles, and namespaces that are not there for who has no access to them.
    let (viewer, viewer_id) = token(&api, "looks", "viewer", json!(null));
    let (elsewhere, _) = token(&api, "elsewhere", "operator", json!(["other"]));
    let (worker, _) = token(&api, "works", "worker", json!(null));
    let viewer = api.with(Some(&viewer));
    viewer.get("/api/v1/runs").expect(200);
    viewer
        .post("/api/v1/runs", &json!({"workflow": "assessment"}))
        .expect_problem(403, "analyst");
    viewer
        .post("/api/v1/tokens", &json!({"name": "x", "role": "viewer"}))
        .expect_problem(403, "admin");
    viewer.get("/api/v1/audit").expect_problem(403, "admin");
    let elsewhere = api.with(Some(&elsewhere));
    let hidden = elsewhere
        .get("/api/v1/runs?namespace=default")
        .expect_problem(404, "`default`");
    let missing = api
        .get("/api/v1/runs?namespace=nowhere")
        .expect_problem(404, "`nowhere`");
    assert_eq!(hidden["title"], missing["title"]);
    api.with(Some(&worker))
        .get("/api/v1/runs")
        .expect_problem(403, "viewer");
    api.send("DELETE", &format!("/api/v1/tokens/{viewer_id}"), &[], &[])
        .expect(204);
    viewer.get("/api/v1/runs").expect_problem(401, "revoked");
    let audit = api.get("/api/v1/audit?action=token.").expect(200).json();
    assert_eq!(audit["items"][0]["action"], "token.revoke");

    // A session is good for our own pages only.
    let mut browser = Browser::new(&api);
    browser.follow(&login);
    let cookie = browser.cookies();
    let with_cookie = |method: &str, path: &str, site: &str| {
        let headers = [("Cookie", &*cookie), ("Sec-Fetch-Site", site), ("Content-Length", "0")];
        let mut stream = stranger.connect();
        stream
            .write_all(format!("{}\r\n", stranger.head(method, path, &headers)).as_bytes())
            .unwrap();
        read_answer(stream)
    };
    assert_eq!(
        with_cookie("GET", "/api/v1/me", "same-origin").expect(200).json()["role"],
        "admin"
    );
    with_cookie("POST", "/api/v1/logout", "cross-site").expect_problem(403, "own pages");
    with_cookie("POST", "/api/v1/logout", "same-origin").expect(204);
    with_cookie("GET", "/api/v1/me", "same-origin").expect_problem(401, "");

    let page = api.get("/api/v1/docs").expect(200);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert!(page.text().contains("/api/v1/runs/{run_id}/events"));
    assert_eq!(api.get("/api/v1/openapi.json").expect(200).json()["openapi"], "3.1.0");
}

/// An archive whose entries have exactly these paths.
fn hostile(paths: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, &b"x"[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn what_is_too_large_or_leads_outside_is_refused() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--max-upload", "100k"]);
    let large = vec![0; 200_000];
    api.send("POST", "/api/v1/targets?name=large&format=file", &[], &large)
        .expect_problem(413, "100000 bytes");
    api.post(
        "/api/v1/uploads",
        &json!({"name": "large", "format": "file", "size": 200_000}),
    )
    .expect_problem(413, "100000");
    let unsaid = api
        .post("/api/v1/uploads", &json!({"name": "large", "format": "file"}))
        .expect(201)
        .json();
    send(&api, unsaid["id"].as_str().unwrap(), 0, &large).expect_problem(413, "100000");
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(2 << 20));
    api.send(
        "POST",
        "/api/v1/uploads",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    )
    .expect_problem(413, "bytes at most");

    // Paths in archives, names and addresses stay where they belong.
    let evil = hostile(&["../evil.txt", "/tmp/evil.txt", "ok.txt"]);
    let made = api
        .send("POST", "/api/v1/targets?name=..%2F..%2Fevil&format=tar", &[], &evil)
        .expect(201)
        .json();
    assert_eq!((&made["files"], &made["skipped_total"]), (&json!(1), &json!(2)));
    assert!(!home.data().join("evil.txt").exists() && !Path::new("/tmp/evil.txt").exists());
    api.post("/api/v1/uploads", &json!({"name": "a\u{0}b", "format": "file"}))
        .expect_problem(422, "name");
    for path in [
        "/api/v1/uploads/..%2F..%2Fadmin.token",
        "/api/v1/targets/..%2F..%2Fengine.db",
        "/api/v1/runs/..%2F../artifacts/..%2Fadmin.token",
        "/api/v1/workflows/..%2F..%2Fetc",
    ] {
        assert_eq!(api.get(path).status, 404, "{path}");
    }
    api.send("POST", "/api/v1/targets?name=x&format=tar", &[], b"no archive")
        .expect_problem(422, "cannot be read");
    // A stranger cannot make the server keep bytes.
    api.with(None)
        .send("POST", "/api/v1/targets?name=x&format=file", &[], b"x")
        .expect_problem(401, "");
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let home = Home::new();
    let (running, api, _) = up(&home, &[]);
    let bytes = archive(&home);
    let half = bytes.len() / 2;
    let upload = begin(&api, "app", &bytes);
    send(&api, &upload, 0, &bytes[..half]).expect(204);
    // Killed while more is on its way.
    let mut stream = api.connect();
    let offset = half.to_string();
    let head = api.head(
        "PATCH",
        &format!("/api/v1/uploads/{upload}"),
        &[("Upload-Offset", &offset)],
    );
    stream
        .write_all(format!("{head}Content-Length: {}\r\n\r\n", bytes.len() - half).as_bytes())
        .unwrap();
    stream.write_all(&bytes[half..half + 100]).unwrap();
    let (killed, _) = running.kill_after(Duration::from_millis(1));
    assert!(killed);

    let (running, api, _) = up(&home, &[]);
    let shown = api.get(&format!("/api/v1/uploads/{upload}")).expect(200).json();
    let there = usize::try_from(shown["offset"].as_u64().unwrap()).unwrap();
    assert!(
        (half..=half + 100).contains(&there),
        "{there} bytes of {half} that were acknowledged"
    );
    send(&api, &upload, there, &bytes[there..]).expect(204);
    let made = api
        .send("POST", &format!("/api/v1/uploads/{upload}/complete"), &[], &[])
        .expect(201)
        .json();
    let target_id = made["id"].as_str().unwrap();
    assert_eq!(target_id, target(&api, "other", &bytes), "not a byte is missing");

    // Killed right after a start: the run goes on, and asking again finds it.
    let body = json!({"workflow": "assessment", "target": target_id, "target_name": "renamed"});
    let start = |api: &Api| api.post_with("/api/v1/runs", &[("Idempotency-Key", "once")], &body);
    let run = run_id(&start(&api).expect(201));
    let (killed, _) = running.kill_after(Duration::from_millis(1));
    assert!(killed);
    let (running, api, _) = up(&home, &[]);
    assert_eq!(run_id(&start(&api).expect(201)), run);
    let events = api.events(&format!("/api/v1/runs/{run}/events"), None);
    assert_eq!(events.last().unwrap().data["status"], "completed", "{events:?}");
    assert_eq!(
        api.get("/api/v1/runs").expect(200).json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    // Killed as soon as the run has ended: its findings come into the index at the next start.
    let (killed, _) = running.kill_after(Duration::from_millis(1));
    assert!(killed);
    let (_up, api, _) = up(&home, &[]);
    filled(&api, "/api/v1/findings?target=renamed");
}
