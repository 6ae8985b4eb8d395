//! Endpoints of one process on loopback: who comes in, what streams carry, and what breaks.

mod blobs;
mod gate;
mod peers;
mod world;
