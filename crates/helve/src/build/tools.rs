//! Programs that builds need: found, asked for their version, run.

use std::path::{Path, PathBuf};
use std::process::Command;

use helve_modules::command::{Search, look_for};
use helve_toolbox::vertical::{Tool, Vertical, shell_line};

use crate::errors::{Problem, Result};

/// The vertical that has the tools.
const VERTICAL: &str = "wasm";

/// Where programs come from.
pub(crate) struct Tools<'a> {
    pub(crate) search: Search,
    /// Where Helve installs its own.
    pub(crate) folder: PathBuf,
    pub(crate) vertical: Option<&'a Vertical>,
}

impl Tools<'_> {
    /// A tool of the vertical, in a version that will do.
    pub(super) fn get(&self, program: &str) -> Result<PathBuf> {
        let tool = self
            .vertical
            .and_then(|vertical| vertical.tools.iter().find(|tool| tool.program == program));
        let Some(tool) = tool else {
            let problem = Problem::new(format!("the vertical `{VERTICAL}` has no tool `{program}`"));
            return Err(problem.help("the toolbox shadows the built-in one; add the tool there"));
        };
        let found = look_for(&self.search, &tool.requirement());
        match found {
            Ok(found) => Ok(found.path),
            Err(missing) => {
                let problem = Problem::new(missing.to_string()).details(self.by_hand(tool));
                Err(problem.help(format!("`helve verticals install {VERTICAL}` installs it")))
            }
        }
    }

    /// The commands that would install it.
    fn by_hand(&self, tool: &Tool) -> Option<String> {
        let folder = self.folder.join(&tool.program);
        let commands = tool.own_recipe()?.commands(&folder.to_string_lossy());
        let lines: Vec<String> = commands.iter().map(|words| shell_line(words)).collect();
        Some(lines.join(" && "))
    }

    /// A program of the machine.
    pub(super) fn system(&self, program: &str, help: &str) -> Result<PathBuf> {
        let found = self.search.program(program);
        found.ok_or_else(|| Problem::new(format!("`{program}` is not installed")).help(help))
    }

    /// A command that finds the programs which the tool brings along.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", self.search.path_for(program));
        command
    }
}

/// Runs it; what it says is shown when it fails.
pub(super) fn run(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    let output = output.map_err(|error| Problem::new(format!("`{program}` cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [&output.stdout[..], &output.stderr[..]].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let lines: Vec<String> = said.iter().flat_map(|text| text.lines()).map(str::to_owned).collect();
    let (status, lines) = (output.status, last(lines));
    Err(Problem::new(format!("{what} was not built: `{program}` ended with {status}")).details(lines))
}

/// The end of what a program says is about the error.
fn last(mut lines: Vec<String>) -> Vec<String> {
    const SHOWN: usize = 40;
    lines.retain(|line| !line.trim().is_empty());
    lines.split_off(lines.len().saturating_sub(SHOWN))
}
