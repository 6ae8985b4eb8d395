//! Who a certificate names.

use std::time::SystemTime;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tonic::codegen::http::Extensions;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The address that a call over TLS comes from, by what its connection left in the extensions.
pub fn peer_of(extensions: &Extensions) -> Option<std::net::IpAddr> {
    let info = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?;
    info.get_ref().remote_addr.map(|address| address.ip())
}

/// The names in the certificate of a client, which was verified in the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientCertificate {
    /// The common name of the subject.
    pub common_name: Option<String>,
    /// Its alternative names that are URIs, such as `spiffe://example.org/worker`.
    pub uris: Vec<String>,
    /// Those that are e-mail addresses.
    pub emails: Vec<String>,
    /// Those that are host names.
    pub hosts: Vec<String>,
}

impl ClientCertificate {
    /// All names with their kinds, the most telling first: `uri:`, `email:`, `dns:`, `cn:`. A name of one kind is never taken
    /// for one of another.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let kinds = [("uri", &self.uris), ("email", &self.emails), ("dns", &self.hosts)];
        let alternative = kinds
            .into_iter()
            .flat_map(|(kind, names)| names.iter().map(move |name| format!("{kind}:{name}")));
        alternative.chain(self.common_name.iter().map(|name| format!("cn:{name}")))
    }

    /// Reads the names; none when it is no certificate, or when a name in it could be mistaken for another.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let subject = certificate.tbs_certificate();
        let mut found = ClientCertificate {
            common_name: subject
                .subject()
                .common_name()
                .ok()?
                .map(|name| name.value().into_owned()),
            ..ClientCertificate::default()
        };
        let names = subject.get_extension::<SubjectAltName>().ok()?;
        for name in names.map(|(_, names)| names.0).unwrap_or_default() {
            match name {
                GeneralName::UniformResourceIdentifier(name) => found.uris.push(name.to_string()),
                GeneralName::Rfc822Name(name) => found.emails.push(name.to_string()),
                GeneralName::DnsName(name) => found.hosts.push(name.to_string()),
                _ => {}
            }
        }
        let is_plain = |name: String| !name.is_empty() && !name.chars().any(char::is_control);
        let is_good = found.names().all(is_plain);
        is_good.then_some(found)
    }
}

/// The certificate that the caller of this gRPC request was verified by; none if there was none.
pub fn certificate_of(extensions: &Extensions) -> Option<ClientCertificate> {
    let connection = extensions.get::<TlsConnectInfo<TcpConnectInfo>>()?;
    ClientCertificate::read(connection.peer_certs()?.first()?)
}

/// Who the caller of this gRPC request is by their verified certificate, in one word with its kind: the first of
/// [`ClientCertificate::names`].
pub fn identity_of(extensions: &Extensions) -> Option<String> {
    certificate_of(extensions)?.names().next()
}

/// The host names that a certificate is for.
pub(crate) fn hosts(der: &CertificateDer<'_>) -> Vec<String> {
    ClientCertificate::read(der).map(|read| read.hosts).unwrap_or_default()
}

/// From when until when a certificate is good.
pub(crate) fn validity(der: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some((
        validity.not_before.to_system_time(),
        validity.not_after.to_system_time(),
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common_name: &str, names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        params.subject_alt_names = names;
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        made.der().to_vec()
    }

    #[test]
    fn all_names_are_read_with_their_kinds_the_most_telling_first() {
        let der = certificate(
            "worker 7",
            vec![
                SanType::DnsName("worker.example".try_into().unwrap()),
                SanType::Rfc822Name("worker@example.org".try_into().unwrap()),
                SanType::URI("spiffe://example.org/worker".try_into().unwrap()),
            ],
        );
        let names: Vec<_> = ClientCertificate::read(&der).unwrap().names().collect();
        let wanted = [
            "uri:spiffe://example.org/worker",
            "email:worker@example.org",
            "dns:worker.example",
            "cn:worker 7",
        ];
        assert_eq!(names, wanted);
    }

    #[test]
    fn a_common_name_alone_is_enough_and_cannot_pose_as_another_kind() {
        let read = ClientCertificate::read(&certificate("uri:spiffe://example.org/admin", vec![])).unwrap();
        assert_eq!(
            read.names().next().as_deref(),
            Some("cn:uri:spiffe://example.org/admin")
        );
    }

    #[test]
    fn what_names_nobody_or_hides_something_names_nobody() {
        assert_eq!(
            ClientCertificate::read(&certificate("", vec![]))
                .unwrap()
                .names()
                .next(),
            None
        );
        assert!(ClientCertificate::read(&certificate("admin\0.evil.example", vec![])).is_none());
        assert!(ClientCertificate::read(b"no certificate").is_none());
    }
}
