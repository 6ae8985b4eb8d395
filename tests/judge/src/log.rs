//! What clients called and heard, and how that is kept in a file.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

/// A call, from its beginning to its end. One that says of many jobs is an entry for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Who called.
    pub client: u32,
    /// When it was sent, in microseconds of one clock that never goes back.
    pub began: u64,
    /// When its answer was there. Later than `began`; of a call of unknown outcome it means nothing.
    pub ended: u64,
    /// How it went.
    pub outcome: Outcome,
    /// What was called, and the answer if it was [`Outcome::Done`].
    #[serde(flatten)]
    pub call: Call,
}

/// How a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused: it has no effect, now or later.
    Failed,
    /// Nobody can say: it may take effect at any later time, or never.
    Unknown,
}

/// What was called, and what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// What a register holds.
    Read {
        /// The register.
        key: String,
        /// The answer.
        value: Option<u64>,
    },
    /// Puts a value into a register, whatever is there.
    Write {
        /// The register.
        key: String,
        /// What is put there.
        value: u64,
    },
    /// Puts a value into a register if it holds what is expected.
    Swap {
        /// The register.
        key: String,
        /// What must be there.
        expected: Option<u64>,
        /// What is put there then.
        value: u64,
        /// The answer: whether it was put there.
        swapped: bool,
    },
    /// Publishes a job. Under one key there is one job, however often it is published.
    Publish {
        /// The key.
        key: String,
        /// The answer: the job.
        job: Option<String>,
    },
    /// Takes a job.
    Claim {
        /// The key that it was published under.
        key: String,
        /// The job.
        job: String,
        /// What only this claim has.
        claim: String,
        /// How long nobody else may have it, in microseconds.
        lease: u64,
    },
    /// Keeps a job: the lease begins anew. Lost means that somebody else may have it.
    Keep {
        /// The key of the job.
        key: String,
        /// What the claim had.
        claim: String,
        /// How long nobody else may have it, in microseconds.
        lease: u64,
        /// The answer: the claim is void.
        lost: bool,
    },
    /// Gives a job back before its lease ends.
    Release {
        /// The key of the job.
        key: String,
        /// What the claim had.
        claim: String,
        /// The answer: the claim is void.
        lost: bool,
    },
    /// Ends a job.
    Complete {
        /// The key of the job.
        key: String,
        /// What the claim had.
        claim: String,
        /// The answer: the claim is void.
        lost: bool,
    },
    /// Looks at a job.
    Look {
        /// The key of the job.
        key: String,
        /// The answer: whether it is there.
        there: bool,
        /// The answer: whether it is completed.
        completed: bool,
    },
    /// Asks for something that must then be there once.
    Ask {
        /// What sort of thing.
        kind: String,
        /// Its name, which nothing else of its kind has.
        name: String,
    },
    /// At the end: something is there. An entry for each time.
    Found {
        /// What sort of thing.
        kind: String,
        /// Its name.
        name: String,
    },
    /// At the end: all things of this kind were looked for. What was not found is lost.
    Searched {
        /// What sort of thing.
        kind: String,
    },
    /// At the end: the events of a workflow.
    History {
        /// The workflow.
        workflow: String,
        /// Its events, in their order.
        events: Vec<HistoryEvent>,
        /// Whether it must have been closed by then.
        closed: bool,
    },
}

/// An event of a workflow, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Its number.
    pub id: i64,
    /// Its type as Temporal calls it: `WorkflowExecutionStarted`.
    pub kind: String,
    /// The number of the event that it ends or goes on with, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<i64>,
    /// What it was asked under: an update's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
}

/// Calls, in any order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// The calls.
    pub entries: Vec<Entry>,
}

/// Why a file is no log.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It cannot be read or written.
    #[error("the log cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// A line is no call.
    #[error("line {line} of the log is no call: {why}")]
    Line {
        /// Which.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Log {
    /// Reads a call from each line.
    ///
    /// # Errors
    ///
    /// When a line is no call, or ends before it begins.
    pub fn read(from: impl BufRead) -> Result<Self, Broken> {
        let mut entries = Vec::new();
        for (number, text) in from.lines().enumerate() {
            let broken = |why: String| Broken::Line { line: number + 1, why };
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            let entry: Entry = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
            if entry.outcome != Outcome::Unknown && entry.ended < entry.began {
                return Err(broken("it ended before it began".to_owned()));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// Writes each call on a line.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, mut to: impl Write) -> Result<(), Broken> {
        for entry in &self.entries {
            serde_json::to_writer(&mut to, entry).map_err(std::io::Error::from)?;
            writeln!(to)?;
        }
        Ok(to.flush()?)
    }
}
