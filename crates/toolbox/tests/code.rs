//! Workflows that are code: `workflow.wasm` in the place of `workflow.yaml`.

use std::fs;

use helve_toolbox::run::{PinnedPlan, PlanInput};
use helve_toolbox::{Keeper, Layer, Loaded, Toolbox};

const METADATA: &str = "name: guided\nversion: '2'\ndescription: d\nvertical: web\n";
const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

fn loaded(files: &[(&str, &[u8])]) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join("workflows/guided").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    Toolbox::load(&[Layer::embedded(), Layer::dir(dir.path()).unwrap()])
}

#[test]
fn a_folder_with_workflow_wasm_is_a_workflow_pinned_by_the_content_of_its_code() {
    let loaded = loaded(&[("metadata.yaml", METADATA.as_bytes()), ("workflow.wasm", WASM)]);
    assert_eq!(loaded.problems, []);
    let toolbox = loaded.toolbox;
    let digest = blake3::hash(WASM).to_hex().to_string();
    let input = PlanInput {
        workflow: "guided".to_owned(),
        parameters: Default::default(),
    };
    let plan = toolbox.pin(&input).unwrap().plan;
    assert_eq!((plan.code.as_ref(), &plan.digest), (Some(&digest), &digest));
    assert_eq!((plan.version.as_str(), plan.vertical.as_str()), ("2", "web"));
    assert_eq!(
        plan.modules.len(),
        toolbox.modules().count(),
        "code may call any module"
    );
    assert_eq!(toolbox.code(&digest).as_deref(), Some(WASM));
    assert_eq!(toolbox.code(&"0".repeat(64)), None);
}

#[test]
fn code_and_a_plan_in_one_folder_are_one_too_many() {
    let loaded = loaded(&[
        ("metadata.yaml", METADATA.as_bytes()),
        ("workflow.wasm", WASM),
        ("workflow.yaml", b"steps: []\n"),
    ]);
    assert!(loaded.toolbox.workflow("guided").is_err());
    assert!(loaded.problems[0].message.contains("workflow.wasm beside this file"));
}

#[test]
fn a_file_that_is_not_webassembly_is_found_when_it_is_loaded() {
    let loaded = loaded(&[("metadata.yaml", METADATA.as_bytes()), ("workflow.wasm", b"#!/bin/sh")]);
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.problems[0].file.ends_with("workflows/guided/workflow.wasm"));
    assert!(loaded.problems[0].message.contains("not WebAssembly"));
}

#[test]
fn plans_that_were_pinned_before_there_was_code_are_still_read() {
    let old = r#"{"workflow": "w", "version": "1", "digest": "d", "vertical": "v", "plan": {"steps": []}}"#;
    let plan: PinnedPlan = serde_json::from_str(old).unwrap();
    assert_eq!(plan.code, None);
    assert!(!serde_json::to_string(&plan).unwrap().contains("code"));
}

#[test]
fn changed_code_serves_new_runs_and_is_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("workflows/guided");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("metadata.yaml"), METADATA).unwrap();
    fs::write(folder.join("workflow.wasm"), WASM).unwrap();
    let (mut keeper, _) = Keeper::new(vec![Layer::embedded()], vec![dir.path().to_owned()]).unwrap();
    let digest = |keeper: &Keeper| keeper.shelf().current().workflow("guided").unwrap().digest.clone();
    let before = digest(&keeper);
    fs::write(folder.join("workflow.wasm"), [WASM, &[0]].concat()).unwrap();
    // A change needs two looks.
    assert!((0..4).any(|_| keeper.look().is_some()));
    assert_ne!(digest(&keeper), before);
    let good = digest(&keeper);
    fs::write(folder.join("workflow.wasm"), "not code").unwrap();
    assert!((0..4).any(|_| keeper.look().is_some()));
    assert_eq!(digest(&keeper), good, "a broken edit keeps the last good version");
}
