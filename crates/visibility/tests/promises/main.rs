//! What a query means, on a real SQLite: against a naive evaluator, and by example.

mod agree;
mod language;
mod world;
