//! The certificate of now, for every handshake.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// What handshakes are done with. It may change between two of them.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    certificate: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Keys {
    pub(crate) fn set(&self, certificate: CertifiedKey) {
        let mut current = self.certificate.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::new(certificate));
    }
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
