//! Layers, the shipped toolbox, pinning, and arbitrary text.

use std::fs;

use helve_toolbox::run::PlanInput;
use helve_toolbox::{Layer, Plan, Toolbox};
use proptest::prelude::*;
use serde_json::json;

fn files(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

#[test]
fn the_shipped_toolbox_is_whole() {
    let loaded = Toolbox::load(&[Layer::embedded()]);
    assert_eq!(loaded.problems, []);
    let names: Vec<&str> = loaded.toolbox.workflows().map(|w| w.metadata.name.as_str()).collect();
    for shipped in [
        "assessment",
        "python-assessment",
        "native-assessment",
        "web-assessment",
        "secrets-scan",
        "supply-chain",
        "rust-assessment",
        "rust-fuzz",
        "native-fuzz",
        "python-fuzz",
        "android-assessment",
        "binary-assessment",
    ] {
        assert!(names.contains(&shipped), "{names:?}");
    }
    let modules: Vec<&str> = loaded.toolbox.modules().map(|m| m.manifest.name.as_str()).collect();
    assert_eq!(
        modules,
        [
            "afl",
            "androguard",
            "apkid",
            "apktool",
            "atheris",
            "bandit",
            "cargo-audit",
            "cargo-fuzz",
            "clippy-security",
            "cppcheck",
            "eslint-security",
            "flawfinder",
            "hardening",
            "libfuzzer",
            "sast",
            "secrets",
            "semgrep",
            "supply-chain",
            "yara",
        ]
    );
    assert!(loaded.toolbox.module("secrets").unwrap().bundle.files.len() > 5);
    let verticals: Vec<&str> = loaded.toolbox.verticals().map(|v| v.name.as_str()).collect();
    assert_eq!(
        verticals,
        [
            "android",
            "binary",
            "blockchain",
            "go",
            "ios",
            "native",
            "python",
            "rust",
            "sast",
            "secrets",
            "supply-chain",
            "wasm",
            "web"
        ]
    );
}

#[test]
fn a_step_of_a_shipped_workflow_finds_its_vertical_and_the_vertical_its_tool() {
    let toolbox = Toolbox::load(&[Layer::embedded()]).toolbox;
    for workflow in toolbox.workflows() {
        for step in &workflow.plan.steps {
            let module = toolbox.module(&step.uses).unwrap();
            let Some(wanted) = module.manifest.kind.command().and_then(|command| command.tool.as_ref()) else {
                continue;
            };
            let vertical = step.vertical.as_deref().unwrap_or(&workflow.metadata.vertical);
            let tools = &toolbox.vertical(vertical).unwrap().tools;
            let tool = tools.iter().find(|tool| tool.name() == wanted.name());
            let tool = tool.unwrap_or_else(|| panic!("`{vertical}` does not carry `{}`", wanted.name()));
            assert_eq!(tool.version, wanted.version, "{}", tool.name());
        }
    }
}

#[test]
fn a_dockerfile_installs_every_tool_of_its_vertical() {
    let toolbox = Toolbox::load(&[Layer::embedded()]).toolbox;
    let text = toolbox.vertical("native").unwrap().dockerfile();
    assert!(
        text.contains("apt-get install -y --no-install-recommends afl++ clang cppcheck"),
        "{text}"
    );
    assert!(text.contains("python3 -m venv /opt/helve/tools/flawfinder"), "{text}");
    for vertical in toolbox.verticals() {
        let text = vertical.dockerfile();
        for tool in &vertical.tools {
            let recipe = &tool.install[0];
            assert!(text.contains(&recipe.packages[0]), "{}: {text}", tool.name());
        }
    }
}

#[test]
fn a_later_layer_shadows_by_name_even_when_it_is_broken() {
    let module = (
        "modules/m/module.yaml",
        "name: m\nversion: '1'\ndescription: d\nkind: builtin\n",
    );
    let metadata = ("workflows/w/metadata.yaml", "name: w\nversion: '1'\ndescription: d\n");
    let first = Layer::memory(
        "one",
        files(&[
            module,
            metadata,
            ("workflows/w/workflow.yaml", "steps: [{id: a, uses: m}]"),
        ]),
    );
    let newer = ("workflows/w/metadata.yaml", "name: w\nversion: '2'\ndescription: d\n");
    let second = Layer::memory(
        "two",
        files(&[newer, ("workflows/w/workflow.yaml", "steps: [{id: b, uses: m}]")]),
    );
    let broken = Layer::memory("three", files(&[newer, ("workflows/w/workflow.yaml", "steps: 1")]));

    let loaded = Toolbox::load(&[first.clone(), second.clone()]);
    let workflow = loaded.toolbox.workflow("w").unwrap();
    assert_eq!(
        (workflow.metadata.version.as_str(), workflow.origin.as_str()),
        ("2", "two")
    );
    assert_eq!(workflow.plan.steps[0].id, "b");

    let loaded = Toolbox::load(&[first, second, broken]);
    assert!(loaded.toolbox.workflow("w").is_err());
    assert_eq!(loaded.problems.len(), 1);
}

#[test]
fn a_directory_is_a_layer_and_says_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        Layer::dir(dir.path())
            .unwrap_err()
            .to_string()
            .contains("is not a toolbox")
    );
    assert!(
        Layer::dir(dir.path().join("none"))
            .unwrap_err()
            .to_string()
            .contains("cannot read the toolbox directory")
    );
    for folder in ["good", "bytes"] {
        let path = dir.path().join("modules").join(folder);
        fs::create_dir_all(path.join("rules")).unwrap();
        fs::write(
            path.join("module.yaml"),
            format!("name: {folder}\nversion: '1'\ndescription: d\nkind: builtin\n"),
        )
        .unwrap();
        fs::write(path.join("rules/r.yaml"), "a: 1\n").unwrap();
        fs::write(path.join("notes.txt"), "belongs to the module").unwrap();
    }
    fs::write(dir.path().join("modules/bytes/rules/bad.yaml"), [0xff, 0xfe]).unwrap();
    let loaded = Toolbox::load(&[Layer::dir(dir.path()).unwrap()]);
    let names: Vec<&String> = loaded.toolbox.module("good").unwrap().bundle.files.keys().collect();
    assert_eq!(names, ["module.yaml", "notes.txt", "rules/r.yaml"]);
    assert!(loaded.toolbox.module("bytes").is_err());
    assert_eq!(loaded.problems.len(), 1);
    assert!(
        loaded.problems[0]
            .to_string()
            .ends_with("modules/bytes/rules/bad.yaml:1:1: the file is not UTF-8 text")
    );
}

#[cfg(unix)]
#[test]
fn links_inside_a_workflow_lead_nowhere_and_hide_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    // A whole workflow may be a link; a link below it is not followed.
    let linked = elsewhere.path().join("mine");
    fs::create_dir_all(&linked).unwrap();
    fs::write(
        linked.join("metadata.yaml"),
        "name: mine\nversion: 1.0.0\ndescription: Mine.\nauthor: me\n",
    )
    .unwrap();
    fs::write(linked.join("workflow.yaml"), "steps:\n  - id: a\n    uses: secrets\n").unwrap();
    std::os::unix::fs::symlink("/", linked.join("root")).unwrap();
    let workflows = dir.path().join("workflows");
    fs::create_dir_all(&workflows).unwrap();
    std::os::unix::fs::symlink(&linked, workflows.join("mine")).unwrap();
    let loaded = Toolbox::load(&[Layer::embedded(), Layer::dir(dir.path()).unwrap()]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    assert!(loaded.toolbox.workflow("mine").is_ok());
    assert!(loaded.toolbox.workflow("assessment").is_ok());
}

#[test]
fn a_plan_survives_its_trip_through_json_with_the_same_digest() {
    let loaded = Toolbox::load(&[Layer::embedded()]);
    for workflow in loaded.toolbox.workflows() {
        let text = serde_json::to_string(&workflow.plan).unwrap();
        let back: Plan = serde_json::from_str(&text).unwrap();
        assert_eq!(back, workflow.plan);
        assert_eq!(back.digest(), workflow.digest);
        assert_eq!(workflow.digest.len(), 64);
    }
}

#[test]
fn pinning_resolves_parameters_and_names_the_wrong_ones() {
    let toolbox = Toolbox::load(&[Layer::embedded()]).toolbox;
    let pin = |parameters: serde_json::Value| {
        let serde_json::Value::Object(parameters) = parameters else {
            panic!("a mapping")
        };
        toolbox.pin(&PlanInput {
            workflow: "assessment".to_owned(),
            parameters,
        })
    };
    let pinned = pin(json!({"sast": false})).unwrap();
    assert_eq!(
        (&pinned.parameters["secrets"], &pinned.parameters["sast"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(pinned.plan.workflow, "assessment");
    let modules: Vec<(&str, &str)> = pinned
        .plan
        .modules
        .iter()
        .map(|(name, digest)| (name.as_str(), digest.as_str()))
        .collect();
    let digest = |name: &str| toolbox.module(name).unwrap().digest.clone();
    assert_eq!(modules, [("sast", &*digest("sast")), ("secrets", &*digest("secrets"))]);
    assert_eq!(
        pin(json!({"sats": 1, "secrets": "x"})).unwrap_err().to_string(),
        "the parameters do not fit the workflow `assessment`: parameter `sats` is not known (did you mean `sast`?); \
         parameter `secrets` must be true or false, not `x`"
    );
    let missing = toolbox.pin(&PlanInput {
        workflow: "asessment".to_owned(),
        parameters: serde_json::Map::new(),
    });
    assert_eq!(
        missing.unwrap_err().to_string(),
        "there is no workflow `asessment`; did you mean `assessment`?"
    );
}

/// Text that often gets past the first hurdles.
fn yamlish() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("steps:"),
        Just("  - "),
        Just("id: a"),
        Just("uses: m"),
        Just("needs: [a, b]"),
        Just("with:"),
        Just("{"),
        Just("}"),
        Just("{{ params.x }}"),
        Just("{{"),
        Just("}}"),
        Just("{%"),
        Just("if: steps.a.findings > 1"),
        Just("\n"),
        Just("\n    "),
        Just("for_each: {items: [1]}"),
        Just("&a"),
        Just("*a"),
        Just("|"),
        Just(">-"),
        Just("timeout: 1m"),
        Just("retry: 3"),
        Just("'"),
        Just("\""),
        Just("#"),
        Just("é"),
        Just(": "),
        Just("parameters: {type: object}"),
        Just("name: w"),
        Just("!!binary x"),
        Just("<<: *a"),
        Just("1e999"),
        Just("\t"),
        Just("---"),
        Just("output: '{{ steps }}'"),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(""))
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(workflow in prop_oneof![yamlish(), any::<String>()], metadata in yamlish(), module in yamlish()) {
        let layer = Layer::memory("box", files(&[
            ("modules/m/module.yaml", &module),
            ("modules/n/module.yaml", "name: n\nversion: '1'\ndescription: d\nkind: builtin\n"),
            ("workflows/w/metadata.yaml", &metadata),
            ("workflows/w/workflow.yaml", &workflow),
            ("workflows/v/metadata.yaml", "name: v\nversion: '1'\ndescription: d\n"),
            ("workflows/v/workflow.yaml", &format!("steps:\n  - id: z\n    uses: n\n    with: {{x: \"{workflow}\"}}\n")),
        ]));
        for problem in Toolbox::load(&[layer]).problems {
            prop_assert!(problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty());
        }
    }
}
