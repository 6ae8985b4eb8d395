//! The certificate of now, for every handshake.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::acme::PROTOCOL;

/// What handshakes are done with. It may change between two of them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    certificate: RwLock<Option<Arc<CertifiedKey>>>,
    /// What proves to an authority that a name is ours, by the name.
    proofs: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Keys {
    pub(crate) fn set(&self, certificate: CertifiedKey) {
        let mut current = self.certificate.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(certificate));
    }

    pub(crate) fn are_there(&self) -> bool {
        let current = self.certificate.read().unwrap_or_else(PoisonError::into_inner);
        current.is_some()
    }

    pub(crate) fn prove(&self, domain: String, proof: CertifiedKey) {
        let mut proofs = self.proofs.write().unwrap_or_else(PoisonError::into_inner);
        proofs.insert(domain, Arc::new(proof));
    }

    pub(crate) fn clear_proofs(&self) {
        self.proofs.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_proof = hello.alpn().is_some_and(|mut protocols| {
            let first = protocols.next();
            first == Some(PROTOCOL) && protocols.next().is_none()
        });
        if is_proof {
            let proofs = self.proofs.read().unwrap_or_else(PoisonError::into_inner);
            return proofs.get(&hello.server_name()?.to_ascii_lowercase()).cloned();
        }
        self.certificate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
