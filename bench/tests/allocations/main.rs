//! Guards the engine against getting slower, with a measure that is the same on every machine however busy it is: how many
//! allocations, and of how many bytes, the Rust code of the engine makes for a unit of work. (What SQLite allocates in C,
//! and how long the disk takes, is not seen here; `cargo xtask bench` measures that.)
//!
//! The engine runs in this process, durably, on one thread besides the database's own; requests go through its whole gRPC
//! stack but for the network. The baseline is `bench/allocations.json`; after a change that is meant to cost more, or that
//! costs less, `HELVE_BENCH_BASELINE=write` measures it anew.

mod counter;
mod driver;
mod loads;

use std::collections::BTreeMap;
use std::path::PathBuf;

use counter::Counted;

/// A measured figure may be this much above its baseline: the number of allocations varies a little with the order in
/// which threads run.
const TOLERANCE: f64 = 1.05;

type Figures = BTreeMap<String, Counted>;

#[test]
fn a_unit_of_work_allocates_no_more_than_it_used_to() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("allocations.json");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured: Figures = runtime.unwrap().block_on(loads::all());
    for (load, counted) in &measured {
        println!(
            "{load}: {:.0} allocations, {:.0} bytes",
            counted.allocations, counted.bytes
        );
    }
    if std::env::var("HELVE_BENCH_BASELINE").is_ok_and(|what| what == "write") {
        let text = serde_json::to_string_pretty(&measured).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
        return;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let baseline: Figures = serde_json::from_str(&text).unwrap();
    let grown = compare(&baseline, &measured);
    assert!(
        grown.is_empty(),
        "more than the baseline in {}:\n{}",
        path.display(),
        grown.join("\n")
    );
}

/// What grew beyond the tolerance, and what the baseline does not know or knows alone.
fn compare(baseline: &Figures, measured: &Figures) -> Vec<String> {
    let mut grown = Vec::new();
    for (load, now) in measured {
        let Some(then) = baseline.get(load) else {
            grown.push(format!("{load}: not in the baseline"));
            continue;
        };
        let figures = [
            ("allocations", then.allocations, now.allocations),
            ("bytes", then.bytes, now.bytes),
        ];
        for (what, then, now) in figures {
            if now > then * TOLERANCE {
                grown.push(format!("{load}: {now:.0} {what}, was {then:.0}"));
            }
        }
    }
    let gone = baseline.keys().filter(|load| !measured.contains_key(*load));
    grown.extend(gone.map(|load| format!("{load}: only in the baseline")));
    grown
}

#[test]
fn growth_beyond_the_tolerance_is_found() {
    let figures = |allocations, bytes| Figures::from([("load".to_owned(), Counted { allocations, bytes })]);
    assert!(compare(&figures(100.0, 100.0), &figures(104.0, 50.0)).is_empty());
    assert_eq!(compare(&figures(100.0, 100.0), &figures(106.0, 100.0)).len(), 1);
    assert_eq!(compare(&figures(100.0, 100.0), &figures(106.0, 106.0)).len(), 2);
    assert_eq!(compare(&figures(100.0, 100.0), &Figures::new()).len(), 1);
    assert_eq!(compare(&Figures::new(), &figures(1.0, 1.0)).len(), 1);
}
