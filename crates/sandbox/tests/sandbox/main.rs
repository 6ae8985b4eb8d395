//! What the sandbox promises, at every level that this machine has.
#![cfg(target_os = "linux")]

mod bounds;
mod ends;
mod hostile;
mod support;
mod walls;
