//! What a guest can do wrong.

use std::time::Duration;

/// A guest did something that it may not do. It is over; the worker and the other guests are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It trapped: a panic, an `unreachable`, a memory access out of bounds, a stack overflow.
    #[error("the workflow's code trapped: {reason}{}", last_words(.said))]
    Trapped {
        /// What wasm says.
        reason: String,
        /// The end of what the guest wrote to its standard error: with most languages, the message of the panic.
        said: String,
    },
    /// It wanted more memory than it may have.
    #[error("the workflow's code wants {} MiB of memory and may have {}", .wanted.div_ceil(1 << 20), .limit >> 20)]
    OutOfMemory {
        /// How much, in bytes.
        wanted: usize,
        /// How much it may have, in bytes.
        limit: usize,
    },
    /// It computes without end.
    #[error("the workflow's code computed for {fuel} instructions without waiting for anything: does it loop?")]
    Endless {
        /// How much it may.
        fuel: u64,
    },
    /// It computed for too long by the clock on the wall. Another worker, or the same one later, may be faster.
    #[error("the workflow's code computed for {} s without waiting for anything: does it loop?", .0.as_secs())]
    TooSlow(Duration),
    /// It called a function in a way that makes no sense.
    #[error("the workflow's code did something that it may not do: {0}")]
    Misuse(String),
    /// There is no room for it now.
    #[error("the workflow's code cannot be started: {0}")]
    NoRoom(String),
}

fn last_words(text: &str) -> String {
    match text.trim() {
        "" => String::new(),
        text => format!("; it said: {text}"),
    }
}

impl Fault {
    /// Whether the same code with the same history must always end so. If not, the run may be tried again.
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Trapped { .. } | Self::OutOfMemory { .. } | Self::Endless { .. } | Self::Misuse(_) => true,
            Self::TooSlow(_) | Self::NoRoom(_) => false,
        }
    }
}
