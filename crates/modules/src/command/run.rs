//! One run of a command: tool, arguments, process, output, report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use helve_findings::{ModuleReport, Notification, NotificationLevel};
use helve_toolbox::command::{CommandSpec, GapSpec, ProcessLimits, Source};
use helve_toolbox::template::{self, Scope};
use helve_toolbox::{Bundle, ModuleManifest};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::collect::Collector;
use super::parse::Parser;
use super::place::Places;
use super::room::Room;
use super::runner::{Bounds, End, Job, Ran};
use super::{Defaults, Host};
use crate::{Artifact, Context, Metadata, Module, ModuleError, Output, Progress, doubts};

/// Bounds where neither the module nor its vertical says anything.
const TIME: Duration = Duration::from_secs(3600);
const MEMORY: u64 = 2 << 30;
const PROCESSES: u32 = 512;
const OUTPUT: u64 = 64 << 20;
const FILES: u32 = 4096;
const FILE_SIZE: u64 = 1 << 30;
const DISK: u64 = 4 << 30;
/// CPU time for each second of the wall clock where nothing is said of it: more means that it keeps many cores busy.
const CPU_PER_SECOND: u32 = 8;
/// Longest file that is read or kept.
const MAX_FILE: u64 = 256 << 20;
/// How much of what a program said goes into a reason.
const QUOTED: usize = 300;
/// Lines that name a gap in the notifications; the rest is counted.
const MAX_GAPS: usize = 20;

/// A loaded module of kind `command`.
pub(crate) struct Command {
    pub(crate) metadata: Metadata,
    pub(crate) manifest: ModuleManifest,
    pub(crate) spec: CommandSpec,
    pub(crate) bundle: Bundle,
    pub(crate) defaults: Defaults,
    pub(crate) parser: Parser,
    pub(crate) gaps: Vec<(Source, Regex)>,
    pub(crate) host: Arc<Host>,
}

pub(crate) fn gaps(specs: &[GapSpec]) -> Result<Vec<(Source, Regex)>, String> {
    specs
        .iter()
        .map(|gap| Ok((gap.from.clone(), Regex::new(&gap.pattern).map_err(|e| e.to_string())?)))
        .collect()
}

impl Module for Command {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn execute(&self, cx: &Context<'_>, config: &Value) -> Result<Output, ModuleError> {
        cx.check_cancelled()?;
        let config = self.config(config)?;
        let tool = match self.host.tool(&self.spec.tool) {
            Ok(tool) => tool,
            Err(missing) => {
                let advice = format!("{missing}; `helve verticals doctor` says how to get it");
                return Ok(self.could_not_look(advice));
            }
        };
        // A link in the way to the workspace would make the tool's paths differ from ours.
        let workspace = cx.workspace.canonicalize().map_err(|e| unreadable(cx.workspace, e))?;
        let room = Room::new(&self.host.scratch, &self.bundle)?;
        let job = self.job(&tool.path, &workspace, &room, config)?;
        let tick = |took: Duration| {
            (cx.progress)(Progress {
                done: took.as_secs(),
                total: None,
                unit: "s",
                message: Some(format!("{} is running", self.spec.tool.program)),
            });
        };
        let ran = match self.host.runner.run(&job, cx.cancelled, &tick) {
            Ok(ran) => ran,
            Err(error @ super::RunError::Execute { .. }) => return Ok(self.could_not_look(error.to_string())),
            Err(super::RunError::Setup(reason)) => {
                return Err(ModuleError::Io {
                    path: tool.path,
                    source: io::Error::other(reason),
                });
            }
        };
        if ran.end == End::Cancelled {
            return Err(ModuleError::Cancelled);
        }
        cx.check_cancelled()?;
        let version = tool.version.map(|version| version.to_string());
        Ok(self.read(&ran, &workspace, &room, version))
    }
}

impl Command {
    fn config(&self, given: &Value) -> Result<Map<String, Value>, ModuleError> {
        let given = match given {
            Value::Object(map) => map.clone(),
            Value::Null => Map::new(),
            _ => return Err(self.wrong_config(".", "must be a mapping".to_owned())),
        };
        self.manifest
            .resolve_config(given)
            .map_err(|errors| match errors.first() {
                Some(error) => self.wrong_config(&error.field, error.message.clone()),
                None => self.wrong_config(".", "is not valid".to_owned()),
            })
    }

    fn wrong_config(&self, field: &str, message: String) -> ModuleError {
        ModuleError::Config {
            module: self.metadata.name.clone(),
            field: field.to_owned(),
            message,
        }
    }

    fn job(
        &self,
        program: &Path,
        workspace: &Path,
        room: &Room,
        config: Map<String, Value>,
    ) -> Result<Job, ModuleError> {
        let mut scope = Scope::default();
        scope
            .set("config", Value::Object(config))
            .set("workspace", json!(workspace.to_string_lossy()))
            .set("out", json!(room.out().to_string_lossy()))
            .set("files", json!(room.files().to_string_lossy()));
        let mut args = Vec::new();
        for (n, arg) in self.spec.args.iter().enumerate() {
            let value = template::render(&json!(arg), &scope)
                .map_err(|error| self.wrong_config(&format!("args[{n}]"), error.to_string()))?;
            words(value, &mut args);
        }
        let mut env: BTreeMap<String, String> = self.defaults.env.clone();
        for (name, text) in &self.spec.env {
            let value = template::render(&json!(text), &scope)
                .map_err(|error| self.wrong_config(&format!("env.{name}"), error.to_string()))?;
            let mut parts = Vec::new();
            words(value, &mut parts);
            env.insert(name.clone(), parts.join(" "));
        }
        env.entry("PATH".to_owned())
            .or_insert_with(|| self.host.search.path_for(program));
        env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
        env.insert("HOME".to_owned(), room.home().to_string_lossy().into_owned());
        env.insert("TMPDIR".to_owned(), room.home().to_string_lossy().into_owned());
        let mut readable = vec![workspace.to_owned(), room.files()];
        readable.extend(self.host.search.tools.clone().filter(|tools| tools.is_dir()));
        readable.extend(roots(program));
        Ok(Job {
            program: program.to_owned(),
            args,
            env,
            dir: workspace.to_owned(),
            readable,
            // A shared workspace was made read-only when it was laid out; one of the step's own may be written to.
            writable: [room.out(), room.home()]
                .into_iter()
                .chain(is_writable(workspace).then(|| workspace.to_owned()))
                .collect(),
            scratch: room.home(),
            network: self.spec.network,
            bounds: bounds(&self.spec.limits.or(&self.defaults.limits)),
        })
    }

    fn read(&self, ran: &Ran, workspace: &Path, room: &Room, version: Option<String>) -> Output {
        let mut reasons = Vec::new();
        self.judge_end(ran, &mut reasons);
        self.find_gaps(ran, room, &mut reasons);
        let mut report = ModuleReport::new(&self.metadata.name, &self.metadata.version);
        let mut collector = Collector::new(&self.spec, &self.metadata.name, Places::new(workspace));
        let text = source(&self.spec.output.from, ran, room);
        // A program that was stopped may have left half a document: what there is counts, and the end is said already.
        match text.and_then(|text| self.parser.parse(&text)) {
            Ok(parsed) => collector.add(parsed, &mut reasons),
            Err(error) => reasons.push(format!(
                "the output of {} cannot be read: {error}",
                self.spec.tool.program
            )),
        }
        collector.finish(&mut report);
        let artifacts = self.artifacts(room, &mut reasons);
        let mut summary = Map::new();
        summary.insert("findings".to_owned(), json!(report.findings.len()));
        summary.insert("tool".to_owned(), json!(self.spec.tool.program));
        summary.insert("tool_version".to_owned(), json!(version));
        summary.insert("sandbox".to_owned(), json!(ran.sandbox));
        note(&mut report, reasons);
        Output {
            report,
            summary,
            artifacts,
        }
    }

    fn judge_end(&self, ran: &Ran, reasons: &mut Vec<String>) {
        let program = &self.spec.tool.program;
        // First, because a limit is often why a program ended as it did, and the first reason is the one that is shown.
        for limit in &ran.felt {
            reasons.push(format!("{program} came up against its limit of {limit}"));
        }
        match &ran.end {
            End::Exited(code) => match self.spec.inconclusive_exit_codes.get(code) {
                Some(meaning) => reasons.push(format!("{program} ended with code {code}: {meaning}")),
                None if self.spec.exit_codes.contains(code) => {}
                None => reasons.push(format!("{program} ended with code {code}{}", last_words(ran))),
            },
            End::Signaled(signal) => {
                reasons.push(format!("{program} was killed by signal {signal}{}", last_words(ran)))
            }
            End::Limited(limit) => reasons.push(format!("{program} was stopped: its limit of {limit} was reached")),
            End::Cancelled => {}
        }
    }

    fn find_gaps(&self, ran: &Ran, room: &Room, reasons: &mut Vec<String>) {
        for (from, pattern) in &self.gaps {
            let Ok(text) = source(from, ran, room) else { continue };
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().filter(|line| pattern.is_match(line)).collect();
            let named = lines.iter().take(MAX_GAPS);
            reasons.extend(named.map(|line| format!("{} said: {}", self.spec.tool.program, quote(line))));
            if lines.len() > MAX_GAPS {
                reasons.push(format!("and {} lines like these", lines.len() - MAX_GAPS));
            }
        }
    }

    fn artifacts(&self, room: &Room, reasons: &mut Vec<String>) -> Vec<Artifact> {
        let mut kept: Vec<Artifact> = Vec::new();
        for spec in &self.spec.artifacts {
            for path in room.matching(spec) {
                let name = path
                    .strip_prefix(room.out())
                    .map(|p| p.to_string_lossy().into_owned())
                    .unwrap_or_default();
                if kept.iter().any(|artifact| artifact.name == name) {
                    continue;
                }
                match read_file(&path) {
                    Ok(bytes) => kept.push(Artifact {
                        name,
                        media_type: spec.media_type.clone(),
                        bytes,
                    }),
                    Err(error) => reasons.push(format!("the artifact `{name}` was not kept: {error}")),
                }
            }
        }
        kept
    }

    /// A report that says why there is nothing in it.
    fn could_not_look(&self, reason: String) -> Output {
        let mut report = ModuleReport::new(&self.metadata.name, &self.metadata.version);
        note(&mut report, vec![reason]);
        let mut summary = Map::new();
        summary.insert("findings".to_owned(), json!(0));
        Output {
            report,
            summary,
            artifacts: Vec::new(),
        }
    }
}

fn bounds(limits: &ProcessLimits) -> Bounds {
    let time = limits.time.map_or(TIME, |span| span.duration());
    Bounds {
        time,
        cpu: limits
            .cpu
            .map_or_else(|| time.saturating_mul(CPU_PER_SECOND), |span| span.duration()),
        memory: limits.memory.unwrap_or(MEMORY),
        processes: limits.processes.unwrap_or(PROCESSES),
        output: limits.output.unwrap_or(OUTPUT),
        files: limits.files.unwrap_or(FILES),
        file_size: limits.file_size.unwrap_or(FILE_SIZE),
        disk: limits.disk.unwrap_or(DISK),
    }
}

/// Makes the report inconclusive if there is a reason.
fn note(report: &mut ModuleReport, mut reasons: Vec<String>) {
    reasons.dedup();
    let doubts = reasons.into_iter().map(|message| Notification {
        level: NotificationLevel::Error,
        message,
        path: None,
    });
    doubts::tell(report, doubts.collect());
}

/// What a program and its interpreter need of the folders they are installed in, outside of the system's: `.../bin/tool`
/// needs `.../bin` and `.../lib`, and a Python environment's interpreter is a link to one that lies elsewhere. Never the
/// whole of `...`: it may be somebody's home.
fn roots(program: &Path) -> Vec<PathBuf> {
    const PARTS: [&str; 6] = ["bin", "lib", "lib64", "libexec", "include", "pyvenv.cfg"];
    let mut roots: Vec<PathBuf> = Vec::new();
    let mut add = |path: PathBuf| {
        if !roots.contains(&path) && path.exists() {
            roots.push(path);
        }
    };
    for path in std::iter::once(program.to_owned()).chain(interpreter(program)) {
        for path in [path.canonicalize().ok(), Some(path)].into_iter().flatten() {
            if path.starts_with("/usr") || path.starts_with("/bin") {
                continue;
            }
            // A package of JavaScript finds its dependencies beside itself.
            if let Some(packages) = path.ancestors().find(|dir| dir.ends_with("node_modules")) {
                add(packages.to_owned());
            }
            let Some(folder) = path.parent() else { continue };
            match folder.parent().filter(|_| folder.ends_with("bin")) {
                Some(root) => PARTS.iter().for_each(|part| add(root.join(part))),
                None => add(path.clone()),
            }
        }
    }
    roots
}

/// What the first line of a script names.
fn interpreter(program: &Path) -> Option<PathBuf> {
    use io::BufRead;
    let mut line = Vec::new();
    let file = fs::File::open(program).ok()?;
    io::BufReader::new(io::Read::take(file, 256))
        .read_until(b'\n', &mut line)
        .ok()?;
    let line = std::str::from_utf8(&line).ok()?.strip_prefix("#!")?;
    let path = PathBuf::from(line.split_whitespace().next()?);
    path.is_absolute().then_some(path)
}

fn is_writable(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|metadata| !metadata.permissions().readonly())
}

/// A rendered argument: a list is several, null is none.
fn words(value: Value, out: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.into_iter().for_each(|item| words(item, out)),
        Value::String(text) => out.push(text),
        other => out.push(other.to_string()),
    }
}

fn source(from: &Source, ran: &Ran, room: &Room) -> Result<Vec<u8>, String> {
    match from {
        Source::Stdout => Ok(ran.stdout.clone()),
        Source::Stderr => Ok(ran.stderr.clone()),
        Source::File(name) => read_file(&room.out().join(name)).map_err(|error| format!("`{name}`: {error}")),
    }
}

/// What a program left: a regular file of bearable size. Links are not followed, they could lead anywhere.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("it is longer than {} MiB", MAX_FILE >> 20));
    }
    fs::read(path).map_err(|error| error.to_string())
}

fn last_words(ran: &Ran) -> String {
    let text = String::from_utf8_lossy(&ran.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!(": {}", quote(line))).unwrap_or_default()
}

fn quote(line: &str) -> String {
    let line: String = line.trim().chars().filter(|c| !c.is_control()).collect();
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

pub(super) fn unreadable(path: &Path, source: io::Error) -> ModuleError {
    ModuleError::Io {
        path: path.to_owned(),
        source,
    }
}
