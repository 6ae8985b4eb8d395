//! A control plane of several nodes: the same engine, ledger and API as ever, at whichever node leads.
//!
//! `helve-cluster` decides who leads and replicates the databases. Here is what makes a `helve up` of it: [`serve()`] opens a
//! [`Stage`](crate::stage::Stage) on the replicated stores while this node leads, and [`Front`] takes clients to the node that
//! does while it does not. [`Settings`] are what makes a data directory a node's.

mod blobs;
mod figures;
mod front;
mod notes;
mod serve;
mod settings;
mod takeover;

pub(crate) use serve::{databases, serve};
pub(crate) use settings::{About, Settings};

pub(crate) use takeover::{copy, is_data_dir};

use front::Front;
