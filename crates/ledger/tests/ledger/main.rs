//! What the ledger promises, each test named after its promise.

mod access;
mod audit;
mod support;
