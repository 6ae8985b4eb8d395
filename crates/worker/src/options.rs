//! What a worker is started with.

use std::path::PathBuf;
use std::time::Duration;

use helve_blobs::BlobStore;
use helve_modules::command::{Runner, Search};
use helve_toolbox::Shelf;
use temporalio_client::Connection;
use tokio::sync::mpsc;

use crate::{HttpOptions, StepEvent};

/// Options of [`crate::Worker::start`].
pub struct WorkerOptions {
    /// Connection to the engine; clones share one channel.
    pub connection: Connection,
    /// Namespace whose queues are polled.
    pub namespace: String,
    /// How this worker calls itself in histories. The process id and host are a good choice.
    pub identity: String,
    /// Workflows, modules and verticals, as they stand.
    pub toolbox: Shelf,
    /// Where the programs of modules are looked up.
    pub search: Search,
    /// Starts the programs of modules.
    pub runner: Box<dyn Runner>,
    /// Where targets come from and reports go to.
    pub blobs: BlobStore,
    /// Folder for workspaces. Several workers, of several processes too, may share it.
    pub work_dir: PathBuf,
    /// Folder for compiled WebAssembly. Nobody else may write to it: what is in it is trusted. None compiles it anew in
    /// every process.
    pub compiled: Option<PathBuf>,
    /// What this worker does.
    pub roles: Roles,
    /// Verticals whose queues are polled for steps.
    pub verticals: Vec<String>,
    /// Steps that run at the same time, per vertical.
    pub concurrency: usize,
    /// Modules to load at start and not when the first step asks for them.
    pub preload: Vec<String>,
    /// What the steps of runs may read of this machine.
    pub reads: Reads,
    /// What workflows may do on the network of this worker.
    pub http: HttpOptions,
    /// Bounds.
    pub limits: Limits,
    /// Tell the engine every half minute what this worker carries: the tools of its verticals with their versions, and
    /// these facts by name. Nothing is told when not set.
    pub advertise: Option<Vec<(String, String)>>,
    /// Told about the steps of this worker as they go. A full channel loses progress, never starts or ends.
    pub events: Option<mpsc::Sender<StepEvent>>,
}

/// The files and folders of this machine, absolute, that the configurations of a run's steps may name, by the run's id. What
/// is in the target they may always name.
pub type Reads = Box<dyn Fn(&str) -> Vec<PathBuf> + Send + Sync>;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Runs workflow code, and the internal activities of workflows.
    pub workflows: bool,
    /// Runs steps.
    pub activities: bool,
}

impl Roles {
    /// Everything: the default.
    pub const ALL: Self = Self {
        workflows: true,
        activities: true,
    };
}

/// Bounds of one worker.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Findings kept per step, the most severe first: the report is held in memory while it is written. When hit, the
    /// step is inconclusive and a notification says how many were left out.
    pub findings_per_step: usize,
    /// Artifacts kept per step; further ones are named in a notification.
    pub artifacts_per_step: usize,
    /// Unpacked targets kept for the next step when no step uses them.
    pub idle_targets: usize,
    /// How often a running step says that it is alive. Also how soon it learns that it was cancelled.
    pub heartbeat_interval: Duration,
    /// How often progress is passed on to the observer.
    pub progress_interval: Duration,
    /// How long a draining worker lets steps run before it gives them back.
    pub drain_grace: Duration,
    /// How long a draining worker waits for a step that was told to stop; a module that does not listen is abandoned.
    pub abandon_after: Duration,
    /// Bounds of an unpacked target.
    pub unpack: helve_blobs::UnpackLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            findings_per_step: 10_000,
            artifacts_per_step: 100,
            idle_targets: 1,
            heartbeat_interval: Duration::from_secs(1),
            progress_interval: Duration::from_millis(100),
            drain_grace: Duration::from_secs(10),
            abandon_after: Duration::from_secs(10),
            unpack: helve_blobs::UnpackLimits::default(),
        }
    }
}
