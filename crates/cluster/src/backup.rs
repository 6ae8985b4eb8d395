//! Backups of a cluster in use, and a new cluster from one.

use std::path::{Path, PathBuf};

use helve_db::{Applier, Batch};
use openraft::CommittedLeaderId;
use serde::{Deserialize, Serialize};

use crate::log::{begin_behind, sync_dir};
use crate::machine::{Mark, SnapshotData, place};
use crate::node::Node;
use crate::options::Options;
use crate::setup::{self, StartError, trouble};
use crate::types::{LogId, Member, Membership};

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The last entry of the log that is in it.
    pub applied: Option<u64>,
    /// The files, one for each database.
    pub files: Vec<PathBuf>,
}

impl Node {
    /// Copies the databases into a directory, as they are at one moment, while they are used. Any node will do; what a
    /// follower has may be a little old.
    ///
    /// # Errors
    ///
    /// When nothing was written yet, or the files cannot be written.
    pub async fn back_up(&self, into: &Path) -> Result<Backup, String> {
        let (meta, data) = self
            .inner
            .machine
            .freeze()
            .await?
            .ok_or_else(|| "this node has nothing yet".to_owned())?;
        let SnapshotData::Outgoing(frozen) = data else {
            return Err("this node is being rebuilt: try again".to_owned());
        };
        let into = into.to_owned();
        let copying = tokio::task::spawn_blocking(move || -> Result<Vec<PathBuf>, String> {
            std::fs::create_dir_all(&into).map_err(|error| error.to_string())?;
            let mut files = Vec::new();
            for (name, frozen) in frozen {
                let path = into.join(name);
                frozen.copy(&path).map_err(|error| error.to_string())?;
                let synced = std::fs::File::open(&path).and_then(|file| file.sync_all());
                synced.map_err(|error| error.to_string())?;
                files.push(path);
            }
            sync_dir(&into).map_err(|error| error.to_string())?;
            Ok(files)
        });
        Ok(Backup {
            applied: meta.last_log_id.map(|log_id| log_id.index),
            files: copying.await.map_err(|error| error.to_string())??,
        })
    }

    /// Begins a new cluster of one node with the databases of a backup, or with databases that were never replicated. The
    /// node's directory must be empty; the files are copied.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn restore(options: Options, from: &Path) -> Result<Node, StartError> {
        let identity = setup::settle(&options.dir, options.id)?;
        let member = Member {
            address: options.advertise.clone().unwrap_or_else(|| options.listen.to_string()),
            identity: identity.identity,
            about: options.about.clone(),
        };
        if options.listen.port() == 0 && options.advertise.is_none() {
            return Err(StartError::Options(
                "the others must find this node again: give it an address with a port".to_owned(),
            ));
        }
        let (from, laid) = (from.to_owned(), options.clone());
        let laying = tokio::task::spawn_blocking(move || lay(&laid, &from, member));
        laying.await.map_err(|error| StartError::Raft(error.to_string()))??;
        setup::confirm(&options.dir, &identity)?;
        Node::start(options).await
    }
}

/// Lays databases down in such a way that a node finds itself the only member of a cluster whose log they follow.
fn lay(options: &Options, from: &Path, member: Member) -> Result<(), StartError> {
    let io = |error: std::io::Error| trouble(&options.dir, &error);
    let files: Vec<_> = options
        .databases
        .iter()
        .map(|database| (database.name, from.join(database.name)))
        .collect();
    for (_, path) in &files {
        if !path.is_file() {
            return Err(trouble(
                path,
                &std::io::Error::other("this file is missing from the backup"),
            ));
        }
    }
    let dir = place(&setup::state_dir(&options.dir), &files).map_err(io)?;
    let mut marks = Vec::new();
    let mut appliers = Vec::new();
    for database in &options.databases {
        let applier = Applier::open(&dir.join(database.name), &database.options)?;
        marks.push(
            Mark::read(applier.connection())
                .map_err(StartError::Raft)?
                .unwrap_or_default(),
        );
        appliers.push(applier);
    }
    // Behind everything that any of them knows of.
    let index = marks
        .iter()
        .filter_map(|mark| mark.applied)
        .map(|log_id| log_id.index)
        .max();
    let term = marks
        .iter()
        .filter_map(|mark| mark.applied)
        .map(|log_id| log_id.leader_id.term)
        .max();
    let log_id = LogId::new(CommittedLeaderId::new(term.unwrap_or(0) + 1, 0), index.unwrap_or(0) + 1);
    let config = vec![std::collections::BTreeSet::from([options.id])];
    let nodes = std::collections::BTreeMap::from([(options.id, member)]);
    let mark = Mark {
        applied: Some(log_id),
        membership: Membership::new(Some(log_id), openraft::Membership::new(config, nodes)),
        epoch: None,
        latest: 0,
    };
    for mut applier in appliers {
        applier
            .apply(&[Batch::new()], &mark.table_and_batch())
            .map_err(|error| StartError::Raft(error.to_string()))?;
        // Closing copies the WAL and syncs.
        applier.close();
    }
    begin_behind(&setup::log_dir(&options.dir), log_id).map_err(io)
}
