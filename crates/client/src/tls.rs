//! Whom to trust: the certificates of the system, or those that were named.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Trusts what the PEM text holds, or what the system trusts when there is none.
pub(crate) fn config(authorities: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let roots = match authorities {
        Some(pem) => named(pem)?,
        None => of_the_system(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn named(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| Error::Setup(format!("a certificate cannot be read: {error}")))?;
        let added = roots.add(certificate);
        added.map_err(|error| Error::Setup(format!("a certificate cannot be trusted: {error}")))?;
    }
    match roots.is_empty() {
        true => Err(Error::Setup(
            "there is no certificate in it: it is to be PEM".to_owned(),
        )),
        false => Ok(roots),
    }
}

fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_trusts_nobody_and_says_so() {
        assert!(matches!(config(Some(b"not a certificate")), Err(Error::Setup(_))));
    }
}
