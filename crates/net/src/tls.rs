//! TLS with the certificates that the system trusts.

use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Connections to whoever the system's certificates vouch for. Reading them takes some milliseconds.
pub fn connector() -> TlsConnector {
    trusting(of_the_system())
}

fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of the system cannot be read");
    }
    let (trusted, _broken) = roots.add_parsable_certificates(found.certs);
    if trusted == 0 {
        tracing::warn!("the system trusts no certificate: no HTTPS request will succeed");
    }
    roots
}

/// Connections to whoever these vouch for.
///
/// # Panics
///
/// Never: the provider has the default versions.
pub fn trusting(roots: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
