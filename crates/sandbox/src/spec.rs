//! What to run, and what it may see.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Level, Limits};

/// What a tool may do below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read and execute.
    Read,
    /// And write, create, remove.
    Write,
}

/// A path of the host that the tool sees, under the same name.
///
/// The same name at every level: only namespaces could give it another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// An existing file or directory, absolute.
    pub path: PathBuf,
    /// What the tool may do there.
    pub access: Access,
}

/// Which network a tool reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// None. With namespaces it has a loopback interface of its own; without, sockets are refused altogether.
    #[default]
    None,
    /// The host's, with everything that is reachable from there, its loopback services too.
    Host,
}

/// What to run, what it may see, and how much it may use. Nothing is inherited from the calling process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The program and its arguments. A name without a slash is looked up in the `PATH` of `env`, inside the sandbox.
    pub argv: Vec<OsString>,
    /// The whole environment. `PATH`, `HOME`, `TMPDIR` and `LANG` get values when they are not set: the system's
    /// directories, the scratch directory twice, and `C.UTF-8`.
    #[serde(with = "pairs")]
    pub env: BTreeMap<OsString, OsString>,
    /// The working directory, absolute; `/` when not set.
    pub cwd: PathBuf,
    /// What the tool sees beyond the system's programs and libraries.
    pub grants: Vec<Grant>,
    /// A directory for temporary files and `HOME`; the sandbox makes one and removes it when not set.
    pub scratch: Option<PathBuf>,
    /// A file that becomes standard input; empty when not set.
    pub stdin: Option<PathBuf>,
    /// The network.
    pub network: Network,
    /// Whether the tool may trace its own processes (debuggers, LeakSanitizer).
    pub trace: bool,
    /// How much it may use.
    pub limits: Limits,
    /// Refuse to run it at less than this level.
    pub require: Level,
}

impl Spec {
    /// A command line with default limits, that sees nothing but the system's programs.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Spec {
            argv: argv.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            grants: Vec::new(),
            scratch: None,
            stdin: None,
            network: Network::None,
            trace: false,
            limits: Limits::default(),
            require: Level::Limits,
        }
    }

    /// Sets the working directory. It must be visible: granted, or one of the system's.
    pub fn cwd(mut self, path: impl AsRef<Path>) -> Self {
        self.cwd = path.as_ref().to_owned();
        self
    }

    /// Sets one variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Shows a file or directory, read-only.
    pub fn read_only(mut self, path: impl AsRef<Path>) -> Self {
        self.grants.push(Grant {
            path: path.as_ref().to_owned(),
            access: Access::Read,
        });
        self
    }

    /// Shows a file or directory, writable.
    pub fn read_write(mut self, path: impl AsRef<Path>) -> Self {
        self.grants.push(Grant {
            path: path.as_ref().to_owned(),
            access: Access::Write,
        });
        self
    }

    /// Sets the directory for temporary files and `HOME`.
    pub fn scratch(mut self, path: impl AsRef<Path>) -> Self {
        self.scratch = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the network.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Refuses to run at less than this level.
    pub fn require(mut self, level: Level) -> Self {
        self.require = level;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |text: String| Err(Error::Invalid(text));
        if self.argv.first().is_none_or(|program| program.is_empty()) {
            return invalid("the command line is empty".to_owned());
        }
        let text = self.argv.iter().chain(self.env.keys()).chain(self.env.values());
        if text.clone().any(|word| word.as_encoded_bytes().contains(&0)) {
            return invalid("an argument or variable contains a zero byte".to_owned());
        }
        if self
            .env
            .keys()
            .any(|name| name.is_empty() || name.as_encoded_bytes().contains(&b'='))
        {
            return invalid("a variable's name is empty or contains `=`".to_owned());
        }
        let paths = self.grants.iter().map(|grant| &grant.path);
        for path in paths.chain(&self.scratch).chain(&self.stdin).chain([&self.cwd]) {
            if !path.is_absolute() {
                return invalid(format!("the path `{}` is not absolute", path.display()));
            }
        }
        for grant in &self.grants {
            if let Err(error) = grant.path.metadata() {
                return invalid(format!("cannot grant `{}`: {error}", grant.path.display()));
            }
        }
        Ok(())
    }
}

/// Variables as a list of pairs: JSON has no keys that are not text.
mod pairs {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(env: &BTreeMap<OsString, OsString>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(env)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        Vec::<(OsString, OsString)>::deserialize(from).map(|pairs| pairs.into_iter().collect())
    }
}
