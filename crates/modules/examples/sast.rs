//! Runs the sast module by hand, for authors of rules.
//!
//! `sast tree FILE` prints a syntax tree, `sast scan DIR` the findings of a directory with timings, `sast test` runs
//! the snippets of all rules. Rules come from `toolbox/modules/sast` of this checkout.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use ast_grep_language::{LanguageExt, SupportLang};
use helve_modules::{Allowed, Context, RuleFile, builtin, sast};
use serde_json::Value;

type Fallible<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tree", file] => tree(Path::new(file)),
        ["scan", directory] => scan(Path::new(directory), &Value::Null),
        ["scan", directory, config] => scan(Path::new(directory), &serde_json::from_str(config)?),
        ["test"] => test(),
        _ => Err("usage: sast tree FILE | sast scan DIR [CONFIG] | sast test".into()),
    }
}

fn tree(file: &Path) -> Fallible {
    let lang = <SupportLang as ast_grep_language::Language>::from_path(file).ok_or("unknown language")?;
    let root = lang.ast_grep(std::fs::read_to_string(file)?);
    println!("{}", root.root().get_inner_node().to_sexp());
    Ok(())
}

fn scan(directory: &Path, config: &Value) -> Fallible {
    let begin = Instant::now();
    let module = builtin("sast", &rule_files()?).ok_or("no such module")??;
    let loaded = begin.elapsed();
    let cx = Context {
        workspace: directory,
        progress: &|_| {},
        cancelled: &AtomicBool::new(false),
        allowed: &Allowed::default(),
    };
    let begin = Instant::now();
    let output = module.execute(&cx, config)?;
    let took = begin.elapsed();
    for finding in &output.report.findings {
        let region = finding.location.region.ok_or("no region")?;
        let snippet = finding
            .location
            .snippet
            .as_deref()
            .unwrap_or_default()
            .replace('\n', " ⏎ ");
        let place = format!(
            "{}:{}:{}",
            finding.location.path, region.start_line, region.start_column
        );
        println!(
            "{} {} {} {place}\t{snippet}",
            finding.rule_id, finding.severity, finding.confidence
        );
    }
    for note in &output.report.notifications {
        eprintln!("note: {}: {}", note.path.as_deref().unwrap_or("-"), note.message);
    }
    eprintln!(
        "loaded in {loaded:?}, scanned in {took:?}: {}",
        Value::Object(output.summary)
    );
    Ok(())
}

fn test() -> Fallible {
    let result = sast::self_test(&rule_files()?)?;
    for failure in &result.failures {
        println!("{failure}\n");
    }
    println!(
        "{} rules, {} snippets, {} failures",
        result.rules,
        result.snippets,
        result.failures.len()
    );
    if result.failures.is_empty() {
        Ok(())
    } else {
        Err("some snippets failed".into())
    }
}

fn rule_files() -> Fallible<Vec<RuleFile>> {
    let toolbox = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../toolbox");
    let mut files = Vec::new();
    let mut stack = vec![toolbox.join("modules/sast")];
    while let Some(directory) = stack.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                stack.push(path);
            } else {
                let relative = path.strip_prefix(&toolbox)?.to_string_lossy().replace('\\', "/");
                files.push(RuleFile {
                    path: relative,
                    text: std::fs::read_to_string(&path)?,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
