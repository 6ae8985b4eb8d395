//! Connections to hosts that somebody else names: a workflow, whose author may be anybody, or the owner of a webhook.
//!
//! Names are looked up here, every address is looked at, and the connection goes to an address that was looked at: a name
//! that means something else a moment later leads nowhere. Which hosts and addresses may be reached is a [`Policy`]'s to
//! say.

mod allow;
mod policy;
mod reach;
mod tls;

pub use allow::{Allow, InvalidAllow, is_public};
pub use policy::{Policy, Refusal};
pub use reach::{Stream, Unreachable, connect, encrypt};
pub use tls::{connector, trusting};
