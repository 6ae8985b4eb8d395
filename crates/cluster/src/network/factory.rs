//! The other nodes as Raft sees them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::OptionalSend;
use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::storage::Snapshot;

use super::client::{Answered, Caller, Line, gone};
use super::wire::{Answer, Envelope, Request};
use super::{files, frame};
use crate::lease::Lease;
use crate::machine::{Copied, Machine, SnapshotData};
use crate::types::{LogId, Member, NodeId, Types, Vote};

/// After a failure a node is tried again this soon: it may be a restart that takes no longer.
const AGAIN: Duration = Duration::from_millis(50);

type Rpc<T> = Result<T, RPCError<NodeId, Member, RaftError<NodeId>>>;

/// Makes a peer of each node that Raft wants to talk to.
pub(crate) struct Factory {
    pub(crate) caller: Caller,
    pub(crate) lease: Arc<Lease>,
    pub(crate) machine: Machine,
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, member: &Member) -> Peer {
        Peer {
            line: Line::new(self.caller.clone(), target, member.clone()),
            caller: self.caller.clone(),
            lease: self.lease.clone(),
            machine: self.machine.clone(),
            target,
            member: member.clone(),
            pending: None,
        }
    }
}

/// Another node.
pub(crate) struct Peer {
    line: Line,
    caller: Caller,
    lease: Arc<Lease>,
    machine: Machine,
    target: NodeId,
    member: Member,
    /// What was asked last and not answered before Raft lost patience. If it asks the same again, the same answer will do.
    pending: Option<(Appended, Answered)>,
}

/// What an append says: the same entries at the same place, by the same leader.
type Appended = (Vote, Option<LogId>, Option<LogId>);

fn unreachable(error: &(impl std::error::Error + 'static)) -> Unreachable {
    Unreachable::new(error)
}

fn unexpected(answer: Answer) -> io::Error {
    match answer {
        Answer::Refused(reason) => io::Error::other(reason),
        _ => io::Error::other("the other node answered something else than was asked"),
    }
}

impl Peer {
    async fn ask(&self, request: Request) -> io::Result<Answer> {
        let answered = self.line.ask(request).await;
        let (answer, _) = answered.await.map_err(|_| gone())??;
        Ok(answer)
    }
}

impl RaftNetwork<Types> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<NodeId>> {
        let term = rpc.vote.leader_id().term;
        let appended = (rpc.vote, rpc.prev_log_id, rpc.entries.last().map(|entry| entry.log_id));
        let is_asked = !rpc.entries.is_empty() && self.pending.as_ref().is_some_and(|(what, _)| *what == appended);
        if !is_asked {
            // A question that nobody waits for any more, and that has not gone out, is not sent.
            self.pending = None;
            let answered = self.line.ask(Request::Append(rpc)).await;
            self.pending = Some((appended, answered));
        }
        let (_, answered) = self.pending.as_mut().expect("asked above");
        let answered = answered.await;
        self.pending = None;
        let (answer, sent) = answered
            .map_err(|_| gone())
            .and_then(|answer| answer)
            .map_err(|error| unreachable(&error))?;
        match answer {
            Answer::Append(response) => {
                if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
                    self.lease.acknowledged(term, self.target, sent);
                }
                Ok(response)
            }
            other => Err(unreachable(&unexpected(other)).into()),
        }
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, _option: RPCOption) -> Rpc<VoteResponse<NodeId>> {
        match self.ask(Request::Vote(rpc)).await {
            Ok(Answer::Vote(response)) => Ok(response),
            Ok(other) => Err(unreachable(&unexpected(other)).into()),
            Err(error) => Err(unreachable(&error).into()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<Types>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<Types, Fatal<NodeId>>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot) => sent,
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AGAIN))
    }
}

impl Peer {
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot<Types>,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<Types, Fatal<NodeId>>> {
        let began = Instant::now();
        // A leader that has no room for a copy just now leads on; it is tried again.
        let not_now = |error: io::Error| -> StreamingError<Types, Fatal<NodeId>> {
            tracing::warn!(to = self.target, %error, "a copy of the databases was not sent; this is tried again");
            unreachable(&error).into()
        };
        let SnapshotData::Outgoing(frozen) = *snapshot.snapshot else {
            return Err(not_now(io::Error::other("a copy from another node is not sent on")));
        };
        let Copied { dir, files } = self.machine.copy_of(frozen).await.map_err(not_now)?;
        let bytes: u64 = files.iter().map(|(_, length)| length).sum();
        let sent = self.stream_files(vote, snapshot.meta, files, dir.path()).await;
        match sent {
            Ok(Answer::Snapshot(response)) => {
                let took = began.elapsed();
                tracing::info!(
                    to = self.target,
                    bytes,
                    ?took,
                    "a node that was away got a copy of the databases"
                );
                Ok(response)
            }
            Ok(other) => Err(unreachable(&unexpected(other)).into()),
            Err(error) => Err(not_now(error)),
        }
    }

    async fn stream_files(
        &self,
        vote: Vote,
        meta: crate::types::SnapshotMeta,
        files: Vec<(String, u64)>,
        dir: &Path,
    ) -> io::Result<Answer> {
        self.caller.may_reach(self.target)?;
        let mut stream = self.caller.connect(self.target, &self.member.address).await?;
        let request = Request::Snapshot {
            vote,
            meta,
            files: files.clone(),
        };
        let envelope = Envelope {
            from: self.caller.node,
            to: self.target,
            identity: Some(self.member.identity),
            request,
        };
        frame::send(&mut stream, &envelope).await?;
        files::send(&mut stream, dir, &files, || self.caller.may_reach(self.target)).await?;
        files::in_time(frame::receive(&mut stream)).await?.ok_or_else(gone)
    }
}
