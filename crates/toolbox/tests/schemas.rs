//! The published schemas and the loader agree: on what is shipped, and on every small change of a full example.

use std::path::Path;

use helve_toolbox::{Layer, Toolbox};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

fn validator(name: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schemas/{name}.schema.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// What kind of file it is, by the schema's name.
fn file(kind: &str) -> &'static str {
    match kind {
        "metadata" => "workflows/full/metadata.yaml",
        "workflow" => "workflows/full/workflow.yaml",
        "module" => "modules/full/module.yaml",
        _ => "verticals/full/vertical.yaml",
    }
}

/// What the loader says of a document in the place of that kind, with sound files around it.
fn loads(kind: &str, document: &Value) -> Result<(), String> {
    let module = json!({"name": "m", "version": "1", "description": "d", "kind": "builtin"});
    let metadata = json!({"name": "full", "version": "1", "description": "d"});
    let workflow = json!({"steps": [{"id": "a", "uses": "m"}]});
    let mut files = vec![("modules/m/module.yaml".to_owned(), module.to_string())];
    match kind {
        "metadata" => files.push((file("workflow").to_owned(), workflow.to_string())),
        "workflow" => files.push((file("metadata").to_owned(), metadata.to_string())),
        _ => {}
    }
    // JSON is YAML.
    files.push((file(kind).to_owned(), document.to_string()));
    let problems = Toolbox::load(&[Layer::memory("box", files)]).problems;
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn full(kind: &str) -> Value {
    match kind {
        "metadata" => json!({
            "name": "full", "version": "1", "description": "d", "author": "me", "tags": ["a"], "vertical": "rust",
            "requirements": {"tools": ["cargo"], "resources": {"memory": "1Gi", "cpu": 2, "timeout": "10m"}},
            "workspace_isolation": "copy-on-write",
            "default_parameters": {},
            "parameters": {"type": "object", "properties": {}},
            "output_schema": {"type": "object"},
            "has_docker": false,
        }),
        "workflow" => json!({
            "steps": [
                {"id": "first", "uses": "m", "with": {"x": 1}, "if": true, "timeout": "1m", "vertical": "rust",
                 "retry": {"max_attempts": 2, "initial_interval": "1s", "backoff": 2, "max_interval": "1m"},
                 "continue_on_error": true},
                {"id": "second", "uses": "m", "needs": ["first"], "retry": 3,
                 "for_each": {"items": [1, 2], "as": "n", "max_items": 5, "max_parallel": 2}},
            ],
            "output": {"n": 1},
        }),
        "module" => json!({
            "name": "full", "version": "1", "description": "d", "author": "me", "tags": ["a"], "kind": "command",
            "config_schema": {"type": "object", "properties": {"depth": {"type": "integer"}}},
            "outputs": {"n": "number"},
            "tool": {"name": "scanner", "program": "scan", "probe": {"args": ["-v"], "pattern": "(\\d+)"},
                     "version": ">=1, <2", "homes": {"SCAN_HOME": {"at": ".scan", "read": ["rules", "a/b"]}}},
            "before": [{"program": "cc", "args": ["-o", "{{ out }}/h", 1], "failure": "it does not build"}],
            "run": "h",
            "replay": {"each": "crashes/*", "run": "h", "args": ["{{ input }}"], "time": "10s"},
            "facts": {"rate": {"from": "stderr", "pattern": "(\\d+)", "missing": "nothing ran"}},
            "progress": {"file": "stats", "pattern": "(\\d+)", "unit": "executions/s"},
            "args": ["-n", 3, "{{ config.depth }}", "{{ out }}/x"],
            "env": {"A": "b", "N": 1},
            "reads": ["{{ config.depth }}"],
            "network": true,
            "exit_codes": [0, 1],
            "inconclusive_exit_codes": {"3": "partly"},
            "output": {"file": "x.json", "format": "json", "items": "r[*]", "fields": {"message": "m", "line": "l"},
                       "gaps": {"s[*]": "skipped"}, "severities": {"E": "high"}, "lines": true, "where": {"c": "^x"}},
            "gaps": [{"from": "stderr", "pattern": "^W"}, {"file": "log", "pattern": "x"}],
            "artifacts": [{"file": "x.json", "media_type": "application/json"}],
            "limits": {"time": "1m", "cpu": "30s", "memory": "1Gi", "processes": 8, "output": 1000, "files": 64,
                       "file_size": "1Mi", "disk": "10Mi"},
            "rules": [{"id": "R", "name": "n", "description": "d", "severity": "low", "cwe": [79], "remediation": "r"}],
            "default_severity": "low",
        }),
        _ => json!({
            "name": "full", "version": "1", "description": "d", "tested": ["scan"], "notes": "n",
            "tools": [{"program": "scan", "purpose": "p", "probe": {"args": ["-v"], "pattern": "(\\d+)"},
                       "version": ">=1", "optional": false,
                       "install": {"apt": ["a"], "pip": "b", "npm": ["c"], "cargo": ["d"], "manual": "by hand"}},
                      {"name": "library", "program": "python3", "install": {"pip": "library"}}],
            "environment": {"A": "b"},
            "limits": {"time": "1m", "memory": 1000},
            "image": "debian:bookworm",
        }),
    }
}

/// Every place of a document, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inside = |key: &str, value: &Value| {
        let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        all.push(place.clone());
        places(value, &place, all);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| inside(key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| inside(&n.to_string(), value)),
        _ => {}
    }
}

fn parent<'v>(document: &'v mut Value, place: &str) -> (&'v mut Value, String) {
    let (above, last) = place.rsplit_once('/').unwrap();
    let key = last.replace("~1", "/").replace("~0", "~");
    (document.pointer_mut(above).unwrap(), key)
}

/// Small changes of a document: a key misspelt, a value of another type, a key gone.
fn changes(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    places(document, "", &mut all);
    let mut changes = Vec::new();
    for place in all {
        for odd in [json!([["odd"]]), json!({"odd": {}}), json!(1.5), json!(true)] {
            let mut changed = document.clone();
            *changed.pointer_mut(&place).unwrap() = odd.clone();
            changes.push((format!("{place} is {odd}"), changed));
        }
        let mut changed = document.clone();
        let (above, key) = parent(&mut changed, &place);
        if let Some(map) = above.as_object_mut() {
            let value = map.remove(&key).unwrap();
            let mut misspelt: Map<String, Value> = map.clone();
            misspelt.insert(format!("{key}zzz"), value);
            changes.push((format!("{place} is gone"), changed.clone()));
            let (above, _) = parent(&mut changed, &place);
            *above = Value::Object(misspelt);
            changes.push((format!("{place} is misspelt"), changed));
        }
    }
    changes
}

/// Places whose content is free, or where only one of the two can look closer: what a template or a schema says.
fn is_free(change: &str) -> bool {
    [
        "/with",
        "/output ",
        "/output/n",
        "/parameters",
        "/output_schema",
        "/config_schema",
        "/default_parameters",
        "/outputs",
        "/has_docker",
        "/for_each/items",
        "/for_each ",
    ]
    .iter()
    .any(|free| change.contains(free))
}

#[test]
fn the_schemas_and_the_loader_accept_and_refuse_the_same() {
    let mut disagreements = Vec::new();
    for kind in ["metadata", "workflow", "module", "vertical"] {
        let (schema, document) = (validator(kind), full(kind));
        assert_eq!(loads(kind, &document), Ok(()), "{kind}");
        assert!(schema.is_valid(&document), "{kind}: {:?}", schema.validate(&document));
        for (change, changed) in changes(&document)
            .into_iter()
            .filter(|(change, _)| kind == "module" && change.starts_with("/output/") || !is_free(change))
        {
            let (loader, schema) = (loads(kind, &changed), schema.is_valid(&changed));
            if loader.is_ok() != schema {
                let says = loader.err().unwrap_or_else(|| "fine".to_owned());
                disagreements.push(format!("{kind} {change}: the schema says {schema}, the loader: {says}"));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

#[test]
fn every_shipped_file_is_what_the_schemas_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../toolbox");
    let mut checked = 0;
    for (part, name, kind) in [
        ("workflows", "metadata.yaml", "metadata"),
        ("workflows", "workflow.yaml", "workflow"),
        ("modules", "module.yaml", "module"),
        ("verticals", "vertical.yaml", "vertical"),
    ] {
        let schema = validator(kind);
        for entry in std::fs::read_dir(root.join(part)).unwrap() {
            let path = entry.unwrap().path().join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            let errors: Vec<String> = schema
                .iter_errors(&value)
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} files");
}
