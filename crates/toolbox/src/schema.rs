//! JSON Schema: checking schemas, and errors that a person can act on.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::problem::suggest;

/// A violation: where, and what must be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// JSON pointer into the value; for a missing or unknown key, of that key.
    pub(crate) pointer: String,
    /// Without the name of the field.
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Whether it is about which keys there are, not about a value.
    pub(crate) about_keys: bool,
}

impl Violation {
    /// The pointer as people write it: `scanner.patterns[2]`.
    pub(crate) fn field(&self) -> String {
        field_of(&self.pointer)
    }
}

/// `/scanner/patterns/2` as `scanner.patterns[2]`.
pub(crate) fn field_of(pointer: &str) -> String {
    let mut field = String::new();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if token.parse::<usize>().is_ok() && !field.is_empty() {
            field.push_str(&format!("[{token}]"));
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(&token);
        }
    }
    field
}

/// Compiles a schema. The error names the pointer of what is wrong in it.
pub(crate) fn compile(schema: &Value) -> Result<Validator, Violation> {
    if let Err(error) = jsonschema::meta::validate(schema) {
        return Err(Violation {
            pointer: error.instance_path().to_string(),
            ..explain(&error, Some(schema)).swap_remove(0)
        });
    }
    jsonschema::validator_for(schema).map_err(|error| Violation {
        pointer: error.instance_path().to_string(),
        message: error.to_string(),
        hint: None,
        about_keys: false,
    })
}

/// Every violation of a schema, in the order of the value.
pub(crate) fn check(validator: &Validator, schema: &Value, value: &Value) -> Vec<Violation> {
    validator
        .iter_errors(value)
        .flat_map(|error| explain(&error, Some(schema)))
        .collect()
}

fn explain(error: &ValidationError<'_>, schema: Option<&Value>) -> Vec<Violation> {
    let pointer = error.instance_path().to_string();
    let value = |message: String| {
        vec![Violation {
            pointer: pointer.clone(),
            message,
            hint: None,
            about_keys: false,
        }]
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Violation {
                pointer: child(&pointer, name),
                message: "is required".to_owned(),
                hint: None,
                about_keys: true,
            }]
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = schema.map(|s| known_keys(s, &pointer)).unwrap_or_default();
            unexpected
                .iter()
                .map(|name| Violation {
                    pointer: child(&pointer, name),
                    message: "is not known".to_owned(),
                    hint: suggest(name, known.iter().map(String::as_str)),
                    about_keys: true,
                })
                .collect()
        }
        ValidationErrorKind::Type { kind } => value(format!(
            "must be {}, not {}",
            type_names(kind),
            describe(error.instance())
        )),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&Value> = options.as_array().map(|o| o.iter().collect()).unwrap_or_default();
            let list: Vec<String> = options.iter().map(|o| describe(o)).collect();
            let hint = error.instance().as_str().and_then(|text| {
                let names: Vec<&str> = options.iter().filter_map(|o| o.as_str()).collect();
                crate::problem::closest(text, names).map(|name| format!("did you mean `{name}`?"))
            });
            let message = format!("must be one of {}, not {}", list.join(", "), describe(error.instance()));
            vec![Violation {
                pointer,
                message,
                hint,
                about_keys: false,
            }]
        }
        ValidationErrorKind::Constant { expected_value } => value(format!("must be {}", describe(expected_value))),
        ValidationErrorKind::Minimum { limit } => value(format!("must be {limit} or more")),
        ValidationErrorKind::Maximum { limit } => value(format!("must be {limit} or less")),
        ValidationErrorKind::ExclusiveMinimum { limit } => value(format!("must be more than {limit}")),
        ValidationErrorKind::ExclusiveMaximum { limit } => value(format!("must be less than {limit}")),
        ValidationErrorKind::MinLength { limit } => value(format!("must be at least {limit} characters long")),
        ValidationErrorKind::MaxLength { limit } => value(format!("must be at most {limit} characters long")),
        ValidationErrorKind::MinItems { limit } => value(format!("must have at least {limit} items")),
        ValidationErrorKind::MaxItems { limit } => value(format!("must have at most {limit} items")),
        ValidationErrorKind::UniqueItems => value("must not have an item twice".to_owned()),
        ValidationErrorKind::Pattern { pattern } => value(format!("must match the pattern `{pattern}`")),
        ValidationErrorKind::Format { format } => value(format!("is not a valid {format}")),
        _ => value(error.to_string()),
    }
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

// Follows `properties` and `items` only: enough to say "did you mean".
fn known_keys(schema: &Value, pointer: &str) -> Vec<String> {
    let mut at = schema;
    for token in pointer.split('/').skip(1) {
        let next = at
            .get("properties")
            .and_then(|p| p.get(token))
            .or_else(|| at.get("items"));
        match next {
            Some(next) => at = next,
            None => return Vec::new(),
        }
    }
    at.get("properties")
        .and_then(Value::as_object)
        .map(|p| p.keys().cloned().collect())
        .unwrap_or_default()
}

fn type_names(kind: &TypeKind) -> String {
    let name = |name: &str| match name {
        "array" => "a list".to_owned(),
        "object" => "a mapping".to_owned(),
        "integer" => "an integer".to_owned(),
        "boolean" => "true or false".to_owned(),
        "string" => "text".to_owned(),
        "null" => "null".to_owned(),
        other => format!("a {other}"),
    };
    match kind {
        TypeKind::Single(one) => name(&one.to_string()),
        TypeKind::Multiple(many) => many
            .iter()
            .map(|t| name(&t.to_string()))
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

/// A value as messages show it.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() <= 60 => format!("`{text}`"),
        Value::String(_) => "a long text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        scalar => scalar.to_string(),
    }
}
