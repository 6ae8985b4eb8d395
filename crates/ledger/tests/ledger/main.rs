//! What the ledger promises, each test named after its promise.

mod access;
mod answers;
mod audit;
mod diff;
mod hoards;
mod ingest;
mod lists;
mod mesh;
mod migrations;
mod orders;
mod reports;
mod support;
mod triage;
mod webhooks;
