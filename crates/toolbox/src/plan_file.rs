//! Reads `workflow.yaml`: the shape of the plan. What the steps say about each other is for `check`.

use serde_json::Value;

use crate::check;
use crate::manifest;
use crate::metadata::{Metadata, ModuleManifest};
use crate::plan::{ForEach, Plan, Retry, Step};
use crate::problem::suggest;
use crate::read::{Fields, Reader};
use crate::yaml::{Kind, Node};

/// Most attempts of a step.
const MAX_ATTEMPTS: u32 = 1_000;

const STEP_KEYS: [&str; 10] = [
    "id",
    "uses",
    "with",
    "needs",
    "if",
    "retry",
    "timeout",
    "for_each",
    "continue_on_error",
    "vertical",
];

/// What a plan may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// None when the metadata is broken; parameters are not checked then.
    pub(crate) metadata: Option<&'a Metadata>,
    /// The module of that name. The outer None: there is none; the inner: it is broken.
    pub(crate) module: &'a dyn Fn(&str) -> Option<Option<&'a ModuleManifest>>,
    /// Names of all modules.
    pub(crate) modules: &'a [String],
}

/// A step with the nodes that it was read from.
pub(crate) struct StepSource<'n> {
    pub(crate) step: Step,
    pub(crate) fields: Fields<'n>,
}

/// `workflow.yaml`. The result is whole only if the reader has no problems afterwards.
pub(crate) fn plan(reader: &mut Reader<'_>, node: &Node, around: Surroundings<'_>) -> Option<Plan> {
    let fields = reader.fields(node, "a workflow", &["steps", "output"], &[])?;
    let list = reader.required(&fields, "steps", "a workflow")?;
    let Kind::Seq(items) = &list.kind else {
        reader.problem(
            list.at,
            format!("`steps` must be a list of steps, not {}", list.describe()),
        );
        return None;
    };
    if items.is_empty() {
        reader.problem(list.at, "`steps` is empty: a workflow has at least one step");
    }
    if items.len() > Plan::MAX_STEPS {
        let message = format!("{} steps are too many: {} at most", items.len(), Plan::MAX_STEPS);
        reader.hinted(list.at, message, "split the workflow, or use `for_each`");
        return None;
    }
    let sources: Vec<StepSource<'_>> = items.iter().filter_map(|item| step(reader, item, around)).collect();
    let output = fields.get("output");
    let output_value = output.map(|n| reader.data(n)).unwrap_or(Value::Null);
    check::steps(reader, &sources, output, around);
    let mut plan = Plan {
        steps: sources.into_iter().map(|s| s.step).collect(),
        output: output_value,
    };
    if let Some(metadata) = around.metadata {
        // The plan travels without its metadata, so what the metadata says about steps goes into it here.
        for step in &mut plan.steps {
            step.timeout = step.timeout.or(metadata.requirements.resources.timeout);
        }
    }
    Some(plan)
}

fn step<'n>(reader: &mut Reader<'_>, node: &'n Node, around: Surroundings<'_>) -> Option<StepSource<'n>> {
    let fields = reader.fields(node, "a step", &STEP_KEYS, &[])?;
    let id = reader
        .required(&fields, "id", "a step")
        .and_then(|n| step_id(reader, n));
    let uses = reader
        .required(&fields, "uses", "a step")
        .and_then(|n| module_name(reader, n, around));
    let retry = fields.get("retry").map(|n| retry(reader, n));
    let for_each = fields.get("for_each").and_then(|n| for_each(reader, n));
    let step = Step {
        id: id.unwrap_or_default(),
        uses: uses.unwrap_or_default(),
        with: fields.get("with").map(|n| reader.map(n, "`with`")).unwrap_or_default(),
        needs: fields.get("needs").map(|n| needs(reader, n)).unwrap_or_default(),
        condition: fields.get("if").and_then(|n| condition(reader, n)),
        retry,
        timeout: fields.get("timeout").and_then(|n| reader.span(n, "`timeout`")),
        for_each,
        continue_on_error: fields
            .get("continue_on_error")
            .is_some_and(|n| reader.flag(n, "`continue_on_error`")),
        vertical: fields.get("vertical").and_then(|n| manifest::vertical(reader, n)),
    };
    Some(StepSource { step, fields })
}

/// Ids are identifiers, because templates say `steps.<id>`.
fn step_id(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let id = reader.text(node, "`id`")?;
    let fine = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.len() <= 64
        && id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if fine {
        return Some(id);
    }
    let better: String = id
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let hint = if better.starts_with(|c: char| c.is_ascii_lowercase()) && better.len() <= 64 {
        format!("templates name the step by its id: write `{better}`")
    } else {
        "an id has lowercase letters, digits and `_`, a letter first, 64 at most".to_owned()
    };
    reader.hinted(node.at, format!("`{id}` cannot be the id of a step"), hint);
    // Kept, so that steps that need it do not add problems of their own.
    Some(id)
}

fn module_name(reader: &mut Reader<'_>, node: &Node, around: Surroundings<'_>) -> Option<String> {
    let name = reader.text(node, "`uses`")?;
    match (around.module)(&name) {
        Some(Some(_)) => {}
        Some(None) => reader.problem(
            node.at,
            format!("the module `{name}` is broken: see the problems of its files, which `helve toolbox check` lists"),
        ),
        None => {
            let hint = suggest(&name, around.modules.iter().map(String::as_str));
            reader.push(node.at, format!("there is no module `{name}`"), hint);
        }
    }
    Some(name)
}

fn needs(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::Text(one) => vec![one.clone()],
        _ => reader.texts(node, "`needs`"),
    }
}

fn condition(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Bool(value) => Some(value.to_string()),
        _ => reader.text(node, "`if`"),
    }
}

fn retry(reader: &mut Reader<'_>, node: &Node) -> Retry {
    let mut retry = Retry::default();
    if let Kind::Number(_) = node.kind {
        retry.max_attempts = reader
            .number(node, "`retry`", 1, MAX_ATTEMPTS)
            .unwrap_or(retry.max_attempts);
        return retry;
    }
    let keys = ["max_attempts", "initial_interval", "backoff", "max_interval"];
    let Some(fields) = reader.fields(node, "`retry`", &keys, &[]) else {
        return retry;
    };
    if let Some(n) = fields
        .get("max_attempts")
        .and_then(|n| reader.number(n, "`max_attempts`", 1, MAX_ATTEMPTS))
    {
        retry.max_attempts = n;
    }
    if let Some(span) = fields
        .get("initial_interval")
        .and_then(|n| reader.span(n, "`initial_interval`"))
    {
        retry.initial_interval = span;
    }
    if let Some(node) = fields.get("backoff") {
        match &node.kind {
            Kind::Number(n) if n.as_f64().is_some_and(|n| (1.0..=100.0).contains(&n)) => {
                retry.backoff = n.as_f64().unwrap_or(retry.backoff);
            }
            _ => reader.problem(
                node.at,
                format!("`backoff` must be a number from 1 to 100, not {}", node.describe()),
            ),
        }
    }
    match fields
        .get("max_interval")
        .and_then(|n| reader.span(n, "`max_interval`").map(|span| (n, span)))
    {
        Some((node, span)) if span < retry.initial_interval => {
            let message = format!(
                "`max_interval` ({span}) is shorter than `initial_interval` ({})",
                retry.initial_interval
            );
            reader.problem(node.at, message);
        }
        Some((_, span)) => retry.max_interval = span,
        None => retry.max_interval = retry.max_interval.max(retry.initial_interval),
    }
    retry
}

fn for_each(reader: &mut Reader<'_>, node: &Node) -> Option<ForEach> {
    let mut fan_out = ForEach {
        items: Value::Null,
        variable: ForEach::DEFAULT_VARIABLE.to_owned(),
        max_items: ForEach::DEFAULT_MAX_ITEMS,
        max_parallel: ForEach::DEFAULT_MAX_PARALLEL,
    };
    let Kind::Map(_) = node.kind else {
        fan_out.items = items(reader, node)?;
        return Some(fan_out);
    };
    let fields = reader.fields(node, "`for_each`", &["items", "as", "max_items", "max_parallel"], &[])?;
    if let Some(variable) = fields.get("as").and_then(|n| variable(reader, n)) {
        fan_out.variable = variable;
    }
    let limit = ForEach::LIMIT_ITEMS;
    if let Some(n) = fields
        .get("max_items")
        .and_then(|n| reader.number(n, "`max_items`", 1, limit))
    {
        fan_out.max_items = n;
    }
    if let Some(n) = fields
        .get("max_parallel")
        .and_then(|n| reader.number(n, "`max_parallel`", 1, limit))
    {
        fan_out.max_parallel = n;
    }
    let list = reader.required(&fields, "items", "`for_each`")?;
    fan_out.items = items(reader, list)?;
    if let Value::Array(list_items) = &fan_out.items
        && list_items.len() > fan_out.max_items as usize
    {
        let message = format!(
            "{} items are more than `max_items` ({})",
            list_items.len(),
            fan_out.max_items
        );
        reader.problem(list.at, message);
    }
    Some(fan_out)
}

fn items(reader: &mut Reader<'_>, node: &Node) -> Option<Value> {
    match reader.data(node) {
        value @ Value::Array(_) => Some(value),
        Value::String(text) if crate::template::is_template(&text) => Some(Value::String(text)),
        _ => {
            let message = format!("the items of `for_each` must be a list, not {}", node.describe());
            reader.hinted(
                node.at,
                message,
                "or an expression that yields one: \"{{ params.names }}\"",
            );
            None
        }
    }
}

fn variable(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`as`")?;
    let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !identifier {
        reader.problem(node.at, format!("`{name}` cannot be the name of a variable"));
        return None;
    }
    if check::RESERVED.contains(&name.as_str()) {
        reader.hinted(
            node.at,
            format!("the variable `{name}` would hide another"),
            "call it `item`",
        );
        return None;
    }
    Some(name)
}
