//! What nodes say to each other, over TCP and TLS; each side proves to the other that it knows the cluster's secret.

mod client;
mod factory;
mod frame;
mod links;
mod server;
mod tls;
mod wire;

pub(crate) use client::{Caller, ask};
pub(crate) use factory::Factory;
pub use links::Links;
pub(crate) use server::{Listener, Served};
pub(crate) use tls::{ANY, Tls};
pub use tls::{BadSecret, Secret};
pub(crate) use wire::{Answer, Request};
