//! What a form sent, as JSON for the workflow.

use serde_json::{Map, Number, Value};

use super::PREFIX;
use super::schema::{FieldKind, kind_of, may_be_null, properties};

/// What is wrong with one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The parameter, or the place within it.
    pub field: String,
    /// What is wrong; reads on after the field's name.
    pub message: String,
}

/// The parameters in the pairs of a form that [`Form`](super::Form) made for this schema. Empty fields are left out, so that
/// the workflow's own default counts, or are null where the schema has that. Types only: the schema itself is checked by
/// whoever starts the run.
pub fn read(schema: &Value, pairs: &[(String, String)]) -> Result<Map<String, Value>, Vec<FieldError>> {
    let mut values = Map::new();
    let mut errors = Vec::new();
    for (name, property) in properties(schema) {
        let sent: Vec<&str> = pairs
            .iter()
            .filter(|(field, _)| field.strip_prefix(PREFIX) == Some(name))
            .map(|(_, value)| value.as_str())
            .collect();
        match value(&kind_of(schema, property), &sent) {
            Ok(Some(value)) => {
                values.insert(name.clone(), value);
            }
            Ok(None) if may_be_null(property) => {
                values.insert(name.clone(), Value::Null);
            }
            Ok(None) => {}
            Err(message) => errors.push(FieldError {
                field: name.clone(),
                message,
            }),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn value(kind: &FieldKind, sent: &[&str]) -> Result<Option<Value>, String> {
    let text = sent.first().copied().unwrap_or_default();
    let trimmed = text.trim();
    Ok(match kind {
        // A browser does not send a switch that is off.
        FieldKind::Switch => Some(Value::Bool(!sent.is_empty())),
        FieldKind::Choices(_) => Some(sent.iter().map(|one| Value::from(*one)).collect()),
        FieldKind::Lines => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Some(lines.map(Value::from).collect())
        }
        _ if trimmed.is_empty() => None,
        // A secret may begin or end with a space.
        FieldKind::Secret => Some(Value::from(text)),
        FieldKind::Text { .. } | FieldKind::Choice(_) => Some(Value::from(trimmed)),
        FieldKind::Integer { .. } => match trimmed.parse::<i64>() {
            Ok(number) => Some(Value::from(number)),
            Err(_) => return Err(format!("must be a whole number, not `{trimmed}`")),
        },
        FieldKind::Number { .. } => match serde_json::from_str::<Number>(trimmed) {
            Ok(number) => Some(Value::Number(number)),
            Err(_) => return Err(format!("must be a number, not `{trimmed}`")),
        },
        FieldKind::Json => match serde_json::from_str(trimmed) {
            Ok(value) => Some(value),
            Err(error) => return Err(format!("must be JSON: {error}")),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Form;
    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["harness", "seconds"],
            "properties": {
                "harness": {"type": "string", "description": "The file.", "maxLength": 80},
                "seconds": {"type": "integer", "minimum": 1, "maximum": 86400, "default": 60},
                "ratio": {"type": "number"},
                "deep": {"type": "boolean", "default": true},
                "engine": {"type": "string", "enum": ["libfuzzer", "afl"], "default": "libfuzzer"},
                "languages": {"type": "array", "items": {"enum": ["c", "cpp"]}, "default": []},
                "flags": {"type": "array", "items": {"type": "string"}, "default": ["-O1", "-g"]},
                "advisories": {"type": ["string", "null"], "default": null},
                "token": {"type": "string", "format": "password", "default": "hunter2"},
                "options": {"type": "object"}
            }
        })
    }

    fn sent(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| (format!("p.{name}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_form_sent_as_it_was_drawn_gives_the_defaults() {
        let schema = schema();
        let form = Form::from_schema(&schema, &Map::new());
        let pairs: Vec<(String, String)> = form
            .fields
            .iter()
            .flat_map(|field| {
                field
                    .value
                    .iter()
                    .map(|value| (format!("p.{}", field.name), value.clone()))
            })
            .collect();
        let expected = json!({
            "seconds": 60, "deep": true, "engine": "libfuzzer", "languages": [], "flags": ["-O1", "-g"],
            "advisories": null,
        });
        assert_eq!(Value::Object(read(&schema, &pairs).unwrap()), expected);
    }

    #[test]
    fn each_kind_of_field_becomes_its_json() {
        let pairs = sent(&[
            ("harness", " fuzz/parse.c "),
            ("seconds", "3600"),
            ("ratio", "0.25"),
            ("languages", "c"),
            ("languages", "cpp"),
            ("flags", "-O2\r\n\r\n -g \r\n"),
            ("token", " s3cret "),
            ("options", "{\"depth\": 3}"),
            ("unknown", "x"),
        ]);
        let expected = json!({
            "harness": "fuzz/parse.c", "seconds": 3600, "ratio": 0.25, "deep": false, "languages": ["c", "cpp"],
            "flags": ["-O2", "-g"], "advisories": null, "token": " s3cret ", "options": {"depth": 3},
        });
        assert_eq!(Value::Object(read(&schema(), &pairs).unwrap()), expected);
    }

    #[test]
    fn every_wrong_field_is_named_and_nothing_typed_is_lost_but_secrets() {
        let pairs = sent(&[("seconds", "soon"), ("ratio", "1/2"), ("options", "{"), ("token", "x")]);
        let errors = read(&schema(), &pairs).unwrap_err();
        let mut names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["options", "ratio", "seconds"]);
        let mut form = Form::from_schema(&schema(), &Map::new()).with_sent(&pairs);
        let elsewhere = FieldError {
            field: "target".into(),
            message: "is missing".into(),
        };
        let rest = form.set_errors([errors, vec![elsewhere.clone()]].concat());
        assert_eq!(rest, [elsewhere]);
        let field = |name: &str| form.fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(field("seconds").value, ["soon"]);
        assert!(field("seconds").error.as_deref().unwrap().contains("`soon`"));
        assert!(field("token").value.is_empty());
    }

    #[test]
    fn what_must_be_given_comes_first_and_a_default_spares_it() {
        let form = Form::from_schema(&schema(), &Map::new());
        let required: Vec<&str> = form
            .fields
            .iter()
            .filter(|f| f.required)
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(required, ["harness"]);
        assert_eq!(form.fields[0].name, "harness");
        let given = Form::from_schema(&schema(), json!({"harness": "a.c"}).as_object().unwrap());
        assert!(given.fields.iter().all(|field| !field.required));
    }

    #[test]
    fn a_schema_that_makes_no_sense_makes_a_form_all_the_same() {
        for schema in [
            json!(null),
            json!({"properties": 3}),
            json!({"properties": {"a": true, "b": {"$ref": "#/nowhere"}}}),
        ] {
            let form = Form::from_schema(&schema, &Map::new());
            assert!(form.fields.iter().all(|field| field.kind == FieldKind::Json));
            assert!(read(&schema, &[]).unwrap().is_empty());
        }
    }
}
