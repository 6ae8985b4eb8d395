//! The other verbs, and how they look from another process.

use helve_e2e::home::Home;
use helve_e2e::tree;
use serde_json::Value;

fn small(home: &Home) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    root.to_string_lossy().into_owned()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("a list")
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect()
}

#[test]
fn workflows_and_modules_are_listed_and_shown() {
    let home = Home::new();
    let workflows = home.run(&["workflows", "--json"]).expect_code(0).json();
    assert!(names(&workflows).contains(&"assessment"), "{workflows}");
    let modules = home.run(&["modules", "--json"]).expect_code(0).json();
    assert!(
        names(&modules).contains(&"secrets") && names(&modules).contains(&"sast"),
        "{modules}"
    );
    let one = home.run(&["workflows", "assessment", "--json"]).expect_code(0).json();
    assert!(
        one.to_string().contains("Whether to look for secrets"),
        "its parameters are described: {one}"
    );
    let text = home.run(&["workflows"]).expect_code(0).stdout;
    assert!(text.contains("assessment") && text.contains("secrets-scan"), "{text}");
}

#[test]
fn runs_are_listed_newest_first_and_shown_with_the_history_of_their_steps() {
    let home = Home::new();
    let target = small(&home);
    let ids: Vec<String> = (0..2)
        .map(|_| {
            home.run(&["run", "assessment", &target, "--json"])
                .expect_code(0)
                .json()["run_id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let listed: Vec<String> = home
        .runs()
        .iter()
        .map(|run| run["run_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, [ids[1].clone(), ids[0].clone()]);
    let shown = home.show(&ids[0]);
    assert_eq!(shown["status"], "completed");
    let steps = shown["steps"].as_array().unwrap();
    for id in ["secrets", "sast"] {
        let step = steps
            .iter()
            .find(|step| step["id"] == id)
            .unwrap_or_else(|| panic!("{id} is missing: {shown}"));
        assert_eq!(
            (step["status"].as_str(), step["attempts"].as_u64()),
            (Some("completed"), Some(1))
        );
    }
    let text = home.run(&["runs", "show", &ids[0]]).expect_code(0).stdout;
    assert!(text.contains("secrets") && text.contains("completed"), "{text}");
}

#[test]
fn findings_of_a_run_can_be_read_later_and_filtered() {
    let home = Home::new();
    let result = home
        .run(&["run", "assessment", &small(&home), "--json"])
        .expect_code(0)
        .json();
    let run_id = result["run_id"].as_str().unwrap();
    let sarif = home.path().join("later.sarif");
    home.run(&["findings", run_id, "--sarif", &sarif.to_string_lossy()])
        .expect_code(0);
    let sarif: Value = serde_json::from_str(&std::fs::read_to_string(&sarif).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let critical = home
        .run(&["findings", run_id, "--severity", "critical", "--json"])
        .expect_code(0)
        .json();
    let critical = critical
        .as_array()
        .or_else(|| critical["findings"].as_array())
        .unwrap()
        .clone();
    assert!(
        critical.iter().all(|finding| finding["severity"] == "critical"),
        "{critical:?}"
    );
    assert_eq!(
        critical.len() as u64,
        result["summary"]["by_severity"]["critical"].as_u64().unwrap()
    );
}

/// A run that lasts until somebody ends it from another process.
fn end_from_outside(verb: &str, status: &str) {
    let home = Home::new();
    let mut run = home.start(&["run", "nap", &small(&home), "--toolbox", &home.naps(), "--json"]);
    let line = run.wait_for_line("run nap-");
    let run_id = line
        .split("run ")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .unwrap()
        .to_owned();
    home.run(&["runs", verb, &run_id]).expect_code(0);
    let left = run.wait().expect_code(1);
    assert_eq!(left.json()["status"], status);
    assert!(left.stderr.contains(&run_id), "{}", left.stderr);
    assert_eq!(home.show(&run_id)["status"], status);
}

#[test]
fn a_run_is_cancelled_from_another_process() {
    end_from_outside("cancel", "canceled");
}

#[test]
fn a_run_is_terminated_from_another_process() {
    end_from_outside("terminate", "terminated");
}

#[test]
fn up_serves_other_commands_and_leaves_cleanly() {
    let home = Home::new();
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0"]);
    let line = up.wait_for_line("temporal://127.0.0.1:");
    up.wait_for_line("worker");
    let address = line
        .split("temporal://")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    assert!(!address.ends_with(":0"), "it says which port it got: {line}");
    // A second helve, with its own worker and data, uses the engine as it would use any Temporal server.
    let other = Home::on(&format!("temporal://{address}"));
    let result = other
        .run(&["run", "assessment", &small(&other), "--json"])
        .expect_code(0)
        .json();
    assert_eq!(result["status"], "completed");
    let run_id = result["run_id"].as_str().unwrap().to_owned();
    assert_eq!(home.show(&run_id)["status"], "completed");
    up.signal("INT");
    up.wait().expect_code(0);
}

#[test]
fn help_completions_and_version_are_there() {
    let home = Home::new();
    assert!(
        home.run(&["--help"])
            .expect_code(0)
            .stdout
            .contains("helve run assessment .")
    );
    assert!(home.run(&["run", "--help"]).expect_code(0).stdout.contains("--fail-on"));
    assert!(home.run(&["--version"]).expect_code(0).stdout.starts_with("helve "));
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            home.run(&["completions", shell])
                .expect_code(0)
                .stdout
                .contains("helve")
        );
    }
}

#[test]
fn a_namespace_that_is_named_is_meant_on_a_data_directory_too() {
    let home = Home::new();
    let target = small(&home);
    for arguments in [
        &["runs", "list", "--namespace", "nosuch", "--json"][..],
        &["run", "assessment", &target, "--namespace", "nosuch", "--json"],
        &[
            "queue",
            "publish",
            "jobs",
            "--input",
            "1",
            "--namespace",
            "nosuch",
            "--json",
        ],
    ] {
        let refused = home.run(arguments).expect_code(1).stderr;
        assert!(
            refused.contains("there is no namespace `nosuch`"),
            "{arguments:?}: {refused}"
        );
        assert!(refused.contains("\"code\":\"not-found\""), "{arguments:?}: {refused}");
    }
    home.run(&["run", "assessment", &target, "--namespace", "default"])
        .expect_code(0);
    assert_eq!(home.runs().len(), 1);
}

#[test]
fn a_run_that_has_ended_is_not_stopped_and_the_command_says_so() {
    let home = Home::new();
    let run = home
        .run(&["run", "assessment", &small(&home), "--json"])
        .expect_code(0)
        .json();
    let run_id = run["run_id"].as_str().unwrap();
    for verb in ["cancel", "terminate"] {
        let refused = home.run(&["runs", verb, run_id]).expect_code(1).stderr;
        assert!(refused.contains("has ended already: completed"), "{verb}: {refused}");
    }
}

#[test]
fn what_is_for_this_machine_refuses_a_server_however_it_is_named() {
    let home = Home::new();
    for arguments in [
        &["backup", "elsewhere", "--context", "there"][..],
        &["backup", "elsewhere", "--server", "http://127.0.0.1:1"],
    ] {
        let refused = home.run(arguments).expect_code(1).stderr;
        assert!(
            refused.contains("works on this machine, and not at a server"),
            "{refused}"
        );
    }
    home.run(&["queue", "stats", "--context", "local"]).expect_code(0);
    for wrong in [
        &["runs", "list", "--limit", "0"][..],
        &["run", "assessment", ".", "--timeout", "0s"],
    ] {
        home.run(wrong).expect_code(64);
    }
    let shown = home.run(&["workflows", "show", "assessment"]).expect_code(0).stdout;
    assert_eq!(shown, home.run(&["workflows", "assessment"]).expect_code(0).stdout);
}
