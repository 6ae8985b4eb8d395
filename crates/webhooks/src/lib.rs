//! Tells webhooks what is in the ledger's outbox: signed, bounded, at least once.
//!
//! The outbox is the ledger's: a delivery is there from the moment that what it tells of is true, and stays until the receiver
//! took it or it was given up. [`Dispatcher`] claims what is due, tells it, and says how that ended. If it dies in between,
//! the claim ends by itself and the delivery is made again.
//!
//! Whoever may make webhooks names hosts that this process connects to. So [`helve_net`] looks names up and at every address;
//! nothing private is reached unless whoever runs Helve allowed it. Redirections are not followed, and of the answer only
//! the status is kept. What signs, and what of an address may be a secret, is in no log and no answer.

mod dispatch;
mod post;
mod sign;

pub use dispatch::{Dispatcher, Options};
pub use post::{Outcome, shown};
pub use sign::sign;
