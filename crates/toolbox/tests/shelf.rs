//! The toolbox of a long-running process: what changes in its folders serves new runs, and a broken edit does not.

use std::fs;
use std::path::Path;

use helve_toolbox::run::PlanInput;
use helve_toolbox::{Change, Keeper, Layer, Toolbox, scaffold};
use serde_json::Map;

/// Looks until something is found, at most a few times: a change needs two looks.
fn changed(keeper: &mut Keeper) -> Option<Change> {
    (0..4).find_map(|_| keeper.look())
}

fn keeper(dir: &Path) -> Keeper {
    let (keeper, loaded) = Keeper::new(vec![Layer::embedded()], vec![dir.to_owned()]).unwrap();
    assert_eq!(loaded.problems, []);
    keeper
}

fn digests(keeper: &Keeper) -> (String, String) {
    let toolbox = keeper.shelf().current();
    let input = PlanInput {
        workflow: "nightly".to_owned(),
        parameters: Map::new(),
    };
    let plan = toolbox.pin(&input).unwrap().plan;
    (plan.digest, plan.modules["marks"].clone())
}

fn toolbox() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    scaffold::module(dir.path(), "marks").unwrap();
    scaffold::workflow(dir.path(), "nightly", Some("marks")).unwrap();
    dir
}

#[test]
fn what_the_scaffolds_make_passes_the_check() {
    let dir = toolbox();
    scaffold::workflow(dir.path(), "plain", None).unwrap();
    let keeper = keeper(dir.path());
    assert!(keeper.shelf().current().workflow("plain").is_ok());
    assert!(
        scaffold::workflow(dir.path(), "plain", None).is_err(),
        "nothing is overwritten"
    );
    assert!(scaffold::module(dir.path(), "../up").is_err());
}

#[test]
fn scaffolds_of_code_pass_the_check_once_they_are_built() {
    let dir = tempfile::tempdir().unwrap();
    scaffold::code_workflow(dir.path(), "guided").unwrap();
    scaffold::code_module(dir.path(), "looks").unwrap();
    let layers = || [Layer::embedded(), Layer::dir(dir.path()).unwrap()];
    let problems = Toolbox::load(&layers()).problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems
            .iter()
            .all(|problem| problem.hint.as_ref().unwrap().contains("build it"))
    );
    fs::write(dir.path().join("workflows/guided/workflow.wasm"), b"\0asm").unwrap();
    fs::write(dir.path().join("modules/looks/module.wasm"), b"\0asm").unwrap();
    let loaded = Toolbox::load(&layers());
    assert_eq!(loaded.problems, []);
    let looks = loaded.toolbox.module("looks").unwrap();
    assert_eq!(looks.manifest.kind.name(), "wasm");
    assert_eq!(looks.bundle.component.as_deref(), Some(&b"\0asm"[..]));
    assert!(loaded.toolbox.workflow("guided").unwrap().code.is_some());
}

#[test]
fn a_changed_module_serves_new_runs_in_a_new_version_and_an_unchanged_one_says_nothing() {
    let dir = toolbox();
    let mut keeper = keeper(dir.path());
    let before = digests(&keeper);
    assert!(changed(&mut keeper).is_none());
    let path = dir.path().join("modules/marks/module.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[FIXME, XXX]", "[FIXME, XXX, HACK]")).unwrap();
    let change = changed(&mut keeper).unwrap();
    assert_eq!(change.changed, ["module marks"]);
    let after = digests(&keeper);
    assert_eq!(before.0, after.0, "the plan is the same");
    assert_ne!(before.1, after.1, "the module is not");
}

#[test]
fn a_broken_edit_keeps_the_last_good_version_and_says_so_until_it_is_mended() {
    let dir = toolbox();
    let mut keeper = keeper(dir.path());
    let before = digests(&keeper);
    let path = dir.path().join("modules/marks/module.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("format: lines", "format: linse")).unwrap();
    let change = changed(&mut keeper).unwrap();
    assert_eq!(change.changed, Vec::<String>::new());
    // The workflow is broken too as long as its module is.
    assert_eq!(change.kept, ["module marks", "workflow nightly"]);
    let said = change.problems[0].to_string();
    assert!(
        said.contains("module.yaml:") && said.contains("did you mean `lines`?"),
        "{said}"
    );
    assert_eq!(digests(&keeper), before);
    fs::write(&path, text).unwrap();
    assert!(changed(&mut keeper).is_none(), "it is what it was");
    assert_eq!(digests(&keeper), before);
}

#[test]
fn a_new_folder_is_there_and_one_that_is_gone_is_gone() {
    let dir = toolbox();
    let mut keeper = keeper(dir.path());
    scaffold::workflow(dir.path(), "weekly", None).unwrap();
    assert_eq!(changed(&mut keeper).unwrap().changed, ["workflow weekly"]);
    assert!(keeper.shelf().current().workflow("weekly").is_ok());
    fs::remove_dir_all(dir.path().join("workflows/weekly")).unwrap();
    assert_eq!(changed(&mut keeper).unwrap().changed, ["workflow weekly"]);
    assert!(keeper.shelf().current().workflow("weekly").is_err());
    fs::remove_dir_all(dir.path().join("workflows")).unwrap();
    fs::remove_dir_all(dir.path().join("modules")).unwrap();
    let change = changed(&mut keeper).unwrap();
    assert!(
        change.error.is_some(),
        "a toolbox that vanished is an error, not an empty toolbox"
    );
    assert!(keeper.shelf().current().workflow("nightly").is_ok());
}
