//! Forms from the JSON Schema of a workflow's parameters: drawn from it, and read back into JSON.

mod draw;
mod read;
mod schema;

pub(crate) use draw::fields;
pub use read::{FieldError, read};
pub use schema::{Field, FieldKind, Form};

/// What the names of the fields begin with, so that no parameter can be taken for another field of the page.
pub const PREFIX: &str = "p.";
