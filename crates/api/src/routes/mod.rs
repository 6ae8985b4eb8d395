//! One file per kind of resource.

pub(crate) mod audit;
pub(crate) mod catalog;
pub(crate) mod events;
pub(crate) mod findings;
pub(crate) mod health;
pub(crate) mod listed;
pub(crate) mod login;
pub(crate) mod mesh;
pub(crate) mod metrics;
pub(crate) mod namespaces;
pub(crate) mod queue;
pub(crate) mod results;
pub(crate) mod runs;
pub(crate) mod schedules;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod targets;
pub(crate) mod tokens;
pub(crate) mod uploads;
pub(crate) mod webhooks;
pub(crate) mod workers;
