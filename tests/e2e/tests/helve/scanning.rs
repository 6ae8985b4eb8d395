//! `helve run`: what it finds and how it says so; on its own engine and, unchanged, on the real Temporal server.

use std::fs;

use helve_e2e::home::Home;
use helve_e2e::server::TemporalServer;
use helve_e2e::{checkout, tree};
use serde_json::Value;

fn example() -> String {
    checkout()
        .join("examples/vulnerable-app")
        .to_string_lossy()
        .into_owned()
}

/// `path:line rule` of every finding, sorted.
fn places(result: &Value) -> Vec<String> {
    let findings = result["findings"].as_array().expect("findings");
    let mut places: Vec<String> = findings
        .iter()
        .map(|finding| {
            let location = &finding["location"];
            let line = location["region"]["start_line"].as_u64().unwrap_or(0);
            format!(
                "{}:{line} {}",
                location["path"].as_str().expect("a path"),
                finding["rule_id"].as_str().expect("a rule")
            )
        })
        .collect();
    places.sort();
    places
}

/// The first command of the README: everything that a scan of the example must give, on whatever engine.
fn the_example_is_scanned(home: &Home) -> Value {
    let result = home.scan(example());
    assert_eq!(result["status"], "completed");
    assert_eq!(result["workflow"], "assessment");
    assert_eq!(result["target"]["name"], "vulnerable-app");
    assert!(result["target"]["files"].as_u64().unwrap() > 0);
    let total = result["summary"]["total"].as_u64().unwrap();
    assert!(total > 10, "the example is full of flaws, {total} found");
    assert_eq!(total, result["findings"].as_array().unwrap().len() as u64);
    let by_severity: u64 = result["summary"]["by_severity"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(by_severity, total);
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    for step in steps {
        assert_eq!(
            (step["status"].as_str(), step["attempts"].as_u64()),
            (Some("completed"), Some(1)),
            "{step}"
        );
        assert!(step["findings"].as_u64().unwrap() > 0, "{step}");
    }
    result
}

#[test]
fn the_first_readme_command_finds_what_is_in_the_example() {
    let home = Home::new();
    let result = the_example_is_scanned(&home);
    assert_eq!(result["engine"], "embedded");
    let expected = expected();
    let found = places(&result);
    let is_found = |item: &Value| {
        let place = format!("{}:{} ", item["file"].as_str().expect("a file"), item["line"]);
        let rule = item["rule"].as_str().unwrap_or("secrets/");
        found
            .iter()
            .any(|found| found.strip_prefix(&place).is_some_and(|found| found.starts_with(rule)))
    };
    let list = |name: &str| {
        expected[name]
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("no list {name}"))
    };
    let missed: Vec<Value> = list("must_find").into_iter().filter(|item| !is_found(item)).collect();
    assert!(
        missed.is_empty(),
        "not found: {missed:#?}\nfound:\n{}",
        found.join("\n")
    );
    let correct = |item: &Value| format!("{}:{} ", item["file"].as_str().expect("a file"), item["line"]);
    let wrong: Vec<String> = list("must_not_find")
        .iter()
        .map(correct)
        .filter(|place| found.iter().any(|f| f.starts_with(place)))
        .collect();
    assert!(wrong.is_empty(), "nothing is wrong there: {wrong:?}");
}

#[test]
fn the_same_scan_gives_the_same_on_the_real_temporal_server() {
    let Some(server) = TemporalServer::start() else { return };
    let ours = the_example_is_scanned(&Home::new());
    let home = Home::on(&server.engine());
    let theirs = the_example_is_scanned(&home);
    assert_eq!(theirs["engine"].as_str(), Some(server.engine().as_str()));
    assert_eq!(ours["findings"], theirs["findings"]);
    let run_id = theirs["run_id"].as_str().unwrap();
    assert_eq!(home.show(run_id)["status"], "completed");
}

/// What the example's authors planted, and the lines that only look as if.
fn expected() -> Value {
    let path = checkout().join("examples/expected/vulnerable-app.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_human_output_has_a_table_and_a_summary() {
    let home = Home::new();
    let done = home.run(&["run", "assessment", &example()]).expect_code(0);
    for word in ["critical", "high", "sast/", "secrets/", "findings: "] {
        assert!(
            done.stdout.to_lowercase().contains(word),
            "`{word}` is missing:\n{}",
            done.stdout
        );
    }
    assert!(
        done.stderr.contains("run assessment-"),
        "progress names the run:\n{}",
        done.stderr
    );
    assert!(!done.stdout.contains('\u{1b}'), "no colours when nobody looks");
}

#[test]
fn quiet_says_nothing_on_standard_error() {
    let home = Home::new();
    let done = home
        .run(&["run", "assessment", &example(), "--quiet", "--json"])
        .expect_code(0);
    assert_eq!(done.stderr, "");
    assert_eq!(done.json()["status"], "completed");
}

#[test]
fn no_output_shows_a_secret_in_full() {
    let home = Home::new();
    let target = home.path().join("app");
    let key = tree::fake_key(7);
    tree::write(&target.join("settings.py"), format!("AWS_ACCESS_KEY_ID = \"{key}\"\n"));
    let sarif = home.path().join("out.sarif");
    let (tree, file) = (target.to_string_lossy(), sarif.to_string_lossy());
    let arguments = ["run", "secrets-scan", &*tree, "--sarif", &*file];
    let human = home.run(&arguments).expect_code(0);
    let json = home.run(&[&arguments[..], &["--json"]].concat()).expect_code(0);
    assert_eq!(json.json()["summary"]["total"], 1, "the key is found");
    for (place, text) in [
        ("table", &human.stdout),
        ("json", &json.stdout),
        ("sarif", &fs::read_to_string(&sarif).unwrap()),
    ] {
        assert!(!text.contains(&key), "the {place} shows the key");
    }
}

#[test]
fn sarif_holds_every_finding_with_its_rule_place_and_fingerprint() {
    let home = Home::new();
    let path = home.path().join("out.sarif");
    let app = example();
    let file = path.to_string_lossy();
    let arguments = ["run", "assessment", &*app, "--sarif", &*file, "--json"];
    let result = home.run(&arguments).expect_code(0).json();
    let sarif: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let mut results = 0;
    for run in sarif["runs"].as_array().unwrap() {
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for finding in run["results"].as_array().unwrap() {
            results += 1;
            let rule = finding["ruleId"].as_str().unwrap();
            assert!(rules.iter().any(|r| r["id"] == rule), "{rule} is not described");
            assert!(
                finding["partialFingerprints"]
                    .as_object()
                    .is_some_and(|prints| !prints.is_empty()),
                "{finding}"
            );
            let place = &finding["locations"][0]["physicalLocation"];
            assert!(
                place["artifactLocation"]["uri"].is_string() && place["region"]["startLine"].is_u64(),
                "{finding}"
            );
        }
    }
    assert_eq!(Some(results), result["summary"]["total"].as_u64());
}

#[test]
fn fail_on_sets_the_exit_code_and_nothing_else() {
    let home = Home::new();
    let app = example();
    let scan = |fail_on: &str| home.run(&["run", "assessment", &app, "--fail-on", fail_on, "--json"]);
    let none = scan("none").expect_code(0).json();
    let note = scan("note").expect_code(2).json();
    assert_eq!(none["findings"], note["findings"]);
    let critical = none["summary"]["by_severity"]["critical"].as_u64().unwrap();
    scan("critical").expect_code(if critical > 0 { 2 } else { 0 });

    let clean = home.path().join("clean");
    tree::write(&clean.join("main.py"), "print('nothing to see')\n");
    let clean = home
        .run(&[
            "run",
            "assessment",
            &clean.to_string_lossy(),
            "--fail-on",
            "note",
            "--json",
        ])
        .expect_code(0);
    assert_eq!(clean.json()["summary"]["total"], 0);
}

#[test]
fn ignore_files_are_honoured_and_an_ignored_env_file_is_taken_all_the_same() {
    let home = Home::new();
    let target = home.path().join("app");
    let flaw = "def f(request):\n    return eval(request.args['q'])\n";
    tree::write(&target.join(".gitignore"), ".env\nbuild/\n");
    tree::write(
        &target.join(".env"),
        format!("AWS_ACCESS_KEY_ID={}\n", tree::fake_key(1)),
    );
    tree::write(&target.join("build/made.py"), flaw);
    tree::write(&target.join("app.py"), flaw);

    let result = home.scan(&target);
    let found = places(&result);
    assert!(
        found.iter().any(|place| place.starts_with(".env:1 secrets/")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|place| place.starts_with("app.py:2 sast/")),
        "{found:?}"
    );
    assert!(!found.iter().any(|place| place.starts_with("build/")), "{found:?}");
    assert_eq!(result["target"]["forced"], serde_json::json!([".env"]));
    let told = home
        .run(&["run", "assessment", &target.to_string_lossy()])
        .expect_code(0);
    assert!(
        told.stdout.contains(".env"),
        "the summary says that it was taken:\n{}",
        told.stdout
    );

    let all = home
        .run(&["run", "assessment", &target.to_string_lossy(), "--no-ignore", "--json"])
        .expect_code(0)
        .json();
    assert!(
        places(&all)
            .iter()
            .any(|place| place.starts_with("build/made.py:2 sast/")),
        "{:?}",
        places(&all)
    );
}

#[test]
fn one_file_is_a_target_too() {
    let home = Home::new();
    let file = home.path().join("lonely.py");
    tree::write(&file, "def f(request):\n    return eval(request.args['q'])\n");
    let result = home.scan(&file);
    assert_eq!(result["target"]["files"], 1);
    assert!(
        places(&result)
            .iter()
            .any(|place| place.starts_with("lonely.py:2 sast/")),
        "{:?}",
        places(&result)
    );
}

#[test]
fn parameters_choose_the_steps() {
    let home = Home::new();
    let app = example();
    let arguments = ["run", "assessment", &app, "--param", "sast=false", "--json"];
    let result = home.run(&arguments).expect_code(0).json();
    let steps = result["steps"].as_array().unwrap();
    let status = |id: &str| {
        steps
            .iter()
            .find(|step| step["id"] == id)
            .map(|step| step["status"].clone())
    };
    assert_eq!(status("sast"), Some("skipped".into()));
    assert_eq!(status("secrets"), Some("completed".into()));
    assert!(places(&result).iter().all(|place| place.contains(" secrets/")));

    let file = home.path().join("parameters.yaml");
    tree::write(&file, "secrets: false\n");
    let app = example();
    let file = file.to_string_lossy();
    let arguments = ["run", "assessment", &*app, "--params-file", &*file, "--json"];
    assert!(
        places(&home.run(&arguments).expect_code(0).json())
            .iter()
            .all(|place| place.contains(" sast/"))
    );
}

#[test]
fn two_scans_of_the_same_tree_find_the_same_and_keep_their_fingerprints_when_lines_move() {
    let home = Home::new();
    let target = home.path().join("app");
    tree::grow(&target, 20, 400);
    let first = home.scan(&target);
    assert_eq!(first["findings"], home.scan(&target)["findings"]);
    let moved = target.join("package_000/module_00000.py");
    let text = fs::read_to_string(&moved).unwrap();
    fs::write(&moved, format!("# a new line\n# and another\n{text}")).unwrap();
    let second = home.scan(&target);
    let prints = |result: &Value| -> Vec<String> {
        let mut all: Vec<String> = result["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["fingerprint"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    assert!(!prints(&first).is_empty());
    assert_eq!(prints(&first), prints(&second));
}
