//! Starts the components of modules of kind `wasm`.
//!
//! WASI is their sandbox: they see the workspace, read-only, the module's files, and two private folders. What a sandbox
//! around a process bounds is bounded here by the host of the component.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use helve_modules::command::{End, Job, Ran, RunError, Runner};
use helve_wasm::{Call, Folder, ProgramEnd, Programs};
use tokio::runtime::Handle;

/// How often a running component is looked at: how late a cancellation may be noticed.
const LOOK: Duration = Duration::from_millis(20);
/// How often its private folders are measured.
const MEASURE: Duration = Duration::from_millis(250);
/// Files that are looked at when they are measured; more than this is too many.
const MAX_FILES: u64 = 100_000;

/// Runs components in this process.
pub(crate) struct Components {
    /// Folder for compiled code, as in [`crate::WorkerOptions::compiled`].
    compiled: Option<PathBuf>,
    /// Made when the first step needs it: most workers never do.
    programs: OnceLock<Result<Programs, String>>,
    runtime: Handle,
}

impl Components {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(compiled: Option<PathBuf>) -> Self {
        Self {
            compiled,
            programs: OnceLock::new(),
            runtime: Handle::current(),
        }
    }

    fn programs(&self) -> Result<&Programs, String> {
        let make = || Programs::new(self.compiled.as_deref()).map_err(|error| error.to_string());
        self.programs.get_or_init(make).as_ref().map_err(Clone::clone)
    }

    async fn follow(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, String> {
        let source = fs::read(&job.program).map_err(|error| error.to_string())?;
        let program = self.programs()?.load(&source).map_err(|error| error.to_string())?;
        let mut running = program.start(call(job))?;
        let started = Instant::now();
        let mut measured = started;
        let end = loop {
            // Also when it computes: it gives way now and then.
            if let Ok(end) = tokio::time::timeout(LOOK, running.end()).await {
                break ended(end, job);
            }
            if cancelled.load(Ordering::Relaxed) {
                break End::Cancelled;
            }
            if started.elapsed() >= job.bounds.time {
                break End::Limited("wall time".to_owned());
            }
            if measured.elapsed() >= MEASURE {
                if size(job) > job.bounds.disk {
                    break End::Limited("disk".to_owned());
                }
                measured = Instant::now();
            }
            tick(started.elapsed());
        };
        let (stdout, stderr) = (running.stdout(), running.stderr());
        let full = [&stdout, &stderr].map(|text| text.len() as u64 >= job.bounds.output);
        let end = match end {
            End::Exited(_) | End::Trapped(_) if full.contains(&true) => End::Limited("output size".to_owned()),
            End::Exited(_) if size(job) > job.bounds.disk => End::Limited("disk".to_owned()),
            end => end,
        };
        Ok(Ran {
            end,
            felt: Vec::new(),
            stdout,
            stderr,
            sandbox: "wasi".to_owned(),
        })
    }
}

impl Runner for Components {
    fn run(&self, job: &Job, cancelled: &AtomicBool, tick: &dyn Fn(Duration)) -> Result<Ran, RunError> {
        // The caller's thread is a blocking one.
        self.runtime
            .block_on(self.follow(job, cancelled, tick))
            .map_err(|reason| RunError::Execute {
                program: job.program.clone(),
                reason,
            })
    }
}

fn call(job: &Job) -> Call {
    let name = job.program.file_name().map(|name| name.to_string_lossy().into_owned());
    let folder = |path: &Path, writable| Folder {
        host: path.to_owned(),
        name: path.to_string_lossy().into_owned(),
        writable,
    };
    // The workspace stays as it is for the steps that come after, even one that programs may write to.
    let mut folders = vec![Folder {
        name: ".".to_owned(),
        ..folder(&job.dir, false)
    }];
    folders.extend(job.readable.iter().map(|path| folder(path, false)));
    let private = job.writable.iter().filter(|path| **path != job.dir);
    folders.extend(private.map(|path| folder(path, true)));
    let bytes = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
    Call {
        args: name.into_iter().chain(job.args.iter().cloned()).collect(),
        env: job
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        folders,
        network: job.network,
        memory: bytes(job.bounds.memory),
        output: bytes(job.bounds.output),
    }
}

fn ended(end: ProgramEnd, job: &Job) -> End {
    match end {
        ProgramEnd::Exited(code) => End::Exited(code),
        ProgramEnd::Trapped(reason) => End::Trapped(reason),
        ProgramEnd::OutOfMemory => End::Limited(format!("memory ({} MiB)", job.bounds.memory >> 20)),
    }
}

/// What it has written so far.
fn size(job: &Job) -> u64 {
    let mut files = 0;
    let mut total: u64 = 0;
    let mut open: Vec<PathBuf> = job.writable.iter().filter(|path| **path != job.dir).cloned().collect();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            if files > MAX_FILES {
                return u64::MAX;
            }
            match metadata.is_dir() {
                true => open.push(entry.path()),
                false => total = total.saturating_add(metadata.len()),
            }
        }
    }
    total
}

#[cfg(test)]
#[path = "../../wasm/tests/common/guests.rs"]
pub(crate) mod guests;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use helve_findings::Status;
    use helve_modules::command::{Defaults, Host, Search, Unconfined, load};
    use helve_modules::{Allowed, Context, ModuleError, Output};
    use helve_toolbox::{Bundle, ModuleManifest};
    use serde_json::{Value, json};

    use super::*;

    const HEAD: &str = "name: marks\nversion: '1.2'\ndescription: d\nkind: wasm\n";
    const MARKS: &str = "args: [\"{{ config.marks }}\"]\n\
        inconclusive_exit_codes: {1: it could not read everything}\n\
        output: {from: stdout, format: lines, pattern: '^(?P<path>[^:]+):(?P<line>\\d+):(?P<rule>\\w+):(?P<message>.*)$'}\n\
        config_schema: {type: object, properties: {marks: {type: array, items: {type: string}, default: [FIXME]}}}\n";

    /// Runs the module on a workspace of one file, and cancels it as soon as it runs if that is wanted.
    fn run(example: &str, module: &str, config: Value, cancel: bool) -> Result<Output, ModuleError> {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["scratch", "work/src"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("work/src/a.py"), "# TODO later\nx = 1  # FIXME now\n").unwrap();
        let bundle = Bundle {
            files: [("module.yaml".to_owned(), format!("{HEAD}{module}"))].into(),
            component: Some(guests::component(example).into()),
        };
        let manifest = ModuleManifest::of_bundle("marks", &bundle).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let components = {
            let _within = runtime.enter();
            Components::new(Some(guests::folder().join("compiled")))
        };
        let host = Host::new(Search::default(), dir.path().join("scratch"), Box::new(Unconfined));
        let host = host.with_components(Box::new(components));
        let module = load(&manifest, bundle, Defaults::default(), Arc::new(host)).unwrap();
        let cancelled = AtomicBool::new(false);
        let context = Context {
            workspace: &dir.path().join("work"),
            progress: &|_| cancelled.store(cancel, Ordering::Relaxed),
            cancelled: &cancelled,
            allowed: &Allowed::default(),
        };
        let output = module.execute(&context, &config);
        let left = fs::read_dir(dir.path().join("scratch")).unwrap().count();
        assert_eq!(left, 0, "nothing is left in the scratch folder");
        output
    }

    /// Why a module that tries something could not look.
    #[track_caller]
    fn reason(what: &str, limits: &str) -> String {
        let module = format!("args: [{what}]\nlimits: {{{limits}}}\noutput: {{format: sarif}}\n");
        let output = run("inmate", &module, Value::Null, false).unwrap();
        match output.report.status {
            Status::Inconclusive { reason } => reason,
            Status::Completed => panic!("it claims to have looked at everything"),
        }
    }

    #[test]
    fn a_component_reads_the_workspace_and_its_findings_have_their_places() {
        let output = run("marks", MARKS, json!({"marks": ["FIXME", "TODO"]}), false).unwrap();
        assert_eq!(output.report.status, Status::Completed);
        let findings = &output.report.findings;
        let found: Vec<(&str, &str, u32)> = findings
            .iter()
            .map(|f| {
                (
                    f.rule_id.as_str(),
                    f.location.path.as_str(),
                    f.location.region.unwrap().start_line,
                )
            })
            .collect();
        assert_eq!(found, [("marks/TODO", "src/a.py", 1), ("marks/FIXME", "src/a.py", 2)]);
        assert_eq!(output.summary["sandbox"], "wasi");
        assert_eq!(output.summary["tool_version"], "1.2");
        let defaults = run("marks", MARKS, Value::Null, false).unwrap();
        assert_eq!(defaults.report.findings.len(), 1);
    }

    #[test]
    fn a_component_that_reaches_a_bound_could_not_look() {
        assert!(reason("memory", "memory: 32Mi").contains("its limit of memory (32 MiB) was reached"));
        assert!(reason("loop", "time: 1s").contains("its limit of wall time was reached"));
        assert!(reason("print", "output: 64Ki").contains("its limit of output size was reached"));
        let fill = reason("fill, '{{ out }}/big'", "disk: 4Mi, time: 60s");
        assert!(fill.contains("its limit of disk was reached"), "{fill}");
    }

    #[test]
    fn a_component_that_traps_could_not_look_and_harms_nobody() {
        let reason = reason("panic", "time: 60s");
        assert!(
            reason.contains("module.wasm trapped") && reason.contains("the sky fell"),
            "{reason}"
        );
    }

    #[test]
    fn a_component_that_computes_or_sleeps_is_killed_when_the_step_is_cancelled() {
        for what in ["loop", "sleep"] {
            let module = format!("args: [{what}]\noutput: {{format: sarif}}\n");
            let end = run("inmate", &module, Value::Null, true);
            assert!(matches!(end, Err(ModuleError::Cancelled)), "{what}");
        }
    }
}
