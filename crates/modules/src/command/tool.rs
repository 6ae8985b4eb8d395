//! Finding a program and asking for its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use helve_toolbox::Version;
use helve_toolbox::command::{HomeSpec, Probe, ToolRequirement};
use regex::Regex;

/// Longest time that a program may take to say its version: some load a virtual machine first.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// Where programs are looked up.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Helve's own tools: `<tools>/<program>/bin/<program>` and the like.
    pub tools: Option<PathBuf>,
    /// Further folders, such as those of `PATH`.
    pub path: Vec<PathBuf>,
    /// The home of the worker's owner.
    pub home: Option<PathBuf>,
}

/// A tool that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, if it was asked for.
    pub version: Option<Version>,
}

/// A tool that will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// It is not there.
    #[error("`{program}` is not installed")]
    Absent {
        /// The program.
        program: String,
    },
    /// It is there and does not tell its version.
    #[error("`{program}` does not tell its version: {reason}")]
    Silent {
        /// The program.
        program: String,
        /// What it did.
        reason: String,
    },
    /// It has another version than is needed.
    #[error("`{program}` {version} is {}: it must be {range}", judgement(.too_old))]
    Unfit {
        /// The program.
        program: String,
        /// What it is.
        version: Version,
        /// What it should be.
        range: String,
        /// Whether an update would help.
        too_old: bool,
    },
}

fn judgement(too_old: &bool) -> &'static str {
    if *too_old { "too old" } else { "not supported" }
}

impl Search {
    /// Helve's own tools first, then `PATH`.
    pub fn new(tools: Option<PathBuf>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            tools,
            path: std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect(),
            home: std::env::home_dir().filter(|home| home.is_absolute()),
        }
    }

    /// The program of a tool. Of a library, the interpreter that Helve installed it for, or any other: whether that one
    /// has the library is for the probe to say.
    pub fn tool(&self, tool: &ToolRequirement) -> Option<PathBuf> {
        let (Some(name), Some(tools)) = (&tool.name, &self.tools) else {
            return self.program(&tool.program);
        };
        let own = tools.join(name).join("bin").join(&tool.program);
        if is_program(&own) {
            return Some(own);
        }
        self.path
            .iter()
            .map(|dir| dir.join(&tool.program))
            .find(|path| is_program(path))
    }

    /// A folder of the worker's owner: where the environment says that it is, or where it usually is.
    pub(crate) fn home(&self, variable: &str, spec: &HomeSpec) -> Option<PathBuf> {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(self.home.as_ref()?.join(&spec.at)))
            .filter(|folder| folder.is_absolute() && folder.is_dir())
    }

    /// The program of that name.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        self.own(name)
            .into_iter()
            .chain(self.path.iter().cloned())
            .map(|dir| dir.join(name))
            .find(|path| is_program(path))
    }

    /// Folders of Helve's own tools in which the program may be: its own folder, then those of tools that bring it.
    fn own(&self, name: &str) -> Vec<PathBuf> {
        let Some(tools) = &self.tools else { return Vec::new() };
        let mut folders = vec![tools.join(name)];
        let others = fs::read_dir(tools).into_iter().flatten().flatten();
        let mut others: Vec<PathBuf> = others
            .map(|entry| entry.path())
            .filter(|path| *path != folders[0])
            .collect();
        others.sort();
        folders.extend(others);
        folders
            .iter()
            .flat_map(|folder| [folder.join("bin"), folder.join("node_modules/.bin")])
            .collect()
    }

    /// The value of `PATH` for a tool: its own folder first, for the programs that it brings along.
    pub fn path_for(&self, program: &Path) -> String {
        let own = program.parent().map(Path::to_owned);
        let system = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from);
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in own.into_iter().chain(self.path.iter().cloned()).chain(system) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        std::env::join_paths(dirs)
            .ok()
            .and_then(|path| path.into_string().ok())
            .unwrap_or_default()
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Looks a tool up, asks for its version, and compares. Blocking. The program runs as it is: what it is asked must be the
/// words of this machine's owner, such as those of a vertical.
pub fn look_for(search: &Search, tool: &ToolRequirement) -> Result<Found, Missing> {
    let path = search.tool(tool).ok_or_else(|| absent(tool))?;
    let asked = path.clone();
    judge(tool, path, |probe| {
        ask(&asked, &probe.args, search).map_err(|error| error.to_string())
    })
}

pub(super) fn absent(tool: &ToolRequirement) -> Missing {
    Missing::Absent {
        program: tool.name().to_owned(),
    }
}

/// Whether a program will do, by what it says when it is asked.
pub(super) fn judge(
    tool: &ToolRequirement,
    path: PathBuf,
    ask: impl FnOnce(&Probe) -> Result<String, String>,
) -> Result<Found, Missing> {
    let Some(probe) = &tool.probe else {
        return Ok(Found { path, version: None });
    };
    let silent = |reason: String| match &tool.name {
        // An interpreter is there; the library is not.
        Some(_) => absent(tool),
        None => Missing::Silent {
            program: tool.program.clone(),
            reason,
        },
    };
    let said = ask(probe).map_err(silent)?;
    let regex = Regex::new(&probe.pattern).map_err(|error| silent(error.to_string()))?;
    let version = regex
        .captures(&said)
        .and_then(|groups| groups.get(1))
        .and_then(|group| group.as_str().parse::<Version>().ok())
        .ok_or_else(|| {
            let first: String = said
                .trim()
                .lines()
                .next()
                .unwrap_or("nothing")
                .chars()
                .take(100)
                .collect();
            silent(format!("it said `{first}`"))
        })?;
    if let Some(range) = tool.version.as_ref().filter(|range| !range.matches(&version)) {
        return Err(Missing::Unfit {
            program: tool.name().to_owned(),
            too_old: range.is_above(&version),
            version,
            range: range.to_string(),
        });
    }
    Ok(Found {
        path,
        version: Some(version),
    })
}

/// Everything that a program prints on both streams.
fn ask(program: &Path, args: &[String], search: &Search) -> io::Result<String> {
    let mut log = tempfile::tempfile()?;
    let mut child = Command::new(program)
        .args(args)
        .env("PATH", search.path_for(program))
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        .spawn()?;
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!(
                "it took longer than {} s",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(LOOK);
    }
    use io::{Read, Seek};
    log.rewind()?;
    let mut said = Vec::new();
    log.take(1 << 20).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
