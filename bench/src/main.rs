//! `helve-bench`: measures what Helve promises, with the physical limits and the real Temporal server beside it.
//!
//! Started by `cargo xtask bench`, which builds in release and names the programs. README.md says what the figures mean.

mod cache;
mod cluster;
mod fill;
mod findings;
mod fuzzer;
mod jobs;
mod limits;
mod loads;
mod machine;
mod measured;
mod mesh;
mod options;
mod raw;
mod report;
mod sandbox;
mod scan;
mod sdk;
mod servers;
mod start;
mod table;
mod team;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use loads::{Bench, LOADS, Load, Run};
use options::Options;
use report::Row;
use servers::Host;

/// No load may take longer on a server: on a slow machine the others shall be measured all the same.
const LIMIT: Duration = Duration::from_secs(240);

fn main() -> ExitCode {
    let done = Options::read(std::env::args().skip(1)).and_then(|options| match options {
        Some(options) => run(&options),
        None => Ok(()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        println!("This is a debug build: the figures mean nothing. Use `cargo xtask bench`.");
    }
    let mut figures = Map::new();
    figures.insert("cores".into(), json!(machine::cores()));
    figures.insert("load_before".into(), json!(machine::load()));
    figures.insert("quick".into(), json!(options.quick));
    println!(
        "{} cores; {} processes wanted one during the last minute",
        machine::cores(),
        machine::load().map_or_else(|| "?".to_owned(), |load| load.to_string())
    );
    if options.wants("scan") {
        println!("\n== scan ==");
        figures.insert("scan".into(), scan::measure(options.quick)?);
    }
    if options.wants("first-step") {
        println!("\n== first step ==");
        figures.insert("first_step".into(), start::measure(options.quick)?);
    }
    if options.wants("cache") {
        println!("\n== cache of targets ==");
        figures.insert("cache".into(), cache::measure(options.quick)?);
    }
    if options.wants("sandbox") {
        println!("\n== sandbox ==");
        figures.insert("sandbox".into(), sandbox::measure(options.quick)?);
    }
    if options.wants("fuzzer") {
        println!("\n== fuzzer ==");
        figures.insert("fuzzer".into(), fuzzer::measure(options.quick)?);
    }
    if options.wants("team") {
        println!("\n== helve up for a team ==");
        figures.insert("team".into(), team::measure(options.quick)?);
    }
    if options.wants("findings") {
        println!("\n== findings ==");
        figures.insert("findings".into(), findings::measure(options.quick)?);
    }
    if options.wants("jobs") {
        println!("\n== job queue ==");
        figures.insert("jobs".into(), jobs::measure(options.quick)?);
    }
    if options.wants("mesh") {
        println!("\n== mesh ==");
        figures.insert("mesh".into(), mesh::measure(options.quick)?);
    }
    if options.wants("cluster") {
        println!("\n== three nodes ==");
        figures.insert("cluster".into(), cluster::measure(options)?);
    }
    let limits = match options.wants("limits") {
        true => {
            println!("\n== limits of this machine ==");
            Some(limits::measure(options.time / 5)?)
        }
        false => None,
    };
    if let Some(limits) = limits {
        figures.insert("limits".into(), limits.json());
    }
    let rows = measure_loads(options, |rows| {
        figures.insert("loads".into(), report::json(rows));
        write(options, &figures)
    })?;
    if !rows.is_empty() {
        report::print(&rows);
    }
    if let Some(limits) = limits {
        figures.insert("of_the_limits".into(), report::reached(&rows, limits));
    }
    figures.insert("load_after".into(), json!(machine::load()));
    write(options, &figures)
}

fn write(options: &Options, figures: &Map<String, Value>) -> Result<()> {
    let Some(path) = &options.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Says after each row what there is so far.
fn measure_loads(options: &Options, mut so_far: impl FnMut(&[Row]) -> Result<()>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for load in LOADS.iter().filter(|load| options.wants(load.name)) {
        for (driver, run) in drivers(load, options) {
            let mut row = Row {
                load,
                driver,
                servers: Vec::new(),
            };
            for kind in &options.servers {
                eprintln!("{} ({driver}) on {} ...", load.name, kind.name());
                let runtime = runtime(driver)?;
                let measured = runtime.block_on(async {
                    let host = Host::start(kind).await?;
                    let mut bench = Bench { host, options };
                    match tokio::time::timeout(LIMIT, run(&mut bench)).await {
                        Ok(measured) => measured,
                        Err(_) => bail!("given up after {} s", LIMIT.as_secs()),
                    }
                });
                // A database that is being filled for a load that was given up is nobody's any more.
                runtime.shutdown_background();
                match &measured {
                    Ok(measured) => eprintln!("    {}", report::line(measured)),
                    Err(error) => eprintln!("    {error:#}"),
                }
                row.servers
                    .push((kind.name(), measured.map_err(|error| format!("{error:#}"))));
            }
            rows.push(row);
            so_far(&rows)?;
        }
    }
    Ok(rows)
}

/// A driver shall leave the cores to the server as far as it can, and not measure how it wakes its own threads. So each has
/// one; that of the SDK is one beside the caller's, because the SDK needs a runtime of that kind.
fn runtime(driver: &str) -> Result<tokio::runtime::Runtime> {
    let mut builder = match driver {
        "raw" => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    Ok(builder.worker_threads(1).enable_all().build()?)
}

fn drivers(load: &Load, options: &Options) -> Vec<(&'static str, Run)> {
    let raw = load.raw.filter(|_| options.raw).map(|run| ("raw", run));
    let sdk = load.sdk.filter(|_| options.sdk).map(|run| ("sdk", run));
    raw.into_iter().chain(sdk).collect()
}
