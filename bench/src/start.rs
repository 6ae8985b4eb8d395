//! How long it takes from the command to the first step.

use anyhow::{Context, Result};
use helve_e2e::home::Home;
use helve_e2e::tree;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::table::{self, median};

pub(crate) fn measure(quick: bool) -> Result<Value> {
    let home = Home::new();
    let target = home.path().join("tree");
    tree::grow(&target, 20, 1_000);
    let mut first_step = Vec::new();
    let mut whole = Vec::new();
    // The first one makes the data directory; it counts as well.
    for _ in 0..if quick { 3 } else { 15 } {
        let began = Timestamp::now();
        let done = home
            .run(&["run", "assessment", &target.to_string_lossy(), "--json", "--quiet"])
            .expect_code(0);
        whole.push(done.took.as_secs_f64() * 1e3);
        let run_id = done.json()["run_id"].as_str().context("a run id")?.to_owned();
        let shown = home.show(&run_id);
        let steps = shown["steps"].as_array().context("steps")?;
        let started = steps
            .iter()
            .filter(|step| step["internal"] != true)
            .filter_map(|step| step["started_at"].as_str()?.parse::<Timestamp>().ok())
            .min()
            .context("a step that started")?;
        first_step.push(started.duration_since(began).as_secs_f64() * 1e3);
    }
    let worst = first_step.iter().copied().fold(0.0, f64::max);
    let (first, all) = (median(first_step), median(whole));
    table::print(
        &["20 files", "median ms", "worst ms"],
        &[
            vec![
                "command to first step".into(),
                format!("{first:.0}"),
                format!("{worst:.0}"),
            ],
            vec!["whole command".into(), format!("{all:.0}"), String::new()],
        ],
    );
    Ok(json!({ "first_step_ms": first, "first_step_worst_ms": worst, "whole_ms": all }))
}
