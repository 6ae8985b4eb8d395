//! What a cluster promises, on three nodes in one process.

mod chaos;
mod crashes;
mod disks;
mod life;
mod partitions;
mod world;
