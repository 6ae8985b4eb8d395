//! Asking a cluster from outside, with its secret: for commands beside a node.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::membership::MembershipError;
use crate::network::{ANY, Answer, Caller, Links, Request, Secret, Tls, ask, ask_on, receive_files};
use crate::setup::refused;
use crate::status::Status;
use crate::types::NodeId;

/// Somebody who knows the secret and is no node.
pub struct Outside {
    caller: Caller,
}

impl Outside {
    /// With the secret of the cluster.
    ///
    /// # Errors
    ///
    /// When no certificate can be made of it.
    pub fn new(secret: &Secret) -> Result<Self, MembershipError> {
        let tls = Tls::new(secret, ANY).map_err(|error| MembershipError::Unreachable(io::Error::other(error)))?;
        Ok(Outside {
            caller: Caller {
                node: ANY,
                tls: Arc::new(tls),
                links: Links::default(),
            },
        })
    }

    /// What the node at this address says.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, or is of another cluster.
    pub async fn status(&self, address: &str) -> Result<Status, MembershipError> {
        match ask(&self.caller, ANY, address, Request::Status).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(MembershipError::Refused(refused(other))),
        }
    }

    /// Removes a node, asking the one at this address, and then whoever leads.
    ///
    /// # Errors
    ///
    /// When none leads, or the node is not one of the cluster, or it is the last one.
    pub async fn remove(&self, address: &str, id: NodeId) -> Result<(), MembershipError> {
        let mut answer = ask(&self.caller, ANY, address, Request::Remove { id }).await?;
        if let Answer::NotLeader(Some((_, leader))) = &answer {
            answer = ask(&self.caller, ANY, &leader.address, Request::Remove { id }).await?;
        }
        match answer {
            Answer::Done => Ok(()),
            other => Err(MembershipError::Refused(refused(other))),
        }
    }

    /// Copies the databases of the node at this address into an empty directory, as they are at one moment, while they are
    /// used. Synced when this returns. Says how many bytes they are.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, has nothing yet, or a file cannot be written.
    pub async fn copy(&self, address: &str, into: &Path) -> Result<u64, MembershipError> {
        let (answer, mut stream) = ask_on(&self.caller, ANY, address, Request::Copy).await?;
        match answer {
            Answer::Files(files) => {
                receive_files(&mut stream, &files, into).await?;
                Ok(files.iter().map(|(_, length)| length).sum())
            }
            other => Err(MembershipError::Refused(refused(other))),
        }
    }
}
