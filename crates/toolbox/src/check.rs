//! Checks what the steps of a plan say about each other, about parameters and about modules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::parameters;
use crate::plan_file::{StepSource, Surroundings};
use crate::problem::suggest;
use crate::read::Reader;
use crate::schema;
use crate::template;
use crate::yaml::{Kind, Node};

/// Names that a loop variable must not take.
pub(crate) const RESERVED: [&str; 4] = ["params", "steps", "target", "range"];
/// What a template can say about a step.
pub(crate) const STEP_FACTS: [&str; 8] = [
    "status",
    "reason",
    "findings",
    "by_severity",
    "summary",
    "notifications",
    "artifacts",
    "items",
];
/// What `by_severity` always has.
pub(crate) const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "note"];
const TARGET_FACTS: [&str; 2] = ["id", "name"];

/// All checks across steps.
pub(crate) fn steps(
    reader: &mut Reader<'_>,
    sources: &[StepSource<'_>],
    output: Option<&Node>,
    around: Surroundings<'_>,
) {
    unique_ids(reader, sources);
    let ids: Vec<&str> = sources
        .iter()
        .map(|s| s.step.id.as_str())
        .filter(|id| !id.is_empty())
        .collect();
    needs(reader, sources, &ids);
    cycles(reader, sources);
    let before = transitive_needs(sources);
    for source in sources {
        let known = before.get(source.step.id.as_str());
        let names = Names {
            ids: &ids,
            before: known,
            variable: None,
            around,
        };
        let variable = source.step.for_each.as_ref().map(|f| f.variable.as_str());
        if let Some(node) = source.fields.get("if") {
            condition(reader, node, &names);
        }
        if let Some(node) = source.fields.get("for_each") {
            templates(reader, node, &names);
        }
        if let Some(node) = source.fields.get("with") {
            templates(reader, node, &Names { variable, ..names });
            module_config(reader, source, node, around);
        }
    }
    if let Some(node) = output {
        templates(
            reader,
            node,
            &Names {
                ids: &ids,
                before: None,
                variable: None,
                around,
            },
        );
    }
}

fn unique_ids(reader: &mut Reader<'_>, sources: &[StepSource<'_>]) {
    let mut first: HashMap<&str, u32> = HashMap::new();
    for source in sources.iter().filter(|s| !s.step.id.is_empty()) {
        let Some(node) = source.fields.get("id") else { continue };
        match first.get(source.step.id.as_str()) {
            Some(line) => {
                let message = format!("two steps have the id `{}`", source.step.id);
                reader.hinted(node.at, message, format!("the first is in line {line}"));
            }
            None => {
                first.insert(&source.step.id, node.at.line);
            }
        }
    }
}

fn needs(reader: &mut Reader<'_>, sources: &[StepSource<'_>], ids: &[&str]) {
    for source in sources {
        let Some(node) = source.fields.get("needs") else {
            continue;
        };
        for (n, need) in source.step.needs.iter().enumerate() {
            let at = match &node.kind {
                Kind::Seq(items) => items.get(n).map_or(node.at, |item| item.at),
                _ => node.at,
            };
            if *need == source.step.id {
                reader.problem(at, format!("the step `{need}` needs itself"));
            } else if !ids.contains(&need.as_str()) {
                let others = ids.iter().copied().filter(|id| *id != source.step.id);
                reader.push(at, format!("there is no step `{need}`"), suggest(need, others));
            }
        }
    }
}

// Each cycle is reported once, at the `needs` of its first step in the file.
fn cycles(reader: &mut Reader<'_>, sources: &[StepSource<'_>]) {
    let by_id: HashMap<&str, &StepSource<'_>> = sources.iter().map(|s| (s.step.id.as_str(), s)).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for source in sources {
        let mut path: Vec<&str> = Vec::new();
        if let Some(cycle) = find_cycle(&source.step.id, &by_id, &mut path, &mut done) {
            let at = by_id
                .get(cycle[0])
                .map_or(source.fields.at, |s| s.fields.key_at("needs"));
            let shown: Vec<&str> = cycle.iter().copied().chain(cycle.first().copied()).collect();
            reader.problem(at, format!("steps wait for each other: {}", shown.join(" needs ")));
        }
    }
}

fn find_cycle<'a>(
    id: &'a str,
    by_id: &HashMap<&str, &'a StepSource<'_>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|p| *p == id) {
        let cycle = path[start..].to_vec();
        return (cycle.len() > 1).then_some(cycle);
    }
    if !done.insert(id) {
        return None;
    }
    let source = by_id.get(id)?;
    path.push(id);
    let mut found = None;
    for need in &source.step.needs {
        // `done` would hide a cycle through a step that is on the path.
        if found.is_none() {
            found = find_cycle(need, by_id, path, done);
        }
    }
    path.pop();
    found
}

/// For each step, the steps that have surely ended when it starts.
fn transitive_needs<'a>(sources: &'a [StepSource<'_>]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let direct: HashMap<&str, &Vec<String>> = sources.iter().map(|s| (s.step.id.as_str(), &s.step.needs)).collect();
    let mut all = BTreeMap::new();
    for source in sources {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = source.step.needs.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    direct
                        .get(id)
                        .into_iter()
                        .flat_map(|needs| needs.iter().map(String::as_str)),
                );
            }
        }
        all.insert(source.step.id.as_str(), seen);
    }
    all
}

/// What the templates of one place may name.
#[derive(Clone, Copy)]
struct Names<'a, 's> {
    ids: &'a [&'a str],
    /// Steps that have ended; None: all of them.
    before: Option<&'a BTreeSet<&'a str>>,
    variable: Option<&'a str>,
    around: Surroundings<'s>,
}

fn templates(reader: &mut Reader<'_>, node: &Node, names: &Names<'_, '_>) {
    match &node.kind {
        Kind::Text(text) => match template::variables(text) {
            Ok(used) => variables(reader, node, &used, names),
            Err(error) => {
                let at = Reader::inside(node, error.line);
                reader.problem(at, format!("in the template: {error}"));
            }
        },
        Kind::Seq(items) => items.iter().for_each(|item| templates(reader, item, names)),
        Kind::Map(entries) => {
            for entry in entries {
                if template::is_template(&entry.key) {
                    reader.problem(entry.key_at, "keys are not templates, only values are");
                }
                templates(reader, &entry.value, names);
            }
        }
        _ => {}
    }
}

fn condition(reader: &mut Reader<'_>, node: &Node, names: &Names<'_, '_>) {
    let Kind::Text(text) = &node.kind else { return };
    match template::expression_variables(text) {
        Ok(used) => variables(reader, node, &used, names),
        Err(error) => {
            let at = Reader::inside(node, error.line);
            reader.problem(at, format!("in the condition: {error}"));
        }
    }
}

fn variables(reader: &mut Reader<'_>, node: &Node, used: &[String], names: &Names<'_, '_>) {
    for path in used {
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        match root {
            "steps" => step_reference(reader, node, parts, names),
            "params" => parameter_reference(reader, node, parts.next(), names.around),
            "target" => fact(reader, node, parts.next(), "target", &TARGET_FACTS),
            name if names.variable == Some(name) => {}
            name => {
                let known = ["params", "steps", "target"].into_iter().chain(names.variable);
                let message = format!("a template cannot use `{name}`");
                let all: Vec<&str> = known.clone().collect();
                let hint = suggest(name, known).unwrap_or_else(|| format!("known: {}", all.join(", ")));
                reader.hinted(node.at, message, hint);
            }
        }
    }
}

fn step_reference<'p>(
    reader: &mut Reader<'_>,
    node: &Node,
    mut parts: impl Iterator<Item = &'p str>,
    names: &Names<'_, '_>,
) {
    let Some(id) = parts.next() else {
        // A whole-steps reference cannot be checked; it is safe where all steps have ended.
        if names.before.is_some() {
            reader.hinted(
                node.at,
                "a template must name the step that it uses",
                "write `steps.<id>`",
            );
        }
        return;
    };
    if !names.ids.contains(&id) {
        reader.push(
            node.at,
            format!("there is no step `{id}`"),
            suggest(id, names.ids.iter().copied()),
        );
        return;
    }
    if names.before.is_some_and(|before| !before.contains(id)) {
        let message = format!("the template uses the step `{id}`, which may not have ended by then");
        reader.hinted(node.at, message, format!("add `{id}` to `needs`"));
    }
    let Some(name) = parts.next() else { return };
    let place = format!("steps.{id}");
    fact(reader, node, Some(name), &place, &STEP_FACTS);
    if name == "by_severity" {
        fact(reader, node, parts.next(), &format!("{place}.by_severity"), &SEVERITIES);
    }
}

fn fact(reader: &mut Reader<'_>, node: &Node, name: Option<&str>, place: &str, known: &[&str]) {
    if let Some(name) = name
        && !known.contains(&name)
    {
        reader.push(
            node.at,
            format!("`{place}` has no `{name}`"),
            suggest(name, known.iter().copied()),
        );
    }
}

fn parameter_reference(reader: &mut Reader<'_>, node: &Node, name: Option<&str>, around: Surroundings<'_>) {
    let (Some(name), Some(metadata)) = (name, around.metadata) else {
        return;
    };
    let declared = parameters::properties(&metadata.parameters);
    let known = || {
        declared
            .keys()
            .chain(metadata.default_parameters.keys())
            .map(String::as_str)
    };
    if parameters::is_open(&metadata.parameters) || known().any(|k| k == name) {
        return;
    }
    let names: BTreeSet<&str> = known().collect();
    let hint = suggest(name, names.iter().copied())
        .unwrap_or_else(|| "declare it in `parameters` of metadata.yaml".to_owned());
    reader.hinted(node.at, format!("the workflow has no parameter `{name}`"), hint);
}

// Where a value is a template, only the run can tell whether it fits; keys are always literal.
fn module_config(reader: &mut Reader<'_>, source: &StepSource<'_>, node: &Node, around: Surroundings<'_>) {
    let Some(Some(manifest)) = (around.module)(&source.step.uses) else {
        return;
    };
    let Ok(validator) = schema::compile(&manifest.config_schema) else {
        return;
    };
    let config = Value::Object(source.step.with.clone());
    for violation in schema::check(&validator, &manifest.config_schema, &config) {
        let culprit = node.at_pointer(&violation.pointer);
        if !violation.about_keys && has_template(culprit) {
            continue;
        }
        let message = format!(
            "`with.{}` {} (module `{}`)",
            violation.field(),
            violation.message,
            manifest.name
        );
        let at = key_place(node, &violation.pointer).unwrap_or(culprit.at);
        reader.push(at, message, violation.hint);
    }
}

/// The place of the key that a pointer ends in, if that key is there.
fn key_place(node: &Node, pointer: &str) -> Option<crate::yaml::Pos> {
    let (parent, last) = pointer.rsplit_once('/')?;
    let name = last.replace("~1", "/").replace("~0", "~");
    match &node.at_pointer(parent).kind {
        Kind::Map(entries) => entries.iter().find(|e| e.key == name).map(|e| e.key_at),
        _ => None,
    }
}

fn has_template(node: &Node) -> bool {
    match &node.kind {
        Kind::Text(text) => template::is_template(text),
        Kind::Seq(items) => items.iter().any(has_template),
        Kind::Map(entries) => entries.iter().any(|e| has_template(&e.value)),
        _ => false,
    }
}
