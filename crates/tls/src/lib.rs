//! TLS for both listeners of a server: certificates from files, which are read again when they change, or from an authority
//! that speaks ACME; and who a client's certificate names.
//!
//! [`Server`] holds the certificates, and gives connections whose handshakes are done: [`Server::http`] for HTTP,
//! [`Server::grpc`] for gRPC, where clients may be asked for certificates. Handshakes are bounded in number and time, and happen
//! beside the loop that accepts. [`identity_of`] says who a verified client is.
//!
//! Everything is rustls with ring: TLS 1.2 and 1.3 with their modern cipher suites.

mod acme;
mod client;
mod error;
mod identity;
mod incoming;
mod keys;
mod pair;
mod server;
#[cfg(test)]
mod tests;

pub use acme::{Acme, LETS_ENCRYPT};
pub use client::http_client;
pub use error::Error;
pub use identity::{ClientCertificate, certificate_of, identity_of, peer_of};
pub use incoming::{Accept, Accepted, Incoming};
pub use pair::Pair;
pub use server::{Certificates, Clients, Options, Server};

/// Makes ring the cryptography of every library of this process that does not name one. Twice does no harm.
pub fn install() {
    // Fails only if there is one already, which then is the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}
