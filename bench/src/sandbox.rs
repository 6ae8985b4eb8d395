//! What the sandbox costs for each start of a tool: `true` bare and at each level, in turns.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use helve_sandbox::{Level, Options, Sandbox, Spec};
use serde_json::{Value, json};

use crate::table::{self, median};

/// The promise, in milliseconds.
const PROMISED: f64 = 15.0;
/// Between two starts, so that what is kept ready is ready: tools seldom start at once after each other.
const PAUSE: Duration = Duration::from_millis(50);
const TOOL: &str = "/usr/bin/true";

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let rounds = if quick { 10 } else { 60 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(rounds_of(rounds))
}

async fn rounds_of(rounds: usize) -> Result<Value> {
    let mut sandboxes = Vec::new();
    for (level, keep_ready) in Level::ALL.into_iter().flat_map(|level| [(level, false), (level, true)]) {
        let sandbox = Sandbox::open(Options {
            at_most: Some(level),
            keep_ready,
            ..Options::default()
        })
        .await?;
        match sandbox.level() == level {
            true => sandboxes.push((level, keep_ready, sandbox, Vec::new())),
            false if keep_ready => {}
            false => println!(
                "{level}: this machine does not have it: {:?}",
                sandbox.support().missing
            ),
        }
    }
    let mut bare = Vec::new();
    for _ in 0..rounds {
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        let output = tokio::process::Command::new(TOOL).output().await?;
        bare.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(output.status.success(), "{TOOL} failed");
        for (_, _, sandbox, times) in &mut sandboxes {
            tokio::time::sleep(PAUSE).await;
            let began = Instant::now();
            let output = sandbox.run(&Spec::new([TOOL])).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            ensure!(
                output.outcome.is_clean_exit(),
                "{TOOL} in the sandbox: {:?}",
                output.outcome
            );
        }
    }
    let bare = median(bare);
    let mut rows = vec![vec!["none".to_owned(), format!("{bare:.1}"), String::new()]];
    let mut figures = vec![json!({"level": "none", "median_ms": bare})];
    for (level, keep_ready, _, times) in sandboxes {
        let time = median(times);
        // What a worker does.
        let name = if keep_ready {
            level.to_string()
        } else {
            format!("{level}, none kept ready")
        };
        rows.push(vec![name, format!("{time:.1}"), format!("{:.1}", time - bare)]);
        figures.push(json!({
            "level": level.name(),
            "kept_ready": keep_ready,
            "median_ms": time,
            "overhead_ms": time - bare,
        }));
    }
    table::print(&["sandbox", "median ms", "overhead ms"], &rows);
    println!("asked: an overhead below {PROMISED} ms");
    Ok(Value::Array(figures))
}
