//! The mesh: how this process is reached by a ticket, and how it reaches others by one.

mod client;
mod server;

pub(crate) use client::{Joined, connect, join, link};
pub(crate) use server::{MeshServer, Streams};
