//! The pages: a model and a function each. All texts in models are as they come; the pages escape them.

mod audit;
mod error;
mod finding;
mod findings;
mod login;
mod modules;
mod overview;
mod rows;
mod run;
mod run_parts;
mod runs;
mod schedules;
mod settings;
mod start;
mod webhooks;
mod workers;
mod workflow;

pub use audit::{Audit, AuditRow, audit};
pub use error::{ErrorPage, error};
pub use finding::{Decision, Finding, FlowStep, Mark, Reference, Snippet, Twin, finding};
pub use findings::{Facet, Findings, findings};
pub use login::{Login, login, signed_in};
pub use modules::{Module, Modules, modules};
pub use overview::{Overview, QueueRow, overview};
pub use rows::{FindingRow, RunRow};
pub use run::{Artifact, Fuzzing, LogLevel, LogLine, Progress, Run, Step, run};
pub use runs::{RunFilter, Runs, runs};
pub use schedules::{Schedule, Schedules, schedules};
pub use settings::{NewToken, Settings, Token, settings};
pub use start::{KnownTarget, Start, StartForm, start, start_form};
pub use webhooks::{Delivery, DeliveryState, NewSecret, Webhook, WebhookPage, Webhooks, webhook, webhooks};
pub use workers::{Tool, Vertical, Worker, Workers, workers};
pub use workflow::{PlanStep, Workflow, WorkflowRow, Workflows, workflow, workflows};
