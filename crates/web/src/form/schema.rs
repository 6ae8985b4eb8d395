//! What a schema asks for, as fields.

use serde_json::{Map, Value};

use super::{FieldError, PREFIX};

/// The fields of a form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Form {
    /// In the order of the schema, those that must be given first.
    pub fields: Vec<Field>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The parameter's name.
    pub name: String,
    /// What it is called for people.
    pub label: String,
    /// What it means.
    pub help: String,
    /// Whether a run needs it.
    pub required: bool,
    /// What may be given.
    pub kind: FieldKind,
    /// What stands there, as the form sends it: one text, or one for each choice or line. Never that of a secret.
    pub value: Vec<String>,
    /// What was wrong with what was sent.
    pub error: Option<String>,
}

/// What a field takes.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// A line of text.
    Text {
        /// A regular expression that it must match, for people to read.
        pattern: Option<String>,
        /// Longest, in UTF-16 code units as browsers count.
        max_length: Option<u64>,
    },
    /// Text that is not shown and not sent back.
    Secret,
    /// A whole number.
    Integer {
        /// Least.
        minimum: Option<i64>,
        /// Greatest.
        maximum: Option<i64>,
    },
    /// A number.
    Number {
        /// Least.
        minimum: Option<f64>,
        /// Greatest.
        maximum: Option<f64>,
    },
    /// Yes or no.
    Switch,
    /// One of these.
    Choice(Vec<String>),
    /// Any of these.
    Choices(Vec<String>),
    /// Texts, one a line.
    Lines,
    /// Anything else, as JSON.
    Json,
}

impl Form {
    /// The fields of a schema of type object. `defaults` win over those in the schema, as in a workflow's metadata.
    pub fn from_schema(schema: &Value, defaults: &Map<String, Value>) -> Self {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut fields: Vec<Field> = properties(schema)
            .map(|(name, property)| {
                let kind = kind_of(schema, property);
                let default = defaults.get(name).or_else(|| property.get("default"));
                Field {
                    name: name.clone(),
                    label: property["title"].as_str().map_or_else(|| spoken(name), str::to_owned),
                    help: property["description"].as_str().unwrap_or_default().to_owned(),
                    required: required.contains(&name.as_str()) && default.is_none_or(Value::is_null),
                    value: default.map(|default| written(&kind, default)).unwrap_or_default(),
                    kind,
                    error: None,
                }
            })
            .collect();
        fields.sort_by_key(|field| !field.required);
        Self { fields }
    }

    /// The form with what somebody sent, to be shown again: nothing that was typed is lost, but for secrets.
    #[must_use]
    pub fn with_sent(mut self, pairs: &[(String, String)]) -> Self {
        for field in self.fields.iter_mut().filter(|field| field.kind != FieldKind::Secret) {
            let sent = pairs
                .iter()
                .filter(|(name, _)| name.strip_prefix(PREFIX) == Some(field.name.as_str()));
            field.value = sent.map(|(_, value)| value.clone()).collect();
        }
        self
    }

    /// The form with what was wrong. What belongs to no field is given back.
    pub fn set_errors(&mut self, errors: Vec<FieldError>) -> Vec<FieldError> {
        let mut rest = Vec::new();
        for error in errors {
            // `options.depth` is a place within the parameter `options`.
            let field = self.fields.iter_mut().find(|field| {
                error
                    .field
                    .strip_prefix(&field.name)
                    .is_some_and(|more| more.is_empty() || more.starts_with(['.', '[', '/']))
            });
            match field {
                Some(field) => field.error = Some(error.message),
                None => rest.push(error),
            }
        }
        rest
    }
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// What a property takes. A reference is followed within the schema, once.
pub(super) fn kind_of(schema: &Value, property: &Value) -> FieldKind {
    let property = property["$ref"]
        .as_str()
        .and_then(|reference| schema.pointer(reference.strip_prefix('#')?))
        .unwrap_or(property);
    if let Some(choices) = choices(property) {
        return FieldKind::Choice(choices);
    }
    let types = types(property);
    let texts = types.as_slice();
    match texts {
        ["boolean"] => FieldKind::Switch,
        ["integer"] => FieldKind::Integer {
            minimum: property["minimum"].as_i64(),
            maximum: property["maximum"].as_i64(),
        },
        ["number"] => FieldKind::Number {
            minimum: property["minimum"].as_f64(),
            maximum: property["maximum"].as_f64(),
        },
        ["string"] if is_secret(property) => FieldKind::Secret,
        ["string"] => FieldKind::Text {
            pattern: property["pattern"].as_str().map(str::to_owned),
            max_length: property["maxLength"].as_u64(),
        },
        ["array"] => {
            let items = &property["items"];
            match (choices(items), self::types(items).as_slice()) {
                (Some(choices), _) => FieldKind::Choices(choices),
                (None, ["string"]) => FieldKind::Lines,
                _ => FieldKind::Json,
            }
        }
        _ => FieldKind::Json,
    }
}

/// The types but for null: an empty field is null.
fn types(property: &Value) -> Vec<&str> {
    let all = match &property["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    all.into_iter().filter(|one| *one != "null").collect()
}

pub(super) fn may_be_null(property: &Value) -> bool {
    property["type"]
        .as_array()
        .is_some_and(|types| types.iter().any(|one| one == "null"))
}

fn choices(property: &Value) -> Option<Vec<String>> {
    let list = property["enum"].as_array()?;
    let texts: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (!texts.is_empty() && texts.len() == list.iter().filter(|one| !one.is_null()).count()).then_some(texts)
}

fn is_secret(property: &Value) -> bool {
    property["format"] == "password" || property["writeOnly"] == true
}

/// `min_severity` as `Min severity`.
fn spoken(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => words,
    }
}

fn written(kind: &FieldKind, value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (kind, value) {
        (FieldKind::Secret, _) | (_, Value::Null) => Vec::new(),
        (FieldKind::Choices(_), Value::Array(items)) => items.iter().map(text).collect(),
        (FieldKind::Lines, Value::Array(items)) => vec![items.iter().map(text).collect::<Vec<_>>().join("\n")],
        (FieldKind::Switch, Value::Bool(false)) => Vec::new(),
        (FieldKind::Json, value) => vec![value.to_string()],
        (_, value) => vec![text(value)],
    }
}
