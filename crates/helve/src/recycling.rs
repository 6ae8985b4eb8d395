//! When a worker has worked long enough: it stops taking steps, lets those that run end, and leaves to be started again.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use helve_toolbox::Span;
use helve_worker::{Work, memory_held};

use crate::cli::WorkerRun;
use crate::errors::{Problem, Result};

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long a worker works.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recycling {
    steps: Option<NonZeroU64>,
    age: Option<Span>,
    memory: Option<Size>,
}

/// Why it is time to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Steps(u64),
    Age(Span),
    Memory { held: Size, most: Size },
}

impl Recycling {
    /// As the command line says it.
    pub(crate) fn new(args: &WorkerRun) -> Result<Self> {
        if args.max_memory.is_some() && memory_held().is_none() {
            return Err(
                Problem::new("this system does not tell how much memory a process holds")
                    .help("leave --max-memory out; --max-runs and --max-age work"),
            );
        }
        Ok(Self {
            steps: args.max_runs,
            age: args.max_age,
            memory: args.max_memory,
        })
    }

    /// Ready when it is time to leave.
    pub(crate) async fn due(self, work: &Work) -> Due {
        let age = async {
            match self.age {
                Some(age) => {
                    tokio::time::sleep(age.duration()).await;
                    Due::Age(age)
                }
                None => std::future::pending().await,
            }
        };
        let steps = async {
            loop {
                work.step_ended().await;
                let ended = work.ended();
                if self.steps.is_some_and(|most| ended >= most.get()) {
                    return Due::Steps(ended);
                }
            }
        };
        let memory = async {
            let Some(most) = self.memory else {
                return std::future::pending().await;
            };
            loop {
                tokio::time::sleep(LOOK).await;
                let held = tokio::task::spawn_blocking(memory_held).await.ok().flatten();
                if let Some(held) = held.map(Size).filter(|held| *held > most) {
                    return Due::Memory { held, most };
                }
            }
        };
        tokio::select! {
            due = age => due,
            due = steps => due,
            due = memory => due,
        }
    }
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Due::Steps(1) => f.write_str("it has run a step (--max-runs)"),
            Due::Steps(steps) => write!(f, "it has run {steps} steps (--max-runs)"),
            Due::Age(age) => write!(f, "it has worked for {age} (--max-age)"),
            Due::Memory { held, most } => {
                write!(
                    f,
                    "it and its tools hold {held} of memory, more than {most} (--max-memory)"
                )
            }
        }
    }
}

/// A number of bytes, written as `512Mi` or `4G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// Units, the longer of two that fit first.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
            .unwrap_or((text, 1));
        let number: Option<u64> = number.parse().ok();
        let bytes = number
            .and_then(|number| number.checked_mul(unit))
            .filter(|bytes| *bytes > 0);
        bytes
            .map(Size)
            .ok_or_else(|| "write a number and a unit, such as 512Mi or 4G".to_owned())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match unit.into_iter().find(|(_, shift)| self.0 >> shift > 0) {
            Some((name, shift)) => write!(f, "{:.1} {name}", self.0 as f64 / (1_u64 << shift) as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("1024", 1024),
            ("512Mi", 512 << 20),
            ("4G", 4_000_000_000),
            ("2Gi", 2 << 30),
        ] {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes, "{text}");
        }
        for text in ["", "Mi", "0", "-1", "4 Gi", "4GB", "99999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        assert_eq!(Size(1536 << 20).to_string(), "1.5 GiB");
    }
}
