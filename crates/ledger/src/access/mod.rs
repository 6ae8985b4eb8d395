//! Who may come in: tokens, one-time login codes, browser sessions, endpoints of the mesh.
//!
//! All that is valid is in memory too, so that a request is let in without a read and without a write.

mod door;
mod logins;
mod mesh;
mod principal;
mod rates;
mod secret;
mod strangers;
mod tokens;

pub use door::Refused;
pub use logins::{Account, LoginCode, NewSession, OpenedSession, SessionInfo};
pub use mesh::{CreatedTicket, NewTicket, PeerInfo, PeerState, TicketInfo};
pub use principal::{Actor, Denied, Holder, Names, Principal, Role, Scope, Via};
pub use rates::{Asked, Rates, TooOften};
pub use secret::Secret;
pub use strangers::Strangers;
pub use tokens::{CreatedToken, NewToken, TokenInfo};

pub(crate) use door::Door;
pub(crate) use secret::{hex, random};
