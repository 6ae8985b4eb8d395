//! Relays of one's own, as those see them who use them: where they are, and what opens them.

use std::io;
use std::path::Path;

use iroh::tls::CaTlsConfig;
use iroh::{RelayConfig, RelayMap, RelayMode, RelayUrl};
use iroh_relay::RelayQuicConfig;
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use crate::error::Error;

/// Bytes of certificates that are put into a ticket at most: it still is to be copied by people.
const MAX_AUTHORITIES: usize = 6 << 10;

/// Which relays may carry what cannot go directly. None but these are ever contacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relays {
    /// Where they are.
    pub urls: Vec<RelayUrl>,
    /// What opens them.
    pub pass: RelayPass,
}

/// What opens the relays of a server, for everybody who has its ticket.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayPass {
    /// What they ask for.
    pub secret: Option<String>,
    /// Who signs their certificates beside those whom everybody knows, as DER.
    pub authorities: Vec<Vec<u8>>,
}

/// Without the secret: what is debugged is logged.
impl std::fmt::Debug for RelayPass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayPass")
            .field("has_secret", &self.secret.is_some())
            .field("authorities", &self.authorities.len())
            .finish()
    }
}

impl RelayPass {
    /// Whether there is nothing to it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the secret of a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or holds nothing that can be shown.
    pub fn read_secret(&mut self, file: &Path) -> Result<(), Error> {
        self.secret = Some(read_secret(file)?);
        Ok(())
    }

    /// Reads the certificates of a file of PEM.
    ///
    /// # Errors
    ///
    /// When it cannot be read, holds none, or more than a ticket has room for.
    pub fn read_authorities(&mut self, file: &Path) -> io::Result<()> {
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let text = std::fs::read(file)?;
        let mut found = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|error| wrong(format!("it is not PEM: {error}")))?;
            found.push(certificate.as_ref().to_vec());
        }
        if found.is_empty() {
            return Err(wrong("it holds no certificate in PEM".to_owned()));
        }
        self.authorities.append(&mut found);
        match self.authorities.iter().map(Vec::len).sum::<usize>() > MAX_AUTHORITIES {
            true => Err(wrong(format!(
                "its certificates have more than {MAX_AUTHORITIES} bytes, which no ticket has room for: name the authority of \
                 the relay alone"
            ))),
            false => Ok(()),
        }
    }

    /// Whom a relay's certificate may come from.
    pub(crate) fn trust(&self) -> CaTlsConfig {
        let own = self.authorities.iter().cloned().map(CertificateDer::from);
        CaTlsConfig::embedded().with_extra_roots(own)
    }
}

impl Relays {
    pub(crate) fn mode(&self) -> RelayMode {
        if self.urls.is_empty() {
            return RelayMode::Disabled;
        }
        let relay = |url: &RelayUrl| {
            // Where a relay has a certificate, its UDP port of the same number tells endpoints how they look from there.
            let port = (url.scheme() == "https").then(|| url.port_or_known_default()).flatten();
            let config = RelayConfig::new(url.clone(), port.map(RelayQuicConfig::new));
            match &self.pass.secret {
                Some(secret) => config.with_auth_token(secret),
                None => config,
            }
        };
        RelayMode::Custom(RelayMap::from_iter(self.urls.iter().map(relay)))
    }
}

/// The secret of a relay in this file.
pub(crate) fn read_secret(path: &Path) -> Result<String, Error> {
    let failed = |action, source| Error::Secret {
        action,
        path: path.display().to_string(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed("read", error))?;
    let secret = text.trim();
    // It is shown in a header of HTTP.
    match secret.is_empty() || secret.chars().any(|letter| !letter.is_ascii_graphic()) {
        true => {
            let wrong = "it has to be one word of ASCII";
            Err(failed("use", io::Error::new(io::ErrorKind::InvalidData, wrong)))
        }
        false => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_no_authority() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let mut pass = RelayPass::default();
        for (text, says) in [
            ("nothing", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n", "not PEM"),
        ] {
            std::fs::write(&file, text).unwrap();
            let refused = pass.read_authorities(&file).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        assert!(pass.is_empty());
    }

    #[test]
    fn the_secret_of_a_relay_is_not_debugged() {
        let pass = RelayPass {
            secret: Some("open sesame".to_owned()),
            authorities: Vec::new(),
        };
        assert!(!format!("{pass:?}").contains("sesame"));
    }
}
