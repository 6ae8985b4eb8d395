//! The web pages, filled with samples, in a headless Chromium.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::column::Column;
use crate::environment::Environment;
use crate::npm;
use crate::process::{quietly, show};
use crate::report::{Outcome, Tally};
use crate::tools;

const OPEN: &str = "that the web pages work in a browser, and are for everybody";

pub(crate) fn run(environment: &Environment) -> Result<Outcome> {
    let missing = |what: String| Ok(Outcome::Missing(Tally::default(), format!("{what}: {OPEN}")));
    let Some(chromium) = tools::browser(environment)? else {
        return missing("Chromium is missing (`apt-get install chromium`, or HELVE_CHROMIUM names the program)".into());
    };
    let folder = match npm::prepare(environment, "pages")? {
        Ok(folder) => folder,
        Err(what) => return missing(what),
    };
    let (site, pictures) = (folder.join("site"), folder.join("screenshots"));
    for stale in [&site, &pictures] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    let written = quietly(environment.command(environment.example("pages")).arg(&site))?;
    if !written.success {
        println!("{}", written.text());
        return Ok(Outcome::Failed(
            Tally::default(),
            "the sample pages cannot be written".into(),
        ));
    }
    let results = folder.join("results.tsv");
    if results.exists() {
        fs::remove_file(&results)?;
    }
    let began = Instant::now();
    let mut command = environment.command("node");
    command
        .current_dir(&folder)
        .args(["src/run.js", "--chromium"])
        .arg(chromium)
        .arg("--helve")
        .arg(environment.helve())
        .arg("--pages")
        .arg(site)
        .arg("--pictures")
        .arg(pictures)
        .arg("--results")
        .arg(&results);
    let ended = show(&mut command)?;
    let tally = Column::read(&results, began.elapsed())?.tally();
    Ok(match (ended.success, tally) {
        (true, Tally { passed: 1.., failed: 0 }) => Outcome::Passed(tally),
        _ => Outcome::Failed(tally, "see above".into()),
    })
}
