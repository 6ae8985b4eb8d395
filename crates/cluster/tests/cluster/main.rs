//! What a cluster promises, on three nodes in one process.

mod crashes;
mod disks;
mod life;
mod partitions;
mod world;
