//! Asking another node.
//!
//! A connection is kept, and belongs to a task of its own: who asks may lose patience without spoiling it. So what takes
//! longer than Raft likes to wait (a handshake or a big entry over a slow line) comes to its end all the same.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::frame;
use super::links::Links;
use super::tls::{Tls, server_name};
use super::wire::{Answer, Envelope, Request};
use crate::types::{Member, NodeId};

/// Longer than that no connection is waited for, and no answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) type Stream = TlsStream<TcpStream>;

/// Who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) node: NodeId,
    pub(crate) tls: Arc<Tls>,
    pub(crate) links: Links,
}

impl Caller {
    /// Connects to a node and makes sure that it is that one.
    pub(crate) async fn connect(&self, target: NodeId, address: &str) -> io::Result<Stream> {
        let connect = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            self.tls.connector.connect(server_name(target), stream).await
        };
        timeout(PATIENCE, connect)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")))
    }

    pub(crate) fn may_reach(&self, target: NodeId) -> io::Result<()> {
        match self.links.is_open(self.node, target) {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::NetworkUnreachable, "the way is cut")),
        }
    }
}

/// Asks once, over a connection of its own.
pub(crate) async fn ask(caller: &Caller, target: NodeId, address: &str, request: Request) -> io::Result<Answer> {
    Ok(ask_on(caller, target, address, request).await?.0)
}

/// Asks, and keeps the connection for what follows the answer.
pub(crate) async fn ask_on(
    caller: &Caller,
    target: NodeId,
    address: &str,
    request: Request,
) -> io::Result<(Answer, Stream)> {
    caller.may_reach(target)?;
    let mut stream = caller.connect(target, address).await?;
    let envelope = Envelope {
        from: caller.node,
        to: target,
        identity: None,
        request,
    };
    frame::send(&mut stream, &envelope).await?;
    let answer = frame::receive(&mut stream).await?.ok_or_else(gone)?;
    Ok((answer, stream))
}

/// What comes of a question, and when it went out.
pub(crate) type Answered = oneshot::Receiver<io::Result<(Answer, Instant)>>;

/// A connection to another node that is made when it is needed, and again when it broke.
pub(crate) struct Line {
    questions: mpsc::Sender<Question>,
}

struct Question {
    request: Request,
    answer: oneshot::Sender<io::Result<(Answer, Instant)>>,
}

impl Line {
    pub(crate) fn new(caller: Caller, target: NodeId, member: Member) -> Self {
        let (questions, asked) = mpsc::channel(1);
        tokio::spawn(serve(caller, target, member, asked));
        Line { questions }
    }

    /// Asks, after what was asked before; says when the question went out. Dropping the receiver takes nothing back.
    pub(crate) async fn ask(&self, request: Request) -> Answered {
        let (answer, answered) = oneshot::channel();
        // If the task is gone, then so is the sender of the answer, which says it.
        let _ = self.questions.send(Question { request, answer }).await;
        answered
    }
}

async fn serve(caller: Caller, target: NodeId, member: Member, mut asked: mpsc::Receiver<Question>) {
    let mut stream = None;
    while let Some(Question { request, answer }) = asked.recv().await {
        if answer.is_closed() {
            continue;
        }
        let envelope = Envelope {
            from: caller.node,
            to: target,
            identity: Some(member.identity),
            request,
        };
        let result = exchange(&caller, target, &member, &mut stream, &envelope).await;
        if result.is_err() {
            stream = None;
        }
        // An error means that nobody waits any more.
        let _ = answer.send(result);
    }
}

async fn exchange(
    caller: &Caller,
    target: NodeId,
    member: &Member,
    kept: &mut Option<Stream>,
    envelope: &Envelope,
) -> io::Result<(Answer, Instant)> {
    caller.may_reach(target)?;
    if kept.is_none() {
        *kept = Some(caller.connect(target, &member.address).await?);
    }
    let stream = kept.as_mut().expect("connected above");
    let sent = Instant::now();
    let exchange = async {
        frame::send(stream, envelope).await?;
        frame::receive(stream).await?.ok_or_else(gone)
    };
    let answer = timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))?;
    Ok((answer, sent))
}

pub(crate) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other node closed the connection")
}
