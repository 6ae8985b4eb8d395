//! Why a step, or a worker, failed, and what that means for retries.

use std::io;
use std::time::Duration;

use helve_blobs::{InvalidId, StoreError, UnpackError};
use helve_modules::secrets::Masker;
use helve_modules::{LoadError, ModuleError};
use helve_toolbox::run::FAILURE_CONFIG;
use temporalio_protos::temporal::api::failure::v1::failure::FailureInfo;
use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, CanceledFailureInfo, Failure};

use crate::workspace::WorkspaceError;

/// When a step that found no room is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(30);

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder for workspaces cannot be used.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The engine does not know the namespace, or is not reachable.
    #[error("the engine refused the worker: {0}")]
    Refused(String),
    /// Options that make no sense together.
    #[error("the worker cannot be set up: {0}")]
    Options(String),
}

impl From<UnpackError> for StepError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Cancelled => Self::Cancelled,
            UnpackError::Store(error) => Self::Store(error),
            refused => Self::Unpack(refused),
        }
    }
}

/// Why an attempt of a step gave no result.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The activity's argument is not what the protocol says.
    #[error("the input of `{activity}` is not understood: {reason}")]
    Input {
        /// Activity type.
        activity: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such workflow.
    #[error("{0}")]
    UnknownWorkflow(String),
    /// Parameters that the workflow does not take.
    #[error("{0}")]
    Parameters(String),
    /// The worker carries no such module.
    #[error("no module `{name}` on this worker{hint}")]
    UnknownModule {
        /// As the plan calls it.
        name: String,
        /// Names that are near, or empty.
        hint: String,
    },
    /// Something that shall run, and that no toolbox was seen to have.
    #[error(
        "{what} ({digest}) is from no toolbox: only what a toolbox of this installation has, or had when the run began, is run. \
         Start the run again with `helve run` or at the server"
    )]
    NotOfToolbox {
        /// What it is.
        what: String,
        /// Its digest.
        digest: String,
    },
    /// A module's data files are wrong.
    #[error("module `{module}` cannot be loaded: {source}")]
    Load {
        /// The module.
        module: String,
        /// File, line and reason.
        source: LoadError,
    },
    /// The module gave up.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The module panicked: a defect, so trying again is not likely to help.
    #[error("module `{module}` panicked: {message}")]
    Panicked {
        /// The module.
        module: String,
        /// What it said.
        message: String,
    },
    /// The target cannot be laid out.
    #[error("the target cannot be unpacked: {0}")]
    Unpack(#[source] UnpackError),
    /// An id that cannot be one of a blob.
    #[error(transparent)]
    BlobId(#[from] InvalidId),
    /// Reading or writing a blob failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The workspace cannot be made.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A result that cannot be written as JSON, or a report that cannot be read.
    #[error("{what}: {source}")]
    Json {
        /// What was being read or written.
        what: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// This worker must not do it.
    #[error("{0}")]
    NotAllowed(String),
    /// The run or the step was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The disk is full. No fault of the step: it goes back to the queue, for a worker with room, or for later.
    #[error("no room on the worker's disk: {0}")]
    NoRoom(String),
    /// The worker shuts down; the step goes back to the queue.
    #[error("the worker shut down while the step was running")]
    GivenBack,
}

impl StepError {
    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Module(error) => error.is_retryable(),
            // The blob may be on its way or on another worker; the disk may get room again.
            Self::Store(_) | Self::Workspace(_) | Self::NoRoom(_) | Self::GivenBack => true,
            // A target that was refused stays refused.
            Self::Unpack(_)
            | Self::BlobId(_)
            | Self::Input { .. }
            | Self::UnknownWorkflow(_)
            | Self::Parameters(_)
            | Self::UnknownModule { .. }
            | Self::NotOfToolbox { .. }
            | Self::Load { .. }
            | Self::Panicked { .. }
            | Self::Json { .. }
            | Self::NotAllowed(_)
            | Self::Cancelled => false,
        }
    }

    /// The application failure type that the workflow sees.
    pub fn failure_type(&self) -> &'static str {
        match self {
            Self::Input { .. }
            | Self::BlobId(_)
            | Self::UnknownWorkflow(_)
            | Self::Parameters(_)
            | Self::UnknownModule { .. }
            | Self::NotOfToolbox { .. }
            | Self::Load { .. }
            | Self::NotAllowed(_)
            | Self::Module(ModuleError::Config { .. }) => FAILURE_CONFIG,
            Self::Module(_) => "helve.ModuleFailed",
            Self::Panicked { .. } => "helve.ModulePanicked",
            Self::Unpack(_) => "helve.TargetRefused",
            Self::Store(_) | Self::Workspace(_) | Self::Json { .. } => "helve.Storage",
            Self::Cancelled => "helve.Cancelled",
            Self::NoRoom(_) | Self::GivenBack => "helve.GivenBack",
        }
    }

    /// The same, but [`StepError::NoRoom`] if a full disk is the reason.
    pub(crate) fn or_no_room(self) -> Self {
        let is_full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let no_room = match &self {
            Self::Store(StoreError::DiskFull { .. }) => true,
            Self::Workspace(error) => is_full(error.io()),
            Self::Module(ModuleError::Io { source, .. }) => is_full(source),
            _ => false,
        };
        match no_room {
            true => Self::NoRoom(self.to_string()),
            false => self,
        }
    }

    /// The same without the secrets in what the module said.
    pub(crate) fn masked(self, masker: &Masker) -> Self {
        let masked = |text: String| masker.text(&text).into_owned();
        match self {
            Self::Module(ModuleError::Config { module, field, message }) => Self::Module(ModuleError::Config {
                module,
                field,
                message: masked(message),
            }),
            Self::Module(ModuleError::Internal(message)) => Self::Module(ModuleError::Internal(masked(message))),
            Self::Panicked { module, message } => Self::Panicked {
                module,
                message: masked(message),
            },
            other => other,
        }
    }

    /// Whether the attempt ended because it was told to.
    pub(crate) fn is_cancellation(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Module(ModuleError::Cancelled))
    }

    /// As the engine records it.
    pub(crate) fn to_failure(&self) -> Failure {
        let failure_info = match self {
            cancelled if cancelled.is_cancellation() => {
                FailureInfo::CanceledFailureInfo(CanceledFailureInfo::default())
            }
            other => FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: other.failure_type().to_owned(),
                non_retryable: !other.is_retryable(),
                // A step that was given back did nothing wrong: the next worker takes it without back-off.
                // One that found no room waits until there may be some.
                next_retry_delay: match other {
                    Self::GivenBack => Some(Duration::from_millis(1)),
                    Self::NoRoom(_) => Some(ROOM_AGAIN),
                    _ => None,
                }
                .and_then(|delay| delay.try_into().ok()),
                ..Default::default()
            }),
        };
        Failure {
            message: self.to_string(),
            source: "helve".to_owned(),
            failure_info: Some(failure_info),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(error: &StepError) -> ApplicationFailureInfo {
        match error.to_failure().failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => info,
            other => panic!("not an application failure: {other:?}"),
        }
    }

    #[test]
    fn a_wrong_configuration_is_never_retried() {
        let info = application(&StepError::Module(ModuleError::Config {
            module: "secrets".into(),
            field: "max_file_bytes".into(),
            message: "must be a number".into(),
        }));
        assert!(info.non_retryable);
        assert_eq!(info.r#type, FAILURE_CONFIG);
    }

    #[test]
    fn a_workspace_that_cannot_be_read_is_tried_again() {
        let error = ModuleError::Io {
            path: "/w".into(),
            source: std::io::Error::other("gone"),
        };
        assert!(!application(&StepError::Module(error)).non_retryable);
    }

    #[test]
    fn a_step_that_is_given_back_is_offered_again_at_once() {
        let info = application(&StepError::GivenBack);
        assert!(!info.non_retryable);
        assert_eq!(info.next_retry_delay.map(|d| d.seconds), Some(0));
    }

    #[test]
    fn a_step_without_room_is_given_back_and_offered_again_later() {
        let full = ModuleError::Io {
            path: "/w".into(),
            source: io::ErrorKind::StorageFull.into(),
        };
        let error = StepError::Module(full).or_no_room();
        let info = application(&error);
        assert!(!info.non_retryable);
        assert_eq!(info.r#type, StepError::GivenBack.failure_type());
        assert_eq!(info.next_retry_delay.map(|d| d.seconds), Some(30));
        assert!(error.to_string().starts_with("no room"), "{error}");
        let other = StepError::Module(ModuleError::Internal("x".into())).or_no_room();
        assert!(matches!(other, StepError::Module(_)));
    }

    #[test]
    fn cancellation_is_reported_as_cancellation() {
        for error in [StepError::Cancelled, StepError::Module(ModuleError::Cancelled)] {
            assert!(matches!(
                error.to_failure().failure_info,
                Some(FailureInfo::CanceledFailureInfo(_))
            ));
        }
    }
}
