//! One tool process, bounded: memory, CPU, processes, files, network, time; and nothing of it left behind.
//!
//! ```no_run
//! # async fn example() -> Result<(), helve_sandbox::Error> {
//! use helve_sandbox::{Options, Sandbox, Spec};
//!
//! let sandbox = Sandbox::open(Options::default()).await?; // once per worker: finds out what this machine can do
//! let spec = Spec::new(["cppcheck", "--xml", "."]).cwd("/srv/tree").read_only("/srv/tree");
//! let output = sandbox.run(&spec).await?;
//! println!("{} at level {}", output.outcome.end, output.outcome.level);
//! # Ok(())
//! # }
//! ```
//!
//! Three processes stand behind one tool:
//!
//! - The *supervisor* is this program, started anew. It enforces time, CPU, memory and disk, and holds one end of a
//!   socket whose other end is the caller's: when the caller dies, however it dies, that end closes and the supervisor
//!   kills everything.
//! - The *init* is its child, in the new namespaces. It builds the file system the tool sees, and collects orphans.
//! - The *tool* is the child of the init.
//!
//! The program is started anew (as runc does) because a process with many threads cannot safely do anything of this
//! between `fork` and `exec`: the new process has one thread, a small memory, and may allocate. The supervisor's code
//! runs before `main`, from a constructor that looks for one environment variable, so nothing has to be called by the
//! programs and tests that use this crate.
//!
//! Most of the time that a start takes is spent on things that do not depend on the tool: starting the supervisor, making
//! namespaces, entering control groups. A sandbox that [keeps one ready](Options::keep_ready) has done that before.
//!
//! What is promised at which level is written in `docs/sandbox.md`.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod error;
#[cfg(target_os = "linux")]
mod launcher;
mod level;
mod limits;
mod options;
mod outcome;
#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod spare;
mod spec;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Canceller, Running, Sandbox, ToolStream};
pub use error::Error;
pub use level::{CgroupVersion, Level, Protections, UnknownLevel};
pub use limits::{Limit, Limits};
pub use options::{Options, Support};
pub use outcome::{End, Outcome, Output};
#[cfg(target_os = "linux")]
pub use running::{Canceller, Running, ToolStream};
#[cfg(target_os = "linux")]
pub use sandbox::Sandbox;
pub use spec::{Access, Grant, Network, Spec};
