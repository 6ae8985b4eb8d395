//! The shipped workflows with the real tools: what must be found in the examples, and what must not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use helve_e2e::checkout;
use helve_e2e::home::Home;
use helve_e2e::process::Running;
use serde_json::{Value, json};

/// The tools that a vertical needs and these of its optional ones, or a word about what is not checked.
pub(crate) fn tools_are_there(home: &Home, vertical: &str, also: &[&str]) -> bool {
    let doctor = home.run(&["verticals", "doctor", vertical, "--json"]);
    let tools = doctor.json();
    let missing: Vec<&str> = tools
        .as_array()
        .expect("a list")
        .iter()
        .filter(|tool| tool["optional"] == false || also.iter().any(|name| tool["tool"] == *name))
        .filter(|tool| tool["state"] != "present")
        .filter_map(|tool| tool["tool"].as_str())
        .collect();
    if !missing.is_empty() {
        eprintln!("not checked: the vertical `{vertical}` lacks {}", missing.join(", "));
    }
    missing.is_empty()
}

fn places(finding: &Value) -> Vec<String> {
    let of = |finding: &Value| {
        let location = &finding["location"];
        format!(
            "{}:{} {}",
            location["path"].as_str().expect("a path"),
            location["region"]["start_line"],
            finding["rule_id"].as_str().expect("a rule")
        )
    };
    let duplicates = finding["duplicates"].as_array().into_iter().flatten();
    std::iter::once(finding).chain(duplicates).map(of).collect()
}

fn finds_what_was_planted(workflow: &str, vertical: &str, example: &str) {
    finds_with(workflow, vertical, example, &[]);
}

fn finds_with(workflow: &str, vertical: &str, example: &str, options: &[&str]) {
    let home = Home::new();
    if tools_are_there(&home, vertical, &[]) {
        let target = checkout().join("examples").join(example);
        finds_in(&home, workflow, &target, example, options);
    }
}

/// Runs a workflow on a target; compares with what is expected of the example.
fn finds_in(home: &Home, workflow: &str, target: &Path, example: &str, options: &[&str]) -> Value {
    let result = run(home, workflow, target, options);
    assert_eq!(result["summary"]["inconclusive"], json!([]), "{example}");
    let found: Vec<String> = result["findings"].as_array().unwrap().iter().flat_map(places).collect();
    let expected = expected(example);
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    for item in expected["must_find"].as_array().unwrap() {
        let place = format!("{}:{} {}", text(item, "file"), item["line"], text(item, "rule"));
        assert!(
            found.contains(&place),
            "`{place}` was not found; found:\n{}",
            found.join("\n")
        );
    }
    for item in expected["must_not_find"].as_array().unwrap() {
        let place = match item["line"].as_u64() {
            Some(line) => format!("{}:{line} ", text(item, "file")),
            None => format!("{}:", text(item, "file")),
        };
        let wrong: Vec<&String> = found.iter().filter(|found| found.starts_with(&place)).collect();
        assert!(wrong.is_empty(), "nothing is wrong there: {wrong:?}");
    }
    result
}

fn run(home: &Home, workflow: &str, target: &Path, options: &[&str]) -> Value {
    let target = target.to_string_lossy().into_owned();
    let arguments = [&["run", workflow, &target, "--json"][..], options].concat();
    home.run(&arguments).expect_code(0).json()
}

fn expected(example: &str) -> Value {
    read(&checkout().join(format!("examples/expected/{example}.json")))
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn python_assessment_finds_what_was_planted_and_nothing_else() {
    finds_what_was_planted("python-assessment", "python", "vulnerable-python");
}

#[test]
fn native_assessment_finds_what_was_planted_and_nothing_else() {
    finds_what_was_planted("native-assessment", "native", "vulnerable-native");
}

#[test]
fn web_assessment_finds_what_was_planted_and_nothing_else() {
    finds_what_was_planted("web-assessment", "web", "vulnerable-web");
}

#[test]
fn supply_chain_finds_the_flawed_dependencies_and_nothing_else() {
    let advisories = format!("advisories={}", checkout().join("examples/advisories").display());
    finds_with(
        "supply-chain",
        "supply-chain",
        "vulnerable-dependencies",
        &["--param", &advisories],
    );
}

/// A copy of an example, for tools that write beside what they look at.
fn copy(home: &Home, example: &str) -> PathBuf {
    let copy = home.path().join(example);
    does(
        Command::new("cp")
            .arg("-r")
            .arg(checkout().join("examples").join(example))
            .arg(&copy),
    );
    copy
}

fn does(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn web_assessment_compares_the_lock_file_with_an_offline_database() {
    let home = Home::new();
    if !tools_are_there(&home, "web", &[]) {
        return;
    }
    let advisories = format!("advisories={}", checkout().join("examples/advisories").display());
    let target = checkout().join("examples/vulnerable-dependencies/web");
    let result = run(&home, "web-assessment", &target, &["--param", &advisories]);
    let found: Vec<String> = result["findings"].as_array().unwrap().iter().flat_map(places).collect();
    assert_eq!(found, ["package-lock.json:11 supply-chain/GHSA-35jh-r3h4-6jhm"]);
}

/// Programs from one source, built well and built badly. The compiler is the one that built these tests.
fn programs(home: &Home) -> PathBuf {
    let target = home.path().join("programs");
    fs::create_dir(&target).unwrap();
    let source = checkout().join("examples/vulnerable-binary/greet.c");
    fs::copy(&source, target.join("greet.c")).unwrap();
    let build = |name: &str, options: &[&str]| {
        does(
            Command::new("cc")
                .args(options)
                .arg("-o")
                .arg(target.join(name))
                .arg(&source),
        );
    };
    let badly = [
        "-O1",
        "-DSHIPS_A_KEY",
        "-U_FORTIFY_SOURCE",
        "-fno-stack-protector",
        "-fno-pie",
        "-no-pie",
        "-Wl,-z,norelro",
        "-Wl,-z,execstack",
        "-Wl,--disable-new-dtags,-rpath,/tmp/build/lib",
    ];
    build("weak", &badly);
    let well = [
        "-O2",
        "-U_FORTIFY_SOURCE",
        "-D_FORTIFY_SOURCE=2",
        "-fstack-protector-strong",
        "-fPIE",
        "-pie",
        "-s",
        "-Wl,-z,relro,-z,now,-z,noexecstack",
        "-Wl,-rpath,$ORIGIN/../lib",
    ];
    build("hardened", &well);
    build("mixed", &["-O2", "-DMIXES_CODE_AND_DATA"]);
    build(
        "late.so",
        &[
            "-O2",
            "-shared",
            "-fPIC",
            "-Wl,-z,relro,-z,lazy",
            "-Wl,-rpath,/home/build/lib",
        ],
    );
    target
}

#[test]
fn binary_assessment_finds_badly_built_programs_and_leaves_hardened_ones_alone() {
    let home = Home::new();
    if !tools_are_there(&home, "binary", &[]) {
        return;
    }
    finds_in(&home, "binary-assessment", &programs(&home), "vulnerable-binary", &[]);
}

#[test]
fn rust_assessment_finds_what_was_planted_and_nothing_else() {
    let advisories = format!("advisories={}", checkout().join("examples/rustsec").display());
    let options = ["--param", "lock=server/Cargo.lock", "--param", &advisories];
    finds_with("rust-assessment", "rust", "vulnerable-rust", &options);
}

#[test]
fn an_advisory_folder_without_advisories_is_inconclusive_and_never_clean() {
    let home = Home::new();
    if !tools_are_there(&home, "rust", &[]) {
        return;
    }
    let (empty, target) = (home.path().join("empty"), copy(&home, "vulnerable-rust"));
    fs::create_dir_all(empty.join("crates")).unwrap();
    let advisories = format!("advisories={}", empty.display());
    // Nor is there any where the owner's copy would be.
    for options in [&["--param", &advisories][..], &[]] {
        let mut command = home.command(&["run", "rust-assessment", &target.to_string_lossy(), "--json"]);
        command.args(options).env("CARGO_HOME", &empty);
        let result = Running::start(&mut command).wait().expect_code(0).json();
        let reasons = result["summary"]["inconclusive"].to_string();
        assert!(reasons.contains("audit"), "{reasons}");
        let said = result["notifications"].to_string() + &reasons;
        assert!(
            said.contains("there is no advisory database: set the parameter"),
            "{said}"
        );
    }
}

/// The rule, and the function that is named in the message, of every crash.
fn crashes(result: &Value) -> Vec<(String, String)> {
    let of = |finding: &Value| {
        let rule = finding["rule_id"].as_str().unwrap_or_default();
        let message = finding["message"].as_str().unwrap_or_default();
        let function = message.rsplit('`').nth(1).unwrap_or_default();
        (
            rule.rsplit('/').next().unwrap_or_default().to_owned(),
            function.to_owned(),
        )
    };
    result["findings"].as_array().unwrap().iter().map(of).collect()
}

/// Every crash has an input that was kept, a stack, and nothing is there twice.
fn crashes_are_kept(home: &Home, result: &Value, step: &str) {
    let run = result["run_id"].as_str().unwrap();
    let artifacts = home.run(&["artifacts", "list", run, "--json"]).expect_code(0).json();
    let kept: Vec<&str> = artifacts
        .as_array()
        .unwrap()
        .iter()
        .filter(|artifact| artifact["step"] == step)
        .filter_map(|artifact| artifact["name"].as_str())
        .collect();
    let mut stacks = Vec::new();
    for finding in result["findings"].as_array().unwrap() {
        let inputs = finding["properties"]["inputs"].as_array().expect("inputs");
        assert!(!inputs.is_empty(), "{finding}");
        assert!(
            inputs.iter().any(|input| kept.contains(&input.as_str().unwrap())),
            "{inputs:?} of {kept:?}"
        );
        stacks.push(finding["properties"]["stack"].as_str().expect("a stack").to_owned());
    }
    let all = stacks.len();
    stacks.sort();
    stacks.dedup();
    assert_eq!(stacks.len(), all, "a crash is there twice: {:?}", crashes(result));
}

fn native_fuzz(engine: &str, tool: &str) {
    let home = Home::new();
    if !tools_are_there(&home, "native", &[tool, "clang"]) {
        return;
    }
    let target = checkout().join("examples/fuzz-native");
    let engine_is = format!("engine={engine}");
    let options = [
        "--param",
        "harness=harness.c",
        "--param",
        "sources=parse.c",
        "--param",
        "seeds=seeds",
        "--param",
        "seconds=20",
        "--param",
        &engine_is,
    ];
    let result = run(&home, "native-fuzz", &target, &options);
    assert_eq!(result["summary"]["inconclusive"], json!([]), "{engine}");
    let (found, expected) = (crashes(&result), expected("fuzz-native"));
    for item in expected["must_find"].as_array().unwrap() {
        let is_it = |(rule, function): &(String, String)| {
            item["rule"] == rule.as_str() && item["function"] == function.as_str()
        };
        assert!(found.iter().any(is_it), "{item} was not found; found: {found:?}");
    }
    for item in expected["must_not_find"].as_array().unwrap() {
        assert!(
            found.iter().all(|(_, function)| item["function"] != function.as_str()),
            "{found:?}"
        );
    }
    crashes_are_kept(&home, &result, engine);
}

#[test]
fn libfuzzer_finds_the_planted_crashes_once_each_and_keeps_their_inputs() {
    native_fuzz("libfuzzer", "clang");
}

#[test]
fn afl_finds_the_planted_crashes_once_each_and_keeps_their_inputs() {
    native_fuzz("afl", "afl-fuzz");
}

#[test]
fn a_harness_that_does_not_build_is_inconclusive_and_never_clean() {
    let home = Home::new();
    if !tools_are_there(&home, "native", &["clang"]) {
        return;
    }
    let target = checkout().join("examples/fuzz-native");
    let result = run(
        &home,
        "native-fuzz",
        &target,
        &["--param", "harness=harness.c", "--param", "seconds=5"],
    );
    let inconclusive = result["summary"]["inconclusive"].to_string();
    assert!(inconclusive.contains("libfuzzer"), "{inconclusive}");
}

#[test]
fn atheris_finds_the_planted_crash_and_keeps_its_input() {
    let home = Home::new();
    if !tools_are_there(&home, "python", &["atheris"]) {
        return;
    }
    let target = checkout().join("examples/fuzz-python");
    let options = ["--param", "harness=harness.py", "--param", "seconds=20"];
    let result = finds_in(&home, "python-fuzz", &target, "fuzz-python", &options);
    crashes_are_kept(&home, &result, "fuzz");
}

#[test]
fn cargo_fuzz_finds_the_planted_panic_and_keeps_its_input() {
    let home = Home::new();
    if !tools_are_there(&home, "rust", &["cargo-fuzz"]) {
        return;
    }
    let nightly = Command::new("rustc").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        eprintln!("not checked: there is no nightly toolchain of Rust, which cargo-fuzz needs");
        return;
    }
    // Nothing is fetched in the sandbox: what the fuzz target depends on must be in the worker's registry.
    let manifest = checkout().join("examples/fuzz-rust/fuzz/Cargo.toml");
    does(
        Command::new("cargo")
            .args(["fetch", "--locked", "--quiet", "--manifest-path"])
            .arg(manifest),
    );
    let target = copy(&home, "fuzz-rust");
    let options = ["--param", "target=field", "--param", "seconds=5"];
    let result = finds_in(&home, "rust-fuzz", &target, "fuzz-rust", &options);
    crashes_are_kept(&home, &result, "fuzz");
}

#[test]
fn android_assessment_finds_what_was_planted_in_a_package_and_nothing_else() {
    let home = Home::new();
    if !tools_are_there(&home, "android", &[]) {
        return;
    }
    let (sources, target) = (copy(&home, "vulnerable-android"), home.path().join("packages"));
    fs::create_dir(&target).unwrap();
    // No SDK: apktool assembles the package from its manifest and smali.
    does(
        Command::new("apktool")
            .arg("build")
            .arg(&sources)
            .arg("--output")
            .arg(target.join("shop.apk")),
    );
    let result = run(&home, "android-assessment", &target, &[]);
    assert_eq!(result["summary"]["inconclusive"], json!([]));
    let all = |finding: &Value| {
        let duplicates = finding["duplicates"].as_array().into_iter().flatten().cloned();
        std::iter::once(finding.clone())
            .chain(duplicates)
            .collect::<Vec<Value>>()
    };
    let found: Vec<Value> = result["findings"].as_array().unwrap().iter().flat_map(all).collect();
    let says = |finding: &Value, text: &str| {
        finding["message"]
            .as_str()
            .is_some_and(|message| message.contains(text))
    };
    let expected = expected("vulnerable-android");
    let wanted = expected["must_find"].as_array().unwrap();
    for item in wanted {
        let is_it = |f: &&Value| f["rule_id"] == item["rule"] && says(f, item["says"].as_str().unwrap());
        assert!(
            found.iter().any(|f| is_it(&f)),
            "{item} was not found; found: {found:#?}"
        );
    }
    assert_eq!(found.len(), wanted.len(), "more than was planted: {found:#?}");
    for text in expected["must_not_say"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
    {
        assert!(
            !found.iter().any(|finding| says(finding, text)),
            "nothing is wrong with {text}"
        );
    }
}

#[test]
fn every_shipped_vertical_has_a_doctor_recipes_and_a_dockerfile() {
    let home = Home::new();
    let listed = home.run(&["verticals", "--json"]).expect_code(0).json();
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|v| v["name"].as_str())
        .collect();
    let folders = fs::read_dir(checkout().join("toolbox/verticals")).unwrap().flatten();
    let mut shipped: Vec<String> = folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    shipped.sort();
    assert_eq!(names, shipped);
    let tools = home.run(&["verticals", "doctor", "--json"]).expect_code(0).json();
    for tool in tools.as_array().unwrap() {
        let known = ["present", "missing", "too old", "unfit"];
        assert!(known.iter().any(|state| tool["state"] == *state), "{tool}");
        if tool["state"] != "present" {
            assert!(
                !tool["fixes"].as_array().unwrap().is_empty(),
                "nothing would fix {tool}"
            );
        }
    }
    for name in names {
        let file = home.run(&["verticals", name, "--dockerfile"]).expect_code(0);
        assert!(file.stdout.contains("FROM "), "{name}:\n{}", file.stdout);
    }
}
