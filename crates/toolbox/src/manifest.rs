//! Reads `metadata.yaml` of a workflow and `module.yaml` of a module.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::command_file::{self, Starts};
use crate::duration::Span;
use crate::metadata::{DEFAULT_VERTICAL, Metadata, ModuleKind, ModuleManifest, Requirements, Resources};
use crate::parameters;
use crate::problem::suggest;
use crate::read::{Fields, Reader};
use crate::run::Isolation;
use crate::schema;
use crate::yaml::{Kind, Node};

const METADATA_KEYS: [&str; 11] = [
    "name",
    "version",
    "description",
    "author",
    "tags",
    "vertical",
    "requirements",
    "workspace_isolation",
    "default_parameters",
    "parameters",
    "output_schema",
];
/// Keys that existing metadata files have and that mean nothing here.
const METADATA_TOLERATED: [&str; 5] = [
    "category",
    "has_docker",
    "supported_volume_modes",
    "default_volume_mode",
    "default_target_path",
];

/// `metadata.yaml`. The result is whole only if the reader has no problems afterwards.
pub(crate) fn metadata(reader: &mut Reader<'_>, node: &Node, folder: &str) -> Option<Metadata> {
    let what = "the metadata of a workflow";
    let fields = reader.fields(node, what, &METADATA_KEYS, &METADATA_TOLERATED)?;
    let mut metadata = Metadata {
        name: reader
            .name(&fields, folder, "a workflow")
            .unwrap_or_else(|| folder.to_owned()),
        version: version(reader, &fields, what),
        description: required_text(reader, &fields, "description", what),
        author: fields.get("author").and_then(|n| reader.text(n, "`author`")),
        tags: fields
            .get("tags")
            .map(|n| reader.texts(n, "`tags`"))
            .unwrap_or_default(),
        vertical: fields
            .get("vertical")
            .and_then(|n| vertical(reader, n))
            .unwrap_or_else(|| DEFAULT_VERTICAL.to_owned()),
        requirements: fields
            .get("requirements")
            .map(|n| requirements(reader, n))
            .unwrap_or_default(),
        workspace_isolation: fields
            .get("workspace_isolation")
            .map(|n| isolation(reader, n))
            .unwrap_or_default(),
        default_parameters: fields
            .get("default_parameters")
            .map(|n| reader.map(n, "`default_parameters`"))
            .unwrap_or_default(),
        parameters: fields
            .get("parameters")
            .map(|n| reader.schema(n, "`parameters`"))
            .unwrap_or(Value::Null),
        output_schema: fields
            .get("output_schema")
            .map(|n| reader.schema(n, "`output_schema`"))
            .unwrap_or(Value::Null),
    };
    check_parameters(reader, &fields, &mut metadata);
    Some(metadata)
}

fn version(reader: &mut Reader<'_>, fields: &Fields<'_>, what: &str) -> String {
    let node = reader.required(fields, "version", what);
    node.and_then(|n| reader.text(n, "`version`")).unwrap_or_default()
}

fn required_text(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, what: &str) -> String {
    let node = reader.required(fields, key, what);
    node.and_then(|n| reader.text(n, &format!("`{key}`")))
        .unwrap_or_default()
}

/// The name of a vertical: part of a task queue's name.
pub(crate) fn vertical(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`vertical`")?;
    let fine = name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !fine {
        let message = format!("`{name}` cannot be the name of a vertical");
        reader.hinted(node.at, message, "a name has lowercase letters, digits, `-` and `_`");
        return None;
    }
    Some(name)
}

fn requirements(reader: &mut Reader<'_>, node: &Node) -> Requirements {
    let Some(fields) = reader.fields(node, "`requirements`", &["tools", "resources"], &["environment"]) else {
        return Requirements::default();
    };
    Requirements {
        tools: fields
            .get("tools")
            .map(|n| reader.texts(n, "`tools`"))
            .unwrap_or_default(),
        resources: fields
            .get("resources")
            .map(|n| resources(reader, n))
            .unwrap_or_default(),
    }
}

fn resources(reader: &mut Reader<'_>, node: &Node) -> Resources {
    let Some(fields) = reader.fields(node, "`resources`", &["memory", "cpu", "timeout"], &[]) else {
        return Resources::default();
    };
    Resources {
        memory: fields
            .get("memory")
            .and_then(|n| quantity(reader, n, "`memory`", &["", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti"])),
        cpu: fields.get("cpu").and_then(|n| quantity(reader, n, "`cpu`", &["", "m"])),
        timeout: fields.get("timeout").and_then(|n| match &n.kind {
            // Existing files give seconds.
            Kind::Number(number) if number.as_u64().is_some_and(|s| (1..=31_536_000).contains(&s)) => {
                number.as_u64().map(Span::from_secs)
            }
            _ => reader.span(n, "`timeout`"),
        }),
    }
}

fn quantity(reader: &mut Reader<'_>, node: &Node, what: &str, units: &[&str]) -> Option<String> {
    let text = reader.loose_text(node, what)?;
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(digits);
    if number.parse::<f64>().is_ok_and(|n| n > 0.0) && units.contains(&unit) {
        return Some(text);
    }
    let shown: Vec<&str> = units.iter().copied().filter(|u| !u.is_empty()).collect();
    reader.hinted(
        node.at,
        format!("{what}: `{text}` is not a quantity"),
        format!("units: {}", shown.join(", ")),
    );
    None
}

fn isolation(reader: &mut Reader<'_>, node: &Node) -> Isolation {
    let known = [
        ("isolated", Isolation::Isolated),
        ("shared", Isolation::Shared),
        ("copy-on-write", Isolation::CopyOnWrite),
    ];
    let Some(text) = reader.text(node, "`workspace_isolation`") else {
        return Isolation::default();
    };
    match known.iter().find(|(name, _)| *name == text) {
        Some((_, isolation)) => *isolation,
        None => {
            let hint = crate::problem::suggest(&text, known.iter().map(|(name, _)| *name));
            reader.push(node.at, format!("`{text}` is not a kind of workspace isolation"), hint);
            Isolation::default()
        }
    }
}

// The schema must describe a mapping, and the defaults must satisfy it: a workflow that cannot start with its own
// defaults is found by its author, not by its first user.
fn check_parameters(reader: &mut Reader<'_>, fields: &Fields<'_>, metadata: &mut Metadata) {
    if metadata.parameters.is_null() {
        metadata.parameters = json!({"type": "object", "properties": {}});
        return;
    }
    let Some(node) = fields.get("parameters") else { return };
    let kind = metadata.parameters.get("type").and_then(Value::as_str);
    if kind.is_some_and(|k| k != "object") {
        reader.problem(
            node.at_pointer("/type").at,
            "`parameters` must describe a mapping: `type: object`",
        );
        return;
    }
    let Ok(validator) = schema::compile(&metadata.parameters) else {
        return;
    };
    let properties = parameters::properties(&metadata.parameters).clone();
    for (name, property) in &properties {
        let Some(default) = property.get("default") else {
            continue;
        };
        let Ok(one) = schema::compile(property) else { continue };
        for violation in schema::check(&one, property, default) {
            let at = node
                .at_pointer(&format!(
                    "/properties/{}/default",
                    name.replace('~', "~0").replace('/', "~1")
                ))
                .at;
            let field = schema::field_of(&format!("/{name}{}", violation.pointer));
            reader.push(
                at,
                format!("the default of `{field}` {}", violation.message),
                violation.hint,
            );
        }
    }
    let Some(defaults_node) = fields.get("default_parameters") else {
        return;
    };
    let given: serde_json::Map<String, Value> = metadata
        .default_parameters
        .iter()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    for violation in schema::check(&validator, &metadata.parameters, &Value::Object(given)) {
        // What is required and has no default is for the user to give.
        if violation.message == "is required" {
            continue;
        }
        let at = defaults_node.at_pointer(&violation.pointer).at;
        reader.push(
            at,
            format!("the default of `{}` {}", violation.field(), violation.message),
            violation.hint,
        );
    }
}

pub(crate) const MODULE_KEYS: [&str; 8] = [
    "name",
    "version",
    "description",
    "author",
    "tags",
    "kind",
    "config_schema",
    "outputs",
];

/// `module.yaml`.
pub(crate) fn module(reader: &mut Reader<'_>, node: &Node, folder: &str) -> Option<ModuleManifest> {
    let what = "a module";
    let own = match node.at_pointer("/kind").kind {
        Kind::Text(ref kind) if kind == "builtin" => &[],
        // The component is no tool that could be missing.
        Kind::Text(ref kind) if kind == "wasm" => &command_file::KEYS[command_file::OF_TOOLS..],
        // Of a kind that is misspelt, only that is worth saying.
        Kind::Text(_) => command_file::KEYS.as_slice(),
        _ => &[],
    };
    let keys: Vec<&str> = MODULE_KEYS.iter().chain(own).copied().collect();
    let fields = reader.fields(node, what, &keys, &[])?;
    let outputs: BTreeMap<String, String> = fields
        .get("outputs")
        .map(|n| reader.map(n, "`outputs`"))
        .unwrap_or_default()
        .into_iter()
        .map(|(name, meaning)| {
            (
                name,
                meaning.as_str().map_or_else(|| meaning.to_string(), str::to_owned),
            )
        })
        .collect();
    let config_schema = match fields.get("config_schema").map(|n| reader.schema(n, "`config_schema`")) {
        Some(schema @ Value::Object(_)) => schema,
        _ => json!({"type": "object"}),
    };
    let name = reader.name(&fields, folder, what).unwrap_or_else(|| folder.to_owned());
    let version = version(reader, &fields, what);
    let description = required_text(reader, &fields, "description", what);
    let kind = reader.required(&fields, "kind", what);
    let kind = kind.and_then(|n| reader.text(n, "`kind`").map(|text| (n, text)));
    let kind = match kind.as_ref().map(|(n, text)| (n, text.as_str())) {
        Some((_, "command")) => {
            let spec = command_file::command(reader, &fields, &config_schema, Starts::Tool)?;
            ModuleKind::Command(Box::new(spec))
        }
        Some((_, "wasm")) => {
            let spec = command_file::command(reader, &fields, &config_schema, Starts::Component)?;
            ModuleKind::Wasm(Box::new(spec))
        }
        Some((_, "builtin")) | None => ModuleKind::Builtin,
        Some((node, other)) => {
            reader.push(
                node.at,
                format!("`{other}` is not a kind of module"),
                suggest(other, ModuleKind::NAMES),
            );
            ModuleKind::Builtin
        }
    };
    Some(ModuleManifest {
        name,
        version,
        description,
        author: fields.get("author").and_then(|n| reader.text(n, "`author`")),
        tags: fields
            .get("tags")
            .map(|n| reader.texts(n, "`tags`"))
            .unwrap_or_default(),
        kind,
        config_schema,
        outputs,
    })
}
