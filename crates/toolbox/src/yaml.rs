//! YAML text as a tree in which each value knows its place.
//!
//! Deserialising straight into structs stops at the first mistake; walking a tree reports them all.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use crate::problem::Problem;

/// Longest file that is read. Ours are a few hundred lines.
const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting: the tree is walked recursively.
const MAX_DEPTH: usize = 32;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Pos {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    fn of(location: Location) -> Self {
        let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self {
            line: clamp(location.line()),
            column: clamp(location.column()),
        }
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Pos,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Pos,
    pub(crate) value: Node,
}

impl Node {
    /// The value without places. Of duplicate keys, which are reported elsewhere, the last wins.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(value) => Value::Number(value.clone()),
            Kind::Text(value) => Value::String(value.clone()),
            Kind::Seq(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|e| (e.key.clone(), e.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The node that a JSON pointer names, or the nearest one above it.
    pub(crate) fn at_pointer(&self, pointer: &str) -> &Node {
        let mut node = self;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let child = match &node.kind {
                Kind::Map(entries) => entries.iter().rev().find(|e| e.key == token).map(|e| &e.value),
                Kind::Seq(items) => token.parse::<usize>().ok().and_then(|n| items.get(n)),
                _ => None,
            };
            match child {
                Some(child) => node = child,
                None => break,
            }
        }
        node
    }

    /// What it is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("`{value}`"),
            Kind::Number(value) => format!("the number {value}"),
            Kind::Text(value) if value.chars().count() <= 40 => format!("`{value}`"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::Seq(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Parses one document.
pub(crate) fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: format!("the file is longer than {} KiB", MAX_BYTES / 1024),
            hint: None,
        });
    }
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
    options.strict_booleans = true;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    if let Some(budget) = options.budget.as_mut() {
        budget.max_depth = MAX_DEPTH;
    }
    serde_saphyr::from_str_with_options::<Node>(text, options).map_err(|error| {
        let at = error.location().map_or(Pos::START, Pos::of);
        Problem {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            message: format!("not valid YAML: {}", first_line(&error.without_snippet().to_string())),
            hint: None,
        }
    })
}

/// The parser adds the place to its messages; the problem has it already.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match line.rfind(" at line ") {
        Some(end) => line[..end].trim_end_matches([',', ':', ' ']).to_owned(),
        None => line.to_owned(),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self {
            at: Pos::of(spanned.referenced),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Kind, E> {
        Err(E::custom(format_args!("the number {value} does not fit in 64 bits")))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Kind, E> {
        Err(E::custom(format_args!("the number {value} does not fit in 64 bits")))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        Number::from_f64(value)
            .map(Kind::Number)
            .ok_or_else(|| E::custom("infinity and NaN are not values here"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Node>()? {
            items.push(item);
        }
        Ok(Kind::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value::<Node>()?;
            entries.push(Entry {
                key: key.value,
                key_at: Pos::of(key.referenced),
                value,
            });
        }
        Ok(Kind::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text =
            "a: 1\nb:\n  - x: yes\n    y: [true, ~]\n  - \"{{ q }}\"\nc: |\n  one\n  two\nd: >-\n  folded\nb: 2.5\n";
        let node = parse("f.yaml", text).unwrap();
        let Kind::Map(entries) = &node.kind else {
            panic!("a mapping")
        };
        let places: Vec<_> = entries
            .iter()
            .map(|e| {
                (
                    e.key.as_str(),
                    e.key_at.line,
                    e.key_at.column,
                    e.value.at.line,
                    e.value.at.column,
                )
            })
            .collect();
        assert_eq!(
            places,
            [
                ("a", 1, 1, 1, 4),
                ("b", 2, 1, 3, 3),
                ("c", 6, 1, 7, 3),
                ("d", 9, 1, 10, 3),
                ("b", 11, 1, 11, 4)
            ]
        );
        let x = node.at_pointer("/b");
        assert_eq!(x.to_json(), serde_json::json!(2.5), "the last of duplicates");
        let Kind::Seq(items) = &entries[1].value.kind else {
            panic!("a list")
        };
        assert_eq!(items[0].to_json(), serde_json::json!({"x": "yes", "y": [true, null]}));
        assert_eq!((items[1].at.line, items[1].at.column), (5, 5));
    }

    #[test]
    fn broken_yaml_says_where() {
        for text in [
            "a: [1, 2\nb: 3\n",
            "a: 1\n  b: 2\n",
            "a: \"open\n",
            "a: !evil 1",
            "a: &x [*x]",
            "a: 1\n---\nb: 2\n",
        ] {
            let problem = parse("f.yaml", text).unwrap_err();
            assert!(!problem.message.contains("at line"), "{problem}");
            assert!(problem.line >= 1 && problem.column >= 1, "{problem}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let text = "[".repeat(5000);
        assert!(parse("f.yaml", &text).is_err());
        let text = "- ".repeat(3000);
        assert!(parse("f.yaml", &text).is_err());
    }
}
