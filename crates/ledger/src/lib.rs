//! What a team must not lose beside runs: findings and their triage, tokens, the audit log, webhooks, settings.
//!
//! Everything is in one SQLite file behind [`Ledger`], through the group-commit writer of `helve-db`. A change is one batch:
//! it is done with its audit row and with the webhooks that tell of it, or not at all, and whoever is told `Ok` finds it on
//! disk. Every change names its [`Actor`]. Whether they may make it is the caller's question ([`Principal`] answers it).
//!
//! The ledger reads no reports and no files: it is given a run's findings ([`RunReport`]). It delivers no webhooks: it hands
//! out what is due.

mod access;
mod answers;
mod audit;
mod error;
mod figures;
mod findings;
mod ledger;
mod numbers;
mod page;
mod plans;
mod schema;
mod settings;
mod text;
mod time;
mod triage;
mod webhooks;

pub use access::{
    Account, Actor, Asked, CreatedTicket, CreatedToken, Denied, Holder, LoginCode, Names, NewSession, NewTicket,
    NewToken, OpenedSession, PeerInfo, PeerState, Principal, Rates, Refused, Role, Scope, Secret, SessionInfo,
    Strangers, TicketInfo, TokenInfo, TooOften, Via,
};
pub use answers::{Reservation, StoredAnswer};
pub use audit::{AuditEntry, AuditFilter};
pub use error::Error;
pub use figures::LedgerFigures;
pub use findings::{
    Baseline, ChangeCounts, DayCounts, Facet, FacetKind, FindingChange, FindingDetail, FindingEvent, FindingFilter,
    FindingOrder, FindingSummary, Happened, IndexedRun, Ingested, MAX_CHANGES, MAX_DIFF, MAX_FINDINGS_OF_RUN,
    MAX_HISTORY, ModuleLook, Overview, ReportedFinding, RunDiff, RunReport, Sighting, Status, SuppressedBy,
    Suppression, TimeRange, Triage,
};
pub use ledger::{Ledger, Options};
pub use page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT, Page, PageRequest};
pub use settings::NamespaceSettings;
pub use time::{Clock, Time};
pub use triage::{BulkOutcome, MAX_BULK, TriageChange, Which};
pub use webhooks::{
    Delivery, DeliveryInfo, DeliveryState, EventKind, MAX_ATTEMPTS, NewWebhook, Room, Webhook, WebhookChange,
};

pub(crate) use access::hex;
