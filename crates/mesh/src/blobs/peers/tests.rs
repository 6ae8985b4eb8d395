use std::collections::BTreeSet;
use std::fs;

use futures_util::future::BoxFuture;
use iroh::SecretKey;

use super::super::fetch;
use super::super::grant::LASTS;
use super::super::messages;
use super::*;
use crate::endpoint::Listen;
use crate::gate::{Door, Gate};
use crate::join;

const PIECES: u64 = 5;

fn blob() -> Vec<u8> {
    (0..PIECES * PIECE / 8)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .collect()
}

async fn endpoint() -> Endpoint {
    let listen = Listen {
        addresses: vec![([127, 0, 0, 1], 0).into()],
        ..Listen::default()
    };
    Endpoint::bind(SecretKey::generate(), &listen).await.unwrap()
}

/// What an endpoint does when it is asked.
#[derive(Clone, Copy)]
enum Act {
    /// Sends all.
    Honest,
    /// Sends one piece, and then another one than the next.
    Lie,
    /// Sends one piece and goes.
    Die,
    /// Sends one piece and says nothing more.
    Stall,
    /// Has no time.
    Busy,
    /// Is not there.
    Gone,
}

async fn other(act: Act) -> (Endpoint, EndpointAddr) {
    let endpoint = endpoint().await;
    let address = endpoint.address();
    if matches!(act, Act::Gone) {
        endpoint.close().await;
        return (endpoint, address);
    }
    endpoint.0.set_alpns(vec![ALPN.to_vec()]);
    let accepting = endpoint.0.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            let connection = incoming.await.unwrap();
            let (mut send, mut recv) = connection.accept_bi().await.unwrap();
            let call: Call = frame::read(&mut recv, LIMIT).await.unwrap();
            if matches!(act, Act::Busy) {
                let _ = last(&mut send, &Reply::Busy).await;
                continue;
            }
            let from = (call.from * PIECE) as usize;
            let (blob, one) = (blob(), PIECE as usize);
            frame::write(&mut send, &Reply::Coming).await.unwrap();
            match act {
                Act::Honest => {
                    send.write_all(&blob[from..]).await.unwrap();
                    finish(&mut send).await.unwrap();
                }
                Act::Lie => {
                    send.write_all(&blob[from..from + one]).await.unwrap();
                    let _ = send.write_all(&vec![7; one]).await;
                    connection.closed().await;
                }
                Act::Die => {
                    send.write_all(&blob[from..from + one]).await.unwrap();
                    finish(&mut send).await.unwrap();
                    connection.close(0_u32.into(), b"");
                }
                _ => {
                    send.write_all(&blob[from..from + one]).await.unwrap();
                    connection.closed().await;
                }
            }
        }
    });
    (endpoint, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blob_comes_whole_whoever_lies_dies_stalls_or_is_gone() {
    let acts = [Act::Gone, Act::Busy, Act::Lie, Act::Die, Act::Stall, Act::Honest];
    let (mut endpoints, mut others) = (Vec::new(), Vec::new());
    for act in acts {
        let (endpoint, address) = other(act).await;
        endpoints.push(endpoint);
        others.push(address);
    }
    let (node, asker) = (SecretKey::generate(), endpoint().await);
    let link = Link::new(asker, Vec::new());
    let (outline, id) = Outline::of(&blob()[..]).unwrap();
    let names = others.iter().map(|other| other.id).collect();
    let grant = Grant::new(&node, id, link.id(), names, SystemTime::now() + LASTS);
    let what = Sent {
        id,
        outline: &outline,
        grant: &grant,
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let file = File::create_new(&path).unwrap();
    let asked = super::fetch(&link, what, &others, 0, file, |_| true).await;
    assert!(matches!(asked.outcome, Some(Outcome::Whole)));
    assert!(fs::read(&path).unwrap() == blob(), "every byte is right");
    let bad: BTreeSet<_> = [0, 2, 3, 4].map(|n: usize| others[n].id).into();
    let mut named = asked.failed;
    named.push(others[0].id);
    assert!(bad.is_superset(&named.into_iter().collect()), "being busy is no fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_node_of_the_ticket_granted_is_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlobStore::open(dir.path()).unwrap();
    let id = store.put_bytes(&blob()).unwrap().id;
    let (node, nobody) = (SecretKey::generate(), SecretKey::generate());
    let holder = Link::new(endpoint().await, vec![EndpointAddr::new(node.public())]);
    let handing = Handing::begin(&holder, store);
    let (asker, here) = (endpoint().await, holder.endpoint().address());
    let now = SystemTime::now();
    let ask = async |grant: Grant| {
        let connection = asker.0.connect(here.clone(), ALPN).await.unwrap();
        let call = Call {
            grant,
            from: PIECES - 1,
        };
        let (mut recv, reply) = super::ask(&connection, &call).await.unwrap();
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut recv, &mut bytes)
            .await
            .unwrap();
        drop(connection);
        (reply, bytes)
    };
    let (to, from, until) = (asker.id(), vec![holder.id()], now + LASTS);
    let (reply, bytes) = ask(Grant::new(&node, id, to, from.clone(), until)).await;
    assert!(matches!(reply, Reply::Coming), "{reply:?}");
    assert!(bytes == blob()[((PIECES - 1) * PIECE) as usize..]);
    let another = BlobId::of(b"a blob that is not here");
    for (grant, why) in [
        (Grant::new(&node, another, to, from.clone(), until), "not here"),
        (
            Grant::new(&node, id, nobody.public(), from.clone(), until),
            "somebody else",
        ),
        (Grant::new(&node, id, to, vec![nobody.public()], until), "somebody else"),
        (Grant::new(&node, id, to, from.clone(), now - LASTS), "expired"),
        (Grant::new(&nobody, id, to, from.clone(), until), "nobody signed"),
    ] {
        let (reply, bytes) = ask(grant).await;
        assert!(
            matches!(&reply, Reply::No(said) if said.contains(why)),
            "{why}: {reply:?}"
        );
        assert!(bytes.is_empty());
    }
    assert_eq!(handing.bytes(), PIECE, "no refusal cost a byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_answers_is_not_answered_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = SecretKey::generate();
    let holder = Link::new(endpoint().await, vec![EndpointAddr::new(node.public())]);
    let _handing = Handing::begin(&holder, BlobStore::open(dir.path()).unwrap());
    let here = holder.endpoint().address();
    let refused = endpoint().await.dial(&here).await;
    assert!(refused.is_err(), "the protocol of nodes is not spoken");
}

/// What a node of the first version knew of requests.
#[derive(Debug, Deserialize)]
enum First {
    #[allow(dead_code, reason = "only its place counts")]
    Size(BlobId),
    Fetch {
        id: BlobId,
        from: u64,
    },
}

struct Open;

impl Door for Open {
    fn admits(&self, _: EndpointId) -> Result<(), String> {
        Ok(())
    }

    fn join(&self, _: EndpointId, _: join::Asked) -> BoxFuture<'_, join::Answer> {
        Box::pin(async { join::Answer::Pending })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_knows_nothing_of_others_sends_the_blob_itself() {
    let node = endpoint().await;
    let (_gate, mut incoming) = Gate::open(&node, Arc::new(Open));
    let (outline, id) = Outline::of(&blob()[..]).unwrap();
    tokio::spawn(async move {
        while let Some(mut stream) = incoming.blobs.recv().await {
            // Else the stream is dropped.
            if let Ok(First::Fetch { id: wanted, from }) = frame::read(&mut stream.recv, LIMIT).await {
                assert_eq!((wanted, from), (id, 0));
                let answer = messages::Answer::Pieces(outline.clone());
                frame::write(&mut stream.send, &answer).await.unwrap();
                stream.send.write_all(&blob()).await.unwrap();
                finish(&mut stream.send).await.unwrap();
            }
        }
    });
    let link = Link::new(endpoint().await, vec![node.address()]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("part");
    let (outcome, _) = fetch::fetch(&link, id, File::create_new(&path).unwrap(), true, |_| true).await;
    assert!(matches!(outcome, Outcome::Whole));
    assert!(fs::read(&path).unwrap() == blob());
}
