//! One run of a command: tool, processes, output, report.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use helve_findings::{ModuleReport, Notification, NotificationLevel};
use helve_toolbox::command::{COMPONENT, CommandSpec, GapSpec, Replay, Source, ToolRequirement};
use helve_toolbox::{Bundle, ModuleManifest};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::collect::Collector;
use super::facts::{Fact, Spoken};
use super::job::Jobs;
use super::parse::{Parsed, Parser};
use super::place::Places;
use super::room::Room;
use super::runner::{End, Job, Ran};
use super::tool::{Found, Missing, PATIENCE, judge};
use super::{Defaults, Host};
use crate::{Artifact, Context, Metadata, Module, ModuleError, Output, Progress, doubts};

/// Longest file that is read or kept.
const MAX_FILE: u64 = 256 << 20;
/// Files kept for one pattern.
const MAX_ARTIFACTS: usize = 50;
/// Files that are run again.
const MAX_REPLAYED: usize = 100;
/// How much of what a program said goes into a reason.
const QUOTED: usize = 300;
/// Lines that name a gap in the notifications; the rest is counted.
const MAX_GAPS: usize = 20;

/// A loaded module that runs a program.
pub(crate) struct Command {
    pub(crate) metadata: Metadata,
    pub(crate) manifest: ModuleManifest,
    pub(crate) spec: CommandSpec,
    pub(crate) bundle: Bundle,
    pub(crate) defaults: Defaults,
    pub(crate) parser: Parser,
    pub(crate) gaps: Vec<(Source, Regex)>,
    pub(crate) facts: BTreeMap<String, Fact>,
    pub(crate) progress: Option<Spoken>,
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
        let tool = self.spec.tool.as_ref().map(|tool| self.tool(cx, tool)).transpose()?;
        let tool = match tool.transpose() {
            Ok(tool) => tool,
            Err(missing) => {
                let advice = format!("{missing}; `helve verticals doctor` says how to get it");
                return Ok(self.could_not_look(advice));
            }
        };
        // A link in the way to the workspace would make the tool's paths differ from ours.
        let workspace = cx.workspace.canonicalize().map_err(|e| unreadable(cx.workspace, e))?;
        let room = Room::new(&self.host.scratch, &self.bundle)?;
        let (program, version) = match tool {
            Some(tool) => (tool.path, tool.version.map(|version| version.to_string())),
            None => (room.files().join(COMPONENT), Some(self.metadata.version.clone())),
        };
        let jobs = Jobs::new(self, &program, &workspace, &room, cx.allowed, config);
        for step in &self.spec.before {
            let ran = match self.launch(cx, &room, jobs.before(step)?)? {
                Ok(ran) => ran,
                Err(reason) => return Ok(self.could_not_look(format!("{}: {reason}", step.failure))),
            };
            if ran.end != End::Exited(0) {
                return Ok(self.could_not_look(format!("{}{}", step.failure, why_it_failed(&ran))));
            }
        }
        let ran = match self.launch(cx, &room, jobs.main()?)? {
            Ok(ran) => ran,
            Err(reason) => return Ok(self.could_not_look(reason)),
        };
        let mut reasons = Vec::new();
        let replayed = match &self.spec.replay {
            None => None,
            Some(replay) => Some(self.replay(cx, &room, &jobs, replay, &mut reasons)?),
        };
        cx.check_cancelled()?;
        Ok(self.read(&ran, replayed, reasons, &workspace, &room, version))
    }
}

/// What the replay of one file printed.
struct Replayed {
    /// The file's name in `out`.
    input: String,
    text: Vec<u8>,
}

impl Command {
    /// The tool, if it is there and fit. The module says what it is asked, and may come from elsewhere: it is asked where the
    /// tool would run, behind the same walls.
    fn tool(&self, cx: &Context<'_>, tool: &ToolRequirement) -> Result<Result<Found, Missing>, ModuleError> {
        self.host.tool(tool, |path| {
            let mut failed = None;
            let found = judge(tool, path.to_owned(), |probe| {
                self.ask(cx, path, &probe.args).unwrap_or_else(|error| {
                    failed = Some(error);
                    Err(String::new())
                })
            });
            match failed {
                Some(error) => Err(error),
                None => Ok(found),
            }
        })
    }

    /// What a program says, with nothing to look at.
    fn ask(&self, cx: &Context<'_>, program: &Path, args: &[String]) -> Result<Result<String, String>, ModuleError> {
        let room = Room::new(&self.host.scratch, &Bundle::default())?;
        let nothing = room.home();
        let jobs = Jobs::new(self, program, &nothing, &room, cx.allowed, Map::new());
        let mut job = jobs.plain(program.to_owned());
        job.args = args.to_vec();
        job.network = false;
        job.bounds.time = PATIENCE.min(job.bounds.time);
        Ok(match self.launch(cx, &room, Ok(job))? {
            Ok(Ran {
                end: End::Limited(limit),
                ..
            }) => Err(format!("its limit of {limit} was reached")),
            Ok(ran) => {
                let said = [ran.stdout, ran.stderr].concat();
                Ok(String::from_utf8_lossy(&said).into_owned())
            }
            Err(reason) => Err(reason),
        })
    }

    /// Runs a program to its end. The inner error says why it could not be run on this machine.
    fn launch(
        &self,
        cx: &Context<'_>,
        room: &Room,
        job: Result<Job, String>,
    ) -> Result<Result<Ran, String>, ModuleError> {
        let job = match job {
            Ok(job) => job,
            Err(reason) => return Ok(Err(reason)),
        };
        let name = job
            .program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let spoken = self.progress.as_ref().map(|progress| (progress, Cell::default()));
        let tick = |took: Duration| {
            let more = spoken
                .as_ref()
                .and_then(|(progress, last)| progress.look(room, took, last))
                .map(|said| format!(": {said}"));
            (cx.progress)(Progress {
                done: took.as_secs(),
                total: None,
                unit: "s",
                message: Some(format!("{name} is running{}", more.unwrap_or_default())),
            });
        };
        let runner = match self.spec.tool {
            Some(_) => Some(&self.host.runner),
            None => self.host.components.as_ref(),
        };
        let Some(runner) = runner else {
            return Ok(Err("this worker runs no components".to_owned()));
        };
        match runner.run(&job, cx.cancelled, &tick) {
            Ok(ran) if ran.end == End::Cancelled => Err(ModuleError::Cancelled),
            Ok(ran) => Ok(Ok(ran)),
            Err(error @ super::RunError::Execute { .. }) => Ok(Err(error.to_string())),
            Err(super::RunError::Setup(reason)) => Err(ModuleError::Io {
                path: job.program,
                source: io::Error::other(reason),
            }),
        }
    }

    /// Runs the program again for each file that it left. A file that shows nothing then is a doubt.
    fn replay(
        &self,
        cx: &Context<'_>,
        room: &Room,
        jobs: &Jobs<'_>,
        replay: &Replay,
        reasons: &mut Vec<String>,
    ) -> Result<Vec<Replayed>, ModuleError> {
        let files = room.matching(&replay.each);
        if files.len() > MAX_REPLAYED {
            reasons.push(format!(
                "{} files match `{}`: the first {MAX_REPLAYED} were run again",
                files.len(),
                replay.each
            ));
        }
        let mut replayed = Vec::new();
        for path in files.into_iter().take(MAX_REPLAYED) {
            let input = room.name(&path);
            match self.launch(cx, room, jobs.replay(replay, &path)?)? {
                Ok(ran) => match source(&self.spec.output.from, &ran, room) {
                    Ok(text) => replayed.push(Replayed { input, text }),
                    Err(error) => reasons.push(format!("running `{input}` again left no output: {error}")),
                },
                Err(reason) => reasons.push(format!("`{input}` could not be run again: {reason}")),
            }
        }
        Ok(replayed)
    }

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

    pub(super) fn wrong_config(&self, field: &str, message: String) -> ModuleError {
        ModuleError::Config {
            module: self.metadata.name.clone(),
            field: field.to_owned(),
            message,
        }
    }

    fn read(
        &self,
        ran: &Ran,
        replayed: Option<Vec<Replayed>>,
        doubts: Vec<String>,
        workspace: &Path,
        room: &Room,
        version: Option<String>,
    ) -> Output {
        let mut reasons = Vec::new();
        self.judge_end(ran, &mut reasons);
        self.find_gaps(ran, room, &mut reasons);
        reasons.extend(doubts);
        let mut report = ModuleReport::new(&self.metadata.name, &self.metadata.version);
        let mut collector = Collector::new(&self.spec, &self.metadata.name, Places::new(workspace));
        match replayed {
            // A program that was stopped may have left half a document: what there is counts, and the end is said already.
            None => match source(&self.spec.output.from, ran, room).and_then(|text| self.parse(&text, ran)) {
                Ok(mut parsed) => {
                    for input in parsed.findings.iter_mut().flat_map(|finding| &mut finding.inputs) {
                        *input = room.name(Path::new(&*input));
                    }
                    collector.add(parsed, &mut reasons);
                }
                Err(error) => reasons.push(format!("the output of {} cannot be read: {error}", self.spec.program())),
            },
            Some(replayed) => {
                for Replayed { input, text } in replayed {
                    match self.parser.parse(&text) {
                        Ok(parsed) if parsed.findings.is_empty() => {
                            reasons.push(format!("`{input}` shows nothing when it is run again"));
                        }
                        Ok(mut parsed) => {
                            parsed
                                .findings
                                .iter_mut()
                                .for_each(|finding| finding.inputs = vec![input.clone()]);
                            collector.add(parsed, &mut reasons);
                        }
                        Err(error) => reasons.push(format!("what `{input}` shows cannot be read: {error}")),
                    }
                }
            }
        }
        collector.finish(&mut report);
        let artifacts = self.artifacts(room, &mut reasons);
        let mut summary = Map::new();
        for (name, fact) in &self.facts {
            match fact.find(source(&fact.from, ran, room).ok().as_deref()) {
                Some(value) => summary.insert(name.clone(), value),
                None => {
                    reasons.extend(fact.missing.clone());
                    None
                }
            };
        }
        summary.insert("findings".to_owned(), json!(report.findings.len()));
        summary.insert("tool".to_owned(), json!(self.spec.program()));
        summary.insert("tool_version".to_owned(), json!(version));
        summary.insert("sandbox".to_owned(), json!(ran.sandbox));
        note(&mut report, reasons);
        Output {
            report,
            summary,
            artifacts,
        }
    }

    /// What a program wrote. Of one that wrote nothing where something had to be, what it said instead.
    fn parse(&self, text: &[u8], ran: &Ran) -> Result<Parsed, String> {
        self.parser.parse(text).map_err(|error| match text.trim_ascii() {
            [] => format!("there is none{}", why_it_failed(ran)),
            _ => error,
        })
    }

    fn judge_end(&self, ran: &Ran, reasons: &mut Vec<String>) {
        let program = self.spec.program();
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
            End::Trapped(reason) => reasons.push(format!("{program} trapped: {reason}{}", last_words(ran))),
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
            reasons.extend(named.map(|line| format!("{} said: {}", self.spec.program(), quote(line))));
            if lines.len() > MAX_GAPS {
                reasons.push(format!("and {} lines like these", lines.len() - MAX_GAPS));
            }
        }
    }

    fn artifacts(&self, room: &Room, reasons: &mut Vec<String>) -> Vec<Artifact> {
        let mut kept: Vec<Artifact> = Vec::new();
        for spec in &self.spec.artifacts {
            for path in room.matching(&spec.file).into_iter().take(MAX_ARTIFACTS) {
                let name = room.name(&path);
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

pub(super) fn source(from: &Source, ran: &Ran, room: &Room) -> Result<Vec<u8>, String> {
    match from {
        Source::Stdout => Ok(ran.stdout.clone()),
        Source::Stderr => Ok(ran.stderr.clone()),
        Source::File(name) => read_file(&room.out().join(name)).map_err(|error| format!("`{name}`: {error}")),
    }
}

/// What a program left: a regular file of bearable size. Links are not followed, they could lead anywhere.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("it is longer than {} MiB", MAX_FILE >> 20));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// How a command that had to succeed ended, for people.
fn why_it_failed(ran: &Ran) -> String {
    match &ran.end {
        End::Limited(limit) => format!(": its limit of {limit} was reached"),
        End::Signaled(signal) => format!(": it was killed by signal {signal}"),
        End::Trapped(reason) => format!(": it trapped: {reason}"),
        End::Exited(_) | End::Cancelled => {
            let text = String::from_utf8_lossy(&ran.stderr);
            let error = text.lines().find(|line| line.contains("error"));
            error
                .map(|line| format!(": {}", quote(line)))
                .unwrap_or_else(|| last_words(ran))
        }
    }
}

fn last_words(ran: &Ran) -> String {
    let text = String::from_utf8_lossy(&ran.stderr);
    // What Rust adds to a panic says nothing of this one.
    let says_something = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with `RUST_BACKTRACE=");
    let last = text.lines().rev().find(says_something);
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
