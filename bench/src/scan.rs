//! How fast a tree of many small files is scanned, and what that takes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use helve_e2e::home::Home;
use helve_e2e::tree;
use serde_json::{Value, json};

use crate::table::{self, median};

const FILES: usize = 10_000;
/// About what a source file has: the median of large public repositories is between 2 and 4 kB.
const FILE_BYTES: usize = 3_000;
const ROUNDS: usize = 3;

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let files = if quick { FILES / 10 } else { FILES };
    let home = Home::new();
    let target = home.path().join("tree");
    tree::grow(&target, files, FILE_BYTES);
    let bytes = size_of(&target)?;
    let mut rows = Vec::new();
    let mut numbers = json!({ "files": files, "bytes": bytes });
    for workflow in ["assessment", "secrets-scan", "static-analysis"] {
        let mut seconds = Vec::new();
        let mut peak = 0;
        let mut findings = 0;
        for _ in 0..if quick { 1 } else { ROUNDS } {
            let done = home
                .run(&["run", workflow, &target.to_string_lossy(), "--json", "--quiet"])
                .expect_code(0);
            seconds.push(done.took.as_secs_f64());
            peak = peak.max(done.peak_memory);
            findings = done.json()["summary"]["total"]
                .as_u64()
                .context("a summary with a total")?;
        }
        let took = median(seconds);
        let (file_rate, byte_rate) = (files as f64 / took, bytes as f64 / took / 1e6);
        rows.push(vec![
            workflow.to_owned(),
            format!("{took:.2}"),
            format!("{file_rate:.0}"),
            format!("{byte_rate:.1}"),
            format!("{:.0}", peak as f64 / f64::from(1 << 20)),
            findings.to_string(),
        ]);
        numbers[workflow] = json!({
            "seconds": took, "files_per_second": file_rate, "megabytes_per_second": byte_rate, "peak_memory_bytes": peak,
            "findings": findings,
        });
    }
    println!(
        "{files} files, {:.1} MB; whole command, packing and report included",
        bytes as f64 / 1e6
    );
    table::print(
        &["workflow", "seconds", "files/s", "MB/s", "peak MiB", "findings"],
        &rows,
    );
    Ok(numbers)
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        sum += if kind.is_dir() {
            size_of(&entry.path())?
        } else {
            kind.len()
        };
    }
    Ok(sum)
}
