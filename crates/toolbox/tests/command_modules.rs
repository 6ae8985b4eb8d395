//! What is wrong with a module of kind `command` is found when it is loaded.

use helve_toolbox::{Layer, Toolbox};

const WHOLE: &str = "\
name: scan
version: '1'
description: d
kind: command
tool: {program: scan}
args: [-d, '{{ config.depth }}']
output: {format: lines, pattern: '(?P<message>.*)'}
config_schema:
  type: object
  properties:
    depth: {type: integer, default: 1}
";

fn problems(text: &str) -> Vec<String> {
    let layer = Layer::memory("box", [("modules/scan/module.yaml".to_owned(), text.to_owned())]);
    let problems = Toolbox::load(&[layer]).problems;
    let prefix = "box/modules/scan/module.yaml:";
    problems.iter().map(|p| p.to_string().replacen(prefix, "", 1)).collect()
}

#[track_caller]
fn changed(from: &str, to: &str, expected: &[&str]) {
    assert!(WHOLE.contains(from), "{from}");
    assert_eq!(problems(&WHOLE.replace(from, to)), expected, "{to}");
}

#[test]
fn every_mistake_names_its_place_and_a_way_out() {
    assert_eq!(problems(WHOLE), Vec::<String>::new());
    changed(
        "program: scan",
        "program: /usr/bin/scan",
        &[
            "5:17: `/usr/bin/scan` is not the name of a program (write the name alone: it is looked up in the tools that \
           Helve installed and in PATH)",
        ],
    );
    changed(
        "config.depth }}",
        "config.dept }}",
        &["6:12: the configuration has no `dept` (did you mean `depth`?)"],
    );
    changed(
        "config.depth }}",
        "params.depth }}",
        &["6:12: a command cannot use `params` (known: config, workspace, out, files, homes)"],
    );
    changed(
        "format: lines",
        "format: sarfi",
        &["7:18: `sarfi` is not a format of findings (did you mean `sarif`?)"],
    );
    changed(
        "format: lines",
        "format: sarif",
        &["7:25: the format `sarif` has no `pattern`"],
    );
    changed(
        "(?P<message>.*)",
        "(?P<mesage>.*)",
        &[
            "7:34: a finding has no `mesage`, which the pattern names (did you mean `message`?)",
            "7:34: a finding needs at least a `message` (known: rule, message, path, line, column, end_line, end_column, \
             severity, confidence, cwe)",
        ],
    );
    changed(
        "program: scan",
        "program: scan, version: '>=1'",
        &[
            "5:23: the version cannot be checked without a `probe` (add `probe: {args: [--version], pattern: '(\\d[\\d.]*)'}`)",
        ],
    );
    changed(
        "args: [-d, '{{ config.depth }}']",
        "args: scan -d 1",
        &["6:7: `args` must be a list, not `scan -d 1` (there is no shell: each argument is an item of its own)"],
    );
    changed(
        "kind: command",
        "kind: comand",
        &["4:7: `comand` is not a kind of module (did you mean `command`?)"],
    );
}

#[test]
fn a_regular_expression_that_does_not_compile_says_why() {
    let found = problems(&WHOLE.replace("(?P<message>.*)", "(?P<message>.*"));
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("7:34: `pattern` is not a regular expression: unclosed group"),
        "{found:?}"
    );
}
