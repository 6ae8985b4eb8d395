use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use helve_blobs::{BlobStore, Control, PackOptions, UnpackLimits, pack};
use helve_findings::{Confidence, Finding, Location, ModuleReport, Rule, Severity};
use helve_modules::{Artifact, Metadata, Module, ModuleError, Output, Progress};
use helve_toolbox::run::{Isolation, TargetRef};
use serde_json::{Map, Value};

use super::*;

type Behaviour = fn(&Context<'_>) -> Result<Output, ModuleError>;

/// A module that does what the test says, and remembers where it ran.
struct Scripted {
    metadata: Metadata,
    behaviour: Behaviour,
    workspace: Mutex<PathBuf>,
}

impl Module for Scripted {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn execute(&self, cx: &Context<'_>, _config: &Value) -> Result<Output, ModuleError> {
        *self.workspace.lock().unwrap() = cx.workspace.to_owned();
        (self.behaviour)(cx)
    }
}

struct Fixture {
    runner: StepRunner,
    module: Arc<Scripted>,
    input: StepInput,
    watch: Watch,
    dir: tempfile::TempDir,
}

fn fixture(behaviour: Behaviour) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("app");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("main.py"), "print(1)\n").unwrap();
    let blobs = BlobStore::open(dir.path().join("blobs")).unwrap();
    let packed = pack(&source, &PackOptions::default(), &blobs, &Control::none()).unwrap();
    let metadata = Metadata {
        name: "scripted".into(),
        version: "1".into(),
        description: String::new(),
        config_schema: Value::Null,
        outputs: Default::default(),
    };
    let module = Arc::new(Scripted {
        metadata,
        behaviour,
        workspace: Mutex::default(),
    });
    let workspaces = Workspaces::open(&dir.path().join("work"), blobs.clone(), UnpackLimits::default(), 0).unwrap();
    let runner = StepRunner {
        modules: Modules::with("scripted", module.clone(), blobs.clone()),
        workspaces,
        blobs,
        limits: Limits {
            findings_per_step: 2,
            artifacts_per_step: 1,
            ..Limits::default()
        },
        reads: Box::new(|_| Vec::new()),
    };
    let input = StepInput {
        step: "scan".into(),
        module: "scripted".into(),
        version: None,
        target: Some(TargetRef {
            id: packed.id.to_string(),
            name: "app".into(),
        }),
        config: Value::Null,
        isolation: Isolation::Isolated,
    };
    Fixture {
        runner,
        module,
        input,
        watch: Watch::default(),
        dir,
    }
}

impl Fixture {
    fn run(&self) -> Result<StepOutput, StepError> {
        self.runner.run("run-1", 1, &self.input, &self.watch)
    }

    fn workspace(&self) -> PathBuf {
        self.module.workspace.lock().unwrap().clone()
    }
}

fn output(report: ModuleReport, artifacts: Vec<Artifact>) -> Output {
    Output {
        report,
        summary: Map::new(),
        artifacts,
    }
}

fn report(severities: &[Severity]) -> ModuleReport {
    let mut report = ModuleReport::new("scripted", "1");
    for (n, severity) in severities.iter().enumerate() {
        let rule = Rule {
            id: "scripted/x".into(),
            name: String::new(),
            description: String::new(),
            severity: *severity,
            confidence: Confidence::High,
            cwe: vec![],
            tags: vec![],
            remediation: String::new(),
            references: vec![],
        };
        report.findings.push(Finding::new(
            &rule,
            "scripted",
            "m",
            Location::file(format!("f{n}")),
            "a",
        ));
    }
    report
}

#[test]
fn a_step_sees_its_target_reports_by_reference_and_leaves_no_workspace() {
    let fixture = fixture(|cx| {
        assert_eq!(fs::read_to_string(cx.workspace.join("main.py")).unwrap(), "print(1)\n");
        (cx.progress)(Progress {
            done: 1,
            total: Some(1),
            unit: "files",
            message: None,
        });
        Ok(output(report(&[Severity::High, Severity::Low]), vec![]))
    });
    let done = fixture.run().unwrap();
    assert_eq!((done.findings, done.status), (2, StepStatus::Completed));
    assert_eq!(
        done.by_severity,
        BTreeMap::from([("high".to_owned(), 1), ("low".to_owned(), 1)])
    );
    let stored = fixture
        .runner
        .blobs
        .get(&done.report.unwrap().id.parse().unwrap())
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<ModuleReport>(&stored).unwrap().findings.len(),
        2
    );
    assert_eq!(fixture.watch.progress.get().unwrap().done, 1);
    assert!(!fixture.workspace().exists());
}

#[test]
fn a_panic_is_a_failure_of_the_step_and_cleans_up() {
    let fixture = fixture(|_| panic!("index {} out of range", 3));
    let error = fixture.run().unwrap_err();
    assert_eq!(error.to_string(), "module `scripted` panicked: index 3 out of range");
    assert!(!error.is_retryable());
    assert!(!fixture.workspace().exists());
}

#[test]
fn cancellation_reaches_the_module_and_is_no_failure() {
    let fixture = fixture(|cx| cx.check_cancelled().map(|()| output(report(&[]), vec![])));
    fixture.watch.cancelled.store(true, Ordering::Relaxed);
    assert!(fixture.run().unwrap_err().is_cancellation());
}

#[test]
fn a_target_that_is_not_there_may_still_come() {
    let mut fixture = fixture(|_| Ok(output(report(&[]), vec![])));
    fixture.input.target = Some(TargetRef {
        id: "0".repeat(64),
        name: "gone".into(),
    });
    assert!(fixture.run().unwrap_err().is_retryable());
    fixture.input.target = Some(TargetRef {
        id: "../../etc".into(),
        name: "evil".into(),
    });
    assert!(
        !fixture.run().unwrap_err().is_retryable(),
        "an id that is none never becomes one"
    );
}

#[test]
fn beyond_the_limit_the_least_severe_findings_go_and_the_step_says_so() {
    let fixture = fixture(|_| {
        Ok(output(
            report(&[Severity::Low, Severity::Critical, Severity::Note, Severity::High]),
            vec![],
        ))
    });
    let done = fixture.run().unwrap();
    assert_eq!(
        done.by_severity,
        BTreeMap::from([("critical".to_owned(), 1), ("high".to_owned(), 1)])
    );
    assert_eq!(done.notifications, 1);
    let StepStatus::Inconclusive { reason } = done.status else {
        panic!("a cut report is not complete")
    };
    assert!(
        reason.starts_with("4 findings are more than a step may report (2): the 2 least severe"),
        "{reason}"
    );
}

#[test]
fn who_finds_nothing_in_a_target_without_files_has_not_looked() {
    let (nothing, something): (Behaviour, Behaviour) = (
        |_| Ok(output(report(&[]), vec![])),
        |_| Ok(output(report(&[Severity::High]), vec![])),
    );
    for (behaviour, is_clean) in [(nothing, false), (something, true)] {
        let mut fixture = fixture(behaviour);
        assert_eq!(fixture.run().unwrap().status, StepStatus::Completed, "there is a file");
        let empty = fixture.dir.path().join("empty/deep");
        fs::create_dir_all(&empty).unwrap();
        let blobs = &fixture.runner.blobs;
        let packed = pack(
            empty.parent().unwrap(),
            &PackOptions::default(),
            blobs,
            &Control::none(),
        )
        .unwrap();
        fixture.input.target.as_mut().unwrap().id = packed.id.to_string();
        let status = fixture.run().unwrap().status;
        assert_eq!(status == StepStatus::Completed, is_clean, "{status:?}");
        // Programs may look at what is no file.
        fixture.input.target = None;
        assert_eq!(fixture.run().unwrap().status, StepStatus::Completed);
    }
    let input = StepInput {
        module: "secrets".to_owned(),
        target: None,
        ..fixture(|_| unreachable!("it is not run")).input
    };
    let reason = super::nothing_there(&input, std::path::Path::new("/")).unwrap();
    assert!(reason.starts_with("the run has no target"), "{reason}");
}

#[test]
fn artifacts_beyond_the_limit_are_named_and_not_kept() {
    let fixture = fixture(|_| {
        let artifact = |name: &str| Artifact {
            name: name.into(),
            media_type: "text/plain".into(),
            bytes: vec![1],
        };
        Ok(output(report(&[]), vec![artifact("a"), artifact("b")]))
    });
    let done = fixture.run().unwrap();
    assert_eq!((done.artifacts.len(), done.notifications), (1, 1));
    assert_eq!(done.artifacts[0].name, "a");
}

/// Put together here, so that no scanner finds it in this file.
fn token() -> String {
    format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5")
}

#[test]
fn no_report_is_stored_with_a_secret_in_it_whichever_module_it_is_of() {
    let fixture = fixture(|cx| {
        (cx.progress)(Progress {
            done: 1,
            total: None,
            unit: "s",
            message: Some(format!("it says {}", token())),
        });
        let mut report = report(&[Severity::High]);
        let finding = &mut report.findings[0];
        finding.message = format!("`curl {}…` runs", &token()[..9]);
        finding.location = Location::file("main.py");
        finding.location.snippet = Some(format!("os.system('curl {}')", token()));
        fs::write(cx.workspace.join("main.py"), format!("os.system('curl {}')\n", token())).unwrap();
        report.status = Status::Inconclusive {
            reason: format!("it ended with {}", token()),
        };
        let mut said = output(report, vec![]);
        said.summary.insert("said".into(), token().into());
        Ok(said)
    });
    let done = fixture.run().unwrap();
    let id = done.report.as_ref().unwrap().id.parse().unwrap();
    let stored = String::from_utf8(fixture.runner.blobs.get(&id).unwrap()).unwrap();
    let progress = fixture.watch.progress.get().unwrap().message.unwrap();
    for text in [stored, format!("{done:?}"), progress] {
        assert!(!text.contains(&token()[..9]), "{text}");
        assert!(text.contains("ghp_********A5"), "{text}");
    }
}

#[test]
fn a_module_that_fails_does_not_tell_secrets() {
    let panics = fixture(|_| panic!("cannot use {}", token()));
    let fails = fixture(|_| Err(ModuleError::Internal(format!("cannot use {}", token()))));
    for fixture in [panics, fails] {
        let error = fixture.run().unwrap_err().to_string();
        assert!(error.ends_with("cannot use ghp_********A5"), "{error}");
    }
}
