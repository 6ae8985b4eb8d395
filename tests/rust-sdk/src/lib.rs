//! Programs on Temporal's official Rust SDK against Helve's engine. See `tests/`.
