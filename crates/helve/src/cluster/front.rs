//! Where clients come in, whichever node leads: here, if it is this one, and taken to the one that does otherwise.
//!
//! A connection is taken as it is, byte by byte, with where it comes from: TLS, tokens and everything else are a matter between
//! the client and the node that leads. When the lead changes it ends, and the client connects again, as after a restart.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use helve_cluster::{Carried, Node, NodeId};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::cli::UpArgs;
use crate::doorway::{Connection, Doorway, Line, Way};
use crate::embedded::bind_grpc;
use crate::errors::Result;
use crate::http::{bind_http, bind_owner, check_exposure, reachable};
use crate::paths::DataDir;
use crate::server::Places;
use crate::stage::Ways;

/// For so long a client waits for somebody to lead. An election takes a second or two, and opening what it leads a little more.
const PATIENCE: Duration = Duration::from_secs(15);
/// Connections that wait to be taken.
const WAITING: usize = 64;
/// Pause of a listener that has no files or memory left.
const PAUSE: Duration = Duration::from_millis(100);

/// What a connection is, between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Grpc = 1,
    Http = 2,
    /// gRPC of whoever owns the data directory of a node, unasked.
    OwnerGrpc = 3,
    OwnerHttp = 4,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Grpc, Kind::Http, Kind::OwnerGrpc, Kind::OwnerHttp];
}

/// Who takes connections now.
#[derive(Clone)]
enum Taker {
    Nobody,
    /// This node.
    Here(Arc<[mpsc::Sender<Connection>; 4]>),
    /// Another one.
    There {
        node: NodeId,
        address: String,
    },
}

/// The listeners of a node, for as long as the process lives.
pub(super) struct Front {
    taker: watch::Sender<Taker>,
    grpc: SocketAddr,
    http: Option<SocketAddr>,
    has_tls: bool,
    http_socket: Option<PathBuf>,
    sockets: [PathBuf; 2],
    doorways: Vec<(Kind, Doorway)>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Front {
    /// Opens the listeners. Nobody is let in before [`Front::begin`].
    pub(super) async fn open(args: &UpArgs, data: &DataDir, has_tls: bool) -> Result<Self> {
        check_exposure("gRPC", args.grpc, args.grpc_expose || (!args.grpc_open && has_tls))?;
        let Way { doorway, address: grpc } = bind_grpc(args.grpc).await?;
        let mut doorways = vec![(Kind::Grpc, doorway)];
        let mut http = None;
        if !args.http.no_http {
            let way = bind_http(&args.http, has_tls).await?;
            http = Some(way.address);
            doorways.push((Kind::Http, way.doorway));
        }
        let mut http_socket = None;
        if let Some(doorway) = http.and_then(|_| bind_owner(data)) {
            http_socket = Some(data.http_socket());
            doorways.push((Kind::OwnerHttp, doorway));
        }
        match Doorway::private(&data.socket()) {
            Ok(doorway) => doorways.push((Kind::OwnerGrpc, doorway)),
            Err(error) => tracing::warn!(%error, "other commands cannot be served"),
        }
        Ok(Self {
            taker: watch::Sender::new(Taker::Nobody),
            grpc,
            http,
            has_tls,
            http_socket,
            sockets: [data.socket(), data.http_socket()],
            doorways,
            tasks: Vec::new(),
        })
    }

    /// Lets clients in, and those that come by way of other nodes.
    pub(super) fn begin(&mut self, node: &Arc<Node>, carried: mpsc::Receiver<Carried>) {
        for (kind, doorway) in self.doorways.drain(..) {
            let task = accept(kind, doorway, Arc::clone(node), self.taker.clone());
            self.tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
        }
        let task = take_in(carried, self.taker.clone());
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// From now on this node takes connections: by these ways, the last of which is gRPC of whoever owns the data directory.
    pub(super) fn here(&self) -> (Ways, Doorway) {
        let (senders, mut receivers): (Vec<_>, Vec<_>) = Kind::ALL.iter().map(|_| mpsc::channel(WAITING)).unzip();
        let mut next = || Doorway::Handed(receivers.remove(0));
        let (grpc, http, owner_grpc, owner_http) = (next(), next(), next(), next());
        let way = |doorway, address| Way { doorway, address };
        let ways = Ways {
            grpc: Some(way(grpc, self.grpc)),
            http: self.http.map(|address| way(http, address)),
            owner: self.http.map(|_| owner_http),
            mesh: None,
        };
        let senders = senders.try_into().expect("as many as there are kinds");
        self.taker.send_replace(Taker::Here(Arc::new(senders)));
        (ways, owner_grpc)
    }

    /// From now on another node does.
    pub(super) fn there(&self, node: NodeId, address: String) {
        self.taker.send_replace(Taker::There { node, address });
    }

    /// From now on clients wait.
    pub(super) fn nobody(&self) {
        self.taker.send_replace(Taker::Nobody);
    }

    /// Where other commands of this machine find this node.
    pub(super) fn places(&self) -> Places {
        let scheme = if self.has_tls { "https" } else { "http" };
        Places {
            http: self.http.map(|address| format!("{scheme}://{}", reachable(address))),
            http_socket: self.http_socket.clone(),
            grpc: Some(reachable(self.grpc).to_string()),
            mesh: None,
        }
    }

    /// Where gRPC is served.
    pub(super) fn grpc(&self) -> SocketAddr {
        self.grpc
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for socket in &self.sockets {
            let _ = std::fs::remove_file(socket);
        }
    }
}

async fn accept(kind: Kind, mut doorway: Doorway, node: Arc<Node>, taker: watch::Sender<Taker>) {
    loop {
        match doorway.next().await {
            Ok(connection) => {
                let (node, taker) = (Arc::clone(&node), taker.subscribe());
                tokio::spawn(async move {
                    if let Err(error) = pass(kind, connection, &node, taker).await {
                        tracing::debug!(?kind, %error, "a client was not taken to the node that leads");
                    }
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at this moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Gives a connection to whoever takes it.
async fn pass(
    kind: Kind,
    mut connection: Connection,
    node: &Node,
    mut taker: watch::Receiver<Taker>,
) -> io::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = taker.borrow_and_update().clone();
        match now {
            Taker::Here(to) => match to[kind as usize - 1].send(connection).await {
                Ok(()) => return Ok(()),
                // It has just ended.
                Err(mpsc::error::SendError(back)) => connection = back,
            },
            Taker::There { node: leader, address } => {
                let origin = connection.peer.to_string();
                match node.carry(leader, &address, kind as u8, origin).await {
                    Ok(mut line) => {
                        tokio::select! {
                            carried = tokio::io::copy_bidirectional(&mut connection, &mut line) => {
                                // Whoever left first, and how, is a matter between the two.
                                let _ = carried;
                            }
                            // The client is to come again: what it was told by now may be all that this leader says. That
                            // nobody is known to lead for a moment says nothing of the one that does.
                            _ = taker.wait_for(|taker| match taker {
                                Taker::Nobody => false,
                                Taker::Here(_) => true,
                                Taker::There { node, .. } => *node != leader,
                            }) => {}
                        }
                        return Ok(());
                    }
                    Err(error) => tracing::debug!(leader, %error, "the node that leads cannot be reached"),
                }
            }
            Taker::Nobody => {}
        }
        tokio::select! {
            changed = taker.changed() => changed.map_err(io::Error::other)?,
            () = tokio::time::sleep(PAUSE) => {}
            () = tokio::time::sleep_until(deadline) => return Err(io::Error::other("nobody leads the cluster")),
        }
    }
}

/// Takes what other nodes bring because they think that this one leads. It may be about to.
async fn take_in(mut carried: mpsc::Receiver<Carried>, taker: watch::Sender<Taker>) {
    while let Some(carried) = carried.recv().await {
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == carried.kind);
        let (Some(kind), Ok(peer)) = (kind, carried.origin.parse()) else {
            tracing::warn!(
                from = carried.from,
                kind = carried.kind,
                "a connection of a kind that this version does not know"
            );
            continue;
        };
        let mut taker = taker.subscribe();
        tokio::spawn(async move {
            let is_here = |taker: &Taker| matches!(taker, Taker::Here(_));
            let waited = tokio::time::timeout(PATIENCE, taker.wait_for(is_here)).await;
            let Ok(Ok(now)) = waited.map(|waited| waited.map(|now| now.clone())) else {
                return;
            };
            if let Taker::Here(to) = now {
                // Dropped if that has ended: the client comes again.
                let _ = to[kind as usize - 1]
                    .send(Connection::new(Line::Carried(Box::new(carried.stream)), peer))
                    .await;
            }
        });
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
