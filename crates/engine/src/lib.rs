//! The shell of the durable engine: Temporal's gRPC services, the registry of runs, commit, timers, matching.
//!
//! What an input means to a run is decided by crate `history`, which is pure. This crate decides nothing about workflows:
//! it finds the run, takes its lock, asks for the decision, commits it as one conditional batch, installs the new state,
//! releases the lock, and then publishes what the new state obliges it to: tasks to pollers, messages to other runs, one
//! timer. After a restart the same questions are asked of the same states, so nothing can be forgotten.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `shell` | decide, commit, publish |
//! | `combine` | inputs to one run that share a commit |
//! | `ahead` | tasks started in the commit that makes them, for pollers that wait |
//! | `publish` | obligations compared with what was published |
//! | `start`, `reset`, `find`, `outbox`, `tasks`, `queries`, `updates`, `sticky`, `queue_config`, `loops` | the ways in which inputs come about |
//! | `run`, `registry`, `timers`, `matching` | what is in memory |
//! | `encoded` | events as bytes, from the transition that records them to whoever reads them |
//! | `namespaces`, `search_attributes`, `deletion` | what people administer |
//! | `schedules` | what schedules do, in the same three steps |
//! | `storage`, `visibility` | what is on disk, and the SQL |
//! | `access` | who may call what over a network: the question, not the answer |
//! | `frontend`, `services`, `reflection`, `left_out` | gRPC |

mod access;
mod ahead;
mod audit;
mod clock;
mod combine;
mod deletion;
mod encoded;
mod engine;
mod error;
mod figures;
mod find;
mod frontend;
mod history_pages;
mod ids;
mod left_out;
mod lock;
mod loops;
mod matching;
mod namespaces;
mod options;
mod outbox;
mod publish;
mod queries;
mod queue_config;
mod reflection;
mod registry;
mod reset;
mod run;
mod schedules;
mod search_attributes;
mod services;
mod shell;
mod start;
mod start_with_update;
mod sticky;
mod storage;
mod tasks;
mod timers;
mod updates;
mod visibility;
mod workers;

pub use access::{Access, Caller, Denied, Done, Need, Wanted};
pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::Engine;
pub use error::OpenError;
pub use figures::EngineFigures;
pub use helve_history::{Limits, Timestamp};
pub use ids::{Ids, RandomIds};
pub use lock::Holder;
pub use options::EngineOptions;
pub use services::{InProcess, Services};
