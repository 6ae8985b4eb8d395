//! Whatever is wrong with a toolbox is found when it is loaded: with file, line, column, reason and a hint.

use helve_toolbox::{Layer, Loaded, Toolbox};

const MODULE: &str = "\
name: scan
version: '1'
description: Scans.
kind: builtin
config_schema:
  type: object
  additionalProperties: false
  required: [depth]
  properties:
    depth: {type: integer, minimum: 1}
    mode: {enum: [quick, deep]}
    paths: {type: array, items: {type: string}}
";

const METADATA: &str = "\
name: flow
version: '1'
description: Flows.
parameters:
  type: object
  properties:
    depth: {type: integer, default: 2}
    names: {type: array, items: {type: string}, default: []}
";

fn load(metadata: &str, workflow: &str) -> Loaded {
    let files = [
        ("modules/scan/module.yaml", MODULE),
        ("workflows/flow/metadata.yaml", metadata),
        ("workflows/flow/workflow.yaml", workflow),
    ];
    let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    Toolbox::load(&[layer])
}

fn problems(metadata: &str, workflow: &str) -> Vec<String> {
    load(metadata, workflow)
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn plan(workflow: &str, expected: &[&str]) {
    let found = problems(METADATA, workflow);
    let found: Vec<&str> = found
        .iter()
        .map(|p| p.strip_prefix("box/workflows/flow/workflow.yaml:").unwrap_or(p))
        .collect();
    assert_eq!(found, expected, "\n{workflow}");
}

#[track_caller]
fn metadata(text: &str, expected: &[&str]) {
    let found = problems(text, "steps:\n  - {id: a, uses: scan, with: {depth: 1}}\n");
    let found: Vec<&str> = found
        .iter()
        .map(|p| p.strip_prefix("box/workflows/flow/metadata.yaml:").unwrap_or(p))
        .collect();
    assert_eq!(found, expected, "\n{text}");
}

#[test]
fn a_whole_plan_has_no_problems() {
    plan(
        "\
steps:
  - id: first
    uses: scan
    with: {depth: '{{ params.depth }}', mode: quick}
    retry: {max_attempts: 5, initial_interval: 2s, backoff: 1.5, max_interval: 1m}
    timeout: 10m
  - id: each
    uses: scan
    needs: first
    if: steps.first.findings > 0 and steps.first.by_severity.high > 0
    with: {depth: '{{ steps.first.summary.depth * 2 }}', paths: ['src/{{ name }}']}
    for_each: {items: '{{ params.names }}', as: name, max_items: 10, max_parallel: 2}
    continue_on_error: true
  - id: last
    uses: scan
    needs: [each]
    vertical: rust
    with: {depth: '{{ steps.first.findings }}'}
output:
  all: '{{ steps.first.findings + steps.last.findings }}'
  text: '{{ steps.each.status }} on {{ target.name }}'
",
        &[],
    );
}

#[test]
fn every_problem_of_a_plan_is_found_at_once() {
    plan(
        "\
steps:
  - id: one
    use: scan
    with: {depth: 1}
  - id: one
    uses: scna
    needs: [tow, one]
    timeout: 10
    retry: {attempts: 3, backoff: 0}
extra: 1
",
        &[
            "2:5: a step has no `uses`",
            "3:5: a step has no key `use` (did you mean `uses`?)",
            "5:9: two steps have the id `one` (the first is in line 2)",
            "6:11: there is no module `scna` (did you mean `scan`?)",
            "7:13: there is no step `tow`",
            "7:18: the step `one` needs itself",
            "8:14: `timeout` must be a duration with a unit, not the number 10 (for seconds write 10s)",
            "9:13: `retry` has no key `attempts` (known: backoff, initial_interval, max_attempts, max_interval)",
            "9:35: `backoff` must be a number from 1 to 100, not the number 0",
            "10:1: a workflow has no key `extra` (known: output, steps)",
        ],
    );
}

#[test]
fn steps_that_wait_for_each_other_are_named() {
    plan(
        "\
steps:
  - {id: a, uses: scan, with: {depth: 1}, needs: c}
  - {id: b, uses: scan, with: {depth: 1}, needs: a}
  - {id: c, uses: scan, with: {depth: 1}, needs: b}
  - {id: d, uses: scan, with: {depth: 1}, needs: [a, e]}
  - {id: e, uses: scan, with: {depth: 1}, needs: d}
",
        &[
            "2:43: steps wait for each other: a needs c needs b needs a",
            "5:43: steps wait for each other: d needs e needs d",
        ],
    );
}

#[test]
fn a_template_can_only_use_what_is_there_by_then() {
    plan(
        "\
steps:
  - id: a
    uses: scan
    with: {depth: '{{ steps.b.findings }}'}
  - id: b
    uses: scan
    needs: a
    if: steps.a.finding > 0
    with:
      depth: '{{ params.deph }}'
      paths: ['{{ item }}', '{{ now() }}', '{{ steps.a.by_severity.hihg }}', '{{ steps.z.status }}', '{{ target.path }}']
  - id: c
    uses: scan
    needs: a
    for_each: {items: [1], as: steps}
    with: {depth: '{{ steps }}'}
",
        &[
            "4:19: the template uses the step `b`, which may not have ended by then (add `b` to `needs`)",
            "8:9: `steps.a` has no `finding` (did you mean `findings`?)",
            "10:14: the workflow has no parameter `deph` (did you mean `depth`?)",
            "11:15: a template cannot use `item` (known: params, steps, target)",
            "11:29: a template cannot use `now` (known: params, steps, target)",
            "11:44: `steps.a.by_severity` has no `hihg` (did you mean `high`?)",
            "11:78: there is no step `z` (did you mean `a`?)",
            "11:102: `target` has no `path` (known: id, name)",
            "15:32: the variable `steps` would hide another (call it `item`)",
            "16:19: a template must name the step that it uses (write `steps.<id>`)",
        ],
    );
}

#[test]
fn wrong_templates_are_found_in_their_line() {
    plan(
        "\
steps:
  - id: a
    uses: scan
    if: params.depth >
    with:
      depth: '{{ params.depth'
      mode: '{{ params.depth | uper }}'
      paths:
        - |
          one
          two {{ params.depth + }}
          three
        - '{% for x in y %}{{ x }}{% endfor %}'
        - '{{ }}'
        - '{{ \"a\" * 100000000 }}'
  - id: b
    uses: scan
    if: params.depth is bigg
    with: {depth: 1}
",
        &[
            "4:9: in the condition: unexpected end of input, expected expression",
            "6:14: in the template: unexpected end of input, expected end of variable block",
            "7:13: in the template: there is no filter `uper` (did you mean `upper`?)",
            "11:1: in the template: unexpected end of variable block",
            "13:11: in the template: statements (`{% ... %}`) are not supported here, only expressions (`{{ ... }}`)",
            "14:11: in the template: the expression is empty",
            "15:11: in the template: text cannot be multiplied",
            "18:9: in the condition: there is no test `bigg`",
        ],
    );
}

#[test]
fn the_literal_part_of_a_configuration_is_checked_against_its_module() {
    plan(
        "\
steps:
  - id: a
    uses: scan
    with: {mode: depe, pahts: [], depth: 0}
  - id: b
    uses: scan
    with:
      mode: '{{ params.depth }}'
      paths: ['{{ params.depth }}', 3]
",
        &[
            "4:12: `with.mode` must be one of `quick`, `deep`, not `depe` (module `scan`) (did you mean `deep`?)",
            "4:24: `with.pahts` is not known (module `scan`) (did you mean `paths`?)",
            "4:35: `with.depth` must be 1 or more (module `scan`)",
            "8:7: `with.depth` is required (module `scan`)",
            "9:37: `with.paths[1]` must be text, not 3 (module `scan`)",
        ],
    );
}

#[test]
fn ids_durations_and_fan_outs_are_checked() {
    plan(
        "\
steps:
  - {id: My-Step, uses: scan, with: {depth: 1}, timeout: 10 minutes}
  - {id: a, uses: scan, with: {depth: 1}, timeout: 0s, retry: 0}
  - {id: b, uses: scan, with: {depth: 1}, for_each: {items: 3, max_items: 1000}}
  - {id: c, uses: scan, with: {depth: 1}, for_each: {items: [1, 2, 3], max_items: 2, max_parallel: 0, as: 'a b'}}
  - {id: d, uses: scan, with: {depth: 1}, continue_on_error: maybe, vertical: A b}
  - nothing
",
        &[
            "2:10: `My-Step` cannot be the id of a step (templates name the step by its id: write `my_step`)",
            "2:58: `timeout`: `10 minutes` is not a duration: write a number and a unit, such as 500ms, 30s, 10m, 2h or 1h30m",
            "3:52: `timeout` must be longer than nothing",
            "3:63: `retry` must be a whole number from 1 to 1000, not 0",
            "4:61: the items of `for_each` must be a list, not the number 3 (or an expression that yields one: \"{{ params.names }}\")",
            "4:75: `max_items` must be a whole number from 1 to 256, not 1000",
            "5:61: 3 items are more than `max_items` (2)",
            "5:100: `max_parallel` must be a whole number from 1 to 256, not 0",
            "5:107: `a b` cannot be the name of a variable",
            "6:62: `continue_on_error` must be true or false, not `maybe`",
            "6:79: `A b` cannot be the name of a vertical (a name has lowercase letters, digits, `-` and `_`)",
            "7:5: a step must be a mapping, not `nothing`",
        ],
    );
}

#[test]
fn text_that_is_not_yaml_says_where() {
    plan(
        "steps:\n  - id: a\n   uses: b\n",
        &["3:4: not valid YAML: while parsing a block collection, did not find expected '-' indicator"],
    );
    plan("", &["1:1: a workflow must be a mapping, not nothing"]);
    plan(
        "steps: []\n",
        &["1:8: `steps` is empty: a workflow has at least one step"],
    );
    plan("steps: {}\n", &["1:8: `steps` must be a list of steps, not a mapping"]);
    plan(
        "steps:\n  - {id: a, id: b, uses: scan, with: {depth: 1, depth: 2}}\n",
        &[
            "2:13: the key `id` is here twice (the first is in line 2)",
            "2:49: the key `depth` is here twice (the first is in line 2)",
        ],
    );
}

#[test]
fn every_problem_of_the_metadata_is_found_at_once() {
    metadata(
        "\
name: flwo
version: 1.0
autor: me
tags: secrets
vertical: Rust!
workspace_isolation: isolate
requirements:
  tools: [semgrep, 3]
  resources: {memory: lots, cpu: 500m, timeout: 1800}
default_parameters:
  depth: deep
parameters:
  type: object
  properties:
    depth: {type: intger}
    wide: {type: integer, default: very}
",
        &[
            "1:1: the metadata of a workflow has no `description`",
            "1:7: the name is `flwo` but the folder is `flow` (make them the same)",
            "2:10: `version` must be text, not the number 1.0 (put it in quotes: \"1.0\")",
            "3:1: the metadata of a workflow has no key `autor` (did you mean `author`?)",
            "4:7: `tags` must be a list of texts, not `secrets`",
            "5:11: `Rust!` cannot be the name of a vertical (a name has lowercase letters, digits, `-` and `_`)",
            "6:22: `isolate` is not a kind of workspace isolation (did you mean `isolated`?)",
            "8:20: an item of `tools` must be text, not the number 3 (put it in quotes: \"3\")",
            "9:23: `memory`: `lots` is not a quantity (units: k, Ki, M, Mi, G, Gi, T, Ti)",
            "15:19: `parameters` is not a valid JSON Schema: `properties.depth.type` \"intger\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        ],
    );
}

#[test]
fn defaults_must_fit_their_own_schema() {
    metadata(
        "\
name: flow
version: '1'
description: Flows.
default_parameters:
  depth: deep
  none: null
parameters:
  type: object
  required: [must]
  properties:
    must: {type: string}
    none: {type: string}
    depth: {type: integer}
    wide: {type: integer, default: very}
",
        &[
            "5:10: the default of `depth` must be an integer, not `deep`",
            "14:36: the default of `wide` must be an integer, not `very`",
        ],
    );
}

#[test]
fn keys_of_existing_metadata_files_are_understood() {
    metadata(
        "\
name: flow
version: \"2.0.0\"
vertical: rust
description: \"Scans.\"
author: \"Somebody\"
category: \"comprehensive\"
tags: [\"security\"]
supported_volume_modes: [\"ro\", \"rw\"]
default_volume_mode: \"ro\"
default_target_path: \"/workspace\"
workspace_isolation: copy-on-write
requirements:
  tools: [\"cargo-fuzz\"]
  resources: {memory: \"512Mi\", cpu: \"500m\", timeout: 1800}
  environment: {python: \"3.11\"}
has_docker: true
default_parameters: {target_name: null, sanitizer: address}
parameters:
  type: object
  properties:
    target_name: {type: string}
    sanitizer: {type: string, enum: [address, memory]}
output_schema: {type: object}
",
        &[],
    );
}

#[test]
fn one_broken_workflow_does_not_hide_the_others() {
    let files = [
        ("modules/scan/module.yaml", MODULE),
        ("modules/broken/module.yaml", "name: broken\n"),
        ("workflows/flow/metadata.yaml", METADATA),
        (
            "workflows/flow/workflow.yaml",
            "steps: [{id: a, uses: scan, with: {depth: 1}}]\n",
        ),
        (
            "workflows/other/metadata.yaml",
            "name: other\nversion: '1'\ndescription: d\n",
        ),
        ("workflows/other/workflow.yaml", "steps: [{id: a, uses: broken}]\n"),
        (
            "workflows/half/metadata.yaml",
            "name: half\nversion: '1'\ndescription: d\n",
        ),
    ];
    let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let loaded = Toolbox::load(&[layer]);
    let names: Vec<&str> = loaded.toolbox.workflows().map(|w| w.metadata.name.as_str()).collect();
    assert_eq!(names, ["flow"]);
    let shown: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "box/modules/broken/module.yaml:1:1: a module has no `description`",
            "box/modules/broken/module.yaml:1:1: a module has no `kind`",
            "box/modules/broken/module.yaml:1:1: a module has no `version`",
            "box/workflows/half/workflow.yaml:1:1: the folder `half` has no workflow.yaml (a workflow that is code has a workflow.wasm instead: build it)",
            "box/workflows/other/workflow.yaml:1:23: the module `broken` is broken: see the problems of its files, which `helve toolbox check` lists",
        ]
    );
    let error = loaded.toolbox.workflow("other").unwrap_err().to_string();
    assert!(
        error.starts_with("the workflow `other` cannot be used:\n  box/workflows/other/workflow.yaml:1:23:"),
        "{error}"
    );
    assert_eq!(
        loaded.toolbox.workflow("flwo").unwrap_err().to_string(),
        "there is no workflow `flwo`; did you mean `flow`?"
    );
    assert_eq!(
        loaded.toolbox.workflow("zzzzzz").unwrap_err().to_string(),
        "there is no workflow `zzzzzz`; did you mean `flow`?"
    );
}
