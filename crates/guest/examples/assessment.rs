//! A workflow: two modules at a time, a second look at what they found, and a person who has the last word.
//!
//! `cargo build --profile guest --target wasm32-wasip2 -p helve-guest --example assessment` makes the component.

use std::time::Duration;

use helve_guest::{Finding, Input, Module, Result, Severity, StepState, any, signal, timer, workflow};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Parameters {
    /// Hours to wait for somebody to look at what was found; 0 does not wait.
    #[serde(default)]
    review_hours: u64,
}

#[derive(Serialize)]
struct Assessment {
    found: u64,
    reviewer: Option<String>,
}

fn assess(input: Input<Parameters>) -> Result<Assessment> {
    helve_guest::set_status("looks for secrets and weaknesses");
    let steps = [Module::new("secrets").start(), Module::new("sast").attempts(3).start()];
    let mut found = 0;
    for (done, step) in steps.iter().enumerate() {
        let output = step.wait()?;
        found += output.findings;
        helve_guest::set_progress(done as u64 + 1, steps.len() as u64);
        if output.status.state != StepState::Completed {
            let message = format!("A part of the target was not looked at: {}", output.status.reason);
            Finding::new("not-looked-at", Severity::Note, &message, ".").emit();
        }
    }
    let mut reviewer = None;
    if found > 0 && input.parameters.review_hours > 0 {
        helve_guest::set_status("waits for somebody to look");
        let reviewed = signal::<String>("reviewed");
        let patience = timer(Duration::from_secs(3600 * input.parameters.review_hours));
        if any(&[&reviewed, &patience]) == 0 {
            reviewer = Some(reviewed.wait()?);
        }
    }
    Ok(Assessment { found, reviewer })
}

workflow!(assess);
