//! What can go wrong before and around a tool; what the tool itself does is an [`crate::Outcome`].

use std::io;

use crate::Level;

/// A tool was not run, or its end is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine cannot do what the caller requires. Nothing was run.
    #[error("the sandbox reaches level `{reached}` here, but `{required}` is required{}", reasons(.missing))]
    TooWeak {
        /// What was asked for.
        required: Level,
        /// What this machine can do.
        reached: Level,
        /// Why it cannot do more, one sentence per missing wall.
        missing: Vec<String>,
    },
    /// The program is not there, or may not be executed, as seen from inside the sandbox.
    #[error("cannot execute `{program}` in the sandbox: {source}")]
    Exec {
        /// The program as the caller named it.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The specification makes no sense (an empty command line, a relative path, a grant that does not exist).
    #[error("{0}")]
    Invalid(String),
    /// A wall that this machine has could not be put up this time. Nothing was run: never weaker in silence.
    #[error("cannot set up the sandbox: {0}")]
    Setup(String),
    /// The supervisor was started or spoken to in vain.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The supervisor ended without saying how the tool ended. Everything it started is gone at levels with a process
    /// namespace.
    #[error("the sandbox's supervisor died: {0}")]
    SupervisorDied(String),
    /// Tools are only run on Linux.
    #[error("this system has no sandbox: tools are run on Linux only")]
    Unsupported,
}

fn reasons(missing: &[String]) -> String {
    missing.iter().map(|reason| format!("; {reason}")).collect()
}

impl Error {
    pub(crate) fn io(doing: &'static str, source: io::Error) -> Self {
        Error::Io { doing, source }
    }

    /// Whether trying again elsewhere, or later, may help: not for a missing program or a bad specification.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Setup(_) | Error::Io { .. } | Error::SupervisorDied(_))
    }
}
