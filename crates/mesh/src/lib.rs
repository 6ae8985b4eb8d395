//! Connections that need no address: workers and people reach a control plane by a ticket, from any network that lets UDP out.
//!
//! An [`Endpoint`] is a key: whoever connects to one has proven which key they hold, and that is who they are. Everything goes
//! over one QUIC connection between two endpoints, on streams that say in their first byte what they carry ([`Kind`]): gRPC,
//! HTTP, and blobs on streams of their own, behind the others when the line is full, so that a big target never delays a
//! heartbeat.
//!
//! - A [`Ticket`] names the nodes of a control plane, and may hold a secret with which an unknown endpoint joins.
//! - The side that is called opens a [`Gate`]: it asks its owner about every connection, and hands streams out by their kind.
//! - The side that calls has a [`Link`]: streams to whichever node answers, dialled again for as long as it takes.
//! - [`relay`] carries what two sides say to each other where UDP does not get through.
//! - [`blobs`] fetches, stores and shares blobs, each piece checked when it comes.
//!
//! No service of anybody else is ever asked: no relay and no directory is known but those that somebody names.

pub mod blobs;
mod endpoint;
mod error;
mod frame;
mod gate;
mod grpc;
mod join;
mod link;
pub mod relay;
mod relays;
mod stream;
mod ticket;

pub use endpoint::{Endpoint, Listen, RelayState, read_key};
pub use error::Error;
pub use gate::{Door, Gate, Incoming, Present};
pub use grpc::{call, channel};
pub use iroh::{EndpointAddr, EndpointId, RelayUrl, SecretKey};
pub use join::{Answer, Asked};
pub use link::Link;
pub use relays::{RelayPass, Relays};
pub use stream::{Kind, Peer, Stream};
pub use ticket::{InvalidTicket, Ticket};
