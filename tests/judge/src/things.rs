//! Things that are asked for once: starts, signals, updates, completions, findings.

use std::collections::BTreeMap;

use crate::log::{Call, Log, Outcome};
use crate::verdict::Violation;

#[derive(Default)]
struct Thing {
    acknowledged: Vec<usize>,
    maybe: Vec<usize>,
    refused: Vec<usize>,
    found: Vec<usize>,
}

/// What was acknowledged is there at the end, nothing is there twice, and nothing that nobody asked for.
#[must_use]
pub fn check(log: &Log) -> Vec<Violation> {
    let mut things: BTreeMap<(&str, &str), Thing> = BTreeMap::new();
    let mut searched: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, entry) in log.entries.iter().enumerate() {
        match &entry.call {
            Call::Ask { kind, name } => {
                let thing = things.entry((kind, name)).or_default();
                match entry.outcome {
                    Outcome::Done => thing.acknowledged.push(place),
                    Outcome::Unknown => thing.maybe.push(place),
                    Outcome::Failed => thing.refused.push(place),
                }
            }
            Call::Found { kind, name } => things.entry((kind, name)).or_default().found.push(place),
            Call::Searched { kind } => {
                searched.insert(kind, place);
            }
            _ => {}
        }
    }
    let mut violations = Vec::new();
    for ((kind, name), thing) in things {
        let asked = || thing.acknowledged.iter().chain(&thing.maybe).copied();
        if thing.found.len() > 1 {
            let what = format!("{kind} {name} is there {} times", thing.found.len());
            violations.push(Violation::new(what, thing.found.iter().copied().chain(asked())));
        }
        if !thing.found.is_empty() && asked().next().is_none() {
            let what = match thing.refused.len() {
                0 => format!("{kind} {name} is there, and nobody asked for it"),
                _ => format!("{kind} {name} was refused, and is there"),
            };
            let shown = thing.found.iter().chain(&thing.refused).copied();
            violations.push(Violation::new(what, shown));
        }
        if let (Some(asked), true, Some(search)) =
            (thing.acknowledged.first(), thing.found.is_empty(), searched.get(kind))
        {
            let what = format!("{kind} {name} was acknowledged, and is not there");
            violations.push(Violation::new(what, [*asked, *search]));
        }
    }
    violations
}
