//! A run's parameters: defaults, validation, and values from a command line.

use serde_json::{Map, Value};

use crate::problem::{closest, suggest};
use crate::schema;

/// What is wrong with one parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{field}` {message}")]
pub struct ParameterError {
    /// The parameter, or the place within it: `scanner.max_size`.
    pub field: String,
    /// What is wrong; reads on after the field's name.
    pub message: String,
}

/// Fills in defaults and validates. Afterwards each parameter that the schema declares is there, null if it has
/// neither a value nor a default, so that a template can name it.
pub(crate) fn resolve(
    schema: &Value,
    defaults: &Map<String, Value>,
    given: Map<String, Value>,
) -> Result<Map<String, Value>, Vec<ParameterError>> {
    let properties = properties(schema);
    let mut errors = unknown(schema, defaults, &given);
    let mut values = Map::new();
    for (name, property) in properties {
        if let Some(default) = property.get("default") {
            values.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in defaults.iter().chain(&given) {
        // Existing files write `target: null` for "none by default" although the type is string.
        if value.is_null() && !properties.get(name).is_some_and(allows_null) {
            continue;
        }
        values.insert(name.clone(), value.clone());
    }
    match schema::compile(schema) {
        Ok(validator) => {
            let found = schema::check(&validator, schema, &Value::Object(values.clone()));
            errors.extend(found.into_iter().map(|violation| ParameterError {
                field: violation.field(),
                message: match &violation.hint {
                    Some(hint) => format!("{} ({hint})", violation.message),
                    None => violation.message.clone(),
                },
            }));
        }
        Err(wrong) => errors.push(ParameterError {
            field: "parameters".to_owned(),
            message: format!("cannot be checked, its schema is wrong: {}", wrong.message),
        }),
    }
    if !errors.is_empty() {
        // An unknown name is reported by us and, with `additionalProperties: false`, by the schema too.
        let mut seen = std::collections::HashSet::new();
        errors.retain(|e| seen.insert(e.field.clone()));
        return Err(errors);
    }
    for name in properties.keys() {
        values.entry(name.clone()).or_insert(Value::Null);
    }
    Ok(values)
}

/// The text of a `KEY=VALUE` as the type that the schema wants.
pub(crate) fn coerce(schema: &Value, key: &str, text: &str) -> Result<Value, ParameterError> {
    let properties = properties(schema);
    let Some(property) = properties.get(key) else {
        if is_open(schema) {
            return Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())));
        }
        return Err(unknown_parameter(key, properties.keys().map(String::as_str)));
    };
    let types = types_of(follow(schema, property));
    let wrong = |want: &str| ParameterError {
        field: key.to_owned(),
        message: format!("must be {want}, not `{text}`"),
    };
    if types.is_empty() {
        return Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())));
    }
    if text == "null" && types.contains(&"null") {
        return Ok(Value::Null);
    }
    let mut wants = Vec::new();
    // Text comes last: everything is text.
    for kind in ["boolean", "integer", "number", "array", "object", "string"]
        .into_iter()
        .filter(|k| types.contains(k))
    {
        match parse_as(kind, text) {
            Ok(value) => return Ok(value),
            Err(want) => wants.push(want),
        }
    }
    Err(wrong(&wants.join(" or ")))
}

fn parse_as(kind: &str, text: &str) -> Result<Value, &'static str> {
    match kind {
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(Value::Bool(true)),
            "false" | "no" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err("true or false"),
        },
        "integer" => match text.trim().parse::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => text.trim().parse::<u64>().map(Value::from).map_err(|_| "an integer"),
        },
        "number" => match serde_json::from_str::<serde_json::Number>(text.trim()) {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err("a number"),
        },
        "array" if text.trim_start().starts_with('[') => match serde_json::from_str(text) {
            Ok(value @ Value::Array(_)) => Ok(value),
            _ => Err("a JSON list such as [\"a\",\"b\"], or values separated by commas"),
        },
        "array" if text.is_empty() => Ok(Value::Array(Vec::new())),
        "array" => Ok(Value::Array(text.split(',').map(item).collect())),
        "object" => match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(value),
            _ => Err("a JSON mapping such as {\"key\":\"value\"}"),
        },
        _ => Ok(Value::String(text.to_owned())),
    }
}

// Items of a comma-separated list have no type of their own: numbers look like numbers.
fn item(text: &str) -> Value {
    let text = text.trim();
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

fn unknown(schema: &Value, defaults: &Map<String, Value>, given: &Map<String, Value>) -> Vec<ParameterError> {
    if is_open(schema) {
        return Vec::new();
    }
    let properties = properties(schema);
    let known = || properties.keys().chain(defaults.keys()).map(String::as_str);
    given
        .keys()
        .filter(|name| !known().any(|k| k == name.as_str()))
        .map(|name| unknown_parameter(name, known()))
        .collect()
}

fn unknown_parameter<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> ParameterError {
    let known: Vec<&str> = known.collect();
    let hint = match closest(name, known.iter().copied()) {
        Some(close) => format!(" (did you mean `{close}`?)"),
        None if known.is_empty() => " (the workflow takes no parameters)".to_owned(),
        None => suggest(name, known.iter().copied())
            .map(|s| format!(" ({s})"))
            .unwrap_or_default(),
    };
    ParameterError {
        field: name.to_owned(),
        message: format!("is not known{hint}"),
    }
}

/// The declared parameters.
pub(crate) fn properties(schema: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    schema.get("properties").and_then(Value::as_object).unwrap_or(&NONE)
}

/// Whether names beyond the declared ones are explicitly welcome. JSON Schema's default is yes, but a misspelt
/// parameter that is silently ignored makes a scan that looked at the wrong thing.
pub(crate) fn is_open(schema: &Value) -> bool {
    let explicit = schema
        .get("additionalProperties")
        .is_some_and(|v| v != &Value::Bool(false));
    explicit || schema.get("patternProperties").is_some()
}

fn allows_null(property: &Value) -> bool {
    let types = types_of(property);
    types.is_empty() || types.contains(&"null")
}

fn types_of(property: &Value) -> Vec<&str> {
    match property.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => match property.get("enum").and_then(Value::as_array) {
            Some(options) if options.iter().all(Value::is_string) => vec!["string"],
            _ => Vec::new(),
        },
    }
}

fn follow<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let pointer = property
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| r.strip_prefix('#'));
    pointer.and_then(|p| schema.pointer(p)).unwrap_or(property)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        json!({
            "type": "object",
            "required": ["depth"],
            "properties": {
                "depth": {"type": "integer", "minimum": 1},
                "ratio": {"type": "number", "default": 0.5},
                "fast": {"type": "boolean"},
                "mode": {"type": "string", "enum": ["quick", "deep"], "default": "quick"},
                "patterns": {"type": "array", "items": {"type": "string"}},
                "limits": {"type": "object", "properties": {"size": {"type": "integer"}}},
                "name": {"type": ["string", "null"]},
                "any": {},
            }
        })
    }

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is not a mapping"),
        }
    }

    #[test]
    fn defaults_fill_in_and_every_declared_parameter_is_there() {
        let defaults = map(json!({"mode": "deep", "fast": null, "ratio": null}));
        let values = resolve(&sample(), &defaults, map(json!({"depth": 3}))).unwrap();
        assert_eq!(
            Value::Object(values.clone()),
            json!({"depth": 3, "ratio": 0.5, "fast": null, "mode": "deep", "patterns": null, "limits": null, "name": null, "any": null})
        );
        assert_eq!(
            resolve(&sample(), &defaults, values.clone()).unwrap(),
            values,
            "resolving twice changes nothing"
        );
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let given = map(json!({"mode": "depe", "fats": true, "patterns": ["a", 1], "limits": {"size": "x"}}));
        let errors: Vec<String> = resolve(&sample(), &Map::new(), given)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut sorted = errors.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            [
                "parameter `depth` is required",
                "parameter `fats` is not known (did you mean `fast`?)",
                "parameter `limits.size` must be an integer, not `x`",
                "parameter `mode` must be one of `quick`, `deep`, not `depe` (did you mean `deep`?)",
                "parameter `patterns[1]` must be text, not 1",
            ]
        );
    }

    #[test]
    fn text_from_the_command_line_becomes_what_the_schema_wants() {
        for (key, text, value) in [
            ("depth", "12", json!(12)),
            ("ratio", "2", json!(2)),
            ("ratio", "2.5", json!(2.5)),
            ("fast", "yes", json!(true)),
            ("fast", "False", json!(false)),
            ("mode", "deep", json!("deep")),
            ("mode", "true", json!("true")),
            ("patterns", "*.py, *.rs", json!(["*.py", "*.rs"])),
            ("patterns", "[\"a,b\"]", json!(["a,b"])),
            ("patterns", "", json!([])),
            ("limits", "{\"size\": 1}", json!({"size": 1})),
            ("name", "null", json!(null)),
            ("name", "7", json!("7")),
            ("any", "[1]", json!([1])),
            ("any", "plain", json!("plain")),
        ] {
            assert_eq!(coerce(&sample(), key, text).unwrap(), value, "{key}={text}");
        }
        for (key, text, message) in [
            ("depth", "deep", "parameter `depth` must be an integer, not `deep`"),
            ("fast", "maybe", "parameter `fast` must be true or false, not `maybe`"),
            (
                "limits",
                "x",
                "parameter `limits` must be a JSON mapping such as {\"key\":\"value\"}, not `x`",
            ),
            ("dept", "1", "parameter `dept` is not known (did you mean `depth`?)"),
        ] {
            assert_eq!(coerce(&sample(), key, text).unwrap_err().to_string(), message);
        }
    }
}
