//! The search attributes of a namespace: which there are, what may be set, and the rows by which values are found.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use temporalio_protos::temporal::api::common::v1::Payload;

use crate::{
    Param, ValueType,
    workflows::{PREDEFINED, SYSTEM},
};

/// Custom attributes one namespace may have; one more is refused.
pub const MAX_CUSTOM_ATTRIBUTES: usize = 100;
/// Attributes one execution may have.
const MAX_FIELDS: usize = 100;
/// Bytes of one value.
const MAX_VALUE: usize = 2 * 1024;
/// Bytes of all attributes of an execution.
const MAX_TOTAL: usize = 40 * 1024;

/// A custom search attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Names it in the table of values; above 0. An attribute that is removed and added again is another one.
    pub number: i64,
    /// What its values are.
    pub value_type: ValueType,
}

/// The custom search attributes of a namespace. Those that every execution has are known beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    custom: BTreeMap<String, Definition>,
}

impl FromIterator<(String, Definition)> for Attributes {
    fn from_iter<T: IntoIterator<Item = (String, Definition)>>(definitions: T) -> Self {
        Attributes {
            custom: definitions.into_iter().collect(),
        }
    }
}

impl Attributes {
    /// The custom attributes, by name.
    pub fn custom(&self) -> impl Iterator<Item = (&str, Definition)> {
        self.custom
            .iter()
            .map(|(name, definition)| (name.as_str(), *definition))
    }

    /// A custom attribute.
    pub fn get(&self, name: &str) -> Option<Definition> {
        self.custom.get(name).copied()
    }

    /// Whether an attribute of this name cannot be added, because the engine has or keeps it.
    pub fn is_reserved(name: &str) -> bool {
        SYSTEM.iter().any(|(system, _)| *system == name)
            || name.starts_with("Temporal")
            || PREDEFINED.iter().any(|predefined| predefined.name == name)
            || ["NamespaceId", "Memo", "MemoEncoding", "VisibilityTaskKey"].contains(&name)
    }

    /// An attribute whose values are rows: a custom one, or one of those that the engine and SDKs set.
    pub(crate) fn stored(&self, name: &str) -> Option<Definition> {
        self.get(name).or_else(|| {
            PREDEFINED
                .iter()
                .find(|predefined| predefined.name == name)
                .map(|predefined| predefined.definition)
        })
    }

    /// Checks what a client or a workflow wants to set. `namespace` is for the message.
    pub fn check(&self, fields: &HashMap<String, Payload>, namespace: &str) -> Result<(), String> {
        if fields.len() > MAX_FIELDS {
            return Err(format!(
                "number of search attributes {} exceeds limit {MAX_FIELDS}",
                fields.len()
            ));
        }
        // In order, so that the message is the same every time.
        let sorted: BTreeMap<_, _> = fields.iter().collect();
        for (name, payload) in sorted {
            self.check_field(name, payload, namespace)?;
        }
        let size = fields
            .iter()
            .map(|(name, payload)| name.len() + payload.encoded_len())
            .sum::<usize>();
        if size > MAX_TOTAL {
            return Err(format!(
                "total size of search attributes {size} exceeds size limit {MAX_TOTAL}"
            ));
        }
        Ok(())
    }

    fn check_field(&self, name: &str, payload: &Payload, namespace: &str) -> Result<(), String> {
        let is_settable = PREDEFINED
            .iter()
            .all(|predefined| predefined.name != name || predefined.settable);
        let is_system = SYSTEM.iter().any(|(system, _)| *system == name);
        if self.get(name).is_none() && (is_system || !is_settable) {
            return Err(format!("{name} attribute can't be set in SearchAttributes"));
        }
        let Some(definition) = self.stored(name) else {
            return Err(format!(
                "Namespace {namespace} has no mapping defined for search attribute {name}"
            ));
        };
        if payload.data.len() > MAX_VALUE {
            return Err(format!(
                "search attribute {name} value size {} exceeds size limit {MAX_VALUE}",
                payload.data.len()
            ));
        }
        definition.value_type.rows(payload).map(|_| ()).map_err(|_| {
            format!(
                "invalid value for search attribute {name} of type {}: {}",
                definition.value_type.name(),
                String::from_utf8_lossy(&payload.data)
            )
        })
    }

    /// The rows by which an execution with these values is found: attribute and value, each pair once, in order. Values
    /// of attributes that are no more have none.
    pub fn rows(&self, fields: &HashMap<String, Payload>) -> Vec<(i64, Param)> {
        let mut rows: Vec<(i64, Param)> = Vec::new();
        let sorted: BTreeMap<_, _> = fields.iter().collect();
        for (name, payload) in sorted {
            let Some(definition) = self.stored(name) else { continue };
            // What does not fit was refused when it was set; an attribute of the same name may have come since.
            for value in definition.value_type.rows(payload).unwrap_or_default() {
                let row = (definition.number, value);
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// The values as clients see them: with their types, without those whose attribute is no more.
    pub fn shown(&self, fields: &HashMap<String, Payload>) -> HashMap<String, Payload> {
        fields
            .iter()
            .filter_map(|(name, payload)| {
                let definition = self.stored(name)?;
                let mut payload = payload.clone();
                set_type(&mut payload, definition.value_type);
                Some((name.clone(), payload))
            })
            .collect()
    }
}

/// Notes the type of a value in its payload, as SDKs read it.
pub fn set_type(payload: &mut Payload, value_type: ValueType) {
    payload
        .metadata
        .insert("type".to_owned(), value_type.name().as_bytes().to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(data: &str) -> Payload {
        Payload {
            metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
            data: data.as_bytes().to_vec(),
            ..Payload::default()
        }
    }

    fn attributes() -> Attributes {
        use ValueType::*;
        [
            ("MyInt", Int),
            ("MyKeyword", Keyword),
            ("MyText", Text),
            ("MyList", KeywordList),
            ("MyBool", Bool),
            ("MyTime", Datetime),
            ("MyDouble", Double),
        ]
        .into_iter()
        .zip(1..)
        .map(|((name, value_type), number)| (name.to_owned(), Definition { number, value_type }))
        .collect()
    }

    fn check(name: &str, data: &str) -> Result<(), String> {
        attributes().check(&HashMap::from([(name.to_owned(), json(data))]), "default")
    }

    #[test]
    fn values_must_be_of_the_type_of_their_attribute() {
        for (name, good) in [
            ("MyInt", "1"),
            ("MyInt", "[1]"),
            ("MyInt", "[]"),
            ("MyInt", "null"),
            ("MyKeyword", "\"a\""),
            ("MyList", "[\"a\",\"b\"]"),
            ("MyBool", "true"),
            ("MyTime", "\"2026-01-02T00:00:00Z\""),
            ("MyDouble", "1"),
            ("TemporalChangeVersion", "[\"v-1\"]"),
        ] {
            assert_eq!(check(name, good), Ok(()), "{name} = {good}");
        }
        for (name, bad) in [
            ("MyInt", "\"1\""),
            ("MyInt", "1.5"),
            ("MyInt", "[1,2]"),
            ("MyKeyword", "3"),
            ("MyList", "\"a\""),
            ("MyList", "[1]"),
            ("MyBool", "\"true\""),
            ("MyTime", "\"2026-01-02\""),
            ("MyTime", "1"),
            ("MyInt", "{"),
        ] {
            let error = check(name, bad).unwrap_err();
            assert!(
                error.contains(&format!("invalid value for search attribute {name}")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_unknown_or_not_the_clients_is_refused_by_name() {
        assert!(
            check("Nope", "1")
                .unwrap_err()
                .contains("no mapping defined for search attribute Nope")
        );
        assert!(
            check("WorkflowId", "1")
                .unwrap_err()
                .contains("WorkflowId attribute can't be set")
        );
        assert!(
            check("TemporalWorkerDeployment", "1")
                .unwrap_err()
                .contains("can't be set")
        );
        assert!(
            check("MyText", &format!("\"{}\"", "x".repeat(3000)))
                .unwrap_err()
                .contains("size limit")
        );
    }

    #[test]
    fn a_value_is_found_by_its_rows_and_null_has_none() {
        let rows = |name: &str, data: &str| {
            let rows = attributes().rows(&HashMap::from([(name.to_owned(), json(data))]));
            rows.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(rows("MyText", "\"The the FOX\""), ["the".into(), "fox".into()]);
        assert_eq!(rows("MyText", "\"...\""), ["".into()]);
        assert_eq!(rows("MyList", "[\"a\",\"b\",\"a\"]"), ["a".into(), "b".into()]);
        assert_eq!(rows("MyBool", "true"), [1.into()]);
        assert_eq!(rows("MyInt", "null"), []);
        assert_eq!(rows("Gone", "1"), []);
    }
}
