//! Attacks on the door of the HTTP API: every operation that the description has, and requests that no library would send.

use std::io::{BufRead, BufReader, Read, Write};

use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, read_answer, up};
use serde_json::{Value, json};

/// The one change that everybody may make: to end their own session.
const FOR_EVERYBODY: &str = "POST /api/v1/logout";

/// What an id may be made of by somebody who means harm, as it is written into a path.
const ODD: &[&str] = &[
    "..%2f..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%2e%2e",
    "%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "%ff%fe",
    "%0d%0aSet-Cookie:%20x=1",
    "%F0%9F%92%A9",
    "%E2%80%AE",
    "'%20OR%201=1%20--",
    "%25s%25n",
    "%7B%7B7*7%7D%7D",
    "-1",
    "*",
    "~",
];

struct Operation {
    method: String,
    path: String,
    /// Whether it has a body, or a query that it cannot do without: these are read before anything is judged.
    is_read: bool,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// With this in the place of every id.
    fn at(&self, id: &str) -> String {
        let parts = self.path.split_inclusive('}').map(|part| match part.split_once('{') {
            Some((head, _)) => format!("{head}{id}"),
            None => part.to_owned(),
        });
        parts.collect()
    }
}

fn described(api: &Api) -> Vec<Operation> {
    let description = api.get("/api/v1/openapi.json").expect(200).json();
    let mut all = Vec::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let mut wanted = parameters.filter(|one| one["in"] == "query" && one["required"] == true);
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    is_read: !operation["requestBody"].is_null() || wanted.next().is_some(),
                });
            }
        }
    }
    assert!(all.len() > 40, "{} operations", all.len());
    all
}

fn token(api: &Api, wanted: &Value) -> Api {
    let made = api.post("/api/v1/tokens", wanted).expect(201).json();
    api.with(made["secret"].as_str())
}

/// Calls it with a body that some operation may like.
fn call(api: &Api, operation: &Operation, path: &str) -> Answer {
    match operation.is_read {
        true => api.send(&operation.method, path, &[("Content-Type", "application/json")], b"{}"),
        false => api.send(&operation.method, path, &[], &[]),
    }
}

#[test]
fn no_operation_answers_who_has_no_token_or_one_that_is_over() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let gone = token(&api, &json!({"name": "gone", "role": "admin"}));
    let known = api.get("/api/v1/tokens").expect(200).json();
    let known = known["items"].as_array().expect("a list").iter();
    let gone_id = known
        .filter(|token| token["name"] == "gone")
        .find_map(|token| token["id"].as_str());
    let path = format!("/api/v1/tokens/{}", gone_id.expect("it is listed"));
    api.send("DELETE", &path, &[], &[]).expect(204);
    let past = json!({"name": "past", "role": "admin", "expires_at": "2001-01-01T00:00:00Z"});
    let past = api.post("/api/v1/tokens", &past);
    assert!(past.status == 422 || past.status == 201, "{}", past.text());
    if past.status == 201 {
        api.with(past.json()["secret"].as_str()).get("/api/v1/me").expect(401);
    }
    gone.get("/api/v1/me").expect_problem(401, "revoked");
    let stranger = api.with(None);
    for operation in described(&api) {
        let answer = call(&stranger, &operation, &operation.at("x"));
        assert_eq!(answer.status, 401, "{}: {}", operation.name(), answer.text());
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer"),
            "{}",
            operation.name()
        );
    }
}

#[test]
fn no_viewer_changes_anything_and_no_worker_reads_anything() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let viewer = token(&api, &json!({"name": "viewer", "role": "viewer"}));
    let worker = token(&api, &json!({"name": "worker", "role": "worker", "queues": ["none"]}));
    for operation in described(&api) {
        if operation.name() == FOR_EVERYBODY {
            continue;
        }
        let answer = call(&worker, &operation, &operation.at("x"));
        assert!(answer.status >= 400, "worker: {}: {}", operation.name(), answer.text());
        if operation.method == "GET" {
            continue;
        }
        let answer = call(&viewer, &operation, &operation.at("x"));
        let refused: &[u16] = match operation.is_read {
            true => &[400, 403, 404, 415, 422],
            false => &[403],
        };
        assert!(
            refused.contains(&answer.status),
            "viewer: {}: {} {}",
            operation.name(),
            answer.status,
            answer.text()
        );
    }
    // With bodies that fit.
    for (method, path, body) in [
        ("POST", "/api/v1/runs", json!({"workflow": "assessment"})),
        ("POST", "/api/v1/uploads", json!({"name": "x", "format": "file"})),
        (
            "POST",
            "/api/v1/findings/triage",
            json!({"ids": ["x"], "state": "open"}),
        ),
        ("POST", "/api/v1/baselines", json!({"name": "x", "run_id": "x"})),
        (
            "POST",
            "/api/v1/schedules",
            json!({"id": "x", "workflow": "assessment", "every": "1h"}),
        ),
        ("POST", "/api/v1/namespaces", json!({"name": "x"})),
        ("PUT", "/api/v1/namespaces/default/settings", json!({})),
        ("POST", "/api/v1/tokens", json!({"name": "x", "role": "viewer"})),
    ] {
        let json = [("Content-Type", "application/json")];
        let answer = viewer.send(method, path, &json, body.to_string().as_bytes());
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
    }
    let rows = api.get("/api/v1/audit?limit=500").expect(200).json();
    let by = |row: &&Value| {
        ["viewer", "worker"]
            .iter()
            .any(|name| row["actor"]["name"] == *name || row["actor"] == *name)
    };
    assert_eq!(rows["items"].as_array().expect("rows").iter().find(by), None);
}

#[test]
fn no_id_leads_anywhere_and_none_breaks_the_server() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let long = "a".repeat(6000);
    let secret = api.token.clone().expect("a token");
    for operation in described(&api) {
        if !operation.path.contains('{') || !["GET", "DELETE"].contains(&operation.method.as_str()) {
            continue;
        }
        for id in ODD.iter().copied().chain([long.as_str()]) {
            let answer = api.send(&operation.method, &operation.at(id), &[], &[]);
            let what = format!(
                "{} with {:.40}: {} {}",
                operation.name(),
                id,
                answer.status,
                answer.text()
            );
            assert!(answer.status < 500, "{what}");
            assert!(operation.method == "GET" || answer.status >= 400, "{what}");
            assert!(
                !answer.text().contains("root:") && !answer.text().contains(&secret),
                "{what}"
            );
            assert_eq!(answer.header("set-cookie"), None, "{what}");
        }
    }
    api.get("/api/v1/me").expect(200);
}

#[test]
fn another_namespace_is_not_there_in_any_operation() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    api.post("/api/v1/namespaces", &json!({"name": "team-b"})).expect(201);
    let run = api
        .post("/api/v1/runs", &json!({"workflow": "assessment"}))
        .expect(201)
        .json();
    let run = run["run_id"].as_str().expect("an id");
    let other = json!({"name": "other", "role": "operator", "namespaces": ["team-b"]});
    let other = token(&api, &other);
    for what in ["", "/events", "/artifacts", "/logs", "/findings"] {
        // The same id in their own namespace, and in the one that it is of.
        for namespace in ["", "?namespace=team-b", "?namespace=default"] {
            let path = format!("/api/v1/runs/{run}{what}{namespace}");
            let answer = other.get(&path);
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
    for what in ["cancel", "terminate", "retry"] {
        let path = format!("/api/v1/runs/{run}/{what}?namespace=default");
        let answer = other.send("POST", &path, &[], &[]);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    // Named twice, neither the first nor the last of them gets somebody in who may not see both.
    for query in [
        "namespace=team-b&namespace=default",
        "namespace=default&namespace=team-b",
    ] {
        let answer = other.get(&format!("/api/v1/runs?{query}"));
        assert!(answer.status >= 400, "{query}: {}", answer.text());
    }
    let seen = other.get("/api/v1/namespaces").expect(200).json();
    assert_eq!(seen["items"].as_array().expect("a list").len(), 1, "{seen}");
}

/// Sends bytes and reads all that comes back until the server closes.
fn raw(api: &Api, text: &str) -> String {
    let mut stream = api.connect();
    stream.write_all(text.as_bytes()).expect("it can be sent");
    // A server that hangs up in the middle, or before the end came, has said enough.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_two_servers_could_read_in_two_ways_gets_nobody_in() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let (host, secret) = (&api.address, api.token.as_deref().expect("a token"));
    let inner = format!("GET /api/v1/tokens HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // By its chunks the request ends, and another one follows, which has no token of its own.
    let smuggled = format!(
        "POST /api/v1/logout HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\nContent-Length: {}\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
        inner.len() + 5
    );
    let said = raw(&api, &smuggled);
    assert!(!said.contains("\"items\""), "{said}");
    // Every other doubt about where a request ends is answered by refusing it.
    let head = format!("POST /api/v1/uploads HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {secret}\r\n");
    for doubt in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n :folded\r\n",
        "X: a\rb\r\n",
        "X: a\0b\r\n",
    ] {
        let said = raw(&api, &format!("{head}{doubt}\r\nhello"));
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{doubt:?}: {said}");
        assert!(!said.contains("HTTP/1.1 2"), "{doubt:?}: {said}");
    }
    let body = json!({"name": "twice", "format": "file"}).to_string();
    let length = format!("Content-Length: {}\r\n", body.len());
    let answered = |end: &str, body: &str| {
        let mut stream = api.connect();
        let kind = "Content-Type: application/json\r\nConnection: close\r\n";
        let sent = stream.write_all(format!("{head}{kind}{end}\r\n{body}").as_bytes());
        sent.expect("it can be sent");
        read_answer(stream)
    };
    // Also when the body would be the same for everybody; only the same length twice leaves no doubt.
    let chunked = "Transfer-Encoding: chunked\r\n".repeat(2);
    answered(&chunked, "0\r\n\r\n").expect_problem(400, "and not several");
    answered("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n").expect_problem(400, "`chunked`");
    answered(&length.repeat(2), &body).expect(201);
    // Two hosts, none, and one that is only in the line.
    for (line, hosts) in [
        ("/api/v1/me", format!("Host: {host}\r\nHost: evil.example\r\n")),
        ("/api/v1/me", String::new()),
        ("http://evil.example/api/v1/me", format!("Host: {host}\r\n")),
        (
            "/api/v1/me",
            "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n".to_owned(),
        ),
    ] {
        let text = format!("GET {line} HTTP/1.1\r\n{hosts}Authorization: Bearer {secret}\r\nConnection: close\r\n\r\n");
        let said = raw(&api, &text);
        assert!(said.starts_with("HTTP/1.1 4"), "{line} {hosts}: {said}");
    }
    // Two tokens are one too many to know who asks, whichever comes first.
    let (good, forged) = (format!("Bearer {secret}"), "Bearer hlv_x".to_owned());
    for both in [[&good, &forged], [&forged, &good]] {
        let headers = both.map(|value| ("Authorization", value.as_str()));
        api.with(None)
            .send("GET", "/api/v1/me", &headers, &[])
            .expect_problem(401, "not several");
    }
    api.get("/api/v1/me").expect(200);
}

#[test]
fn a_stream_of_events_ends_when_its_token_is_taken_back() {
    let home = Home::new();
    // Nobody works: the run stays open, and so would the stream.
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let run = api
        .post("/api/v1/runs", &json!({"workflow": "assessment"}))
        .expect(201)
        .json();
    let path = format!("/api/v1/runs/{}/events", run["run_id"].as_str().expect("an id"));
    let made = api.post("/api/v1/tokens", &json!({"name": "listener", "role": "viewer"}));
    let made = made.expect(201).json();
    let listener = api.with(made["secret"].as_str());
    let mut stream = BufReader::new(listener.connect());
    let head = listener.head("GET", &path, &[]);
    let sent = stream.get_mut().write_all(format!("{head}\r\n").as_bytes());
    sent.expect("the head can be sent");
    let mut said = String::new();
    while !said.contains("event: run_started") && !said.contains("event:run_started") {
        assert_ne!(stream.read_line(&mut said).expect("it tells"), 0, "{said}");
    }
    let token = format!("/api/v1/tokens/{}", made["token"]["id"].as_str().expect("an id"));
    api.send("DELETE", &token, &[], &[]).expect(204);
    stream.read_to_string(&mut said).expect("it ends");
    assert!(!said.contains("run_ended"), "{said}");
    listener.get(&path).expect_problem(401, "revoked");
}
