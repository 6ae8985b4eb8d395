//! Turning a step's `with:` into a module's typed configuration, with errors that name the field.

use jsonschema::Validator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ModuleError;

/// Checks `config` against the module's schema, then deserialises it. `null` counts as an empty object.
pub(crate) fn parse<T: DeserializeOwned>(module: &str, schema: &Value, config: &Value) -> Result<T, ModuleError> {
    let config = if config.is_null() {
        Value::Object(Map::new())
    } else {
        config.clone()
    };
    let error = |field: &str, message: String| ModuleError::Config {
        module: module.to_owned(),
        field: if field.is_empty() {
            ".".to_owned()
        } else {
            field.trim_start_matches('/').replace('/', ".")
        },
        message,
    };
    let validator: Validator = jsonschema::validator_for(schema)
        .map_err(|e| ModuleError::Internal(format!("config schema of {module}: {e}")))?;
    if let Some(problem) = validator.iter_errors(&config).next() {
        return Err(error(problem.instance_path().as_str(), problem.to_string()));
    }
    serde_json::from_value(config).map_err(|e| error("", e.to_string()))
}
