//! Tools are shut in: what they cannot reach, what the run says of it, and what is left of them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use helve_e2e::home::Home;
use helve_e2e::process::{LIMIT, Running};
use helve_e2e::tree;
use serde_json::Value;

/// A toolbox whose only module runs this shell script, each line of whose output is a finding, and a target.
fn toolbox(home: &Home, script: &str) -> (String, String) {
    let toolbox = home.path().join("box");
    tree::write(
        &toolbox.join("modules/attack/module.yaml"),
        "name: attack\nversion: '1'\ndescription: d\nkind: command\ntool: {program: bash}\n\
         args: ['{{ files }}/attack.sh', '{{ out }}']\nlimits: {time: 2m, memory: 256Mi, processes: 32, disk: 64Mi}\n\
         output: {format: lines, pattern: '(?P<message>.+)'}\n",
    );
    tree::write(&toolbox.join("modules/attack/attack.sh"), script);
    tree::write(
        &toolbox.join("workflows/attack/metadata.yaml"),
        "name: attack\nversion: '1'\ndescription: d\n",
    );
    tree::write(
        &toolbox.join("workflows/attack/workflow.yaml"),
        "steps: [{id: attack, uses: attack}]\n",
    );
    tree::write(&home.path().join("app/main.py"), "x = 1\n");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    (text(&toolbox), text(&home.path().join("app")))
}

fn messages(result: &Value) -> Vec<String> {
    let findings = result["findings"].as_array().expect("findings").iter();
    let mut messages: Vec<String> = findings
        .map(|finding| finding["message"].as_str().expect("a message").to_owned())
        .collect();
    messages.sort();
    messages
}

/// The level at which the only step of the newest run ran.
fn level(home: &Home) -> String {
    let run_id = home.runs()[0]["run_id"].as_str().expect("an id").to_owned();
    let shown = home.show(&run_id);
    let steps = shown["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["id"] == "attack").expect("the step");
    step["sandbox"].as_str().expect("a level").to_owned()
}

#[test]
fn a_tool_reaches_nothing_that_it_was_not_given_and_the_run_says_at_which_level() {
    let home = Home::new();
    let private = home.path().join("private");
    tree::write(&private.join("key"), "secret\n");
    let outside = home.path().join("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "echo ran\ncat {key} && echo 'read the key'\necho x > {outside}\n\
         echo x > main.py.new && echo 'wrote to its workspace'\n\
         (exec 3<> /dev/tcp/127.0.0.1/{port}) && echo 'opened a socket'\nls {private} && echo 'listed a folder'\n\
         echo x > \"$1/report\" && echo 'wrote its report'\ntest -z \"$HELVE_BIN\" || echo 'saw our environment'\n",
        key = private.join("key").display(),
        outside = outside.display(),
        port = listener.local_addr().unwrap().port(),
        private = private.display(),
    );
    let (toolbox, app) = toolbox(&home, &script);
    let result = home
        .run(&["run", "attack", &app, "--toolbox", &toolbox, "--json"])
        .expect_code(0)
        .json();
    let level = level(&home);
    if level == "limits" {
        eprintln!("not checked: this machine has no walls around tools");
        return;
    }
    assert_eq!(
        messages(&result),
        ["ran", "wrote its report", "wrote to its workspace"],
        "at {level}"
    );
    // It may have a folder of that name, in its own memory.
    assert!(!outside.exists(), "at {level}");
}

#[test]
fn a_tool_that_takes_too_much_is_stopped_and_its_step_is_inconclusive() {
    for (script, limit) in [
        ("echo begun\ntail /dev/zero\n", "memory"),
        (
            "echo begun\nwhile head -c 1048576 /dev/zero; do :; done > \"$1/filler\"\n",
            "disk space",
        ),
    ] {
        let home = Home::new();
        let (toolbox, app) = toolbox(&home, script);
        let result = home
            .run(&["run", "attack", &app, "--toolbox", &toolbox, "--json"])
            .expect_code(0)
            .json();
        let inconclusive = result["summary"]["inconclusive"].to_string();
        assert!(inconclusive.contains(limit), "`{limit}` is not in {inconclusive}");
    }
}

#[test]
fn a_level_that_is_not_there_is_refused_before_anything_runs() {
    let home = Home::new();
    let (toolbox, app) = toolbox(&home, "echo ran\n");
    home.run(&[
        "run",
        "attack",
        &app,
        "--toolbox",
        &toolbox,
        "--sandbox",
        "require=full,at-most=limits",
    ])
    .expect_clear_error(&["reaches level `limits`", "`full` is required", "docs/sandbox.md"]);
    assert!(home.runs().is_empty());
    home.run(&["run", "attack", &app, "--toolbox", &toolbox, "--sandbox", "strong"])
        .expect_clear_error(&["require=LEVEL"]);
}

/// Processes whose command line holds the text.
fn processes(text: &str) -> usize {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.starts_with("sleep") && line.contains(text)
    })
    .count()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Folders of workers.
fn work_folders(home: &Home) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(home.data().join("work")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn a_worker_that_is_killed_takes_its_tools_along_and_the_next_start_cleans_up() {
    let home = Home::new();
    // A number of seconds that nothing else on the machine sleeps.
    let seconds = format!("1{:06}.5", std::process::id());
    let (toolbox, app) = toolbox(&home, &format!("sleep {seconds} & sleep {seconds}\n"));
    let running: Running = home.start(&["run", "attack", &app, "--toolbox", &toolbox]);
    eventually("the tool's start", || processes(&seconds) >= 2);
    let left: Vec<_> = work_folders(&home);
    assert_eq!(left.len(), 1, "{left:?}");
    running.signal("KILL");
    drop(running);
    eventually("the tool's end", || processes(&seconds) == 0);
    assert!(left[0].exists(), "a killed worker cannot clean up");
    home.run(&["run", "secrets-scan", &app]).expect_code(0);
    assert!(!left[0].exists(), "{:?}", left[0]);
}
