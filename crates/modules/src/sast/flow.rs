//! Where a value comes from, inside one file: constant, unknown, glued together, or from the outside.
//!
//! The analysis is deliberately simple: names are followed through assignments of the same function (and of the
//! functions around it), calls to unknown functions end the trail. It answers "is this argument more than a constant?"
//! well enough to tell a parameterised query from one that was concatenated.

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use ast_grep_core::matcher::MatcherExt;
use ast_grep_core::tree_sitter::StrDoc;
use ast_grep_language::SupportLang;
use serde::Deserialize;

use super::assigns::{Assign, Assigned, Index};
use super::roles::{self, Role};
use super::rules::{Lazy, Library};
use super::text::squeeze;

/// A node of a parsed file.
pub(super) type Node<'t> = ast_grep_core::Node<'t, StrDoc<SupportLang>>;

/// Names followed in a row, and expressions nested, before the trail is given up.
const MAX_DEPTH: u32 = 24;
/// Expressions looked at for one question: bounds the time on hostile input.
const MAX_VISITS: u32 = 4_000;

/// How much others can say about a value; a rule asks for at least one of the last three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Fixed in the source, or made safe.
    Constant,
    /// Not known: a parameter, the result of a call.
    Dynamic,
    /// Text glued together from parts of which one is not constant.
    Built,
    /// Contains data from outside, as the language's library of sources says.
    Tainted,
}

/// What is known of a value.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// The verdict.
    pub(super) level: Level,
    /// Where the outside data entered, as a byte range.
    pub(super) source: Option<Range<usize>>,
    /// Whether text is among the parts, so that `+` concatenates.
    text: bool,
}

impl Value {
    fn of(level: Level) -> Self {
        Value {
            level,
            source: None,
            text: false,
        }
    }

    fn text(level: Level) -> Self {
        Value {
            level,
            source: None,
            text: true,
        }
    }

    fn join(self, other: Value) -> Self {
        let text = self.text || other.text;
        let winner = if other.level > self.level { other } else { self };
        Value { text, ..winner }
    }

    /// The value after being glued into a text.
    fn glued(mut self) -> Self {
        self.text = true;
        if self.level == Level::Dynamic {
            self.level = Level::Built;
        }
        self
    }
}

/// Answers questions about one file; what is expensive is made on the first question.
pub(super) struct Flow<'t, 'r> {
    root: Node<'t>,
    library: &'r Library,
    index: OnceCell<Index<'t>>,
    visits: Cell<u32>,
}

impl<'t, 'r> Flow<'t, 'r> {
    /// For the file with this root.
    pub(super) fn new(root: Node<'t>, library: &'r Library) -> Self {
        Flow {
            root,
            library,
            index: OnceCell::new(),
            visits: Cell::new(0),
        }
    }

    /// What is known of the values of these nodes together.
    pub(super) fn classify<'a>(&self, nodes: impl IntoIterator<Item = &'a Node<'t>>) -> Value
    where
        't: 'a,
    {
        self.visits.set(0);
        self.join(nodes.into_iter().cloned(), 0)
    }

    fn join(&self, nodes: impl IntoIterator<Item = Node<'t>>, depth: u32) -> Value {
        nodes
            .into_iter()
            .map(|node| self.value(&node, depth))
            .fold(Value::of(Level::Constant), Value::join)
    }

    fn value(&self, node: &Node<'t>, depth: u32) -> Value {
        let visits = self.visits.get() + 1;
        self.visits.set(visits);
        if depth > MAX_DEPTH || visits > MAX_VISITS {
            return Value::of(Level::Dynamic);
        }
        if matches(&self.library.cleans, node) {
            return Value::of(Level::Constant);
        }
        if matches(&self.library.sources, node) {
            return Value {
                level: Level::Tainted,
                source: Some(node.range()),
                text: false,
            };
        }
        let depth = depth + 1;
        match roles::role(&node.kind()) {
            Role::Literal => Value::of(Level::Constant),
            Role::Text => self.text(node, depth),
            Role::Binary => self.binary(node, depth),
            Role::Choice => self.choice(node, depth),
            Role::Name => self.name(node, depth),
            Role::Member => self.member(node, depth),
            Role::Element => object_of(node).map_or(Value::of(Level::Dynamic), |object| self.value(&object, depth)),
            Role::Call => self.call(node, depth),
            Role::Macro => self.macro_call(node, depth),
            Role::Parts => self.join(parts(node), depth),
            Role::Heredoc => self.heredoc(node, depth),
            Role::Other => Value::of(Level::Dynamic),
        }
    }

    /// A string: as variable as what is interpolated.
    fn text(&self, node: &Node<'t>, depth: u32) -> Value {
        let varying = node
            .named_children()
            .filter(|child| !roles::is_plain_text(&child.kind()))
            .collect::<Vec<_>>();
        let glue = matches!(&*node.kind(), "concatenated_string" | "chained_string");
        let value = varying
            .iter()
            .map(|part| self.value(part, depth))
            .fold(Value::text(Level::Constant), Value::join);
        if glue { value } else { value.glued() }
    }

    fn binary(&self, node: &Node<'t>, depth: u32) -> Value {
        let (Some(left), Some(right)) = (node.field("left"), node.field("right")) else {
            return self.join(parts(node), depth);
        };
        let operator = node
            .field("operator")
            .map(|op| op.text().into_owned())
            .unwrap_or_default();
        let left = self.value(&left, depth);
        match operator.as_str() {
            "==" | "!=" | "<" | ">" | "<=" | ">=" | "===" | "!==" | "instanceof" | "in" | "=~" => {
                Value::of(Level::Constant)
            }
            // `"?" * count` repeats what is on the left.
            "*" if left.text => left,
            "&&" | "and" => self.value(&right, depth),
            _ => {
                let value = left.clone().join(self.value(&right, depth));
                let glues = matches!(operator.as_str(), "+" | "." | "<<" | "~" | "/") || (operator == "%" && left.text);
                if glues && value.text { value.glued() } else { value }
            }
        }
    }

    fn choice(&self, node: &Node<'t>, depth: u32) -> Value {
        let named = ["consequence", "body", "alternative"]
            .into_iter()
            .filter_map(|field| node.field(field));
        let mut branches: Vec<_> = named.collect();
        if branches.is_empty() {
            // Python: value, condition, other value.
            branches = node
                .named_children()
                .enumerate()
                .filter(|(at, _)| *at != 1)
                .map(|(_, n)| n)
                .collect();
        }
        self.join(branches, depth)
    }

    fn name(&self, node: &Node<'t>, depth: u32) -> Value {
        let key = squeeze(&node.text());
        if is_constant_name(&key) {
            return Value::of(Level::Constant);
        }
        unless_schema_name(&key, self.resolve(&key, node, depth))
    }

    fn member(&self, node: &Node<'t>, depth: u32) -> Value {
        let key = squeeze(&node.text());
        let last = key.rsplit(['.', ':', '>']).next().unwrap_or(&key);
        if is_constant_name(last) {
            return Value::of(Level::Constant);
        }
        let known = unless_schema_name(last, self.resolve(&key, node, depth));
        if known.level != Level::Dynamic {
            return known;
        }
        match object_of(node).map(|object| self.value(&object, depth)) {
            Some(object) if object.level == Level::Tainted => object,
            _ => Value::of(Level::Dynamic),
        }
    }

    fn call(&self, node: &Node<'t>, depth: u32) -> Value {
        let name = callee_name(node);
        let arguments = node.field("arguments").map(|list| parts(&list)).unwrap_or_default();
        if makes_lists(&name) && is_placeholder_list(&node.text()) {
            return Value::of(Level::Constant);
        }
        let receiver = receiver_of(node).map(|receiver| self.value(&receiver, depth));
        if roles::is_format(&name) {
            let joined = self.join(arguments, depth);
            // The receiver counts if it is a text (`"...".format(x)`), not if it is a package (`fmt.Sprintf`).
            let text = receiver.filter(|receiver| receiver.text || receiver.level >= Level::Built);
            return text.map_or(joined.clone(), |text| text.join(joined)).glued();
        }
        if roles::is_propagator(&name) {
            return self.propagate(&name, receiver, arguments, depth);
        }
        match receiver {
            Some(receiver) if receiver.level >= Level::Built => receiver,
            _ => Value::of(Level::Dynamic),
        }
    }

    fn propagate(&self, name: &str, receiver: Option<Value>, arguments: Vec<Node<'t>>, depth: u32) -> Value {
        let has_arguments = !arguments.is_empty();
        let joined = self.join(arguments, depth);
        match receiver {
            None if !has_arguments => Value::of(Level::Dynamic),
            None => joined,
            // A look-up in a constant table can only give what the table holds.
            Some(receiver) if name == "get" && receiver.level == Level::Constant && receiver.text => receiver,
            Some(receiver) if name == "get" => {
                if receiver.level == Level::Tainted {
                    receiver
                } else {
                    Value::of(Level::Dynamic)
                }
            }
            Some(receiver) => receiver.join(joined),
        }
    }

    /// `format!("... {name}", value)`: every name among the tokens counts.
    fn macro_call(&self, node: &Node<'t>, depth: u32) -> Value {
        let name = node
            .field("macro")
            .map(|name| name.text().into_owned())
            .unwrap_or_default();
        let tokens = node.named_children().find(|child| child.kind() == "token_tree");
        let Some(tokens) = tokens else {
            return Value::of(Level::Dynamic);
        };
        match name.as_str() {
            "concat" | "env" | "include_str" | "stringify" | "line" | "file" => Value::of(Level::Constant),
            "format" | "vec" | "format_args" => {
                let names = tokens
                    .dfs()
                    .filter(|token| token.kind() == "identifier")
                    .collect::<Vec<_>>();
                let mut value = self.join(names, depth);
                let format = tokens
                    .named_children()
                    .next()
                    .map(|first| first.text().into_owned())
                    .unwrap_or_default();
                for name in inline_names(&format) {
                    value = value.join(self.resolve(name, node, depth));
                }
                if name == "vec" { value } else { value.glued() }
            }
            _ => Value::of(Level::Dynamic),
        }
    }

    fn heredoc(&self, node: &Node<'t>, depth: u32) -> Value {
        if node.text().contains('\'') {
            return Value::text(Level::Constant);
        }
        let end = node.range().end;
        let body = node.ancestors().find_map(|up| {
            up.children()
                .find(|child| child.kind() == "heredoc_body" && child.range().start >= end)
        });
        body.map_or(Value::of(Level::Dynamic), |body| self.text(&body, depth))
    }

    /// Follows a name through the assignments that can have set it.
    fn resolve(&self, key: &str, at: &Node<'t>, depth: u32) -> Value {
        if depth > MAX_DEPTH {
            return Value::of(Level::Dynamic);
        }
        let index = self.index.get_or_init(|| Index::new(&self.root));
        let position = at.range();
        let mut scope = Some(index.innermost(position.start));
        let mut local = true;
        while let Some(id) = scope {
            let assigns = index.assigns(id, key);
            let parameter = index.parameter(id, key);
            let (value, killed) = self.latest(assigns, &position, local, depth);
            if killed || (value.is_some() && parameter.is_none()) {
                return value.unwrap_or(Value::of(Level::Dynamic));
            }
            if let Some(parameter) = parameter {
                let parameter = self.parameter(&parameter);
                return value.map_or(parameter.clone(), |value| value.join(parameter));
            }
            scope = index.parent(id);
            local = false;
        }
        Value::of(Level::Dynamic)
    }

    /// The joined value of the assignments that may hold at `position`; `true` if one of them surely does.
    fn latest(&self, all: &[Assign<'t>], position: &Range<usize>, local: bool, depth: u32) -> (Option<Value>, bool) {
        let mut joined: Option<Value> = None;
        for assign in all.iter().rev() {
            let holds = assign.end <= position.start || (!local && !assign.range_contains(position));
            if !holds {
                continue;
            }
            let value = self.assigned(assign, depth);
            joined = Some(match joined {
                Some(before) => before.join(value),
                None => value,
            });
            if local && !assign.adds && assign.block.start <= position.start && position.end <= assign.block.end {
                return (joined, true);
            }
        }
        // `x += part` makes a text of what was an unknown value.
        (joined, false)
    }

    fn assigned(&self, assign: &Assign<'t>, depth: u32) -> Value {
        match &assign.value {
            Assigned::Expression(node) => {
                let value = self.value(node, depth);
                if assign.adds { value.glued() } else { value }
            }
            Assigned::Glue(nodes) => self.join(nodes.iter().cloned(), depth).glued(),
            Assigned::Outside(range) => Value {
                level: Level::Tainted,
                source: Some(range.clone()),
                text: false,
            },
        }
    }

    /// A parameter is unknown, unless its declaration says that it comes from a request.
    fn parameter(&self, node: &Node<'t>) -> Value {
        if matches(&self.library.cleans, node) {
            return Value::of(Level::Constant);
        }
        if matches(&self.library.sources, node) {
            return Value {
                level: Level::Tainted,
                source: Some(node.range()),
                text: false,
            };
        }
        Value::of(Level::Dynamic)
    }
}

fn matches(matcher: &Option<Lazy>, node: &Node<'_>) -> bool {
    matcher.as_ref().is_some_and(|matcher| {
        matcher
            .get()
            .is_some_and(|core| core.match_node(node.clone()).is_some())
    })
}

/// The named children that carry values: not comments, types, labels or argument names.
fn parts<'t>(node: &Node<'t>) -> Vec<Node<'t>> {
    let kind = node.kind();
    if kind.ends_with("comprehension") || kind == "generator_expression" {
        return node.field("body").into_iter().collect();
    }
    if let Some(value) = node.field("value").filter(|_| !matches!(&*kind, "subscript")) {
        return vec![value];
    }
    if let Some(right) = node.field("body").filter(|_| kind == "composite_literal") {
        return vec![right];
    }
    let skipped = |child: &Node<'t>| {
        let kind = child.kind();
        kind.contains("comment") || kind.ends_with("type") || kind == "type_identifier" || kind.contains("modifier")
    };
    let last_only = matches!(&*kind, "block" | "then" | "else" | "sequence_expression");
    let named: Vec<_> = node.named_children().filter(|child| !skipped(child)).collect();
    if last_only {
        named.into_iter().next_back().into_iter().collect()
    } else {
        named
    }
}

/// What a member or element is taken from.
pub(super) fn object_of<'t>(node: &Node<'t>) -> Option<Node<'t>> {
    const FIELDS: &[&str] = &["object", "value", "operand", "argument", "array", "scope", "path"];
    FIELDS
        .iter()
        .find_map(|field| node.field(field))
        .or_else(|| node.named_children().next())
}

/// The object a method is called on.
pub(super) fn receiver_of<'t>(call: &Node<'t>) -> Option<Node<'t>> {
    if let Some(function) = call.field("function") {
        return (roles::role(&function.kind()) == Role::Member)
            .then(|| object_of(&function))
            .flatten();
    }
    ["object", "receiver"].iter().find_map(|field| call.field(field))
}

/// The last part of the name of what is called.
pub(super) fn callee_name(call: &Node<'_>) -> String {
    const CALLEES: &[&str] = &["function", "constructor", "method", "name", "type"];
    const PROPERTIES: &[&str] = &["property", "attribute", "field", "name", "function"];
    let callee = CALLEES
        .iter()
        .find_map(|field| call.field(field))
        .or_else(|| call.named_children().next());
    let Some(callee) = callee else { return String::new() };
    let property = PROPERTIES.iter().find_map(|field| callee.field(field));
    let text = property.unwrap_or(callee).text();
    let text = text.split(['(', '<', '[']).next().unwrap_or_default();
    text.rsplit(['.', ':', '>', '\\'])
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// `MAX_SIZE`, `K8S`: by convention not changed at run time. PHP's superglobals (`$_GET`) begin with a sign.
fn is_constant_name(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Names of tables, columns and the like: code that holds them in variables takes them from itself, not from clients.
/// Only what is known to come from outside is believed over the name.
fn unless_schema_name(name: &str, value: Value) -> Value {
    const ENDINGS: &[&str] = &[
        "table",
        "tablename",
        "table_name",
        "prefix",
        "suffix",
        "column",
        "columns",
        "schema",
        "placeholders",
        "column_name",
    ];
    let lower = name.to_ascii_lowercase();
    let schema = ENDINGS.iter().any(|ending| lower.ends_with(ending));
    if schema && value.level < Level::Tainted {
        Value::of(Level::Constant)
    } else {
        value
    }
}

fn makes_lists(name: &str) -> bool {
    matches!(
        name,
        "join" | "Join" | "repeat" | "Repeat" | "fill" | "map" | "implode" | "str_repeat" | "collect"
    )
}

/// `",".join(["?"] * n)` and the like make the placeholders of a parameterised query.
fn is_placeholder_list(text: &str) -> bool {
    text.len() < 400
        && ["'?'", "\"?\"", "'%s'", "\"%s\"", "'?,'", "'?, '", "\"?,\""]
            .iter()
            .any(|mark| text.contains(mark))
}

/// The names in `{name}` and `{name:?}` of a Rust format string.
fn inline_names(format: &str) -> impl Iterator<Item = &str> {
    format.split('{').skip(1).filter_map(|rest| {
        let inner = rest.split('}').next()?;
        let name = inner.split(':').next()?;
        let first = name.chars().next()?;
        (first.is_ascii_lowercase() || first == '_').then_some(name)
    })
}
