//! One side of the mesh: a key, and the sockets it is reached at.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use iroh::endpoint::{Connection, NetReportConfig, QuicTransportConfig, VarInt, presets};
use iroh::{EndpointAddr, EndpointId, RelayMode, RelayUrl, SecretKey, TransportAddr};

use crate::error::Error;

/// What both sides speak. A later version that is not understood by this one gets another name.
const ALPN: &[u8] = b"helve/mesh/1";
/// How long a node may take to answer: one that drops packets says nothing at all.
const DIAL: Duration = Duration::from_secs(10);
/// Bytes on their way in one stream, and in all of a connection: enough for a gigabit over a round trip of 100 ms.
const STREAM_WINDOW: u32 = 16 << 20;
const WINDOW: u32 = 48 << 20;
/// A side that says nothing for so long is gone, and is called again: it may be another node by then.
const SILENCE: Duration = Duration::from_secs(12);
/// Streams that one side may have opened to the other: connections of gRPC and HTTP, and blobs under way.
const STREAMS: u32 = 256;

/// Which relays may carry what cannot go directly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Relays {
    /// None: endpoints reach each other directly, or not at all.
    #[default]
    None,
    /// These, and no others.
    Own(Vec<RelayUrl>),
}

/// Where an endpoint is reached.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// Addresses of this machine, one of IPv4 and one of IPv6 at most; port 0 is any free one.
    pub addresses: Vec<SocketAddr>,
    /// Addresses that lead here from elsewhere, such as those of a router that forwards a port.
    pub external: Vec<SocketAddr>,
    /// Who else may carry what is said. Nobody else can read it.
    pub relays: Relays,
}

/// An endpoint. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Endpoint(pub(crate) iroh::Endpoint);

impl Endpoint {
    /// Opens the sockets. Nobody is contacted but the relays that are named.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound.
    pub async fn bind(key: SecretKey, listen: &Listen) -> Result<Self, Error> {
        let failed = |address: &dyn ToString, reason: &dyn ToString| Error::Bind {
            address: address.to_string(),
            reason: reason.to_string(),
        };
        let relays = match &listen.relays {
            Relays::None => RelayMode::Disabled,
            Relays::Own(urls) => RelayMode::custom(urls.iter().cloned()),
        };
        let transport = QuicTransportConfig::builder()
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(WINDOW.into())
            .send_window(WINDOW.into())
            .max_concurrent_bidi_streams(STREAMS.into())
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .max_idle_timeout(Some(SILENCE.try_into().expect("a few seconds")))
            .keep_alive_interval(SILENCE / 3)
            .build();
        let mut builder = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(key)
            .alpns(vec![ALPN.to_vec()])
            .relay_mode(relays)
            .net_report_config(NetReportConfig::minimal())
            .transport_config(transport)
            // Else sockets on all addresses stay bound.
            .clear_ip_transports();
        for address in &listen.addresses {
            builder = builder.bind_addr(*address).map_err(|error| failed(address, &error))?;
        }
        for address in &listen.external {
            builder = builder.external_addr(*address);
        }
        let all = || {
            let addresses: Vec<_> = listen.addresses.iter().map(ToString::to_string).collect();
            addresses.join(", ")
        };
        let endpoint = builder.bind().await.map_err(|error| failed(&all(), &error))?;
        Ok(Self(endpoint))
    }

    /// Who this is.
    pub fn id(&self) -> EndpointId {
        self.0.id()
    }

    /// The key that proves it.
    pub fn secret(&self) -> SecretKey {
        self.0.secret_key().clone()
    }

    /// What others have to know to reach it now.
    pub fn address(&self) -> EndpointAddr {
        self.0.addr()
    }

    /// The ports that are open here.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        self.0.bound_sockets()
    }

    /// Calls an endpoint. That it answered does not mean that it lets this one in.
    pub(crate) async fn dial(&self, node: &EndpointAddr) -> Result<Connection, Error> {
        let called = tokio::time::timeout(DIAL, self.0.connect(node.clone(), ALPN)).await;
        match called {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Error::Unreachable(format!("{}: {error}", named(node)))),
            Err(_) => Err(Error::Unreachable(format!(
                "{}: no answer within {} s",
                named(node),
                DIAL.as_secs()
            ))),
        }
    }

    /// Says goodbye to everybody.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

/// A node for people: where it is, and the beginning of its id.
fn named(node: &EndpointAddr) -> String {
    let places: Vec<String> = node
        .addrs
        .iter()
        .map(|address| match address {
            TransportAddr::Ip(address) => address.to_string(),
            TransportAddr::Relay(url) => format!("relay {url}"),
            other => other.to_string(),
        })
        .collect();
    let id = node.id.fmt_short();
    match places.is_empty() {
        true => format!("{id} (without an address)"),
        false => format!("{id} at {}", places.join(", ")),
    }
}

/// The key in this file, which is made when it is not there. Whoever can read the file can be this endpoint, so only its owner may.
///
/// # Errors
///
/// When the file cannot be read or made, or holds something else.
pub fn read_key(path: &Path) -> Result<SecretKey, Error> {
    let failed = |action| {
        move |source| Error::Key {
            action,
            path: path.display().to_string(),
            source,
        }
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            let broken = || io::Error::new(io::ErrorKind::InvalidData, "it holds something else");
            text.trim().parse().map_err(|_| broken()).map_err(failed("read"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = SecretKey::generate();
            write_private(path, &data_encoding::HEXLOWER.encode(&key.to_bytes())).map_err(failed("write"))?;
            // Of two that begin at once, one has won.
            let text = fs::read_to_string(path).map_err(failed("read"))?;
            text.trim()
                .parse()
                .map_err(|_| io::ErrorKind::InvalidData.into())
                .map_err(failed("read"))
        }
        Err(error) => Err(failed("read")(error)),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Private from its first byte on, and whole when it gets its name.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/mesh.key");
        let key = read_key(&path).unwrap();
        assert_eq!(read_key(&path).unwrap().to_bytes(), key.to_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "nonsense").unwrap();
        let refused = read_key(&path).unwrap_err().to_string();
        assert!(
            refused.contains("mesh.key") && !refused.contains("nonsense"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn only_the_named_addresses_are_bound() {
        let listen = Listen {
            addresses: vec![([127, 0, 0, 1], 0).into()],
            ..Listen::default()
        };
        let endpoint = Endpoint::bind(SecretKey::generate(), &listen).await.unwrap();
        let sockets = endpoint.sockets();
        assert!(sockets.iter().all(|address| address.ip().is_loopback()), "{sockets:?}");
        let taken = Listen {
            addresses: sockets,
            ..Listen::default()
        };
        let refused = Endpoint::bind(SecretKey::generate(), &taken).await.unwrap_err();
        assert!(refused.to_string().contains("127.0.0.1:"), "{refused}");
        endpoint.close().await;
    }
}
