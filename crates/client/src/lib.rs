//! The HTTP API of a Helve server from the other side.
//!
//! A [`Client`] speaks for one token to one server, in one namespace. Answers are the types that the server makes them from
//! where these are shared ([`helve_runs`]), and [`serde_json::Value`] where they are only passed on. What the server refuses
//! is an [`Error`] that says so in the server's words.
//!
//! Requests that may be sent twice are sent again when a connection breaks: questions, removals, and whatever carries an
//! idempotency key. Uploads go on where they broke off, and so does following a run.
//!
//! A token goes over encrypted connections, or over loopback; [`Server`] refuses other addresses unless told otherwise. It is
//! in no message and in no log.

mod catalog;
mod error;
mod events;
mod findings;
mod jobs;
mod pages;
mod push;
mod results;
mod runs;
mod server;
mod sse;
mod targets;
mod tls;
mod token;
mod transport;
mod upload;
mod workers;

pub use catalog::Me;
pub use error::{Error, FieldError, Refusal};
pub use events::{Events, Heard};
pub use findings::{Decision, FindingsAsked};
pub use pages::Page;
pub use push::target_name;
pub use runs::{RunsAsked, StartRun, StartedRun};
pub use server::Server;
pub use targets::TargetView;
pub use token::Token;
pub use transport::{Client, Options};
pub use upload::{LeftOut, NewUpload, Source};
pub use workers::WorkersView;

/// What calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
