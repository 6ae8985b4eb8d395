//! What the tests share.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use helve_modules::{Allowed, Context, Module, ModuleError, Output, RuleFile, builtin};
use serde_json::Value;

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The module's files as the toolbox gives them.
pub(crate) fn shipped() -> Vec<RuleFile> {
    files_of("sast")
}

/// The files of a module as the toolbox gives them.
pub(crate) fn files_of(module: &str) -> Vec<RuleFile> {
    let toolbox = root().join("toolbox");
    let mut files = Vec::new();
    let mut stack = vec![toolbox.join("modules").join(module)];
    while let Some(directory) = stack.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let relative = path
                    .strip_prefix(&toolbox)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push(RuleFile {
                    path: relative,
                    text: std::fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The module with the shipped rules, loaded once.
pub(crate) fn module() -> Arc<dyn Module> {
    static MODULE: LazyLock<Arc<dyn Module>> = LazyLock::new(|| {
        builtin("sast", &shipped())
            .expect("built in")
            .expect("the shipped rules load")
    });
    MODULE.clone()
}

/// Runs the module on a directory.
pub(crate) fn scan(workspace: &Path, config: &Value) -> Result<Output, ModuleError> {
    let cx = Context {
        workspace,
        progress: &|_| {},
        cancelled: &AtomicBool::new(false),
        allowed: &Allowed::default(),
    };
    module().execute(&cx, config)
}

/// Writes files into a fresh directory and scans it.
pub(crate) fn scan_files(files: &[(&str, &[u8])], config: &Value) -> Output {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    scan(directory.path(), config).unwrap()
}

/// `rule file:line` of every finding.
pub(crate) fn places(output: &Output) -> Vec<String> {
    let place = |finding: &helve_findings::Finding| {
        let line = finding.location.region.map_or(0, |region| region.start_line);
        format!("{} {}:{line}", finding.rule_id, finding.location.path)
    };
    output.report.findings.iter().map(place).collect()
}
