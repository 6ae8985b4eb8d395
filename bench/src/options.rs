//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::loads::LOADS;
use crate::servers::Kind;

const HELP: &str = "\
helve-bench [OPTION...] [PART...]

A part is one of those below, or the beginning of the name of a load; without any, everything is measured.

    scan                 a tree of 10,000 small files: files/s, MB/s, peak memory
    first-step           from the command to the first step of its run
    cache                a target that a worker has in its cache, beside one that it has to fetch
    sandbox              from the start of a tool to its end, at each level of the sandbox
    fuzzer               executions per second of a libFuzzer target under Helve, against the same alone
    team                 helve up: ready, at rest, under 200 uploads, with 1,000 listeners
    findings             pages of a list of 1,000,000 findings
    jobs                 jobs published, claimed and completed a second over HTTP, beside requests that do nothing
    mesh                 the mesh beside plain TCP: a call, a blob, workers that wait and many that work
    cluster              three nodes beside one engine: throughput, memory, time without a leader
    limits               what this machine can do at most: syncs, rows, calls per second

    --quick              a tenth of the work, on the real server only with its file database, to see that it works; the
                         figures mean little
    --raw, --sdk         only the driver on plain gRPC, only the one on the Rust SDK
    --only helve|temporal  only this server
    --seconds N          how long a load goes on that may go on for ever (5)
    --pollers N          open polls of each kind of the raw driver
    --sticky, --gzip     the raw driver keeps workflows; it compresses
    --serve PROGRAM      instead of `helve up`: a program that takes a data directory and an address
    --address HOST:PORT  only the server there; --pid N says which process it is
    --json FILE          write the figures to a file as well

Environment:
    HELVE_BIN            the helve program
    HELVE_MOTO_BIN       an S3 server (moto_server); without it the cache is not measured
    HELVE_TEMPORAL_BIN   Temporal's command line with its development server; without it nothing is compared

Loads:";

/// What to measure, and how.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) parts: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) raw: bool,
    pub(crate) sdk: bool,
    pub(crate) time: Duration,
    pub(crate) pollers: Option<usize>,
    pub(crate) sticky: bool,
    pub(crate) gzip: bool,
    pub(crate) servers: Vec<Kind>,
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; none when it asked for help, which is then printed.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>> {
        let mut options = Self {
            parts: Vec::new(),
            quick: false,
            raw: true,
            sdk: true,
            time: Duration::ZERO,
            pollers: None,
            sticky: false,
            gzip: false,
            servers: Vec::new(),
            json: None,
        };
        let (mut seconds, mut serve, mut address, mut pid, mut only) = (None, None, None, None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} takes a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--raw" => options.sdk = false,
                "--sdk" => options.raw = false,
                "--sticky" => options.sticky = true,
                "--gzip" => options.gzip = true,
                "--seconds" => seconds = Some(value()?.parse().context("--seconds takes a number")?),
                "--pollers" => options.pollers = Some(value()?.parse().context("--pollers takes a number")?),
                "--serve" => serve = Some(PathBuf::from(value()?)),
                "--address" => address = Some(value()?),
                "--pid" => pid = Some(value()?.parse().context("--pid takes a number")?),
                "--only" => only = Some(value()?),
                "--json" => options.json = Some(value()?.into()),
                "help" | "--help" | "-h" => {
                    println!("{HELP}");
                    for load in LOADS {
                        println!("    {:<20} {}", load.name, load.what);
                    }
                    return Ok(None);
                }
                part if is_part(part) => options.parts.push(argument),
                other => bail!("`{other}` is nothing to measure; `help` says what is"),
            }
        }
        if !(options.raw || options.sdk) {
            bail!("--raw and --sdk exclude each other");
        }
        options.time = Duration::from_secs(seconds.unwrap_or(if options.quick { 1 } else { 5 }));
        options.servers = match address {
            Some(address) => vec![Kind::At(address, pid)],
            None => servers(serve, only.as_deref(), options.quick)?,
        };
        Ok(Some(options))
    }

    /// Whether a part or a load is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.starts_with(part.as_str()))
    }
}

fn is_part(name: &str) -> bool {
    let loads = LOADS.iter().map(|load| load.name);
    !name.is_empty()
        && loads
            .chain([
                "scan",
                "first-step",
                "cache",
                "cluster",
                "mesh",
                "sandbox",
                "fuzzer",
                "jobs",
                "team",
                "findings",
                "limits",
            ])
            .any(|known| known.starts_with(name))
}

fn servers(serve: Option<PathBuf>, only: Option<&str>, quick: bool) -> Result<Vec<Kind>> {
    let temporal = std::env::var_os("HELVE_TEMPORAL_BIN").map(PathBuf::from);
    let helve = || match serve {
        Some(program) => Kind::Serve(program),
        None => Kind::Helve(helve_e2e::helve_program()),
    };
    let temporal = temporal.iter().flat_map(|program| {
        let memory = (!quick).then(|| Kind::TemporalMemory(program.clone()));
        [Some(Kind::TemporalFile(program.clone())), memory]
    });
    let temporal = temporal.flatten();
    match only {
        None => Ok(std::iter::once(helve()).chain(temporal).collect()),
        Some("helve") => Ok(vec![helve()]),
        Some("temporal") => Ok(temporal.collect()),
        Some(other) => bail!("--only takes helve or temporal, not `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Options>> {
        Options::read(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn a_part_is_the_beginning_of_a_name() {
        let options = read(&["sequential", "--address", "127.0.0.1:1"]).unwrap().unwrap();
        assert!(options.wants("sequential-200"));
        assert!(!options.wants("scan"));
        assert_eq!(options.servers, [Kind::At("127.0.0.1:1".into(), None)]);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(read(&["sequentiality"]).is_err());
        assert!(read(&["--seconds"]).is_err());
        assert!(read(&["--raw", "--sdk", "--address", "x"]).is_err());
    }
}
