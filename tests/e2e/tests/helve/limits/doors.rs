//! What one may do to others at the door: nothing.

use helve_e2e::browser::Browser;
use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use helve_e2e::tree::write;
use serde_json::{Value, json};

fn make(api: &Api, wanted: &Value) -> Answer {
    api.post("/api/v1/tokens", wanted)
}

fn token(api: &Api, wanted: &Value) -> Api {
    api.with(make(api, wanted).expect(201).json()["secret"].as_str())
}

/// A file with the token of an API.
fn file(home: &Home, name: &str, api: &Api) -> String {
    let path = home.path().join(name);
    write(&path, api.token.as_deref().expect("a token"));
    path.to_string_lossy().into_owned()
}

#[test]
fn who_presents_wrong_tokens_shuts_out_nobody_who_has_a_good_one() {
    let home = Home::new();
    let (up, api, link) = up(&home, &["--no-worker"]);
    let wrong = api.with(Some("hlv_wrong"));
    let refused = (0..100)
        .map(|_| wrong.get("/api/v1/me"))
        .find(|answer| answer.status != 401)
        .expect("a hundred are too many");
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(429, "too many wrong tokens");
    // Whoever comes from there with nothing hears no more than that; who is right comes in.
    api.with(None)
        .get("/api/v1/me")
        .expect_problem(429, "too many wrong tokens");
    api.get("/api/v1/me").expect(200);
    let mut browser = Browser::new(&api);
    let good = api.token.as_deref().expect("a token");
    browser.post("/login", "/login", &[("token", good)]).expect(303);
    browser.get("/").expect(200);
    Browser::new(&api).follow(&link);
    let mut forger = Browser::new(&api);
    forger.post("/login", "/login", &[("token", "hlv_wrong")]).expect(429);
    // Over gRPC too.
    let engine = up.line("temporal://").expect("it says where the engine is");
    let address = engine.split("temporal://").nth(1).expect("an address");
    let address = address.split_whitespace().next().expect("an address");
    let good = file(&home, "good.token", &api);
    Home::on(&format!("temporal://{address}"))
        .run(&["runs", "list", "--json", "--token-file", &good])
        .expect_code(0);
}

#[test]
fn many_sessions_of_a_token_ask_no_more_often_than_it_does() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker", "--rate-limit", "2"]);
    let viewer = token(&api, &json!({"name": "ci", "role": "viewer"}));
    // The login itself is counted by the address.
    let mut browsers: Vec<Browser> = (0..5).map(|_| Browser::new(&api)).collect();
    for browser in &mut browsers {
        let secret = viewer.token.as_deref().expect("a token");
        browser.post("/login", "/login", &[("token", secret)]).expect(303);
    }
    let asked = 40;
    let passed: usize = browsers
        .iter()
        .map(|browser| {
            let headers = [("Cookie", &*browser.cookies())];
            let ask = || viewer.with(None).send("GET", "/api/v1/me", &headers, &[]);
            (0..asked).filter(|_| ask().status == 200).count()
        })
        .sum();
    // Twenty at once, and two in each second that all this takes.
    assert!((20..100).contains(&passed), "{passed} of {}", 5 * asked);
    api.get("/api/v1/me").expect(200);
}

#[test]
fn only_who_administers_all_namespaces_gives_certificates_a_role() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    api.post("/api/v1/namespaces", &json!({ "name": "team-b" })).expect(201);
    let here = json!(["team-b"]);
    let admin = token(&api, &json!({"name": "b", "role": "admin", "namespaces": here}));
    let certificate = json!({"name": "cert:dns:worker1.example", "role": "viewer", "namespaces": here});
    make(&admin, &certificate).expect_problem(403, "client certificate");
    make(&admin, &json!({"name": "ci", "role": "viewer", "namespaces": here})).expect(201);
    make(&admin, &json!({"name": "ci", "role": "viewer", "namespaces": []})).expect_problem(422, "no namespace");
    make(&api, &certificate).expect(201);
    make(&api, &certificate).expect_problem(409, "cert:dns:worker1.example");
    // As a command, and as a page.
    let secret = file(&home, "b.token", &admin);
    let server = format!("http://{}", api.address);
    let command = [
        "tokens",
        "make",
        "cert:cn:worker1",
        "--role",
        "worker",
        "--for-namespace",
        "team-b",
        "--server",
        &server,
        "--token-file",
        &secret,
    ];
    home.run(&command).expect_clear_error(&["client certificate"]);
    let mut browser = Browser::new(&api);
    let secret = admin.token.as_deref().expect("a token");
    browser.post("/login", "/login", &[("token", secret)]).expect(303);
    let fields = [
        ("name", "cert:cn:worker1"),
        ("role", "viewer"),
        ("namespaces", "team-b"),
    ];
    browser.post("/settings", "/settings/tokens", &fields).expect(403);
}
