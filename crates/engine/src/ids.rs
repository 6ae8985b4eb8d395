//! The engine's only source of randomness, so that a simulation can repeat a run.

use uuid::Uuid;

/// Makes ids that nobody had before.
pub trait Ids: Send + Sync + 'static {
    /// A new id. Later ones should sort after earlier ones: ids are keys in the database.
    fn fresh(&self) -> Uuid;
}

/// Ids of the time and chance (UUID version 7).
#[derive(Debug, Default, Clone, Copy)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[allow(clippy::disallowed_methods)] // the one place that makes up ids
    fn fresh(&self) -> Uuid {
        Uuid::now_v7()
    }
}
