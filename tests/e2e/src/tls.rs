//! Certificates of a test's own, and HTTP by TLS.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{Answer, read_answer};
use crate::process::LIMIT;

/// Somebody who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        Self(CertifiedIssuer::self_signed(params, key).expect("it can sign itself"))
    }

    /// Writes its own certificate.
    pub fn write(&self, file: &Path) {
        fs::write(file, self.0.as_ref().pem()).expect("a file can be written");
    }

    /// Writes a certificate and its key for these hosts and addresses as `NAME.pem` and `NAME.key`, and returns both paths.
    pub fn issue(&self, dir: &Path, name: &str, hosts: &[&str]) -> (PathBuf, PathBuf) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let signed = params.signed_by(&key, &self.0).expect("it can be signed");
        let files = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        fs::write(&files.0, signed.pem()).expect("a file can be written");
        fs::write(&files.1, key.serialize_pem()).expect("a file can be written");
        files
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Sends a `GET` by TLS to a server of this name that the authority in the file vouches for. The error is the handshake's.
pub fn get(
    address: &str,
    name: &str,
    authority: &Path,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, std::io::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).expect("the authority is in a file") {
        roots
            .add(certificate.expect("it is a certificate"))
            .expect("it can be trusted");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).expect("a name of a server");
    let connection = ClientConnection::new(Arc::new(config), server).expect("the configuration is good");
    let tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(LIMIT))?;
    let mut stream = StreamOwned::new(connection, tcp);
    let mut head = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    Ok(read_answer(stream))
}
