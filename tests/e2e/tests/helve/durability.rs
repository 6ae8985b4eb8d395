//! Whatever ends a run from outside, the run goes on, does nothing twice and finds the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use helve_e2e::home::Home;
use helve_e2e::process::Running;
use helve_e2e::server::TemporalServer;
use helve_e2e::tree;
use serde_json::Value;

/// Big enough that a run lasts a while in a debug build, small enough to do it over and over.
fn target(home: &Home) -> PathBuf {
    let root = home.path().join("tree");
    tree::grow(&root, 60, 2_500);
    root
}

fn start(home: &Home, target: &Path) -> Running {
    home.start(&["run", "assessment", &target.to_string_lossy(), "--json"])
}

/// The id of the newest run, if one was started at all.
fn newest_run(home: &Home) -> Option<String> {
    home.runs()
        .first()
        .map(|run| run["run_id"].as_str().expect("a run has an id").to_owned())
}

/// Reads the history: every step was completed exactly once.
fn assert_no_completed_step_ran_twice(home: &Home, run_id: &str) {
    let shown = home.show(run_id);
    let mut completed: BTreeMap<String, u32> = BTreeMap::new();
    for step in shown["steps"].as_array().expect("steps") {
        let id = step["id"].as_str().expect("a step has an id").to_owned();
        *completed.entry(id).or_default() += u32::from(step["status"] == "completed");
    }
    assert!(
        completed.contains_key("secrets") && completed.contains_key("sast"),
        "{shown}"
    );
    assert!(
        completed.values().all(|count| *count == 1),
        "a step completed more than once: {completed:?}"
    );
}

/// What must not depend on interruptions.
fn lasting(result: &Value) -> (Value, Value, Vec<(String, String)>) {
    let steps = result["steps"].as_array().expect("steps");
    let steps = steps
        .iter()
        .map(|step| (step["id"].to_string(), step["status"].to_string()))
        .collect();
    (
        result["findings"].clone(),
        result["summary"]["by_severity"].clone(),
        steps,
    )
}

/// Moments of a run at which it is killed, from before its engine is open to about its last moment.
const POINTS: u32 = 20;
/// Runs at the same time: most of the time they wait until the engine is sure that a worker is gone.
const LANES: u32 = 4;

/// Kills at every point and goes on each time. Each lane has its own data directory and engine.
fn kill_at_every_point(engine: impl Fn(u32) -> String) {
    let homes: Vec<Home> = (0..LANES).map(|lane| Home::on(&engine(lane))).collect();
    let interrupted: u32 = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .zip(&homes)
            .map(|(lane, home)| scope.spawn(move || kill_and_resume(home, (0..POINTS).filter(|p| p % LANES == lane))))
            .collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("a lane failed; it says above why"))
            .sum()
    });
    assert!(
        interrupted * 4 >= POINTS,
        "only {interrupted} of {POINTS} kills met a run that had begun"
    );
}

/// Kills at these points. How many of the kills met a run that had begun.
fn kill_and_resume(home: &Home, points: impl Iterator<Item = u32>) -> u32 {
    let target = target(home);
    let undisturbed = start(home, &target).wait().expect_code(0);
    let wanted = lasting(&undisturbed.json());
    let mut interrupted = 0;
    for point in points {
        let delay = undisturbed.took.mul_f64(f64::from(point) / f64::from(POINTS) * 0.95) + Duration::from_millis(5);
        let before = newest_run(home);
        let (killed, left) = start(home, &target).kill_after(delay);
        let resumed = match newest_run(home) {
            Some(run_id) if Some(&run_id) != before.as_ref() => {
                interrupted += u32::from(killed);
                home.run(&["run", "--resume", &run_id, "--json"])
            }
            // It died before it had promised anything.
            _ => start(home, &target).wait(),
        };
        let result = resumed.expect_code(0).json();
        assert_eq!(result["status"], "completed");
        assert_eq!(
            lasting(&result),
            wanted,
            "killed after {delay:?}; it had said:\n{}",
            left.stderr
        );
        assert_no_completed_step_ran_twice(home, result["run_id"].as_str().unwrap());
    }
    interrupted
}

#[test]
fn a_run_killed_at_any_of_twenty_points_finishes_with_the_same_findings() {
    kill_at_every_point(|_| "embedded".to_owned());
}

#[test]
fn a_run_killed_at_any_of_twenty_points_finishes_on_the_real_temporal_server_too() {
    let names: Vec<String> = (0..LANES).map(|lane| format!("lane-{lane}")).collect();
    let namespaces: Vec<&str> = names.iter().flat_map(|name| ["--namespace", name]).collect();
    let Some(server) = TemporalServer::start_with(&namespaces) else {
        return;
    };
    kill_at_every_point(|lane| format!("{}/lane-{lane}", server.engine()));
}

#[test]
fn one_run_may_be_killed_again_and_again() {
    let home = Home::new();
    let target = target(&home);
    let undisturbed = start(&home, &target).wait().expect_code(0);
    let wanted = lasting(&undisturbed.json());
    let mut run = start(&home, &target);
    let run_id = run_id_of(&mut run);
    let slice = undisturbed.took / 4;
    let (mut killed, _) = run.kill_after(slice);
    for _ in 0..5 {
        if killed {
            (killed, _) = home.start(&["run", "--resume", &run_id, "--json"]).kill_after(slice);
        }
    }
    let result = home.run(&["run", "--resume", &run_id, "--json"]).expect_code(0).json();
    assert_eq!(lasting(&result), wanted);
    assert_no_completed_step_ran_twice(&home, &run_id);
}

/// From the line that says so on standard error.
fn run_id_of(run: &mut Running) -> String {
    let line = run.wait_for_line("run assessment-");
    let id = line.split("run ").nth(1).and_then(|rest| rest.split(':').next());
    id.expect("the line names the run").to_owned()
}

#[test]
fn a_killed_run_goes_on_by_itself_when_anything_is_started_on_its_data() {
    let home = Home::new();
    let target = target(&home);
    let mut run = start(&home, &target);
    let run_id = run_id_of(&mut run);
    let _ = run.kill_after(Duration::from_millis(1));
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0"]);
    up.wait_for_line("worker");
    // Attaches to the engine of `helve up`, whose worker goes on with the run.
    let result = home.run(&["run", "--resume", &run_id, "--json"]).expect_code(0).json();
    assert_eq!(result["status"], "completed");
    up.signal("INT");
    up.wait().expect_code(0);
}

#[test]
fn ctrl_c_keeps_the_run_and_says_how_to_go_on() {
    let home = Home::new();
    let target = target(&home);
    let wanted = lasting(&home.scan(&target));
    let mut run = start(&home, &target);
    let run_id = run_id_of(&mut run);
    run.signal("INT");
    let left = run.wait();
    if left.code == Some(0) {
        // It was quicker than the signal.
        assert_eq!(lasting(&left.json()), wanted);
        return;
    }
    let left = left.expect_code(130);
    assert!(
        left.stderr.contains(&format!("helve run --resume {run_id}")),
        "{}",
        left.stderr
    );
    let result = home.run(&["run", "--resume", &run_id, "--json"]).expect_code(0).json();
    assert_eq!(lasting(&result), wanted);
    assert_no_completed_step_ran_twice(&home, &run_id);
}

#[test]
fn a_finished_run_can_be_shown_again_with_the_same_result() {
    let home = Home::new();
    let target = target(&home);
    let first = home.scan(&target);
    let run_id = first["run_id"].as_str().unwrap();
    let again = home.run(&["run", "--resume", run_id, "--json"]).expect_code(0).json();
    assert_eq!(lasting(&first), lasting(&again));
    let listed = home.run(&["findings", run_id, "--json"]).expect_code(0).json();
    let listed = listed
        .as_array()
        .or_else(|| listed["findings"].as_array())
        .expect("findings")
        .clone();
    assert_eq!(first["findings"].as_array(), Some(&listed));
}

#[test]
fn two_runs_at_once_on_one_data_directory_both_finish() {
    let home = Home::new();
    let target = target(&home);
    let (first, second) = (start(&home, &target), start(&home, &target));
    let (first, second) = (first.wait().expect_code(0).json(), second.wait().expect_code(0).json());
    assert_ne!(first["run_id"], second["run_id"]);
    assert_eq!(lasting(&first), lasting(&second));
    assert_eq!(home.runs().len(), 2);
}

#[test]
fn a_run_goes_on_when_the_process_that_held_its_engine_is_killed() {
    let home = Home::new();
    let target = target(&home);
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0"]);
    up.wait_for_line("worker");
    let mut run = start(&home, &target);
    run_id_of(&mut run);
    let (killed, _) = up.kill_after(Duration::from_millis(1));
    assert!(killed);
    let result = run.wait().expect_code(0).json();
    assert_eq!(result["status"], "completed");
}

#[test]
fn the_plan_that_a_run_began_with_is_the_plan_it_ends_with() {
    let home = Home::new();
    let target = target(&home);
    let toolbox = home.path().join("toolbox");
    let plan = toolbox.join("workflows/pinned/workflow.yaml");
    tree::write(&toolbox.join("workflows/pinned/metadata.yaml"), METADATA);
    tree::write(
        &plan,
        "steps:\n  - { id: first, uses: secrets }\n  - { id: second, uses: sast, needs: [first] }\n",
    );
    let toolbox_option = ["--toolbox", &toolbox.to_string_lossy()];
    let mut run = home.start(
        &[
            &["run", "pinned", &target.to_string_lossy(), "--json"][..],
            &toolbox_option,
        ]
        .concat(),
    );
    let line = run.wait_for_line("run pinned-");
    let run_id = line
        .split("run ")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .unwrap()
        .to_owned();
    let _ = run.kill_after(Duration::from_millis(1));
    tree::write(&plan, "steps:\n  - { id: other, uses: secrets }\n");
    let result = home
        .run(&[&["run", "--resume", &run_id, "--json"][..], &toolbox_option].concat())
        .expect_code(0)
        .json();
    let steps: Vec<&str> = result["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["id"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["first", "second"]);
}

/// Metadata of a workflow without parameters.
const METADATA: &str = "\
name: pinned
version: \"1.0.0\"
description: Two steps, one after the other.
author: Helve
tags: [test]
vertical: builtin
workspace_isolation: shared
requirements: { tools: [], resources: { memory: 300Mi, timeout: 1h } }
parameters: { type: object, additionalProperties: false, properties: {} }
";
