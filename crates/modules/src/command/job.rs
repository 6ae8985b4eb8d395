//! The processes of one run: what each is called with, and what it may use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use helve_toolbox::command::{HomeSpec, Preparation, ProcessLimits, Replay};
use helve_toolbox::template::{self, Scope};
use serde_json::{Map, Value, json};

use super::room::Room;
use super::run::Command;
use super::runner::{Bounds, Job};
use crate::{Allowed, ModuleError, Place};

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
/// Longest time for running one file again where nothing is said of it.
const REPLAY: Duration = Duration::from_secs(60);

/// Everything that the processes of a run have in common.
pub(crate) struct Jobs<'a> {
    command: &'a Command,
    tool: &'a Path,
    workspace: &'a Path,
    room: &'a Room,
    allowed: &'a Allowed,
    scope: Scope,
    config: Map<String, Value>,
}

impl<'a> Jobs<'a> {
    pub(crate) fn new(
        command: &'a Command,
        tool: &'a Path,
        workspace: &'a Path,
        room: &'a Room,
        allowed: &'a Allowed,
        config: Map<String, Value>,
    ) -> Self {
        let mut jobs = Self {
            command,
            tool,
            workspace,
            room,
            allowed,
            scope: Scope::default(),
            config,
        };
        jobs.scope = jobs.scope();
        jobs
    }

    fn scope(&self) -> Scope {
        let homes = self.homes().map(|(variable, _, home)| {
            let home = home.map(|home| home.to_string_lossy().into_owned());
            (variable.to_owned(), json!(home))
        });
        let mut scope = Scope::default();
        scope
            .set("config", Value::Object(self.config.clone()))
            .set("workspace", json!(self.workspace.to_string_lossy()))
            .set("out", json!(self.room.out().to_string_lossy()))
            .set("files", json!(self.room.files().to_string_lossy()))
            .set("homes", Value::Object(homes.collect()));
        scope
    }

    /// The folders of the worker's owner that the tool asks for, with where they are.
    fn homes(&self) -> impl Iterator<Item = (&str, &HomeSpec, Option<PathBuf>)> {
        let tool = self.command.spec.tool.iter();
        tool.flat_map(|tool| &tool.homes)
            .map(|(variable, spec)| (variable.as_str(), spec, self.command.host.search.home(variable, spec)))
    }

    /// A command that comes first. The inner error says why there is none on this machine.
    pub(crate) fn before(&self, step: &Preparation) -> Result<Result<Job, String>, ModuleError> {
        let program = match &step.program {
            None => self.tool.to_owned(),
            Some(name) => match self.command.host.search.program(name) {
                Some(program) => program,
                None => return Ok(Err(format!("`{name}` is not installed"))),
            },
        };
        self.job(program, "before", &step.args, &self.scope).map(Ok)
    }

    /// The module's own command.
    pub(crate) fn main(&self) -> Result<Result<Job, String>, ModuleError> {
        match self.program(self.command.spec.run.as_deref()) {
            Ok(program) => self.job(program, "args", &self.command.spec.args, &self.scope).map(Ok),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// The same again for a file that it left.
    pub(crate) fn replay(&self, replay: &Replay, input: &Path) -> Result<Result<Job, String>, ModuleError> {
        let program = match self.program(replay.run.as_deref()) {
            Ok(program) => program,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut scope = self.scope();
        scope.set("input", json!(input.to_string_lossy()));
        let mut job = self.job(program, "replay.args", &replay.args, &scope)?;
        job.bounds.time = replay.time.map_or(REPLAY, |span| span.duration()).min(job.bounds.time);
        Ok(Ok(job))
    }

    /// The tool, or a program that was made.
    fn program(&self, made: Option<&str>) -> Result<PathBuf, String> {
        let Some(made) = made else {
            return Ok(self.tool.to_owned());
        };
        let path = self.room.out().join(made);
        // Not through a link: it would leave the folders of this run.
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(path),
            _ => Err(format!("`{made}` was not made")),
        }
    }

    fn job(&self, program: PathBuf, what: &str, args: &[String], scope: &Scope) -> Result<Job, ModuleError> {
        let command = self.command;
        let render = |text: &str, field: &dyn Fn() -> String| {
            let value = template::render(&json!(text), scope)
                .map_err(|error| command.wrong_config(&field(), error.to_string()))?;
            let mut rendered = Vec::new();
            words(value, &mut rendered);
            Ok::<_, ModuleError>(rendered)
        };
        let mut job = self.plain(program);
        for (n, arg) in args.iter().enumerate() {
            job.args.extend(render(arg, &|| format!("{what}[{n}]"))?);
        }
        for (n, text) in command.spec.reads.iter().enumerate() {
            let field = || format!("reads[{n}]");
            for path in render(text, &field)?.iter().filter(|path| !path.is_empty()) {
                let place = self.allowed.place(self.workspace, Path::new(path));
                let place = place.map_err(|refused| command.wrong_config(&field(), refused.to_string()))?;
                // The program may be told the path as it was written.
                if let Place::Machine(real) = place {
                    let written = self.workspace.join(path);
                    job.readable
                        .extend([written, real].into_iter().filter(|path| path.exists()));
                }
            }
        }
        for (name, text) in &command.spec.env {
            let value = render(text, &|| format!("env.{name}"))?.join(" ");
            job.env.insert(name.clone(), value);
        }
        self.keep_private(&mut job.env);
        Ok(job)
    }

    /// A program as this module's are started, with nothing that depends on its configuration.
    pub(crate) fn plain(&self, program: PathBuf) -> Job {
        let (command, room) = (self.command, self.room);
        let mut readable = vec![self.workspace.to_owned(), room.files()];
        let mut env: BTreeMap<String, String> = command.defaults.env.clone();
        let search = &command.host.search;
        for (variable, spec, home) in self.homes() {
            let Some(home) = home else { continue };
            let parts = spec.read.iter().map(|part| home.join(part));
            readable.extend(parts.filter(|path| path.exists()));
            env.insert(variable.to_owned(), home.to_string_lossy().into_owned());
        }
        env.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
        self.keep_private(&mut env);
        // A component is whole: it needs nothing of the machine.
        if command.spec.tool.is_some() {
            env.entry("PATH".to_owned())
                .or_insert_with(|| search.path_for(&program));
            readable.extend(search.tools.clone().filter(|tools| tools.is_dir()));
            readable.extend(roots(self.tool));
            if program != self.tool && !program.starts_with(room.out()) {
                readable.extend(roots(&program));
            }
        }
        // A shared workspace was made read-only when it was laid out; one of the step's own may be written to.
        let mut writable = vec![room.out(), room.home()];
        if is_writable(self.workspace) && !writable.iter().any(|path| path == self.workspace) {
            writable.push(self.workspace.to_owned());
        }
        Job {
            program,
            args: Vec::new(),
            env,
            dir: self.workspace.to_owned(),
            readable,
            writable,
            scratch: room.home(),
            network: command.spec.network,
            bounds: bounds(&command.spec.limits.or(&command.defaults.limits)),
        }
    }

    fn keep_private(&self, env: &mut BTreeMap<String, String>) {
        for variable in ["HOME", "TMPDIR"] {
            env.insert(variable.to_owned(), self.room.home().to_string_lossy().into_owned());
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
