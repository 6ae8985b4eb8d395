//! Who comes in.

use helve_mesh::{Answer, Endpoint, EndpointAddr, Error, Kind, Link, SecretKey, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{Plane, SECRET, asked, eventually, loopback};

/// Says something to the engine, and hears it twice.
async fn talk(stream: &mut Stream) -> std::io::Result<String> {
    stream.write_all(b"hello").await?;
    let mut heard = [0; 10];
    stream.read_exact(&mut heard).await?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

async fn call(link: &Link) -> Result<String, String> {
    let mut stream = link.open(Kind::Grpc).await.map_err(|error| error.to_string())?;
    talk(&mut stream).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_unknown_calls_anything_and_who_joined_does() {
    let plane = Plane::new().await;
    let link = plane.stranger().await;
    assert!(call(&link).await.is_err());
    let refused = eventually("it hears why", async || {
        link.open(Kind::Grpc).await.err().filter(Error::is_refusal)
    })
    .await;
    assert_eq!(refused.to_string(), "nobody knows this endpoint");
    assert_eq!(plane.gate.present().len(), 0);

    let link = plane.stranger().await;
    for wrong in [None, Some("a guess")] {
        let answer = link.join(&asked(wrong)).await.unwrap();
        assert_eq!(answer, Answer::Refused("this is not the word".to_owned()));
    }
    let answer = link.join(&asked(Some(SECRET))).await.unwrap();
    assert!(matches!(answer, Answer::Welcome { .. }), "{answer:?}");
    // Over the connection that is there: nobody has to call again.
    assert_eq!(call(&link).await.unwrap(), "hellohello");
    // Whoever is known needs no ticket any more.
    let again = link.join(&asked(None)).await.unwrap();
    assert!(matches!(again, Answer::Welcome { .. }), "{again:?}");
    eventually("it is present", async || plane.gate.present().get(&link.id()).cloned()).await;
    link.close().await;
    eventually("it is gone", async || plane.gate.present().is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_shut_out_is_gone_with_all_that_is_open() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let mut stream = link.open(Kind::Grpc).await.unwrap();
    assert_eq!(talk(&mut stream).await.unwrap(), "hellohello");
    eventually("it is present", async || plane.gate.present().get(&link.id()).cloned()).await;
    plane.known.shut_out(link.id());
    // Without a new call: what waits for an answer ends too.
    assert!(stream.read_u8().await.is_err());
    let refused = link.open(Kind::Grpc).await.unwrap_err();
    assert_eq!(refused.to_string(), "nobody knows this endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_comes_back_when_the_node_does() {
    let plane = Plane::new().await;
    let link = plane.guest().await;
    assert_eq!(call(&link).await.unwrap(), "hellohello");
    let plane = plane.restart().await;
    eventually("it is back", async || call(&link).await.ok()).await;
    drop(plane);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_nodes_the_one_is_called_that_answers() {
    let plane = Plane::new().await;
    let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await.unwrap();
    // Nobody has ever heard of that one, and where it should be somebody else is.
    let dead = EndpointAddr::new(SecretKey::generate().public());
    let other = EndpointAddr::new(SecretKey::generate().public()).with_ip_addr(plane.endpoint.sockets()[0]);
    let link = Link::new(endpoint, vec![dead, other, plane.address()]);
    plane.known.let_in(link.id());
    assert_eq!(call(&link).await.unwrap(), "hellohello");

    let nowhere = EndpointAddr::new(SecretKey::generate().public());
    let endpoint = Endpoint::bind(SecretKey::generate(), &loopback()).await.unwrap();
    let unreachable = Link::new(endpoint, vec![nowhere]).open(Kind::Grpc).await.err().unwrap();
    assert!(
        unreachable.to_string().contains("no node of the ticket answers"),
        "{unreachable}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_holds_up_its_own_stream_alone() {
    // More than QUIC keeps packets for.
    const UNREAD: usize = 3 << 20;
    let plane = Plane::new().await;
    let link = plane.guest().await;
    let mut lazy = link.open(Kind::Grpc).await.unwrap();
    // Comes back twice.
    lazy.write_all(&vec![7; UNREAD / 2]).await.unwrap();
    let mut busy = link.open(Kind::Grpc).await.unwrap();
    for _ in 0..1_000 {
        assert_eq!(talk(&mut busy).await.unwrap(), "hellohello");
    }
    let mut heard = vec![0; UNREAD];
    lazy.read_exact(&mut heard).await.unwrap();
    assert!(heard.iter().all(|byte| *byte == 7));
}
