//! From the queue of a store into the log: what waits together becomes one entry.

use std::sync::Arc;

use bytes::Bytes;
use helve_db::{CommitError, QueuedCommit, ReadError, Request, Requests};
use openraft::raft::ClientWriteResponse;
use tokio::sync::Semaphore;

use crate::codec;
use crate::leadership::Leadership;
use crate::types::{Command, Group, Outcome, Part, Raft, Types};

/// A batch over this is refused: every node must hold it in memory when it is applied.
pub(crate) const MAX_BATCH_BYTES: usize = 512 << 20;
/// An entry is not filled beyond this. A single batch that is larger goes in parts, so that no entry takes long to reach the
/// other nodes, and the heartbeats between them get through.
const MAX_GROUP_BYTES: usize = 4 << 20;
const PART_BYTES: usize = 2 << 20;
const MAX_GROUP: usize = 1024;
/// So many entries are on their way at once: while one is on the disks, the next one fills. More make the entries smaller,
/// and Raft appends them one after the other: that was measured to be slower on a disk that takes its time.
const ON_THEIR_WAY: usize = 2;

/// Puts the batches of a store into the log, until the store is closed or nobody has it any more.
pub(crate) async fn propose(mut requests: Requests, raft: Raft, database: u8, leadership: Arc<Leadership>) {
    let on_their_way = Arc::new(Semaphore::new(ON_THEIR_WAY));
    // One that did not fit into the last entry.
    let mut left_over = None;
    loop {
        let Ok(permit) = on_their_way.clone().acquire_owned().await else {
            return;
        };
        let next = match left_over.take() {
            Some(commit) => Some(Request::Commit(commit)),
            None => requests.recv().await,
        };
        let Some(mut request) = next else { return };
        let (mut group, mut bytes, mut close) = (Vec::new(), 0, None);
        loop {
            match request {
                Request::Commit(commit) => {
                    let size = commit.batch().size();
                    if !group.is_empty() && bytes + size > MAX_GROUP_BYTES {
                        left_over = Some(commit);
                        break;
                    }
                    bytes += size;
                    group.push(commit);
                }
                Request::Read(read) => read.fail(ReadError::NotLeader),
                Request::Close(asked) => {
                    close = Some(asked);
                    break;
                }
            }
            if group.len() >= MAX_GROUP {
                break;
            }
            match requests.try_recv() {
                Ok(next) => request = next,
                Err(_) => break,
            }
        }
        if !group.is_empty() {
            match command(&group, &raft, database, &leadership).await {
                Some(command) => {
                    let proposed = raft.client_write_ff(command).await;
                    let leadership = leadership.clone();
                    tokio::spawn(async move {
                        let outcome = match proposed {
                            Ok(answer) => tokio::select! {
                                // What is known is told, even if it comes at the last moment.
                                biased;
                                answer = answer => answer.ok().and_then(Result::ok),
                                () = leadership.ended() => None,
                            },
                            Err(_) => None,
                        };
                        tell(group, outcome);
                        drop(permit);
                    });
                }
                None => {
                    answer_all(group, &CommitError::LeadershipLost);
                    drop(permit);
                }
            }
        } else {
            drop(permit);
        }
        if let Some(asked) = close {
            // All permits: nothing is on its way any more.
            let _ = on_their_way.acquire_many(ON_THEIR_WAY as u32).await;
            asked.answer();
            return;
        }
    }
}

/// What goes into the log for these batches; none if this node does not lead any more, and nothing of them will be done.
async fn command(group: &[QueuedCommit], raft: &Raft, database: u8, leadership: &Leadership) -> Option<Command> {
    if !leadership.is_held() {
        return None;
    }
    let mut body = codec::encode(group.iter().map(QueuedCommit::batch));
    let parts = match group {
        [_] if body.len() > MAX_GROUP_BYTES => send_parts(&mut body, raft, database, leadership).await?,
        _ => 0,
    };
    Some(Command::Group(Group {
        epoch: leadership.epoch.index,
        at: leadership.time.now_millis(),
        database,
        parts,
        body,
    }))
}

/// Sends all but the end of a body ahead of its group; how many parts that were. None if this node does not lead any more.
async fn send_parts(body: &mut Bytes, raft: &Raft, database: u8, leadership: &Leadership) -> Option<u32> {
    let mut number = 0;
    while body.len() > PART_BYTES {
        let part = Command::Part(Part {
            epoch: leadership.epoch.index,
            database,
            number,
            body: body.split_to(PART_BYTES),
        });
        let sent = tokio::select! {
            sent = raft.client_write(part) => sent,
            () = leadership.ended() => return None,
        };
        match sent {
            Ok(response) if response.data == Outcome::Nothing => number += 1,
            _ => return None,
        }
    }
    Some(number)
}

/// Tells the callers what became of their batches.
fn tell(group: Vec<QueuedCommit>, outcome: Option<ClientWriteResponse<Types>>) {
    match outcome.map(|response| response.data) {
        Some(Outcome::Applied(results)) if results.len() == group.len() => {
            for (commit, result) in group.into_iter().zip(results) {
                commit.answer(result);
            }
        }
        Some(Outcome::Fenced) => answer_all(group, &CommitError::LeadershipLost),
        // Raft refused it or took it back: that says nothing of what another node has.
        _ => answer_all(group, &CommitError::Unknown),
    }
}

fn answer_all(group: Vec<QueuedCommit>, error: &CommitError) {
    for commit in group {
        commit.answer(Err(error.clone()));
    }
}
