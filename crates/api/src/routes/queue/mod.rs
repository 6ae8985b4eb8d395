//! The job queue: `/queue/{name}/...` and `/jobs/{id}/...`. What a job is, is in crate `queue`.

mod caller;
pub(crate) mod claims;
pub(crate) mod operate;
pub(crate) mod publish;
pub(crate) mod show;

use helve_queue::{Error, InvalidName, ItemError, QueueName};

use crate::problem::{FieldError, Problem, Result, engine};

pub(crate) use caller::{Claimer, Large};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Invalid { field, message } => {
                Self::unprocessable(format!("a value is wrong: {error}")).with_errors([FieldError {
                    field: (*field).to_owned(),
                    message: message.clone(),
                }])
            }
            Error::NoJob(id) => Self::not_found(format!("there is no job `{}`", crate::problem::shown(id))),
            Error::WrongClaim(_) => Self::forbidden(error.to_string()),
            Error::LeaseLost(_) | Error::Conflict(_) => Self::conflict(error.to_string()),
            Error::OtherRequest => Self::unprocessable(error.to_string()),
            Error::Engine { what, status } => engine(what, status),
            _ => Self::internal("the job queue does not work", &error),
        }
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::unprocessable(error.to_string())
    }
}

/// The problem that one item of a batch would be alone.
fn told(error: Error) -> ItemError {
    let problem = Problem::from(error);
    ItemError {
        status: problem.status,
        detail: problem.detail,
    }
}

fn queue(name: &str) -> Result<QueueName> {
    Ok(name.parse()?)
}
