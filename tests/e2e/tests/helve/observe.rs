//! Seen from outside: figures, traces, logs, and the doctor.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use helve_e2e::collector::{Collector, Span};
use helve_e2e::home::Home;
use helve_e2e::http::{Api, up};
use helve_e2e::process::{LIMIT, Running};
use helve_e2e::{checkout, helve_program, tree};
use serde_json::{Value, json};

/// A server, a worker in another process, and a run that has ended: its only tool says where in which trace it is.
struct Scene {
    home: Home,
    api: Api,
    worker: Running,
    /// Where the worker serves its figures.
    health: String,
    run: String,
    _up: Running,
}

fn scene(more: &[&str]) -> Scene {
    let home = Home::new();
    let toolbox = home.path().join("box");
    tree::write(
        &toolbox.join("verticals/odd/vertical.yaml"),
        "name: odd\nversion: '1'\ndescription: d\ntools: []\n",
    );
    tree::write(
        &toolbox.join("modules/look/module.yaml"),
        "name: look\nversion: '1'\ndescription: d\nkind: command\ntool: {program: bash}\n\
         args: ['{{ files }}/run.sh']\noutput: {format: lines, pattern: '(?P<message>.+)'}\n",
    );
    tree::write(
        &toolbox.join("modules/look/run.sh"),
        "echo \"trace ${TRACEPARENT:-none}\"\n",
    );
    tree::write(
        &toolbox.join("workflows/work/metadata.yaml"),
        "name: work\nversion: '1'\ndescription: d\nvertical: odd\n",
    );
    tree::write(
        &toolbox.join("workflows/work/workflow.yaml"),
        "steps: [{id: first, uses: look}]\n",
    );
    let toolbox = toolbox.to_string_lossy().into_owned();
    let server = [&["--role", "workflows", "--toolbox", &toolbox], more].concat();
    let (running, api, _) = up(&home, &server);
    let usual = [
        "worker",
        "--vertical",
        "odd",
        "--role",
        "activities",
        "--health",
        "127.0.0.1:0",
        "--toolbox",
        &toolbox,
    ];
    let mut worker = home.start(&[&usual[..], more].concat());
    let line = worker.wait_for_line("health   http://");
    let health = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let health = health.expect("an address").to_owned();
    let run = run(&home, &api);
    Scene {
        home,
        api,
        worker,
        health,
        run,
        _up: running,
    }
}

/// Uploads a target and runs the workflow on it to the end, within the trace of a client.
fn run(home: &Home, api: &Api) -> String {
    let root = home.path().join("app");
    tree::write(&root.join("main.py"), "x = 1\n");
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", &root).unwrap();
    let bytes = builder.into_inner().unwrap();
    let target = api.send("POST", "/api/v1/targets?name=app&format=tar", &[], &bytes);
    let target = target.expect(201).json()["id"].as_str().unwrap().to_owned();
    let body = json!({"workflow": "work", "target": target});
    let started = api.post_with("/api/v1/runs", &[("traceparent", CLIENT)], &body);
    let run = started.expect(201).json()["run_id"].as_str().unwrap().to_owned();
    let events = api.events(&format!("/api/v1/runs/{run}/events"), None);
    assert_eq!(events.last().unwrap().data["status"], "completed", "{events:?}");
    run
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";
const CLIENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_trace_goes_from_a_request_through_the_engine_to_a_step_of_another_process_and_its_tool() {
    let collector = Collector::start();
    let scene = scene(&["--otlp", &collector.url]);
    let spans = eventually("the span of the tool", || {
        let spans: Vec<Span> = collector
            .spans()
            .into_iter()
            .filter(|span| span.trace == TRACE)
            .collect();
        let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        let wanted = [
            "POST /api/v1/runs",
            "StartWorkflowExecution",
            "commit",
            "step first",
            "tool bash",
        ];
        wanted.iter().all(|name| names.contains(name)).then_some(spans)
    });
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (request, call, commit) = (
        named("POST /api/v1/runs"),
        named("StartWorkflowExecution"),
        named("commit"),
    );
    let (step, tool) = (named("step first"), named("tool bash"));
    assert_eq!(request.parent, CLIENT_SPAN, "the client's own span is the first");
    assert_eq!(call.parent, request.id);
    assert_eq!(commit.parent, call.id);
    assert_eq!(step.parent, request.id);
    assert_eq!(tool.parent, step.id);
    assert_eq!(request.process, commit.process);
    assert_ne!(step.process, request.process);
    let found = scene
        .api
        .get(&format!("/api/v1/runs/{}/findings", scene.run))
        .expect(200)
        .json();
    let said = found["items"][0]["message"].as_str().unwrap();
    assert_eq!(
        said,
        format!("trace 00-{TRACE}-{}-01", tool.id),
        "the tool is told where it is"
    );
}

#[test]
fn without_a_collector_tools_are_told_of_no_trace() {
    let scene = scene(&[]);
    let found = scene
        .api
        .get(&format!("/api/v1/runs/{}/findings", scene.run))
        .expect(200)
        .json();
    assert_eq!(found["items"][0]["message"], "trace none");
}

/// Names of the metrics in Prometheus' text; those of histograms without what follows it in their series.
fn names(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// What looks like a metric of ours in a file of `deploy`.
fn mentioned(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(checkout().join("deploy").join(file)).unwrap();
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = words.filter(|word| word.starts_with("helve_") || word.starts_with("process_"));
    ours.map(|word| {
        let ends = ["_bucket", "_sum", "_count"];
        let base = ends.iter().find_map(|end| word.strip_suffix(end));
        base.unwrap_or(word).to_owned()
    })
    .collect()
}

fn get(address: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.expect("a status"), body.to_owned())
}

#[test]
fn every_figure_of_the_dashboard_and_the_alerts_is_there_and_prometheus_reads_them() {
    let scene = scene(&[]);
    let metrics = || scene.api.get("/metrics").expect(200).text();
    let server = eventually("the findings in the index", || {
        let text = metrics();
        (value(&text, "helve_ledger_ingested_runs_total")? >= 1.0).then_some(text)
    });
    let (status, worker) = get(&scene.health, "/metrics", "");
    assert_eq!(status, 200);

    // What happened is counted.
    for series in [
        "helve_db_commits_total{database=\"engine\"}",
        "helve_db_fsync_seconds_count{database=\"engine\"}",
        "helve_engine_rpcs_total{rpc=\"StartWorkflowExecution\",code=\"OK\"}",
        "helve_engine_schedule_to_start_seconds_count{queue=\"helve-vertical-odd\",kind=\"activity\"}",
        "helve_engine_queue_pollers{queue=\"helve-vertical-odd\",kind=\"activity\"}",
        "helve_api_requests_total{method=\"POST\",route=\"/api/v1/runs\",code=\"201\"}",
        "helve_api_received_bytes_total",
        "helve_blobs_bytes_total{operation=\"put\"}",
        "process_resident_memory_bytes",
    ] {
        let seen = value(&server, series);
        assert!(seen.is_some_and(|seen| seen > 0.0), "{series} is {seen:?} in\n{server}");
    }
    for (series, expected) in [
        (
            "helve_worker_steps_ended_total{module=\"look\",outcome=\"completed\"}",
            1.0,
        ),
        ("helve_worker_tool_exits_total{tool=\"bash\",exit=\"zero\"}", 1.0),
        ("helve_worker_slots_used{queue=\"helve-vertical-odd\"}", 0.0),
    ] {
        assert_eq!(value(&worker, series), Some(expected), "{series} in\n{worker}");
    }
    assert_eq!(value(&server, "helve_engine_open_runs"), Some(0.0), "{server}");

    // What people are shown is there.
    let there: BTreeSet<String> = names(&server).union(&names(&worker)).cloned().collect();
    for file in ["grafana/helve.json", "prometheus/alerts.yml"] {
        let missing: Vec<String> = mentioned(file).difference(&there).cloned().collect();
        assert_eq!(
            missing,
            Vec::<String>::new(),
            "{file} names what nobody counts; there are {there:?}"
        );
        assert!(mentioned(file).len() > 8, "{file} is read");
    }
    judge(&[&server, &worker]);
}

/// Lets Prometheus' own tool read the text, and the files of `deploy`.
fn judge(texts: &[&str]) {
    let Some(promtool) = std::env::var_os("HELVE_PROMTOOL").map(PathBuf::from) else {
        let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!ci, "HELVE_PROMTOOL is not set: `cargo xtask test` sets it");
        eprintln!("not checked: HELVE_PROMTOOL does not name Prometheus' promtool (`cargo xtask test e2e` sets it)");
        return;
    };
    for text in texts {
        let mut tool = Command::new(&promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool starts");
        tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = tool.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}\n{text}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let scratch = tempfile::tempdir().unwrap();
    for file in ["prometheus.yml", "alerts.yml"] {
        fs::copy(
            checkout().join("deploy/prometheus").join(file),
            scratch.path().join(file),
        )
        .unwrap();
    }
    fs::write(scratch.path().join("helve.token"), "t").unwrap();
    let output = Command::new(&promtool)
        .args(["check", "config", "prometheus.yml"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn figures_want_a_token_that_sees_all_or_an_address_of_this_machine() {
    let home = Home::new();
    let (mut running, api, _) = up(&home, &[]);
    api.with(None).get("/metrics").expect_problem(401, "");
    let token = |body: Value| {
        let made = api.post("/api/v1/tokens", &body).expect(201).json();
        made["secret"].as_str().expect("a token").to_owned()
    };
    let narrow = token(json!({"name": "narrow", "role": "viewer", "namespaces": ["default"]}));
    api.with(Some(&narrow)).get("/metrics").expect_problem(403, "");
    let wide = token(json!({"name": "prometheus", "role": "viewer"}));
    let answer = api.with(Some(&wide)).get("/metrics").expect(200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    running.signal("INT");
    running.wait_for_line("stopping");
    drop(running);

    let refused = home.run(&[
        "up",
        "--metrics",
        "0.0.0.0:0",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    refused.expect_clear_error(&["0.0.0.0", "token"]);
    let mut open = home.start(&[
        "up",
        "--metrics",
        "127.0.0.1:0",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    let line = open.wait_for_line("metrics  http://");
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap();
    let (status, text) = get(address, "/metrics", "");
    assert_eq!(status, 200);
    assert!(names(&text).contains("helve_db_commits_total"), "{text}");
}

#[test]
fn log_lines_are_json_and_say_within_which_run_and_step() {
    let mut scene = scene(&["--log-format", "json", "-v"]);
    let line = scene.worker.wait_for_line("the step ended");
    let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(
        (&line["run_id"], &line["step"]),
        (&json!(scene.run), &json!("first")),
        "{line}"
    );
    assert_eq!(
        (&line["level"], &line["target"]),
        (&json!("debug"), &json!("helve_worker::figures"))
    );
    assert_eq!(line["fields"]["outcome"], "completed");
    let token = scene.api.token.clone().unwrap();
    scene.worker.signal("INT");
    let home = scene.home;
    let left = scene.worker.wait();
    for line in left.stderr.lines().filter(|line| line.starts_with('{')) {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed["time"].is_string() && parsed["message"].is_string(), "{line}");
    }
    assert!(!left.stderr.contains(&token));
    drop(home);
}

/// The checks of `helve doctor --json` by name, and its exit code.
fn doctor(command: &mut Command) -> (Option<i32>, Vec<Value>) {
    let output = command.output().expect("the doctor comes");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said["checks"].as_array().unwrap().clone())
}

fn check<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check `{name}` in {checks:?}"))
}

#[test]
fn the_doctor_finds_a_machine_and_its_server_well_and_says_what_is_missing() {
    let home = Home::new();
    let (code, checks) = doctor(&mut home.command(&["doctor", "--json"]));
    assert_eq!(code, Some(0), "{checks:?}");
    assert_eq!(check(&checks, "data directory")["state"], "ok");
    assert_eq!(check(&checks, "server")["state"], "ok");
    for check in checks.iter().filter(|check| check["state"] != "ok") {
        assert!(check["means"].is_string() && check["fix"].is_string(), "{check}");
    }
    let (_running, _, _) = up(&home, &[]);
    let (code, checks) = doctor(&mut home.command(&["doctor", "--json"]));
    assert_eq!(code, Some(0), "{checks:?}");
    for name in ["server", "HTTP API", "token", "workers"] {
        assert_eq!(check(&checks, name)["state"], "ok", "{checks:?}");
    }
    fs::write(home.data().join("admin.token"), "helve_wrong\n").unwrap();
    let (_, checks) = doctor(&mut home.command(&["doctor", "--json"]));
    assert_eq!(check(&checks, "token")["state"], "warn");
    let text = home.run(&["doctor"]).expect_code(0).stdout;
    assert!(text.contains("warn  token") && text.contains("do: "), "{text}");
}

#[test]
fn the_doctor_fails_a_disk_that_is_full_or_cannot_be_written() {
    // Both need a file system of their own, which only root of a mount namespace makes.
    let script = "set -e; mount -t tmpfs -o size=1m none \"$1\"; mkdir \"$1/data\"; \
                  if [ \"$2\" = full ]; then head -c 2m /dev/zero > \"$1/fill\" || true; \
                  else mount -o remount,ro \"$1\"; fi; exec \"$3\" doctor --json --data-dir \"$1/data\"";
    let probe = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("not checked: no file system can be mounted here");
        return;
    }
    for (how, fix) in [
        ("full", "make room"),
        ("read-only", "mount the file system for writing"),
    ] {
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", script, "sh"])
            .arg(place.path())
            .arg(how)
            .arg(helve_program())
            .env_remove("HELVE_LOG");
        let (code, checks) = doctor(&mut command);
        assert_eq!(code, Some(1), "{how}: {checks:?}");
        let failed = check(&checks, "data directory");
        assert_eq!(failed["state"], "fail", "{how}: {failed}");
        assert!(failed["fix"].as_str().unwrap().contains(fix), "{how}: {failed}");
    }
}

#[test]
fn a_server_whose_disk_is_gone_is_not_ready_and_says_what_cannot_be_used() {
    let home = Home::new();
    let (_running, api, _) = up(&home, &[]);
    assert_eq!(api.with(None).get("/readyz").expect(200).text(), "ready\n");
    // Nothing can be stored any more.
    fs::remove_dir_all(home.data().join("blobs")).unwrap();
    fs::write(home.data().join("blobs"), "in the way").unwrap();
    let problem = eventually("that it is not ready", || {
        let answer = api.with(None).get("/readyz");
        (answer.status == 503).then(|| answer.json())
    });
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("the store of targets and results cannot be used"),
        "{detail}"
    );
    assert!(
        !detail.contains(&*home.data().to_string_lossy()),
        "strangers are told no paths: {detail}"
    );
}
