use std::collections::HashSet;

use futures_util::stream::unfold;
use iroh::{EndpointAddr, RelayUrl, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::{Endpoint, Listen, RelayPass, RelayState, Relays};

/// A relay on loopback, without TLS.
struct Served {
    relay: Relay,
    address: SocketAddr,
    stop: CancellationToken,
    serving: AbortOnDropHandle<()>,
}

impl Served {
    async fn new(guests: Guests, patience: Duration) -> Self {
        let relay = Relay::with_patience(guests, None, patience);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals = unfold(listener, async |listener| {
            let accepted = listener.accept().await;
            Some((accepted.map(|(stream, _)| Arrival::Plain(stream)), listener))
        });
        let stop = CancellationToken::new();
        let (serving, until) = (relay.clone(), stop.clone());
        let serving = tokio::spawn(async move { serving.serve(arrivals, until).await });
        Self {
            relay,
            address,
            stop,
            serving: AbortOnDropHandle::new(serving),
        }
    }

    fn url(&self) -> RelayUrl {
        format!("http://{}", self.address).parse().unwrap()
    }

    async fn endpoint(&self, key: SecretKey, secret: Option<&str>) -> Endpoint {
        let listen = Listen {
            addresses: vec![([127, 0, 0, 1], 0).into()],
            relays: Relays {
                urls: vec![self.url()],
                pass: RelayPass {
                    secret: secret.map(str::to_owned),
                    authorities: Vec::new(),
                },
            },
            ..Listen::default()
        };
        Endpoint::bind(key, &listen).await.unwrap()
    }
}

fn guests() -> Guests {
    Guests {
        allowed: HashSet::new(),
        secret: Some("open-sesame".to_owned()),
    }
}

async fn state(endpoint: &Endpoint, wanted: impl Fn(&RelayState) -> bool) -> RelayState {
    let looking = async {
        loop {
            match endpoint.relay_state() {
                Some(state) if wanted(&state) => return state,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(60), looking).await;
    looked.unwrap_or_else(|_| panic!("it never came; it is {:?}", endpoint.relay_state()))
}

fn is_connected(state: &RelayState) -> bool {
    matches!(state, RelayState::Connected(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_know_nothing_of_each_other_but_the_relay_meet() {
    let served = Served::new(guests(), PATIENCE).await;
    let called = served.endpoint(SecretKey::generate(), Some("open-sesame")).await;
    state(&called, is_connected).await;
    let caller = served.endpoint(SecretKey::generate(), Some("open-sesame")).await;
    let accepting = called.clone();
    let accepted = tokio::spawn(async move { accepting.0.accept().await.unwrap().await.unwrap() });
    let there = EndpointAddr::new(called.id()).with_relay_url(served.url());
    let connection = caller.dial(&there).await.unwrap();
    let answered = accepted.await.unwrap();
    assert_eq!(answered.remote_id(), caller.id());
    assert_eq!(connection.remote_id(), called.id());
    let carried = served.relay.carried();
    assert_eq!(carried.connected, 2);
    assert!(carried.received > 1000 && carried.sent > 1000, "{carried:?}");
    // Both are told when it stops, and it waits for that.
    served.stop.cancel();
    served.serving.await.unwrap();
    state(&called, |state| !is_connected(state)).await;
    called.close().await;
    caller.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_neither_is_on_the_list_nor_shows_the_secret_is_told_so() {
    let known = SecretKey::generate();
    let guests = Guests {
        allowed: HashSet::from([known.public()]),
        ..guests()
    };
    let served = Served::new(guests, PATIENCE).await;
    let listed = served.endpoint(known, None).await;
    state(&listed, is_connected).await;
    for wrong in [None, Some("sesame")] {
        let stranger = served.endpoint(SecretKey::generate(), wrong).await;
        let told = state(&stranger, |state| {
            format!("{state:?}").contains("was not shown its secret")
        })
        .await;
        assert!(!is_connected(&told));
        stranger.close().await;
    }
    assert_eq!(served.relay.carried().connected, 1);
    listed.close().await;
    // Their places are free again.
    let waited = async {
        while served.relay.carried().connected > 0 || served.relay.0.places.available_permits() < CONNECTIONS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap();
}

#[tokio::test]
async fn whoever_never_says_who_they_are_is_cut_off() {
    let served = Served::new(guests(), Duration::from_millis(200)).await;
    let upgrade = "GET /relay HTTP/1.1\r\nHost: relay\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                   Sec-WebSocket-Protocol: iroh-relay-v1,iroh-relay-v2\r\nx-helve-connection: 77\r\n\r\n";
    for (says, answer) in [("", ""), ("GET /rel", ""), (upgrade, "101 Switching Protocols")] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(says.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        // Ends when the relay ends it.
        let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut heard)).await;
        read.expect("it is cut off").ok();
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.contains(answer), "{says:?}: {heard}");
    }
    assert_eq!(served.relay.0.places.available_permits(), CONNECTIONS);
}
