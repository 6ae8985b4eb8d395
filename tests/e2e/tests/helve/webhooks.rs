//! Webhooks: whoever listens is told, also who was away; nobody else is.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::process::LIMIT;
use helve_e2e::server::free_port;
use helve_e2e::tree;
use serde_json::{Value, json};

/// Asks until there is an answer.
#[track_caller]
fn eventually<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn scan(home: &Home, api: &Api) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", &root).unwrap();
    let bytes = builder.into_inner().unwrap();
    let made = api.send("POST", "/api/v1/targets?name=small&format=tar", &[], &bytes);
    let target = made.expect(201).json()["id"].clone();
    let started = api.post("/api/v1/runs", &json!({"workflow": "assessment", "target": target}));
    started.expect(201).json()["run_id"].as_str().unwrap().to_owned()
}

/// Takes one request, with its headers in lower case and its body.
fn hear(stream: TcpStream) -> (String, Value) {
    helve_e2e::http::hear(stream, "204 No Content").unwrap()
}

#[test]
fn a_receiver_that_was_away_is_told_of_a_run_that_finished_and_of_what_it_found() {
    let home = Home::new();
    let address = format!("127.0.0.1:{}", free_port());
    let (running, api, _) = up(&home, &["--webhook-allow", &address]);
    let wanted = json!({"url": format!("http://{address}/in?key=s3cret"), "events": ["run.finished", "finding.new"]});
    let made = api.post("/api/v1/webhooks", &wanted).expect(201).json();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/api/v1/webhooks/{}", made["webhook"]["id"].as_str().unwrap());
    let run = scan(&home, &api);
    // Nobody is there.
    let deliveries = || api.get(&format!("{path}/deliveries")).expect(200).json()["items"].clone();
    let all_failed = |items: &Value| {
        let items = items.as_array().unwrap();
        items.len() == 2 && items.iter().all(|item| !item["answer"].is_null())
    };
    let items = eventually("both are tried", || Some(deliveries()).filter(all_failed));
    assert!(items.to_string().contains("cannot be connected to"), "{items}");

    let listener = TcpListener::bind(&address).unwrap();
    let mut told: Vec<(String, Value)> = (0..2).map(|_| hear(listener.accept().unwrap().0)).collect();
    told.sort_by_key(|(_, body)| body["event"].to_string());
    let (new, finished) = (&told[0], &told[1]);
    assert_eq!(
        (&finished.1["event"], &finished.1["run_id"]),
        (&json!("run.finished"), &json!(run))
    );
    assert_eq!(
        (&new.1["event"], &new.1["target"]),
        (&json!("finding.new"), &json!("small"))
    );
    assert!(new.1["count"].as_u64().unwrap() >= 2, "{}", new.1);
    for (head, body) in &told {
        let id = body["id"].as_str().unwrap();
        for part in [
            &format!("webhook-id: {id}"),
            "webhook-timestamp: ",
            "webhook-signature: v1,",
        ] {
            assert!(head.contains(part), "{head}");
        }
        assert!(head.starts_with("post /in?key=s3cret "), "{head}");
    }
    let all_told = |items: &Value| {
        let items = items.as_array().unwrap();
        items.iter().all(|item| item["state"] == "delivered")
    };
    let items = eventually("it is written down", || Some(deliveries()).filter(all_told));
    // Once more, because somebody asks for it.
    let first = items[0]["id"].as_str().unwrap();
    api.post(&format!("/api/v1/deliveries/{first}/again"), &json!({}))
        .expect(202);
    assert_eq!(hear(listener.accept().unwrap().0).1["id"], first);

    // No secret is ever shown again, and every change is in the audit log.
    let rotated = api.post(&format!("{path}/secret"), &json!({})).expect(200).json();
    assert_ne!(rotated["secret"], made["secret"]);
    let audit = api.get("/api/v1/audit").expect(200).text();
    for action in ["webhook.create", "webhook.redeliver", "webhook.rotate"] {
        assert!(audit.contains(action), "{action}");
    }
    let shown = api.get(&path).expect(200).text() + &api.get("/api/v1/webhooks").expect(200).text() + &audit;
    for secret in [
        "s3cret",
        made["secret"].as_str().unwrap(),
        rotated["secret"].as_str().unwrap(),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    running.signal("INT");
    let left = running.wait().expect_code(0);
    assert!(!left.stderr.contains("s3cret"), "{}", left.stderr);
}

#[test]
fn webhooks_are_for_administrators_and_reach_no_private_address_by_themselves() {
    let home = Home::new();
    let (running, api, _) = up(&home, &["-v"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let made = api.post("/api/v1/webhooks", &json!({ "url": url })).expect(201).json();
    let path = format!("/api/v1/webhooks/{}", made["webhook"]["id"].as_str().unwrap());
    let asked = api.post(&format!("{path}/test"), &json!({})).expect(202).json();
    let deliveries = format!("{path}/deliveries");
    let answer = eventually("it is tried", || {
        let items = api.get(&deliveries).expect(200).json()["items"].clone();
        assert_eq!(items[0]["id"], asked["delivery"]);
        items[0]["answer"].as_str().map(str::to_owned)
    });
    assert!(answer.contains("--webhook-allow"), "{answer}");
    assert!(listener.accept().is_err(), "nobody came");

    // Who may not.
    let token = |role: &str| {
        let made = api
            .post("/api/v1/tokens", &json!({"name": role, "role": role}))
            .expect(201);
        made.json()["secret"].as_str().unwrap().to_owned()
    };
    for role in ["viewer", "analyst", "operator"] {
        let api = api.with(Some(&token(role)));
        api.get("/api/v1/webhooks").expect_problem(403, "admin");
        api.get(&path).expect_problem(403, "admin");
        api.get(&deliveries).expect_problem(403, "admin");
        api.post("/api/v1/webhooks", &json!({"url": "https://x.example"}))
            .expect_problem(403, "admin");
        api.post(&format!("{path}/secret"), &json!({}))
            .expect_problem(403, "admin");
        api.send("DELETE", &path, &[], &[]).expect_problem(403, "admin");
    }
    // What makes no sense.
    for wrong in [
        json!({"url": "ftp://x.example"}),
        json!({"url": "https://x.example", "events": ["webhook.test"]}),
        json!({"url": "https://x.example", "events": []}),
        json!({"url": "https://x.example", "secret": "short"}),
    ] {
        api.post("/api/v1/webhooks", &wrong).expect(422);
    }
    // A change is for the version that was read.
    let tag = api.get(&path).expect(200).header("etag").unwrap().to_owned();
    let patch = |headers: &[(&str, &str)], body: Value| {
        let headers = [&[("Content-Type", "application/json")][..], headers].concat();
        api.send("PATCH", &path, &headers, body.to_string().as_bytes())
    };
    let off = patch(&[("If-Match", &tag)], json!({"enabled": false}))
        .expect(200)
        .json();
    assert_eq!((&off["enabled"], &off["version"]), (&json!(false), &json!(2)));
    patch(&[("If-Match", &tag)], json!({"enabled": true})).expect_problem(412, "version 2");
    patch(&[], json!({"enabled": true, "version": 1})).expect_problem(412, "meanwhile");
    api.post(&format!("{path}/test"), &json!({}))
        .expect_problem(422, "disabled");
    api.send("DELETE", &path, &[("If-Match", &tag)], &[])
        .expect_problem(412, "version 2");
    api.send("DELETE", &path, &[], &[]).expect(204);
    api.get(&path).expect_problem(404, "no webhook");
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn webhooks_are_made_changed_and_deleted_in_a_browser() {
    use helve_e2e::browser::Browser;

    let home = Home::new();
    let (running, api, login) = up(&home, &[]);
    let mut browser = Browser::new(&api);
    browser.follow(&login);
    let list = "/settings/webhooks";
    let fields = [
        ("url", "https://hooks.example/in?key=s3cret"),
        ("events", "run.finished"),
    ];
    let made = browser.post(list, list, &fields).expect(200).text();
    assert!(
        made.contains("whsec_") && made.contains("https://hooks.example/in"),
        "{made}"
    );
    assert!(!made.contains("s3cret"));
    assert!(!browser.get(list).text().contains("whsec_"), "it is shown once");
    let id = api.get("/api/v1/webhooks").expect(200).json()["items"][0]["id"].clone();
    let page = format!("{list}/{}", id.as_str().unwrap());
    for (what, then) in [("disable", "Disabled"), ("enable", "Enabled")] {
        browser.post(&page, &page, &[("do", what)]).expect(303);
        assert!(browser.get(list).text().contains(then), "{what}");
    }
    browser
        .post(
            &page,
            &page,
            &[("do", "change"), ("url", ""), ("events", "crash.found")],
        )
        .expect(303);
    let changed = api.get("/api/v1/webhooks").expect(200).json()["items"][0].clone();
    assert_eq!(changed["events"], json!(["crash.found"]));
    assert_eq!(changed["url"], "https://hooks.example/in?***");
    assert!(
        browser
            .post(&page, &page, &[("do", "rotate")])
            .expect(200)
            .text()
            .contains("whsec_")
    );
    // A form that no page of ours made.
    let forged = browser.send(&page, "application/x-www-form-urlencoded", b"do=delete&csrf=x");
    assert_eq!(forged.status, 403);
    browser.post(&page, &page, &[("do", "delete")]).expect(303);
    assert_eq!(api.get("/api/v1/webhooks").expect(200).json()["items"], json!([]));
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn what_was_being_told_when_the_server_was_killed_is_told_again() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (running, api, _) = up(&home, &["--webhook-allow", &address]);
    let made = api.post("/api/v1/webhooks", &json!({"url": format!("http://{address}/")}));
    let made = made.expect(201).json();
    let path = format!("/api/v1/webhooks/{}/test", made["webhook"]["id"].as_str().unwrap());
    let asked = api.post(&path, &json!({})).expect(202).json();
    // It is claimed, and nobody says how it ended.
    let held = listener.accept().unwrap();
    running.signal("KILL");
    drop(running.wait());
    drop(held);
    let (running, _, _) = up(&home, &["--webhook-allow", &address]);
    let (head, body) = hear(listener.accept().unwrap().0);
    assert_eq!(body["id"], asked["delivery"], "{head}");
    running.signal("INT");
    running.wait().expect_code(0);
}
