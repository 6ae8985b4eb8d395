//! What wasmtime makes of the WIT world.

#![allow(unreachable_pub, missing_docs, reason = "made by a macro")]

wasmtime::component::bindgen!({
    path: "../guest/wit",
    world: "workflow",
    imports: { default: async | trappable },
    exports: { default: async },
    with: { "helve:workflow/durable.task": crate::ledger::Handle },
});

pub(crate) use helve::workflow::{durable, types};
