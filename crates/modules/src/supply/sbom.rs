//! The bill of materials: CycloneDX 1.6 in JSON, the same bytes for the same lock files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::lock::Package;

/// Lock files by path, with what they name.
pub(crate) fn cyclonedx(locks: &BTreeMap<String, Vec<Package>>) -> Value {
    let mut components: BTreeMap<String, (&Package, Vec<Value>)> = BTreeMap::new();
    for (path, packages) in locks {
        for package in packages {
            let purl = package.ecosystem.purl(&package.name, &package.version);
            let (_, places) = components.entry(purl).or_insert_with(|| (package, Vec::new()));
            places.push(json!({"location": path, "line": package.line}));
        }
    }
    let components: Vec<Value> = components
        .into_iter()
        .map(|(purl, (package, places))| {
            json!({
                "type": "library",
                "bom-ref": purl,
                "name": package.name,
                "version": package.version,
                "purl": purl,
                "evidence": {"occurrences": places},
            })
        })
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "helve", "version": env!("CARGO_PKG_VERSION")}]},
            "properties": [{"name": "helve:lock-files", "value": locks.keys().cloned().collect::<Vec<_>>().join(", ")}],
        },
        "components": components,
    })
}
