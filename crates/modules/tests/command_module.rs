//! Modules of kind `command`, with small scripts in the place of tools.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use helve_findings::{Severity, Status};
use helve_modules::command::{Defaults, Host, Search, Unconfined, load};
use helve_modules::{Allowed, Context, ModuleError, Output};
use helve_toolbox::{Bundle, ModuleManifest};
use serde_json::{Value, json};

const HEAD: &str = "name: scan\nversion: '1'\ndescription: d\nkind: command\n";
const LINES: &str = "output: {format: lines, pattern: '^(?P<path>[^:]+):(?P<line>\\d+):(?P<severity>\\w+):(?P<rule>\\w+):(?P<message>.*)$'}\n";

/// A machine with one tool called `scan`, and a workspace with one file.
struct Machine {
    dir: tempfile::TempDir,
    cancelled: AtomicBool,
    allowed: Allowed,
}

impl Machine {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["bin", "scratch", "work"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let tool = dir.path().join("bin/scan");
        fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(dir.path().join("work/a.py"), "import os\n    eval(x)\n").unwrap();
        Self {
            dir,
            cancelled: AtomicBool::new(false),
            allowed: Allowed::default(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn run(&self, module: &str, config: Value) -> Result<Output, ModuleError> {
        let files = [
            ("module.yaml".to_owned(), format!("{HEAD}{module}")),
            ("rules/one.txt".to_owned(), "rule\n".to_owned()),
        ];
        let bundle = Bundle {
            files: files.into(),
            component: None,
        };
        let manifest = ModuleManifest::of_bundle("scan", &bundle).unwrap();
        let search = Search {
            tools: None,
            path: vec![self.path().join("bin"), "/usr/bin".into(), "/bin".into()],
            home: Some(self.path().join("home")),
        };
        let host = Host::new(search, self.path().join("scratch"), Box::new(Unconfined));
        let module = load(&manifest, bundle, Defaults::default(), Arc::new(host)).unwrap();
        let workspace = self.path().join("work");
        let context = Context {
            workspace: &workspace,
            progress: &|_| {},
            cancelled: &self.cancelled,
            allowed: &self.allowed,
        };
        let output = module.execute(&context, &config);
        let left = fs::read_dir(self.path().join("scratch")).unwrap().count();
        assert_eq!(left, 0, "nothing is left in the scratch folder");
        output
    }
}

fn reason(output: &Output) -> &str {
    match &output.report.status {
        Status::Inconclusive { reason } => reason,
        Status::Completed => panic!("it claims to have looked at everything"),
    }
}

fn module(rest: &str) -> String {
    format!("tool: {{program: scan}}\n{LINES}{rest}")
}

#[test]
fn lines_become_findings_with_place_severity_and_rule() {
    let machine = Machine::new("echo './a.py:2:error:EVAL:evaluates input'; exit 1");
    let rules = "rules: [{id: EVAL, name: Eval, severity: low, cwe: [95], remediation: do not}]\nexit_codes: [0, 1]\n";
    let output = machine.run(&module(rules), Value::Null).unwrap();
    assert_eq!(output.report.status, Status::Completed);
    let [finding] = output.report.findings.as_slice() else {
        panic!("one finding: {:?}", output.report.findings)
    };
    assert_eq!(finding.rule_id, "scan/EVAL");
    assert_eq!(
        finding.severity,
        Severity::High,
        "what the tool says goes before what the rule says"
    );
    assert_eq!(finding.location.path, "a.py");
    let region = finding.location.region.unwrap();
    assert_eq!((region.start(), region.end()), ((2, 1), (2, 12)));
    assert_eq!(finding.anchor, helve_findings::code_anchor("eval(x)"));
    assert_eq!(output.report.rules[0].cwe, [95]);
    assert_eq!(output.summary["findings"], 1);
}

#[test]
fn a_run_names_files_of_the_machine_only_where_its_owner_allows_it() {
    let mut machine = Machine::new("cat \"$1\"");
    for folder in ["work", "rules", "private"] {
        fs::create_dir_all(machine.path().join(folder)).unwrap();
        fs::write(
            machine.path().join(folder).join("r"),
            "./a.py:2:error:EVAL:evaluates input\n",
        )
        .unwrap();
    }
    std::os::unix::fs::symlink(machine.path().join("private"), machine.path().join("work/way-out")).unwrap();
    machine.allowed = Allowed::new([machine.path().join("rules")]);
    let rest = "args: ['{{ config.rules }}']\nreads: ['{{ config.rules }}']\n\
                config_schema: {type: object, properties: {rules: {type: string}}}\n";
    let absolute = |path: &str| machine.path().join(path).to_string_lossy().into_owned();
    for rules in ["r".to_owned(), absolute("rules/r")] {
        let output = machine.run(&module(rest), json!({"rules": rules})).unwrap();
        assert_eq!(output.report.findings.len(), 1, "{rules}");
    }
    for rules in [absolute("private/r"), "way-out/r".to_owned(), "../private/r".to_owned()] {
        let refused = machine.run(&module(rest), json!({"rules": rules})).unwrap_err();
        assert!(!refused.is_retryable());
        let said = refused.to_string();
        assert!(said.contains("`reads[0]`") && said.contains("--allow-read"), "{said}");
    }
}

#[test]
fn a_tool_that_finds_nothing_and_says_nothing_odd_is_clean() {
    let output = Machine::new("exit 0").run(&module(""), Value::Null).unwrap();
    assert_eq!(output.report.status, Status::Completed);
    assert!(output.report.notifications.is_empty());
}

#[test]
fn a_tool_that_is_missing_or_unfit_is_inconclusive_and_says_how_to_get_it() {
    let machine = Machine::new("echo scan 1.2");
    let absent = machine
        .run(
            &module("").replace("program: scan", "program: absent-tool"),
            Value::Null,
        )
        .unwrap();
    assert_eq!(
        reason(&absent),
        "`absent-tool` is not installed; `helve verticals doctor` says how to get it"
    );
    let probed = |range: &str| {
        let tool = format!("program: scan, probe: {{pattern: 'scan (\\S+)'}}, version: '{range}'");
        machine
            .run(&module("").replace("program: scan", &tool), Value::Null)
            .unwrap()
    };
    assert!(reason(&probed(">=2")).starts_with("`scan` 1.2 is too old: it must be >=2"));
    // Here it prints its version instead of findings.
    assert!(reason(&probed(">=1")).contains("a line that is not understood: scan 1.2"));
}

#[test]
fn a_tool_is_asked_for_its_version_where_it_runs_whoever_wrote_the_question() {
    let machine =
        Machine::new("case \"$HOME $PWD\" in */scratch/*/scratch/*) echo 2.0 ;; *) echo \"ran in $PWD\" ;; esac");
    let tool = "tool: {program: scan, probe: {args: [-c, x], pattern: '^(\\d\\S*)'}, version: '>=2'}\n";
    // Looking at the target, it is in the target.
    let output = machine.run(&format!("{tool}{LINES}"), Value::Null).unwrap();
    assert!(
        reason(&output).contains("a line that is not understood: ran in "),
        "{}",
        reason(&output)
    );
    assert_eq!(output.summary["tool_version"], "2.0");
}

#[test]
fn whatever_keeps_a_tool_from_looking_is_inconclusive_and_keeps_what_was_found() {
    let found = "echo 'a.py:1:low:R:m'";
    for (script, extra, expected) in [
        ("exit 7", "", "scan ended with code 7"),
        ("echo bad news >&2; exit 2", "", "scan ended with code 2: bad news"),
        (
            "exit 3",
            "inconclusive_exit_codes: {3: some files failed}\n",
            "scan ended with code 3: some files failed",
        ),
        ("kill -9 $$", "", "scan was killed by signal 9"),
        (
            "sleep 60",
            "limits: {time: 300ms}\n",
            "scan was stopped: its limit of wall time was reached",
        ),
        (
            "yes 'a.py:1:low:R:m'",
            "limits: {output: 100k, time: 1m}\n",
            "scan was stopped: its limit of output size was reached",
        ),
        (
            "echo 'skipped b.py' >&2",
            "gaps: [{from: stderr, pattern: ^skipped}]\n",
            "scan said: skipped b.py",
        ),
        ("echo oops", "", "scan said: a line that is not understood: oops"),
        (
            "echo '/etc/passwd:1:low:R:m'",
            "",
            "1 results of scan are about files outside of the target",
        ),
    ] {
        // The output bound is reached only if the tool goes on after it.
        let script = match script.starts_with("yes") {
            true => "yes 'a.py:1:low:R:m' | head -c 200000".to_owned(),
            false => format!("{found}\n{script}"),
        };
        let output = Machine::new(&script).run(&module(extra), Value::Null).unwrap();
        assert!(reason(&output).starts_with(expected), "{script}: {}", reason(&output));
        assert!(!output.report.findings.is_empty(), "{script}");
        assert!(!output.report.notifications.is_empty(), "{script}");
    }
}

#[test]
fn a_tool_that_writes_nothing_where_it_should_is_quoted() {
    let machine = Machine::new("echo 'error: no database' >&2; echo 'that is all' >&2; exit 1");
    for format in ["sarif", "json, items: a, fields: {message: m}", "junit"] {
        let text = format!("tool: {{program: scan}}\nexit_codes: [0, 1]\noutput: {{format: {format}}}\n");
        let output = machine.run(&text, Value::Null).unwrap();
        assert_eq!(
            reason(&output),
            "the output of scan cannot be read: there is none: error: no database",
            "{format}"
        );
    }
}

#[test]
fn an_output_that_cannot_be_read_is_inconclusive() {
    let machine = Machine::new("echo 'Traceback (most recent call last):'");
    for output in [
        "{format: sarif}",
        "{format: junit}",
        "{file: absent.sarif, format: sarif}",
    ] {
        let text = format!("tool: {{program: scan}}\noutput: {output}\n");
        let output = machine.run(&text, Value::Null).unwrap();
        assert!(
            reason(&output).starts_with("the output of scan cannot be read:"),
            "{}",
            reason(&output)
        );
    }
}

#[test]
fn arguments_reach_the_tool_as_they_are_and_lists_become_several() {
    let machine = Machine::new(
        r#"for arg in "$@"; do echo "$arg" >> "$OUT/args"; done; cp "$FILES/rules/one.txt" "$OUT/kept.txt"; pwd > "$OUT/pwd""#,
    );
    let text = module(
        "args: ['{{ config.text }}', '{{ config.paths }}', '{{ config.absent }}', 'n={{ config.depth }}', '$(id)', '*']\n\
         env: {OUT: '{{ out }}', FILES: '{{ files }}'}\n\
         artifacts: [{file: '*s'}, {file: kept.txt, media_type: text/plain}, {file: pwd}]\n\
         config_schema: {type: object, additionalProperties: false, properties: {text: {type: string}, paths: {type: array}, \
         absent: {type: string}, depth: {type: integer, default: 3}}}\n",
    );
    let config = json!({"text": "a b; rm -rf /", "paths": ["x y", "z"]});
    let output = machine.run(&text, config).unwrap();
    assert_eq!(
        output.report.status,
        Status::Completed,
        "{:?}",
        output.report.notifications
    );
    let artifact = |name: &str| {
        let found = output.artifacts.iter().find(|artifact| artifact.name == name);
        String::from_utf8(found.unwrap_or_else(|| panic!("no artifact {name}")).bytes.clone()).unwrap()
    };
    assert_eq!(artifact("args"), "a b; rm -rf /\nx y\nz\nn=3\n$(id)\n*\n");
    assert_eq!(artifact("kept.txt"), "rule\n");
    assert_eq!(
        Path::new(artifact("pwd").trim()),
        machine.path().join("work").canonicalize().unwrap()
    );
    let wrong = machine.run(&text, json!({"depht": 1})).unwrap_err();
    assert!(
        matches!(&wrong, ModuleError::Config { field, .. } if field == "depht"),
        "{wrong}"
    );
}

#[test]
fn a_cancelled_tool_is_killed_with_everything_it_started() {
    let machine = Machine::new("sleep 300 & echo $! > \"$OUT\"; wait");
    let pid = machine.path().join("pid");
    let text = module(&format!("env: {{OUT: '{}'}}\n", pid.display()));
    let outcome = std::thread::scope(|scope| {
        let run = scope.spawn(|| machine.run(&text, Value::Null));
        while fs::read_to_string(&pid).unwrap_or_default().trim().is_empty() {
            std::thread::yield_now();
        }
        machine.cancelled.store(true, Ordering::Relaxed);
        run.join().unwrap()
    });
    assert!(matches!(outcome, Err(ModuleError::Cancelled)), "{outcome:?}");
    let child = fs::read_to_string(&pid).unwrap();
    let status = Path::new("/proc").join(child.trim()).join("stat");
    // A killed orphan may wait for its new parent to collect it.
    let state = fs::read_to_string(status).unwrap_or_default();
    let state = state.rsplit_once(')').map(|(_, rest)| rest.trim().chars().next());
    assert!(matches!(state, None | Some(Some('Z' | 'X'))), "{state:?}");
}

#[test]
fn a_credential_that_a_tool_quotes_does_not_reach_the_report() {
    let machine = Machine::new("echo \"a.py:1:high:B105:Possible hardcoded password: 'hunter2'\"");
    let text = module("rules: [{id: B105, cwe: [259]}]\n");
    let output = machine.run(&text, Value::Null).unwrap();
    let report = serde_json::to_string(&output.report).unwrap();
    assert!(
        report.contains("hardcoded password") && !report.contains("hunter2"),
        "{report}"
    );
}

/// A "fuzzer" that `before` builds, two crashes of one stack that it leaves, and a replay that tells of them.
const FUZZING: &str = r#"
tool: {program: scan}
before:
  - {program: cp, args: ["{{ workspace }}/harness.sh", "{{ out }}/harness"], failure: the harness does not build}
  - {program: chmod, args: ["755", "{{ out }}/harness"], failure: the harness does not build}
run: harness
args: [fuzz, "{{ out }}"]
replay: {each: "crashes/*", run: harness, args: [show, "{{ input }}"]}
facts:
  executions: {from: stdout, pattern: 'executions: (\d+)', missing: it made no execution}
output: {from: stderr, format: crashes}
artifacts: [{file: "crashes/*"}]
"#;
const HARNESS: &str = r#"#!/bin/sh
case "$1" in
fuzz) mkdir "$2/crashes"; echo boom >"$2/crashes/a"; echo boom >"$2/crashes/b"; echo executions: 12; echo executions: 40 ;;
show) test "$(cat "$2")" = boom && printf '==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\nREAD of size 1\n    #0 0x1 in free_me %s/a.py:2:5\n\n' "$PWD" >&2; exit 1 ;;
esac
"#;

fn fuzzing(harness: &str) -> Output {
    let machine = Machine::new("exit 9");
    fs::write(machine.path().join("work/harness.sh"), harness).unwrap();
    machine.run(FUZZING, Value::Null).unwrap()
}

#[test]
fn crashes_with_one_stack_are_one_finding_with_all_inputs_and_the_inputs_are_kept() {
    let output = fuzzing(HARNESS);
    assert_eq!(output.report.status, Status::Completed);
    let [finding] = output.report.findings.as_slice() else {
        panic!("one finding: {:?}", output.report.findings)
    };
    assert_eq!(finding.rule_id, "scan/heap-use-after-free");
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.location.path, "a.py");
    assert_eq!(finding.properties["inputs"], json!(["crashes/a", "crashes/b"]));
    assert_eq!(finding.properties["stack"].as_str().map(str::len), Some(16));
    assert_eq!(output.report.rules[0].cwe, [416]);
    assert_eq!(output.summary["executions"], 40, "the last line counts");
    let kept: Vec<&str> = output.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(kept, ["crashes/a", "crashes/b"]);
}

#[test]
fn a_harness_that_does_not_build_is_inconclusive() {
    let output = Machine::new("exit 9").run(FUZZING, Value::Null).unwrap();
    assert!(
        reason(&output).starts_with("the harness does not build"),
        "{}",
        reason(&output)
    );
}

#[test]
fn a_fuzzer_that_made_no_execution_is_inconclusive() {
    let output = fuzzing(&HARNESS.replace("echo executions: 12; echo executions: 40", "echo nothing"));
    assert!(reason(&output).contains("it made no execution"), "{}", reason(&output));
}

#[test]
fn a_crash_that_does_not_come_again_is_kept_and_inconclusive() {
    let output = fuzzing(&HARNESS.replace("echo boom >\"$2/crashes/b\"", "echo calm >\"$2/crashes/b\""));
    assert!(
        reason(&output).contains("`crashes/b` shows nothing"),
        "{}",
        reason(&output)
    );
    assert_eq!((output.report.findings.len(), output.artifacts.len()), (1, 2));
}

#[test]
fn a_tool_sees_of_its_owners_folders_what_the_module_names() {
    let machine = Machine::new("echo \"$SCAN_HOME $1 $#\" >&2; exit 0");
    fs::create_dir_all(machine.path().join("home/.scan/rules")).unwrap();
    let homes =
        "tool: {program: scan, homes: {SCAN_HOME: {at: .scan, read: [rules]}, NO_HOME: {at: .none, read: [x]}}}\n";
    let args = "args: ['{{ homes.SCAN_HOME }}', '{{ homes.NO_HOME }}']\n";
    let fact = "facts: {home: {from: stderr, pattern: '(.+)'}}\n";
    let output = machine
        .run(&format!("{homes}{args}{LINES}{fact}"), Value::Null)
        .unwrap();
    let home = machine.path().join("home/.scan").display().to_string();
    assert_eq!(
        output.summary["home"],
        json!(format!("{home} {home} 1")),
        "what is not there is no argument"
    );
}

#[test]
fn a_library_that_its_interpreter_does_not_have_is_a_missing_tool() {
    let machine = Machine::new("echo ModuleNotFoundError >&2; exit 1");
    let tool = "tool: {name: library, program: scan, probe: {args: [-c, x], pattern: '^(\\d+)$'}}\n";
    let output = machine.run(&format!("{tool}{LINES}"), Value::Null).unwrap();
    assert!(
        reason(&output).starts_with("`library` is not installed"),
        "{}",
        reason(&output)
    );
}
