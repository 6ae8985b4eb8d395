//! `helve verticals`: what tools there are, what is missing, and how to get it.

use std::path::{Path, PathBuf};
use std::process::Command;

use helve_modules::command::{Found, Missing, Search, look_for};
use helve_toolbox::vertical::{Installer, Tool, Vertical, shell_line};
use serde_json::{Value, json};

use super::catalog::{self, not_found};
use crate::app::App;
use crate::cli::{VerticalsArgs, VerticalsVerb};
use crate::errors::{FAILED, Problem, Result};
use crate::render::verticals as render;
use crate::terminal::{Style, eprint_line, print, print_json};

/// `helve verticals`.
pub(crate) async fn verticals(app: &App, args: VerticalsArgs) -> Result<u8> {
    match (args.verb, &args.named.name) {
        (Some(VerticalsVerb::Doctor { name }), _) => doctor(app, name.as_deref()),
        (Some(VerticalsVerb::Install { name, all, dry_run }), _) => install(app, &name, all, dry_run),
        (None, Some(name)) if args.dockerfile => dockerfile(app, name),
        (None, _) => catalog::verticals(app, &args.named).await,
    }
}

fn dockerfile(app: &App, name: &str) -> Result<u8> {
    let vertical = app.toolbox.vertical(name).map_err(not_found)?;
    match app.global.json {
        true => print_json(&json!({"vertical": name, "dockerfile": vertical.dockerfile()})),
        false => print(&vertical.dockerfile()),
    }
    Ok(0)
}

/// One tool as this machine has it.
pub(crate) struct Examined<'a> {
    pub(crate) vertical: &'a str,
    pub(crate) tool: &'a Tool,
    pub(crate) state: std::result::Result<Found, Missing>,
    /// Commands that would fix it, the preferred ones first.
    pub(crate) fixes: Vec<String>,
}

impl Examined<'_> {
    /// `present`, `missing`, `too old`, `unfit`.
    pub(crate) fn word(&self) -> &'static str {
        match &self.state {
            Ok(_) => "present",
            Err(Missing::Absent { .. }) => "missing",
            Err(Missing::Unfit { too_old: true, .. }) => "too old",
            Err(Missing::Unfit { .. } | Missing::Silent { .. }) => "unfit",
        }
    }

    pub(crate) fn version(&self) -> Option<String> {
        match &self.state {
            Ok(found) => found.version.as_ref().map(ToString::to_string),
            Err(Missing::Unfit { version, .. }) => Some(version.to_string()),
            Err(_) => None,
        }
    }

    /// Why it will not do.
    pub(crate) fn reason(&self) -> String {
        self.state.as_ref().err().map(ToString::to_string).unwrap_or_default()
    }

    pub(crate) fn is_needed(&self) -> bool {
        self.state.is_err() && !self.tool.optional
    }

    fn to_json(&self) -> Value {
        json!({
            "vertical": self.vertical,
            "tool": self.tool.name(),
            "program": self.tool.program,
            "state": self.word(),
            "version": self.version(),
            "wanted": self.tool.version,
            "optional": self.tool.optional,
            "path": self.state.as_ref().ok().map(|found| &found.path),
            "reason": self.state.as_ref().err().map(ToString::to_string),
            "fixes": self.fixes,
        })
    }
}

pub(crate) fn examine<'a>(vertical: &'a Vertical, search: &Search, tools: &Path) -> Vec<Examined<'a>> {
    // Some tools load a virtual machine to say their version: they are asked all at once.
    std::thread::scope(|scope| {
        let asked: Vec<_> = vertical
            .tools
            .iter()
            .map(|tool| scope.spawn(move || look_for(search, &tool.requirement())))
            .collect();
        let answers = vertical.tools.iter().zip(asked);
        answers
            .map(|(tool, answer)| {
                let state = answer.join().unwrap_or_else(|_| {
                    Err(Missing::Silent {
                        program: tool.name().to_owned(),
                        reason: "asking for it failed".to_owned(),
                    })
                });
                Examined {
                    vertical: &vertical.name,
                    fixes: if state.is_ok() { Vec::new() } else { fixes(tool, tools) },
                    tool,
                    state,
                }
            })
            .collect()
    })
}

fn fixes(tool: &Tool, tools: &Path) -> Vec<String> {
    let folder = tools.join(tool.name()).to_string_lossy().into_owned();
    tool.install
        .iter()
        .map(|recipe| match recipe.with {
            Installer::Manual => recipe.packages.join(" "),
            _ => {
                let commands: Vec<String> = recipe.commands(&folder).iter().map(|words| shell_line(words)).collect();
                commands.join(" && ")
            }
        })
        .collect()
}

fn doctor(app: &App, name: Option<&str>) -> Result<u8> {
    let data = app.data_dir()?;
    let (search, tools) = (app.search(&data)?, app.tools_dir(&data)?);
    let verticals: Vec<&Vertical> = match name {
        Some(name) => vec![app.toolbox.vertical(name).map_err(not_found)?],
        None => app.toolbox.verticals().collect(),
    };
    let examined: Vec<Examined<'_>> = verticals.iter().flat_map(|v| examine(v, &search, &tools)).collect();
    match app.global.json {
        true => print_json(&Value::Array(examined.iter().map(Examined::to_json).collect())),
        false => print(&render::doctor(&examined, Style::stdout())),
    }
    let needed = examined.iter().any(Examined::is_needed);
    Ok(if needed && name.is_some() { FAILED } else { 0 })
}

fn install(app: &App, name: &str, all: bool, dry_run: bool) -> Result<u8> {
    let vertical = app.toolbox.vertical(name).map_err(not_found)?;
    let data = app.data_dir()?;
    let (search, tools) = (app.search(&data)?, app.tools_dir(&data)?);
    let wanted = examine(vertical, &search, &tools).into_iter();
    let wanted: Vec<_> = wanted
        .filter(|tool| tool.state.is_err() && (all || !tool.tool.optional))
        .collect();
    let json = app.global.json;
    if wanted.is_empty() {
        match json {
            true => print_json(&json!({"vertical": name, "installed": []})),
            false => eprint_line(&format!("every tool that `{name}` needs is there")),
        }
        return Ok(0);
    }
    let (mut by_hand, mut installed, mut planned) = (Vec::new(), Vec::new(), Vec::new());
    for examined in &wanted {
        let tool = examined.tool;
        let Some(recipe) = tool.own_recipe() else {
            by_hand.push((tool.name().to_owned(), examined.fixes.join("  or  ")));
            continue;
        };
        let folder = tools.join(tool.name());
        let commands = recipe.commands(&folder.to_string_lossy());
        if dry_run {
            planned.extend(commands.iter().map(|words| shell_line(words)));
            continue;
        }
        follow(tool.name(), &folder, &commands, json)?;
        match look_for(&search, &tool.requirement()) {
            Ok(found) => {
                eprint_line(&format!("installed {}", found.path.display()));
                installed.push(json!({"tool": tool.name(), "path": found.path}));
            }
            Err(missing) => {
                return Err(
                    Problem::new(format!("what was installed for `{}` will not do", tool.name()))
                        .detail(missing.to_string()),
                );
            }
        }
    }
    match (json, dry_run) {
        (true, true) => print_json(&json!({"vertical": name, "commands": planned})),
        (true, false) => print_json(&json!({"vertical": name, "installed": installed})),
        (false, _) => planned.iter().for_each(|command| print(&format!("{command}\n"))),
    }
    if by_hand.is_empty() {
        return Ok(0);
    }
    Err(
        Problem::new("some tools can only be installed for the whole system, which Helve leaves to you")
            .details(by_hand.into_iter().map(|(program, fix)| format!("{program}: {fix}"))),
    )
}

/// Runs the commands. What failed half-way is removed: a folder that is there means a tool that is there.
fn follow(program: &str, folder: &PathBuf, commands: &[Vec<String>], json: bool) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(|error| Problem::io("create", parent, &error))?;
    for words in commands {
        eprint_line(&shell_line(words));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if json {
            // Standard output is for one document.
            command.stdout(std::io::stderr());
        }
        let status = command.status();
        let failed = match status {
            Ok(status) if status.success() => continue,
            Ok(status) => format!("`{}` ended with {status}", words[0]),
            Err(error) => format!("`{}` cannot be started: {error}", words[0]),
        };
        let _ = std::fs::remove_dir_all(folder);
        return Err(Problem::new(format!("`{program}` was not installed: {failed}")));
    }
    Ok(())
}
