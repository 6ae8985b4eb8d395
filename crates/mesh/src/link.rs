//! The side that calls: streams to whichever node of a ticket answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use iroh::endpoint::{Connection, ConnectionError};
use iroh::{EndpointAddr, EndpointId};
use tokio::io::AsyncWriteExt;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::frame;
use crate::gate::{LEAVING, NOT_LET_IN};
use crate::join::{self, Answer, Asked};
use crate::stream::{Kind, Stream};

/// An endpoint that was not let in does not knock again before this.
const KNOCK_AGAIN: Duration = Duration::from_secs(2);
/// How long an answer to a question on a stream may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A way to a control plane. It comes about when it is needed, and again when it broke: a new address, a night's sleep or a node
/// that is gone only cost the streams that were open.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    nodes: Mutex<Vec<EndpointAddr>>,
    /// Locked while somebody dials: the others wait for the same connection.
    current: tokio::sync::Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    refused: Option<(Instant, String)>,
}

impl Link {
    /// Calls nobody yet.
    pub fn new(endpoint: Endpoint, nodes: Vec<EndpointAddr>) -> Self {
        Self(Arc::new(Inner {
            endpoint,
            nodes: Mutex::new(nodes),
            current: tokio::sync::Mutex::default(),
        }))
    }

    /// Who this side is.
    pub fn id(&self) -> EndpointId {
        self.0.endpoint.id()
    }

    /// This side.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Opens a stream, calling a node first when no connection is there.
    ///
    /// # Errors
    ///
    /// When no node answers, or the one that does lets nobody in whom it does not know. Asking again is safe.
    pub async fn open(&self, kind: Kind) -> Result<Stream, Error> {
        let mut last = None;
        // Twice: a connection that broke is known to be broken only when it is used.
        for _ in 0..2 {
            let connection = self.connection().await?;
            match begin(&connection, kind).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
            self.forget(&connection).await;
        }
        Err(last.expect("it was tried"))
    }

    /// Asks to be known from now on.
    ///
    /// # Errors
    ///
    /// When nobody answers. That they say no is an answer.
    pub async fn join(&self, asked: &Asked) -> Result<Answer, Error> {
        let mut stream = self.open(Kind::Join).await?;
        let peer = stream.peer();
        let asking = async {
            frame::write(&mut stream, asked).await?;
            frame::read(&mut stream, join::LIMIT).await
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer.map_err(|error| Error::broken(peer, error)),
            Err(_) => Err(Error::broken(peer, "no answer came")),
        }
    }

    /// The connection that is there, or a new one.
    async fn connection(&self) -> Result<Connection, Error> {
        let mut current = self.0.current.lock().await;
        if let Some(connection) = &current.connection {
            match connection.close_reason() {
                None => return Ok(connection.clone()),
                Some(reason) => {
                    if let Some(why) = refusal(&reason) {
                        current.refused = Some((Instant::now(), why));
                    }
                    current.connection = None;
                }
            }
        }
        if let Some((when, why)) = &current.refused
            && when.elapsed() < KNOCK_AGAIN
        {
            return Err(Error::Refused(why.clone()));
        }
        current.refused = None;
        let connection = self.dial().await?;
        current.connection = Some(connection.clone());
        Ok(connection)
    }

    async fn forget(&self, broken: &Connection) {
        let mut current = self.0.current.lock().await;
        let is_it = |connection: &Connection| connection.stable_id() == broken.stable_id();
        if current.connection.as_ref().is_some_and(is_it) {
            if let Some(why) = broken.close_reason().as_ref().and_then(refusal) {
                current.refused = Some((Instant::now(), why));
            }
            current.connection = None;
        }
    }

    /// Calls one node after another, the one that answered last first.
    async fn dial(&self) -> Result<Connection, Error> {
        let nodes = self.nodes();
        let mut why = Vec::new();
        for node in nodes {
            match self.0.endpoint.dial(&node).await {
                Ok(connection) => {
                    let mut nodes = self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner);
                    nodes.sort_by_key(|other| other.id != node.id);
                    return Ok(connection);
                }
                Err(Error::Unreachable(reason)) => why.push(reason),
                Err(error) => why.push(error.to_string()),
            }
        }
        Err(Error::Unreachable(why.join("; ")))
    }

    fn nodes(&self) -> Vec<EndpointAddr> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whose word about others is taken: the nodes of the ticket.
    pub(crate) fn trusted(&self) -> Vec<EndpointId> {
        self.nodes().iter().map(|node| node.id).collect()
    }

    /// Says goodbye.
    pub async fn close(&self) {
        if let Some(connection) = self.0.current.lock().await.connection.take() {
            connection.close(LEAVING.into(), b"this endpoint leaves");
        }
        self.0.endpoint.close().await;
    }
}

/// Opens a stream and says what it is for.
pub(crate) async fn begin(connection: &Connection, kind: Kind) -> Result<Stream, Error> {
    let broken = |error: &dyn ToString| match connection.close_reason().as_ref().and_then(refusal) {
        Some(why) => Error::Refused(why),
        None => Error::broken(connection.remote_id(), error.to_string()),
    };
    let (send, recv) = connection.open_bi().await.map_err(|error| broken(&error))?;
    let _ = send.set_priority(kind.priority());
    let mut stream = Stream::new(connection.clone(), send, recv);
    stream.write_u8(kind as u8).await.map_err(|error| broken(&error))?;
    Ok(stream)
}

/// Why the other side closed the connection, if it does not let this one in.
fn refusal(reason: &ConnectionError) -> Option<String> {
    match reason {
        ConnectionError::ApplicationClosed(close) if close.error_code == NOT_LET_IN.into() => {
            Some(String::from_utf8_lossy(&close.reason).into_owned())
        }
        _ => None,
    }
}
