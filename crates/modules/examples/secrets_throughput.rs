//! How fast the secrets module scans, per core, and what it finds:
//!
//! `cargo run --release -p helve-modules --example secrets_throughput -- DIRECTORY [--list]`
//!
//! Files are read first; only scanning is timed (processor time of one thread), with and without decoding. `--list` also runs the
//! module as a workflow would and prints its (redacted) findings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use helve_modules::walk::{WalkOptions, walk};
use helve_modules::{Allowed, Context, RuleFile, builtin, secrets};
use serde_json::json;

/// Passes over the files; the fastest counts.
const ROUNDS: usize = 3;

/// Anything that can go wrong ends the program.
type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: secrets_throughput DIRECTORY [--list]")?);
    let list = arguments.next().is_some_and(|argument| argument == "--list");
    let started = Instant::now();
    let rules = rule_files()?;
    let scan = secrets::scan_text(&rules)?;
    println!("rules loaded in {:?}", started.elapsed());
    let files = read(&directory)?;
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    for decode in [false, true] {
        let best = (0..ROUNDS)
            .map(|_| round(&scan, &files, decode))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or_default();
        let rate = bytes as f64 / 1e6 / best.0;
        println!(
            "decode {decode}: {} files, {:.1} MB, {rate:.0} MB/s on one core, {} secrets",
            files.len(),
            bytes as f64 / 1e6,
            best.1
        );
    }
    if list { findings(&directory, &rules) } else { Ok(()) }
}

fn rule_files() -> std::io::Result<Vec<RuleFile>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../toolbox/modules/secrets/rules");
    std::fs::read_dir(folder)?
        .map(|entry| {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok(RuleFile {
                path: format!("modules/secrets/rules/{name}"),
                text: std::fs::read_to_string(&path)?,
            })
        })
        .collect()
}

/// The text files below a directory.
fn read(directory: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let walked = walk(directory, &WalkOptions::default())?;
    let mut files = Vec::new();
    for entry in walked.entries {
        let text = std::fs::read(&entry.path)?;
        if !text[..text.len().min(8192)].contains(&0) {
            files.push((entry.relative, text));
        }
    }
    Ok(files)
}

fn round(scan: &impl Fn(&str, &[u8], bool) -> usize, files: &[(String, Vec<u8>)], decode: bool) -> (f64, usize) {
    let started = (Instant::now(), cpu_seconds());
    let found = files.iter().map(|(path, text)| scan(path, text, decode)).sum();
    let cpu = cpu_seconds().zip(started.1).map(|(now, then)| now - then);
    (cpu.unwrap_or_else(|| started.0.elapsed().as_secs_f64()), found)
}

/// What this thread has used of its core: the clock on the wall also counts what others took. Linux only.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace()
        .next()?
        .parse::<f64>()
        .ok()
        .map(|nanoseconds| nanoseconds / 1e9)
}

fn findings(directory: &Path, rules: &[RuleFile]) -> Result<(), Failure> {
    let module = builtin("secrets", rules).ok_or("no secrets module")??;
    let cancelled = AtomicBool::new(false);
    let started = Instant::now();
    let output = module.execute(
        &Context {
            workspace: directory,
            progress: &|_| (),
            cancelled: &cancelled,
            allowed: &Allowed::default(),
        },
        &json!({}),
    )?;
    println!(
        "module: {:?}, {}",
        started.elapsed(),
        serde_json::Value::Object(output.summary)
    );
    let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
    for finding in &output.report.findings {
        *by_rule.entry(finding.rule_id.clone()).or_default() += 1;
        let line = finding.location.region.map_or(0, |region| region.start_line);
        let snippet = finding.location.snippet.as_deref().unwrap_or_default();
        println!(
            "{}\t{}:{line}\t{}\t{snippet}",
            finding.rule_id, finding.location.path, finding.message
        );
    }
    println!("{by_rule:?}");
    Ok(())
}
