//! What a namespace may take, and how often somebody may ask.

use std::io::Write;

use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, read_answer, up};
use serde_json::{Value, json};

const SETTINGS: &str = "/api/v1/namespaces/default/settings";

fn put(api: &Api, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers = [&[("Content-Type", "application/json")][..], headers].concat();
    api.send("PUT", path, &headers, body.to_string().as_bytes())
}

fn token(api: &Api, wanted: &Value) -> Api {
    let made = api.post("/api/v1/tokens", wanted).expect(201).json();
    api.with(made["secret"].as_str())
}

fn used(api: &Api) -> Value {
    api.get("/api/v1/namespaces/default").expect(200).json()["used"].clone()
}

/// Bytes that do not get smaller.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

fn upload(api: &Api, name: &str, bytes: &[u8]) -> Answer {
    let path = format!("/api/v1/targets?name={name}&format=file");
    api.send("POST", &path, &[], bytes)
}

#[test]
fn a_namespace_has_no_more_runs_than_it_may_however_many_ask_at_once() {
    let home = Home::new();
    // Nobody works: what is started stays open.
    let (_up, api, _) = up(&home, &["--no-worker"]);
    put(&api, SETTINGS, &[], &json!({"max_concurrent_runs": 2})).expect(200);
    let order = json!({"workflow": "assessment"});
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let start = || api.post("/api/v1/runs", &order);
        let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let started = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(started, 2, "{answers:?}");
    for refused in answers.into_iter().filter(|answer| answer.status != 201) {
        assert!(refused.header("retry-after").is_some());
        let problem = refused.expect_problem(429, "may have 2 runs at a time");
        assert!(
            problem["detail"].as_str().unwrap().contains("administrator"),
            "{problem}"
        );
    }
    assert_eq!(used(&api)["concurrent_runs"], 2);
    let runs = api.get("/api/v1/runs").expect(200).json();
    let run = runs["items"][0]["run_id"].as_str().unwrap();
    api.send("POST", &format!("/api/v1/runs/{run}/retry"), &[], &[])
        .expect_problem(429, "at a time");

    // One ends, and there is room for one. Who asks twice for the same has it, also when there is no room any more.
    api.send("POST", &format!("/api/v1/runs/{run}/terminate"), &[], &[]);
    let key = [("Idempotency-Key", "the last")];
    let first = api.post_with("/api/v1/runs", &key, &order).expect(201).json();
    let again = api.post_with("/api/v1/runs", &key, &order).expect(201).json();
    assert_eq!(first["run_id"], again["run_id"]);
    let other = json!({"workflow": "assessment", "timeout": "1h"});
    api.post_with("/api/v1/runs", &key, &other)
        .expect_problem(422, "used for another request");
    api.post_with("/api/v1/runs", &[("Idempotency-Key", "one more")], &order)
        .expect_problem(429, "at a time");

    // Other namespaces are as free as they were, and so is this one when nobody holds it back.
    api.post("/api/v1/namespaces", &json!({"name": "team-b"})).expect(201);
    api.post("/api/v1/runs?namespace=team-b", &order).expect(201);
    put(&api, SETTINGS, &[], &json!({})).expect(200);
    api.post("/api/v1/runs", &order).expect(201);
}

#[test]
fn a_namespace_stores_no_more_than_it_may() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let quotas = json!({"max_upload_bytes": 40_000, "max_storage_bytes": 100_000});
    put(&api, SETTINGS, &[], &quotas).expect(200);
    upload(&api, "large", &noise(50_000, 1)).expect_problem(413, "40000 bytes");
    let unsaid = json!({"name": "unsaid", "format": "file"});
    let begun = api.post("/api/v1/uploads", &unsaid).expect(201).json();
    let path = format!("/api/v1/uploads/{}", begun["id"].as_str().unwrap());
    api.send("PATCH", &path, &[("Upload-Offset", "0")], &noise(50_000, 1))
        .expect_problem(413, "40000");
    api.send("DELETE", &path, &[], &[]).expect(204);

    let first = upload(&api, "a", &noise(38_000, 1)).expect(201).json();
    upload(&api, "b", &noise(38_000, 2)).expect(201);
    let stored = used(&api)["storage_bytes"].as_u64().unwrap();
    assert!((76_000..90_000).contains(&stored), "{stored}");
    let full = upload(&api, "c", &noise(38_000, 3)).expect_problem(507, "may store 100000 bytes");
    assert!(full["detail"].as_str().unwrap().contains("administrator"), "{full}");
    // What has only begun takes the room that it said it needs.
    let small = json!({"name": "small", "format": "file", "size": 15_000});
    let key = [("Idempotency-Key", "small")];
    api.post_with("/api/v1/uploads", &key, &small).expect(201);
    api.post("/api/v1/uploads", &small).expect_problem(507, "may store");
    api.post_with("/api/v1/uploads", &key, &small).expect(201);

    let first = first["id"].as_str().unwrap();
    api.send("DELETE", &format!("/api/v1/targets/{first}"), &[], &[])
        .expect(204);
    upload(&api, "c", &noise(38_000, 3)).expect(201);
    // Of another namespace nothing counts here.
    api.post("/api/v1/namespaces", &json!({"name": "team-b"})).expect(201);
    api.send(
        "POST",
        "/api/v1/targets?name=d&format=file&namespace=team-b",
        &[],
        &noise(80_000, 4),
    )
    .expect(201);
}

/// Begins an upload that does not say how large it will be; where its bytes go.
fn unsaid(api: &Api) -> String {
    let new = json!({"name": "unsaid", "format": "file"});
    let begun = api.post("/api/v1/uploads", &new).expect(201).json();
    format!("/api/v1/uploads/{}", begun["id"].as_str().unwrap())
}

/// Appends bytes in chunks, so that nobody knows how many will come.
fn send_chunks(api: &Api, path: &str, bytes: &[u8]) -> Answer {
    let chunked = [("Upload-Offset", "0"), ("Transfer-Encoding", "chunked")];
    let mut stream = api.connect();
    let head = api.head("PATCH", path, &chunked);
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    for chunk in bytes.chunks(20_000) {
        let sent = stream
            .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
            .and_then(|()| stream.write_all(chunk))
            .and_then(|()| stream.write_all(b"\r\n"));
        // It may be refused in the middle, and the answer says so.
        if sent.is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    read_answer(stream)
}

#[test]
fn uploads_of_any_size_that_come_at_once_do_not_overtake_each_other_into_the_storage_of_a_namespace() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    put(&api, SETTINGS, &[], &json!({"max_storage_bytes": 1_000_000})).expect(200);
    let bytes = noise(900_000, 1);
    let all_at_once = |send: &(dyn Fn(&str) -> Answer + Sync)| -> Vec<(String, Answer)> {
        let paths: Vec<String> = (0..20).map(|_| unsaid(&api)).collect();
        std::thread::scope(|scope| {
            let sent: Vec<_> = paths.iter().map(|path| scope.spawn(move || send(path))).collect();
            let answers = sent.into_iter().map(|sent| sent.join().unwrap());
            paths.iter().cloned().zip(answers).collect()
        })
    };
    let counted = || used(&api)["storage_bytes"].as_u64().unwrap();

    let said = all_at_once(&|path| api.send("PATCH", path, &[("Upload-Offset", "0")], &bytes));
    let taken = said.iter().filter(|(_, answer)| answer.status == 204).count();
    assert_eq!(taken, 1, "{said:?}");
    assert_eq!(counted(), 900_000);
    for (path, answer) in said {
        if answer.status != 204 {
            answer.expect_problem(507, "may store 1000000 bytes");
        }
        api.send("DELETE", &path, &[], &[]).expect(204);
    }
    assert_eq!(counted(), 0);

    // Each takes a part of the room, and what is taken is not given twice.
    let chunked = all_at_once(&|path| send_chunks(&api, path, &bytes));
    assert!(counted() <= 1_000_000, "{} bytes, {chunked:?}", counted());
    for (path, answer) in chunked {
        if answer.status != 204 {
            answer.expect_problem(507, "may store 1000000 bytes");
        }
        api.send("DELETE", &path, &[], &[]).expect(204);
    }
    // Alone it has all of it.
    let path = unsaid(&api);
    send_chunks(&api, &path, &bytes).expect(204);
    assert_eq!(counted(), 900_000);
}

#[test]
fn quotas_are_given_by_who_administers_the_server_and_not_overwritten_unseen() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let none = api.get(SETTINGS).expect(200);
    assert_eq!(none.header("etag"), Some("\"0\""));
    assert_eq!(none.json()["max_concurrent_runs"], Value::Null);
    let mine = [("If-Match", "\"0\"")];
    let set = put(&api, SETTINGS, &mine, &json!({"max_concurrent_runs": 3})).expect(200);
    assert_eq!(set.header("etag"), Some("\"1\""));
    put(&api, SETTINGS, &mine, &json!({})).expect_problem(412, "changed");
    assert_eq!(api.get(SETTINGS).expect(200).json()["max_concurrent_runs"], 3);
    let shown = api.get("/api/v1/namespaces/default").expect(200).json();
    assert_eq!(shown["quotas"]["max_concurrent_runs"], 3, "{shown}");
    assert_eq!(shown["name"], "default");

    put(&api, SETTINGS, &[], &json!({"max_runs": 3})).expect_problem(422, "max_runs");
    put(&api, SETTINGS, &[], &json!({"max_upload_bytes": -1})).expect_problem(422, "-1");
    put(&api, SETTINGS, &[], &json!({"max_upload_bytes": u64::MAX})).expect_problem(422, "quota");
    put(&api, "/api/v1/namespaces/nowhere/settings", &[], &json!({})).expect_problem(404, "nowhere");
    let rows = api.get("/api/v1/audit?action=namespace.settings").expect(200).json();
    assert_eq!(rows["items"].as_array().unwrap().len(), 1, "{rows}");

    for role in ["viewer", "analyst", "operator", "worker"] {
        let who = token(&api, &json!({"name": role, "role": role}));
        put(&who, SETTINGS, &[], &json!({})).expect(403);
        who.get(SETTINGS).expect(403);
    }
    // Who administers one namespace sees what it may, and gives it nothing.
    let tenant = json!({"name": "tenant", "role": "admin", "namespaces": ["default"]});
    let tenant = token(&api, &tenant);
    tenant.get(SETTINGS).expect(200);
    put(&tenant, SETTINGS, &[], &json!({})).expect_problem(403, "all namespaces");
    api.post("/api/v1/namespaces", &json!({"name": "team-b"})).expect(201);
    tenant
        .get("/api/v1/namespaces/team-b/settings")
        .expect_problem(404, "team-b");
}

#[test]
fn who_asks_too_often_waits_and_others_do_not() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker", "--rate-limit", "1"]);
    let other = token(&api, &json!({"name": "other", "role": "viewer"}));
    let refused = (0..100)
        .map(|_| api.get("/api/v1/me"))
        .find(|answer| answer.status != 200)
        .expect("a hundred at once are more than ten");
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(429, "more requests");
    other.get("/api/v1/me").expect(200);
    // Who is nobody is counted by the address, which is not that of a token.
    let stranger = api.with(None);
    let refused = (0..100)
        .map(|_| stranger.get("/api/v1/me"))
        .find(|answer| answer.status != 401)
        .expect("a hundred at once are more than ten");
    refused.expect_problem(429, "more requests");
    assert_eq!(stranger.get("/login").status, 429);
    other.get("/api/v1/me").expect(200);
    // Whoever watches the server is never held back.
    for _ in 0..50 {
        stranger.get("/healthz").expect(200);
    }
}
