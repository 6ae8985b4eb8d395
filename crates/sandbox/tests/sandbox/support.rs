//! Sandboxes of every level, hostile tools, and looking for what they leave behind.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use helve_sandbox::{Level, Options, Output, Sandbox, Spec};

/// Set where a machine is known to be able to do so much: then a level that is missing fails the tests.
const EXPECTED: &str = "HELVE_TEST_SANDBOX_LEVEL";

/// A sandbox of each level from `lowest` on. A level that this machine does not have is skipped loudly.
pub(crate) async fn sandboxes(lowest: Level) -> Vec<Sandbox> {
    let expected: Option<Level> = std::env::var(EXPECTED).ok().map(|level| level.parse().expect(EXPECTED));
    let mut sandboxes = Vec::new();
    for level in Level::ALL.into_iter().filter(|level| *level >= lowest) {
        let sandbox = Sandbox::open(Options {
            at_most: Some(level),
            // So that tools of these tests come to both: a supervisor started for them, and one that was ready.
            keep_ready: true,
            ..Options::default()
        })
        .await
        .unwrap();
        if sandbox.level() == level {
            sandboxes.push(sandbox);
            continue;
        }
        let text = format!(
            "SKIPPED at level `{level}`, which this machine does not have: {:?}\n",
            sandbox.support().missing
        );
        assert!(expected.is_none_or(|expected| level > expected), "{text}");
        // Not `eprintln`: the test harness would swallow it.
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    sandboxes
}

/// A command line that runs one of the functions of module `hostile` in the sandbox.
pub(crate) fn hostile(name: &str) -> Spec {
    let program = std::env::current_exe().unwrap();
    let test = format!("hostile::{name}");
    let mut spec = Spec::new([&test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env("HOSTILE", "1");
    spec.argv.insert(0, program.clone().into());
    // A mark by which its processes are found on the host, whatever they do.
    spec.argv.push("--skip".into());
    spec.argv.push(mark().into());
    spec.limits.wall_time = Duration::from_secs(60);
    spec.limits.memory = 512 << 20;
    spec.read_only(program)
}

/// What the tool wrote, after a check that it got to its end.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.outcome.is_clean_exit(),
        "{:?}\n{text}\n{}",
        output.outcome,
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "the hostile tool was not found: {text}");
    text
}

/// The mark of this test, unique on this machine.
pub(crate) fn mark() -> String {
    let test = std::thread::current().name().unwrap_or("unnamed").replace(':', "-");
    format!("hostile-{}-{test}", std::process::id())
}

/// Processes whose command line carries the mark.
pub(crate) fn marked(mark: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    })
    .collect()
}

/// Waits for a condition; fails when it does not come.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes of files below a directory.
pub(crate) fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|entry| {
            entry.metadata().map_or(0, |m| {
                if m.is_dir() {
                    bytes_below(&entry.path())
                } else {
                    m.len()
                }
            })
        })
        .sum()
}
