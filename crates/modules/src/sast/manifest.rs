//! The module's manifest, `module.yaml`: what it is called and which configuration it takes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{LoadError, Metadata, RuleFile};

#[derive(Deserialize)]
struct Manifest {
    name: String,
    version: String,
    description: String,
    config_schema: Value,
    #[serde(default)]
    outputs: BTreeMap<String, String>,
}

/// Reads the manifest among the module's files.
pub(super) fn load(files: &[RuleFile]) -> Result<Metadata, LoadError> {
    let Some(file) = files
        .iter()
        .find(|file| file.path.rsplit('/').next() == Some("module.yaml"))
    else {
        let file = "modules/sast/module.yaml".to_owned();
        return Err(LoadError {
            file,
            line: None,
            reason: "the module's manifest is missing".to_owned(),
        });
    };
    let wrong = |line, reason: String| LoadError {
        file: file.path.clone(),
        line,
        reason,
    };
    let manifest: Manifest = serde_saphyr::from_str(&file.text).map_err(|error| {
        let line = error.location().map(|location| location.line() as u32);
        wrong(
            line,
            error.to_string().lines().next().unwrap_or("not a manifest").to_owned(),
        )
    })?;
    if jsonschema::validator_for(&manifest.config_schema).is_err() {
        return Err(wrong(None, "`config_schema` is not a JSON Schema".to_owned()));
    }
    Ok(Metadata {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description.trim().to_owned(),
        config_schema: manifest.config_schema,
        outputs: manifest.outputs,
    })
}
