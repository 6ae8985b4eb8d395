//! The web pages, as a browser without scripts sees them.

use std::time::Instant;

use helve_e2e::browser::{Browser, multipart, parts, token};
use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use helve_e2e::process::LIMIT;
use helve_e2e::tree::fake_key;
use serde_json::json;

/// Looks at a page until it says something.
fn until(browser: &mut Browser, path: &str, says: &str) -> String {
    until_some(browser, path, |text| text.contains(says).then(|| text.to_owned()))
}

/// What a page has, as soon as it has it.
fn until_some<T>(browser: &mut Browser, path: &str, what: impl Fn(&str) -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        let text = browser.get(path).expect(200).text();
        if let Some(found) = what(&text) {
            return found;
        }
        assert!(Instant::now() < end, "{path} never has it:\n{text}");
    }
}

fn location(answer: &Answer) -> String {
    answer.header("location").expect("it leads somewhere").to_owned()
}

/// The token of a role, for the login.
fn token_of(api: &Api, role: &str) -> String {
    let made = api
        .post("/api/v1/tokens", &json!({"name": role, "role": role}))
        .expect(201)
        .json();
    made["secret"].as_str().unwrap().to_owned()
}

const PAGES: [&str; 11] = [
    "/",
    "/runs",
    "/start",
    "/start/assessment",
    "/findings",
    "/workflows",
    "/workflows/assessment",
    "/modules",
    "/workers",
    "/schedules",
    "/settings",
];

#[test]
fn a_link_lets_a_browser_in_once() {
    let home = Home::new();
    let (_up, api, link) = up(&home, &[]);
    let mut browser = Browser::new(&api);
    for page in PAGES {
        let led = browser.get(page).expect(303);
        assert!(location(&led).starts_with("/login"), "{page}");
    }
    assert_eq!(
        location(&browser.get("/runs?state=failed")),
        "/login?next=%2Fruns%3Fstate%3Dfailed"
    );

    // To look at the link does not use it up.
    browser.get(&link).expect(200);
    browser.follow(&link);
    for page in PAGES.into_iter().chain(["/settings/audit"]) {
        let answer = browser.get(page).expect(200);
        for (name, value) in [
            ("content-type", "text/html"),
            ("content-security-policy", "default-src 'none'; script-src 'self'"),
            ("content-security-policy", "require-trusted-types-for 'script'"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            let given = answer.header(name).unwrap_or_default();
            assert!(given.contains(value), "{page} {name}: {given}");
        }
    }
    let lost = browser.get("/runs/no-such-run").expect(404);
    assert!(
        lost.header("content-type").unwrap().starts_with("text/html"),
        "{}",
        lost.text()
    );

    // Everything that a page loads is there.
    let home_page = browser.get("/").text();
    let assets: Vec<&str> = home_page
        .split("\"/assets/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(assets.len() >= 2, "{home_page}");
    for asset in assets {
        Browser::new(&api).get(&format!("/assets/{asset}")).expect(200);
    }

    let mut second = Browser::new(&api);
    let code = link.split("code=").nth(1).unwrap();
    let refused = second.post("/login", "/login", &[("code", code)]).expect(401);
    assert!(refused.text().contains("used already"));
    let led = second.post(
        "/login",
        "/login",
        &[("token", &token_of(&api, "viewer")), ("next", "//evil.test")],
    );
    assert_eq!(location(&led.expect(303)), "/", "nobody is led to another site");
    let worker = token_of(&api, "worker");
    Browser::new(&api)
        .post("/login", "/login", &[("token", &worker)])
        .expect(401);

    browser.post("/", "/logout", &[]).expect(303);
    browser.get("/").expect(303);
}

#[test]
fn a_form_that_no_page_of_the_session_made_changes_nothing() {
    let home = Home::new();
    let (_up, api, link) = up(&home, &[]);
    let form = "application/x-www-form-urlencoded";
    let mut browser = Browser::new(&api);
    browser.send("/login", form, b"code=x").expect(403);
    browser.follow(&link);
    let mut other = Browser::new(&api);
    other
        .post("/login", "/login", &[("token", api.token.as_deref().unwrap())])
        .expect(303);
    let foreign = token(&other.get("/").expect(200));
    for action in [
        "/logout",
        "/namespace",
        "/runs/x/cancel",
        "/runs/x/terminate",
        "/runs/x/retry",
        "/findings/triage",
        "/findings/x/triage",
        "/schedules",
        "/schedules/x",
        "/settings/tokens",
        "/settings/tokens/x/revoke",
    ] {
        for body in [String::new(), "csrf=".to_owned(), format!("csrf={foreign}")] {
            let refused = browser.send(action, form, body.as_bytes()).expect(403);
            assert!(
                refused.text().contains("another session"),
                "{action}: {}",
                refused.text()
            );
        }
    }
    for fields in [
        &[][..],
        &[("csrf", &*foreign)],
        &[("target_id", "x"), ("csrf", &*foreign)],
    ] {
        let body = parts(fields, ("app.py", b"x = 1\n"));
        browser.send("/start/secrets-scan", &multipart(), &body).expect(403);
    }
    assert_eq!(api.get("/api/v1/targets").expect(200).json()["items"], json!([]));
    assert_eq!(api.get("/api/v1/runs").expect(200).json()["items"], json!([]));
    browser.get("/").expect(200);
}

#[test]
fn a_run_is_started_by_a_form_and_what_it_finds_is_decided_about() {
    let home = Home::new();
    let (_up, api, link) = up(&home, &[]);
    let mut browser = Browser::new(&api);
    browser.follow(&link);

    // A repository that writes its own markup.
    let hostile = "<img src=x onerror=alert(1)>\"'.py";
    let text = format!("KEY = \"{}\"  # <script>alert(1)</script>\n", fake_key(1));
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, hostile, text.as_bytes()).unwrap();
    let archive = archive.into_inner().unwrap();

    let wrong = browser.upload("/start/secrets-scan", &[("p.nonsense", "1")], ("<b>app.tar", &archive));
    let page = location(&wrong.expect(303));
    until(&mut browser, &page, "Completed");
    // The choices of filters may know of the finding an instant before the list does.
    let id = until_some(&mut browser, "/findings", |list| {
        let ids = list.split("/findings/").filter_map(|rest| rest.split('"').next());
        ids.filter(|id| id.len() == 32).map(str::to_owned).next()
    });
    let finding = format!("/findings/{id}");
    for path in [
        &*page,
        "/",
        "/runs",
        "/findings",
        &finding,
        "/start/secrets-scan",
        "/schedules",
    ] {
        let text = browser.get(path).expect(200).text();
        for markup in ["<img", "<script>", "<b>app"] {
            assert!(!text.contains(markup), "{path} has {markup}:\n{text}");
        }
        assert!(!text.contains(&fake_key(1)), "{path} shows the key");
    }

    // Decisions, by one and by many.
    browser
        .post(
            &finding,
            &format!("{finding}/triage"),
            &[("state", "confirmed"), ("comment", "<i>real</i>")],
        )
        .expect(303);
    let shown = browser.get(&finding).expect(200).text();
    assert!(shown.contains("Confirmed") && shown.contains("&lt;i&gt;real") && !shown.contains("<i>real"));
    let many = [
        ("id", &*id),
        ("state", "accepted_risk"),
        ("expires", "2099-01-31"),
        ("next", "/findings?triage=accepted_risk"),
    ];
    let led = browser.post("/findings", "/findings/triage", &many).expect(303);
    assert_eq!(location(&led), "/findings?triage=accepted_risk");
    let stored = api.get(&format!("/api/v1/findings/{id}")).expect(200).json();
    assert_eq!(
        (&stored["triage"], &stored["accepted_until"]),
        (&json!("accepted_risk"), &json!("2099-01-31T23:59:59Z"))
    );
    browser
        .post("/findings", "/findings/triage", &[("state", "open")])
        .expect(422);

    // What leaves is a file, whatever it holds.
    let run = page.trim_start_matches("/runs/");
    for (format, holds) in [
        ("sarif", "\"2.1.0\""),
        ("json", "aws-access-key-id"),
        ("csv", "aws-access-key-id"),
        ("junit", "<testsuite"),
        ("html", "&lt;img"),
        ("vex", "CycloneDX"),
    ] {
        let export = browser
            .get(&format!("/api/v1/runs/{run}/export?format={format}"))
            .expect(200);
        assert!(export.header("content-disposition").unwrap().starts_with("attachment"));
        assert!(export.text().contains(holds), "{format}: {}", export.text());
    }

    // The same again, by its button, and a schedule of it.
    let again = location(&browser.post(&page, &format!("{page}/retry"), &[]).expect(303));
    assert_ne!(again, page);
    until(&mut browser, &again, "Completed");
    let nightly = [
        ("id", "nightly"),
        ("workflow", "secrets-scan"),
        ("target", "<b>app"),
        ("cron", "@every 6h"),
    ];
    browser.post("/schedules", "/schedules", &nightly).expect(303);
    until(&mut browser, "/schedules", "nightly");
    browser
        .post("/schedules", "/schedules/nightly", &[("do", "pause")])
        .expect(303);
    until(&mut browser, "/schedules", "Paused");
    browser
        .post("/schedules", "/schedules/nightly", &[("do", "delete")])
        .expect(303);
    assert!(!browser.get("/schedules").text().contains("nightly</"));
}

#[test]
fn what_a_role_may_not_do_no_form_does() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    let signed_in = |role: &str| {
        let mut browser = Browser::new(&api);
        let token = token_of(&api, role);
        browser.post("/login", "/login", &[("token", &token)]).expect(303);
        browser
    };
    let mut viewer = signed_in("viewer");
    for action in ["/runs/x/retry", "/findings/x/triage", "/findings/triage"] {
        viewer.post("/", action, &[("state", "open"), ("id", "x")]).expect(403);
    }
    viewer.get("/start/assessment").expect(403);
    viewer.get("/settings/audit").expect(403);
    let settings = viewer.get("/settings").expect(200).text();
    assert!(settings.contains("For administrators"), "{settings}");
    let mut analyst = signed_in("analyst");
    for action in ["/runs/x/cancel", "/runs/x/terminate", "/schedules/x"] {
        analyst.post("/", action, &[("do", "run")]).expect(403);
    }
    let file = ("app.py", &b"x = 1\n"[..]);
    analyst.upload("/start/secrets-scan", &[], file).expect(403);
    let mut operator = signed_in("operator");
    operator
        .post("/", "/settings/tokens", &[("name", "x"), ("role", "admin")])
        .expect(403);
    operator.upload("/start/secrets-scan", &[], file).expect(303);
    let mut admin = signed_in("admin");
    let made = admin
        .post(
            "/settings",
            "/settings/tokens",
            &[("name", "ci"), ("role", "viewer"), ("days", "7")],
        )
        .expect(200);
    assert!(made.text().contains("shown only now"), "{}", made.text());
}
