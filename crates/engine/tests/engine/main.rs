//! The engine driven by raw messages, as a client and a worker would. One program, since linking is what takes long.

mod access;
mod batch;
mod client;
mod codes;
mod compatibility;
mod deletion;
mod durability;
mod hostile;
mod migrations;
mod namespaces;
mod opening;
mod polls;
mod queries;
mod requests;
mod reset;
mod schedules;
mod search_attributes;
mod shared_commits;
mod standalone;
mod sticky;
mod task_queues;
mod updates;
