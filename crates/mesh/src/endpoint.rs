//! One side of the mesh: a key, and the sockets it is reached at.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iroh::dns::DnsResolver;
use iroh::endpoint::{Connection, NetReportConfig, QuicTransportConfig, VarInt, presets};
use iroh::{EndpointAddr, EndpointId, RelayUrl, SecretKey, TransportAddr, Watcher};

use crate::error::Error;
use crate::relays::Relays;

/// What both sides speak. A later version that is not understood by this one gets another name.
const ALPN: &[u8] = b"helve/mesh/1";
/// How long a node may take to answer: one that drops packets says nothing at all.
const DIAL: Duration = Duration::from_secs(10);
/// How long a trouble with a relay lasts before it is one.
const SETTLES: Duration = Duration::from_secs(5);
/// Bytes on their way in one stream: 15 MB/s over a round trip of 100 ms.
///
/// Not more, since QUIC keeps what has come but was not read as the packets' contents, and ends the connection when those are
/// more than 2048 (<https://github.com/quinn-rs/quinn/issues/2809>): a reader that is slow for a moment must never come to that,
/// even where packets are half full.
const STREAM_WINDOW: u32 = 3 << 19;
/// In all streams of a connection: enough for a gigabit over the same.
const WINDOW: u32 = 16 << 20;
/// A side that says nothing for so long is gone, and is called again: it may be another node by then.
const SILENCE: Duration = Duration::from_secs(12);
/// Streams that one side may have opened to the other: connections of gRPC and HTTP, and blobs under way.
const STREAMS: u32 = 256;

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
pub struct Endpoint(pub(crate) iroh::Endpoint, Arc<Relays>);

/// How it stands with the relays of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// This one carries what comes for the endpoint.
    Connected(RelayUrl),
    /// None does, and why.
    Trouble(String),
}

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
        let mut report = NetReportConfig::minimal();
        // Where UDP is blocked this is how it is found out that a relay is there. Only relays that are named are asked.
        report.https_probes = !listen.relays.urls.is_empty();
        // Else public name servers are asked when the system's do not answer.
        let names = DnsResolver::builder().with_system_defaults().disable_fallback().build();
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
            .relay_mode(listen.relays.mode())
            .ca_tls_config(listen.relays.pass.trust())
            .dns_resolver(names)
            .net_report_config(report)
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
        Ok(Self(endpoint, Arc::new(listen.relays.clone())))
    }

    /// Who this is.
    pub fn id(&self) -> EndpointId {
        self.0.id()
    }

    /// The key that proves it.
    pub fn secret(&self) -> SecretKey {
        self.0.secret_key().clone()
    }

    /// What others have to know to reach it now: its addresses, and all of its relays, also before one is connected.
    pub fn address(&self) -> EndpointAddr {
        let relays = self.1.urls.iter().cloned();
        relays.fold(self.0.addr(), EndpointAddr::with_relay_url)
    }

    /// What opens its relays.
    pub fn relays(&self) -> &Relays {
        &self.1
    }

    /// How it stands with its relays; none: it has none.
    pub fn relay_state(&self) -> Option<RelayState> {
        if self.1.urls.is_empty() {
            return None;
        }
        let all = self.0.home_relay_status().get();
        if let Some(connected) = all.iter().find(|relay| relay.is_connected()) {
            return Some(RelayState::Connected(connected.url().clone()));
        }
        let named: Vec<_> = self.1.urls.iter().map(ToString::to_string).collect();
        let trouble = all.iter().find_map(|relay| {
            let reason = match relay.auth_denied_reason() {
                Some(reason) => reason.to_owned(),
                None => relay.last_error()?.to_string(),
            };
            Some(format!("{}: {reason}", relay.url()))
        });
        Some(RelayState::Trouble(trouble.unwrap_or_else(|| {
            format!(
                "{}: no answer, or a certificate of somebody who is not trusted",
                named.join(", ")
            )
        })))
    }

    /// Says how it stands with its relays whenever that changes, for ever.
    pub async fn watch_relays(&self, mut tell: impl FnMut(&RelayState)) {
        let mut changes = self.0.home_relay_status();
        let mut told = None;
        loop {
            // Most troubles are over before anybody could read of them.
            let settled = tokio::time::timeout(SETTLES, changes.updated()).await;
            let now = self.relay_state();
            let is_good = matches!(now, Some(RelayState::Connected(_)));
            if now != told && (settled.is_err() || is_good) {
                if let Some(state) = &now {
                    tell(state);
                }
                told = now;
            }
            if matches!(settled, Ok(Err(_))) {
                return;
            }
        }
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
            Err(_) => {
                let relays = match self.relay_state() {
                    Some(RelayState::Trouble(trouble)) => format!(" (relay {trouble})"),
                    _ => String::new(),
                };
                Err(Error::Unreachable(format!(
                    "{}: no answer within {} s{relays}",
                    named(node),
                    DIAL.as_secs()
                )))
            }
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

pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
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
