//! What nodes say to each other, over TCP and TLS; each side proves to the other that it knows the cluster's secret.

mod carried;
mod client;
mod factory;
mod files;
mod frame;
mod links;
mod server;
mod tls;
mod wire;

pub(crate) use carried::carry;
pub use carried::{Carried, CarriedStream};
pub(crate) use client::{Caller, ask, ask_on};
pub(crate) use factory::Factory;
pub(crate) use files::receive as receive_files;
pub use links::Links;
pub(crate) use server::{Listener, Served};
pub(crate) use tls::{ANY, Tls};
pub use tls::{BadSecret, Secret};
pub(crate) use wire::{Answer, Request};
