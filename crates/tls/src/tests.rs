//! Handshakes with real clients: who gets in, what changes while the server runs, and who cannot be in the way.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, version};
use tonic::transport::server::Connected;

use crate::incoming::Bounds;
use crate::server::For;
use crate::{Certificates, Clients, Error, Incoming, Options, Pair, Server, certificate_of, identity_of};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// Certificate and key in PEM.
    fn sign(&self, name: &str, names: Vec<SanType>) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn server(&self) -> (String, String) {
        self.sign("helve", vec![SanType::DnsName("helve.test".try_into().unwrap())])
    }
}

/// A folder with the files of a server.
struct Files {
    dir: TempDir,
    authority: Authority,
}

impl Files {
    fn new() -> Self {
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
        };
        files.write_pair(&files.authority.server());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_pair(&self, (certificate, key): &(String, String)) {
        fs::write(self.path("cert.pem"), certificate).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    fn options(&self) -> Options {
        Options {
            certificates: Certificates::Files(Pair {
                certificate: self.path("cert.pem"),
                key: self.path("key.pem"),
            }),
            clients: None,
        }
    }

    fn asking(&self, authority: &Authority, required: bool) -> Options {
        fs::write(self.path("clients.pem"), authority.pem()).unwrap();
        Options {
            clients: Some(Clients {
                authorities: self.path("clients.pem"),
                required,
            }),
            ..self.options()
        }
    }

    fn open(&self) -> Server {
        Server::open(self.options()).unwrap()
    }
}

/// A client that trusts an authority, and perhaps shows a certificate.
fn client(trusted: &Authority, shown: Option<&(String, String)>, protocol: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

async fn connect(address: SocketAddr, config: ClientConfig) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("helve.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Says something and waits for what comes back. With TLS 1.3 a client learns only so that it was refused.
async fn talk(address: SocketAddr, config: ClientConfig) -> io::Result<String> {
    let mut stream = connect(address, config).await?;
    stream.write_all(b"x").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Answers each connection with who it is, by what a gRPC service finds in its request.
fn answer(mut incoming: Incoming) {
    tokio::spawn(async move {
        while let Some(Ok((mut stream, peer))) = incoming.next().await {
            tokio::spawn(async move {
                let mut extensions = tonic::codegen::http::Extensions::new();
                let info = stream.connect_info();
                assert_eq!(info.get_ref().remote_addr(), Some(peer));
                extensions.insert(info);
                let name = identity_of(&extensions).unwrap_or_else(|| "nobody".to_owned());
                assert_eq!(certificate_of(&extensions).is_some(), name != "nobody");
                let _ = stream.read_u8().await;
                let _ = stream.write_all(name.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_with_the_protocol_of_the_listener() {
    let files = Files::new();
    let server = files.open();
    for (wanted, protocol) in [(For::Http, &b"http/1.1"[..]), (For::Grpc, b"h2")] {
        let (listener, address) = listen().await;
        answer(Incoming::new(listener, server.clone(), wanted, Bounds::default()));
        for version in [&version::TLS12, &version::TLS13] {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_slice(files.authority.pem().as_bytes()).unwrap())
                .unwrap();
            let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            let stream = connect(address, config).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        }
        let other = client(&files.authority, None, b"spdy/1");
        assert!(connect(address, other).await.is_err(), "a protocol that is not spoken");
        let stranger = client(&Authority::new(), None, protocol);
        assert!(
            connect(address, stranger).await.is_err(),
            "an authority of somebody else"
        );
    }
}

#[tokio::test]
async fn new_files_are_used_for_the_next_connection_and_broken_ones_never() {
    let files = Files::new();
    let server = files.open();
    let (listener, address) = listen().await;
    answer(server.http(listener));
    let old = client(&files.authority, None, b"http/1.1");
    assert_eq!(talk(address, old.clone()).await.unwrap(), "nobody");
    assert!(!server.look_again().unwrap(), "nothing changed");

    // Half of a new pair: refused once, and the old one goes on.
    let other = Authority::new();
    let (certificate, key) = other.server();
    fs::write(files.path("cert.pem"), &certificate).unwrap();
    let error = server.look_again().unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    assert!(!server.look_again().unwrap(), "it is told of once");
    assert_eq!(talk(address, old.clone()).await.unwrap(), "nobody");

    // The other half.
    fs::write(files.path("key.pem"), &key).unwrap();
    assert!(server.look_again().unwrap());
    assert_eq!(
        talk(address, client(&other, None, b"http/1.1")).await.unwrap(),
        "nobody"
    );
    assert!(talk(address, old).await.is_err(), "the old certificate is gone");

    fs::remove_file(files.path("key.pem")).unwrap();
    assert!(matches!(server.look_again(), Err(Error::Read { .. })));
    assert_eq!(
        talk(address, client(&other, None, b"http/1.1")).await.unwrap(),
        "nobody"
    );
}

#[tokio::test]
async fn only_who_the_authority_of_clients_vouches_for_gets_in_and_is_named() {
    let files = Files::new();
    let (clients, others) = (Authority::new(), Authority::new());
    let uri = |name: &str| vec![SanType::URI(name.try_into().unwrap())];
    let good = clients.sign("worker", uri("spiffe://helve.test/worker"));
    let forged = others.sign("worker", uri("spiffe://helve.test/worker"));
    for required in [true, false] {
        let server = Server::open(files.asking(&clients, required)).unwrap();
        let (listener, address) = listen().await;
        answer(server.grpc(listener));
        let as_whom = |shown| talk(address, client(&files.authority, shown, b"h2"));
        assert_eq!(as_whom(Some(&good)).await.unwrap(), "uri:spiffe://helve.test/worker");
        assert!(as_whom(Some(&forged)).await.is_err(), "somebody else's authority");
        match required {
            true => assert!(as_whom(None).await.is_err(), "no certificate"),
            false => assert_eq!(as_whom(None).await.unwrap(), "nobody"),
        }
        // HTTP clients are not asked.
        let (listener, address) = listen().await;
        answer(server.http(listener));
        let config = client(&files.authority, None, b"http/1.1");
        assert_eq!(talk(address, config).await.unwrap(), "nobody");
    }
}

#[tokio::test]
async fn an_authority_of_clients_that_is_taken_away_lets_nobody_in_any_more() {
    let files = Files::new();
    let (before, after) = (Authority::new(), Authority::new());
    let server = Server::open(files.asking(&before, true)).unwrap();
    let (listener, address) = listen().await;
    answer(server.grpc(listener));
    let shown = before.sign("worker", vec![]);
    // With one configuration, so that it would resume its session if it could.
    let config = client(&files.authority, Some(&shown), b"h2");
    assert_eq!(talk(address, config.clone()).await.unwrap(), "cn:worker");
    fs::write(files.path("clients.pem"), after.pem()).unwrap();
    assert!(server.look_again().unwrap());
    assert!(talk(address, config).await.is_err());
}

#[tokio::test]
async fn clients_that_stall_are_in_nobodys_way_and_are_sent_away() {
    let files = Files::new();
    let bounds = Bounds {
        handshakes: 4,
        within: Duration::from_secs(3600),
        ..Bounds::default()
    };
    let (listener, address) = listen().await;
    answer(Incoming::new(listener, files.open(), For::Http, bounds));
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(TcpStream::connect(address).await.unwrap());
        let config = client(&files.authority, None, b"http/1.1");
        assert_eq!(talk(address, config).await.unwrap(), "nobody");
    }
    // The first of them had to give way long before its time.
    let mut first = stalled.swap_remove(0);
    assert_eq!(first.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let files = Files::new();
    let bounds = Bounds {
        within: Duration::from_millis(20),
        ..Bounds::default()
    };
    let (listener, address) = listen().await;
    answer(Incoming::new(listener, files.open(), For::Http, bounds));
    let mut stalled = TcpStream::connect(address).await.unwrap();
    assert_eq!(stalled.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn connections_that_nobody_takes_hold_further_ones_back() {
    let files = Files::new();
    let bounds = Bounds {
        waiting: 2,
        ..Bounds::default()
    };
    let (listener, address) = listen().await;
    let mut incoming = Incoming::new(listener, files.open(), For::Http, bounds);
    let config = client(&files.authority, None, b"http/1.1");
    let clients: Vec<_> = (0..12)
        .map(|_| tokio::spawn(connect(address, config.clone())))
        .collect();
    // None is lost for it: all come in as they are taken.
    for _ in 0..12 {
        incoming.next().await.unwrap().unwrap();
    }
    for client in clients {
        client.await.unwrap().unwrap();
    }
}

#[test]
fn files_that_are_not_what_they_should_be_are_told_apart() {
    let files = Files::new();
    let (certificate, key) = files.authority.server();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let huge = "x".repeat((1 << 20) + 1);
    for (pair, says) in [
        ((String::new(), key.clone()), "cert.pem holds no certificate"),
        ((key.clone(), key.clone()), "cert.pem holds no certificate"),
        (
            (certificate.clone(), certificate.clone()),
            "key.pem holds no private key",
        ),
        ((certificate.clone(), encrypted), "holds an encrypted key"),
        (
            (certificate.clone(), files.authority.server().1),
            "does not belong to the certificate",
        ),
        ((huge, key), "is larger than 1 MiB"),
    ] {
        files.write_pair(&pair);
        let error = Server::open(files.options()).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
    files.write_pair(&files.authority.server());
    fs::write(files.path("clients.pem"), "").unwrap();
    let options = Options {
        clients: Some(Clients {
            authorities: files.path("clients.pem"),
            required: true,
        }),
        ..files.options()
    };
    let error = Server::open(options).err().unwrap().to_string();
    assert!(error.contains("clients.pem holds no certificate"), "{error}");
}
