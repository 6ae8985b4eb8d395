//! Typed access to a YAML tree that collects problems instead of stopping at the first.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::duration::Span;
use crate::problem::{Problem, suggest};
use crate::schema;
use crate::yaml::{Entry, Kind, Node, Pos};

/// The problems of one file so far.
pub(crate) struct Reader<'f> {
    file: &'f str,
    pub(crate) problems: Vec<Problem>,
}

/// The entries of a mapping whose keys have been checked.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    pub(crate) at: Pos,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    pub(crate) fn key_at(&self, key: &str) -> Pos {
        self.entries.iter().find(|e| e.key == key).map_or(self.at, |e| e.key_at)
    }
}

impl<'f> Reader<'f> {
    pub(crate) fn new(file: &'f str) -> Self {
        Self {
            file,
            problems: Vec::new(),
        }
    }

    /// The place of a line within a text value. Exact for literal block scalars (`|`), whose place is that of their
    /// first line, and for one-line texts.
    pub(crate) fn inside(node: &Node, line: u32) -> Pos {
        match line {
            0 | 1 => node.at,
            more => Pos {
                line: node.at.line.saturating_add(more - 1),
                column: 1,
            },
        }
    }

    pub(crate) fn problem(&mut self, at: Pos, message: impl Into<String>) {
        self.push(at, message.into(), None);
    }

    pub(crate) fn hinted(&mut self, at: Pos, message: impl Into<String>, hint: impl Into<String>) {
        self.push(at, message.into(), Some(hint.into()));
    }

    pub(crate) fn push(&mut self, at: Pos, message: String, hint: Option<String>) {
        let problem = Problem {
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            message,
            hint,
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn wrong_type(&mut self, node: &Node, what: &str, want: &str) {
        self.problem(node.at, format!("{what} must be {want}, not {}", node.describe()));
    }

    /// A mapping with these keys only, none of them twice. `tolerated` keys are known and ignored.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
        tolerated: &[&str],
    ) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &node.kind else {
            self.wrong_type(node, what, "a mapping");
            return None;
        };
        self.duplicates(entries);
        for entry in entries {
            let key = entry.key.as_str();
            if !known.contains(&key) && !tolerated.contains(&key) {
                let hint = suggest(key, known.iter().copied());
                self.push(entry.key_at, format!("{what} has no key `{key}`"), hint);
            }
        }
        Some(Fields { at: node.at, entries })
    }

    fn duplicates(&mut self, entries: &[Entry]) {
        for (n, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..n].iter().find(|e| e.key == entry.key) {
                let message = format!("the key `{}` is here twice", entry.key);
                self.hinted(
                    entry.key_at,
                    message,
                    format!("the first is in line {}", first.key_at.line),
                );
            }
        }
    }

    /// Free-form data; only duplicate keys are wrong in it.
    pub(crate) fn data(&mut self, node: &Node) -> Value {
        self.walk(node);
        node.to_json()
    }

    fn walk(&mut self, node: &Node) {
        match &node.kind {
            Kind::Map(entries) => {
                self.duplicates(entries);
                entries.iter().for_each(|entry| self.walk(&entry.value));
            }
            Kind::Seq(items) => items.iter().for_each(|item| self.walk(item)),
            _ => {}
        }
    }

    pub(crate) fn map(&mut self, node: &Node, what: &str) -> Map<String, Value> {
        match self.data(node) {
            Value::Object(map) => map,
            Value::Null => Map::new(),
            _ => {
                self.wrong_type(node, what, "a mapping");
                Map::new()
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Kind::Text(_) | Kind::Null => {
                self.problem(node.at, format!("{what} is empty"));
                None
            }
            Kind::Number(number) => {
                let message = format!("{what} must be text, not the number {number}");
                self.hinted(node.at, message, format!("put it in quotes: \"{number}\""));
                None
            }
            _ => {
                self.wrong_type(node, what, "text");
                None
            }
        }
    }

    /// Text that may also be written as a number: `1.10` is a version, `2` a number of cores.
    pub(crate) fn loose_text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            Kind::Number(number) if number.is_u64() => Some(number.to_string()),
            _ => self.text(node, what),
        }
    }

    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.kind {
            Kind::Seq(items) => items
                .iter()
                .filter_map(|item| self.text(item, &format!("an item of {what}")))
                .collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.wrong_type(node, what, "a list of texts");
                Vec::new()
            }
        }
    }

    pub(crate) fn flag(&mut self, node: &Node, what: &str) -> bool {
        match &node.kind {
            Kind::Bool(value) => *value,
            _ => {
                self.wrong_type(node, what, "true or false");
                false
            }
        }
    }

    pub(crate) fn number(&mut self, node: &Node, what: &str, min: u32, max: u32) -> Option<u32> {
        let Kind::Number(number) = &node.kind else {
            self.wrong_type(node, what, "a number");
            return None;
        };
        match number
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| (min..=max).contains(n))
        {
            Some(value) => Some(value),
            None => {
                self.problem(
                    node.at,
                    format!("{what} must be a whole number from {min} to {max}, not {number}"),
                );
                None
            }
        }
    }

    pub(crate) fn span(&mut self, node: &Node, what: &str) -> Option<Span> {
        let text = match &node.kind {
            Kind::Text(text) => text,
            Kind::Number(number) => {
                let message = format!("{what} must be a duration with a unit, not the number {number}");
                self.hinted(node.at, message, format!("for seconds write {number}s"));
                return None;
            }
            _ => {
                self.wrong_type(node, what, "a duration such as 30s or 10m");
                return None;
            }
        };
        match Span::from_str(text) {
            Ok(span) if span.millis() > 0 => Some(span),
            Ok(_) => {
                self.problem(node.at, format!("{what} must be longer than nothing"));
                None
            }
            Err(error) => {
                self.problem(node.at, format!("{what}: {error}"));
                None
            }
        }
    }

    /// A required key.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str, what: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.problem(fields.at, format!("{what} has no `{key}`"));
        }
        node
    }

    /// A name that is used as a folder, a workflow type or an activity type.
    pub(crate) fn name(&mut self, fields: &Fields<'_>, folder: &str, what: &str) -> Option<String> {
        let node = self.required(fields, "name", what)?;
        let name = self.text(node, "`name`")?;
        let fine = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= 64
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !fine {
            let message = format!("`{name}` cannot be the name of {what}");
            self.hinted(
                node.at,
                message,
                "a name has lowercase letters, digits, `-` and `_`, a letter first, 64 at most",
            );
        } else if name != folder {
            let message = format!("the name is `{name}` but the folder is `{folder}`");
            self.hinted(node.at, message, "make them the same");
        }
        Some(name)
    }

    /// A JSON Schema.
    pub(crate) fn schema(&mut self, node: &Node, what: &str) -> Value {
        let value = self.data(node);
        if !value.is_object() {
            self.wrong_type(node, what, "a JSON Schema, as a mapping");
            return Value::Null;
        }
        match schema::compile(&value) {
            Ok(_) => value,
            Err(wrong) => {
                let at = node.at_pointer(&wrong.pointer).at;
                let field = wrong.field();
                let place = if field.is_empty() {
                    String::new()
                } else {
                    format!(": `{field}`")
                };
                self.push(
                    at,
                    format!("{what} is not a valid JSON Schema{place} {}", wrong.message),
                    wrong.hint,
                );
                Value::Null
            }
        }
    }
}
