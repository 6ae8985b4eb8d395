//! A certificate with its key, as files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore};

use crate::error::Error;
use crate::identity::validity;

/// No chain and no key is larger.
const LARGEST: u64 = 1 << 20;

/// The files of a certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, and after it those that lead to a root.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// What the files of a pair held.
#[derive(PartialEq, Eq)]
pub(crate) struct PairText {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    pub(crate) fn read(&self) -> Result<PairText, Error> {
        Ok(PairText {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    /// Makes of the text what connections are made with.
    pub(crate) fn certified(&self, text: &PairText) -> Result<CertifiedKey, Error> {
        let chain = certificates(&self.certificate, &text.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&text.key).map_err(|error| {
            let encrypted = text.key.windows(9).any(|word| word == b"ENCRYPTED");
            Error::content(
                &self.key,
                match error {
                    pem::Error::NoItemsFound if encrypted => {
                        "holds an encrypted key: write it without a password".into()
                    }
                    pem::Error::NoItemsFound => "holds no private key in PEM".into(),
                    error => format!("is not PEM: {error}"),
                },
            )
        })?;
        check_time(&self.certificate, &chain[0])?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Error::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
            },
            error => Error::content(&self.key, format!("cannot be used: {error}")),
        })
    }
}

/// A certificate that has ended is no reason to refuse to start: who relies on it sees it, and the log says why.
fn check_time(path: &Path, leaf: &CertificateDer<'_>) -> Result<(), Error> {
    let (begins, ends) =
        validity(leaf).ok_or_else(|| Error::content(path, "holds a certificate that cannot be read"))?;
    let (now, path) = (SystemTime::now(), path.display());
    if ends <= now {
        tracing::warn!("the certificate in {path} has expired: clients will refuse it");
    } else if begins > now {
        tracing::warn!("the certificate in {path} is not valid yet: clients will refuse it");
    }
    Ok(())
}

/// The certificates of a file of PEM, one at least.
pub(crate) fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Error::content(path, "holds no certificate in PEM")),
        Ok(all) => Ok(all),
        Err(error) => Err(Error::content(path, format!("is not PEM: {error}"))),
    }
}

/// Certificates to be trusted.
pub(crate) fn roots(path: &Path, text: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, text)? {
        roots
            .add(certificate)
            .map_err(|error| Error::content(path, format!("holds a certificate that cannot be trusted: {error}")))?;
    }
    Ok(roots)
}

/// A small file, whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::Read {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(failed)?;
    let mut text = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(failed)?;
    match text.len() as u64 > LARGEST {
        true => Err(Error::content(
            path,
            "is larger than 1 MiB, and so no certificate or key",
        )),
        false => Ok(text),
    }
}
