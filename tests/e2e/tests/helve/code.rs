//! Workflows that are WebAssembly, from a folder to a report.

#[path = "../../../../crates/wasm/tests/common/guests.rs"]
pub(crate) mod guests;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::process::LIMIT;
use helve_e2e::server::TemporalServer;
use helve_e2e::tree;
use serde_json::{Value, json};

const METADATA: &str = "name: guided\nversion: '1'\ndescription: Two modules and a person.\nparameters:\n  type: object\n  \
                        properties:\n    review_hours: {type: integer, default: 0}\n";
/// Moments of a run at which it is killed.
const POINTS: u32 = 8;

/// A toolbox whose workflow `guided` is the example of the SDK.
fn toolbox(home: &Home) -> String {
    let folder = home.path().join("box/workflows/guided");
    tree::write(&folder.join("metadata.yaml"), METADATA);
    tree::write(&folder.join("workflow.wasm"), guests::component("assessment"));
    home.path().join("box").to_string_lossy().into_owned()
}

fn target(home: &Home) -> PathBuf {
    let root = home.path().join("tree");
    tree::grow(&root, 60, 1_000);
    root
}

/// What must not depend on interruptions, and that no step that completed ran again.
fn lasting(home: &Home, result: &Value) -> (Value, Value, Vec<String>) {
    let shown = home.show(result["run_id"].as_str().unwrap());
    let steps = shown["steps"].as_array().expect("steps").iter();
    // The report is Helve's own activity; it may be made twice.
    let steps = steps.filter(|step| step["id"] != "helve.report");
    let mut steps: Vec<String> = steps.map(|step| format!("{}:{}", step["id"], step["status"])).collect();
    steps.sort();
    (result["findings"].clone(), result["output"].clone(), steps)
}

fn kill_and_resume(home: &Home) {
    let (dir, target) = (toolbox(home), target(home));
    let target = target.to_string_lossy();
    let start = || home.start(&["run", "guided", &target, "--toolbox", &dir, "--json"]);
    let undisturbed = start().wait().expect_code(0);
    let wanted = lasting(home, &undisturbed.json());
    assert_eq!(wanted.1["found"], wanted.0.as_array().map_or(0, Vec::len) as u64);
    assert_eq!(wanted.2, ["\"sast\":\"completed\"", "\"secrets\":\"completed\""]);
    let mut interrupted = 0;
    for point in 1..=POINTS {
        let delay = undisturbed.took.mul_f64(f64::from(point) / f64::from(POINTS) * 0.95) + Duration::from_millis(5);
        let before = home.runs().len();
        let (killed, left) = start().kill_after(delay);
        let runs = home.runs();
        let result = if runs.len() > before {
            interrupted += u32::from(killed);
            let run_id = runs[0]["run_id"].as_str().unwrap().to_owned();
            home.run(&["run", "--resume", &run_id, "--toolbox", &dir, "--json"])
        } else {
            // It died before it had promised anything.
            start().wait()
        };
        let result = result.expect_code(0).json();
        assert_eq!(
            lasting(home, &result),
            wanted,
            "killed after {delay:?}; it had said:\n{}",
            left.stderr
        );
    }
    assert!(
        interrupted * 4 >= POINTS,
        "only {interrupted} of {POINTS} kills met a run that had begun"
    );
}

#[test]
fn a_run_of_code_killed_anywhere_finishes_with_the_same_findings_and_no_step_twice() {
    kill_and_resume(&Home::new());
}

#[test]
fn a_run_of_code_killed_anywhere_finishes_on_the_real_temporal_server_too() {
    let Some(server) = TemporalServer::start() else { return };
    kill_and_resume(&Home::on(&server.engine()));
}

#[test]
fn a_workflow_that_is_code_is_listed_shown_and_checked_like_any_other() {
    let home = Home::new();
    let dir = toolbox(&home);
    let listed = home.run(&["workflows", "--toolbox", &dir]).expect_code(0);
    assert!(listed.stdout.contains("guided"), "{}", listed.stdout);
    let shown = home.run(&["workflows", "guided", "--toolbox", &dir]).expect_code(0);
    assert!(shown.stdout.contains("KiB of WebAssembly"), "{}", shown.stdout);
    tree::write(&home.path().join("box/workflows/guided/workflow.yaml"), "steps: []\n");
    let checked = home.run(&["toolbox", "check", &dir]).expect_code(1);
    let said = format!("{}{}", checked.stdout, checked.stderr);
    assert!(said.contains("workflow.wasm beside this file"), "{said}");
}

#[test]
fn what_code_says_of_itself_is_shown_while_it_runs() {
    let home = Home::new();
    let (dir, target) = (toolbox(&home), target(&home));
    let hours = ["--param", "review_hours=1", "--json"];
    let mut run = home.start(
        &[
            &["run", "guided", &target.to_string_lossy(), "--toolbox", &dir],
            &hours[..],
        ]
        .concat(),
    );
    run.wait_for_line("sast: ");
    let run_id = home.runs()[0]["run_id"].as_str().unwrap().to_owned();
    let deadline = Instant::now() + LIMIT;
    let shown = loop {
        let shown = home.show(&run_id);
        if shown["progress"]["text"] == "waits for somebody to look" {
            break shown;
        }
        assert!(Instant::now() < deadline, "it never waited: {shown}");
    };
    assert_eq!(
        (&shown["progress"]["done"], &shown["progress"]["total"]),
        (&json!(2), &json!(2))
    );
    let text = home.run(&["runs", "show", &run_id]).expect_code(0).stdout;
    assert!(text.contains("waits for somebody to look (2 of 2)"), "{text}");
    home.run(&["runs", "cancel", &run_id]).expect_code(0);
    run.wait();
    assert!(
        home.show(&run_id)["progress"].is_null(),
        "a run that is over has a result instead"
    );
}

#[test]
fn replay_says_whether_changed_code_could_go_on_with_a_recorded_run() {
    let home = Home::new();
    let (dir, target) = (toolbox(&home), target(&home));
    let result = home
        .run(&["run", "guided", &target.to_string_lossy(), "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    let run_id = result["run_id"].as_str().unwrap();
    let own = home.run(&["workflows", "replay", run_id]).expect_code(0);
    assert!(own.stdout.contains(": compatible"), "{}", own.stdout);
    let other = home.path().join("other.wasm");
    tree::write(&other, guests::component("trials"));
    let other = other.to_string_lossy();
    let said = home
        .run(&["workflows", "replay", run_id, "--with", &other, "--json"])
        .expect_code(1)
        .json();
    assert_eq!(said["compatible"], false);
    let reason = said["reason"].as_str().unwrap();
    assert!(reason.contains("scheduled event 'secrets' does not match"), "{said}");
    assert!(!reason.contains("Failure {"), "it is for people: {said}");
}

#[test]
fn code_that_traps_or_misbehaves_fails_its_run_with_the_event_and_harms_no_other() {
    let home = Home::new();
    let folder = home.path().join("box/workflows/trials");
    let metadata = "name: trials\nversion: '1'\ndescription: d\nparameters:\n  type: object\n  properties:\n    do: {type: \
                    string}\n    count: {type: integer, default: 100}\n";
    tree::write(&folder.join("metadata.yaml"), metadata);
    tree::write(&folder.join("workflow.wasm"), guests::component("trials"));
    let dir = home.path().join("box").to_string_lossy().into_owned();
    let target = target(&home).to_string_lossy().into_owned();
    let run = |what: &str| {
        let what = format!("do={what}");
        home.run(&["run", "trials", &target, "--toolbox", &dir, "--param", &what, "--json"])
    };
    for (what, word) in [
        ("panic", "the sky fell on 100 heads"),
        ("memory", "MiB of memory"),
        ("same-step", "there was a step `m` before"),
    ] {
        let failed = run(what).json();
        assert_eq!(failed["status"], "failed", "{failed}");
        let reason = failed["reason"].as_str().unwrap();
        assert!(reason.contains(word) && reason.contains("(at event "), "{reason}");
    }
    let fine = run("random").expect_code(0).json();
    assert_eq!(fine["output"].as_array().map(Vec::len), Some(100));
}

#[test]
fn what_the_scaffold_of_code_makes_builds_and_runs() {
    let home = Home::new();
    let dir = home.path().join("box").to_string_lossy().into_owned();
    home.run(&["workflows", "new", "first-steps", "--code", "--dir", &dir])
        .expect_code(0);
    let project = home.path().join("box/workflows/first-steps");
    // The versions that this checkout has, so that nothing has to be fetched.
    let lock = helve_e2e::checkout().join("Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).unwrap();
    let built = guests::folder().join("scaffold");
    let status = std::process::Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--offline",
            "--release",
            "--target",
            "wasm32-wasip2",
            "--target-dir",
        ])
        .arg(&built)
        .current_dir(&project)
        .status()
        .unwrap();
    assert!(status.success());
    let component = built.join("wasm32-wasip2/release/first_steps.wasm");
    std::fs::copy(component, project.join("workflow.wasm")).unwrap();
    home.run(&["toolbox", "check", &dir]).expect_code(0);
    let target = target(&home).to_string_lossy().into_owned();
    let result = home
        .run(&["run", "first-steps", &target, "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    assert_eq!(
        result["output"]["found"],
        result["findings"].as_array().map_or(0, Vec::len)
    );
}

#[test]
fn a_module_that_is_a_component_finds_what_it_looks_for_and_needs_no_tool() {
    let home = Home::new();
    let dir = home.path().join("box").to_string_lossy().into_owned();
    home.run(&["modules", "new", "looks", "--wasm", "--dir", &dir])
        .expect_code(0);
    tree::write(
        &home.path().join("box/modules/looks/module.wasm"),
        guests::component("marks"),
    );
    home.run(&[
        "workflows",
        "new",
        "look",
        "--uses",
        "looks",
        "--dir",
        &dir,
        "--toolbox",
        &dir,
    ])
    .expect_code(0);
    home.run(&["toolbox", "check", &dir]).expect_code(0);
    let shown = home.run(&["modules", "looks", "--toolbox", &dir]).expect_code(0);
    assert!(shown.stdout.contains("KiB of WebAssembly"), "{}", shown.stdout);
    let app = home.path().join("app");
    tree::write(&app.join("src/main.py"), "x = 1\n# FIXME: later\n");
    let result = home
        .run(&["run", "look", &app.to_string_lossy(), "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    let findings = result["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{result}");
    assert_eq!(findings[0]["location"]["path"], "src/main.py");
    assert_eq!(findings[0]["location"]["region"]["start_line"], 2);
}
