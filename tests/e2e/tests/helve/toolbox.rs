//! Workflows and modules from a folder: scaffolds, checks, versions, hot reload, tools that are there and that are not.

use std::fs;
use std::path::PathBuf;

use helve_e2e::home::Home;
use helve_e2e::tree;
use serde_json::Value;

/// A toolbox with the module `marks` and the workflow `marks-scan`, as the scaffolds make them.
fn scaffolded(home: &Home) -> PathBuf {
    let toolbox = home.path().join("box");
    let dir = toolbox.to_string_lossy().into_owned();
    home.run(&["modules", "new", "marks", "--dir", &dir]).expect_code(0);
    home.run(&[
        "workflows",
        "new",
        "marks-scan",
        "--uses",
        "marks",
        "--dir",
        &dir,
        "--toolbox",
        &dir,
    ])
    .expect_code(0);
    toolbox
}

fn target(home: &Home) -> String {
    let target = home.path().join("app");
    tree::write(&target.join("main.py"), "x = 1\n# FIXME: later\n# HACK: never\n");
    target.to_string_lossy().into_owned()
}

fn lines(result: &Value) -> Vec<u64> {
    let findings = result["findings"].as_array().expect("findings").iter();
    findings
        .map(|f| f["location"]["region"]["start_line"].as_u64().expect("a line"))
        .collect()
}

#[test]
fn a_scaffolded_module_and_workflow_pass_the_check_and_find_something() {
    let home = Home::new();
    let (toolbox, app) = (scaffolded(&home), target(&home));
    let dir = toolbox.to_string_lossy().into_owned();
    let checked = home.run(&["toolbox", "check", &dir]).expect_code(0);
    assert!(checked.stdout.contains("nothing is wrong"), "{}", checked.stdout);
    let result = home
        .run(&["run", "marks-scan", &app, "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    assert_eq!(result["findings"][0]["rule_id"], "marks/marks");
    assert_eq!(lines(&result), [2]);
}

#[test]
fn a_wrong_file_is_named_with_line_column_and_a_hint() {
    let home = Home::new();
    let toolbox = scaffolded(&home);
    let path = toolbox.join("modules/marks/module.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("format: lines", "format: linse")).unwrap();
    let dir = toolbox.to_string_lossy().into_owned();
    let checked = home.run(&["toolbox", "check", &dir]).expect_code(1);
    for part in [
        "modules/marks/module.yaml:",
        "`linse` is not a format",
        "did you mean `lines`?",
    ] {
        assert!(
            checked.stderr.contains(part),
            "`{part}` is missing:\n{}",
            checked.stderr
        );
    }
}

#[test]
fn a_later_toolbox_shadows_an_earlier_one() {
    let home = Home::new();
    let app = target(&home);
    let first = scaffolded(&home);
    let second = home.path().join("second");
    let module = "modules/marks/module.yaml";
    let text = fs::read_to_string(first.join(module)).unwrap();
    tree::write(&second.join(module), text.replace("[FIXME, XXX]", "[HACK]"));
    let (first, second) = (
        first.to_string_lossy().into_owned(),
        second.to_string_lossy().into_owned(),
    );
    let arguments = [
        "run",
        "marks-scan",
        &app,
        "--toolbox",
        &first,
        "--toolbox",
        &second,
        "--json",
    ];
    assert_eq!(lines(&home.run(&arguments).expect_code(0).json()), [3]);
}

#[test]
fn a_missing_tool_is_inconclusive_in_every_output_and_never_clean() {
    let home = Home::new();
    let (toolbox, app) = (scaffolded(&home), target(&home));
    let path = toolbox.join("modules/marks/module.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("program: grep", "program: no-such-tool")).unwrap();
    let (dir, sarif) = (toolbox.to_string_lossy().into_owned(), home.path().join("out.sarif"));
    let sarif_file = sarif.to_string_lossy().into_owned();
    let arguments = ["run", "marks-scan", &app, "--toolbox", &dir];
    let told = home
        .run(&[&arguments[..], &["--sarif", &sarif_file]].concat())
        .expect_code(0);
    assert!(
        told.stdout
            .contains("step `scan` is inconclusive: `no-such-tool` is not installed"),
        "{}",
        told.stdout
    );
    let sarif: Value = serde_json::from_str(&fs::read_to_string(sarif).unwrap()).unwrap();
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert_eq!(
        invocation["toolExecutionNotifications"][0]["descriptor"]["id"],
        "helve/inconclusive"
    );
    home.run(&[&arguments[..], &["--fail-on", "low"]].concat())
        .expect_code(0);
    home.run(&[&arguments[..], &["--fail-on", "low,inconclusive"]].concat())
        .expect_code(2);
}

#[test]
fn a_running_helve_up_serves_a_changed_toolbox_and_keeps_the_last_good_version() {
    let home = Home::new();
    let (toolbox, app) = (scaffolded(&home), target(&home));
    let dir = toolbox.to_string_lossy().into_owned();
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0", "--toolbox", &dir]);
    up.wait_for_line("worker   ready");
    let path = toolbox.join("modules/marks/module.yaml");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("[FIXME, XXX]", "[HACK]")).unwrap();
    up.wait_for_line("new runs use the new module marks");
    fs::write(&path, "name: [").unwrap();
    up.wait_for_line("module marks is broken: its last good version goes on serving new runs");
    fs::write(&path, whole.replace("[FIXME, XXX]", "[HACK]")).unwrap();
    // The command line pins what the folder says now; the worker in `helve up` has the same.
    let result = home
        .run(&["run", "marks-scan", &app, "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    assert_eq!(lines(&result), [3]);
    up.signal("TERM");
    up.wait().expect_code(0);
}

#[test]
fn a_step_says_which_worker_it_waits_for_and_goes_on_when_that_comes() {
    let home = Home::new();
    let (toolbox, app) = (scaffolded(&home), target(&home));
    let metadata = toolbox.join("workflows/marks-scan/metadata.yaml");
    let text = fs::read_to_string(&metadata).unwrap();
    fs::write(&metadata, text.replace("vertical: builtin", "vertical: odd")).unwrap();
    let dir = toolbox.to_string_lossy().into_owned();
    let refused = home.run(&["worker", "--toolbox", &dir]).expect_code(1);
    assert!(refused.stderr.contains("no engine runs"), "{}", refused.stderr);
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0", "--role", "workflows", "--toolbox", &dir]);
    up.wait_for_line("worker   ready");
    let mut run = home.start(&["run", "marks-scan", &app, "--toolbox", &dir, "--json"]);
    run.wait_for_line("scan: waiting for a worker with odd");
    let shown = home.show(home.runs()[0]["run_id"].as_str().expect("an id"));
    assert!(
        shown["steps"].to_string().contains("waiting for a worker with odd"),
        "{shown}"
    );
    let unknown = home
        .run(&["worker", "--vertical", "od", "--toolbox", &dir])
        .expect_code(1);
    assert!(unknown.stderr.contains("no vertical `od`"), "{}", unknown.stderr);
    let mut worker = home.start(&[
        "worker",
        "--vertical",
        "odd",
        "--role",
        "activities",
        "--concurrency",
        "1",
        "--toolbox",
        &dir,
    ]);
    worker.wait_for_line("worker   ready for odd");
    assert_eq!(lines(&run.wait().expect_code(0).json()), [2]);
    worker.signal("TERM");
    worker.wait().expect_code(0);
    up.signal("TERM");
    up.wait().expect_code(0);
}

#[test]
fn doctor_says_what_is_missing_and_how_to_get_it() {
    let home = Home::new();
    tree::write(
        &home.path().join("box/verticals/odd/vertical.yaml"),
        "name: odd\nversion: '1'\ndescription: d\ntools:\n  - program: no-such-tool\n    install: {pip: no-such-package, manual: ask somebody}\n",
    );
    let dir = home.path().join("box").to_string_lossy().into_owned();
    let said = home
        .run(&["verticals", "doctor", "odd", "--toolbox", &dir])
        .expect_code(1);
    for part in [
        "missing",
        "`no-such-tool` is not installed",
        "pip install",
        "ask somebody",
    ] {
        assert!(said.stdout.contains(part), "`{part}` is missing:\n{}", said.stdout);
    }
    let dry = home
        .run(&["verticals", "install", "odd", "--dry-run", "--toolbox", &dir])
        .expect_code(0);
    assert!(dry.stdout.contains("python3 -m venv"), "{}", dry.stdout);
    assert!(!home.data().join("tools").exists(), "a dry run installs nothing");
    let dockerfile = home
        .run(&["verticals", "odd", "--dockerfile", "--toolbox", &dir])
        .expect_code(0);
    assert!(dockerfile.stdout.contains("no-such-package"), "{}", dockerfile.stdout);
}
