//! Reads the keys of `module.yaml` that only modules of kind `command` have.

use std::collections::BTreeMap;
use std::str::FromStr;

use regex::Regex;
use serde_json::Value;

use crate::check::SEVERITIES;
use crate::command::{
    ArtifactSpec, CommandSpec, FINDING_FIELDS, FactSpec, Format, GapSpec, HomeSpec, JsonFormat, LinesFormat,
    OutputSpec, Preparation, Probe, ProcessLimits, ProgressSpec, Replay, RuleSpec, Source, ToolRequirement,
};
use crate::parameters;
use crate::problem::suggest;
use crate::read::{Fields, Reader};
use crate::template;
use crate::version::VersionRange;
use crate::yaml::{Entry, Kind, Node};

/// Keys beside those that every module has. The first [`OF_TOOLS`] are for programs of the machine only.
pub(crate) const KEYS: [&str; 18] = [
    "tool",
    "before",
    "run",
    "reads",
    "replay",
    "facts",
    "progress",
    "args",
    "env",
    "network",
    "exit_codes",
    "inconclusive_exit_codes",
    "output",
    "gaps",
    "artifacts",
    "limits",
    "rules",
    "default_severity",
];
pub(crate) const OF_TOOLS: usize = 4;
const OUTPUT_KEYS: [&str; 11] = [
    "from",
    "file",
    "format",
    "items",
    "fields",
    "gaps",
    "pattern",
    "ignore",
    "severities",
    "lines",
    "where",
];
/// What a template of a command may name, beside `config`.
const PLACES: [&str; 4] = ["workspace", "out", "files", "homes"];
/// What a template of `replay` may name besides.
const INPUT: &str = "input";
const MAX_ARGS: usize = 200;

/// What a module starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    /// A program of the machine.
    Tool,
    /// A component in its folder.
    Component,
}

/// The whole. `schema` is the module's configuration schema.
pub(crate) fn command(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    schema: &Value,
    kind: Starts,
) -> Option<CommandSpec> {
    let what = match kind {
        Starts::Tool => "a module of kind `command`",
        Starts::Component => "a module of kind `wasm`",
    };
    let tool = match kind {
        Starts::Tool => Some(reader.required(fields, "tool", what).and_then(|n| tool(reader, n))),
        Starts::Component => None,
    };
    let output = reader.required(fields, "output", what).and_then(|n| output(reader, n));
    let spec = CommandSpec {
        // One that is wrong was said to be.
        tool: tool.map_or(Some(None), |tool| tool.map(Some))?,
        before: list(reader, fields, "before", |reader, n| preparation(reader, n, schema)),
        run: fields.get("run").and_then(|n| made(reader, n)),
        args: fields
            .get("args")
            .map(|n| args(reader, n, schema, &PLACES))
            .unwrap_or_default(),
        env: fields.get("env").map(|n| env(reader, n, schema)).unwrap_or_default(),
        reads: fields
            .get("reads")
            .map(|n| args(reader, n, schema, &PLACES))
            .unwrap_or_default(),
        network: fields.get("network").is_some_and(|n| reader.flag(n, "`network`")),
        exit_codes: fields
            .get("exit_codes")
            .map(|n| exit_codes(reader, n))
            .unwrap_or_else(|| vec![0]),
        inconclusive_exit_codes: fields
            .get("inconclusive_exit_codes")
            .map(|n| inconclusive(reader, n))
            .unwrap_or_default(),
        replay: fields.get("replay").and_then(|n| replay(reader, n, schema)),
        facts: fields.get("facts").map(|n| facts(reader, n)).unwrap_or_default(),
        progress: fields.get("progress").and_then(|n| progress(reader, n)),
        output: output?,
        gaps: list(reader, fields, "gaps", gap),
        artifacts: list(reader, fields, "artifacts", artifact),
        limits: fields.get("limits").map(|n| limits(reader, n)).unwrap_or_default(),
        rules: list(reader, fields, "rules", rule),
        default_severity: fields
            .get("default_severity")
            .and_then(|n| severity(reader, n))
            .unwrap_or_else(|| "medium".to_owned()),
    };
    Some(spec)
}

fn list<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    match &node.kind {
        Kind::Seq(items) => items.iter().filter_map(|item| read(reader, item)).collect(),
        _ => {
            reader.problem(node.at, format!("`{key}` must be a list, not {}", node.describe()));
            Vec::new()
        }
    }
}

fn tool(reader: &mut Reader<'_>, node: &Node) -> Option<ToolRequirement> {
    let fields = reader.fields(node, "`tool`", &["name", "program", "probe", "version", "homes"], &[])?;
    let program = reader
        .required(&fields, "program", "`tool`")
        .and_then(|n| program(reader, n));
    let probe = fields.get("probe").and_then(|n| probe(reader, n));
    let version = fields.get("version").and_then(|n| range(reader, n));
    if version.is_some() && fields.get("probe").is_none() {
        reader.hinted(
            fields.key_at("version"),
            "the version cannot be checked without a `probe`",
            "add `probe: {args: [--version], pattern: '(\\d[\\d.]*)'}`",
        );
    }
    Some(ToolRequirement {
        name: fields.get("name").and_then(|n| self::program(reader, n)),
        program: program?,
        probe,
        version,
        homes: fields.get("homes").map(|n| homes(reader, n)).unwrap_or_default(),
    })
}

/// The name of a program: it is looked up, so a path would say where the author's machine has it.
pub(crate) fn program(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`program`")?;
    if name.contains(['/', '\\', ' ']) || name.contains("{{") {
        reader.hinted(
            node.at,
            format!("`{name}` is not the name of a program"),
            "write the name alone: it is looked up in the tools that Helve installed and in PATH",
        );
        return None;
    }
    Some(name)
}

pub(crate) fn probe(reader: &mut Reader<'_>, node: &Node) -> Option<Probe> {
    let fields = reader.fields(node, "`probe`", &["args", "pattern"], &[])?;
    let pattern = reader
        .required(&fields, "pattern", "`probe`")
        .and_then(|n| pattern(reader, n, "`pattern`").map(|regex| (n, regex)));
    if let Some((node, regex)) = &pattern
        && regex.captures_len() < 2
    {
        reader.hinted(
            node.at,
            "the pattern has no group for the version",
            "put it in parentheses: '(\\d[\\d.]*)'",
        );
    }
    Some(Probe {
        args: fields
            .get("args")
            .map(|n| reader.texts(n, "`args`"))
            .unwrap_or_else(|| vec!["--version".to_owned()]),
        pattern: pattern?.1.as_str().to_owned(),
    })
}

pub(crate) fn range(reader: &mut Reader<'_>, node: &Node) -> Option<VersionRange> {
    let text = reader.text(node, "`version`")?;
    match VersionRange::from_str(&text) {
        Ok(range) => Some(range),
        Err(error) => {
            reader.problem(node.at, format!("`version`: {error}"));
            None
        }
    }
}

fn pattern(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<Regex> {
    let text = reader.text(node, what)?;
    match Regex::new(&text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            let message = error.to_string();
            let reason = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            reader.problem(node.at, format!("{what} is not a regular expression: {reason}"));
            None
        }
    }
}

fn args(reader: &mut Reader<'_>, node: &Node, schema: &Value, places: &[&str]) -> Vec<String> {
    let Kind::Seq(items) = &node.kind else {
        reader.hinted(
            node.at,
            format!("`args` must be a list, not {}", node.describe()),
            "there is no shell: each argument is an item of its own",
        );
        return Vec::new();
    };
    if items.len() > MAX_ARGS {
        reader.problem(
            node.at,
            format!("{} arguments are too many: {MAX_ARGS} at most", items.len()),
        );
    }
    items
        .iter()
        .filter_map(|item| {
            let text = reader.loose_text(item, "an argument")?;
            names(reader, item, &text, schema, places);
            Some(text)
        })
        .collect()
}

fn env(reader: &mut Reader<'_>, node: &Node, schema: &Value) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for entry in entries(reader, node, "`env`") {
        variable(reader, entry);
        if let Some(text) = reader.loose_text(&entry.value, &format!("`{}`", entry.key)) {
            names(reader, &entry.value, &text, schema, &PLACES);
            env.insert(entry.key.clone(), text);
        }
    }
    env
}

pub(crate) fn entries<'n>(reader: &mut Reader<'_>, node: &'n Node, what: &str) -> &'n [Entry] {
    match &node.kind {
        Kind::Map(entries) => {
            reader.data(node);
            entries
        }
        _ => {
            reader.problem(node.at, format!("{what} must be a mapping, not {}", node.describe()));
            &[]
        }
    }
}

/// Checks what the template of an argument names.
fn names(reader: &mut Reader<'_>, node: &Node, text: &str, schema: &Value, places: &[&str]) {
    let used = match template::variables(text) {
        Ok(used) => used,
        Err(error) => {
            let at = Reader::inside(node, error.line);
            return reader.problem(at, format!("in the template: {error}"));
        }
    };
    for path in used {
        let mut parts = path.split('.');
        match parts.next().unwrap_or_default() {
            "config" => {
                let Some(name) = parts.next() else { continue };
                let declared = parameters::properties(schema);
                if !declared.contains_key(name) && !parameters::is_open(schema) {
                    let hint = suggest(name, declared.keys().map(String::as_str))
                        .unwrap_or_else(|| "declare it in `config_schema`".to_owned());
                    reader.hinted(node.at, format!("the configuration has no `{name}`"), hint);
                }
            }
            place if places.contains(&place) => {}
            other => {
                let known = ["config"].into_iter().chain(places.iter().copied());
                reader.hinted(
                    node.at,
                    format!("a command cannot use `{other}`"),
                    format!("known: {}", known.collect::<Vec<_>>().join(", ")),
                );
            }
        }
    }
}

fn exit_codes(reader: &mut Reader<'_>, node: &Node) -> Vec<i32> {
    let Kind::Seq(items) = &node.kind else {
        reader.hinted(
            node.at,
            format!("`exit_codes` must be a list of numbers, not {}", node.describe()),
            "many tools end with 1 when they found something: `exit_codes: [0, 1]`",
        );
        return vec![0];
    };
    items
        .iter()
        .filter_map(|item| reader.number(item, "an exit code", 0, 255))
        .filter_map(|code| i32::try_from(code).ok())
        .collect()
}

fn inconclusive(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<i32, String> {
    let mut codes = BTreeMap::new();
    for entry in entries(reader, node, "`inconclusive_exit_codes`") {
        match entry.key.parse::<i32>().ok().filter(|code| (0..=255).contains(code)) {
            Some(code) => {
                if let Some(reason) = reader.text(&entry.value, "the meaning of an exit code") {
                    codes.insert(code, reason);
                }
            }
            None => reader.problem(entry.key_at, format!("`{}` is not an exit code", entry.key)),
        }
    }
    codes
}

fn output(reader: &mut Reader<'_>, node: &Node) -> Option<OutputSpec> {
    let fields = reader.fields(node, "`output`", &OUTPUT_KEYS, &[])?;
    let from = source(reader, &fields, "`output`");
    let name = reader.required(&fields, "format", "`output`")?;
    let text = reader.text(name, "`format`")?;
    let own: &[&str] = match text.as_str() {
        "json" => &["items", "fields", "gaps", "severities", "lines", "where"],
        "lines" => &["pattern", "ignore", "severities"],
        _ => &[],
    };
    for key in OUTPUT_KEYS.into_iter().skip(3) {
        if fields.get(key).is_some() && !own.contains(&key) && Format::NAMES.contains(&text.as_str()) {
            reader.problem(fields.key_at(key), format!("the format `{text}` has no `{key}`"));
        }
    }
    let format = match text.as_str() {
        "sarif" => Format::Sarif,
        "junit" => Format::Junit,
        "crashes" => Format::Crashes,
        "json" => Format::Json(json(reader, &fields)?),
        "lines" => Format::Lines(lines(reader, &fields)?),
        _ => {
            let hint = suggest(&text, Format::NAMES);
            reader.push(name.at, format!("`{text}` is not a format of findings"), hint);
            return None;
        }
    };
    Some(OutputSpec { from: from?, format })
}

fn source(reader: &mut Reader<'_>, fields: &Fields<'_>, what: &str) -> Option<Source> {
    let file = fields.get("file").and_then(|n| file(reader, n));
    let Some(node) = fields.get("from") else {
        return match fields.get("file") {
            Some(_) => file.map(Source::File),
            None => Some(Source::Stdout),
        };
    };
    if fields.get("file").is_some() {
        reader.problem(fields.key_at("file"), format!("{what} has `from` or `file`, not both"));
    }
    match reader.text(node, "`from`")?.as_str() {
        "stdout" => Some(Source::Stdout),
        "stderr" => Some(Source::Stderr),
        other => {
            reader.hinted(
                node.at,
                format!("`{other}` is not where a program writes"),
                "stdout or stderr; for a file write `file: NAME` in place of `from`",
            );
            None
        }
    }
}

/// A path below the folder `out`.
fn file(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`file`")?;
    let fine = !name.starts_with('/')
        && !name
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..");
    if !fine {
        reader.hinted(
            node.at,
            format!("`{name}` is not a path within `out`"),
            "let the program write to \"{{ out }}/NAME\" and name NAME here",
        );
        return None;
    }
    Some(name)
}

fn json(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<JsonFormat> {
    let items = reader
        .required(fields, "items", "the format `json`")
        .and_then(|n| reader.text(n, "`items`"));
    let node = reader.required(fields, "fields", "the format `json`")?;
    let mut parts = BTreeMap::new();
    for entry in entries(reader, node, "`fields`") {
        if !FINDING_FIELDS.contains(&entry.key.as_str()) {
            let hint = suggest(&entry.key, FINDING_FIELDS);
            reader.push(entry.key_at, format!("a finding has no `{}`", entry.key), hint);
        }
        if let Some(path) = reader.text(&entry.value, &format!("`{}`", entry.key)) {
            parts.insert(entry.key.clone(), path);
        }
    }
    needs_message(reader, node, parts.contains_key("message"));
    let mut only = BTreeMap::new();
    for entry in fields
        .get("where")
        .map(|n| entries(reader, n, "`where`"))
        .unwrap_or_default()
    {
        if let Some(regex) = pattern(reader, &entry.value, &format!("`{}`", entry.key)) {
            only.insert(entry.key.clone(), regex.as_str().to_owned());
        }
    }
    Some(JsonFormat {
        lines: fields.get("lines").is_some_and(|n| reader.flag(n, "`lines`")),
        only,
        items: items?,
        fields: parts,
        gaps: fields
            .get("gaps")
            .map(|n| texts(reader, n, "`gaps`"))
            .unwrap_or_default(),
        severities: fields
            .get("severities")
            .map(|n| severities(reader, n))
            .unwrap_or_default(),
    })
}

fn lines(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<LinesFormat> {
    let node = reader.required(fields, "pattern", "the format `lines`")?;
    let regex = pattern(reader, node, "`pattern`")?;
    let groups: Vec<&str> = regex.capture_names().flatten().collect();
    for group in &groups {
        if !FINDING_FIELDS.contains(group) {
            let hint = suggest(group, FINDING_FIELDS);
            reader.push(
                node.at,
                format!("a finding has no `{group}`, which the pattern names"),
                hint,
            );
        }
    }
    needs_message(reader, node, groups.contains(&"message"));
    Some(LinesFormat {
        pattern: regex.as_str().to_owned(),
        ignore: fields
            .get("ignore")
            .and_then(|n| pattern(reader, n, "`ignore`"))
            .map(|regex| regex.as_str().to_owned()),
        severities: fields
            .get("severities")
            .map(|n| severities(reader, n))
            .unwrap_or_default(),
    })
}

fn needs_message(reader: &mut Reader<'_>, node: &Node, there: bool) {
    if !there {
        reader.hinted(
            node.at,
            "a finding needs at least a `message`",
            format!("known: {}", FINDING_FIELDS.join(", ")),
        );
    }
}

fn texts(reader: &mut Reader<'_>, node: &Node, what: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in entries(reader, node, what) {
        if let Some(text) = reader.text(&entry.value, &format!("`{}`", entry.key)) {
            all.insert(entry.key.clone(), text);
        }
    }
    all
}

fn severities(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in entries(reader, node, "`severities`") {
        if let Some(name) = severity(reader, &entry.value) {
            all.insert(entry.key.to_lowercase(), name);
        }
    }
    all
}

fn severity(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "a severity")?;
    if !SEVERITIES.contains(&name.as_str()) {
        let hint = suggest(&name, SEVERITIES);
        reader.push(node.at, format!("`{name}` is not a severity"), hint);
        return None;
    }
    Some(name)
}

fn gap(reader: &mut Reader<'_>, node: &Node) -> Option<GapSpec> {
    let fields = reader.fields(node, "a gap", &["from", "file", "pattern"], &[])?;
    let from = source(reader, &fields, "a gap");
    let regex = reader
        .required(&fields, "pattern", "a gap")
        .and_then(|n| pattern(reader, n, "`pattern`"))?;
    Some(GapSpec {
        from: from?,
        pattern: regex.as_str().to_owned(),
    })
}

fn preparation(reader: &mut Reader<'_>, node: &Node, schema: &Value) -> Option<Preparation> {
    let fields = reader.fields(node, "a command of `before`", &["program", "args", "failure"], &[])?;
    let failure = reader
        .required(&fields, "failure", "a command of `before`")
        .and_then(|n| reader.text(n, "`failure`"));
    Some(Preparation {
        program: fields.get("program").and_then(|n| program(reader, n)),
        args: fields
            .get("args")
            .map(|n| args(reader, n, schema, &PLACES))
            .unwrap_or_default(),
        failure: failure?,
    })
}

/// A program that `before` makes.
fn made(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    file(reader, node)
}

fn replay(reader: &mut Reader<'_>, node: &Node, schema: &Value) -> Option<Replay> {
    let fields = reader.fields(node, "`replay`", &["each", "run", "args", "time"], &[])?;
    let each = reader
        .required(&fields, "each", "`replay`")
        .and_then(|n| file(reader, n));
    let places: Vec<&str> = PLACES.into_iter().chain([INPUT]).collect();
    Some(Replay {
        run: fields.get("run").and_then(|n| made(reader, n)),
        args: fields
            .get("args")
            .map(|n| args(reader, n, schema, &places))
            .unwrap_or_default(),
        time: fields.get("time").and_then(|n| reader.span(n, "`time`")),
        each: each?,
    })
}

fn facts(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, FactSpec> {
    let mut all = BTreeMap::new();
    for entry in entries(reader, node, "`facts`") {
        if let Some(fact) = fact(reader, &entry.value) {
            all.insert(entry.key.clone(), fact);
        }
    }
    all
}

fn fact(reader: &mut Reader<'_>, node: &Node) -> Option<FactSpec> {
    let fields = reader.fields(node, "a fact", &["from", "file", "pattern", "missing"], &[])?;
    let from = source(reader, &fields, "a fact");
    let pattern = reader
        .required(&fields, "pattern", "a fact")
        .and_then(|n| grouped(reader, n))?;
    Some(FactSpec {
        from: from?,
        pattern,
        missing: fields.get("missing").and_then(|n| reader.text(n, "`missing`")),
    })
}

fn progress(reader: &mut Reader<'_>, node: &Node) -> Option<ProgressSpec> {
    let fields = reader.fields(node, "`progress`", &["file", "pattern", "unit"], &[])?;
    let path = reader
        .required(&fields, "file", "`progress`")
        .and_then(|n| file(reader, n));
    let pattern = reader
        .required(&fields, "pattern", "`progress`")
        .and_then(|n| grouped(reader, n));
    let unit = reader
        .required(&fields, "unit", "`progress`")
        .and_then(|n| reader.text(n, "`unit`"));
    Some(ProgressSpec {
        file: path?,
        pattern: pattern?,
        unit: unit?,
    })
}

/// A regular expression whose first group is what is wanted.
fn grouped(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let regex = pattern(reader, node, "`pattern`")?;
    if regex.captures_len() < 2 {
        reader.hinted(
            node.at,
            "the pattern has no group for what is wanted",
            "put it in parentheses: 'executions: (\\d+)'",
        );
    }
    Some(regex.as_str().to_owned())
}

/// Environment variables, and the folders of the worker's owner that they name.
fn homes(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, HomeSpec> {
    let mut all = BTreeMap::new();
    for entry in entries(reader, node, "`homes`") {
        variable(reader, entry);
        if let Some(home) = home(reader, &entry.value) {
            all.insert(entry.key.clone(), home);
        }
    }
    all
}

fn home(reader: &mut Reader<'_>, node: &Node) -> Option<HomeSpec> {
    let fields = reader.fields(node, "a folder of `homes`", &["at", "read"], &[])?;
    let at = reader
        .required(&fields, "at", "a folder of `homes`")
        .and_then(|n| file(reader, n));
    let read = reader.required(&fields, "read", "a folder of `homes`")?;
    let Kind::Seq(items) = &read.kind else {
        reader.problem(read.at, format!("`read` must be a list, not {}", read.describe()));
        return None;
    };
    Some(HomeSpec {
        at: at?,
        read: items.iter().filter_map(|item| file(reader, item)).collect(),
    })
}

/// Checks the name of an environment variable.
fn variable(reader: &mut Reader<'_>, entry: &Entry) {
    let fine = entry.key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && entry.key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fine {
        reader.problem(
            entry.key_at,
            format!("`{}` cannot be the name of an environment variable", entry.key),
        );
    }
}

fn artifact(reader: &mut Reader<'_>, node: &Node) -> Option<ArtifactSpec> {
    let fields = reader.fields(node, "an artifact", &["file", "media_type"], &[])?;
    let file = reader
        .required(&fields, "file", "an artifact")
        .and_then(|n| file(reader, n))?;
    Some(ArtifactSpec {
        file,
        media_type: fields
            .get("media_type")
            .and_then(|n| reader.text(n, "`media_type`"))
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
    })
}

/// Bounds of a process, of a module or of a vertical.
pub(crate) fn limits(reader: &mut Reader<'_>, node: &Node) -> ProcessLimits {
    let keys = [
        "time",
        "cpu",
        "memory",
        "processes",
        "output",
        "files",
        "file_size",
        "disk",
    ];
    let Some(fields) = reader.fields(node, "`limits`", &keys, &[]) else {
        return ProcessLimits::default();
    };
    ProcessLimits {
        time: fields.get("time").and_then(|n| reader.span(n, "`time`")),
        cpu: fields.get("cpu").and_then(|n| reader.span(n, "`cpu`")),
        memory: fields.get("memory").and_then(|n| bytes(reader, n, "`memory`")),
        processes: fields
            .get("processes")
            .and_then(|n| reader.number(n, "`processes`", 1, 100_000)),
        output: fields.get("output").and_then(|n| bytes(reader, n, "`output`")),
        files: fields
            .get("files")
            .and_then(|n| reader.number(n, "`files`", 16, 1_000_000)),
        file_size: fields.get("file_size").and_then(|n| bytes(reader, n, "`file_size`")),
        disk: fields.get("disk").and_then(|n| bytes(reader, n, "`disk`")),
    }
}

fn bytes(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("", 1),
        ("k", 1_000),
        ("Ki", 1 << 10),
        ("M", 1_000_000),
        ("Mi", 1 << 20),
        ("G", 1_000_000_000),
        ("Gi", 1 << 30),
    ];
    let text = reader.loose_text(node, what)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let amount = number.parse::<u64>().ok().filter(|n| *n > 0);
    match factor.zip(amount).and_then(|(factor, n)| factor.checked_mul(n)) {
        Some(bytes) => Some(bytes),
        None => {
            reader.hinted(
                node.at,
                format!("{what}: `{text}` is not a number of bytes"),
                "units: k, Ki, M, Mi, G, Gi",
            );
            None
        }
    }
}

fn rule(reader: &mut Reader<'_>, node: &Node) -> Option<RuleSpec> {
    let keys = ["id", "name", "description", "severity", "cwe", "remediation"];
    let fields = reader.fields(node, "a rule", &keys, &[])?;
    let id = reader
        .required(&fields, "id", "a rule")
        .and_then(|n| reader.loose_text(n, "`id`"))?;
    let text = |reader: &mut Reader<'_>, key: &str| {
        fields
            .get(key)
            .and_then(|n| reader.text(n, &format!("`{key}`")))
            .unwrap_or_default()
    };
    Some(RuleSpec {
        name: text(reader, "name"),
        description: text(reader, "description"),
        severity: fields.get("severity").and_then(|n| severity(reader, n)),
        cwe: fields.get("cwe").map(|n| cwe(reader, n)).unwrap_or_default(),
        remediation: text(reader, "remediation"),
        id,
    })
}

fn cwe(reader: &mut Reader<'_>, node: &Node) -> Vec<u32> {
    match &node.kind {
        Kind::Seq(items) => items
            .iter()
            .filter_map(|item| reader.number(item, "an item of `cwe`", 1, 100_000))
            .collect(),
        _ => {
            reader.problem(
                node.at,
                format!("`cwe` must be a list of numbers, not {}", node.describe()),
            );
            Vec::new()
        }
    }
}
