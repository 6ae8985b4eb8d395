//! What can go wrong with jobs.

use temporalio_client::tonic::{Code, Status};

/// What calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the request is wrong.
    #[error("`{field}` {message}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong; reads on after the field's name.
        message: String,
    },
    /// The engine does not know the job, or it is no job.
    #[error("there is no job `{0}`")]
    NoJob(String),
    /// Not one that was handed out here, for this namespace and this job.
    #[error("this is no claim of this {0}: send back the `claim` of the answer to a claim as it was")]
    WrongClaim(&'static str),
    /// Somebody else has the job by now, or it has ended.
    #[error(
        "the claim on job `{0}` is over: its lease ended before this was said, or the job has ended; whatever was done is to be \
         thrown away, since the job went back to its queue"
    )]
    LeaseLost(String),
    /// What is asked for does not go with how the job stands.
    #[error("{0}")]
    Conflict(String),
    /// The same key of idempotency was used for something else.
    #[error("this Idempotency-Key was used for another request: take a new one for each")]
    OtherRequest,
    /// The key that seals claims cannot be had.
    #[error("the key of claims in {path} cannot be used: {source}")]
    Key {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine refused, or is not there.
    #[error("{what}: {}", .status.message())]
    Engine {
        /// What was tried.
        what: &'static str,
        /// What it said.
        status: Box<Status>,
    },
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            message: message.into(),
        }
    }

    pub(crate) fn engine(what: &'static str) -> impl Fn(Status) -> Self {
        move |status| Self::Engine {
            what,
            status: Box::new(status),
        }
    }

    /// What the engine's answer means when it was asked about a job.
    pub(crate) fn of_job(what: &'static str, id: &str) -> impl Fn(Status) -> Self {
        move |status| match status.code() {
            // The namespace may be what is missing; whoever asks finds that out first.
            Code::NotFound | Code::InvalidArgument => Self::NoJob(id.to_owned()),
            Code::FailedPrecondition => Self::Conflict(format!("job `{id}`: {}", status.message())),
            _ => Self::engine(what)(status),
        }
    }
}
