//! The mesh: how this process is reached by a ticket, and how it reaches others by one.

mod client;
#[cfg(unix)]
mod forward;
mod server;

pub(crate) use client::{Joined, connect, join, link, own_name};
#[cfg(unix)]
pub(crate) use forward::Forward;
pub(crate) use server::{MeshServer, Streams};
