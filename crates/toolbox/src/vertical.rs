//! A vertical: a family of tools that a worker carries, how to tell that they are there, and how to get them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::command::{Probe, ProcessLimits, ToolRequirement};
use crate::version::VersionRange;

/// `vertical.yaml`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vertical {
    /// Name; also the folder, and part of the task queue of its workers.
    pub name: String,
    /// Version, for people.
    pub version: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// Which of its tools Helve's own tests run; empty when none.
    pub tested: Vec<String>,
    /// What a reader should know, such as what is not tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// Environment variables that its tools get.
    pub environment: BTreeMap<String, String>,
    /// Bounds of its processes where a module sets none.
    pub limits: ProcessLimits,
    /// Base image of [`Vertical::dockerfile`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where it comes from, for people.
    pub origin: String,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tool {
    /// What it is called where that is not its program's name: a library that an interpreter runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the program.
    pub program: String,
    /// What it is used for.
    pub purpose: String,
    /// How to ask for its version.
    pub probe: Probe,
    /// Versions that will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
    /// Whether the vertical is useful without it.
    pub optional: bool,
    /// The ways to get it, the preferred one first.
    pub install: Vec<Recipe>,
}

/// A way to get a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// Who installs it.
    pub with: Installer,
    /// Packages, with version constraints as the installer writes them. For [`Installer::Manual`] the instructions.
    pub packages: Vec<String>,
}

/// Who installs a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Installer {
    /// Debian's package manager: for the whole system, so it needs root and Helve only names the command.
    Apt,
    /// Python packages, each tool in a virtual environment of its own.
    Pip,
    /// JavaScript packages, in a folder of their own.
    Npm,
    /// Rust programs, built from source.
    Cargo,
    /// By hand.
    Manual,
}

impl Installer {
    /// All, by the key that names them in `vertical.yaml`.
    pub const ALL: [(&'static str, Self); 5] = [
        ("apt", Self::Apt),
        ("pip", Self::Pip),
        ("npm", Self::Npm),
        ("cargo", Self::Cargo),
        ("manual", Self::Manual),
    ];
}

/// A command that installs something: program and arguments.
pub type InstallCommand = Vec<String>;

impl Tool {
    /// What it is called: in messages, and as a folder of Helve's own tools.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.program)
    }

    /// What a module that needs it would ask for.
    pub fn requirement(&self) -> ToolRequirement {
        ToolRequirement {
            name: self.name.clone(),
            program: self.program.clone(),
            probe: Some(self.probe.clone()),
            version: self.version.clone(),
            homes: BTreeMap::new(),
        }
    }

    /// The recipe that can be followed without root, into a folder of Helve's own.
    pub fn own_recipe(&self) -> Option<&Recipe> {
        self.install
            .iter()
            .find(|recipe| matches!(recipe.with, Installer::Pip | Installer::Npm | Installer::Cargo))
    }
}

impl Recipe {
    /// The commands that follow it. `folder` is where the tool goes, for installers that can be told.
    pub fn commands(&self, folder: &str) -> Vec<InstallCommand> {
        let line = |words: &[&str]| -> InstallCommand {
            let words = words.iter().map(|word| (*word).to_owned());
            words.chain(self.packages.iter().cloned()).collect()
        };
        match self.with {
            Installer::Apt => vec![line(&["apt-get", "install", "-y", "--no-install-recommends"])],
            Installer::Pip => vec![
                ["python3", "-m", "venv", folder].map(str::to_owned).to_vec(),
                line(&[
                    &format!("{folder}/bin/python"),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ]),
            ],
            Installer::Npm => vec![line(&["npm", "install", "--no-audit", "--no-fund", "--prefix", folder])],
            Installer::Cargo => vec![line(&["cargo", "install", "--locked", "--root", folder])],
            Installer::Manual => Vec::new(),
        }
    }
}

impl Vertical {
    /// A Dockerfile for workers of this vertical: Helve's binary, copied in from the build context, and the tools.
    pub fn dockerfile(&self) -> String {
        let mut text = format!(
            "# Workers of the vertical `{}`; made by `helve verticals {} --dockerfile`.\nFROM {}\n",
            self.name,
            self.name,
            self.image.as_deref().unwrap_or("debian:bookworm-slim")
        );
        let of = |with: Installer| {
            let recipes = self.tools.iter().filter_map(move |tool| {
                let first = tool.install.first()?;
                (first.with == with).then_some((tool, first))
            });
            recipes.collect::<Vec<_>>()
        };
        let mut apt: Vec<&str> = of(Installer::Apt)
            .iter()
            .flat_map(|(_, r)| r.packages.iter().map(String::as_str))
            .collect();
        let needs: [(Installer, &[&str]); 3] = [
            (Installer::Pip, &["python3", "python3-venv"]),
            (Installer::Npm, &["npm"]),
            (Installer::Cargo, &["build-essential", "cargo"]),
        ];
        for (installer, packages) in needs {
            if !of(installer).is_empty() {
                apt.extend(packages);
            }
        }
        apt.sort_unstable();
        apt.dedup();
        if !apt.is_empty() {
            text.push_str(&format!(
                "RUN apt-get update \\\n && apt-get install -y --no-install-recommends {} \\\n && rm -rf /var/lib/apt/lists/*\n",
                apt.join(" ")
            ));
        }
        for installer in [Installer::Pip, Installer::Npm, Installer::Cargo] {
            for (tool, recipe) in of(installer) {
                let folder = format!("/opt/helve/tools/{}", tool.name());
                let commands: Vec<String> = recipe.commands(&folder).iter().map(|words| shell_line(words)).collect();
                text.push_str(&format!("RUN {}\n", commands.join(" \\\n && ")));
            }
        }
        for (tool, recipe) in of(Installer::Manual) {
            text.push_str(&format!("# {}: {}\n", tool.name(), recipe.packages.join(" ")));
        }
        for (name, value) in &self.environment {
            text.push_str(&format!("ENV {name}={}\n", quoted(value)));
        }
        text.push_str("ENV HELVE_TOOLS_DIR=/opt/helve/tools\nCOPY helve /usr/local/bin/helve\n");
        text.push_str("RUN useradd --create-home helve\nUSER helve\nENTRYPOINT [\"helve\"]\n");
        text
    }
}

/// A command as one types it.
pub fn shell_line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./=:@+,".contains(c));
    if plain {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_brackets_can_be_pasted_into_a_shell() {
        let words = ["pip", "install", "bandit[sarif]>=1.7", "it's"].map(str::to_owned);
        assert_eq!(shell_line(&words), "pip install 'bandit[sarif]>=1.7' 'it'\\''s'");
    }
}
