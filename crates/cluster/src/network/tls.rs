//! Mutual authentication by one secret.
//!
//! The secret is the seed of a certificate authority's key, so every node that has it can make the authority, and with it a
//! certificate for itself. Nobody else gets past the handshake: not a byte of a stranger is parsed here. Times are no part of
//! it: clocks may be wrong.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::types::NodeId;

const PREFIX: &str = "helve-cluster-";
/// An Ed25519 key in PKCS #8, before its 32 bytes.
const ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What all nodes of a cluster know, and nobody else. Its text is what an operator copies from one node to the next.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// The text is no cluster's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the secret of a cluster: it begins with `helve-cluster-`; copy it as a whole from a node that has it"
)]
pub struct BadSecret;

impl Secret {
    /// A new one, from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// When it has none to give.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Secret(bytes))
    }

    /// Another secret that all nodes can make of it, and nobody else: one for each purpose.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(&format!("helve cluster 2026-11 {purpose}"), &self.0)
    }

    /// The text of it: handle it as a password.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(BadSecret)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadSecret)?;
        Ok(Secret(bytes.try_into().map_err(|_| BadSecret)?))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Both sides of a node's TLS.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) connector: TlsConnector,
}

impl Tls {
    pub(crate) fn new(secret: &Secret, node: NodeId) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut key = ED25519.to_vec();
        key.extend(secret.0);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key), &rcgen::PKCS_ED25519)?;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "helve cluster");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        set_times(&mut authority);
        let root = authority.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(authority, key);

        let own_key = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let mut own = CertificateParams::new(vec![name_of(node), name_of(ANY)])?;
        set_times(&mut own);
        let chain = vec![own.signed_by(&own_key, &issuer)?.der().clone()];
        let own_key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own_key.serialize_der()));

        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), own_key.clone_key())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, own_key)?;
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }
}

/// Whichever node it is that listens there: every certificate has this name as well.
pub(crate) const ANY: NodeId = 0;

/// The name in a node's certificate. Who dials node 2 is not content with node 3.
pub(crate) fn name_of(node: NodeId) -> String {
    format!("node-{node}.helve-cluster")
}

pub(crate) fn server_name(node: NodeId) -> ServerName<'static> {
    ServerName::try_from(name_of(node)).expect("made of letters, digits, dots and dashes")
}

fn set_times(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(1975, 1, 1);
    params.not_after = date_time_ymd(4096, 1, 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_its_text_says_and_debugging_shows_nothing() {
        let secret = Secret::generate().unwrap();
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert!(!format!("{secret:?}").contains(&secret.reveal()[PREFIX.len()..]));
        for text in ["", "helve-cluster-", "helve-cluster-AAAA", &secret.reveal()[1..]] {
            assert_eq!(text.parse::<Secret>(), Err(BadSecret));
        }
    }
}
