//! The tables: ratios first, because they are what carries over to another machine, then the absolute figures.

use serde_json::{Map, Value, json};

use crate::limits::Limits;
use crate::loads::{Compare, GROUP_COMMIT, Load};
use crate::measured::Measured;
use crate::table;

/// What clients and workers ask for a workflow of three activities.
const CALLS_PER_WORKFLOW: f64 = 16.0;

/// One load with one driver on every server: figures, or why there are none.
pub(crate) struct Row {
    pub(crate) load: &'static Load,
    pub(crate) driver: &'static str,
    pub(crate) servers: Vec<(&'static str, Result<Measured, String>)>,
}

impl Row {
    fn of(&self, server: &str) -> Option<&Measured> {
        let (_, measured) = self.servers.iter().find(|(name, _)| *name == server)?;
        measured.as_ref().ok()
    }

    /// How many times better than that server.
    fn ratio(&self, other: &str, compare: Compare) -> Option<f64> {
        let (ours, theirs) = (self.of("helve")?, self.of(other)?);
        let less = |figure: fn(&Measured) -> Option<f64>| Some(figure(theirs)? / figure(ours)?);
        match compare {
            Compare::Rate => Some(ours.per_second() / theirs.per_second()),
            Compare::Median => less(|measured| measured.percentile(0.5)),
            Compare::Less(name) => Some(theirs.extra(name)? / ours.extra(name)?),
        }
    }

    fn cpu_ratio(&self, other: &str) -> Option<f64> {
        Some(self.of(other)?.engine_ms()? / self.of("helve")?.engine_ms()?)
    }
}

/// Prints both tables.
pub(crate) fn print(rows: &[Row]) {
    ratios(rows);
    absolute(rows);
}

fn ratios(rows: &[Row]) {
    let others = ["temporal file", "temporal memory"];
    let times = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}x"));
    let cells = rows.iter().filter_map(|row| {
        let measured: Vec<Option<f64>> = others
            .iter()
            .map(|other| row.ratio(other, row.load.compare))
            .chain([row.cpu_ratio(others[0])])
            .collect();
        measured.iter().any(Option::is_some).then(|| {
            let compared = match row.load.compare {
                Compare::Rate => "throughput",
                Compare::Median => "median latency",
                Compare::Less(name) => name,
            };
            let head = [row.load.name, row.driver, compared].map(str::to_owned);
            head.into_iter().chain(measured.into_iter().map(times)).collect()
        })
    });
    let cells: Vec<Vec<String>> = cells.collect();
    if !cells.is_empty() {
        println!("\nHow many times better Helve is than the real server");
        let heading = [
            "load",
            "driver",
            "compared",
            "its file database",
            "in memory",
            "engine cpu (file)",
        ];
        table::print(&heading, &cells);
    }
}

fn absolute(rows: &[Row]) {
    println!("\nAbsolute figures of this machine (each: milliseconds of processor time per unit)");
    let heading = [
        "load",
        "driver",
        "server",
        "units",
        "per s",
        "p50 ms",
        "p99 ms",
        "engine each",
        "driver each",
        "others",
        "limit",
        "",
    ];
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), table::number);
    let mut cells = Vec::new();
    for row in rows {
        for (server, measured) in &row.servers {
            let head = [row.load.name, row.driver, server].map(str::to_owned);
            let rest = match measured {
                Ok(measured) => {
                    let extra = measured.extra.iter();
                    let extra: Vec<String> = extra
                        .map(|(name, figure)| format!("{name} {}", table::number(*figure)))
                        .collect();
                    vec![
                        measured.done.to_string(),
                        table::number(measured.per_second()),
                        number(measured.percentile(0.5)),
                        number(measured.percentile(0.99)),
                        number(measured.engine_ms()),
                        number(measured.driver_ms()),
                        number(measured.other_cpu.map(|cpu| cpu / measured.seconds)),
                        measured.limit().to_owned(),
                        extra.join(", "),
                    ]
                }
                Err(why) => vec![format!("not measured: {why}")],
            };
            cells.push(head.into_iter().chain(rest).collect());
        }
    }
    table::print(&heading, &cells);
}

/// The figures of one load on one server, for whoever waits for the tables.
pub(crate) fn line(measured: &Measured) -> String {
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), table::number);
    let mut line = format!(
        "{} in {} s, {} per s, p50 {} ms, engine {} ms each, driver {} ms each, limit: {}",
        measured.done,
        table::number(measured.seconds),
        table::number(measured.per_second()),
        number(measured.percentile(0.5)),
        number(measured.engine_ms()),
        number(measured.driver_ms()),
        measured.limit(),
    );
    for (name, figure) in &measured.extra {
        line += &format!(", {name} {}", table::number(*figure));
    }
    line
}

/// How much of the machine's limits Helve's engine reaches with 200 workflows at once; prints it as well.
pub(crate) fn reached(rows: &[Row], limits: Limits) -> Value {
    let mut found = Map::new();
    for row in rows.iter().filter(|row| row.load.name == "sequential-200") {
        let Some(measured) = row.of("helve") else { continue };
        let per_second = measured.per_second();
        let mut shares = vec![("calls", per_second * CALLS_PER_WORKFLOW / limits.calls)];
        if let Some(rows) = measured.extra("rows") {
            shares.push(("rows, of a simple table's", per_second * rows / limits.rows));
        }
        if let Some(share) = measured.extra(GROUP_COMMIT) {
            shares.push(("rows, of SQLite's alone in the same tables (group commit)", share));
        }
        println!(
            "\nOf what this machine can do at most, with 200 workflows at once ({} driver):",
            row.driver
        );
        for (what, share) in &shares {
            println!("    {what}: {share:.2}");
        }
        let shares = shares.into_iter().map(|(what, share)| (what.to_owned(), json!(share)));
        found.insert(row.driver.to_owned(), Value::Object(shares.collect()));
    }
    Value::Object(found)
}

/// The same for programs.
pub(crate) fn json(rows: &[Row]) -> Value {
    let mut loads = Vec::new();
    for row in rows {
        let mut servers = Map::new();
        for (server, measured) in &row.servers {
            let value = match measured {
                Ok(measured) => measured.json(),
                Err(why) => json!({ "not_measured": why }),
            };
            servers.insert((*server).to_owned(), value);
        }
        let mut ratios = Map::new();
        for other in ["temporal file", "temporal memory"] {
            if let Some(ratio) = row.ratio(other, row.load.compare) {
                ratios.insert(other.to_owned(), json!(ratio));
            }
            if let Some(ratio) = row.cpu_ratio(other) {
                ratios.insert(format!("{other}, engine cpu"), json!(ratio));
            }
        }
        loads.push(json!({
            "load": row.load.name,
            "driver": row.driver,
            "compared": format!("{:?}", row.load.compare),
            "ratios": ratios,
            "servers": servers,
        }));
    }
    Value::Array(loads)
}
