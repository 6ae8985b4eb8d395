//! What a guest may take.

use std::time::Duration;

/// What a guest may take. Those that decide whether a guest goes on must stay the same while runs are open: a run that
/// met one would replay differently. So raise them, and never lower them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Runs in memory at a time, asleep or not. Whoever starts one more is refused.
    pub max_runs: u32,
    /// Longest memory of a guest, in bytes; a guest that wants more ends in [`crate::Fault::OutOfMemory`].
    pub memory: usize,
    /// Instructions, roughly, that a guest may compute between two events. The same for every repetition of the run,
    /// so a guest that uses them up ends in [`crate::Fault::Endless`].
    pub fuel: u64,
    /// Longest time that a guest may compute between two events. The clock on the wall is different each time, so this
    /// only keeps a worker from being blocked; fuel is what ends a run.
    pub compute: Duration,
    /// Things that a guest may have started and not seen the end of.
    pub open_tasks: usize,
    /// Longest text that a guest may hand over at once, in bytes.
    pub text: usize,
    /// Longest list of findings that a guest may emit itself, in bytes of JSON: they travel in the history.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_runs: 600,
            memory: 128 << 20,
            fuel: 20_000_000_000,
            compute: Duration::from_secs(30),
            open_tasks: 2_000,
            text: 1 << 20,
            findings: 32 << 10,
        }
    }
}
