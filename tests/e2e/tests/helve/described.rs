//! The HTTP API does what its description says, whatever it is asked.

use std::path::PathBuf;
use std::process::Command;

use helve_e2e::home::Home;
use helve_e2e::http::up;

/// What it judges. Left out: whether each token is looked at, which it asks with wrong ones until the server listens no more
/// (`access` attacks that); and that what fits the description is never refused, since names and times have rules beyond it.
const LEFT_OUT: &str = "ignored_auth,positive_data_acceptance";

#[test]
fn every_answer_fits_the_description_and_none_is_an_error_of_the_server() {
    let Some(program) = std::env::var_os("HELVE_SCHEMATHESIS_BIN").map(PathBuf::from) else {
        let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!ci, "HELVE_SCHEMATHESIS_BIN is not set: `cargo xtask test e2e` sets it");
        eprintln!("not checked: HELVE_SCHEMATHESIS_BIN does not name schemathesis (`cargo xtask test e2e` sets it)");
        return;
    };
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    // Something to ask about.
    let target = api
        .send("POST", "/api/v1/targets?name=a.py&format=file", &[], b"import os\n")
        .expect(201);
    let order = serde_json::json!({ "workflow": "assessment", "target": target.json()["id"] });
    api.post("/api/v1/runs", &order).expect(201);
    // Wrong tokens are counted: after some of them everything would be refused. What is wrong in two ways may be refused for the
    // other one. Claims wait for jobs.
    let settings = "\
[generation]
with-security-parameters = false
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, \"5xx\"]
";
    std::fs::write(home.path().join("schemathesis.toml"), settings).expect("a file can be written");
    let token = api.token.as_deref().expect("the administrator's");
    let done = Command::new(program)
        .args(["run", &format!("http://{}/api/v1/openapi.json", api.address)])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--exclude-checks", LEFT_OUT])
        // A stream of events has no end; and whoever takes tokens back takes back the one that is used here.
        .args(["--exclude-path-regex", "(/events|/tokens/.id.)$"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "8"])
        .args([
            "--request-timeout",
            "60",
            "--max-response-time",
            "40",
            "--continue-on-failure",
            "--no-color",
            "--seed",
            "1",
        ])
        .current_dir(home.path())
        .output()
        .expect("schemathesis can be started");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        said.contains("generated"),
        "it asked nothing:\n{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{said}");
}
