//! Databases that three or five nodes have in common, and stores that write through their log.
//!
//! A [`Node`] holds a copy of each [`Database`]. One of the nodes leads; there [`Node::store`] gives a [`helve_db::Store`] that
//! is used like any other. All batches that wait at the same time become one entry of a Raft log; `Ok` means that a majority
//! of the nodes has it on disk and that it is applied here. Every node applies the same entries in the same order, and decides
//! about preconditions then, so all come to the same end.
//!
//! What is promised:
//!
//! - **An acknowledged batch is kept** as long as a majority of the disks is.
//! - **Who does not lead does not write.** Each entry names the [`Epoch`] of the engine that proposed it, and an entry of
//!   another epoch than the one that was opened last is not applied, on any node. A node that leads again opens a new epoch.
//! - **Who does not lead does not read**, unless it asks for what may be old ([`Node::read_stale`]). A leader that does not hear
//!   from a majority stops answering before anybody else can lead.
//! - **An unknown outcome is called so** ([`helve_db::CommitError::Unknown`]), never guessed. A batch with a key can be
//!   committed again at the new leader.
//! - **Time does not go back** when another node leads, whatever its clock says ([`Node::time`]).
//! - **A broken disk is not papered over.** The end of the log that a crash cut off was promised to nobody and is dropped; any
//!   other damage is refused, and the node is rebuilt from the others.
//!
//! Consensus itself is openraft's. Its log ([`crate::LogError`]), its state machine and its network are here.

mod backup;
mod codec;
mod herald;
mod leadership;
mod lease;
mod log;
mod machine;
mod membership;
mod network;
mod node;
mod options;
mod outside;
mod propose;
mod setup;
mod status;
mod ticket;
mod time;
mod types;

pub use backup::Backup;
pub use herald::Role;
pub use log::LogError;
pub use machine::Database;
pub use membership::MembershipError;
pub use network::{BadSecret, Carried, CarriedStream, Links, Secret};
pub use node::{MAX_ABOUT, Node, NotLeading};
pub use options::Options;
pub use outside::Outside;
pub use setup::StartError;
pub use status::{MemberStatus, State, Status};
pub use ticket::{InvalidTicket, Ticket};
pub use time::Time;
pub use types::{Epoch, Member, NodeId};
