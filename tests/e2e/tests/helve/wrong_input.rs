//! Bad input of every kind: one clear error that says what to do, an exit code that is not success, nothing lost.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use helve_e2e::home::Home;
use helve_e2e::server::free_port;
use helve_e2e::tree;

fn small(home: &Home) -> String {
    let root = home.path().join("small");
    tree::grow(&root, 10, 300);
    root.to_string_lossy().into_owned()
}

#[test]
fn a_target_that_is_not_there_is_named() {
    let home = Home::new();
    home.run(&["run", "assessment", "no/such/place"])
        .expect_clear_error(&["no such file or directory", "no/such/place"]);
}

#[test]
fn an_unknown_workflow_is_named_with_one_that_looks_like_it() {
    let home = Home::new();
    let target = small(&home);
    home.run(&["run", "asessment", &target])
        .expect_clear_error(&["asessment", "`assessment`"]);
}

#[test]
fn an_unknown_run_is_named() {
    let home = Home::new();
    for words in [
        &["run", "--resume", "assessment-00000000"][..],
        &["runs", "show", "assessment-00000000"],
        &["findings", "assessment-00000000"],
    ] {
        home.run(words)
            .expect_clear_error(&["assessment-00000000", "helve runs list"]);
    }
}

#[test]
fn wrong_parameters_are_named_and_nothing_is_started() {
    let home = Home::new();
    let target = small(&home);
    let run = |parameter: &str| home.run(&["run", "assessment", &target, "--param", parameter]);
    run("sast=perhaps").expect_clear_error(&["`sast`", "true or false"]);
    run("saast=true").expect_clear_error(&["`saast`"]);
    run("no equal sign").expect_clear_error(&["KEY=VALUE"]);
    assert!(home.runs().is_empty(), "a refused run leaves no trace");
}

#[test]
fn a_parameter_file_that_cannot_be_read_is_named() {
    let home = Home::new();
    let target = small(&home);
    tree::write(&home.path().join("broken.yaml"), "secrets: [true\n");
    home.run(&["run", "assessment", &target, "--params-file", "broken.yaml"])
        .expect_clear_error(&["broken.yaml"]);
    home.run(&["run", "assessment", &target, "--params-file", "missing.yaml"])
        .expect_clear_error(&["missing.yaml"]);
}

#[test]
fn a_sarif_file_that_cannot_be_written_is_refused_before_the_scan() {
    let home = Home::new();
    let target = small(&home);
    home.run(&["run", "assessment", &target, "--sarif", "no/such/dir/out.sarif"])
        .expect_clear_error(&["no/such/dir"]);
    assert!(home.runs().is_empty());
}

/// A toolbox with the shipped workflow's metadata and this plan.
fn toolbox(home: &Home, plan: &str) -> String {
    let root = home.path().join("toolbox");
    let metadata = "\
name: own\nversion: \"1.0.0\"\ndescription: Of a test.\nauthor: Helve\ntags: [test]\nvertical: builtin\n\
workspace_isolation: shared\nrequirements: { tools: [], resources: { memory: 300Mi, timeout: 1h } }\n\
parameters: { type: object, additionalProperties: false, properties: {} }\n";
    tree::write(&root.join("workflows/own/metadata.yaml"), metadata);
    tree::write(&root.join("workflows/own/workflow.yaml"), plan);
    root.to_string_lossy().into_owned()
}

#[test]
fn a_broken_workflow_is_refused_with_file_line_and_reason_and_hides_no_other() {
    let home = Home::new();
    let target = small(&home);
    for (plan, line, reason) in [
        ("steps:\n  - id: one\n    uses: [secrets\n", "workflow.yaml:", ""),
        (
            "steps:\n  - id: one\n    uses: no-such-module\n",
            "workflow.yaml:3",
            "no-such-module",
        ),
        (
            "steps:\n  - id: one\n    uses: secrets\n    needs: [two]\n",
            "workflow.yaml:4",
            "two",
        ),
        (
            "steps:\n  - id: one\n    uses: secrets\n    sometimes: yes\n",
            "workflow.yaml:4",
            "sometimes",
        ),
        (
            "steps:\n  - id: one\n    uses: secrets\n  - id: one\n    uses: sast\n",
            "workflow.yaml:4",
            "one",
        ),
    ] {
        let toolbox = toolbox(&home, plan);
        home.run(&["run", "own", &target, "--toolbox", &toolbox])
            .expect_clear_error(&[line, reason]);
        home.run(&["run", "secrets-scan", &target, "--toolbox", &toolbox, "--quiet"])
            .expect_code(0);
    }
}

#[test]
fn a_toolbox_that_is_not_there_is_named() {
    let home = Home::new();
    let target = small(&home);
    home.run(&["run", "assessment", &target, "--toolbox", "no-toolbox"])
        .expect_clear_error(&["no-toolbox"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.run(&["up", "--grpc", &address])
        .expect_clear_error(&[&address, "--grpc"]);
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let address = format!("127.0.0.1:{}", free_port());
    let home = Home::on(&format!("temporal://{address}"));
    let target = small(&home);
    home.run(&["run", "assessment", &target])
        .expect_clear_error(&[&address, "--engine"]);
}

#[test]
fn a_data_directory_that_another_helve_serves_is_not_served_twice() {
    let home = Home::new();
    let mut up = home.start(&["up", "--grpc", "127.0.0.1:0"]);
    up.wait_for_line("worker");
    home.run(&["up", "--grpc", "127.0.0.1:0"])
        .expect_clear_error(&["in use", "data"]);
    // Scans are welcome: they use the engine that is there.
    home.run(&["run", "assessment", &small(&home), "--quiet"])
        .expect_code(0);
    up.signal("INT");
    up.wait().expect_code(0);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let home = Home::new();
    fs::write(home.data(), "a file is in the way").unwrap();
    home.run(&["runs", "list"]).expect_clear_error(&["data directory"]);
    assert_eq!(fs::read_to_string(home.data()).unwrap(), "a file is in the way");
}

#[test]
fn a_corrupt_database_is_named_and_left_as_it_is() {
    let home = Home::new();
    let target = small(&home);
    home.run(&["run", "assessment", &target, "--quiet"]).expect_code(0);
    let database = home.data().join("engine.db");
    let good = fs::read(&database).expect("the engine's database");
    for (what, damaged) in [
        (
            "overwritten",
            [
                b"this is no database at all, but a note to the reader ".repeat(3),
                good[150..].to_vec(),
            ]
            .concat(),
        ),
        ("cut off", good[..good.len() / 3].to_vec()),
    ] {
        fs::write(&database, &damaged).unwrap();
        for side in ["engine.db-wal", "engine.db-shm"] {
            let _ = fs::remove_file(home.data().join(side));
        }
        home.run(&["run", "assessment", &target])
            .expect_clear_error(&["engine.db"]);
        assert_eq!(
            fs::read(&database).unwrap(),
            damaged,
            "{what}: a damaged database may still be repaired by hand"
        );
    }
    fs::write(&database, good).unwrap();
    assert_eq!(home.runs().len(), 1, "with the good database back, everything is there");
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_read_are_reported_and_the_others_are_scanned() {
    let home = Home::new();
    let target = home.path().join("odd");
    tree::write(
        &target.join("app.py"),
        "def f(request):\n    return eval(request.args['q'])\n",
    );
    tree::write(&target.join("not-utf8.py"), b"\xff\xfe\x00 eval(\x80)\n");
    tree::write(&target.join("empty.py"), "");
    std::os::unix::fs::symlink("nowhere", target.join("dangling.py")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", target.join("outside.py")).unwrap();
    std::os::unix::fs::symlink(".", target.join("loop")).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(target.join("pipe.py"))
            .status()
            .unwrap()
            .success()
    );
    let _socket = std::os::unix::net::UnixListener::bind(target.join("socket.py")).unwrap();

    let result = home.scan(&target);
    let findings = result["findings"].to_string();
    assert!(findings.contains("app.py"), "{findings}");
    assert!(!findings.contains("root:"), "nothing outside the target is read");
    let told = format!("{} {}", result["target"]["skipped"], result["notifications"]);
    for name in ["pipe.py", "socket.py"] {
        assert!(told.contains(name), "{name} was passed over in silence: {told}");
    }
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let home = Home::new();
    for words in [
        &["run"][..],
        &["run", "assessment"],
        &["frobnicate"],
        &["run", "a", "b", "--fail-on", "everything"],
        &["up", "--grpc", "nowhere"],
    ] {
        home.run(words).expect_code(64);
    }
}
