//! Expressions and templates: a small, deterministic, bounded subset of minijinja.
//!
//! The runtime renders templates as workflow code, so the same input must give the same output on every replay: no
//! clock, no randomness, no files, nothing but the values handed in. Only what the allow-lists below name is there.

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior, filters, functions, tests};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::problem::suggest;

/// Longest template.
pub const MAX_SOURCE: usize = 4 * 1024;
/// Longest text that a template may yield; bigger values belong into the blob store.
pub const MAX_OUTPUT: usize = 32 * 1024;
/// Steps of the expression machine per template.
const FUEL: u64 = 20_000;

/// A template that cannot be compiled or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// Line within the template, from 1.
    pub line: u32,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: 1,
        }
    }

    fn further(mut self, lines: u32) -> Self {
        self.line += lines;
        self
    }

    /// An error of evaluation, which by itself does not tell what was evaluated.
    fn within(error: &minijinja::Error, expression: &str) -> Self {
        let mut found = Self::of(error);
        found.message = format!("{} in `{}`", found.message, expression.trim());
        found
    }

    fn of(error: &minijinja::Error) -> Self {
        let reason = error.detail().map(str::to_owned);
        let message = match (error.kind(), reason) {
            (ErrorKind::OutOfFuel, _) => "the expression takes too long to evaluate".to_owned(),
            (ErrorKind::UndefinedError, None) => "something is not defined".to_owned(),
            (ErrorKind::SyntaxError, Some(detail)) => detail,
            (ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction, Some(detail)) => detail,
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        Self {
            message,
            line: error.line().and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
        }
    }
}

/// The filters that there are.
const FILTERS: [&str; 30] = [
    "abs",
    "bool",
    "default",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "tojson",
    "trim",
    "unique",
    "upper",
];
/// The tests (`x is ...`) that there are.
const TESTS: [&str; 18] = [
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "string",
    "number",
    "sequence",
    "mapping",
    "startingwith",
    "endingwith",
    "eq",
    "ne",
    "gt",
    "ge",
    "lt",
    "le",
    "in",
];

// Made anew for each use: an environment is tied to the lifetime of the texts that it compiles, and this costs
// microseconds.
fn environment<'a>() -> Environment<'a> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(32);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.add_filter("abs", filters::abs);
    env.add_filter("bool", filters::bool);
    env.add_filter("default", filters::default);
    env.add_filter("first", filters::first);
    env.add_filter("float", filters::float);
    env.add_filter("int", filters::int);
    env.add_filter("items", filters::items);
    env.add_filter("join", filters::join);
    env.add_filter("last", filters::last);
    env.add_filter("length", filters::length);
    env.add_filter("list", filters::list);
    env.add_filter("lower", filters::lower);
    env.add_filter("map", filters::map);
    env.add_filter("max", filters::max);
    env.add_filter("min", filters::min);
    env.add_filter("reject", filters::reject);
    env.add_filter("rejectattr", filters::rejectattr);
    env.add_filter("replace", filters::replace);
    env.add_filter("reverse", filters::reverse);
    env.add_filter("round", filters::round);
    env.add_filter("select", filters::select);
    env.add_filter("selectattr", filters::selectattr);
    env.add_filter("sort", filters::sort);
    env.add_filter("split", filters::split);
    env.add_filter("string", filters::string);
    env.add_filter("sum", filters::sum);
    env.add_filter("tojson", filters::tojson);
    env.add_filter("trim", filters::trim);
    env.add_filter("unique", filters::unique);
    env.add_filter("upper", filters::upper);
    env.add_test("defined", tests::is_defined);
    env.add_test("undefined", tests::is_undefined);
    env.add_test("none", tests::is_none);
    env.add_test("true", tests::is_true);
    env.add_test("false", tests::is_false);
    env.add_test("string", tests::is_string);
    env.add_test("number", tests::is_number);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("eq", tests::is_eq);
    env.add_test("ne", tests::is_ne);
    env.add_test("gt", tests::is_gt);
    env.add_test("ge", tests::is_ge);
    env.add_test("lt", tests::is_lt);
    env.add_test("le", tests::is_le);
    env.add_test("in", tests::is_in);
    env.add_function("range", functions::range);
    env
}

/// What a text is to the renderer.
enum Source<'a> {
    /// Taken as it is.
    Literal,
    /// Wholly `{{ expression }}`: keeps its type.
    Expression(&'a str),
    /// Text with expressions in it.
    Mixed,
}

fn classify(text: &str) -> Source<'_> {
    if !is_template(text) {
        return Source::Literal;
    }
    let trimmed = text.trim();
    if let Some(inner) = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        // `{{ a }} and {{ b }}` has the same ends, but what is between them is no expression.
        if !inner.contains("}}") || environment().compile_expression_owned(inner.to_owned()).is_ok() {
            return Source::Expression(inner);
        }
    }
    Source::Mixed
}

/// Whether a text holds a template.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Compiles a text and tells which variables it uses, with trivial attributes: `params.depth`, `steps.scan.findings`.
/// A literal uses none.
pub fn variables(text: &str) -> Result<Vec<String>, TemplateError> {
    limit(text)?;
    match classify(text) {
        Source::Literal => Ok(Vec::new()),
        Source::Expression(inner) => variables_of(inner, text),
        Source::Mixed => {
            refuse_statements(text)?;
            let env = environment();
            let template = env
                .template_from_named_str("template", text)
                .map_err(|e| TemplateError::of(&e))?;
            let names = template.undeclared_variables(true);
            let mut rest = text;
            let mut line = 0;
            // Not exact where a text literal holds braces, which only means that a call in it is not checked here.
            while let Some((before, after)) = rest.split_once("{{") {
                let (inner, tail) = after.split_once("}}").unwrap_or((after, ""));
                line += newlines(before);
                check_calls(inner).map_err(|e| e.further(line))?;
                line += newlines(inner);
                rest = tail;
            }
            Ok(sorted(names))
        }
    }
}

/// The same for the expression of an `if`, which may be written with or without braces.
pub fn expression_variables(text: &str) -> Result<Vec<String>, TemplateError> {
    limit(text)?;
    variables_of(bare(text), text)
}

fn variables_of(inner: &str, text: &str) -> Result<Vec<String>, TemplateError> {
    let env = environment();
    let names = compile(&env, inner, text)?.undeclared_variables(true);
    check_calls(inner)?;
    Ok(sorted(names))
}

fn sorted(names: std::collections::HashSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().filter(|name| name != "range").collect();
    names.sort_unstable();
    names
}

// The compiler looks filters and tests up only when they are used; a slip in a name must not wait for that.
fn check_calls(expression: &str) -> Result<(), TemplateError> {
    let tokens = tokens(expression);
    for (n, (token, line)) in tokens.iter().enumerate() {
        let Some((name, _)) = tokens.get(n + 1) else { break };
        let (kind, known): (&str, &[&str]) = match *token {
            "|" => ("filter", &FILTERS),
            "is" if *name != "not" => ("test", &TESTS),
            "not" if n > 0 && tokens[n - 1].0 == "is" => ("test", &TESTS),
            "*" if name.starts_with(['"', '\'']) || (n > 0 && tokens[n - 1].0.starts_with(['"', '\''])) => {
                return Err(TemplateError {
                    message: "text cannot be multiplied".to_owned(),
                    line: *line,
                });
            }
            _ => continue,
        };
        if name.starts_with(|c: char| c.is_alphabetic()) && !known.contains(name) {
            let hint = suggest(name, known.iter().copied())
                .map(|h| format!(" ({h})"))
                .unwrap_or_default();
            return Err(TemplateError {
                message: format!("there is no {kind} `{name}`{hint}"),
                line: *line,
            });
        }
    }
    Ok(())
}

/// Words, text literals (with their quotes) and single signs of an expression, each with its line.
fn tokens(expression: &str) -> Vec<(&str, u32)> {
    let mut found = Vec::new();
    let mut rest = expression;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' | '\'' => literal_end(rest, first),
            c if c.is_alphanumeric() || c == '_' => rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let token = &rest[..end];
        if !first.is_whitespace() {
            found.push((token, line));
        }
        line += newlines(token);
        rest = &rest[end..];
    }
    found
}

fn literal_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn newlines(text: &str) -> u32 {
    u32::try_from(text.matches('\n').count()).unwrap_or(u32::MAX)
}

fn limit(text: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_SOURCE && is_template(text) {
        return Err(TemplateError::new(format!(
            "the template is longer than {} KiB",
            MAX_SOURCE / 1024
        )));
    }
    Ok(())
}

fn refuse_statements(text: &str) -> Result<(), TemplateError> {
    match text.find("{%") {
        None => Ok(()),
        Some(at) => Err(TemplateError {
            message: "statements (`{% ... %}`) are not supported here, only expressions (`{{ ... }}`)".to_owned(),
            line: 1 + newlines(&text[..at]),
        }),
    }
}

fn bare(text: &str) -> &str {
    let trimmed = text.trim();
    trimmed
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        .unwrap_or(trimmed)
}

fn compile<'e, 't>(env: &'e Environment<'t>, inner: &'t str, text: &str) -> Result<Expression<'e, 't>, TemplateError> {
    if inner.trim().is_empty() {
        return Err(TemplateError::new("the expression is empty"));
    }
    // Lines before the expression within the text, such as in `{{\n a +\n b }}`.
    let before = text.find(inner).map_or(0, |at| newlines(&text[..at]));
    env.compile_expression(inner)
        .map_err(|e| TemplateError::of(&e).further(before))
}

/// Values that a template can use.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Scope(Map<String, Value>);

impl Scope {
    /// Adds a variable, or replaces it.
    pub fn set(&mut self, name: &str, value: Value) -> &mut Self {
        self.0.insert(name.to_owned(), value);
        self
    }

    fn context(&self) -> minijinja::Value {
        minijinja::Value::from(minijinja::value::Serde(&self.0))
    }
}

/// Renders every text within a value; mappings keep their keys.
pub fn render(value: &Value, scope: &Scope) -> Result<Value, TemplateError> {
    render_in(value, &scope.context())
}

fn render_in(value: &Value, context: &minijinja::Value) -> Result<Value, TemplateError> {
    match value {
        Value::String(text) => render_text(text, context),
        Value::Array(items) => items
            .iter()
            .map(|item| render_in(item, context))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| Ok((key.clone(), render_in(item, context)?)))
            .collect::<Result<_, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

fn render_text(text: &str, context: &minijinja::Value) -> Result<Value, TemplateError> {
    limit(text)?;
    match classify(text) {
        Source::Literal => Ok(Value::String(text.to_owned())),
        Source::Expression(inner) => evaluate(inner, text, context),
        Source::Mixed => {
            refuse_statements(text)?;
            let env = environment();
            let template = env
                .template_from_named_str("template", text)
                .map_err(|e| TemplateError::of(&e))?;
            let mut out = Bounded(Vec::new());
            template
                .render_captured_to(context.clone(), &mut out)
                .map_err(|e| match e.kind() {
                    ErrorKind::WriteFailure => too_long(),
                    _ => TemplateError::within(&e, text),
                })?;
            String::from_utf8(out.0)
                .map(Value::String)
                .map_err(|_| TemplateError::new("the result is not text"))
        }
    }
}

/// Evaluates the expression of an `if`.
pub fn condition(text: &str, scope: &Scope) -> Result<bool, TemplateError> {
    limit(text)?;
    let inner = bare(text);
    let env = environment();
    let value = compile(&env, inner, text)?
        .eval(scope.context())
        .map_err(|e| TemplateError::within(&e, inner))?;
    if value.is_undefined() {
        return Err(TemplateError::new(format!("`{}` is not defined", inner.trim())));
    }
    Ok(value.is_true())
}

fn evaluate(inner: &str, text: &str, context: &minijinja::Value) -> Result<Value, TemplateError> {
    let env = environment();
    let value = compile(&env, inner, text)?
        .eval(context.clone())
        .map_err(|e| TemplateError::within(&e, inner))?;
    match value.kind() {
        ValueKind::Undefined => return Err(TemplateError::new(format!("`{}` is not defined", inner.trim()))),
        ValueKind::Number if f64::try_from(value.clone()).is_ok_and(|n| !n.is_finite()) => {
            return Err(TemplateError::new(format!("`{}` is not a finite number", inner.trim())));
        }
        _ => {}
    }
    let mut out = Bounded(Vec::new());
    serde_json::to_writer(&mut out, &value).map_err(|e| {
        if e.is_io() {
            too_long()
        } else {
            TemplateError::new(format!("`{}` is not data: {e}", inner.trim()))
        }
    })?;
    serde_json::from_slice(&out.0).map_err(|e| TemplateError::new(format!("`{}` is not data: {e}", inner.trim())))
}

fn too_long() -> TemplateError {
    TemplateError::new(format!("the result is longer than {} KiB", MAX_OUTPUT / 1024))
}

struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(std::io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod unit {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set(
            "params",
            json!({"n": 3, "list": ["a", "b"], "flag": true, "none": null, "s": "x\"y", "big": "z".repeat(20_000)}),
        );
        scope.set(
            "steps",
            json!({"scan": {"status": "completed", "findings": 2, "summary": {"files": 10}}}),
        );
        scope
    }

    #[test]
    fn a_whole_expression_keeps_its_type_and_text_around_it_makes_text() {
        for (template, value) in [
            (json!("plain"), json!("plain")),
            (json!("{{ params.n }}"), json!(3)),
            (json!(" {{ params.n + 1 }} "), json!(4)),
            (json!("{{ params.list }}"), json!(["a", "b"])),
            (json!("{{ params.flag }}"), json!(true)),
            (json!("{{ params.none }}"), json!(null)),
            (json!("{{ params.n / 2 }}"), json!(1.5)),
            (json!("{{ params.n }} of {{ steps.scan.findings }}"), json!("3 of 2")),
            (json!("<{{ params.s }}>"), json!("<x\"y>")),
            (json!("{{ '}}' }}"), json!("}}")),
            (json!("{{ 'yes' if params.flag else 'no' }}"), json!("yes")),
            (json!("{{ params.list | join('-') | upper }}"), json!("A-B")),
            (json!("{{ {'a': params.n} }}"), json!({"a": 3})),
            (json!({"k": ["{{ params.n }}", 1]}), json!({"k": [3, 1]})),
            (json!("a {# b"), json!("a {# b")),
        ] {
            assert_eq!(render(&template, &scope()), Ok(value), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_rendered_says_why() {
        for (template, message) in [
            ("{{ params.m }}", "`params.m` is not defined"),
            (
                "{{ steps.scan.summary.bytes.x }}",
                "something is not defined in `steps.scan.summary.bytes.x`",
            ),
            ("a {{ params.m }}", "something is not defined in `a {{ params.m }}`"),
            ("{{ params.big ~ params.big }}", "the result is longer than 32 KiB"),
            ("{{ params.big }}{{ params.big }}", "the result is longer than 32 KiB"),
            ("{{ 1e308 * 10.0 }}", "`1e308 * 10.0` is not a finite number"),
            (
                "{{ range(100000) | list | map('string') | join }}",
                "the result is longer than 32 KiB",
            ),
            ("{{ now() }}", "now is unknown in `now()`"),
        ] {
            let error = render(&json!(template), &scope()).unwrap_err();
            assert_eq!(error.message, message, "{template}");
        }
    }

    #[test]
    fn conditions_are_expressions_with_or_without_braces() {
        for (text, value) in [
            ("steps.scan.findings > 1", true),
            ("{{ steps.scan.findings > 5 }}", false),
            ("steps.scan.status == 'completed' and not params.none", true),
            ("params.list", true),
            ("false", false),
        ] {
            assert_eq!(condition(text, &scope()), Ok(value), "{text}");
        }
        assert!(condition("params.m", &scope()).is_err());
        assert!(condition("params.m > 1", &scope()).is_err());
    }
}
