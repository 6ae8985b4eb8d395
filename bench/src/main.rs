//! `helve-bench`: measures what Helve promises, with the physical limits and the real Temporal server beside it.
//!
//! Started by `cargo xtask bench`, which builds helve in release and names it in HELVE_BIN.

mod disk;
mod driver;
mod engine;
mod scan;
mod start;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

const HELP: &str = "\
helve-bench [scan] [start] [engine] [--quick] [--json FILE]

    scan     a tree of 10,000 small files: files/s, MB/s, peak memory
    start    from the command to its first step
    engine   workflows of three activities per second, beside the real Temporal server's (HELVE_TEMPORAL_BIN)
    --quick  a tenth of the work, to see that it works; the numbers mean little
    --address HOST:PORT  measure the engine of the server there, and no other
    --json   write the numbers to a file, besides printing them";

struct Options {
    parts: Vec<String>,
    quick: bool,
    address: Option<String>,
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options {
        parts: Vec::new(),
        quick: false,
        address: None,
        json: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--json" => options.json = Some(arguments.next().context("--json takes the name of a file")?.into()),
            "--address" => options.address = Some(arguments.next().context("--address takes HOST:PORT")?),
            "scan" | "start" | "engine" => options.parts.push(argument),
            "help" | "--help" | "-h" => {
                println!("{HELP}");
                std::process::exit(0);
            }
            other => bail!("`{other}` is nothing to measure\n\n{HELP}"),
        }
    }
    if options.parts.is_empty() {
        options.parts = ["scan", "start", "engine"].map(str::to_owned).to_vec();
    }
    Ok(options)
}

fn run(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        println!("This is a debug build: the numbers mean nothing. Use `cargo xtask bench`.");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores; helve: {}", helve_e2e::helve_program().display());
    let mut numbers = Map::new();
    numbers.insert("cores".into(), json!(cores));
    numbers.insert("quick".into(), json!(options.quick));
    for part in &options.parts {
        println!("\n== {part} ==");
        let measured: Value = match part.as_str() {
            "scan" => scan::measure(options.quick)?,
            "start" => start::measure(options.quick)?,
            _ => engine::measure(options.quick, options.address.as_deref())?,
        };
        numbers.insert(part.clone(), measured);
    }
    let text = serde_json::to_string_pretty(&Value::Object(numbers))?;
    println!("\n{text}");
    if let Some(path) = &options.json {
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
