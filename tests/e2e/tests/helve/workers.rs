//! A fleet: workers that are killed, that leave when they have worked long enough, that say what they are.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::process::{LIMIT, Running};
use helve_e2e::tree;
use serde_json::Value;

use super::code::guests;

/// A toolbox with the vertical `odd` and the workflow `work`, each step of which runs a script on it.
fn toolbox(home: &Home, steps: &str, scripts: &[(&str, &str)]) -> String {
    let toolbox = home.path().join("box");
    tree::write(
        &toolbox.join("verticals/odd/vertical.yaml"),
        "name: odd\nversion: '1'\ndescription: d\ntools:\n  - program: bash\n    purpose: runs scripts\n    \
         probe: { args: [--version], pattern: 'version (\\d+\\.\\d+\\.\\d+)' }\n    install: { apt: bash }\n",
    );
    for (name, script) in scripts {
        tree::write(
            &toolbox.join(format!("modules/{name}/module.yaml")),
            format!(
                "name: {name}\nversion: '1'\ndescription: d\nkind: command\ntool: {{program: bash}}\n\
                 args: ['{{{{ files }}}}/run.sh', '{{{{ out }}}}']\nlimits: {{time: 2m, memory: 1Gi}}\n\
                 output: {{format: lines, pattern: '(?P<message>.+)'}}\n"
            ),
        );
        tree::write(&toolbox.join(format!("modules/{name}/run.sh")), script);
    }
    tree::write(
        &toolbox.join("workflows/work/metadata.yaml"),
        "name: work\nversion: '1'\ndescription: d\nvertical: odd\nworkspace_isolation: isolated\n",
    );
    tree::write(
        &toolbox.join("workflows/work/workflow.yaml"),
        format!("steps: {steps}\n"),
    );
    toolbox.to_string_lossy().into_owned()
}

/// An engine whose own worker runs no steps.
fn engine(home: &Home, toolbox: &str) -> Running {
    let mut up = home.start(&[
        "up",
        "--grpc",
        "127.0.0.1:0",
        "--role",
        "workflows",
        "--toolbox",
        toolbox,
    ]);
    up.wait_for_line("worker   ready");
    up
}

fn worker(home: &Home, toolbox: &str, options: &[&str]) -> Running {
    let usual = [
        "worker",
        "--vertical",
        "odd",
        "--role",
        "activities",
        "--toolbox",
        toolbox,
    ];
    let mut worker = home.start(&[&usual[..], options].concat());
    worker.wait_for_line("worker   ready for odd");
    worker
}

fn run(home: &Home, toolbox: &str, target: &Path) -> Running {
    home.start(&["run", "work", &target.to_string_lossy(), "--toolbox", toolbox, "--json"])
}

fn target(home: &Home) -> PathBuf {
    let target = home.path().join("app");
    tree::write(&target.join("main.py"), "x = 1\n");
    target
}

fn stop(process: Running) {
    process.signal("TERM");
    process.wait().expect_code(0);
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a `sleep` with this argument runs.
fn sleeps(seconds: &str) -> bool {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.into_iter().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line == format!("sleep\0{seconds}\0").as_bytes()
    })
}

/// A number of seconds that nothing else on the machine sleeps.
fn seconds(whole: u32, test: u32) -> String {
    format!("{whole}.0{test}{:07}", std::process::id())
}

/// A script that sleeps that long and then says so, and how long exactly: nothing else on the machine sleeps that.
fn nap(whole: u32, test: u32) -> (String, String) {
    let nap = seconds(whole, test);
    (format!("sleep {nap}\necho slept\n"), nap)
}

/// Steps of the newest run by the id, as `helve runs show` tells them.
fn steps(home: &Home) -> Vec<Value> {
    let runs = home.runs();
    let Some(run_id) = runs.first().and_then(|run| run["run_id"].as_str()) else {
        return Vec::new();
    };
    let shown = home.show(run_id);
    let steps = shown["steps"].as_array().expect("steps").iter();
    steps.filter(|step| step["internal"] == false).cloned().collect()
}

/// Folders of workers.
fn work_folders(home: &Home) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(home.data().join("work")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn assert_nothing_twice(result: &Value) {
    let findings = result["findings"].as_array().expect("findings");
    let distinct: BTreeSet<String> = findings
        .iter()
        .map(|finding| finding["fingerprint"].to_string())
        .collect();
    assert_eq!(distinct.len(), findings.len(), "{result}");
}

/// A module of kind `wasm` that sleeps for that long, and then reports one thing.
fn rest(toolbox: &str, seconds: u32) {
    let folder = Path::new(toolbox).join("modules/rest");
    let text = format!(
        "name: rest\nversion: '1'\ndescription: d\nkind: wasm\nargs: [nap, '{seconds}']\n\
         output: {{from: stdout, format: lines, pattern: '(?P<message>.+)'}}\n"
    );
    tree::write(&folder.join("module.yaml"), text);
    tree::write(&folder.join("module.wasm"), guests::component("inmate"));
}

#[test]
fn a_worker_killed_amid_every_kind_of_module_loses_nothing_and_its_workspaces_go() {
    let home = Home::new();
    let (script, nap) = nap(8, 1);
    let toolbox = toolbox(
        &home,
        "[{id: command, uses: nap}, {id: builtin, uses: sast}, {id: wasm, uses: rest}]",
        &[("nap", &script)],
    );
    rest(&toolbox, 8);
    // Compiles the component, so that all three steps begin at once.
    home.run(&["toolbox", "check", &toolbox]).expect_code(0);
    let target = home.path().join("tree");
    tree::grow(&target, 1500, 2_500);
    let up = engine(&home, &toolbox);
    let before = work_folders(&home);
    let first = worker(&home, &toolbox, &["--concurrency", "3"]);
    let folders = work_folders(&home);
    let of_first: Vec<_> = folders.difference(&before).cloned().collect();
    assert_eq!(of_first.len(), 1, "{of_first:?}");
    let run = run(&home, &toolbox, &target);
    eventually("all steps", || {
        let steps = steps(&home);
        let running = steps.iter().filter(|step| step["status"] == "running");
        // A component that runs counts the seconds, as a program does.
        let counts = steps
            .iter()
            .any(|step| step["id"] == "wasm" && step["outcome"].as_str().is_some_and(|text| text.ends_with(" s")));
        sleeps(&nap) && counts && running.count() == 3
    });
    first.signal("KILL");
    drop(first);
    assert!(of_first[0].exists(), "a killed worker cannot clean up");
    // The next start does, and leaves alone what belongs to the living.
    let second = worker(&home, &toolbox, &["--concurrency", "3"]);
    assert!(!of_first[0].exists());
    assert!(before.iter().all(|path| path.exists()));
    let result = run.wait().expect_code(0).json();
    assert_eq!(result["status"], "completed");
    let steps = steps(&home);
    let completed: Vec<&str> = steps
        .iter()
        .filter(|step| step["status"] == "completed")
        .filter_map(|step| step["id"].as_str())
        .collect();
    assert_eq!(completed.iter().collect::<BTreeSet<_>>().len(), 3, "{steps:?}");
    assert_eq!(completed.len(), 3, "each step completed once: {steps:?}");
    // 150 files with a flaw, and what the script and the component said, once.
    let findings = result["findings"].as_array().unwrap();
    for word in ["slept", "rested"] {
        let said = findings.iter().filter(|finding| finding["message"] == word).count();
        assert_eq!(said, 1, "{word}: {findings:?}");
    }
    assert!(findings.len() >= 150, "{}", findings.len());
    assert_nothing_twice(&result);
    stop(second);
    stop(up);
    assert!(work_folders(&home).is_empty(), "{:?}", work_folders(&home));
}

#[test]
fn fifty_runs_at_once_on_one_worker_do_not_mix_their_workspaces() {
    let home = Home::new();
    let script = "cat id\necho mine >> id\nsleep 0.3\nls | sed 's/^/file /'\nwc -l < id | sed 's/^/lines /'\n";
    let toolbox = toolbox(&home, "[{id: look, uses: look}]", &[("look", script)]);
    let up = engine(&home, &toolbox);
    let worker = worker(&home, &toolbox, &["--concurrency", "50"]);
    let runs: Vec<(usize, Running)> = (0..50)
        .map(|number| {
            let target = home.path().join(format!("targets/{number}"));
            tree::write(&target.join("id"), format!("this is {number}\n"));
            (number, run(&home, &toolbox, &target))
        })
        .collect();
    for (number, run) in runs {
        let result = run.wait().expect_code(0).json();
        let mut messages: Vec<&str> = result["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .filter_map(|finding| finding["message"].as_str())
            .collect();
        messages.sort_unstable();
        let own = format!("this is {number}");
        assert_eq!(messages, ["file id", "lines 2", own.as_str()], "{result}");
    }
    stop(worker);
    stop(up);
}

#[test]
fn a_run_says_that_nobody_has_taken_it_up_and_goes_on_when_a_worker_comes() {
    let home = Home::new();
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0", "--no-worker"]);
    up.wait_for_line("worker   none here");
    let mut run = home.start(&["run", "assessment", &target(&home).to_string_lossy(), "--json"]);
    run.wait_for_line("waiting for a worker that runs workflows");
    let mut worker = home.start(&["worker"]);
    worker.wait_for_line("worker   ready");
    assert_eq!(run.wait().expect_code(0).json()["status"], "completed");
    stop(worker);
    stop(up);
}

#[test]
fn a_worker_that_has_run_enough_steps_lets_the_others_end_and_asks_to_be_started_again() {
    let home = Home::new();
    let (script, _) = nap(4, 3);
    let toolbox = toolbox(
        &home,
        "[{id: short, uses: short}, {id: long, uses: long}]",
        &[("short", "sleep 1\necho done\n"), ("long", &script)],
    );
    let up = engine(&home, &toolbox);
    let mut worker = worker(&home, &toolbox, &["--concurrency", "2", "--max-runs", "1"]);
    let run = run(&home, &toolbox, &target(&home));
    let line = worker.wait_for_line("recycling:");
    assert!(
        line.contains("a step (--max-runs)") && line.contains("1 step running"),
        "{line}"
    );
    worker.wait().expect_code(75);
    let result = run.wait().expect_code(0).json();
    assert_eq!(result["status"], "completed");
    for step in steps(&home) {
        assert_eq!(step["attempts"], 1, "no step was cut: {step}");
    }
    stop(up);
}

#[test]
fn a_worker_that_is_drained_from_afar_ends_its_steps_and_leaves() {
    let home = Home::new();
    let (script, _) = nap(3, 9);
    let toolbox = toolbox(&home, "[{id: long, uses: long}]", &[("long", &script)]);
    let engine = ["--role", "workflows", "--toolbox", &toolbox];
    let (up, api, _) = helve_e2e::http::up(&home, &engine);
    let worker = worker(&home, &toolbox, &[]);
    let run = run(&home, &toolbox, &target(&home));
    let find = || {
        let known = api.get("/api/v1/workers").expect(200).json();
        let workers = known["items"].as_array().expect("workers").clone();
        workers
            .into_iter()
            .find(|worker| worker["verticals"].get("odd").is_some())
    };
    eventually("the step begins", || {
        steps(&home).iter().any(|step| step["status"] == "running")
    });
    let identity = find().expect("the worker is known")["identity"]
        .as_str()
        .unwrap()
        .replace(' ', "%20");
    let drain = format!("/api/v1/workers/{identity}/drain");
    api.send("POST", &drain, &[], &[]).expect(202);
    let left = worker.wait().expect_code(0);
    assert!(
        left.stderr.contains("leaving as asked: no new steps, 1 step running"),
        "{}",
        left.stderr
    );
    assert_eq!(run.wait().expect_code(0).json()["status"], "completed");
    for step in steps(&home) {
        assert_eq!(step["attempts"], 1, "no step was cut: {step}");
    }
    api.send("POST", "/api/v1/workers/nobody/drain", &[], &[]).expect(404);
    stop(up);
}

#[test]
fn a_worker_whose_tools_hold_too_much_memory_finishes_and_leaves() {
    let home = Home::new();
    let script = "x=$(head -c 314572800 /dev/zero | tr '\\0' a)\nsleep 4\necho held\n";
    let toolbox = toolbox(&home, "[{id: hold, uses: hold}]", &[("hold", script)]);
    let up = engine(&home, &toolbox);
    let mut worker = worker(&home, &toolbox, &["--max-memory", "250Mi", "--max-age", "1h"]);
    let run = run(&home, &toolbox, &target(&home));
    let line = worker.wait_for_line("recycling:");
    assert!(
        line.contains("MiB of memory, more than 250.0 MiB (--max-memory)"),
        "{line}"
    );
    worker.wait().expect_code(75);
    let result = run.wait().expect_code(0).json();
    assert_eq!(result["findings"][0]["message"], "held");
    stop(up);
}

/// The status code, and what was said.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the worker listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let code = text
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .expect("a status");
    (code, text.rsplit("\r\n").next().unwrap_or_default().to_owned())
}

#[test]
fn a_worker_says_that_it_lives_and_is_ready_only_while_its_polls_reach_the_engine() {
    let home = Home::new();
    let toolbox = toolbox(&home, "[{id: look, uses: look}]", &[("look", "echo seen\n")]);
    let up = engine(&home, &toolbox);
    let usual = [
        "worker",
        "--vertical",
        "odd",
        "--role",
        "activities",
        "--toolbox",
        &toolbox,
    ];
    let mut worker = home.start(&[&usual[..], &["--health", "127.0.0.1:0"]].concat());
    let line = worker.wait_for_line("health   http://");
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("an address");
    eventually("readiness", || get(address, "/readyz").0 == 200);
    assert_eq!(get(address, "/healthz"), (200, "alive\n".to_owned()));
    assert_eq!(get(address, "/metrics").0, 200);
    assert_eq!(get(address, "/elsewhere").0, 404);
    drop(up);
    let (code, said) = get(address, "/readyz");
    assert_eq!(code, 503, "{said}");
    assert!(said.starts_with("not ready: the engine does not answer"), "{said}");
    assert_eq!(get(address, "/healthz").0, 200);
    drop(worker);
}

#[test]
fn workers_are_listed_with_the_tools_that_they_carry_until_they_leave() {
    let home = Home::new();
    let toolbox = toolbox(&home, "[{id: look, uses: look}]", &[("look", "echo seen\n")]);
    let list = |home: &Home| {
        home.run(&["workers", "--toolbox", &toolbox, "--json"])
            .expect_code(0)
            .json()
    };
    let up = engine(&home, &toolbox);
    let odd = |listed: &Value| {
        let workers = listed["workers"].as_array().expect("workers").clone();
        workers.into_iter().find(|worker| !worker["verticals"]["odd"].is_null())
    };
    let missing = list(&home)["verticals_without_worker"].to_string();
    assert!(missing.contains("odd"), "{missing}");
    let worker = worker(&home, &toolbox, &["--concurrency", "3"]);
    let mut found = None;
    eventually("the register", || {
        found = odd(&list(&home)).filter(|worker| worker["verticals"]["odd"][0]["program"] == "bash");
        found.is_some()
    });
    let found = found.unwrap();
    let version = found["verticals"]["odd"][0]["version"].as_str().expect("a version");
    assert!(version.split('.').count() == 3, "{found}");
    assert_eq!(
        (&found["slots"], &found["state"]),
        (&3.into(), &"ready".into()),
        "{found}"
    );
    assert!(
        ["limits", "filtered", "isolated", "full"].contains(&found["sandbox"].as_str().unwrap()),
        "{found}"
    );
    let text = home.run(&["workers", "--toolbox", &toolbox]).expect_code(0).stdout;
    assert!(text.contains(&format!("bash {version}")), "{text}");
    stop(worker);
    assert!(odd(&list(&home)).is_none());
    stop(up);
}
