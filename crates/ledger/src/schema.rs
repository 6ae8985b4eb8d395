//! The tables, and how they came to be.

/// `PRAGMA application_id` of a ledger's database: "HLVL".
pub(crate) const APPLICATION_ID: i32 = 0x484c_564c;

/// Schema version `n` to `n + 1`, in order. Never change one that was released: append.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];

/// Bytes of one change at most. The largest is the ingest of a run, whose findings are bounded.
pub(crate) const MAX_BATCH_BYTES: usize = 512 << 20;
