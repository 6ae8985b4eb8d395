//! A control plane and its guests.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use helve_blobs::BlobStore;
use helve_mesh::blobs::Service;
use helve_mesh::{Answer, Asked, Door, Endpoint, EndpointAddr, EndpointId, Gate, Link, Listen, SecretKey};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const SECRET: &str = "open sesame";

/// Knows those who joined.
#[derive(Default)]
pub(crate) struct Known(Mutex<BTreeSet<EndpointId>>);

impl Known {
    pub(crate) fn let_in(&self, peer: EndpointId) {
        self.0.lock().unwrap().insert(peer);
    }

    pub(crate) fn shut_out(&self, peer: EndpointId) {
        self.0.lock().unwrap().remove(&peer);
    }
}

impl Door for Known {
    fn admits(&self, peer: EndpointId) -> Result<(), String> {
        match self.0.lock().unwrap().contains(&peer) {
            true => Ok(()),
            false => Err("nobody knows this endpoint".to_owned()),
        }
    }

    fn join(&self, peer: EndpointId, asked: Asked) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if self.admits(peer).is_err() && asked.secret.as_deref() != Some(SECRET) {
                return Answer::Refused("this is not the word".to_owned());
            }
            self.let_in(peer);
            Answer::Welcome {
                namespaces: None,
                verticals: None,
            }
        })
    }
}

/// Bytes that do not repeat, the same every time.
pub(crate) fn bytes(size: u64) -> Vec<u8> {
    (0..size / 8 + 1)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .take(size as usize)
        .collect()
}

/// A control plane whose engine says everything twice.
pub(crate) struct Plane {
    pub(crate) known: Arc<Known>,
    pub(crate) gate: Gate,
    pub(crate) endpoint: Endpoint,
    pub(crate) store: BlobStore,
    pub(crate) service: Service,
    dir: TempDir,
}

pub(crate) fn loopback() -> Listen {
    Listen {
        addresses: vec![([127, 0, 0, 1], 0).into()],
        ..Listen::default()
    }
}

impl Plane {
    pub(crate) async fn new() -> Self {
        let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await.unwrap();
        Self::of(endpoint, Arc::default(), tempfile::tempdir().unwrap())
    }

    fn of(endpoint: Endpoint, known: Arc<Known>, dir: TempDir) -> Self {
        let (gate, incoming) = Gate::open(&endpoint, Arc::clone(&known) as Arc<dyn Door>);
        let store = BlobStore::open(dir.path().join("blobs")).unwrap();
        let service = {
            let (known, coming) = (Arc::clone(&known), dir.path().join("coming"));
            let together = move |one, other| [one, other].into_iter().all(|endpoint| known.admits(endpoint).is_ok());
            Service::sharing(store.clone(), coming, endpoint.secret(), Box::new(together)).unwrap()
        };
        tokio::spawn(service.clone().serve(incoming.blobs));
        let mut streams = incoming.grpc;
        tokio::spawn(async move {
            while let Some(mut stream) = streams.recv().await {
                tokio::spawn(async move {
                    let mut bytes = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        let said = bytes[..read].repeat(2);
                        if stream.write_all(&said).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self {
            known,
            gate,
            endpoint,
            store,
            service,
            dir,
        }
    }

    /// Ends without a word, and begins anew under the same key and at the same address, knowing the same endpoints.
    pub(crate) async fn restart(self) -> Self {
        let Self {
            known,
            gate,
            endpoint,
            dir,
            ..
        } = self;
        let listen = Listen {
            addresses: endpoint.sockets(),
            ..Listen::default()
        };
        let key = endpoint.secret();
        gate.close().await;
        endpoint.close().await;
        drop(endpoint);
        // The sockets go with the last who holds them.
        let again = eventually("the address is free", async || {
            Endpoint::bind(key.clone(), &listen).await.ok()
        })
        .await;
        Self::of(again, known, dir)
    }

    pub(crate) fn address(&self) -> EndpointAddr {
        self.endpoint.address()
    }

    /// An endpoint that nobody knows yet.
    pub(crate) async fn stranger(&self) -> Link {
        let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await.unwrap();
        Link::new(endpoint, vec![self.address()])
    }

    /// One that is known.
    pub(crate) async fn guest(&self) -> Link {
        let link = self.stranger().await;
        self.known.let_in(link.id());
        link
    }
}

pub(crate) fn asked(secret: Option<&str>) -> Asked {
    Asked {
        secret: secret.map(str::to_owned),
        name: "a worker".to_owned(),
    }
}

/// Waits for a condition, and panics when it does not come.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("it never came: {what}"))
}
