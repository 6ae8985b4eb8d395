//! The same workflow in three languages: built by `helve workflows build`, run to the same end.

use std::fs;
use std::path::Path;

use helve_e2e::home::Home;
use helve_e2e::{checkout, tree};
use serde_json::Value;

use super::code::guests;
use super::verticals::tools_are_there;

/// What is put after the line that reads the parameters, for a run that is told to wait for seven hours: a slip of the pen.
const SLIPS: [(&str, &str); 2] = [
    (
        "  const { review_hours: reviewHours = 0 } = JSON.parse(input.parameters);\n",
        "  if (reviewHours === 7) nobodyHasThisName(input);\n",
    ),
    (
        "        parameters = json.loads(input.parameters)\n",
        "        if parameters[\"review_hours\"] == 7:\n            nobody_has_this_name(input)\n",
    ),
];

/// The sources of an example, in a toolbox of the test's own.
fn example(home: &Home, language: &str, name: &str) -> String {
    let (from, to) = (
        checkout().join("examples/workflows").join(language),
        home.path().join("box/workflows").join(name),
    );
    for entry in fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "wasm") {
            let mut text = fs::read_to_string(&path).unwrap();
            for (line, slip) in SLIPS {
                text = text.replace(line, &format!("{line}{slip}"));
            }
            // Its neighbours stay where they are.
            let root = format!("\"{}/", checkout().display());
            tree::write(&to.join(path.file_name().unwrap()), text.replace("\"../../../", &root));
        }
    }
    to.to_string_lossy().into_owned()
}

/// Two modules are told to wait for nobody: what they found, and where they stand.
fn run(home: &Home, name: &str) -> (Value, Value, Vec<String>) {
    let (dir, target) = (home.path().join("box"), home.path().join("tree"));
    tree::grow(&target, 30, 500);
    let (dir, target) = (dir.to_string_lossy(), target.to_string_lossy());
    let result = home
        .run(&["run", name, &target, "--toolbox", &dir, "--json"])
        .expect_code(0)
        .json();
    let run_id = result["run_id"].as_str().unwrap();
    let replayed = home
        .run(&["workflows", "replay", run_id, "--json"])
        .expect_code(0)
        .json();
    assert_eq!(replayed["compatible"], true, "the same again: {replayed}");
    let shown = home.show(run_id);
    let mut steps: Vec<String> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{}:{}", step["id"], step["status"]))
        .collect();
    steps.sort();
    (result["findings"].clone(), result["output"].clone(), steps)
}

/// The language's own words about an error that nobody catches are the reason of the run's end.
fn says_what_was_wrong(home: &Home, name: &str, words: &[&str]) {
    let (dir, target) = (home.path().join("box"), home.path().join("tree"));
    let (dir, target) = (dir.to_string_lossy(), target.to_string_lossy());
    let slip = ["--param", "review_hours=7", "--json"];
    let failed = home
        .run(&[&["run", name, &target, "--toolbox", &dir], &slip[..]].concat())
        .json();
    assert_eq!(failed["status"], "failed", "{failed}");
    let reason = failed["reason"].as_str().unwrap();
    for word in words {
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

fn builds_and_agrees(language: &str, name: &str) -> Home {
    let home = Home::new();
    let folder = example(&home, language, name);
    // An interpreter is compiled, which takes a while on a busy machine.
    let built = home.command(&["workflows", "build", &folder]).output().unwrap();
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(
        built.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&built.stderr)
    );
    assert!(said.contains("workflow.wasm"), "{said}");
    let leftovers = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let leftovers: Vec<_> = leftovers
        .filter(|name| name.to_string_lossy().starts_with(".build"))
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");

    // The example of the SDK, which other tests run.
    let reference = home.path().join("box/workflows/reference");
    tree::write(&reference.join("workflow.wasm"), guests::component("assessment"));
    let metadata = fs::read_to_string(Path::new(&folder).join("metadata.yaml")).unwrap();
    tree::write(&reference.join("metadata.yaml"), metadata.replace(name, "reference"));
    let wanted = run(&home, "reference");
    assert!(
        wanted.1["found"].as_u64().is_some_and(|found| found > 0),
        "{}",
        wanted.1
    );
    assert_eq!(run(&home, name), wanted);
    home
}

#[test]
fn a_workflow_in_rust_is_built_and_runs() {
    builds_and_agrees("rust", "guided-rs");
}

#[test]
fn the_same_workflow_in_javascript_gives_the_same_answer() {
    if tools_are_there(&Home::new(), "wasm", &[]) {
        let home = builds_and_agrees("javascript", "guided-js");
        let words = ["nobodyHasThisName is not defined", "workflow.js:", "(at event "];
        says_what_was_wrong(&home, "guided-js", &words);
    }
}

#[test]
fn the_same_workflow_in_python_gives_the_same_answer() {
    if tools_are_there(&Home::new(), "wasm", &[]) {
        let home = builds_and_agrees("python", "guided-py");
        let words = [
            "NameError: name 'nobody_has_this_name' is not defined",
            "workflow.py\", line ",
            "(at event ",
        ];
        says_what_was_wrong(&home, "guided-py", &words);
    }
}

#[test]
fn who_lacks_a_tool_is_told_how_to_get_it() {
    let home = Home::new();
    let folder = example(&home, "javascript", "guided-js");
    let nowhere = home.path().join("nowhere");
    home.run(&["workflows", "build", &folder, "--tools-dir", &nowhere.to_string_lossy()])
        .expect_clear_error(&[
            "componentize-js",
            "not installed",
            "helve verticals install wasm",
            "npm install",
        ]);
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    home.run(&["workflows", "build", &empty.to_string_lossy()])
        .expect_clear_error(&["nothing to build", "Cargo.toml", "workflow.js", "workflow.py"]);
}

#[test]
fn what_is_wrong_in_the_source_is_said_as_the_compiler_says_it_and_the_old_code_stays() {
    let home = Home::new();
    let folder = example(&home, "rust", "guided-rs");
    let wasm = Path::new(&folder).join("workflow.wasm");
    tree::write(&wasm, "old");
    let manifest = Path::new(&folder).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    tree::write(&manifest, text.replace("assessment.rs", "no-such.rs"));
    let failed = home.run(&["workflows", "build", &folder]).expect_code(1);
    assert!(failed.stderr.contains("no-such.rs"), "{}", failed.stderr);
    assert_eq!(fs::read(&wasm).unwrap(), b"old");
}
