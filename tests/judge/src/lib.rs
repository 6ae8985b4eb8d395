//! Decides from a log of what clients called and heard whether a server kept its promises.
//!
//! - **Registers**: every read gives what the last write wrote. There must be one order of all calls on a key, in which each takes
//!   effect at one moment between its beginning and its end ([`order`], after Wing, Gong and Lowe).
//! - **Jobs**: published once, held by one at a time while a lease lasts, completed once, never lost ([`jobs`]).
//! - **Things**: what was acknowledged is there at the end, nothing is there twice, and nothing that nobody asked for ([`things`]).
//! - **Histories**: contiguous from 1, closed by one event which is the last, each task ended once ([`histories`]).
//!
//! A call whose outcome is unknown may take effect at any later time, or never. One that failed must not.

pub mod histories;
pub mod jobs;
mod log;
pub mod order;
pub mod registers;
mod shrink;
pub mod things;
mod verdict;

pub use log::{Broken, Call, Entry, HistoryEvent, Log, Outcome};
pub use verdict::{Verdict, Violation};

/// What a log shows.
#[must_use]
pub fn judge(log: &Log) -> Verdict {
    let mut violations = registers::check(log);
    violations.extend(jobs::check(log));
    violations.extend(things::check(log));
    violations.extend(histories::check(log));
    Verdict::new(log, violations)
}
