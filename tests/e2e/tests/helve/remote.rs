//! The same commands at a server.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use helve_e2e::helve_program;
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::process::{Finished, Running};
use helve_e2e::server::free_port;
use helve_e2e::tree;
use serde_json::{Value, json};

/// An account of its own: another configuration and another data folder than the server's.
struct Account<'a> {
    home: &'a Home,
    server: String,
    token: String,
}

impl<'a> Account<'a> {
    fn new(home: &'a Home, api: &Api) -> Self {
        Self {
            home,
            server: format!("http://{}", api.address),
            token: api.token.clone().unwrap(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("account")
    }

    /// A command that was told nothing of a server.
    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(helve_program());
        command
            .args(arguments)
            .env_remove("HELVE_LOG")
            .env_remove("HELVE_DATA_DIR")
            .env_remove("HELVE_ENGINE")
            .env_remove("HELVE_BLOBS")
            .env_remove("HELVE_SERVER")
            .env_remove("HELVE_CONTEXT")
            .env_remove("HELVE_TOKEN")
            .env_remove("HELVE_NAMESPACE")
            .env("HOME", self.folder())
            .env("XDG_CONFIG_HOME", self.folder().join("config"))
            .env("XDG_DATA_HOME", self.folder().join("data"))
            .env("NO_COLOR", "1")
            .current_dir(self.home.path());
        command
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command
            .env("HELVE_SERVER", &self.server)
            .env("HELVE_TOKEN", &self.token);
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        Running::start(&mut self.command(arguments)).wait()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).expect_code(0).json()
    }

    #[track_caller]
    fn alone(&self, arguments: &[&str]) -> Finished {
        Running::start(&mut self.bare(arguments)).wait()
    }

    /// A run that has ended, with its result.
    #[track_caller]
    fn scan(&self, target: &str) -> Value {
        self.json(&["run", "assessment", target])
    }
}

fn small(home: &Home) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    root.to_string_lossy().into_owned()
}

/// What is the same wherever a run ran.
fn essence(result: &Value) -> Value {
    let steps: Vec<Value> = result["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["id"], step["uses"], step["status"], step["findings"]]))
        .collect();
    json!({
        "workflow": result["workflow"], "status": result["status"], "by_severity": result["summary"]["by_severity"],
        "total": result["summary"]["total"], "findings": result["findings"], "notifications": result["notifications"],
        "steps": steps, "target": [result["target"]["name"], result["target"]["id"], result["target"]["files"]],
    })
}

/// Standard error as one line of JSON after whatever came before.
#[track_caller]
fn error_of(finished: &Finished) -> Value {
    let line = finished.stderr.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {}", finished.stderr));
    value["error"].clone()
}

#[test]
fn a_run_at_a_server_gives_what_a_run_here_gives() {
    let (home, other) = (Home::new(), Home::new());
    let (_up, api, _) = up(&home, &[]);
    let account = Account::new(&home, &api);
    let root = small(&home);
    std::fs::write(home.path().join("small/.gitignore"), "ignored.py\n").unwrap();
    tree::write(&home.path().join("small/ignored.py"), "eval(input())\n");

    // The same document, and the same files, as without a server.
    let sarif = home.path().join("out.sarif");
    let there = account.run(&[
        "run",
        "assessment",
        &root,
        "--json",
        "--sarif",
        &sarif.to_string_lossy(),
    ]);
    assert!(there.stderr.contains("sending "), "{}", there.stderr);
    assert!(
        there.stderr.contains(": started"),
        "progress comes as it does here:\n{}",
        there.stderr
    );
    let result = there.expect_code(0).json();
    assert_eq!(essence(&result), essence(&other.scan(&root)));
    let written: Value = serde_json::from_slice(&std::fs::read(&sarif).unwrap()).unwrap();
    assert_eq!(
        (written["runs"].as_array().unwrap().iter())
            .map(|run| run["results"].as_array().unwrap().len())
            .sum::<usize>(),
        result["findings"].as_array().unwrap().len()
    );

    // What the server has is not sent again; exit codes are the same.
    let again = account.run(&[
        "run",
        "assessment",
        &root,
        "--fail-on",
        "high",
        "--baseline",
        "none.sarif",
    ]);
    again.expect_clear_error(&["none.sarif"]);
    let again = account
        .run(&["run", "assessment", &root, "--fail-on", "high"])
        .expect_code(2);
    assert!(!again.stderr.contains("sending "), "{}", again.stderr);
    let run_id = result["run_id"].as_str().unwrap();
    let baseline = account.run(&["run", "assessment", &root, "--fail-on", "high", "--baseline", run_id]);
    baseline.expect_code(0);

    // Lists and details.
    let runs = account.json(&["runs", "list"]);
    assert_eq!(runs.as_array().unwrap().len(), 3);
    assert_eq!(account.json(&["runs", "list", "-n", "1"]).as_array().unwrap().len(), 1);
    assert!(account.json(&["runs", "list", "--open"]).as_array().unwrap().is_empty());
    let shown = account.json(&["runs", "show", run_id]);
    assert_eq!(
        (&shown["status"], &shown["target"]["name"]),
        (&json!("completed"), &json!("small"))
    );
    let text = account.run(&["runs", "show", run_id]).expect_code(0).stdout;
    assert!(text.contains("completed") && text.contains("small ("), "{text}");
    let local = home.run(&["runs", "show", run_id]).expect_code(0).stdout;
    assert_eq!(text, local);
    account
        .run(&["runs", "show", "nothing"])
        .expect_clear_error(&["nothing"]);

    // Findings in every form.
    let findings = account.json(&["findings", run_id]);
    assert_eq!(findings, result["findings"]);
    let csv = account
        .run(&["findings", run_id, "--format", "csv"])
        .expect_code(0)
        .stdout;
    assert_eq!(
        csv,
        home.run(&["findings", run_id, "--format", "csv"]).expect_code(0).stdout
    );
    let second = runs[0]["run_id"].as_str().unwrap();
    let diff = account.json(&["findings", "diff", run_id, second]);
    assert!(diff["new"].as_array().unwrap().is_empty() && !diff["unchanged"].as_array().unwrap().is_empty());

    // Files of a run, byte for byte.
    let artifacts = account.json(&["artifacts", "list", run_id]);
    assert_eq!(
        artifacts,
        home.run(&["artifacts", "list", run_id, "--json"]).expect_code(0).json()
    );
    let report = account
        .run(&["artifacts", "get", run_id, "report.json"])
        .expect_code(0)
        .stdout;
    assert_eq!(
        report,
        home.run(&["artifacts", "get", run_id, "report.json"])
            .expect_code(0)
            .stdout
    );

    // Targets, workers, the catalog.
    let id = result["target"]["id"].as_str().unwrap();
    let target = account.json(&["targets", "show", &id[..12]]);
    assert_eq!(
        (&target["name"], target["runs"].as_array().unwrap().len()),
        (&json!("small"), 3)
    );
    account
        .run(&["targets", "prune"])
        .expect_clear_error(&["targets prune", "server"]);
    assert_eq!(account.json(&["targets", "remove", &id[..12]])[0]["id"], *id);
    assert!(account.json(&["targets", "list"]).as_array().unwrap().is_empty());
    assert_eq!(account.json(&["workers"])["workers"].as_array().unwrap().len(), 1);
    for what in ["workflows", "modules", "verticals"] {
        let names = |listed: &Value| -> Vec<Value> {
            listed
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].clone())
                .collect()
        };
        let here = other.run(&[what, "--json"]).expect_code(0).json();
        assert_eq!(names(&account.json(&[what])), names(&here));
        let text = account.run(&[what]).expect_code(0).stdout;
        assert_eq!(text, other.run(&[what]).expect_code(0).stdout);
    }
    let workflow = account.run(&["workflows", "assessment"]).expect_code(0).stdout;
    assert!(
        workflow.contains("Parameters") && workflow.contains("Steps"),
        "{workflow}"
    );
    account
        .run(&["run", "assessment", &root, "--param", "nonsense=1"])
        .expect_clear_error(&["do not fit", "nonsense"]);
}

#[cfg(unix)]
#[test]
fn what_could_not_be_packed_is_said_by_the_server_too() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    let account = Account::new(&home, &api);
    let root = small(&home);
    // A socket is nothing that can be packed, whoever asks.
    let socket = home.path().join("small/socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let result = account.scan(&root);
    assert_eq!(result["target"]["skipped_total"], 1, "{}", result["target"]);
    assert_eq!(result["target"]["skipped"][0]["path"], "socket");
    let said = result["notifications"].to_string();
    assert!(said.contains("not scanned"), "{said}");
}

#[test]
fn a_login_is_checked_kept_private_and_used() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &[]);
    let account = Account::new(&home, &api);
    let login = |token: &str, arguments: &[&str]| -> Finished {
        let file = home.path().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let mut command = account.bare(arguments);
        command.args(["--token-file", &file.to_string_lossy()]);
        Running::start(&mut command).wait()
    };
    let file = account.folder().join("config/helve/contexts.json");

    // A wrong token is not remembered, and no token at all is said.
    let wrong = login("helve_wrong", &["login", &account.server]);
    assert!(!wrong.stderr.contains("helve_wrong"));
    wrong.expect_clear_error(&["token"]);
    assert!(!file.exists());
    account
        .alone(&["login", &account.server])
        .expect_clear_error(&["token", "--token-file"]);
    account
        .alone(&["runs", "list", "--server", &account.server])
        .expect_clear_error(&["no token", "helve login"]);

    let done = login(&account.token, &["login", &account.server, "--name", "mine"]).expect_code(0);
    assert!(done.stdout.contains("as admin (admin)"), "{}", done.stdout);
    assert!(!(done.stdout + &done.stderr).contains(&account.token));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    // From now on commands talk to it, unless somebody names something else.
    let root = small(&home);
    let ran = account
        .alone(&["run", "assessment", &root, "--json", "--quiet"])
        .expect_code(0)
        .json();
    assert_eq!(home.runs()[0]["run_id"], ran["run_id"]);
    let listed = account.alone(&["runs", "list", "--json"]).expect_code(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let here = account
        .alone(&["runs", "list", "--json", "--context", "local"])
        .expect_code(0)
        .json();
    assert!(here.as_array().unwrap().is_empty());
    let contexts = account.alone(&["context", "list", "--json"]).expect_code(0);
    assert!(!contexts.stdout.contains(&account.token));
    assert_eq!(contexts.json()[0]["name"], "mine");
    let shown = account.alone(&["context", "show", "--json"]).expect_code(0).json();
    assert_eq!(
        (&shown["name"], &shown["me"]["role"]),
        (&json!("mine"), &json!("admin"))
    );

    account.alone(&["context", "use", "local"]).expect_code(0);
    let here = account.alone(&["runs", "list", "--json"]).expect_code(0).json();
    assert!(here.as_array().unwrap().is_empty());
    account
        .alone(&["context", "use", "nowhere"])
        .expect_clear_error(&["nowhere", "mine"]);
    account.alone(&["logout", "mine"]).expect_code(0);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&account.token));
}

#[test]
fn a_token_goes_nowhere_in_the_clear() {
    let home = Home::new();
    let account = Account {
        home: &home,
        server: "http://192.0.2.1:8080".to_owned(),
        token: "helve_secret".to_owned(),
    };
    let refused = account.run(&["runs", "list"]);
    assert!(!refused.stderr.contains("helve_secret"));
    refused.expect_clear_error(&["not encrypted", "--insecure-http"]);
    account
        .alone(&["login", "http://192.0.2.1:8080"])
        .expect_clear_error(&["not encrypted"]);
    account.alone(&["login", "ftp://x"]).expect_clear_error(&["https://"]);
}

#[test]
fn a_server_that_is_not_there_is_one_clear_error() {
    let home = Home::new();
    let account = Account {
        home: &home,
        server: format!("http://127.0.0.1:{}", free_port()),
        token: "helve_secret".to_owned(),
    };
    account
        .run(&["runs", "list"])
        .expect_clear_error(&["cannot be reached"]);
    let failed = account.run(&["runs", "list", "--json"]).expect_code(1);
    assert_eq!(error_of(&failed)["code"], "unreachable");
}

#[test]
fn ctrl_c_leaves_the_run_to_the_server() {
    let home = Home::new();
    let (_up, api, _) = up(&home, &["--no-worker"]);
    let account = Account::new(&home, &api);
    let root = small(&home);
    let mut running = Running::start(&mut account.command(&["run", "assessment", &root]));
    let line = running.wait_for_line("run assessment-");
    let run_id = line.split(&[' ', ':'][..]).nth(1).unwrap().to_owned();
    running.signal("INT");
    let left = running.wait().expect_code(130);
    assert!(
        left.stderr.contains(&format!("goes on at {}", account.server)),
        "{}",
        left.stderr
    );
    assert!(
        left.stderr.contains(&format!("helve run --resume {run_id}")),
        "{}",
        left.stderr
    );
    assert_eq!(account.json(&["runs", "show", &run_id])["status"], "running");
    // With a worker it ends, and whoever follows it again gets its result.
    let _worker = home.start(&["worker"]);
    let result = account.json(&["run", "--resume", &run_id]);
    assert_eq!(
        (&result["run_id"], &result["status"]),
        (&json!(run_id), &json!("completed"))
    );
    account
        .run(&["runs", "cancel", &run_id])
        .expect_clear_error(&["has ended already"]);
}

#[test]
fn following_survives_the_death_of_the_server() {
    let home = Home::new();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let begin = |more: &[&str]| {
        let arguments = [&["up", "--grpc", "127.0.0.1:0", "--http", &address][..], more].concat();
        let mut up = home.start(&arguments);
        up.wait_for_line("worker   ");
        up
    };
    let first = begin(&["--no-worker"]);
    let account = Account {
        home: &home,
        server: format!("http://{address}"),
        token: std::fs::read_to_string(home.data().join("admin.token"))
            .unwrap()
            .trim()
            .to_owned(),
    };
    let root = small(&home);
    let mut running = Running::start(&mut account.command(&["run", "assessment", &root, "--json"]));
    running.wait_for_line("run assessment-");
    let (killed, _) = first.kill_after(std::time::Duration::ZERO);
    assert!(killed);
    running.wait_for_line("trying again");
    let _second = begin(&[]);
    assert_eq!(running.wait().expect_code(0).json()["status"], "completed");
}

#[test]
fn what_only_servers_know_is_asked_of_the_server_of_the_data_directory() {
    let home = Home::new();
    home.run(&["tokens", "list"])
        .expect_clear_error(&["needs a server", "helve up"]);
    let (running, api, _) = up(&home, &[]);
    let json = |arguments: &[&str]| home.run(&[arguments, &["--json"]].concat()).expect_code(0).json();

    // Tokens: the secret comes once, and works.
    let made = json(&["tokens", "make", "ci", "--role", "analyst", "--expires-in", "90d"]);
    let secret = made["secret"].as_str().unwrap().to_owned();
    api.with(Some(&secret)).get("/api/v1/me").expect(200);
    let id = made["token"]["id"].as_str().unwrap();
    assert!(
        json(&["tokens", "list"])
            .as_array()
            .unwrap()
            .iter()
            .any(|token| token["id"] == *id)
    );
    json(&["tokens", "revoke", id]);
    api.with(Some(&secret)).get("/api/v1/me").expect_problem(401, "");
    let file = home.path().join("ci.token");
    let quiet = home
        .run(&["tokens", "make", "ci2", "--output", &file.to_string_lossy()])
        .expect_code(0);
    let secret = std::fs::read_to_string(&file).unwrap();
    assert!(!(quiet.stdout + &quiet.stderr).contains(secret.trim()));
    api.with(Some(secret.trim())).get("/api/v1/me").expect(200);

    // A run at the server, its findings over time, and what is decided about them.
    let root = small(&home);
    let result = home.scan(&root);
    let target = result["target"]["id"].as_str().unwrap().to_owned();
    let listed = loop {
        let listed = json(&["findings", "list", "--target", "small"]);
        if !listed.as_array().unwrap().is_empty() {
            break listed;
        }
    };
    let finding = listed[0]["id"].as_str().unwrap();
    let text = home
        .run(&["findings", "list", "--search", "eval"])
        .expect_code(0)
        .stdout;
    assert!(text.contains("TRIAGE"), "{text}");
    let decided = json(&[
        "findings",
        "triage",
        finding,
        "--state",
        "accepted_risk",
        "--until",
        "90d",
        "--comment",
        "known",
    ]);
    assert_eq!(decided["triage"], "accepted_risk");
    json(&["findings", "comment", finding, "said \u{1b}[31m aloud"]);
    let shown = home.run(&["findings", "show", finding]).expect_code(0).stdout;
    assert!(
        shown.contains("accepted_risk by admin: known") && shown.contains("comment by admin"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}'));
    home.run(&["findings", "triage", finding, "--state", "nonsense"])
        .expect_clear_error(&["state"]);
    assert!(json(&["findings", "list", "--triage", "open", "--severity", "critical,high"]).is_array());

    // Schedules.
    let make = [
        "schedules",
        "make",
        "nightly",
        "assessment",
        "--target",
        &target,
        "--cron",
        "30 2 * * *",
        "--paused",
    ];
    assert_eq!(json(&make)["id"], "nightly");
    home.run(&make).expect_clear_error(&["nightly"]);
    json(&["schedules", "resume", "nightly"]);
    assert_eq!(json(&["schedules", "show", "nightly"])["paused"], false);
    json(&["schedules", "pause", "nightly"]);
    assert_eq!(json(&["schedules", "list"])[0]["paused"], true);
    json(&["schedules", "trigger", "nightly"]);
    json(&["schedules", "remove", "nightly"]);
    assert!(json(&["schedules", "list"]).as_array().unwrap().is_empty());

    // Namespaces, the audit log, and a run again.
    json(&["namespaces", "make", "team-a", "--description", "A team"]);
    assert!(
        home.run(&["namespaces", "list"])
            .expect_code(0)
            .stdout
            .contains("team-a")
    );
    let audit = json(&["audit", "--action", "token."]);
    assert!(
        audit
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["action"] == "token.revoke"),
        "{audit}"
    );
    let run_id = result["run_id"].as_str().unwrap();
    assert_eq!(json(&["runs", "retry", run_id])["retry_of"], *run_id);

    // A server that is gone is not taken for one.
    running.kill_after(std::time::Duration::ZERO);
    home.run(&["tokens", "list"]).expect_clear_error(&["needs a server"]);
}

#[test]
fn what_is_for_this_machine_says_so() {
    let home = Home::new();
    let account = Account {
        home: &home,
        server: "http://127.0.0.1:1".to_owned(),
        token: "helve_x".to_owned(),
    };
    for arguments in [
        &["up"][..],
        &["worker"],
        &["bench"],
        &["toolbox", "check"],
        &["workflows", "new", "x"],
        &["verticals", "doctor"],
    ] {
        account.run(arguments).expect_clear_error(&["this machine"]);
    }
}

#[test]
fn errors_and_addresses_are_json_where_that_is_asked_for() {
    let home = Home::new();
    let failed = home.run(&["runs", "show", "nothing", "--json"]).expect_code(1);
    let error = error_of(&failed);
    assert_eq!(failed.stderr.lines().count(), 1, "{}", failed.stderr);
    assert!(failed.stdout.is_empty());
    assert!(error["message"].as_str().unwrap().contains("nothing"), "{error}");
    assert!(error["help"].as_str().unwrap().contains("runs list"), "{error}");

    let wrong = home.run(&["runs", "nonsense", "--json"]).expect_code(64);
    assert_eq!(error_of(&wrong)["code"], "usage");

    // A program that starts a server learns its ports from one line.
    let mut command = home.command(&["up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let address = ready["http"]
        .as_str()
        .unwrap()
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let api = Api { address, token: None };
    api.get("/readyz").expect(200);
    assert!(ready["grpc"].as_str().unwrap().starts_with("127.0.0.1:"), "{ready}");
    child.kill().unwrap();
    child.wait().unwrap();

    // Commands that make files say which.
    let made = home.run(&["workflows", "new", "mine", "--json"]).expect_code(0).json();
    assert!(made["files"].as_array().unwrap().len() > 1, "{made}");
}
